//! Inverted dropout (Srivastava et al., 2014): zeroes elements, and scales the others so that the mean stays.

use crate::error::{Error, Result};
use crate::kernels::dropout as kernels;
use crate::maps::Map;
use crate::maps::place::change;
use crate::maps::slices::update_in_place;

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

/// `x` times its mask. May write into the memory of `x`, whose only user the caller must be.
///
/// # Errors
/// A probability outside [0, 1].
pub fn forward(x: Map, mask: Mask) -> Result<Map> {
    let Mask { probability, seed, first } = mask;
    if !(0.0..=1.0).contains(&probability) {
        return Err(Error::config(format!("a dropout probability lies between 0 and 1, got {probability}")));
    }
    if probability == 0.0 {
        return Ok(x);
    }
    #[cfg(feature = "device")]
    if let Map::Device(array) = &x {
        crate::device::operations::elementwise::dropout(array, probability, seed, first)?;
        return Ok(x);
    }
    let elements = x.elem_count();
    change(
        x,
        |x| update_in_place(x, |x| kernels::apply(x, probability, seed, first)),
        |counter| counter.sweep(2 * elements),
    )
}

/// The gradient of the input: `d_y` times the mask that `forward` used.
///
/// # Errors
/// As [`forward`].
pub fn backward(d_y: Map, mask: Mask) -> Result<Map> {
    forward(d_y, mask)
}
