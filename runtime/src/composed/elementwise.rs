//! Elementwise operations and sums from candle's primitives.

use crate::error::Result;
use crate::kernels::activation::Activation;
use candle_core::{D, DType, Tensor};

/// `activation(x)`.
pub(crate) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    Ok(match activation {
        Activation::Relu => at_least(x, 0.0)?,
        Activation::Relu6 => relu6(x)?,
        Activation::Silu => (x * sigmoid(x)?)?,
        Activation::Sigmoid => sigmoid(x)?,
        Activation::Gelu => (x * normal_below(x)?)?,
        Activation::HardSwish => (x * hard_sigmoid(x)?)?,
        Activation::HardSigmoid => hard_sigmoid(x)?,
        Activation::LeakyRelu { slope } => x.gt(0f32)?.where_cond(x, &x.affine(f64::from(slope), 0.0)?)?,
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
        Activation::Gelu => {
            // Φ + x · exp(-x² / 2) / √(2π)
            let bell =
                x.sqr()?.affine(-0.5, 0.0)?.exp()?.affine(std::f64::consts::TAU.sqrt().recip(), 0.0)?;
            (normal_below(x)? + (x * bell)?)?
        }
        Activation::HardSwish => {
            let (inside, above) = (between(x, -3.0, 3.0)?, x.ge(3f32)?.to_dtype(DType::F32)?);
            ((inside * x.affine(1.0 / 3.0, 0.5)?)? + above)?
        }
        Activation::HardSigmoid => between(x, -3.0, 3.0)?.affine(1.0 / 6.0, 0.0)?,
        Activation::LeakyRelu { slope } => {
            let slope = f64::from(slope);
            x.gt(0f32)?.to_dtype(DType::F32)?.affine(1.0 - slope, slope)?
        }
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

fn relu6(x: &Tensor) -> Result<Tensor> {
    let y = at_least(x, 0.0)?;
    let most = y.ones_like()?.affine(6.0, 0.0)?;
    Ok(y.gt(&most)?.where_cond(&most, &y)?)
}

fn hard_sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok(relu6(&(x + 3.0)?)?.affine(1.0 / 6.0, 0.0)?)
}

/// The share of the normal distribution below `x`.
fn normal_below(x: &Tensor) -> Result<Tensor> {
    Ok(x.affine(std::f64::consts::FRAC_1_SQRT_2, 0.0)?.erf()?.affine(0.5, 0.5)?)
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok((x.neg()?.exp()? + 1.0)?.recip()?)
}

fn slope_of_sigmoid(y: &Tensor) -> Result<Tensor> {
    Ok((y.affine(-1.0, 1.0)? * y)?)
}

/// 1 where `x` lies strictly inside the clamp, else 0.
fn slope_of_clamp(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Relu6 => between(x, 0.0, 6.0),
        _ => Ok(x.gt(0f32)?.to_dtype(DType::F32)?),
    }
}

/// 1 where `x` lies strictly between the two, else 0.
fn between(x: &Tensor, low: f32, high: f32) -> Result<Tensor> {
    Ok((x.gt(low)?.to_dtype(DType::F32)? * x.lt(high)?.to_dtype(DType::F32)?)?)
}
