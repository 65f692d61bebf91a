//! Softmax cross-entropy on rows of logits.

use crate::deal::all;

/// Rows that one task takes.
const ROWS: usize = 16;

/// Mean cross-entropy and its gradient. `logits` holds one row of at least one class for each label, and every
/// label is one of the classes. `class_weights` are one a class, or none where all are 1.
pub fn softmax_cross_entropy(
    logits: &[f32],
    labels: &[u32],
    label_smoothing: f64,
    class_weights: &[f32],
) -> (f64, Vec<f32>) {
    let (n, k) = (labels.len(), logits.len() / labels.len());
    let total = total_weight(labels, class_weights);
    let weights = Weights { of_classes: class_weights, sum: sum(class_weights), total };
    let mut d_logits = vec![0.0f32; n * k];
    let mut losses = vec![0.0f64; n];
    let tasks = d_logits.chunks_mut(ROWS * k).zip(losses.chunks_mut(ROWS));
    all(
        tasks.zip(logits.chunks(ROWS * k)).zip(labels.chunks(ROWS)),
        |(((d_logits, losses), logits), labels)| {
            let rows = d_logits.chunks_exact_mut(k).zip(logits.chunks_exact(k));
            for ((loss, &label), (d_row, row)) in losses.iter_mut().zip(labels).zip(rows) {
                *loss = match class_weights {
                    [] => row_loss(row, label as usize, label_smoothing, total, d_row),
                    _ => weighted_row_loss(row, label as usize, label_smoothing, &weights, d_row),
                };
            }
        },
    );
    (losses.iter().sum::<f64>() / total, d_logits)
}

/// The weights of all labels together: their number where every class has weight 1.
pub fn total_weight(labels: &[u32], class_weights: &[f32]) -> f64 {
    match class_weights {
        [] => labels.len() as f64,
        weights => labels.iter().map(|&label| f64::from(weights[label as usize])).sum(),
    }
}

fn sum(numbers: &[f32]) -> f64 {
    numbers.iter().map(|&number| f64::from(number)).sum()
}

struct Weights<'a> {
    of_classes: &'a [f32],
    sum: f64,
    /// What the sum over the rows is divided by.
    total: f64,
}

/// Loss of one row, (1-e)·w(y)·(-log p(y)) + e/K·Σ w(c)·(-log p(c)); writes its gradient divided by the total weight.
fn weighted_row_loss(
    row: &[f32],
    label: usize,
    smoothing: f64,
    weights: &Weights<'_>,
    d_row: &mut [f32],
) -> f64 {
    let max = row.iter().fold(f32::NEG_INFINITY, |m, &z| m.max(z));
    let exponential = row.iter().map(|&z| f64::from((z - max).exp()));
    let log_sum = exponential.sum::<f64>().ln() + f64::from(max);
    let own = (1.0 - smoothing) * f64::from(weights.of_classes[label]);
    let spread = smoothing / row.len() as f64;
    for ((d, &z), &weight) in d_row.iter_mut().zip(row).zip(weights.of_classes) {
        let share = (f64::from(z) - log_sum).exp();
        let wanted = spread * f64::from(weight);
        *d = ((share * (own + spread * weights.sum) - wanted) / weights.total) as f32;
    }
    d_row[label] -= (own / weights.total) as f32;
    let mut loss = own * (log_sum - f64::from(row[label]));
    if smoothing > 0.0 {
        // Only then: a class masked with -inf would make 0 · inf of it.
        let of_class = |(&z, &weight): (&f32, &f32)| f64::from(weight) * (log_sum - f64::from(z));
        loss += spread * row.iter().zip(weights.of_classes).map(of_class).sum::<f64>();
    }
    loss
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

/// Whether each row has its first maximum at its label; rows with a NaN have none.
pub fn hits<'a>(logits: &'a [f32], labels: &'a [u32]) -> impl Iterator<Item = bool> + 'a {
    let k = logits.len() / labels.len();
    let rows = logits.chunks_exact(k).zip(labels);
    rows.map(|(row, label)| first_maximum(row) == Some(*label as usize))
}

/// Where the first maximum of a row is; none where it holds a NaN.
pub(super) fn first_maximum(row: &[f32]) -> Option<usize> {
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
