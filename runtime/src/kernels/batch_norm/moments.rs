//! Mean and variance of each channel, in one pass that may be cut into parts.
//!
//! Deviations from a strip's first row are summed in f32, at most 32 of them; all else is f64 and relative to
//! the first row of the part, so a mean that is large beside the deviation costs no digits.

use super::cyclic::width;
use crate::deal::each;
use crate::kernels::pieces::{STRIP, rows_per_piece};
use crate::kernels::simd::{Isa, Kernel, Simd};

/// Mean and biased variance of each channel of `x: [rows, channels]`.
pub fn moments(isa: Isa, x: &[f32], channels: usize) -> Moments {
    let piece = rows_per_piece(x.len() / channels, channels) * channels;
    let mut parts = vec![0.0; x.len().div_ceil(piece) * part_len(channels)];
    let pieces = parts.chunks_exact_mut(part_len(channels)).zip(x.chunks(piece));
    each(pieces, || Accumulator::new(channels), |sums, (part, x)| sums.add(isa, x, part));
    finish(&parts, channels)
}

/// Mean and biased variance of each channel.
#[derive(Clone, Debug)]
pub struct Moments {
    /// The means.
    pub mean: Vec<f32>,
    /// The variances.
    pub variance: Vec<f32>,
}

/// The sums of a part of a tensor: its rows, its first row, then sums and sums of squares of deviations from that.
pub fn part_len(channels: usize) -> usize {
    1 + 3 * channels
}

/// Bytes of `parts` parts.
pub fn part_bytes(parts: usize, channels: usize) -> usize {
    parts * part_len(channels) * size_of::<f64>()
}

/// Units by number, each with the part that it is to sum up, where `parts` has any.
pub fn with_parts(
    units: usize,
    parts: &mut [f64],
    channels: usize,
) -> impl ExactSizeIterator<Item = (usize, Option<&mut [f64]>)> + Send {
    let mut parts = parts.chunks_exact_mut(part_len(channels));
    (0..units).map(move |unit| (unit, parts.next()))
}

/// Adds parts, one behind the other, in their order.
pub fn finish(parts: &[f64], channels: usize) -> Moments {
    let origin = parts.get(1..1 + channels).unwrap_or_default();
    let mut totals = vec![0.0; 2 * channels];
    let mut rows = 0.0;
    for part in parts.chunks_exact(part_len(channels)) {
        let (count, shift) = (part[0], &part[1..1 + channels]);
        let (sums, squares) = part[1 + channels..].split_at(channels);
        rows += count;
        for c in 0..channels {
            let moved = shift[c] - origin[c];
            totals[c] += count * moved + sums[c];
            totals[channels + c] += squares[c] + 2.0 * moved * sums[c] + count * moved * moved;
        }
    }
    let of_channel = |c: usize| {
        let mean = totals[c] / rows;
        let variance = (totals[channels + c] / rows - mean * mean).max(0.0);
        ((origin[c] + mean) as f32, variance as f32)
    };
    let (mean, variance) = (0..channels).map(of_channel).unzip();
    Moments { mean, variance }
}

/// What parts are summed up with, one after the other.
pub struct Accumulator {
    channels: usize,
    width: usize,
    shift: Vec<f32>,
    sums: Vec<f32>,
    squares: Vec<f32>,
}

impl Accumulator {
    /// Sums for rows of `channels`.
    pub fn new(channels: usize) -> Self {
        let width = width(channels);
        let zeros = || vec![0.0; width];
        Self { channels, width, shift: zeros(), sums: zeros(), squares: zeros() }
    }

    /// Bytes of the sums.
    pub fn bytes(channels: usize) -> usize {
        3 * width(channels) * size_of::<f32>()
    }

    /// Adds `rows: [rows, channels]` to a part, which is all zeros before its first rows.
    pub fn add(&mut self, isa: Isa, rows: &[f32], part: &mut [f64]) {
        let channels = self.channels;
        if part[0] == 0.0 {
            part[1..1 + channels].iter_mut().zip(rows).for_each(|(shift, &x)| *shift = f64::from(x));
        }
        for strip in rows.chunks(STRIP * self.width) {
            for shift in self.shift.chunks_exact_mut(channels) {
                shift.copy_from_slice(&strip[..channels]);
            }
            self.sums.fill(0.0);
            self.squares.fill(0.0);
            isa.run(MomentStrip { x: strip, to: self });
            self.add_strip(strip.len() / channels, part);
        }
    }

    /// Adds the strip's sums to the part's.
    fn add_strip(&self, rows: usize, part: &mut [f64]) {
        let channels = self.channels;
        let count = rows as f64;
        part[0] += count;
        let (shifts, totals) = part[1..].split_at_mut(channels);
        let (sums, squares) = totals.split_at_mut(channels);
        for c in 0..channels {
            let (mut sum, mut square) = (0.0, 0.0);
            for lane in (c..self.width).step_by(channels) {
                sum += f64::from(self.sums[lane]);
                square += f64::from(self.squares[lane]);
            }
            let moved = f64::from(self.shift[c]) - shifts[c];
            sums[c] += count * moved + sum;
            squares[c] += square + 2.0 * moved * sum + count * moved * moved;
        }
    }
}

/// Rows of a strip, to be summed.
struct MomentStrip<'a> {
    x: &'a [f32],
    to: &'a mut Accumulator,
}

impl Kernel for MomentStrip<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = self.to.width;
        let fours = self.x.chunks_exact(4 * width);
        let rest = fours.remainder();
        let (shift, sums, squares) =
            (&self.to.shift[..width], &mut self.to.sums[..width], &mut self.to.squares[..width]);
        for x in fours {
            let (a, rest) = x.split_at(width);
            let (b, rest) = rest.split_at(width);
            let (c, d) = rest.split_at(width);
            let d = &d[..width];
            for i in 0..width {
                let v = [a[i] - shift[i], b[i] - shift[i], c[i] - shift[i], d[i] - shift[i]];
                sums[i] += (v[0] + v[1]) + (v[2] + v[3]);
                squares[i] += (v[0] * v[0] + v[1] * v[1]) + (v[2] * v[2] + v[3] * v[3]);
            }
        }
        for x in rest.chunks(width) {
            let n = x.len();
            for i in 0..n {
                let v = x[i] - shift[i];
                sums[i] += v;
                squares[i] += v * v;
            }
        }
    }
}
