//! Inverted dropout (Srivastava et al., 2014): zeroes elements, and scales the others so that the mean stays.

use crate::composed::dropout as composed;
use crate::error::{Error, Result};
use crate::kernels::dropout as kernels;
use crate::ops::place::{Place, place};
use crate::ops::slices::update_in_place;
use candle_core::Tensor;

/// Zeroes each element of `x` with `probability` (0 to 1) and multiplies the others by 1 / (1 - probability).
///
/// The mask is a hash of `seed` and the element's position: the same on every device, and nothing need be
/// kept for `backward`. May write into the storage of `x`, whose only user the caller must be.
pub fn forward(x: Tensor, probability: f64, seed: u64) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&probability) {
        return Err(Error::config(format!("a dropout probability lies between 0 and 1, got {probability}")));
    }
    if probability == 0.0 {
        return Ok(x);
    }
    match place(x.device())? {
        Place::Kernels => {
            update_in_place(&x, |x| kernels::apply(x, probability, seed))?;
            Ok(x)
        }
        Place::Composed => composed::apply(&x, probability, seed),
    }
}

/// The gradient of the input: `d_y` times the mask that `forward` used for the same seed.
pub fn backward(d_y: Tensor, probability: f64, seed: u64) -> Result<Tensor> {
    forward(d_y, probability, seed)
}
