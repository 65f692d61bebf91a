//! Softmax cross-entropy of class scores, and the count of right answers.

#[cfg(feature = "device")]
use crate::device::operations::loss as device;
use crate::error::{Error, Result};
use crate::kernels::cross_entropy as kernel;
use crate::maps::Map;
#[cfg(feature = "device")]
use crate::maps::loss::on_device;
use crate::maps::loss::{Loss, check_labels, matrix_extents, on_host};
use crate::maps::place::of_numbers;
use crate::maps::slices::tensor;

/// Cross-entropy of softmax(`logits`), averaged over the batch, and its gradient.
///
/// With smoothing e the target of a sample is 1 - e + e/K at its label and e/K elsewhere (Szegedy et al. 2016,
/// "Rethinking the Inception architecture", as PyTorch defines it); 0 means none.
///
/// # Shapes
/// `logits`: `[N, K]`, one label a row; the gradient is `[N, K]`, already divided by N.
///
/// # Errors
/// A label that is K or more, a smoothing outside [0, 1], or shapes that do not fit.
pub fn softmax_cross_entropy(logits: &Map, labels: &[u32], label_smoothing: f64) -> Result<Loss> {
    weighted_softmax_cross_entropy(logits, labels, label_smoothing, &[])
}

/// The same where each term of a class c counts `class_weights[c]` times, divided by the weights of the labels instead of
/// N, as PyTorch's `weight` does; no weights are weights of 1.
///
/// # Errors
/// As [`softmax_cross_entropy`], and for weights that are not one positive number a class.
pub fn weighted_softmax_cross_entropy(
    logits: &Map,
    labels: &[u32],
    label_smoothing: f64,
    class_weights: &[f32],
) -> Result<Loss> {
    let (n, k) = matrix_extents("logits", logits)?;
    check_labels(labels, n, k)?;
    check_terms(label_smoothing, class_weights, k)?;
    #[cfg(feature = "device")]
    if let Map::Device(logits) = logits {
        return on_device(device::cross_entropy(logits, labels, k, label_smoothing, class_weights)?);
    }
    on_host(
        logits,
        |logits| {
            let (value, d_logits) =
                kernel::softmax_cross_entropy(logits, labels, label_smoothing, class_weights);
            Ok((value, tensor(d_logits, (n, k))?))
        },
        |counter| {
            counter.scratch(n * size_of::<f64>());
            counter.sweep(3 * n * k);
        },
    )
}

/// Refuses a smoothing that is no share, and weights as [`check_class_weights`] does.
pub(super) fn check_terms(label_smoothing: f64, class_weights: &[f32], classes: usize) -> Result<()> {
    if !(0.0..=1.0).contains(&label_smoothing) {
        return Err(Error::config(format!(
            "label_smoothing is {label_smoothing}; give a number from 0 to 1"
        )));
    }
    if class_weights.is_empty() { Ok(()) } else { check_class_weights(class_weights, classes) }
}

/// Refuses weights that are not one positive number for each of `classes`.
///
/// # Errors
/// `Config`, with what to give.
pub fn check_class_weights(class_weights: &[f32], classes: usize) -> Result<()> {
    if class_weights.len() != classes {
        let found = class_weights.len();
        return Err(Error::config(format!(
            "{found} class weights were given for {classes} classes; give one a class"
        )));
    }
    match class_weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
        None => Ok(()),
        Some(class) => Err(Error::config(format!(
            "the weight of class {class} is {}; give positive numbers, such as 1 for a class that counts as often as it \
             occurs",
            class_weights[class]
        ))),
    }
}

/// The weights of all labels together: what [`weighted_softmax_cross_entropy`] divides by.
pub fn total_weight(labels: &[u32], class_weights: &[f32]) -> f64 {
    kernel::total_weight(labels, class_weights)
}

/// How many rows have their largest logit at their label. The first of equal maxima counts; a row that holds a
/// NaN is wrong.
///
/// # Shapes
/// `logits`: `[N, K]`, one label a row.
///
/// # Errors
/// A label that is K or more, or shapes that do not fit.
pub fn correct(logits: &Map, labels: &[u32]) -> Result<usize> {
    Ok(hits(logits, labels)?.into_iter().filter(|&hit| hit).count())
}

/// Which rows these are.
///
/// # Errors
/// As [`correct`].
pub fn hits(logits: &Map, labels: &[u32]) -> Result<Vec<bool>> {
    let (n, k) = matrix_extents("logits", logits)?;
    check_labels(labels, n, k)?;
    of_numbers(logits, |logits| kernel::hits(logits, labels).collect(), || vec![false; n])
}
