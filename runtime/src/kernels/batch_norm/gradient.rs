//! The gradient of a normalization and of the activation after it.

use super::cyclic::{cyclic, width};
use super::moments::{Accumulator, part_bytes};
use super::normalization::{Normalization, clamp};
use crate::deal::{each, pairs};
use crate::kernels::activation::{Activation, d_silu};
use crate::kernels::pieces::{PIECE, STRIP, add_in_order, rows_per_piece};
use crate::kernels::simd::{Isa, Kernel, Simd};

/// The sums over rows that every gradient needs, one a channel.
#[derive(Clone, Debug)]
pub struct Sums {
    /// Of the gradient of the pre-activation: the gradient of the bias.
    pub gradient: Vec<f64>,
    /// Of that gradient times the normalized input: the gradient of the weight.
    pub gradient_times_normalized: Vec<f64>,
}

/// Turns `d`, the gradient of the output of a normalization of `x`, into that of the pre-activation, in place, unless the
/// activation is a clamp, to which [`sums`] and [`Gradient`] see themselves; and sums it as [`sums`] does.
pub fn pre_activation_sums(isa: Isa, d: &mut [f32], x: &[f32], by: &Normalization) -> Sums {
    if by.clamp().is_some() {
        return sums(isa, d, x, by);
    }
    let channels = by.channels;
    let piece = rows_per_piece(x.len() / channels, channels) * channels;
    let mut partials = vec![0.0; x.len().div_ceil(piece) * 2 * channels];
    let pieces = partials.chunks_mut(2 * channels).zip(d.chunks_mut(piece).zip(x.chunks(piece)));
    let scratch = || vec![0.0; 2 * by.width()];
    each(pieces, scratch, |scratch, (totals, (d, x))| {
        let strip = STRIP * by.width();
        for (d, x) in d.chunks_mut(strip).zip(x.chunks(strip)) {
            rows_to_pre_activation(isa, d, x, by);
            add_rows(isa, d, x, by, scratch, totals);
        }
    });
    Sums::of_parts(&partials, by)
}

/// Turns `d` of some whole rows into the gradient of the pre-activation, in place, unless the activation is a clamp.
pub fn rows_to_pre_activation(isa: Isa, d: &mut [f32], x: &[f32], by: &Normalization) {
    let rows = PreActivationRows { d, x, by };
    match by.activation {
        None | Some(Activation::Relu | Activation::Relu6) => {}
        Some(Activation::Silu) => isa.run(SiluRows(rows)),
        Some(Activation::Sigmoid) => isa.run(rows.times(|v| Activation::Sigmoid.derivative(v))),
        Some(Activation::Gelu) => isa.run(rows.times(|v| Activation::Gelu.derivative(v))),
        Some(Activation::HardSwish) => isa.run(rows.times(|v| Activation::HardSwish.derivative(v))),
        Some(Activation::HardSigmoid) => isa.run(rows.times(|v| Activation::HardSigmoid.derivative(v))),
        Some(Activation::LeakyRelu { slope }) => {
            isa.run(rows.times(move |v| Activation::LeakyRelu { slope }.derivative(v)));
        }
    }
}

/// Some rows to be multiplied with the derivative of the activation.
struct PreActivationRows<'a> {
    d: &'a mut [f32],
    x: &'a [f32],
    by: &'a Normalization,
}

impl<'a> PreActivationRows<'a> {
    #[inline(always)]
    fn times<F: Fn(f32) -> f32>(self, derivative: F) -> Multiplied<'a, F> {
        Multiplied { rows: self, derivative }
    }
}

/// Those of SiLU, whose derivative knows the instruction set.
struct SiluRows<'a>(PreActivationRows<'a>);

impl Kernel for SiluRows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: as the caller's.
        unsafe { self.0.times(|v| d_silu::<S>(v)).run::<S>() }
    }
}

/// Those and the derivative.
struct Multiplied<'a, F> {
    rows: PreActivationRows<'a>,
    derivative: F,
}

impl<F: Fn(f32) -> f32> Kernel for Multiplied<'_, F> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let PreActivationRows { d, x, by } = self.rows;
        let width = by.width();
        for (d, x) in d.chunks_mut(width).zip(x.chunks(width)) {
            let n = x.len();
            let d = &mut d[..n];
            let (mean, scale, bias) = (&by.mean[..n], &by.scale[..n], &by.bias[..n]);
            for i in 0..n {
                d[i] *= (self.derivative)((x[i] - mean[i]) * scale[i] + bias[i]);
            }
        }
    }
}

/// Sums `d`, the gradient of the output of a normalization of `x`. An activation that is no clamp is taken for
/// none: see [`pre_activation_sums`].
pub fn sums(isa: Isa, d: &[f32], x: &[f32], by: &Normalization) -> Sums {
    let channels = by.channels;
    let piece = rows_per_piece(x.len() / channels, channels) * channels;
    let mut partials = vec![0.0; x.len().div_ceil(piece) * 2 * channels];
    let pieces = partials.chunks_mut(2 * channels).zip(d.chunks(piece).zip(x.chunks(piece)));
    let scratch = || vec![0.0; 2 * by.width()];
    each(pieces, scratch, |scratch, (totals, (d, x))| add_rows(isa, d, x, by, scratch, totals));
    Sums::of_parts(&partials, by)
}

/// Adds what [`sums`] sums of some rows to the two halves of `totals`; `scratch` is twice as long as `by` is wide.
pub fn add_rows(isa: Isa, d: &[f32], x: &[f32], by: &Normalization, scratch: &mut [f32], totals: &mut [f64]) {
    let strip = STRIP * by.width();
    for (d, x) in d.chunks(strip).zip(x.chunks(strip)) {
        scratch.fill(0.0);
        isa.run(GradientStrip { d, x, by, to: scratch });
        fold(scratch, totals, by.channels);
    }
}

impl Sums {
    /// From the totals of parts, in their order.
    pub fn of_parts(totals: &[f64], by: &Normalization) -> Self {
        let mut gradient = add_in_order(totals, 2 * by.channels);
        let mut gradient_times_normalized = gradient.split_off(by.channels);
        for (sum, &inverse) in gradient_times_normalized.iter_mut().zip(&by.inverse) {
            *sum *= f64::from(inverse);
        }
        Self { gradient, gradient_times_normalized }
    }
}

/// Bytes that [`sums`] of a map of so many elements takes on `threads` threads, or the statistics of the forward pass,
/// which add more sums a channel.
pub fn sums_bytes(elements: usize, channels: usize, threads: usize) -> usize {
    let piece = rows_per_piece(elements / channels, channels) * channels;
    let parts = elements.div_ceil(piece);
    part_bytes(parts + 1, channels) + threads * Accumulator::bytes(channels)
}

/// Adds the two halves of a strip's sums, which repeat their channels, to the two halves of the totals.
fn fold(sums: &[f32], totals: &mut [f64], channels: usize) {
    let halves = sums.chunks_exact(sums.len() / 2).zip(totals.chunks_exact_mut(channels));
    for (sums, totals) in halves {
        for sums in sums.chunks_exact(channels) {
            totals.iter_mut().zip(sums).for_each(|(total, &sum)| *total += f64::from(sum));
        }
    }
}

/// Rows of a strip, to be summed: first the gradients, then their products with the deviations.
struct GradientStrip<'a> {
    d: &'a [f32],
    x: &'a [f32],
    by: &'a Normalization,
    to: &'a mut [f32],
}

impl Kernel for GradientStrip<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let by = self.by;
        let width = by.width();
        let bounds = by.clamp().unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
        let (sums, products) = self.to.split_at_mut(width);
        let (mean, scale, bias) = (&by.mean[..width], &by.scale[..width], &by.bias[..width]);
        let whole = self.x.len() / (2 * width) * (2 * width);
        for (d, x) in self.d[..whole].chunks_exact(2 * width).zip(self.x[..whole].chunks_exact(2 * width)) {
            let ((d0, d1), (x0, x1)) = (d.split_at(width), x.split_at(width));
            let (d1, x1) = (&d1[..width], &x1[..width]);
            for i in 0..width {
                let v = [x0[i] - mean[i], x1[i] - mean[i]];
                let g = [
                    passed(d0[i], v[0] * scale[i] + bias[i], bounds),
                    passed(d1[i], v[1] * scale[i] + bias[i], bounds),
                ];
                sums[i] += g[0] + g[1];
                products[i] += g[0] * v[0] + g[1] * v[1];
            }
        }
        for (d, x) in self.d[whole..].chunks(width).zip(self.x[whole..].chunks(width)) {
            for i in 0..x.len() {
                let v = x[i] - mean[i];
                let g = passed(d[i], v * scale[i] + bias[i], bounds);
                sums[i] += g;
                products[i] += g * v;
            }
        }
    }
}

/// `d` where the pre-activation lies between the bounds, else 0.
#[inline(always)]
fn passed(d: f32, v: f32, [low, high]: [f32; 2]) -> f32 {
    if v > low && v < high { d } else { 0.0 }
}

/// One element of d_x.
#[inline(always)]
fn element(d: f32, x: f32, [mean, scale, bias, centre, slope]: [f32; 5], bounds: [f32; 2]) -> f32 {
    let v = x - mean;
    let g = passed(d, v * scale + bias, bounds);
    (g - centre - v * slope) * scale
}

/// What turns the gradient of the output of a normalization into that of its input, element by element:
/// d_x = scale · (g - mean(g) - normalized · mean(g · normalized)) with g the gradient of the pre-activation.
#[derive(Clone, Debug)]
pub struct Gradient {
    by: Normalization,
    centre: Vec<f32>,
    slope: Vec<f32>,
}

impl Gradient {
    /// The statistics are those of the batch of `rows` rows where `sums` are given, and constants elsewhere. An
    /// activation that is no clamp is taken for none: see [`pre_activation_sums`].
    pub fn new(by: &Normalization, sums: Option<&Sums>, rows: usize) -> Self {
        let channels = by.channels;
        let zeros = || vec![0.0; width(channels) + 16];
        let by = if clamp(by.activation).is_some() { by.clone() } else { by.without_activation() };
        let Some(sums) = sums else { return Self { by, centre: zeros(), slope: zeros() } };
        let rows = rows as f64;
        let products = sums.gradient_times_normalized.iter().zip(&by.inverse);
        let slope = products.map(|(sum, &inverse)| (sum / rows * f64::from(inverse)) as f32);
        Self {
            centre: cyclic(sums.gradient.iter().map(|sum| (sum / rows) as f32), channels),
            slope: cyclic(slope, channels),
            by,
        }
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.by.channels
    }

    /// Elements of a loop over whole rows.
    pub fn width(&self) -> usize {
        self.by.width()
    }

    /// Where the activation lets gradients pass.
    fn bounds(&self) -> [f32; 2] {
        self.by.clamp().unwrap_or([f32::NEG_INFINITY, f32::INFINITY])
    }

    /// N elements, at most sixteen, the first of which belongs to channel `channel`.
    #[inline(always)]
    pub fn array<const N: usize>(&self, d: &[f32; N], x: &[f32; N], channel: usize, d_x: &mut [f32; N]) {
        let part = |v: &[f32]| v[channel..].first_chunk::<N>().copied().unwrap_or([0.0; N]);
        let (mean, scale, bias) = (part(&self.by.mean), part(&self.by.scale), part(&self.by.bias));
        let (centre, slope, bounds) = (part(&self.centre), part(&self.slope), self.bounds());
        for i in 0..N {
            d_x[i] = element(d[i], x[i], [mean[i], scale[i], bias[i], centre[i], slope[i]], bounds);
        }
    }

    /// As many elements as `x` has.
    #[inline(always)]
    pub fn some(&self, d: &[f32], x: &[f32], channel: usize, d_x: &mut [f32]) {
        let n = x.len().min(d.len()).min(d_x.len());
        let (mean, scale, bias) =
            (&self.by.mean[channel..][..n], &self.by.scale[channel..][..n], &self.by.bias[channel..][..n]);
        let (centre, slope, bounds) =
            (&self.centre[channel..][..n], &self.slope[channel..][..n], self.bounds());
        for i in 0..n {
            d_x[i] = element(d[i], x[i], [mean[i], scale[i], bias[i], centre[i], slope[i]], bounds);
        }
    }
}

/// Turns `d`, the gradient of the output of a normalization of `x`, into that of `x`, in place.
pub fn d_input(isa: Isa, d: &mut [f32], x: &[f32], by: &Gradient) {
    let width = by.by.width();
    let piece = PIECE.div_ceil(width) * width;
    let run =
        |d: &mut [f32], x: &[f32]| isa.run(GradientRows { to: d, other: x, by, width, pair: |d, x| [d, x] });
    pairs((d, piece), (x, piece), &run);
}

/// [`d_input`] in the place of `x`.
pub fn d_input_over(isa: Isa, d: &[f32], x: &mut [f32], by: &Gradient) {
    let width = by.by.width();
    let piece = PIECE.div_ceil(width) * width;
    let run =
        |x: &mut [f32], d: &[f32]| isa.run(GradientRows { to: x, other: d, by, width, pair: |x, d| [d, x] });
    pairs((x, piece), (d, piece), &run);
}

/// [`d_input`] of some rows, on this thread, into `d_x`.
pub fn d_input_to(isa: Isa, d: &[f32], x: &[f32], by: &Gradient, d_x: &mut [f32]) {
    isa.run(RowsTo { d, x, by, d_x });
}

/// Some rows whose gradient is wanted elsewhere.
struct RowsTo<'a> {
    d: &'a [f32],
    x: &'a [f32],
    by: &'a Gradient,
    d_x: &'a mut [f32],
}

impl Kernel for RowsTo<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = self.by.by.width();
        for ((d, x), d_x) in self.d.chunks(width).zip(self.x.chunks(width)).zip(self.d_x.chunks_mut(width)) {
            self.by.some(d, x, 0, d_x);
        }
    }
}

/// Some rows whose gradient takes the place of one of the two that it is made from.
struct GradientRows<'a, F> {
    to: &'a mut [f32],
    other: &'a [f32],
    by: &'a Gradient,
    width: usize,
    /// The gradient of the output and the input, from an element of `to` and one of `other`.
    pair: F,
}

impl<F: Fn(f32, f32) -> [f32; 2]> Kernel for GradientRows<'_, F> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let by = self.by;
        let bounds = by.bounds();
        for (to, other) in self.to.chunks_mut(self.width).zip(self.other.chunks(self.width)) {
            let n = other.len();
            let to = &mut to[..n];
            let (mean, scale, bias) = (&by.by.mean[..n], &by.by.scale[..n], &by.by.bias[..n]);
            let (centre, slope) = (&by.centre[..n], &by.slope[..n]);
            for i in 0..n {
                let [d, x] = (self.pair)(to[i], other[i]);
                to[i] = element(d, x, [mean[i], scale[i], bias[i], centre[i], slope[i]], bounds);
            }
        }
    }
}
