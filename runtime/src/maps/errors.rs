//! Losses of values: of the errors by which outputs miss them.
//!
//! Outputs are small (`[N, K]`), and the loss is read on the host anyway, so every device runs the host's kernel.

use crate::error::{Error, Result};
use crate::kernels::errors as kernel;
use crate::maps::Map;
use crate::maps::loss::{Loss, matrix_extents, on_host};
use crate::maps::place::read;
use crate::maps::slices::tensor;
use crate::maps::soft_cross_entropy::check_rows;

/// Mean over all elements of (output - target)², and its gradient.
///
/// # Shapes
/// `outputs` and `targets`: `[N, K]`; the gradient is with respect to `outputs`.
///
/// # Errors
/// `Shape` where they differ.
pub fn squared_error(outputs: &Map, targets: &[f32]) -> Result<Loss> {
    loss(outputs, targets, kernel::squared_error)
}

/// Mean over all elements of Huber's loss of e = output - target: ½·e² up to |e| = `delta`, delta·(|e| - ½·delta) beyond
/// (Huber 1964, as PyTorch's `HuberLoss` has it), and its gradient.
///
/// # Shapes
/// As [`squared_error`].
///
/// # Errors
/// As [`squared_error`], and `Config` for a delta that is not above 0.
pub fn huber(outputs: &Map, targets: &[f32], delta: f64) -> Result<Loss> {
    if !(delta.is_finite() && delta > 0.0) {
        return Err(Error::config(format!("the Huber loss's delta must be above 0, found {delta}")));
    }
    loss(outputs, targets, |outputs, targets| kernel::huber(outputs, targets, delta))
}

/// The sum of all absolute errors, and that of the squared ones.
///
/// # Errors
/// As [`squared_error`].
pub fn sums(outputs: &Map, targets: &[f32]) -> Result<[f64; 2]> {
    let (n, k) = matrix_extents("outputs", outputs)?;
    check_rows(targets, n, k)?;
    let sums = || Ok(kernel::sums(&outputs.numbers()?, targets));
    read(outputs, sums, sums, |_| [0.0; 2])
}

fn loss(
    outputs: &Map,
    targets: &[f32],
    kernel: impl FnOnce(&[f32], &[f32]) -> (f64, Vec<f32>),
) -> Result<Loss> {
    let (n, k) = matrix_extents("outputs", outputs)?;
    check_rows(targets, n, k)?;
    on_host(
        outputs,
        |outputs| {
            let (value, d_outputs) = kernel(outputs, targets);
            Ok((value, tensor(d_outputs, (n, k))?))
        },
        |counter| counter.sweep(3 * n * k),
    )
}
