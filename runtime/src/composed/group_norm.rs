//! Normalization of each sample by itself from candle's primitives; see `maps::group_norm`.

use crate::error::Result;
use crate::kernels::group_norm::Sizes;
use candle_core::Tensor;

/// y = weight · normalized + bias.
pub(crate) fn forward(
    x: &Tensor,
    [weight, bias]: [&Tensor; 2],
    sizes: Sizes,
    epsilon: f64,
) -> Result<Tensor> {
    let [normalized, _] = normalized(x, sizes, epsilon)?;
    let rows = normalized.reshape(((), sizes.channels))?;
    Ok(rows.broadcast_mul(weight)?.broadcast_add(bias)?.reshape(x.shape())?)
}

/// Gradients of `forward`, of input, weight and bias, from that of its output.
pub(crate) fn backward(
    d_y: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    sizes: Sizes,
    epsilon: f64,
) -> Result<[Tensor; 3]> {
    let [normalized, inverse] = normalized(x, sizes, epsilon)?;
    let d_rows = d_y.reshape(((), sizes.channels))?;
    let d_weight = (&d_rows * normalized.reshape(((), sizes.channels))?)?.sum(0)?;
    let d_bias = d_rows.sum(0)?;
    let g = d_rows.broadcast_mul(weight)?.reshape(normalized.shape())?;
    let along = normalized.broadcast_mul(&mean(&(&g * &normalized)?)?)?;
    let d_x = (g.broadcast_sub(&mean(&g)?)? - along)?.broadcast_mul(&inverse)?;
    Ok([d_x.reshape(x.shape())?, d_weight, d_bias])
}

/// `x` as `[S, rows, groups, channels of one]`, normalized, and 1 / deviation.
fn normalized(x: &Tensor, Sizes { rows, channels, groups }: Sizes, epsilon: f64) -> Result<[Tensor; 2]> {
    let x = x.reshape(((), rows, groups, channels / groups))?;
    let x = x.broadcast_sub(&mean(&x)?)?;
    let inverse = (mean(&x.sqr()?)? + epsilon)?.sqrt()?.recip()?;
    Ok([x.broadcast_mul(&inverse)?, inverse])
}

/// The mean of each group, `[S, 1, groups, 1]`.
fn mean(x: &Tensor) -> Result<Tensor> {
    Ok(x.mean_keepdim((1, 3))?)
}
