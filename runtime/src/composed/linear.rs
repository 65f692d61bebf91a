//! Matrix products of a linear layer from candle's primitives.

use crate::error::Result;
use candle_core::Tensor;

/// `x · weightᵀ + bias`.
pub(crate) fn forward(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let y = x.matmul(&weight.t()?.contiguous()?)?;
    match bias {
        None => Ok(y),
        Some(bias) => Ok(y.broadcast_add(bias)?),
    }
}

/// `d_y · weight`.
pub(crate) fn d_input(d_y: &Tensor, weight: &Tensor) -> Result<Tensor> {
    Ok(d_y.matmul(weight)?)
}

/// `d_yᵀ · x`.
pub(crate) fn d_weight(x: &Tensor, d_y: &Tensor) -> Result<Tensor> {
    Ok(d_y.t()?.contiguous()?.matmul(x)?)
}
