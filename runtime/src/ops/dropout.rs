//! Inverted dropout (Srivastava et al., 2014): zeroes elements, and scales the others so that the mean stays.

use crate::composed::dropout as composed;
use crate::error::{Error, Result};
use crate::kernels::dropout as kernels;
use crate::ops::place::{Place, place};
use crate::ops::slices::update_in_place;
use candle_core::Tensor;

/// Which elements are zeroed: a hash of the seed and the element's position, the same on every device, so that nothing
/// need be kept for `backward`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mask {
    /// Share of the elements that are zeroed, from 0 to 1; the others are multiplied by 1 / (1 - probability).
    pub probability: f64,
    /// What the mask is drawn from.
    pub seed: u64,
    /// Position of the first element: the mask of a part is that part of the mask of the whole.
    pub first: usize,
}

/// `x` times its mask. May write into the storage of `x`, whose only user the caller must be.
///
/// # Errors
/// A probability outside [0, 1].
pub fn forward(x: Tensor, mask: Mask) -> Result<Tensor> {
    let Mask { probability, seed, first } = mask;
    if !(0.0..=1.0).contains(&probability) {
        return Err(Error::config(format!("a dropout probability lies between 0 and 1, got {probability}")));
    }
    if probability == 0.0 {
        return Ok(x);
    }
    match place(x.device())? {
        Place::Kernels => {
            update_in_place(&x, |x| kernels::apply(x, probability, seed, first))?;
            Ok(x)
        }
        Place::Composed => composed::apply(&x, probability, seed, first),
    }
}

/// The gradient of the input: `d_y` times the mask that `forward` used.
///
/// # Errors
/// As [`forward`].
pub fn backward(d_y: Tensor, mask: Mask) -> Result<Tensor> {
    forward(d_y, mask)
}
