//! A gate on the channels of each sample of a map `x: [N, rows, C]` that is read through its normalization
//! (squeeze-and-excitation, Hu et al. 2018): normalized, it is never in memory but some rows at a time.

use super::batch_norm::{Normalization, normalization_bytes, normalized_rows};
use super::elementwise::multiply_piece;
use super::per_channel::{repeated, width};
use super::pieces::{PIECE, STRIP, add_in_order, rows_per_piece};
use super::simd::{Isa, Kernel, Simd};
use super::unwritten::filled;
use crate::deal::{all, each};
use std::mem::MaybeUninit;

/// Elements that are normalized at a time, to be summed while they are in the nearest cache.
const AT_ONCE: usize = 4096;

/// Elements of a piece of the rows of a sample.
fn piece_len(rows: usize, channels: usize) -> usize {
    rows_per_piece(rows, channels) * channels
}

/// The sums over the rows of each sample of what `by` makes of x, or of its products with `d`: `[N, C]`.
pub fn sums(isa: Isa, x: &[f32], by: &Normalization, d: Option<&[f32]>, rows: usize) -> Vec<f32> {
    let channels = by.channels();
    let (sample, piece) = (rows * channels, piece_len(rows, channels));
    let parts = sample.div_ceil(piece);
    let at_once = (AT_ONCE / by.width()).clamp(1, STRIP) * by.width();
    let mut partials = vec![0.0; x.len() / sample * parts * channels];
    let worker = || [vec![0.0; at_once], vec![0.0; by.width()]];
    each(partials.chunks_exact_mut(channels).enumerate(), worker, |[y, lanes], (index, totals)| {
        let (first, end) = (index / parts * sample, (index / parts + 1) * sample);
        let start = first + index % parts * piece;
        let part = start..end.min(start + piece);
        let d = d.map(|d| &d[part.clone()]);
        for (number, x) in x[part].chunks(at_once).enumerate() {
            let y = &mut y[..x.len()];
            normalized_rows(isa, x, by, y);
            if let Some(d) = d {
                multiply_piece(isa, y, &d[number * at_once..][..x.len()]);
            }
            lanes.fill(0.0);
            isa.run(AddRows { y, lanes });
            for lanes in lanes.chunks_exact(channels) {
                totals.iter_mut().zip(lanes).for_each(|(total, &sum)| *total += f64::from(sum));
            }
        }
    });
    let samples = partials.chunks_exact(parts * channels);
    samples.flat_map(|parts| add_in_order(parts, channels)).map(|sum| sum as f32).collect()
}

/// Bytes that [`sums`] takes beside its result, on `threads` threads.
pub fn sums_bytes(samples: usize, [rows, channels]: [usize; 2], threads: usize) -> usize {
    let parts = samples * (rows * channels).div_ceil(piece_len(rows, channels));
    let worker = AT_ONCE * size_of::<f32>() + normalization_bytes(channels);
    (parts + 1) * channels * size_of::<f64>() + threads.min(parts) * worker
}

/// Rows to be added to lanes.
struct AddRows<'a> {
    y: &'a [f32],
    lanes: &'a mut [f32],
}

impl Kernel for AddRows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for y in self.y.chunks(self.lanes.len()) {
            self.lanes.iter_mut().zip(y).for_each(|(lane, y)| *lane += y);
        }
    }
}

/// y = gate · by(x); writes every element of y, which has the length of x, for `gate: [N, C]`.
pub fn forward(
    isa: Isa,
    x: &[f32],
    by: &Normalization,
    gate: &[f32],
    rows: usize,
    y: &mut [MaybeUninit<f32>],
) {
    assert_eq!(x.len(), y.len(), "x and y have one length");
    let (sample, piece) = (rows * by.channels(), PIECE.div_ceil(by.width()) * by.width());
    let samples = y.chunks_mut(sample).zip(x.chunks(sample)).zip(gate.chunks(by.channels()));
    all(samples, |((y, x), gate)| {
        let gate = repeated(gate, by.width());
        all(y.chunks_mut(piece).zip(x.chunks(piece)), |(y, x)| {
            let y = filled(y);
            normalized_rows(isa, x, by, y);
            y.chunks_mut(by.width()).for_each(|y| multiply_piece(isa, y, &gate[..y.len()]));
        });
    });
}

/// d = gate · d + shift, for `gate` and `shifts: [N, C]`.
pub fn backward(isa: Isa, d: &mut [f32], gate: &[f32], shifts: &[f32], [rows, channels]: [usize; 2]) {
    let width = width(rows, channels);
    let piece = PIECE.div_ceil(width) * width;
    let numbers = gate.chunks(channels).zip(shifts.chunks(channels));
    all(d.chunks_mut(rows * channels).zip(numbers), |(d, (gate, shifts))| {
        let [gate, shifts] = [gate, shifts].map(|numbers| repeated(numbers, width));
        all(d.chunks_mut(piece), |d| isa.run(Shift { d, gate: &gate, shifts: &shifts }));
    });
}

/// Rows of one sample.
struct Shift<'a> {
    d: &'a mut [f32],
    gate: &'a [f32],
    shifts: &'a [f32],
}

impl Kernel for Shift<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for d in self.d.chunks_mut(self.gate.len()) {
            let (gate, shifts) = (&self.gate[..d.len()], &self.shifts[..d.len()]);
            for i in 0..d.len() {
                d[i] = gate[i] * d[i] + shifts[i];
            }
        }
    }
}
