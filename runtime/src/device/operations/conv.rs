//! A convolution and its three gradients, read through the norms before and after it: normalized maps and their gradients are
//! not in memory.

use super::norm::{Norm, Parameters, Sums, finish_norm, finish_sums, norm_of_map, norm_room, sums_room};
use super::read::{GradientRead, Read};
use crate::device::array::{Array, Order};
use crate::device::engine::Operand::{self, Nothing};
use crate::device::launches::conv as launches;
use crate::device::launches::conv::{WITH_BESIDE, WITH_BIAS, WITH_FINISH, WITH_MOMENTS, WITH_SUMS};
use crate::device::launches::norm::{self, NORM_ROWS};
use crate::device::table::body::Element;
use crate::device::table::kernel::ReadKind;
use crate::error::Result;
use crate::kernels::conv::Geometry;

/// How a weight lies that a convolution reads.
fn filters(geometry: &Geometry) -> Order {
    Order::Filters { groups: geometry.groups }
}

/// Mean and variance of a map's channels, `[C]` each, and the norm that they make.
pub type MadeNorm = ([Array; 2], Norm);

/// The output, `[N, OH, OW, O]`, and the norm that is to be behind it.
///
/// # Errors
/// Those of the device.
pub fn forward(
    x: Read<'_>,
    weight: &Array,
    bias: Option<&Array>,
    geometry: &Geometry,
    behind: Option<&Parameters<'_>>,
) -> Result<(Array, Option<MadeNorm>)> {
    let (engine, weight) = (weight.engine(), weight.settled(filters(geometry))?);
    let is_depthwise = geometry.is_depthwise();
    // A depthwise kernel adds none.
    let (inner, outer) = if is_depthwise { (None, bias) } else { (bias, None) };
    let of_moments = behind.filter(|_| outer.is_none());
    let finished = of_moments.filter(|_| engine.finishes());
    let mut flags = if inner.is_some() { WITH_BIAS } else { 0 };
    flags |= if of_moments.is_some() { WITH_MOMENTS } else { 0 };
    flags |= if finished.is_some() { WITH_FINISH } else { 0 };
    let read = launches::Read {
        map: x.source(),
        bounds: x.bounds()?,
        small: x.small(),
        epsilon: finished.map_or(0.0, |of| of.epsilon as f32),
        ..launches::Read::default()
    };
    let made = launches::forward(geometry, &read, flags, engine.class())?;
    let y = Array::empty(engine, Element::F32, &y_dims(geometry))?;
    let parts = parts(&made, &y)?;
    let mut operands = x.operands().to_vec();
    operands.push(Operand::from(&weight));
    match is_depthwise {
        true => operands.extend([Nothing; 2]),
        false => operands.extend([Operand::from(inner), Nothing, Nothing, Nothing, Nothing]),
    }
    operands.extend([Operand::from(&y), Operand::from(parts.as_ref())]);
    let (room, arrivals) = (finished.map(norm_room).transpose()?, vec![0; made.arrivals]);
    operands.extend(match (finished, &room) {
        (Some(of), Some((variance, norm))) => {
            let [weight, bias, numbers, variance] =
                [of.weight, of.bias, &norm.numbers, variance].map(Operand::from);
            [weight, bias, numbers, variance, Nothing, Operand::Table(&arrivals)]
        }
        _ => [Nothing; 6],
    });
    engine.launch(&made.launch, &operands)?;
    if let Some(bias) = outer {
        add_per_channel(&y, bias)?;
    }
    let Some(behind) = behind else { return Ok((y, None)) };
    let (variance, norm) = match (room, &parts) {
        (Some(room), _) => room,
        (None, Some(parts)) => finish_norm(parts, behind, of_parts(&made, y.len(), geometry.out_channels)?)?,
        (None, None) => norm_of_map(&y, behind)?,
    };
    Ok((y, Some(([norm.mean()?, variance], norm))))
}

/// Room for what a launch leaves behind, if anything.
fn parts(made: &launches::WithParts, like: &Array) -> Result<Option<Array>> {
    let room = |len| Array::empty(like.engine(), Element::F32, &[len]);
    (made.parts_len > 0).then(|| room(made.parts_len)).transpose()
}

/// What a launch that finishes these parts is told.
fn of_parts(
    made: &launches::WithParts,
    elements: usize,
    channels: usize,
) -> Result<crate::device::arguments::Norm> {
    norm::of_tiles(elements / channels, channels, made.parts, made.part_rows)
}

/// Adds `numbers`, one a channel, to `y`: a norm that does nothing else.
pub(super) fn add_per_channel(y: &Array, numbers: &Array) -> Result<()> {
    let channels = numbers.len();
    let mut rows = vec![0.0; NORM_ROWS * channels];
    rows[channels..2 * channels].fill(1.0);
    let by = Array::of_floats(y.engine(), &rows, &[NORM_ROWS, channels])?;
    by.write(2 * channels, numbers)?;
    let launch = norm::apply(ReadKind::Normalized, &norm::arguments(y.len() / channels, channels)?)?;
    y.engine().launch(&launch, &[Operand::from(y), Nothing, Operand::from(&by), Operand::from(y)])
}

/// The gradient of the input, `[N, H, W, I]`, from that of the output. `beside`, of its shape, is added to it; `before` is what
/// the input came through and what that read, whose sums are taken of the gradient without what is beside it.
///
/// # Errors
/// Those of the device.
pub fn d_input(
    d_y: GradientRead<'_>,
    weight: &Array,
    geometry: &Geometry,
    beside: Option<&Array>,
    before: Option<(&Array, &Norm)>,
) -> Result<(Array, Option<Sums>)> {
    let (engine, weight) = (weight.engine(), weight.settled(filters(geometry))?);
    let is_depthwise = geometry.is_depthwise();
    // A kernel sums what it has added to.
    let (inner, outer) = if is_depthwise || before.is_some() { (None, beside) } else { (beside, None) };
    let bounds = match before {
        Some((_, by)) => by.bounds()?,
        None => launches::Read::default().bounds,
    };
    let read = launches::Read {
        bounds,
        gradient: d_y.source(),
        norm_bounds: d_y.bounds()?,
        ..launches::Read::default()
    };
    let mut flags = if inner.is_some() { WITH_BESIDE } else { 0 };
    let finished = before.filter(|_| engine.finishes());
    flags |= if before.is_some() { WITH_SUMS } else { 0 };
    flags |= if finished.is_some() { WITH_FINISH } else { 0 };
    let [height, width] = geometry.input;
    let dims = [geometry.images, height, width, geometry.in_channels];
    let d_x = Array::empty(engine, Element::F32, &dims)?;
    let mut operands = d_y.operands().to_vec();
    operands.push(Operand::from(&weight));
    if !is_depthwise {
        operands.extend([Nothing, Operand::from(inner), Nothing]);
    }
    let (z, z_norm) =
        before.map_or((Nothing, Nothing), |(z, by)| (Operand::from(z), Operand::from(&by.numbers)));
    operands.extend([z, z_norm, Operand::from(&d_x)]);
    if before.is_none() && !is_depthwise {
        operands.extend([Nothing; 7]);
        engine.defer(geometry, (read, flags, false), &operands)?;
        return Ok((d_x, None));
    }
    let made = launches::d_input(geometry, &read, flags, engine.class())?;
    let parts = parts(&made, &d_x)?;
    operands.push(Operand::from(parts.as_ref()));
    let (room, arrivals) = (finished.map(|(_, by)| sums_room(by)).transpose()?, vec![0; made.arrivals]);
    operands.extend(match &room {
        Some(Sums { through, d_weight, d_bias }) => {
            let [through, d_weight, d_bias] = [&through.numbers, d_weight, d_bias].map(Operand::from);
            [Nothing, Nothing, through, d_weight, d_bias, Operand::Table(&arrivals)]
        }
        None => [Nothing; 6],
    });
    engine.launch(&made.launch, &operands)?;
    let sums = match (before, &parts, room) {
        (_, _, Some(room)) => Some(room),
        (Some((_, by)), Some(parts), None) => {
            Some(finish_sums(parts, by, of_parts(&made, d_x.len(), geometry.in_channels)?)?)
        }
        _ => None,
    };
    if let Some(beside) = outer {
        super::elementwise::add_activate(&d_x, beside, None)?;
    }
    Ok((d_x, sums))
}

/// The gradient of the weight, of shape `weight_dims`, from what the convolution read and the gradient of its output.
///
/// # Errors
/// Those of the device.
pub fn d_weight(
    x: Read<'_>,
    d_y: GradientRead<'_>,
    weight_dims: &[usize],
    geometry: &Geometry,
) -> Result<Array> {
    let engine = x.stored().engine();
    let read = launches::Read {
        map: x.source(),
        bounds: x.bounds()?,
        gradient: d_y.source(),
        norm_bounds: d_y.bounds()?,
        small: x.small(),
        ..launches::Read::default()
    };
    let made = launches::d_weight(geometry, &read, engine.class())?;
    let parts = Array::empty(engine, Element::F32, &[made.parts_len])?;
    let mut operands = x.operands().to_vec();
    operands.extend(d_y.d_z_norm());
    operands.push(Operand::from(&parts));
    engine.launch(&made.launch, &operands)?;
    // Who updates by it adds the parts himself.
    Ok(Array::sum_of(&parts, made.parts, weight_dims)?.lies(filters(geometry)))
}

/// Both gradients: what [`d_weight`] gives, and what [`d_input`] gives of the norm that `x` is read through, if it is. In one launch where
/// there is a kernel for that, to the same bits.
///
/// # Errors
/// Those of the device.
pub fn backward(
    x: Read<'_>,
    d_y: GradientRead<'_>,
    (weight, weight_dims): (&Array, &[usize]),
    geometry: &Geometry,
    beside: Option<&Array>,
) -> Result<(Array, Array, Option<Sums>)> {
    let engine = weight.engine();
    let before = match x {
        Read::Normalized(z, by) => Some((z, by)),
        _ => None,
    };
    let read = launches::Read {
        map: x.source(),
        bounds: x.bounds()?,
        gradient: d_y.source(),
        norm_bounds: d_y.bounds()?,
        ..launches::Read::default()
    };
    let finished = before.filter(|_| engine.finishes());
    let (inner, outer) = if before.is_some() { (None, beside) } else { (beside, None) };
    let mut flags = if inner.is_some() { WITH_BESIDE } else { 0 };
    flags |= if before.is_some() { WITH_SUMS } else { 0 };
    flags |= if finished.is_some() { WITH_FINISH } else { 0 };
    let Some(launches::Both { input, splits }) = launches::backward(geometry, &read, flags, engine.class())?
    else {
        let of_weight = d_weight(x, d_y, weight_dims, geometry)?;
        let (d_x, sums) = d_input(d_y, weight, geometry, beside, before)?;
        return Ok((of_weight, d_x, sums));
    };
    let weight = weight.settled(filters(geometry))?;
    let [height, width] = geometry.input;
    let d_x = Array::empty(engine, Element::F32, &[geometry.images, height, width, geometry.in_channels])?;
    let weight_parts = Array::empty(engine, Element::F32, &[splits * geometry.weight_len()])?;
    let [stored, _, norm] = x.operands();
    let mut operands = vec![stored, norm];
    operands.extend(d_y.d_z_norm());
    operands.extend([Operand::from(&weight), Operand::from(inner), Nothing, Operand::from(&d_x)]);
    let parts = parts(&input, &d_x)?;
    operands.push(Operand::from(parts.as_ref()));
    let (room, arrivals) = (finished.map(|(_, by)| sums_room(by)).transpose()?, vec![0; input.arrivals]);
    operands.extend(match &room {
        Some(Sums { through, d_weight, d_bias }) => {
            let [through, d_weight, d_bias] = [&through.numbers, d_weight, d_bias].map(Operand::from);
            [through, d_weight, d_bias, Operand::Table(&arrivals)]
        }
        None => [Nothing; 4],
    });
    operands.push(Operand::from(&weight_parts));
    match before {
        Some(_) => engine.launch(&input.launch, &operands)?,
        None => engine.defer(geometry, (read, flags, true), &operands)?,
    }
    let of_weight = Array::sum_of(&weight_parts, splits, weight_dims)?.lies(filters(geometry));
    let sums = match (before, &parts, room) {
        (_, _, Some(room)) => Some(room),
        (Some((_, by)), Some(parts), None) => {
            Some(finish_sums(parts, by, of_parts(&input, d_x.len(), geometry.in_channels)?)?)
        }
        _ => None,
    };
    if let Some(beside) = outer {
        super::elementwise::add_activate(&d_x, beside, None)?;
    }
    Ok((of_weight, d_x, sums))
}

fn y_dims(geometry: &Geometry) -> [usize; 4] {
    [geometry.images, geometry.output[0], geometry.output[1], geometry.out_channels]
}
