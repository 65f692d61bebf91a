//! Masks of clamping activations from candle's primitives: a byte an element.

use crate::error::Result;
use candle_core::Tensor;

/// 1 where 0 < y < `upper`, of u8.
pub(crate) fn of_output(y: &Tensor, upper: f32) -> Result<Tensor> {
    let above = y.gt(0f64)?;
    if upper.is_infinite() {
        return Ok(above);
    }
    Ok((above * y.lt(f64::from(upper))?)?)
}

/// `d_y` where the mask is 1, 0 elsewhere.
pub(crate) fn apply(d_y: &Tensor, mask: &Tensor) -> Result<Tensor> {
    Ok(mask.where_cond(d_y, &d_y.zeros_like()?)?)
}
