//! Elementwise operations and sums from candle's primitives.

use crate::error::Result;
use crate::maps::activation::Activation;
use candle_core::{D, DType, Tensor};

/// `activation(x)`.
pub(crate) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    Ok(match activation {
        Activation::Relu => at_least(x, 0.0)?,
        Activation::Relu6 => {
            let y = at_least(x, 0.0)?;
            let most = y.ones_like()?.affine(6.0, 0.0)?;
            y.gt(&most)?.where_cond(&most, &y)?
        }
        Activation::Silu => (x * sigmoid(x)?)?,
        Activation::Sigmoid => sigmoid(x)?,
    })
}

/// The gradient of `x` from that of `activation(x)`.
pub(crate) fn activate_backward(d_y: &Tensor, x: &Tensor, activation: Activation) -> Result<Tensor> {
    let derivative = match activation {
        Activation::Relu | Activation::Relu6 => slope_of_clamp(x, activation)?,
        Activation::Silu => {
            // s · (1 + x · (1 - s))
            let s = sigmoid(x)?;
            (((s.affine(-1.0, 1.0)? * x)? + 1.0)? * s)?
        }
        Activation::Sigmoid => slope_of_sigmoid(&sigmoid(x)?)?,
    };
    Ok((derivative * d_y)?)
}

/// `activation(a + b)`.
pub(crate) fn add_activate(a: &Tensor, b: &Tensor, activation: Option<Activation>) -> Result<Tensor> {
    let sum = (a + b)?;
    match activation {
        None => Ok(sum),
        Some(activation) => activate(&sum, activation),
    }
}

/// `a + factor · b`.
pub(crate) fn add_scaled(a: &Tensor, b: &Tensor, factor: f64) -> Result<Tensor> {
    Ok((a + b.affine(factor, 0.0)?)?)
}

/// The sum over all dimensions but the last, `[C]`.
pub(crate) fn sum_rows(x: &Tensor) -> Result<Tensor> {
    let channels = x.dim(D::Minus1)?;
    Ok(x.reshape(((), channels))?.sum(0)?)
}

/// The sum of `a · b`, in f32 on the device.
pub(crate) fn sum_of_products(a: &Tensor, b: &Tensor) -> Result<f64> {
    Ok(f64::from((a * b)?.sum_all()?.to_scalar::<f32>()?))
}

/// The larger of `x` and `least`. By comparison, so that a NaN stays one: the maximum of candle's kernels for CUDA takes
/// the number, which would hide that training diverged.
pub(super) fn at_least(x: &Tensor, least: f64) -> Result<Tensor> {
    let least = x.zeros_like()?.affine(1.0, least)?;
    Ok(x.lt(&least)?.where_cond(&least, x)?)
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok((x.neg()?.exp()? + 1.0)?.recip()?)
}

fn slope_of_sigmoid(y: &Tensor) -> Result<Tensor> {
    Ok((y.affine(-1.0, 1.0)? * y)?)
}

/// 1 where `x` lies strictly inside the clamp, else 0.
fn slope_of_clamp(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let above = x.gt(0f32)?.to_dtype(DType::F32)?;
    match activation {
        Activation::Relu6 => Ok((above * x.lt(6f32)?.to_dtype(DType::F32)?)?),
        _ => Ok(above),
    }
}
