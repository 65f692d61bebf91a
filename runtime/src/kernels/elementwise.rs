//! Elementwise kernels and plain sums.

use super::pieces::{LANES, PIECE, STRIP, add_in_order, groups, rows_per_piece};
use crate::ops::activation::Activation;
use rayon::prelude::*;

/// `activation(x)`.
pub fn activate(x: &[f32], activation: Activation) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(PIECE).zip(x.par_chunks(PIECE)).for_each(|(y, x)| {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = activation.apply(x);
        }
    });
    y
}

/// Turns the gradient of `activation(x)` into the gradient of `x`.
pub fn activate_backward(d: &mut [f32], x: &[f32], activation: Activation) {
    update(d, x, |d, x| d * activation.derivative(x));
}

/// `a = activation(a + b)`.
pub fn add_activate(a: &mut [f32], b: &[f32], activation: Option<Activation>) {
    match activation {
        None => update(a, b, |a, b| a + b),
        Some(activation) => update(a, b, |a, b| activation.apply(a + b)),
    }
}

/// `a = a + factor · b`.
pub fn add_scaled(a: &mut [f32], b: &[f32], factor: f32) {
    update(a, b, |a, b| a + factor * b);
}

/// `x = factor · x`.
pub fn scale(x: &mut [f32], factor: f32) {
    x.par_chunks_mut(PIECE).for_each(|x| x.iter_mut().for_each(|v| *v *= factor));
}

/// `a = f(a, b)`, element by element.
pub fn update(a: &mut [f32], b: &[f32], f: impl Fn(f32, f32) -> f32 + Sync) {
    a.par_chunks_mut(PIECE).zip(b.par_chunks(PIECE)).for_each(|(a, b)| {
        for (a, &b) in a.iter_mut().zip(b) {
            *a = f(*a, b);
        }
    });
}

/// The sum over rows of `x: [rows, channels]`.
pub fn sum_rows(x: &[f32], channels: usize) -> Vec<f32> {
    let piece = rows_per_piece(x.len() / channels, channels) * channels;
    let mut partials = vec![0.0; x.len().div_ceil(piece) * channels];
    partials.par_chunks_mut(channels).zip(x.par_chunks(piece)).for_each(|(sums, x)| {
        for strip in x.chunks(STRIP * channels) {
            for (first, size) in groups(channels) {
                match size {
                    LANES => sum_strip::<LANES>(strip, channels, first, sums),
                    _ => sum_strip::<1>(strip, channels, first, sums),
                }
            }
        }
    });
    add_in_order(&partials, channels).into_iter().map(|sum| sum as f32).collect()
}

/// Adds the columns `first .. first + L` of a few rows to `sums`.
fn sum_strip<const L: usize>(strip: &[f32], channels: usize, first: usize, sums: &mut [f64]) {
    let mut partial = [0f32; L];
    for row in strip.chunks_exact(channels) {
        let row = &row[first..first + L];
        for i in 0..L {
            partial[i] += row[i];
        }
    }
    for (sum, part) in sums[first..first + L].iter_mut().zip(partial) {
        *sum += f64::from(part);
    }
}

/// The sum of `a · b`, in f64 and in a fixed order.
pub fn sum_of_products(a: &[f32], b: &[f32]) -> f64 {
    let partials: Vec<f64> = a.par_chunks(PIECE).zip(b.par_chunks(PIECE)).map(|(a, b)| dot(a, b)).collect();
    partials.iter().sum()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0f64; LANES];
    let (whole_a, rest_a) = a.as_chunks::<LANES>();
    let (whole_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in whole_a.iter().zip(whole_b) {
        for i in 0..LANES {
            lanes[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    for (i, (&a, &b)) in rest_a.iter().zip(rest_b).enumerate() {
        lanes[i] += f64::from(a) * f64::from(b);
    }
    lanes.iter().sum()
}
