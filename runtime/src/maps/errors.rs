//! Losses of values: of the errors by which outputs miss them.

#[cfg(feature = "device")]
use crate::device::operations::loss as device;
use crate::error::{Error, Result};
use crate::kernels::errors as kernel;
use crate::maps::Map;
#[cfg(feature = "device")]
use crate::maps::loss::on_device;
use crate::maps::loss::{Loss, matrix_extents, on_host};
use crate::maps::place::of_numbers;
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
    loss(outputs, targets, None)
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
    loss(outputs, targets, Some(delta))
}

/// The sum of all absolute errors, and that of the squared ones.
///
/// # Errors
/// As [`squared_error`].
pub fn sums(outputs: &Map, targets: &[f32]) -> Result<[f64; 2]> {
    let (n, k) = matrix_extents("outputs", outputs)?;
    check_rows(targets, n, k)?;
    of_numbers(outputs, |outputs| kernel::sums(outputs, targets), || [0.0; 2])
}

/// Squared, or Huber's of a `delta`.
fn loss(outputs: &Map, targets: &[f32], delta: Option<f64>) -> Result<Loss> {
    let (n, k) = matrix_extents("outputs", outputs)?;
    check_rows(targets, n, k)?;
    #[cfg(feature = "device")]
    if let Map::Device(outputs) = outputs {
        return on_device(device::errors(outputs, targets, delta)?);
    }
    on_host(
        outputs,
        |outputs| {
            let (value, d_outputs) = match delta {
                None => kernel::squared_error(outputs, targets),
                Some(delta) => kernel::huber(outputs, targets, delta),
            };
            Ok((value, tensor(d_outputs, (n, k))?))
        },
        |counter| counter.sweep(3 * n * k),
    )
}
