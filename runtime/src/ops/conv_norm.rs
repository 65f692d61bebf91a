//! Convolution and batch norm as one on the CPU: a convolution reads its input through the batch norm before it
//! and takes the statistics for the one after it, so that normalized maps and their gradients are never in
//! memory. Elsewhere the two are ops of their own.

use super::activation::Activation;
use super::batch_norm::{Statistics, of_moments};
use super::conv::{ConvConfig, y_shape};
use super::elementwise::{self, combine_with, same_shape};
use super::mask;
use super::slices::{Elements, elements, output, tensor, update_in_place};
use crate::error::{Error, Result};
use crate::kernels::batch_norm::{self, Gradient, Normalization, Sums};
use crate::kernels::conv::{self as kernels, Geometry, Given, Path, Source};
use crate::kernels::residual::{self, Summand};
use crate::kernels::simd::Isa;
use crate::kernels::unwritten::unwritten;
use candle_core::Tensor;
use std::sync::{Mutex, PoisonError};

/// Whether an activation is one that a [`Lazy`] map may have: none, or a clamp.
pub fn is_clamp(activation: Option<Activation>) -> bool {
    batch_norm::clamp(activation).is_some()
}

/// A map `[N, H, W, C]` that may still have to be normalized, by whoever reads it.
#[derive(Clone, Debug)]
pub enum Lazy {
    /// A map as it is.
    Plain(Tensor),
    /// A map, and what is to become of it; its activation is a clamp.
    Normalized(Tensor, Normalization),
    /// A residual sum, and what it can be made from again, so that who needs it later need not keep it.
    Sum(Tensor, Summands),
}

/// What a residual sum is made from, on its way into a convolution's weight gradient.
#[derive(Clone, Debug)]
pub struct Summands {
    /// The main branch before its last normalization.
    pub main: Tensor,
    /// That normalization; its activation does not count.
    pub by: Normalization,
    /// What comes round the shortcut.
    pub around: Tensor,
    /// Of the sum: none, or a clamp.
    pub activation: Option<Activation>,
}

impl Lazy {
    /// The map itself, normalized now if need be.
    pub fn resolve(self) -> Result<Tensor> {
        match self {
            Self::Plain(x) | Self::Sum(x, _) => Ok(x),
            Self::Normalized(x, by) => {
                let input = elements(&x)?;
                // SAFETY: the kernel writes every element.
                let y = unsafe {
                    output(input.len(), |y| {
                        batch_norm::forward(Isa::best(), &input, &by, y);
                        Ok(())
                    })
                };
                tensor(y?.0, x.shape())
            }
        }
    }

    /// The same, normalized now if need be.
    pub fn without_normalization(self) -> Result<Self> {
        match self {
            Self::Normalized(..) => Ok(Self::Plain(self.resolve()?)),
            x => Ok(x),
        }
    }

    /// The tensor in memory.
    pub fn stored(&self) -> &Tensor {
        match self {
            Self::Plain(x) | Self::Normalized(x, _) | Self::Sum(x, _) => x,
        }
    }

    fn source<'a>(&'a self, elements: &'a Elements<'_>) -> Source<'a> {
        match self {
            Self::Plain(_) | Self::Sum(..) => Source::Plain(elements),
            Self::Normalized(_, by) => Source::Normalized(elements, by),
        }
    }
}

/// The gradient of the input `z` of a normalization, as what it is made from.
#[derive(Clone, Copy, Debug)]
pub struct LazyGradient<'a> {
    /// The gradient of the output.
    pub d: &'a Tensor,
    /// The input.
    pub z: &'a Tensor,
    /// How to get from one to the other; `None` where the gradient has taken the place of `z`.
    pub by: Option<&'a Gradient>,
    /// Whether nobody reads `z` once the gradients of the convolution before it exist, so that they may take its
    /// place in memory.
    pub last_use: bool,
}

impl LazyGradient<'_> {
    /// The same, made now in the place of `z`, whose last use it must be.
    ///
    /// # Errors
    /// `Shape` when the shapes do not fit.
    pub fn settled(self) -> Result<Self> {
        if let Some(by) = self.by {
            combine_with(self.z, self.d, |z, d| batch_norm::d_input_over(Isa::best(), d, z, by))?;
        }
        Ok(Self { by: None, ..self })
    }

    fn source<'s>(&self, d: &'s [f32], z: &'s [f32]) -> Source<'s>
    where
        Self: 's,
    {
        match self.by {
            Some(by) => Source::Gradient { d, x: z, by },
            None => Source::Plain(z),
        }
    }
}

/// The gradient of a convolution's output, in memory or as what it is made from.
#[derive(Clone, Copy, Debug)]
pub enum OutputGradient<'a> {
    /// In memory.
    Plain(&'a Tensor),
    /// Through the normalization that follows.
    Lazy(LazyGradient<'a>),
}

impl<'a> From<&'a Tensor> for OutputGradient<'a> {
    fn from(d: &'a Tensor) -> Self {
        Self::Plain(d)
    }
}

impl<'a> From<LazyGradient<'a>> for OutputGradient<'a> {
    fn from(gradient: LazyGradient<'a>) -> Self {
        Self::Lazy(gradient)
    }
}

/// The borrowed elements of an [`OutputGradient`].
pub(super) enum GradientElements<'a> {
    Plain(Elements<'a>),
    Lazy { d: Elements<'a>, z: Elements<'a>, by: &'a Gradient },
}

impl<'a> OutputGradient<'a> {
    pub(super) fn elements(self) -> Result<GradientElements<'a>> {
        Ok(match self {
            Self::Plain(d) => GradientElements::Plain(elements(d)?),
            Self::Lazy(LazyGradient { z, by: None, .. }) => GradientElements::Plain(elements(z)?),
            Self::Lazy(LazyGradient { d, z, by: Some(by), .. }) => {
                GradientElements::Lazy { d: elements(d)?, z: elements(z)?, by }
            }
        })
    }
}

impl GradientElements<'_> {
    pub(super) fn source(&self) -> Source<'_> {
        match self {
            Self::Plain(d) => Source::Plain(d),
            Self::Lazy { d, z, by } => Source::Gradient { d, x: z, by },
        }
    }
}

/// Convolves `x: [N, H, W, I]` with `weight: [O, I/groups, KH, KW]` and adds `bias: [O]`; gives `[N, OH, OW, O]`, with
/// the statistics of its channels if asked to.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn forward(
    x: &Lazy,
    weight: &Tensor,
    bias: Option<&Tensor>,
    config: &ConvConfig,
    with_statistics: bool,
) -> Result<(Tensor, Option<Statistics>)> {
    let geometry = config.geometry(x.stored().dims(), weight.dims())?;
    let (input, weight) = (elements(x.stored())?, elements(weight)?);
    let bias = bias.map(elements).transpose()?;
    let (source, bias) = (x.source(&input), bias.as_deref());
    let run = |y: &mut _| -> Result<_> {
        if with_statistics {
            kernels::forward_with_moments(Path::best(), &geometry, source, &weight, bias, y).map(Some)
        } else {
            kernels::forward(Path::best(), &geometry, source, &weight, bias, y).map(|()| None)
        }
    };
    // SAFETY: the kernels write every element, or fail.
    let (y, moments) = unsafe { output(geometry.y_len(), run) }?;
    Ok((tensor(y, y_shape(&geometry))?, moments.map(of_moments).transpose()?))
}

/// What a convolution read, as far as its backward pass needs it.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Nothing but the shape: the weight is not trained.
    Shape(&'a [usize]),
    /// A map.
    Plain(&'a Tensor),
    /// A map through a normalization.
    Normalized(&'a Tensor, &'a Normalization),
    /// A residual sum.
    Sum(&'a Summands),
}

/// The borrowed elements of an [`Input`].
enum InputElements<'a> {
    None,
    Plain(Elements<'a>),
    Normalized(Elements<'a>, &'a Normalization),
    Sum { main: Elements<'a>, by: &'a Normalization, around: Elements<'a>, bounds: [f32; 2] },
}

impl<'a> Input<'a> {
    fn dims(&self) -> &[usize] {
        match self {
            Self::Shape(shape) => shape,
            Self::Plain(x) | Self::Normalized(x, _) => x.dims(),
            Self::Sum(sum) => sum.main.dims(),
        }
    }

    fn elements(self) -> Result<InputElements<'a>> {
        Ok(match self {
            Self::Shape(_) => InputElements::None,
            Self::Plain(x) => InputElements::Plain(elements(x)?),
            Self::Normalized(x, by) => InputElements::Normalized(elements(x)?, by),
            Self::Sum(Summands { main, by, around, activation }) => {
                let bounds = batch_norm::clamp(*activation)
                    .ok_or_else(|| Error::internal(format!("a sum with {activation:?} was not kept")))?;
                InputElements::Sum { main: elements(main)?, by, around: elements(around)?, bounds }
            }
        })
    }
}

impl InputElements<'_> {
    fn source(&self) -> Option<Source<'_>> {
        match self {
            Self::None => None,
            Self::Plain(x) => Some(Source::Plain(x)),
            Self::Normalized(x, by) => Some(Source::Normalized(x, by)),
            Self::Sum { main, by, around, bounds } => {
                Some(Source::Sum { x: main, by, around, bounds: *bounds })
            }
        }
    }
}

/// What the backward pass of a convolution gives.
#[derive(Debug)]
pub struct Gradients {
    /// Of the weight, `[O, I/groups, KH, KW]`, if it was asked for.
    pub d_weight: Option<Tensor>,
    /// Of what the convolution read, if it was asked for.
    pub d_x: Option<Tensor>,
    /// What the normalization that the input came through needs for its own gradient, if `d_x` was asked for.
    pub sums: Option<Sums>,
}

/// The gradients of a convolution with `weight: [O, I/groups, KH, KW]` of `x: [N, H, W, I]`; `beside`, of that shape, is
/// added to that of x.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn backward(
    x: Input<'_>,
    d_y: LazyGradient<'_>,
    weight: &Tensor,
    config: &ConvConfig,
    need_weight: bool,
    need_input: bool,
    beside: Option<&Tensor>,
) -> Result<Gradients> {
    let geometry = config.geometry(x.dims(), weight.dims())?;
    same_shape(d_y.d, d_y.z)?;
    if let (Some(by), true) = (d_y.by, need_input && is_joint(&geometry, d_y.last_use)) {
        return joint(x, (d_y, by), weight, &geometry, need_weight, beside);
    }
    let d_y = if need_weight && need_input && d_y.last_use { d_y.settled()? } else { d_y };
    let input = x.elements()?;
    let of_weight = || -> Result<Option<Tensor>> {
        let Some(source) = input.source().filter(|_| need_weight) else { return Ok(None) };
        let (d, z) = (elements(d_y.d)?, elements(d_y.z)?);
        let gradient = d_y.source(&d, &z);
        let mut d_weight = vec![0.0; geometry.weight_len()];
        kernels::d_weight(Path::best(), &geometry, source, gradient, &mut d_weight)?;
        tensor(d_weight, weight.dims()).map(Some)
    };
    let of_input = || -> Result<(Option<Tensor>, Option<Sums>)> {
        if !need_input {
            return Ok((None, None));
        }
        let d_x = d_input(d_y, &elements(weight)?, x.dims(), &geometry)?;
        let sums = match &input {
            InputElements::Normalized(input, by) => {
                Some(batch_norm::sums(Isa::best(), &elements(&d_x)?, input, by))
            }
            _ => None,
        };
        let d_x = match beside {
            Some(beside) => elementwise::add(d_x, beside)?,
            None => d_x,
        };
        Ok((Some(d_x), sums))
    };
    let (d_weight, (d_x, sums)) = if is_input_first(&geometry, d_y.last_use) {
        let of_input = of_input()?;
        (of_weight()?, of_input)
    } else {
        (of_weight()?, of_input()?)
    };
    Ok(Gradients { d_weight, d_x, sums })
}

/// Whether the gradient of a convolution's input is made before that of its weight: the larger of the two should not
/// wait for the other, which may take memory. What takes the place of what both are made from is made last.
pub(crate) fn is_input_first(geometry: &Geometry, last_use: bool) -> bool {
    geometry.x_len() < geometry.weight_len() && images_at_once(geometry, last_use).is_none()
}

/// Whether both gradients are made in one pass over the images, of which that of the input takes the place of what it
/// is made from. `last_use` as in [`LazyGradient`].
pub(crate) fn is_joint(geometry: &Geometry, last_use: bool) -> bool {
    last_use && kernels::joint_applies(Path::best(), geometry)
}

/// [`backward`] in one pass.
fn joint(
    x: Input<'_>,
    (d_y, by): (LazyGradient<'_>, &Gradient),
    weight: &Tensor,
    geometry: &Geometry,
    need_weight: bool,
    beside: Option<&Tensor>,
) -> Result<Gradients> {
    let input = x.elements()?;
    let source = input.source();
    let (d, weight_elements) = (elements(d_y.d)?, elements(weight)?);
    let beside = beside.map(elements).transpose()?;
    let given = Given { x: source, d: &d, by, weight: &weight_elements, beside: beside.as_deref() };
    let need_weight = need_weight && source.is_some();
    let d_weight = vec![0.0; if need_weight { geometry.weight_len() } else { 0 }];
    let answers = Mutex::new((d_weight, Ok(None)));
    update_in_place(d_y.z, |z| {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (d_weight, sums) = &mut *answers;
        *sums = kernels::backward(Path::best(), geometry, given, z, need_weight.then_some(d_weight));
    })?;
    let (d_weight, sums) = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Gradients {
        d_weight: need_weight.then(|| tensor(d_weight, weight.dims())).transpose()?,
        d_x: Some(d_y.z.reshape(x.dims())?),
        sums: sums?,
    })
}

/// Gradients of at least so many bytes take the place of what they are made from, where they may.
const LARGE_BYTES: usize = 4 << 20;
/// The shares of the images in which they do.
pub(crate) const SHARES: usize = 4;

/// The images whose gradients are made at once before they take the place of what they are made from; none where they
/// get memory of their own. `last_use` as in [`LazyGradient`].
pub(crate) fn images_at_once(geometry: &Geometry, last_use: bool) -> Option<usize> {
    let len = geometry.x_len();
    let in_place = last_use && len == geometry.y_len() && len * size_of::<f32>() >= LARGE_BYTES;
    in_place.then(|| geometry.images.div_ceil(SHARES))
}

/// The gradient of a convolution's input, of shape `dims`, in memory of its own or in that of `d_y.z`.
fn d_input(d_y: LazyGradient<'_>, weight: &[f32], dims: &[usize], geometry: &Geometry) -> Result<Tensor> {
    let shared = images_at_once(geometry, d_y.last_use);
    let at_once = shared.unwrap_or(geometry.images);
    let share = |first: usize| -> Result<Vec<f32>> {
        let geometry = Geometry { images: at_once.min(geometry.images - first), ..*geometry };
        let start = first * (geometry.y_len() / geometry.images);
        let range = start..start + geometry.y_len();
        let (d, z) = (elements(d_y.d)?, elements(d_y.z)?);
        let gradient = d_y.source(&d[range.clone()], &z[range]);
        let run = |d_x: &mut _| kernels::d_input(Path::best(), &geometry, gradient, weight, d_x);
        // SAFETY: the kernel writes every element, or fails.
        Ok(unsafe { output(geometry.x_len(), run) }?.0)
    };
    if shared.is_none() {
        return tensor(share(0)?, dims);
    }
    for first in (0..geometry.images).step_by(at_once) {
        let d_x = share(first)?;
        let start = first * (geometry.x_len() / geometry.images);
        update_in_place(d_y.z, |z| z[start..start + d_x.len()].copy_from_slice(&d_x))?;
    }
    Ok(d_y.z.reshape(dims)?)
}

/// The gradient of a convolution's weight, of shape `weight_shape: [O, I/groups, KH, KW]`, from that of its output,
/// `d_y: [N, OH, OW, O]`.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn d_weight(x: &Lazy, d_y: &Tensor, weight_shape: &[usize], config: &ConvConfig) -> Result<Tensor> {
    let geometry = config.geometry(x.stored().dims(), weight_shape)?;
    let (d_y, input) = (elements(d_y)?, elements(x.stored())?);
    let mut d_weight = vec![0.0; geometry.weight_len()];
    kernels::d_weight(Path::best(), &geometry, x.source(&input), &*d_y, &mut d_weight)?;
    tensor(d_weight, weight_shape)
}

/// The sums that the gradients of a normalization of `z` need, from `d`, the gradient of its output.
pub fn sums(d: &Tensor, z: &Tensor, by: &Normalization) -> Result<Sums> {
    same_shape(d, z)?;
    Ok(batch_norm::sums(Isa::best(), &elements(d)?, &elements(z)?, by))
}

/// The [`mask`] of [`add_activate`] alone, made without the sum as a whole.
///
/// # Errors
/// As for [`add_activate`].
pub fn sum_mask(main: Lazy, around: Lazy, activation: Option<Activation>) -> Result<Option<Tensor>> {
    let images = main.stored().dims().first().copied().unwrap_or(0);
    let each = main.stored().elem_count() / images.max(1);
    let bounds = batch_norm::clamp(activation).filter(|_| activation.is_some());
    let (Lazy::Normalized(x, by), Some(bounds), true) = (&main, bounds, each.is_multiple_of(8)) else {
        return Ok(add_activate(main, around, activation, true)?.1);
    };
    same_shape(x, around.stored())?;
    let (main_elements, around_elements) = (elements(x)?, elements(around.stored())?);
    let mut bits = Vec::with_capacity(main_elements.len() / 8);
    let mut scratch = vec![0.0; images.div_ceil(SHARES) * each];
    for (main, other) in main_elements.chunks(scratch.len()).zip(around_elements.chunks(scratch.len())) {
        let other = match &around {
            Lazy::Plain(_) | Lazy::Sum(..) => Summand::Plain(other),
            Lazy::Normalized(_, by) => Summand::Normalized(other, by),
        };
        // SAFETY: the kernel stores nothing but numbers.
        let sum = unsafe { unwritten(&mut scratch[..main.len()]).room() };
        bits.extend(residual::sum(Isa::best(), main, by, other, bounds, sum, true));
    }
    mask::of_bits(bits).map(Some)
}

/// `activation(main + around)`, the two normalized on the way if need be, and the activation's [`mask`] if
/// asked for.
///
/// # Errors
/// `Shape` when the two differ in shape, `Config` where the activation has no mask.
pub fn add_activate(
    main: Lazy,
    around: Lazy,
    activation: Option<Activation>,
    with_mask: bool,
) -> Result<(Tensor, Option<Tensor>)> {
    let (main, around) = match (main, around) {
        (Lazy::Plain(main), Lazy::Normalized(around, by)) => {
            (Lazy::Normalized(around, by), Lazy::Plain(main))
        }
        pair => pair,
    };
    let (Lazy::Normalized(x, by), Some(bounds)) = (&main, batch_norm::clamp(activation)) else {
        let y = elementwise::add_activate(main.resolve()?, &around.resolve()?, activation)?;
        let wanted = activation.filter(|_| with_mask);
        let mask = wanted.map(|activation| mask::of_output(&y, activation)).transpose()?;
        return Ok((y, mask));
    };
    same_shape(x, around.stored())?;
    let (main_elements, around_elements) = (elements(x)?, elements(around.stored())?);
    let around = match &around {
        Lazy::Plain(_) | Lazy::Sum(..) => Summand::Plain(&around_elements),
        Lazy::Normalized(_, by) => Summand::Normalized(&around_elements, by),
    };
    let with_mask = with_mask && activation.is_some();
    let run = |y: &mut _| Ok(residual::sum(Isa::best(), &main_elements, by, around, bounds, y, with_mask));
    // SAFETY: the kernel writes every element.
    let (y, bits) = unsafe { output(main_elements.len(), run) }?;
    let mask = with_mask.then(|| mask::of_bits(bits)).transpose()?;
    Ok((tensor(y, x.shape())?, mask))
}
