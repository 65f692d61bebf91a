//! Softmax cross-entropy on rows of logits.

use rayon::prelude::*;

/// Rows that one task takes.
const ROWS: usize = 16;

/// Mean cross-entropy and its gradient. `logits` holds one row of at least one class for each label, and every
/// label is one of the classes.
pub fn softmax_cross_entropy(logits: &[f32], labels: &[u32], label_smoothing: f64) -> (f64, Vec<f32>) {
    let (n, k) = (labels.len(), logits.len() / labels.len());
    let mut d_logits = vec![0.0f32; n * k];
    let mut losses = vec![0.0f64; n];
    let tasks = d_logits.par_chunks_mut(ROWS * k).zip(losses.par_chunks_mut(ROWS));
    tasks.zip(logits.par_chunks(ROWS * k)).zip(labels.par_chunks(ROWS)).for_each(
        |(((d_logits, losses), logits), labels)| {
            let rows = d_logits.chunks_exact_mut(k).zip(logits.chunks_exact(k));
            for ((loss, &label), (d_row, row)) in losses.iter_mut().zip(labels).zip(rows) {
                *loss = row_loss(row, label as usize, label_smoothing, n as f64, d_row);
            }
        },
    );
    (losses.iter().sum::<f64>() / n as f64, d_logits)
}

/// Loss of one row; writes its gradient divided by `n`.
fn row_loss(row: &[f32], label: usize, smoothing: f64, n: f64, d_row: &mut [f32]) -> f64 {
    let max = row.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z));
    let mut sum = 0.0f64;
    for (d, &z) in d_row.iter_mut().zip(row) {
        *d = (z - max).exp();
        sum += f64::from(*d);
    }
    let log_sum = sum.ln() + f64::from(max);
    let spread = smoothing / row.len() as f64;
    let (scale, shift) = ((1.0 / (sum * n)) as f32, (spread / n) as f32);
    for d in d_row.iter_mut() {
        *d = *d * scale - shift;
    }
    d_row[label] -= ((1.0 - smoothing) / n) as f32;
    let mut loss = (1.0 - smoothing) * (log_sum - f64::from(row[label]));
    if smoothing > 0.0 {
        // Only then: a class masked with -inf would make 0 · inf of it.
        loss += spread * row.iter().map(|&z| log_sum - f64::from(z)).sum::<f64>();
    }
    loss
}

/// How many rows have their first maximum at their label; rows with a NaN have none.
pub fn correct(logits: &[f32], labels: &[u32]) -> usize {
    let k = logits.len() / labels.len();
    let rows = logits.chunks_exact(k).zip(labels);
    rows.filter(|(row, label)| first_maximum(row) == Some(**label as usize)).count()
}

fn first_maximum(row: &[f32]) -> Option<usize> {
    let mut best = 0;
    for (i, z) in row.iter().enumerate() {
        if z.is_nan() {
            return None;
        }
        if *z > row[best] {
            best = i;
        }
    }
    Some(best)
}
