//! Supervised contrastive loss on rows of features.

use crate::deal::{all, made_of};
use crate::kernels::product::{Matrix, add_product, gram};

/// The smallest norm that a row is divided by.
const EPSILON: f64 = 1e-12;
/// Anchors that one task takes.
const ROWS: usize = 16;

/// Mean loss over anchors that have a positive, and its gradient with respect to the features. There is one label
/// for each row of `features`, and at least one row.
pub fn supervised_contrastive(features: &[f32], labels: &[u32], temperature: f64) -> (f64, Vec<f32>) {
    let (n, d) = (labels.len(), features.len() / labels.len());
    let positives = positives_of_each(labels);
    let anchors = positives.iter().filter(|&&count| count > 0).count();
    if anchors == 0 {
        return (0.0, vec![0.0; n * d]);
    }
    let norms: Vec<f64> = made_of(features.chunks(d), norm);
    let mut rows = vec![0.0f32; n * d];
    all(rows.chunks_mut(d).zip(features.chunks(d)).zip(&norms), |((row, x), &norm)| {
        for (z, &x) in row.iter_mut().zip(x) {
            *z = (f64::from(x) / norm.max(EPSILON)) as f32;
        }
    });

    // The similarities become their own gradients, row by row.
    let mut similarity = gram(&rows, d);
    let mut losses = vec![0.0f64; n];
    all(
        similarity.chunks_mut(ROWS * n).zip(losses.chunks_mut(ROWS)).enumerate(),
        |(task, (similarity, losses))| {
            for (i, (row, loss)) in similarity.chunks_exact_mut(n).zip(losses).enumerate() {
                let i = task * ROWS + i;
                *loss = anchor_loss(row, i, labels, positives[i], temperature, anchors as f64);
            }
        },
    );
    let value = losses.iter().sum::<f64>() / anchors as f64;

    // Each similarity is a product of two rows, and both take a share of its gradient.
    let mut d_rows = vec![0.0f32; n * d];
    let d_similarity = Matrix::new(&similarity, n);
    add_product(&mut d_rows, d_similarity, Matrix::new(&rows, d));
    add_product(&mut d_rows, d_similarity.transposed(), Matrix::new(&rows, d));
    all(d_rows.chunks_mut(d).zip(rows.chunks(d)).zip(&norms), |((d_row, row), &norm)| {
        normalize_backward(d_row, row, norm);
    });
    (value, d_rows)
}

/// Loss of anchor `i`; `row`, its similarities, becomes their gradient divided by the number of anchors.
fn anchor_loss(
    row: &mut [f32],
    i: usize,
    labels: &[u32],
    positives: usize,
    temperature: f64,
    anchors: f64,
) -> f64 {
    if positives == 0 {
        row.fill(0.0);
        return 0.0;
    }
    let positives = positives as f64;
    let (mut max, mut positive_sum) = (f32::NEG_INFINITY, 0.0f64);
    for (j, &s) in row.iter().enumerate().filter(|(j, _)| *j != i) {
        max = max.max(s);
        if labels[j] == labels[i] {
            positive_sum += f64::from(s);
        }
    }
    row[i] = f32::NEG_INFINITY;
    let (sharpness, mut sum) = ((1.0 / temperature) as f32, 0.0f64);
    for s in row.iter_mut() {
        *s = ((*s - max) * sharpness).exp();
        sum += f64::from(*s);
    }
    let scale = 1.0 / (temperature * anchors);
    let (share, wanted) = ((scale / sum) as f32, (scale / positives) as f32);
    for (j, s) in row.iter_mut().enumerate() {
        *s = *s * share - if labels[j] == labels[i] && j != i { wanted } else { 0.0 };
    }
    sum.ln() + (f64::from(max) - positive_sum / positives) / temperature
}

/// How many other samples share each sample's label.
fn positives_of_each(labels: &[u32]) -> Vec<usize> {
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    let count = |label| sorted.partition_point(|&l| l <= label) - sorted.partition_point(|&l| l < label);
    labels.iter().map(|&label| count(label) - 1).collect()
}

fn norm(x: &[f32]) -> f64 {
    x.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// Turns the gradient of z = x / max(norm, epsilon) into that of x.
fn normalize_backward(d_z: &mut [f32], z: &[f32], norm: f64) {
    let radial = match norm > EPSILON {
        true => d_z.iter().zip(z).map(|(&d, &z)| f64::from(d) * f64::from(z)).sum(),
        false => 0.0,
    };
    for (d, &z) in d_z.iter_mut().zip(z) {
        *d = ((f64::from(*d) - radial * f64::from(z)) / norm.max(EPSILON)) as f32;
    }
}
