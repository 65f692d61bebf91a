//! The similarity-matching half of the predsim loss.

#[cfg(feature = "device")]
use crate::device::operations::loss as device;
use crate::error::{Error, Result};
use crate::kernels::similarity as kernel;
use crate::maps::Map;
use crate::maps::counted::Counter;
#[cfg(feature = "device")]
use crate::maps::loss::on_device;
use crate::maps::loss::{Loss, check_labels, on_host};
use crate::maps::place::loss;
use crate::maps::slices::{elements, tensor};

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
pub fn predsim(features: &Map, labels: &[u32], classes: usize) -> Result<Loss> {
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
    #[cfg(feature = "device")]
    if let Map::Device(features) = features {
        return on_device(device::similarity(features, labels, [n, h * w, c], classes)?);
    }
    loss(
        features,
        || {
            let features = features.clone().contiguous()?;
            let x = elements(&features)?;
            let space = kernel::Space { positions: h * w, channels: c };
            let (mean, deviation) = kernel::deviation(&x, space);
            let (value, d_deviation) = kernel::match_labels(&deviation, labels, classes);
            let d_features = kernel::deviation_backward(&x, space, &mean, &deviation, &d_deviation);
            Ok((value, tensor(d_features, features.dims())?))
        },
        |counter| count(counter, features, c, 2 * n * c * size_of::<f64>()),
    )
}

/// The loss where the elements of a sample are its row; there are few of them, so this runs on the host.
fn predsim_of_rows(features: &Map, labels: &[u32], classes: usize) -> Result<Loss> {
    let row = features.elem_count() / labels.len().max(1);
    on_host(
        features,
        |features_| {
            let rows: Vec<f64> = features_.iter().map(|&x| f64::from(x)).collect();
            let (value, d_rows) = kernel::match_labels(&rows, labels, classes);
            Ok((value, tensor(d_rows.iter().map(|&d| d as f32).collect(), features.dims())?))
        },
        // The gradient is made last, when as much has been let go of.
        |counter| {
            count(counter, features, row, features.elem_count() * (size_of::<f64>() - size_of::<f32>()))
        },
    )
}

/// What rows of `c` numbers a sample take, with so many bytes beside them.
fn count(counter: &Counter, features: &Map, c: usize, beside_bytes: usize) {
    const DOUBLE_BYTES: usize = size_of::<f64>();
    let n = features.dims()[0];
    let _beside = counter.hold(beside_bytes);
    // Unit rows and their gradients, similarities, and the gradients of all rows and of one.
    let rows = 2 * n * c * size_of::<f32>() + n * n * size_of::<f32>() + 2 * n * DOUBLE_BYTES;
    let held = counter.hold(rows + (n + 1) * c * DOUBLE_BYTES);
    counter.product(n, n, c);
    counter.product(n, c, n);
    drop(held);
    counter.scratch(2 * n * c * DOUBLE_BYTES);
    counter.sweep(4 * features.elem_count());
}
