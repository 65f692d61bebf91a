//! Batch norm: the moments of a map, the norm that they make, and the way back through it.

use super::elementwise::{like, rows};
use crate::device::arguments;
use crate::device::array::Array;
use crate::device::engine::Operand::{self, Nothing};
use crate::device::later::LaterKind;
use crate::device::launches::elements::kind;
use crate::device::launches::norm::{self as launches, BOTH_NORMALIZED, FINISHES, NORM_ROWS, WRITES_MASK};
use crate::device::table::body::{Body, Element};
use crate::device::table::kernel::ReadKind;
use crate::error::Result;
use crate::kernels::activation::Activation;
use crate::kernels::batch_norm::clamp;

/// A norm with the activation behind it. Clones share their numbers.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Mean, scale, bias, centre, slope and 1/deviation: `[6, C]`.
    pub numbers: Array,
    /// The activation.
    pub activation: Option<Activation>,
}

/// What the gradients of a norm need, and its own.
#[derive(Clone, Debug)]
pub struct Sums {
    /// The norm with its centre and slope: how to get from the gradient of its output to that of its input.
    pub through: Norm,
    /// The gradient of the weight, `[C]`.
    pub d_weight: Array,
    /// The gradient of the bias, `[C]`.
    pub d_bias: Array,
}

impl Norm {
    /// From statistics and parameters, `[C]` all. Its gradient takes the statistics for constants.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(
        [mean, variance]: [&Array; 2],
        [weight, bias]: [&Array; 2],
        epsilon: f64,
        activation: Option<Activation>,
    ) -> Result<Self> {
        let (engine, channels) = (weight.engine(), weight.len());
        let numbers = Array::empty(engine, Element::F32, &[NORM_ROWS, channels])?;
        let p = arguments::Norm { epsilon: epsilon as f32, ..launches::arguments(1, channels)? };
        let [weight, bias, mean, variance] = [weight, bias, mean, variance].map(Operand::from);
        engine.launch(&launches::of(&p)?, &[weight, bias, mean, variance, Operand::from(&numbers)])?;
        Ok(Self { numbers, activation })
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.numbers.len() / NORM_ROWS
    }

    /// The mean of each channel.
    pub(super) fn mean(&self) -> Result<Array> {
        self.numbers.samples(0, 1)?.reshape(&[self.channels()])
    }

    /// What kernels are told of it and of a map of `elements`: its clamp, or the kind of an activation that is none.
    fn arguments(&self, elements: usize) -> Result<arguments::Norm> {
        let p = launches::arguments(elements / self.channels(), self.channels())?;
        let (kind, slope) = kind(self.activation);
        Ok(match clamp(self.activation) {
            Some(bounds) => arguments::Norm { bounds, ..p },
            None => arguments::Norm { kind, slope, ..p },
        })
    }
}

/// Mean and variance of each channel of `x: [.., C]`, over all its rows.
///
/// # Errors
/// Those of the device.
pub fn statistics(x: &Array, channels: usize) -> Result<[Array; 2]> {
    let (parts, p) = moments(x, channels)?;
    let both = Array::empty(x.engine(), Element::F32, &[2, channels])?;
    let operands = [Operand::from(&parts), Operand::from(&both)];
    x.engine().launch(&launches::finish(Body::NormStatistics, &p)?, &operands)?;
    let [mean, variance] = [0, 1].map(|row| both.samples(row, 1)?.reshape(&[channels]));
    Ok([mean?, variance?])
}

/// The moments of the tiles of a map, and what finishes them is told.
fn moments(x: &Array, channels: usize) -> Result<(Array, arguments::Norm)> {
    let (x, p) = (rows(x)?, launches::arguments(x.len() / channels, channels)?);
    let parts = Array::empty(x.engine(), Element::F32, &[p.tiles as usize, 2, channels])?;
    let mut operands = [&x, &parts].map(Operand::from).to_vec();
    operands.extend([Nothing; 5]);
    x.engine().launch(&launches::parts(Body::NormMoments, &p)?, &operands)?;
    Ok((parts, p))
}

/// What a norm has beside its statistics.
#[derive(Clone, Copy, Debug)]
pub struct Parameters<'a> {
    /// Its weight, `[C]`.
    pub weight: &'a Array,
    /// Its bias, `[C]`.
    pub bias: &'a Array,
    /// What is added to the variance.
    pub epsilon: f64,
    /// The activation behind it.
    pub activation: Option<Activation>,
}

/// As [`finish_norm`], of a map `[.., C]`.
pub(super) fn norm_of_map(x: &Array, of: &Parameters<'_>) -> Result<(Array, Norm)> {
    let (engine, channels) = (x.engine(), of.weight.len());
    if !engine.finishes() {
        let (parts, p) = moments(x, channels)?;
        return finish_norm(&parts, of, p);
    }
    let (x, made) = (rows(x)?, norm_room(of)?);
    let p = launches::arguments(x.len() / channels, channels)?;
    let p = arguments::Norm { epsilon: of.epsilon as f32, flags: FINISHES, ..p };
    let parts = Array::empty(engine, Element::F32, &[p.tiles as usize, 2, channels])?;
    let (variance, norm) = &made;
    let mut operands = [&x, &parts, of.weight, of.bias, &norm.numbers, variance].map(Operand::from).to_vec();
    let arrivals = vec![0; launches::arrivals(&p)];
    operands.push(Operand::Table(&arrivals));
    engine.launch(&launches::parts(Body::NormMoments, &p)?, &operands)?;
    Ok(made)
}

/// Room for the variance of each channel, and for the norm that is to be made.
pub(super) fn norm_room(of: &Parameters<'_>) -> Result<(Array, Norm)> {
    let (engine, channels) = (of.weight.engine(), of.weight.len());
    let variance = Array::empty(engine, Element::F32, &[channels])?;
    let numbers = Array::empty(engine, Element::F32, &[NORM_ROWS, channels])?;
    Ok((variance, Norm { numbers, activation: of.activation }))
}

/// Room for what is made of sums for the gradient of `by`.
pub(super) fn sums_room(by: &Norm) -> Result<Sums> {
    let (engine, channels) = (by.numbers.engine(), by.channels());
    let through = Norm { numbers: like(&by.numbers)?, ..*by };
    let [d_weight, d_bias] = [0; 2].map(|_| Array::empty(engine, Element::F32, &[channels]));
    Ok(Sums { through, d_weight: d_weight?, d_bias: d_bias? })
}

/// The variance of each channel, and the norm, whose first numbers are the means, from the moments of the tiles of a map.
pub(super) fn finish_norm(parts: &Array, of: &Parameters<'_>, p: arguments::Norm) -> Result<(Array, Norm)> {
    let made = norm_room(of)?;
    let (variance, norm) = &made;
    let p = arguments::Norm { epsilon: of.epsilon as f32, ..p };
    let operands = [parts, of.weight, of.bias, &norm.numbers, variance].map(Operand::from);
    parts.engine().launch(&launches::finish(Body::NormFinish, &p)?, &operands)?;
    Ok(made)
}

/// What `by` makes of `x: [.., C]`.
///
/// # Errors
/// Those of the device.
pub fn apply(x: &Array, by: &Norm) -> Result<Array> {
    let (x, y, p) = (rows(x)?, like(x)?, by.arguments(x.len())?);
    let operands = [Operand::from(&x), Nothing, Operand::from(&by.numbers), Operand::from(&y)];
    x.engine().launch(&launches::apply(ReadKind::Normalized, &p)?, &operands)?;
    Ok(y)
}

/// factor · x + shift with numbers of each channel of `x: [.., C]`, which are the same in each step.
///
/// # Errors
/// Those of the device.
pub fn affine(x: &Array, factors: &[f32], shifts: &[f32]) -> Result<Array> {
    let (x, y, channels) = (rows(x)?, like(x)?, factors.len());
    let mut numbers = vec![0.0; NORM_ROWS * channels];
    numbers[channels..2 * channels].copy_from_slice(factors);
    numbers[2 * channels..3 * channels].copy_from_slice(shifts);
    let p = launches::arguments(x.len() / channels, channels)?;
    let operands = [Operand::from(&x), Nothing, Operand::Floats(&numbers), Operand::from(&y)];
    x.engine().launch(&launches::apply(ReadKind::Normalized, &p)?, &operands)?;
    Ok(y)
}

/// The sums that the gradients of `by` need, from `d`, that of its output; `z` is what it read. `d` becomes the gradient of what
/// the activation read, unless that is a clamp.
///
/// # Errors
/// Those of the device.
pub fn sums(d: &Array, z: &Array, by: &Norm) -> Result<Sums> {
    let (engine, z, p) = (d.engine(), rows(z)?, by.arguments(d.len())?);
    let mut before = by.clone();
    if clamp(by.activation).is_none() {
        engine.launch(&launches::slope(&p)?, &[d, &z, &by.numbers].map(Operand::from))?;
        before.activation = None;
    }
    let parts_dims = [p.tiles as usize, 2, by.channels()];
    if !engine.finishes() {
        let parts = Array::empty(engine, Element::F32, &parts_dims)?;
        let mut operands = [d, &z, &by.numbers, &parts].map(Operand::from).to_vec();
        operands.extend([Nothing; 4]);
        engine.launch(&launches::parts(Body::NormSums, &p)?, &operands)?;
        return finish_sums(&parts, &before, p);
    }
    let made = sums_room(&before)?;
    let written = [&made.through.numbers, &made.d_weight, &made.d_bias];
    let parts = Array::empty(engine, Element::F32, &parts_dims)?;
    let (p, arrivals) = (arguments::Norm { flags: FINISHES, ..p }, vec![0; launches::arrivals(&p)]);
    let mut operands = [d, &z, &by.numbers, &parts].map(Operand::from).to_vec();
    operands.extend(written.map(Operand::from));
    operands.push(Operand::Table(&arrivals));
    engine.launch(&launches::parts(Body::NormSums, &p)?, &operands)?;
    Ok(made)
}

/// The same from the sums of the tiles of a map.
pub(super) fn finish_sums(parts: &Array, by: &Norm, p: arguments::Norm) -> Result<Sums> {
    let made = sums_room(by)?;
    let Sums { through, d_weight, d_bias } = &made;
    let operands = [parts, &by.numbers, &through.numbers, d_weight, d_bias].map(Operand::from);
    parts.engine().launch(&launches::finish(Body::NormSumsFinish, &p)?, &operands)?;
    Ok(made)
}

/// `d`, the gradient of the output, becomes that of the input, which was `z`.
///
/// # Errors
/// Those of the device.
pub fn d_input(d: &Array, z: &Array, through: &Norm) -> Result<()> {
    let (z, p) = (rows(z)?, through.arguments(d.len())?);
    let operands = [&z, d, &through.numbers, d].map(Operand::from);
    d.engine().launch(&launches::apply(ReadKind::Through, &p)?, &operands)
}

/// clamp(by(x) + around), `around` through a norm of its own if it has one, and its mask if asked for. Norms' own activations
/// do not count.
///
/// # Errors
/// Those of the device.
pub fn residual_sum(
    (x, by): (&Array, &Norm),
    (around, around_by): (&Array, Option<&Norm>),
    bounds: [f32; 2],
    with_mask: bool,
) -> Result<(Array, Option<Array>)> {
    let (engine, x, around) = (x.engine(), rows(x)?, rows(around)?);
    let mut flags = if around_by.is_some() { BOTH_NORMALIZED } else { 0 };
    flags |= if with_mask { WRITES_MASK } else { 0 };
    let p = launches::arguments(x.len() / by.channels(), by.channels())?;
    let p = arguments::Norm { bounds, flags, ..p };
    let y = like(&x)?;
    let room = || Array::empty(engine, Element::U8, &[x.len().div_ceil(8)]);
    let mask = with_mask.then(room).transpose()?;
    let operands = [
        Operand::from(&x),
        Operand::from(&by.numbers),
        Operand::from(&around),
        Operand::from(around_by.map(|by| &by.numbers)),
        Operand::from(&y),
        Operand::from(mask.as_ref()),
    ];
    engine.launch(&launches::masked(Body::ResidualSum, &p)?, &operands)?;
    Ok((y, mask))
}

/// keep · running + (1 - keep) · factor · observed, `[C]` all.
///
/// # Errors
/// Those of the device.
pub fn averaged(running: &Array, observed: &Array, factor: f32, keep: f32) -> Result<Array> {
    let (running, observed, average) = (rows(running)?, rows(observed)?, like(running)?);
    let arrays = [Some(&observed), Some(&running), None, None, Some(&average)];
    running.engine().later(LaterKind::Average { keep }, factor, arrays)?;
    Ok(average)
}
