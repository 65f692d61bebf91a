//! Binary cross-entropy with logits: loss and gradient in one pass.

use rayon::prelude::*;

/// Elements that one task takes; also the pieces whose sums are added in order.
const CHUNK: usize = 8192;

/// Mean loss and its gradient with respect to the logits. Both slices are of one length, not 0.
pub fn sigmoid_binary_cross_entropy(logits: &[f32], targets: &[f32]) -> (f64, Vec<f32>) {
    let count = logits.len();
    let scale = (1.0 / count as f64) as f32;
    let mut d_logits = vec![0.0f32; count];
    let sums: Vec<f64> = d_logits
        .par_chunks_mut(CHUNK)
        .zip(logits.par_chunks(CHUNK).zip(targets.par_chunks(CHUNK)))
        .map(|(d_logits, (logits, targets))| {
            let mut sum = 0.0f64;
            for (d, (&z, &t)) in d_logits.iter_mut().zip(logits.iter().zip(targets)) {
                let e = (-z.abs()).exp();
                let sigmoid = if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
                *d = (sigmoid - t) * scale;
                // Not f32::max, which would hide a NaN.
                let positive = if z < 0.0 { 0.0 } else { z };
                sum += f64::from(positive - z * t + e.ln_1p());
            }
            sum
        })
        .collect();
    (sums.iter().sum::<f64>() / count as f64, d_logits)
}
