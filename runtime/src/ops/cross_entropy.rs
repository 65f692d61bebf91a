//! Softmax cross-entropy of class scores, and the count of right answers.
//!
//! Logits are small (`[N, K]`), and the loss is read on the CPU anyway, so every device runs the CPU kernel.

use crate::error::{Error, Result};
use crate::kernels::cross_entropy as kernel;
use crate::ops::loss::{Loss, check_labels, matrix_extents, on_cpu};
use crate::ops::slices::{elements, tensor};
use candle_core::Tensor;

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
pub fn softmax_cross_entropy(logits: &Tensor, labels: &[u32], label_smoothing: f64) -> Result<Loss> {
    let (n, k) = matrix_extents("logits", logits)?;
    check_labels(labels, n, k)?;
    if !(0.0..=1.0).contains(&label_smoothing) {
        return Err(Error::config(format!(
            "label_smoothing is {label_smoothing}; give a number from 0 to 1"
        )));
    }
    let host = on_cpu(logits)?;
    let (value, d_logits) = kernel::softmax_cross_entropy(&elements(&host)?, labels, label_smoothing);
    Ok(Loss { value, d_input: tensor(d_logits, (n, k))?.to_device(logits.device())? })
}

/// How many rows have their largest logit at their label. The first of equal maxima counts; a row that holds a
/// NaN is wrong.
///
/// # Shapes
/// `logits`: `[N, K]`, one label a row.
///
/// # Errors
/// A label that is K or more, or shapes that do not fit.
pub fn correct(logits: &Tensor, labels: &[u32]) -> Result<usize> {
    let (n, k) = matrix_extents("logits", logits)?;
    check_labels(labels, n, k)?;
    let host = on_cpu(logits)?;
    Ok(kernel::correct(&elements(&host)?, labels))
}
