//! What every loss returns, and the checks of labels that losses share.

use crate::error::{Error, Result};
use candle_core::{Device, Tensor};

/// The value of a loss and its gradient, made in one call.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The loss, averaged as the function that made it says.
    pub value: f64,
    /// Gradient of `value` with respect to the input: of the input's shape, on its device.
    pub d_input: Tensor,
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
pub(crate) fn matrix_extents(name: &str, x: &Tensor) -> Result<(usize, usize)> {
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

/// The same tensor on the CPU and contiguous; neither copies where it already is.
pub(crate) fn on_cpu(x: &Tensor) -> Result<Tensor> {
    Ok(x.to_device(&Device::Cpu)?.contiguous()?)
}
