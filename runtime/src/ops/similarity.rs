//! The similarity-matching half of the predsim loss.

use crate::composed;
use crate::error::{Error, Result};
use crate::kernels::similarity as kernel;
use crate::ops::loss::{Loss, check_labels};
use crate::ops::place::{Place, place};
use crate::ops::slices::{elements, tensor};
use candle_core::{Device, Tensor};

/// Mean squared error between the similarities of samples by features and by labels (Nøkland and Eidnes 2019,
/// "Training neural networks with local error signals"), and its gradient.
///
/// A sample's row is the unbiased standard deviation over space of each channel; for labels, the one-hot row.
/// Where there are three channels or fewer, or one row of positions, all elements are a sample's row, as
/// in the released code. Each row loses its mean and is divided by 1e-8 + its L2 norm; similarities are the inner products of all pairs of
/// rows, clamped to [-1, 1]. A channel of deviation 0 gets gradient 0.
///
/// # Shapes
/// `features`: `[N, H, W, C]`, one label a sample; the gradient is `[N, H, W, C]`.
///
/// # Errors
/// A label that is `classes` or more, or shapes that do not fit.
pub fn predsim(features: &Tensor, labels: &[u32], classes: usize) -> Result<Loss> {
    let (n, h, w, c) = match *features.dims() {
        [n, h, w, c] if n * h * w * c > 0 => (n, h, w, c),
        ref other => {
            return Err(Error::shape(format!("features must be [N, H, W, C], nothing empty, not {other:?}")));
        }
    };
    check_labels(labels, n, classes)?;
    if c <= 3 || h == 1 {
        return predsim_of_rows(features, labels, classes);
    }
    match place(features.device())? {
        Place::Kernels => {
            let features = features.contiguous()?;
            let x = elements(&features)?;
            let space = kernel::Space { positions: h * w, channels: c };
            let (mean, deviation) = kernel::deviation(&x, space);
            let (value, d_deviation) = kernel::match_labels(&deviation, labels, classes);
            let d_features = kernel::deviation_backward(&x, space, &mean, &deviation, &d_deviation);
            Ok(Loss { value, d_input: tensor(d_features, features.shape())? })
        }
        Place::Composed => composed::similarity::predsim(features, labels, classes),
    }
}

/// The loss where the elements of a sample are its row; there are few of them, so this runs on the CPU.
fn predsim_of_rows(features: &Tensor, labels: &[u32], classes: usize) -> Result<Loss> {
    let on_cpu = features.to_device(&Device::Cpu)?.contiguous()?;
    let rows: Vec<f64> = elements(&on_cpu)?.iter().map(|&x| f64::from(x)).collect();
    let (value, d_rows) = kernel::match_labels(&rows, labels, classes);
    let d_input = tensor(d_rows.iter().map(|&d| d as f32).collect(), features.shape())?;
    Ok(Loss { value, d_input: d_input.to_device(features.device())? })
}
