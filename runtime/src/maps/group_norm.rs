//! Layer norm (Ba et al. 2016) and group norm (Wu and He 2018): each sample is normalized by itself, in training as in
//! evaluation.

use super::Map;
use super::elementwise::{combine_with, one_per_channel, rows_and_channels, same_shape};
use super::place::{make, read};
use super::slices::{elements, tensor};
#[cfg(feature = "device")]
use crate::device::operations::group_norm as device;
use crate::error::{Error, Result};
use crate::kernels::group_norm as kernels;
use crate::kernels::group_norm::Sizes;

/// What has one mean and one variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The channels of one position: layer norm.
    Position,
    /// One of so many groups of channels at all positions of a sample.
    Group(usize),
}

/// The gradients of what normalizes within samples, with a weight and a bias for each channel.
#[derive(Debug)]
pub struct AffineGradients {
    /// Of the input, of its shape.
    pub d_x: Map,
    /// Of the weight, `[C]`.
    pub d_weight: Map,
    /// Of the bias, `[C]`.
    pub d_bias: Map,
}

fn sizes(x: &Map, extent: Extent) -> Result<Sizes> {
    let (rows, channels) = rows_and_channels(x)?;
    match extent {
        Extent::Position => Ok(Sizes { rows: 1, channels, groups: 1 }),
        Extent::Group(groups) if groups > 0 && channels.is_multiple_of(groups) => {
            Ok(Sizes { rows: rows / x.dims()[0], channels, groups })
        }
        Extent::Group(groups) => {
            Err(Error::shape(format!("{channels} channels cannot be cut into {groups} groups")))
        }
    }
}

/// weight · (x - mean) / sqrt(variance + epsilon) + bias, of the shape of `x: [N, H, W, C]` or `[N, C]`, with the biased
/// variance; `weight` and `bias` are `[C]`.
///
/// # Errors
/// `Shape` where the shapes do not fit, or groups do not divide the channels.
pub fn forward(x: &Map, weight: &Map, bias: &Map, extent: Extent, epsilon: f64) -> Result<Map> {
    let sizes = sizes(x, extent)?;
    one_per_channel(sizes.channels, &[("the weight", weight), ("the bias", bias)])?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        let parameters = [weight.array()?, bias.array()?];
        return device::forward(x, parameters, sizes, epsilon).map(Map::Device);
    }
    make(
        x,
        x.dims(),
        || {
            let (weight, bias) = (elements(weight)?, elements(bias)?);
            tensor(kernels::forward(&elements(x)?, [&weight, &bias], sizes, epsilon), x.dims())
        },
        |counter| counter.sweep(4 * x.elem_count()),
    )
}

/// The gradients of `forward` for the same arguments, from `d_y`, that of its output. Means and variances are taken anew.
///
/// `d_y` may be written into: the caller must be its only user. `d_x` then has its memory.
///
/// # Errors
/// As for [`forward`].
pub fn backward(d_y: Map, x: &Map, weight: &Map, extent: Extent, epsilon: f64) -> Result<AffineGradients> {
    same_shape(&d_y, x)?;
    let sizes = sizes(x, extent)?;
    one_per_channel(sizes.channels, &[("the weight", weight)])?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        let found = device::backward(d_y.array()?, x, weight.array()?, sizes, epsilon)?;
        let [d_weight, d_bias] = found.map(Map::Device);
        return Ok(AffineGradients { d_x: d_y, d_weight, d_bias });
    }
    let [d_weight, d_bias] = read(
        x,
        || {
            let weight = elements(weight)?;
            let found = combine_with(&d_y, x, |d, x| kernels::backward(d, x, &weight, sizes, epsilon))?;
            let [d_weight, d_bias] = found.map(|numbers| tensor(numbers, sizes.channels).map(Map::Host));
            Ok([d_weight, d_bias])
        },
        |counter| {
            let samples = x.elem_count() / (sizes.rows * sizes.channels);
            counter.scratch(kernels::backward_bytes(samples, sizes, counter.threads));
            counter.sweep(5 * x.elem_count());
            let place = x.place();
            [place.empty(&[sizes.channels]), place.empty(&[sizes.channels])]
        },
    )?;
    Ok(AffineGradients { d_x: d_y, d_weight: d_weight?, d_bias: d_bias? })
}
