//! Convolution and batch norm as one on the CPU: a convolution reads its input through the batch norm before it
//! and takes the statistics for the one after it, so that normalized maps and their gradients are never in
//! memory. Elsewhere the two are ops of their own.

use super::activation::Activation;
use super::batch_norm::{Statistics, of_moments};
use super::conv::{ConvConfig, y_shape};
use super::elementwise::same_shape;
use super::slices::{Elements, elements, output, tensor};
use crate::error::Result;
use crate::kernels::batch_norm::{self, Gradient, Normalization, Sums};
use crate::kernels::conv::{self as kernels, Path, Source};
use crate::kernels::residual::{self, Summand};
use crate::kernels::simd::Isa;
use candle_core::Tensor;

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
}

impl Lazy {
    /// The map itself, normalized now if need be.
    pub fn resolve(self) -> Result<Tensor> {
        match self {
            Self::Plain(x) => Ok(x),
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

    /// The tensor in memory.
    pub fn stored(&self) -> &Tensor {
        match self {
            Self::Plain(x) | Self::Normalized(x, _) => x,
        }
    }

    fn source<'a>(&'a self, elements: &'a Elements<'_>) -> Source<'a> {
        match self {
            Self::Plain(_) => Source::Plain(elements),
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
    /// How to get from one to the other.
    pub by: &'a Gradient,
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

/// The gradient of the weight, of shape `weight_shape: [O, I/groups, KH, KW]`.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn d_weight(
    x: &Lazy,
    d_y: LazyGradient<'_>,
    weight_shape: &[usize],
    config: &ConvConfig,
) -> Result<Tensor> {
    let geometry = config.geometry(x.stored().dims(), weight_shape)?;
    let (d, z, input) = (elements(d_y.d)?, elements(d_y.z)?, elements(x.stored())?);
    let gradient = Source::Gradient { d: &d, x: &z, by: d_y.by };
    let mut d_weight = vec![0.0; geometry.weight_len()];
    kernels::d_weight(Path::best(), &geometry, x.source(&input), gradient, &mut d_weight)?;
    tensor(d_weight, weight_shape)
}

/// The gradient of the input, of shape `input_shape: [N, H, W, I]`.
///
/// # Errors
/// `Shape` when the shapes do not fit.
pub fn d_input(
    d_y: LazyGradient<'_>,
    weight: &Tensor,
    input_shape: &[usize],
    config: &ConvConfig,
) -> Result<Tensor> {
    let geometry = config.geometry(input_shape, weight.dims())?;
    let (d, z, weight) = (elements(d_y.d)?, elements(d_y.z)?, elements(weight)?);
    let gradient = Source::Gradient { d: &d, x: &z, by: d_y.by };
    let run = |d_x: &mut _| kernels::d_input(Path::best(), &geometry, gradient, &weight, d_x);
    // SAFETY: the kernel writes every element, or fails.
    let (d_x, ()) = unsafe { output(geometry.x_len(), run) }?;
    tensor(d_x, input_shape)
}

/// The sums that the gradients of a normalization of `z` need, from `d`, the gradient of its output.
pub fn sums(d: &Tensor, z: &Tensor, by: &Normalization) -> Result<Sums> {
    same_shape(d, z)?;
    Ok(batch_norm::sums(Isa::best(), &*elements(d)?, &*elements(z)?, by))
}

/// `activation(main + around)`, the two normalized on the way if need be.
///
/// # Errors
/// `Shape` when the two differ in shape.
pub fn add_activate(main: Lazy, around: Lazy, activation: Option<Activation>) -> Result<Tensor> {
    let (main, around) = match (main, around) {
        (Lazy::Plain(main), Lazy::Normalized(around, by)) => (Lazy::Normalized(around, by), Lazy::Plain(main)),
        pair => pair,
    };
    let (Lazy::Normalized(x, by), Some(bounds)) = (&main, batch_norm::clamp(activation)) else {
        return super::elementwise::add_activate(main.resolve()?, &around.resolve()?, activation);
    };
    same_shape(x, around.stored())?;
    let (main_elements, around_elements) = (elements(x)?, elements(around.stored())?);
    let around = match &around {
        Lazy::Plain(_) => Summand::Plain(&around_elements),
        Lazy::Normalized(_, by) => Summand::Normalized(&around_elements, by),
    };
    // SAFETY: the kernel writes every element.
    let (y, ()) = unsafe {
        output(main_elements.len(), |y| {
            residual::sum(Isa::best(), &main_elements, by, around, bounds, y);
            Ok(())
        })
    }?;
    tensor(y, x.shape())
}
