//! Softmax cross-entropy of class scores where a sample's target is a share of each class, as of images that were mixed.

#[cfg(feature = "device")]
use crate::device::operations::loss as device;
use crate::error::{Error, Result};
use crate::kernels::soft_cross_entropy as kernel;
use crate::maps::Map;
use crate::maps::cross_entropy::check_terms;
#[cfg(feature = "device")]
use crate::maps::loss::on_device;
use crate::maps::loss::{Loss, matrix_extents, on_host};
use crate::maps::place::of_numbers;
use crate::maps::slices::tensor;

/// Cross-entropy of softmax(`logits`) and the shares of classes in each sample, averaged over the batch, and its gradient.
///
/// With smoothing e the target is (1 - e)·share + e/K. Where there are `class_weights`, one a class, each term of a class c
/// counts `class_weights[c]` times, and the sum is divided by Σ `class_weights[c]`·share instead of N: a share of 1 is a
/// label, of which [`weighted_softmax_cross_entropy`] makes the same.
///
/// # Shapes
/// `logits`: `[N, K]`; `shares`: `[N, K]`, each row of sum 1 (not checked); the gradient is `[N, K]`.
///
/// # Errors
/// As [`weighted_softmax_cross_entropy`].
///
/// [`weighted_softmax_cross_entropy`]: super::cross_entropy::weighted_softmax_cross_entropy
pub fn soft_cross_entropy(
    logits: &Map,
    shares: &[f32],
    label_smoothing: f64,
    class_weights: &[f32],
) -> Result<Loss> {
    let (n, k) = matrix_extents("logits", logits)?;
    check_rows(shares, n, k)?;
    check_terms(label_smoothing, class_weights, k)?;
    let total = match class_weights {
        [] => n as f64,
        weights => {
            shares.iter().zip(weights.iter().cycle()).map(|(&t, &w)| f64::from(t) * f64::from(w)).sum()
        }
    };
    #[cfg(feature = "device")]
    if let Map::Device(logits) = logits {
        let terms = (label_smoothing, total);
        return on_device(device::soft_cross_entropy(logits, shares, [n, k], terms, class_weights)?);
    }
    on_host(
        logits,
        |logits| {
            let terms = kernel::Terms { class_weights, smoothing: label_smoothing, total };
            let (value, d_logits) = kernel::soft_cross_entropy(logits, shares, k, &terms);
            Ok((value, tensor(d_logits, (n, k))?))
        },
        |counter| {
            counter.scratch(n * size_of::<f64>());
            counter.sweep(4 * n * k);
        },
    )
}

/// Errors unless there are `width` numbers for each of `samples`.
pub(super) fn check_rows(numbers: &[f32], samples: usize, width: usize) -> Result<()> {
    match numbers.len() == samples * width {
        true => Ok(()),
        false => Err(Error::shape(format!(
            "{} numbers came with {samples} samples; give {width} a sample",
            numbers.len()
        ))),
    }
}

/// Which rows have their largest logit where the largest share is. The first of equal maxima counts; a row that holds a NaN
/// is wrong.
///
/// # Shapes
/// `logits` and `shares`: `[N, K]`.
///
/// # Errors
/// `Shape` where they differ.
pub fn soft_hits(logits: &Map, shares: &[f32]) -> Result<Vec<bool>> {
    let (n, k) = matrix_extents("logits", logits)?;
    check_rows(shares, n, k)?;
    of_numbers(logits, |logits| kernel::soft_hits(logits, shares, k).collect(), || vec![false; n])
}
