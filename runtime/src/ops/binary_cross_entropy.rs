//! Binary cross-entropy of sigmoid outputs, from their logits.

use crate::composed;
use crate::error::{Error, Result};
use crate::kernels::binary_cross_entropy as kernel;
use crate::ops::loss::Loss;
use crate::ops::place::{Place, place};
use crate::ops::slices::{elements, tensor};
use candle_core::Tensor;

/// Mean over all elements of -t·ln(s) - (1-t)·ln(1-s) with s = sigmoid(z), and its gradient (s - t) / count.
///
/// Equal to a sigmoid followed by mean binary cross-entropy, in the stable form max(z, 0) - z·t + ln(1 + exp(-|z|)).
/// PyTorch's two-step version differs only where its sigmoid rounds to 0 or 1: there it cuts logarithms off at -100.
///
/// # Shapes
/// `logits` and `targets` (in [0, 1], not checked): any equal shape; the gradient is with respect to `logits`.
///
/// # Errors
/// Shapes that differ or hold no element.
pub fn sigmoid_binary_cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Loss> {
    if logits.dims() != targets.dims() || logits.elem_count() == 0 {
        return Err(Error::shape(format!(
            "logits {:?} and targets {:?} must have one shape that holds at least one element",
            logits.dims(),
            targets.dims()
        )));
    }
    match place(logits.device())? {
        Place::Kernels => {
            let (logits, targets) = (logits.contiguous()?, targets.contiguous()?);
            let (value, d_logits) =
                kernel::sigmoid_binary_cross_entropy(&elements(&logits)?, &elements(&targets)?);
            Ok(Loss { value, d_input: tensor(d_logits, logits.shape())? })
        }
        Place::Composed => composed::binary_cross_entropy::sigmoid_binary_cross_entropy(logits, targets),
    }
}
