//! Batch normalization from candle's primitives. Everything here sees rows of channels, `[rows, channels]`.

use crate::composed::elementwise::{activate, activate_backward};
use crate::error::Result;
use crate::ops::activation::Activation;
use crate::ops::batch_norm::{Gradients, Statistics};
use candle_core::{D, Tensor};

/// Mean and biased variance of each channel, in two passes.
pub fn statistics(x: &Tensor) -> Result<Statistics> {
    let x = rows(x)?;
    let mean = x.mean(0)?;
    let variance = x.broadcast_sub(&mean)?.sqr()?.mean(0)?;
    Ok(Statistics { mean, variance })
}

/// `activation(weight · normalized + bias)`.
pub fn forward(
    x: &Tensor,
    statistics: &Statistics,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
    activation: Option<Activation>,
) -> Result<Tensor> {
    let scale = (weight * inverse(statistics, epsilon)?)?;
    let y = x.broadcast_sub(&statistics.mean)?.broadcast_mul(&scale)?.broadcast_add(bias)?;
    match activation {
        None => Ok(y),
        Some(activation) => activate(&y, activation),
    }
}

/// Gradients of `forward`; see `ops::batch_norm::backward`.
#[expect(clippy::too_many_arguments, reason = "those of the op that it serves")]
pub fn backward(
    d_y: &Tensor,
    x: &Tensor,
    statistics: &Statistics,
    weight: &Tensor,
    bias: &Tensor,
    epsilon: f64,
    activation: Option<Activation>,
    batch_statistics: bool,
    need_input: bool,
) -> Result<Gradients> {
    let shape = x.shape();
    let inverse = inverse(statistics, epsilon)?;
    let normalized = rows(x)?.broadcast_sub(&statistics.mean)?.broadcast_mul(&inverse)?;
    let mut d = rows(d_y)?;
    if let Some(activation) = activation {
        let pre_activation = normalized.broadcast_mul(weight)?.broadcast_add(bias)?;
        d = activate_backward(&d, &pre_activation, activation)?;
    }
    let d_bias = d.sum(0)?;
    let d_weight = (&d * &normalized)?.sum(0)?;
    let mut d_x = None;
    if need_input {
        if batch_statistics {
            let share = 1.0 / d.dim(0)? as f64;
            let along = normalized.broadcast_mul(&d_weight.affine(share, 0.0)?)?;
            d = (d.broadcast_sub(&d_bias.affine(share, 0.0)?)? - along)?;
        }
        d_x = Some(d.broadcast_mul(&(weight * inverse)?)?.reshape(shape)?);
    }
    Ok(Gradients { d_x, d_weight, d_bias })
}

fn inverse(statistics: &Statistics, epsilon: f64) -> Result<Tensor> {
    Ok((&statistics.variance + epsilon)?.sqrt()?.recip()?)
}

fn rows(x: &Tensor) -> Result<Tensor> {
    let channels = x.dim(D::Minus1)?;
    Ok(x.reshape(((), channels))?)
}
