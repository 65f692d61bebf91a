//! Global response norm from candle's primitives. Everything here is `[N, R, C]`, or `[N, 1, C]` of numbers a channel.

use crate::error::Result;
use crate::kernels::response_norm::EPSILON;
use candle_core::{D, Tensor};

/// y = x · (1 + weight · norm / mean) + bias.
pub(crate) fn forward(x: &Tensor, weight: &Tensor, bias: &Tensor, grouped: [usize; 3]) -> Result<Tensor> {
    let of_x = x.reshape(&grouped)?;
    let [norm, mean] = norms(&of_x)?;
    let factor = (norm.broadcast_div(&mean)?.broadcast_mul(weight)? + 1.0)?;
    Ok(of_x.broadcast_mul(&factor)?.broadcast_add(bias)?.reshape(x.shape())?)
}

/// Gradients of `forward`, of input, weight and bias, from that of its output.
pub(crate) fn backward(
    d_y: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    grouped: [usize; 3],
) -> Result<[Tensor; 3]> {
    let (d, of_x) = (d_y.reshape(&grouped)?, x.reshape(&grouped)?);
    let [norm, mean] = norms(&of_x)?;
    let ratio = norm.broadcast_div(&mean)?;
    let products = (&d * &of_x)?.sum_keepdim(1)?;
    let d_ratio = products.broadcast_mul(weight)?;
    let d_mean = (&d_ratio * &norm)?.mean_keepdim(D::Minus1)?.broadcast_div(&mean.sqr()?)?;
    let d_norm = d_ratio.broadcast_div(&mean)?.broadcast_sub(&d_mean)?;
    // A channel of zeros has a norm of no slope.
    let zeros = norm.zeros_like()?;
    let coefficient = norm.gt(&zeros)?.where_cond(&(d_norm / &norm)?, &zeros)?;
    let factor = (ratio.broadcast_mul(weight)? + 1.0)?;
    let d_x = (d.broadcast_mul(&factor)? + of_x.broadcast_mul(&coefficient)?)?.reshape(x.shape())?;
    let d_weight = (products * ratio)?.sum((0, 1))?;
    Ok([d_x, d_weight, d.sum((0, 1))?])
}

/// The norm of each channel of a sample, and the mean of them.
fn norms(x: &Tensor) -> Result<[Tensor; 2]> {
    let norm = x.sqr()?.sum_keepdim(1)?.sqrt()?;
    let mean = (norm.mean_keepdim(D::Minus1)? + EPSILON)?;
    Ok([norm, mean])
}
