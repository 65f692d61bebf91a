//! Normalization of each sample by itself, over groups of its channels: layer norm is one group of one position.

use super::pieces::{STRIP, add_in_order, at_least_a_piece, rows_per_piece};
use super::simd::{Isa, Kernel, Simd};
use crate::deal::{each, pairs};

/// How a map `[S, rows, channels]` is normalized: each of `groups` groups of channels of each of S samples has a mean and a
/// variance over its rows and channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of a sample.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
    /// Groups; a divisor of the channels.
    pub groups: usize,
}

impl Sizes {
    fn sample(self) -> usize {
        self.rows * self.channels
    }

    /// Samples of a piece of the backward pass: by shape alone.
    fn samples_per_piece(self, samples: usize) -> usize {
        rows_per_piece(samples * self.rows, self.channels).div_ceil(self.rows)
    }
}

/// y = weight · (x - mean) / sqrt(variance + epsilon) + bias.
pub fn forward(x: &[f32], [weight, bias]: [&[f32]; 2], sizes: Sizes, epsilon: f64) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    let piece = at_least_a_piece(x.len() / sizes.sample(), x.len()) * sizes.sample();
    pairs((&mut y, piece), (x, piece), &|y, x| {
        Isa::best().run(Forward { x, y, weight, bias, sizes, epsilon });
    });
    y
}

/// Whole samples to be normalized.
struct Forward<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    sizes: Sizes,
    epsilon: f64,
}

impl Kernel for Forward<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Sizes { channels, groups, .. } = self.sizes;
        let width = channels / groups;
        let sample = self.sizes.sample();
        for (x, y) in self.x.chunks_exact(sample).zip(self.y.chunks_exact_mut(sample)) {
            for first in (0..channels).step_by(width) {
                let [mean, inverse] = moments(x, Group { channels, first, width }, self.epsilon);
                let (weight, bias) = (&self.weight[first..][..width], &self.bias[first..][..width]);
                for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
                    let (x, y) = (&x[first..][..width], &mut y[first..][..width]);
                    for i in 0..width {
                        y[i] = (x[i] - mean) * inverse * weight[i] + bias[i];
                    }
                }
            }
        }
    }
}

/// Independent sums, which let a loop fill vectors.
const LANES: usize = 16;

/// A group of a sample: its channels from `first` on, `width` of `channels`.
#[derive(Clone, Copy)]
struct Group {
    channels: usize,
    first: usize,
    width: usize,
}

/// The sums over the rows of `a` and `b` of `N` functions of a group's elements and of their place in a row.
#[inline(always)]
fn sums<const N: usize>(
    a: &[f32],
    b: &[f32],
    Group { channels, first, width }: Group,
    f: impl Fn(f32, f32, usize) -> [f32; N],
) -> [f64; N] {
    let mut lanes = [[0f32; LANES]; N];
    let whole = width / LANES * LANES;
    for (a, b) in a.chunks_exact(channels).zip(b.chunks_exact(channels)) {
        let (a, b) = (&a[first..][..width], &b[first..][..width]);
        for start in (0..whole).step_by(LANES) {
            for lane in 0..LANES {
                let found = f(a[start + lane], b[start + lane], start + lane);
                for n in 0..N {
                    lanes[n][lane] += found[n];
                }
            }
        }
        for i in whole..width {
            let found = f(a[i], b[i], i);
            for n in 0..N {
                lanes[n][i - whole] += found[n];
            }
        }
    }
    lanes.map(|lanes| lanes.iter().map(|&sum| f64::from(sum)).sum())
}

/// The mean of a group and 1 / sqrt(variance + epsilon), in two passes; the second mends the first's mean.
#[inline(always)]
fn moments(x: &[f32], group: Group, epsilon: f64) -> [f32; 2] {
    let count = (x.len() / group.channels * group.width) as f64;
    let [sum] = sums(x, x, group, |x, _, _| [x]);
    let near = (sum / count) as f32;
    let [sum, squares] = sums(x, x, group, |x, _, _| {
        let deviation = x - near;
        [deviation, deviation * deviation]
    });
    let off = sum / count;
    let variance = (squares / count - off * off).max(0.0);
    [(f64::from(near) + off) as f32, (1.0 / (variance + epsilon).sqrt()) as f32]
}

/// Turns `d`, the gradient of the output of a normalization of `x`, into that of `x`; answers those of weight and bias.
pub fn backward(d: &mut [f32], x: &[f32], weight: &[f32], sizes: Sizes, epsilon: f64) -> [Vec<f32>; 2] {
    let channels = sizes.channels;
    let piece = sizes.samples_per_piece(x.len() / sizes.sample()) * sizes.sample();
    let mut partials = vec![0.0; x.len().div_ceil(piece) * 2 * channels];
    let pieces = partials.chunks_mut(2 * channels).zip(d.chunks_mut(piece).zip(x.chunks(piece)));
    let scratch = || (vec![0.0; 2 * channels], vec![GroupMeans::default(); sizes.groups]);
    each(pieces, scratch, |(strip, groups), (totals, (d, x))| {
        Isa::best().run(Backward { d, x, weight, sizes, epsilon, strip, groups, totals });
    });
    let mut d_weight: Vec<f32> =
        add_in_order(&partials, 2 * channels).into_iter().map(|sum| sum as f32).collect();
    let d_bias = d_weight.split_off(channels);
    [d_weight, d_bias]
}

/// Bytes that [`backward`] takes for so many samples on `threads` threads, besides the gradients.
pub fn backward_bytes(samples: usize, sizes: Sizes, threads: usize) -> usize {
    let pieces = samples.div_ceil(sizes.samples_per_piece(samples));
    let worker = 2 * sizes.channels * size_of::<f32>() + sizes.groups * size_of::<GroupMeans>();
    2 * sizes.channels * (pieces + 1) * size_of::<f64>() + threads.min(pieces) * worker
}

/// What the gradient of a group's elements needs: mean, 1 / deviation, and the means of the gradient of the normalized
/// elements and of its product with them.
type GroupMeans = [f32; 4];

/// Whole samples whose gradient takes the place of that of the output.
struct Backward<'a> {
    d: &'a mut [f32],
    x: &'a [f32],
    weight: &'a [f32],
    sizes: Sizes,
    epsilon: f64,
    /// The gradients of weight and bias by some rows, and by all of them.
    strip: &'a mut [f32],
    totals: &'a mut [f64],
    groups: &'a mut [GroupMeans],
}

impl Kernel for Backward<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Sizes { channels, groups, .. } = self.sizes;
        let width = channels / groups;
        let group = |number: usize| Group { channels, first: number * width, width };
        self.strip.fill(0.0);
        let mut rows = 0;
        let samples = self.d.chunks_exact_mut(self.sizes.sample());
        for (d, x) in samples.zip(self.x.chunks_exact(self.sizes.sample())) {
            for (number, found) in self.groups.iter_mut().enumerate() {
                *found = backward_moments(d, x, self.weight, group(number), self.epsilon);
            }
            for (d, x) in d.chunks_mut(STRIP * channels).zip(x.chunks(STRIP * channels)) {
                for (number, found) in self.groups.iter().enumerate() {
                    d_input(d, x, self.weight, group(number), *found, self.strip);
                }
                rows += x.len() / channels;
                if rows >= STRIP {
                    fold(self.strip, self.totals);
                    rows = 0;
                }
            }
        }
        fold(self.strip, self.totals);
    }
}

#[inline(always)]
fn backward_moments(d: &[f32], x: &[f32], weight: &[f32], group: Group, epsilon: f64) -> GroupMeans {
    let [mean, inverse] = moments(x, group, epsilon);
    let weight = &weight[group.first..][..group.width];
    let count = (x.len() / group.channels * group.width) as f64;
    let [sum, along] = sums(d, x, group, |d, x, i| {
        let g = d * weight[i];
        [g, g * ((x - mean) * inverse)]
    });
    [mean, inverse, (sum / count) as f32, (along / count) as f32]
}

/// d_x = (g - mean(g) - normalized · mean(g · normalized)) / deviation with g = weight · d, in the place of `d`; adds to the
/// gradients of weight and bias.
#[inline(always)]
fn d_input(
    d: &mut [f32],
    x: &[f32],
    weight: &[f32],
    Group { channels, first, width }: Group,
    [mean, inverse, centre, along]: GroupMeans,
    strip: &mut [f32],
) {
    let (d_weight, d_bias) = strip.split_at_mut(channels);
    let (d_weight, d_bias) = (&mut d_weight[first..][..width], &mut d_bias[first..][..width]);
    let weight = &weight[first..][..width];
    for (d, x) in d.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        let (d, x) = (&mut d[first..][..width], &x[first..][..width]);
        for i in 0..width {
            let normalized = (x[i] - mean) * inverse;
            d_weight[i] += d[i] * normalized;
            d_bias[i] += d[i];
            d[i] = (d[i] * weight[i] - centre - normalized * along) * inverse;
        }
    }
}

/// Adds the sums of some rows to those of all.
#[inline(always)]
fn fold(strip: &mut [f32], totals: &mut [f64]) {
    for (sum, total) in strip.iter_mut().zip(totals) {
        *total += f64::from(std::mem::take(sum));
    }
}
