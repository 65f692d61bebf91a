//! Dropout as a product with a mask that is made on the CPU, so that it is the same on every device.

use crate::error::Result;
use crate::kernels::dropout::mask;
use candle_core::Tensor;

/// `x` times its mask.
pub fn apply(x: &Tensor, probability: f64, seed: u64) -> Result<Tensor> {
    let mask = Tensor::from_vec(mask(x.elem_count(), probability, seed), x.shape(), x.device())?;
    Ok((x * mask)?)
}
