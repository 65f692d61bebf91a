//! Similarity matching: deviations over space, and the loss between two matrices of similarities.

use crate::deal::{all, made_of};
use crate::kernels::product::{Matrix, add_product, gram};

/// What is added to a row's norm before dividing by it.
const EPSILON: f64 = 1e-8;

/// How a sample's elements lie: `positions` times `channels`, channels last.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// H·W.
    pub positions: usize,
    /// C.
    pub channels: usize,
}

/// Mean and unbiased standard deviation over space of every sample's channels, each `[N, C]`.
pub fn deviation(x: &[f32], space: Space) -> (Vec<f64>, Vec<f64>) {
    let c = space.channels;
    let n = x.len() / (space.positions * c);
    let (mut mean, mut deviation) = (vec![0.0f64; n * c], vec![0.0f64; n * c]);
    let rows = mean.chunks_mut(c).zip(deviation.chunks_mut(c));
    all(rows.zip(x.chunks(space.positions * c)), |((mean, deviation), x)| {
        for pixel in x.chunks_exact(c) {
            for (m, &x) in mean.iter_mut().zip(pixel) {
                *m += f64::from(x);
            }
        }
        for m in mean.iter_mut() {
            *m /= space.positions as f64;
        }
        for pixel in x.chunks_exact(c) {
            for ((v, m), &x) in deviation.iter_mut().zip(mean.iter()).zip(pixel) {
                let centred = f64::from(x) - m;
                *v += centred * centred;
            }
        }
        for v in deviation.iter_mut() {
            *v = (*v / (space.positions - 1) as f64).sqrt();
        }
    });
    (mean, deviation)
}

/// Gradient with respect to `x` of whatever has gradient `d_deviation` with respect to the deviations.
pub fn deviation_backward(
    x: &[f32],
    space: Space,
    mean: &[f64],
    deviation: &[f64],
    d_deviation: &[f64],
) -> Vec<f32> {
    let c = space.channels;
    let factor = deviation_factor(space.positions, deviation, d_deviation);
    let mut d_x = vec![0.0f32; x.len()];
    let samples = d_x.chunks_mut(space.positions * c).zip(x.chunks(space.positions * c));
    all(samples.zip(mean.chunks(c).zip(factor.chunks(c))), |((d_x, x), (mean, factor))| {
        for (d_pixel, pixel) in d_x.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
            for ((d, &x), (m, f)) in d_pixel.iter_mut().zip(pixel).zip(mean.iter().zip(factor)) {
                *d = ((f64::from(x) - m) * f) as f32;
            }
        }
    });
    d_x
}

/// What x - mean is multiplied by to give its gradient: d_deviation / ((positions - 1)·deviation), or 0 where the
/// deviation is 0.
pub fn deviation_factor(positions: usize, deviation: &[f64], d_deviation: &[f64]) -> Vec<f64> {
    let degrees = (positions - 1) as f64;
    let factor = |(&s, d): (&f64, &f64)| if s == 0.0 { 0.0 } else { d / (degrees * s) };
    deviation.iter().zip(d_deviation).map(factor).collect()
}

/// Mean squared error between the similarities of `features` `[N, C]` and those of one-hot `labels`, and its
/// gradient with respect to `features`.
pub fn match_labels(features: &[f64], labels: &[u32], classes: usize) -> (f64, Vec<f64>) {
    let (n, c) = (labels.len(), features.len() / labels.len());
    let (same, different) = label_similarities(classes);
    let mut rows = vec![0.0f32; n * c];
    let mut norms = vec![0.0f64; n];
    for ((row, x), norm) in rows.chunks_exact_mut(c).zip(features.chunks_exact(c)).zip(&mut norms) {
        let mean = x.iter().sum::<f64>() / c as f64;
        *norm = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>().sqrt();
        for (v, x) in row.iter_mut().zip(x) {
            *v = ((x - mean) / (EPSILON + *norm)) as f32;
        }
    }

    // The similarities become their own gradients; that matrix is symmetric, hence the factor 4 and not 2.
    let mut similarity = gram(&rows, c);
    let factor = 4.0 / (n as f64 * n as f64);
    let losses: Vec<f64> = made_of(similarity.chunks_mut(n).zip(labels), |(row, label)| {
        let mut loss = 0.0;
        for (s, other) in row.iter_mut().zip(labels) {
            let clamped = f64::from(s.clamp(-1.0, 1.0));
            let error = clamped - if other == label { same } else { different };
            loss += error * error;
            *s = if (-1.0..=1.0).contains(s) { (error * factor) as f32 } else { 0.0 };
        }
        loss
    });

    let mut d_rows = vec![0.0f32; n * c];
    add_product(&mut d_rows, Matrix::new(&similarity, n), Matrix::new(&rows, c));
    let d_rows = d_rows.chunks_exact(c).zip(rows.chunks_exact(c)).zip(&norms);
    let mut d_features = Vec::with_capacity(n * c);
    d_rows.for_each(|((d_row, row), &norm)| d_features.extend(centre_backward(d_row, row, norm)));
    (losses.iter().sum::<f64>() / (n as f64 * n as f64), d_features)
}

/// Gradient of one row before it was centred and divided by epsilon + `norm`, from that of the result `v`.
fn centre_backward(d_v: &[f32], v: &[f32], norm: f64) -> Vec<f64> {
    let inner: f64 = d_v.iter().zip(v).map(|(&d, &v)| f64::from(d) * f64::from(v)).sum();
    // v = u / (epsilon + |u|), so that u / |u| is v·(epsilon + |u|) / |u|; at u = 0 the norm's gradient is 0.
    let radial = if norm > 0.0 { inner * (EPSILON + norm) / norm } else { 0.0 };
    let d_u = |(&d, &v): (&f32, &f32)| (f64::from(d) - radial * f64::from(v)) / (EPSILON + norm);
    let mut d_u: Vec<f64> = d_v.iter().zip(v).map(d_u).collect();
    let mean = d_u.iter().sum::<f64>() / d_u.len() as f64;
    d_u.iter_mut().for_each(|d| *d -= mean);
    d_u
}

/// Similarity of two samples of the same class, and of two samples of different classes: one-hot rows have no others.
pub(crate) fn label_similarities(classes: usize) -> (f64, f64) {
    let mean = 1.0 / classes as f64;
    let divisor = EPSILON + (1.0 - mean).sqrt();
    ((1.0 - mean) / (divisor * divisor), -mean / (divisor * divisor))
}
