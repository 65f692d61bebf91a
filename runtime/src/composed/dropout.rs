//! Dropout as a product with a mask that is made on the CPU, so that it is the same on every device.

use crate::error::Result;
use crate::kernels::dropout::mask;
use candle_core::Tensor;

/// `x`, whose elements stand at `first` and on, times its mask.
pub(crate) fn apply(x: &Tensor, probability: f64, seed: u64, first: usize) -> Result<Tensor> {
    let mask = Tensor::from_vec(mask(x.elem_count(), probability, seed, first), x.shape(), x.device())?;
    Ok((x * mask)?)
}
