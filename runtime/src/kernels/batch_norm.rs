//! Batch normalization over rows of channels: moments, the normalization and its gradient.

use super::pieces::{AT_ONCE, PIECE, STRIP, add_in_order, add_strip, rows_of, rows_per_piece};
use crate::ops::activation::Activation;
use rayon::prelude::*;

/// Mean and biased variance of each channel of `x: [rows, channels]`.
///
/// Deviations from the strip's first row are summed in f32, at most 32 of them; all else is f64 and
/// relative to the first row of `x`, so a mean that is large beside the deviation costs no digits.
pub fn moments(x: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = x.len() / channels;
    let piece = rows_per_piece(rows, channels) * channels;
    let mut partials = vec![0.0; x.len().div_ceil(piece) * 2 * channels];
    partials.par_chunks_mut(2 * channels).zip(x.par_chunks(piece)).for_each(|(totals, strips)| {
        let mut sums = Pair::zeros(channels);
        for strip in strips.chunks(STRIP * channels) {
            sums.clear();
            let shift = &strip[..channels];
            let fours = strip.chunks_exact(AT_ONCE * channels);
            let rest = fours.remainder();
            fours.for_each(|rows| add_moments::<AT_ONCE>(&mut sums.first, &mut sums.second, rows, shift));
            rest.chunks_exact(channels)
                .for_each(|row| add_moments::<1>(&mut sums.first, &mut sums.second, row, shift));
            add_shifted(totals, &sums, (strip.len() / channels) as f64, shift, x);
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

/// Two f32 accumulators a channel.
struct Pair {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Pair {
    fn zeros(channels: usize) -> Self {
        Self { first: vec![0.0; channels], second: vec![0.0; channels] }
    }

    fn clear(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
    }
}

/// Adds `rows - shift` and its squares to the sums.
fn add_moments<const R: usize>(sums: &mut [f32], squares: &mut [f32], rows: &[f32], shift: &[f32]) {
    let channels = shift.len();
    let rows = rows_of::<R>(rows, channels);
    let (sums, squares) = (&mut sums[..channels], &mut squares[..channels]);
    for c in 0..channels {
        let deviations = rows.map(|row| row[c] - shift[c]);
        sums[c] += deviations.iter().sum::<f32>();
        squares[c] += deviations.iter().map(|d| d * d).sum::<f32>();
    }
}

/// Adds the sums of a strip, relative to its shift, to the totals (all sums, then all squares), relative to
/// the origin.
fn add_shifted(totals: &mut [f64], strip: &Pair, rows: f64, shift: &[f32], origin: &[f32]) {
    let (sums, squares) = totals.split_at_mut(shift.len());
    for c in 0..shift.len() {
        let shift = f64::from(shift[c]) - f64::from(origin[c]);
        let (sum, square) = (f64::from(strip.first[c]), f64::from(strip.second[c]));
        sums[c] += rows * shift + sum;
        squares[c] += square + 2.0 * shift * sum + rows * shift * shift;
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
        Some(Activation::Relu6) => normalize(y, x, by, |v| Activation::Relu6.apply(v)),
        Some(Activation::Silu) => normalize(y, x, by, |v| Activation::Silu.apply(v)),
        Some(Activation::Sigmoid) => normalize(y, x, by, |v| Activation::Sigmoid.apply(v)),
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
    partials.par_chunks_mut(2 * channels).zip(pieces).for_each(|(totals, (d, x))| {
        let mut sums = Pair::zeros(channels);
        let (strip, at_once) = (STRIP * channels, AT_ONCE * channels);
        for (d, x) in d.chunks_mut(strip).zip(x.chunks(strip)) {
            to_pre_activation(d, x, by, activation);
            sums.clear();
            let fours = d.chunks_exact(at_once).zip(x.chunks_exact(at_once));
            fours
                .for_each(|(d, x)| add_products::<AT_ONCE>(&mut sums.first, &mut sums.second, d, x, by.mean));
            let rest = d.len() / at_once * at_once;
            let ones = d[rest..].chunks_exact(channels).zip(x[rest..].chunks_exact(channels));
            ones.for_each(|(d, x)| add_products::<1>(&mut sums.first, &mut sums.second, d, x, by.mean));
            add_strip(&mut totals[..channels], &sums.first);
            add_strip(&mut totals[channels..], &sums.second);
        }
    });
    let mut gradient = add_in_order(&partials, 2 * channels);
    let mut gradient_times_normalized = gradient.split_off(channels);
    for (sum, &inverse) in gradient_times_normalized.iter_mut().zip(&by.inverse) {
        *sum *= f64::from(inverse);
    }
    Sums { gradient, gradient_times_normalized }
}

fn to_pre_activation(d: &mut [f32], x: &[f32], by: &Normalization<'_>, activation: Option<Activation>) {
    match activation {
        None => {}
        Some(Activation::Relu) => multiply(d, x, by, |v| Activation::Relu.derivative(v)),
        Some(Activation::Relu6) => multiply(d, x, by, |v| Activation::Relu6.derivative(v)),
        Some(Activation::Silu) => multiply(d, x, by, |v| Activation::Silu.derivative(v)),
        Some(Activation::Sigmoid) => multiply(d, x, by, |v| Activation::Sigmoid.derivative(v)),
    }
}

#[inline(always)]
fn multiply(d: &mut [f32], x: &[f32], by: &Normalization<'_>, derivative: impl Fn(f32) -> f32) {
    let channels = by.channels();
    let (mean, scale, bias) = (&by.mean[..channels], &by.scale[..channels], &by.bias[..channels]);
    for (d, x) in d.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        for c in 0..channels {
            d[c] *= derivative((x[c] - mean[c]) * scale[c] + bias[c]);
        }
    }
}

/// Adds rows of `d` and of `d · (x - mean)` to the sums.
fn add_products<const R: usize>(sums: &mut [f32], products: &mut [f32], d: &[f32], x: &[f32], mean: &[f32]) {
    let channels = mean.len();
    let (d, x) = (rows_of::<R>(d, channels), rows_of::<R>(x, channels));
    let (sums, products) = (&mut sums[..channels], &mut products[..channels]);
    for c in 0..channels {
        let (d, x) = (d.map(|d| d[c]), x.map(|x| x[c] - mean[c]));
        let products_here: [f32; R] = std::array::from_fn(|row| d[row] * x[row]);
        sums[c] += d.iter().sum::<f32>();
        products[c] += products_here.iter().sum::<f32>();
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
        for (d, x) in d.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
            d_input_of_row(d, x, by, &centre, &slope);
        }
    });
}

fn d_input_of_row(d: &mut [f32], x: &[f32], by: &Normalization<'_>, centre: &[f32], slope: &[f32]) {
    let channels = d.len();
    let (x, mean, scale) = (&x[..channels], &by.mean[..channels], &by.scale[..channels]);
    let (centre, slope) = (&centre[..channels], &slope[..channels]);
    for c in 0..channels {
        d[c] = (d[c] - centre[c] - (x[c] - mean[c]) * slope[c]) * scale[c];
    }
}

/// Whole rows of about one piece.
fn elementwise_piece(channels: usize) -> usize {
    PIECE.div_ceil(channels) * channels
}
