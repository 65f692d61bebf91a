//! Batch normalization over rows of channels: moments, the normalization and its gradient.

use super::pieces::{LANES, PIECE, STRIP, add_in_order, groups, rows_per_piece};
use crate::ops::activation::Activation;
use rayon::prelude::*;

/// Mean and biased variance of each channel of `x: [rows, channels]`.
///
/// Deviations from the strip's first row are summed in f32, at most 32 of them; all else is f64 and relative to
/// the first row of `x`, so a mean that is large beside the deviation costs no digits.
pub fn moments(x: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = x.len() / channels;
    let piece = rows_per_piece(rows, channels) * channels;
    let mut partials = vec![0.0; x.len().div_ceil(piece) * 2 * channels];
    partials.par_chunks_mut(2 * channels).zip(x.par_chunks(piece)).for_each(|(sums, strips)| {
        for strip in strips.chunks(STRIP * channels) {
            for (first, size) in groups(channels) {
                match size {
                    LANES => moments_of_strip::<LANES>(strip, x, channels, first, sums),
                    _ => moments_of_strip::<1>(strip, x, channels, first, sums),
                }
            }
        }
    });
    let sums = add_in_order(&partials, 2 * channels);
    let (sums, squares) = sums.split_at(channels);
    let mean = |c: usize| sums[c] / rows as f64;
    (0..channels)
        .map(|c| {
            let variance = (squares[c] / rows as f64 - mean(c) * mean(c)).max(0.0);
            ((f64::from(x[c]) + mean(c)) as f32, variance as f32)
        })
        .unzip()
}

/// Adds the sums and the sums of squares of `strip - origin`, in the channels `first .. first + L`, to `sums`:
/// all the sums, then all the squares.
fn moments_of_strip<const L: usize>(
    strip: &[f32],
    origin: &[f32],
    channels: usize,
    first: usize,
    sums: &mut [f64],
) {
    let mut shift = [0f32; L];
    shift.copy_from_slice(&strip[first..first + L]);
    let (mut sum, mut square) = ([0f32; L], [0f32; L]);
    for row in strip.chunks_exact(channels) {
        let row = &row[first..first + L];
        for i in 0..L {
            let deviation = row[i] - shift[i];
            sum[i] += deviation;
            square[i] += deviation * deviation;
        }
    }
    let rows = (strip.len() / channels) as f64;
    for i in 0..L {
        let shift = f64::from(shift[i]) - f64::from(origin[first + i]);
        let (sum, square) = (f64::from(sum[i]), f64::from(square[i]));
        sums[first + i] += rows * shift + sum;
        sums[channels + first + i] += square + 2.0 * shift * sum + rows * shift * shift;
    }
}

/// What batch normalization does to a channel: (x - mean) · scale + bias.
pub struct Normalization<'a> {
    mean: &'a [f32],
    bias: &'a [f32],
    /// 1 / sqrt(variance + epsilon)
    inverse: Vec<f32>,
    /// weight / sqrt(variance + epsilon)
    scale: Vec<f32>,
}

impl<'a> Normalization<'a> {
    /// From statistics and parameters, one a channel each.
    pub fn new(mean: &'a [f32], variance: &[f32], weight: &[f32], bias: &'a [f32], epsilon: f64) -> Self {
        let inverse = |v: f32| 1.0 / (f64::from(v) + epsilon).sqrt();
        Self {
            mean,
            bias,
            inverse: variance.iter().map(|&v| inverse(v) as f32).collect(),
            scale: variance.iter().zip(weight).map(|(&v, &w)| (f64::from(w) * inverse(v)) as f32).collect(),
        }
    }

    fn channels(&self) -> usize {
        self.mean.len()
    }
}

/// `activation((x - mean) · scale + bias)`.
pub fn forward(x: &[f32], by: &Normalization<'_>, activation: Option<Activation>) -> Vec<f32> {
    let channels = by.channels();
    let piece = elementwise_piece(channels);
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(piece).zip(x.par_chunks(piece)).for_each(|(y, x)| match activation {
        None => normalize(y, x, by, |v| v),
        Some(Activation::Relu) => normalize(y, x, by, |v| Activation::Relu.apply(v)),
        Some(activation) => normalize(y, x, by, |v| activation.apply(v)),
    });
    y
}

#[inline(always)]
fn normalize(y: &mut [f32], x: &[f32], by: &Normalization<'_>, activation: impl Fn(f32) -> f32) {
    let channels = by.channels();
    let (mean, scale, bias) = (&by.mean[..channels], &by.scale[..channels], &by.bias[..channels]);
    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        for c in 0..channels {
            y[c] = activation((x[c] - mean[c]) * scale[c] + bias[c]);
        }
    }
}

/// The sums over rows that every gradient needs.
pub struct Sums {
    /// Of the gradient of the pre-activation: the gradient of the bias.
    pub gradient: Vec<f64>,
    /// Of that gradient times the normalized input: the gradient of the weight.
    pub gradient_times_normalized: Vec<f64>,
}

/// Turns `d`, the gradient of the output, into that of the pre-activation, in place, and sums it.
pub fn sums(d: &mut [f32], x: &[f32], by: &Normalization<'_>, activation: Option<Activation>) -> Sums {
    let channels = by.channels();
    let piece = rows_per_piece(x.len() / channels, channels) * channels;
    let mut partials = vec![0.0; x.len().div_ceil(piece) * 2 * channels];
    let pieces = d.par_chunks_mut(piece).zip(x.par_chunks(piece));
    partials.par_chunks_mut(2 * channels).zip(pieces).for_each(|(sums, (d, x))| {
        let strip = STRIP * channels;
        for (d, x) in d.chunks_mut(strip).zip(x.chunks(strip)) {
            match activation {
                None => {}
                Some(Activation::Relu) => mask(d, x, by, |v| Activation::Relu.derivative(v)),
                Some(activation) => mask(d, x, by, |v| activation.derivative(v)),
            }
            for (first, size) in groups(channels) {
                match size {
                    LANES => sums_of_strip::<LANES>(d, x, by, first, sums),
                    _ => sums_of_strip::<1>(d, x, by, first, sums),
                }
            }
        }
    });
    let mut gradient = add_in_order(&partials, 2 * channels);
    let mut gradient_times_normalized = gradient.split_off(channels);
    for (sum, &inverse) in gradient_times_normalized.iter_mut().zip(&by.inverse) {
        *sum *= f64::from(inverse);
    }
    Sums { gradient, gradient_times_normalized }
}

#[inline(always)]
fn mask(d: &mut [f32], x: &[f32], by: &Normalization<'_>, derivative: impl Fn(f32) -> f32) {
    let channels = by.channels();
    let (mean, scale, bias) = (&by.mean[..channels], &by.scale[..channels], &by.bias[..channels]);
    for (d, x) in d.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        for c in 0..channels {
            d[c] *= derivative((x[c] - mean[c]) * scale[c] + bias[c]);
        }
    }
}

/// Adds the sums of `d` and of `d · (x - mean)`, in the channels `first .. first + L`, to `sums`.
fn sums_of_strip<const L: usize>(
    d: &[f32],
    x: &[f32],
    by: &Normalization<'_>,
    first: usize,
    sums: &mut [f64],
) {
    let channels = by.channels();
    let mut mean = [0f32; L];
    mean.copy_from_slice(&by.mean[first..first + L]);
    let (mut sum, mut product) = ([0f32; L], [0f32; L]);
    for (d, x) in d.chunks_exact(channels).zip(x.chunks_exact(channels)) {
        let (d, x) = (&d[first..first + L], &x[first..first + L]);
        for i in 0..L {
            sum[i] += d[i];
            product[i] += d[i] * (x[i] - mean[i]);
        }
    }
    for i in 0..L {
        sums[first + i] += f64::from(sum[i]);
        sums[channels + first + i] += f64::from(product[i]);
    }
}

/// Turns `d`, the gradient of the pre-activation, into that of `x`, in place. The statistics are those of the
/// batch where `sums` are given, and constants elsewhere.
pub fn d_input(d: &mut [f32], x: &[f32], by: &Normalization<'_>, sums: Option<&Sums>) {
    let channels = by.channels();
    let piece = elementwise_piece(channels);
    let scale = &by.scale[..channels];
    let Some(sums) = sums else {
        d.par_chunks_mut(piece).for_each(|d| {
            for d in d.chunks_exact_mut(channels) {
                d.iter_mut().zip(scale).for_each(|(d, &scale)| *d *= scale);
            }
        });
        return;
    };
    // d_x = scale · (d - mean(d) - normalized · mean(d · normalized))
    let rows = (x.len() / channels) as f64;
    let centre: Vec<f32> = sums.gradient.iter().map(|sum| (sum / rows) as f32).collect();
    let products = sums.gradient_times_normalized.iter().zip(&by.inverse);
    let slope: Vec<f32> = products.map(|(sum, &inverse)| (sum / rows * f64::from(inverse)) as f32).collect();
    d.par_chunks_mut(piece).zip(x.par_chunks(piece)).for_each(|(d, x)| {
        let (mean, centre, slope) = (&by.mean[..channels], &centre[..channels], &slope[..channels]);
        for (d, x) in d.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
            for c in 0..channels {
                d[c] = (d[c] - centre[c] - (x[c] - mean[c]) * slope[c]) * scale[c];
            }
        }
    });
}

/// Whole rows of about one piece.
fn elementwise_piece(channels: usize) -> usize {
    PIECE.div_ceil(channels) * channels
}
