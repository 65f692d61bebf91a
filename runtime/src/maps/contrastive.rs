//! Supervised contrastive loss.
//!
//! Features are small (`[N, D]`) beside the activations they come from, so every device runs the host's kernel.

use crate::error::{Error, Result};
use crate::kernels::contrastive as kernel;
use crate::maps::Map;
use crate::maps::loss::{Loss, check_label_count, matrix_extents, on_host};
use crate::maps::slices::tensor;

/// The temperature of InfoPro's released code.
pub const DEFAULT_TEMPERATURE: f64 = 0.07;

/// Supervised contrastive loss of one view a sample (Khosla et al. 2020, L_out), and its gradient.
///
/// Rows are divided by max(L2 norm, 1e-12); s is the matrix of their inner products. An anchor i with positives P
/// (the other samples of its label) costs -1/|P| · Σ_{p in P} [s_ip/t - ln Σ_{a≠i} exp(s_ia/t)]. The value is
/// the mean over anchors that have a positive; it and the gradient are 0 if none has.
///
/// # Shapes
/// `features`: `[N, D]`, not normalised; one label a row; the gradient is `[N, D]`.
///
/// # Errors
/// A temperature that is not a positive number, or shapes that do not fit.
pub fn supervised_contrastive(features: &Map, labels: &[u32], temperature: f64) -> Result<Loss> {
    let (n, d) = matrix_extents("features", features)?;
    check_label_count(labels, n)?;
    if !(temperature > 0.0 && temperature.is_finite()) {
        return Err(Error::config(format!(
            "temperature is {temperature}; give a positive number, such as 0.07"
        )));
    }
    on_host(
        features,
        |features| {
            let (value, d_features) = kernel::supervised_contrastive(features, labels, temperature);
            Ok((value, tensor(d_features, (n, d))?))
        },
        |counter| {
            // Unit rows, similarities, norms, losses, positives of each, and what the products take beside them.
            let kept = (n * d + n * n) * size_of::<f32>() + 4 * n * size_of::<f64>();
            counter.scratch(kept + counter.product_bytes(n, n, d).max(counter.product_bytes(n, d, n)));
            counter.product(n, n, d);
            counter.product(n, d, n);
        },
    )
}
