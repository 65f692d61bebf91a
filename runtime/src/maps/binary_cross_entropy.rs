//! Binary cross-entropy of sigmoid outputs, from their logits.

#[cfg(feature = "device")]
use crate::device::operations::loss as device;
use crate::error::{Error, Result};
use crate::kernels::binary_cross_entropy as kernel;
use crate::maps::Map;
use crate::maps::loss::Loss;
#[cfg(feature = "device")]
use crate::maps::loss::on_device;
use crate::maps::place::loss;
use crate::maps::slices::{elements, tensor};

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
pub fn sigmoid_binary_cross_entropy(logits: &Map, targets: &Map) -> Result<Loss> {
    if logits.dims() != targets.dims() || logits.elem_count() == 0 {
        return Err(Error::shape(format!(
            "logits {:?} and targets {:?} must have one shape that holds at least one element",
            logits.dims(),
            targets.dims()
        )));
    }
    #[cfg(feature = "device")]
    if let Map::Device(logits) = logits {
        return on_device(device::binary_cross_entropy(logits, targets.array()?)?);
    }
    loss(
        logits,
        || {
            let (logits, targets) = (logits.clone().contiguous()?, targets.clone().contiguous()?);
            let (value, d_logits) =
                kernel::sigmoid_binary_cross_entropy(&elements(&logits)?, &elements(&targets)?);
            Ok((value, tensor(d_logits, logits.dims())?))
        },
        |counter| counter.sweep(8 * logits.elem_count()),
    )
}
