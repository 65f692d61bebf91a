//! Rows of a weight, and their gradient, from candle's index selection.

use crate::error::Result;
use candle_core::Tensor;

/// `weight: [V, C]` -> `dims: [N, 1, T, C]`.
pub(crate) fn forward(tokens: &[u32], weight: &Tensor, dims: [usize; 4]) -> Result<Tensor> {
    let tokens = Tensor::new(tokens, weight.device())?;
    Ok(weight.contiguous()?.index_select(&tokens, 0)?.reshape(&dims[..])?)
}

/// `d_y: [N, 1, T, C]` -> `[V, C]`.
pub(crate) fn d_weight(tokens: &[u32], d_y: &Tensor, [vocabulary, channels]: [usize; 2]) -> Result<Tensor> {
    let places = Tensor::new(tokens, d_y.device())?;
    let none = Tensor::zeros((vocabulary, channels), d_y.dtype(), d_y.device())?;
    Ok(none.index_add(&places, &d_y.contiguous()?.reshape(((), channels))?, 0)?)
}
