//! Binary cross-entropy with logits, composed.

use crate::composed::elementwise::at_least;
use crate::error::Result;
use candle_core::Tensor;

/// See [`crate::maps::binary_cross_entropy::sigmoid_binary_cross_entropy`].
pub(crate) fn sigmoid_binary_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<(f64, Tensor)> {
    let log_term = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
    let value = ((at_least(logits, 0.0)? - (logits * targets)?)? + log_term)?.mean_all()?;
    // exp overflows to infinity for very negative logits, whose reciprocal is the right 0.
    let sigmoid = (logits.neg()?.exp()? + 1.0)?.recip()?;
    let d_input = ((sigmoid - targets)? / logits.elem_count() as f64)?;
    // Widened here: not every device has f64.
    Ok((f64::from(value.to_scalar::<f32>()?), d_input))
}
