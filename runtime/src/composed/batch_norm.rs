//! Batch normalization from candle's primitives. Everything here sees rows of channels, `[rows, channels]`.

use crate::composed::elementwise::{activate, activate_backward};
use crate::error::Result;
use crate::kernels::activation::Activation;
use candle_core::{D, Tensor};

/// Mean and biased variance of each channel, in two passes.
pub(crate) fn statistics(x: &Tensor) -> Result<[Tensor; 2]> {
    let x = rows(x)?;
    let mean = x.mean(0)?;
    let variance = x.broadcast_sub(&mean)?.sqr()?.mean(0)?;
    Ok([mean, variance])
}

/// `activation(weight · normalized + bias)`, by mean, variance, weight and bias.
pub(crate) fn forward(
    x: &Tensor,
    [mean, variance, weight, bias]: [&Tensor; 4],
    epsilon: f64,
    activation: Option<Activation>,
) -> Result<Tensor> {
    let scale = (weight * inverse(variance, epsilon)?)?;
    let y = x.broadcast_sub(mean)?.broadcast_mul(&scale)?.broadcast_add(bias)?;
    match activation {
        None => Ok(y),
        Some(activation) => activate(&y, activation),
    }
}

/// Gradients of `forward`, of input, weight and bias, from that of its output and its input; see
/// `maps::batch_norm::backward`.
pub(crate) fn backward(
    (d_y, x): (&Tensor, &Tensor),
    [mean, variance, weight, bias]: [&Tensor; 4],
    epsilon: f64,
    activation: Option<Activation>,
    batch_statistics: bool,
    need_input: bool,
) -> Result<(Option<Tensor>, Tensor, Tensor)> {
    let shape = x.shape();
    let inverse = inverse(variance, epsilon)?;
    let normalized = rows(x)?.broadcast_sub(mean)?.broadcast_mul(&inverse)?;
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
    Ok((d_x, d_weight, d_bias))
}

fn inverse(variance: &Tensor, epsilon: f64) -> Result<Tensor> {
    Ok((variance + epsilon)?.sqrt()?.recip()?)
}

fn rows(x: &Tensor) -> Result<Tensor> {
    let channels = x.dim(D::Minus1)?;
    Ok(x.reshape(((), channels))?)
}
