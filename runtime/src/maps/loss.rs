//! What every loss returns, and the checks of labels that losses share.

use crate::error::{Error, Result};
use crate::maps::Map;
use crate::maps::counted::Counter;
use crate::maps::slices::tensor_elements;
use candle_core::Tensor;

/// The value of a loss and its gradient, made in one call.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The loss, averaged as the function that made it says.
    pub value: f64,
    /// Gradient of `value` with respect to the input: of the input's shape, on its device.
    pub d_input: Map,
}

impl Loss {
    /// The loss, if its value is a number.
    ///
    /// # Errors
    /// `NotFinite`, with what to do.
    pub fn finite(self) -> Result<Self> {
        match self.value.is_finite() {
            true => Ok(self),
            false => Err(Error::not_finite("loss", self.value)),
        }
    }
}

/// The two extents of a `[N, K]` tensor; `name` is what the error calls it.
pub(crate) fn matrix_extents(name: &str, x: &Map) -> Result<(usize, usize)> {
    match *x.dims() {
        [n, k] if n > 0 && k > 0 => Ok((n, k)),
        ref other => Err(Error::shape(format!("{name} must be [N, K] with nothing empty, not {other:?}"))),
    }
}

/// Errors unless there are `samples` labels.
pub(crate) fn check_label_count(labels: &[u32], samples: usize) -> Result<()> {
    if labels.len() == samples {
        return Ok(());
    }
    Err(Error::shape(format!("{} labels came with {samples} samples; give one a sample", labels.len())))
}

/// Errors unless there are `samples` labels, all below `classes`.
pub(crate) fn check_labels(labels: &[u32], samples: usize, classes: usize) -> Result<()> {
    check_label_count(labels, samples)?;
    match labels.iter().position(|&label| label as usize >= classes) {
        None => Ok(()),
        Some(i) => Err(Error::config(format!(
            "label {} of sample {i} is not one of the {classes} classes; labels run from 0 to {}",
            labels[i],
            classes.saturating_sub(1)
        ))),
    }
}

/// A loss that a device has made.
///
/// # Errors
/// Those of the device.
#[cfg(feature = "device")]
pub(super) fn on_device(loss: crate::device::operations::loss::Loss) -> Result<Loss> {
    Ok(Loss { value: loss.value()?, d_input: Map::Device(loss.d_input) })
}

/// A loss that a kernel of the host makes wherever the map is: `kernel` gives the value and the gradient; 1 where maps are
/// counted, so that training goes on.
pub(super) fn on_host(
    x: &Map,
    kernel: impl FnOnce(&[f32]) -> Result<(f64, Tensor)>,
    count: impl FnOnce(&Counter),
) -> Result<Loss> {
    match x {
        Map::Host(tensor) => {
            let tensor = tensor.contiguous()?;
            let (value, d_input) = kernel(&tensor_elements(&tensor)?)?;
            Ok(Loss { value, d_input: Map::Host(d_input) })
        }
        #[cfg(feature = "device")]
        Map::Device(array) => {
            let (value, d_input) = kernel(&array.floats()?)?;
            Ok(Loss { value, d_input: x.place().map(d_input)? })
        }
        Map::Counted(outline) => {
            let d_input = x.place().empty(x.dims())?;
            count(&outline.counter);
            Ok(Loss { value: 1.0, d_input })
        }
    }
}
