//! Max pooling of images, and its gradient gathered by the pixels that won.

use super::simd::{Isa, Kernel, Simd};
use super::unwritten::filled;
use crate::deal::{all, each};
use std::ops::Range;

/// One axis of a pool.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// Pixels of the input.
    pub input: usize,
    /// Windows.
    pub output: usize,
    /// Size of a window.
    pub kernel: usize,
    /// Distance between windows.
    pub stride: usize,
    /// Pixels before the first.
    pub padding: usize,
}

impl Axis {
    /// The places in window `output` that lie on the image.
    pub fn taps(&self, output: usize) -> Range<usize> {
        let start = output * self.stride;
        self.padding.saturating_sub(start)..self.kernel.min(self.input + self.padding - start)
    }

    /// The pixel at place `tap` of window `output`.
    pub fn pixel(&self, output: usize, tap: usize) -> usize {
        output * self.stride + tap - self.padding
    }

    /// The windows that pixel `input` lies in.
    fn windows(&self, input: usize) -> Range<usize> {
        let padded = input + self.padding;
        let first = (padded + 1).saturating_sub(self.kernel).div_ceil(self.stride);
        first..(padded / self.stride + 1).min(self.output)
    }

    /// The place of pixel `input` in window `output`, one of its `windows`.
    fn place(&self, input: usize, output: usize) -> usize {
        input + self.padding - output * self.stride
    }
}

/// The maxima of `x: [N, H, W, C]` and which place of its window each was at, row by row.
pub fn forward(x: &[f32], channels: usize, rows: Axis, columns: Axis) -> (Vec<f32>, Vec<u8>) {
    let image = rows.input * columns.input * channels;
    let line = columns.output * channels;
    let mut y = vec![0.0; x.len() / image * rows.output * line];
    let mut places = vec![0; y.len()];
    let winners = || vec![0; channels];
    let lines = y.chunks_mut(line).zip(places.chunks_mut(line)).enumerate();
    each(lines, winners, |winners, (row, (y, places))| {
        let x = &x[row / rows.output * image..][..image];
        let row = row % rows.output;
        let windows = y.chunks_exact_mut(channels).zip(places.chunks_exact_mut(channels));
        for (column, (y, places)) in windows.enumerate() {
            let first = rows.taps(row).start * columns.kernel + columns.taps(column).start;
            y.fill(f32::NEG_INFINITY);
            winners.fill(first as u32);
            for i in rows.taps(row) {
                for j in columns.taps(column) {
                    let pixel = rows.pixel(row, i) * columns.input + columns.pixel(column, j);
                    let place = (i * columns.kernel + j) as u32;
                    keep_larger(y, winners, &x[pixel * channels..][..channels], place);
                }
            }
            places.iter_mut().zip(&*winners).for_each(|(place, &winner)| *place = winner as u8);
        }
    });
    (y, places)
}

/// Takes `x` and its place where it is larger, or not a number (which then stays, as nothing is larger).
/// Places as wide as the numbers, and masks in place of branches, let the loop be vectorised.
fn keep_larger(y: &mut [f32], winners: &mut [u32], x: &[f32], place: u32) {
    for ((y, winner), &x) in y.iter_mut().zip(winners).zip(x) {
        let wins = u32::from((x > *y) | x.is_nan()).wrapping_neg();
        *y = f32::from_bits((x.to_bits() & wins) | (y.to_bits() & !wins));
        *winner = (place & wins) | (*winner & !wins);
    }
}

/// The gradient of `x: [N, H, W, C]` from that of the maxima and their places.
pub fn backward(d_y: &[f32], places: &[u8], channels: usize, rows: Axis, columns: Axis) -> Vec<f32> {
    let (isa, image) = (Isa::best(), rows.output * columns.output * channels);
    let line = columns.input * channels;
    let len = d_y.len() / image * rows.input * line;
    let mut d_x = Vec::with_capacity(len);
    all(d_x.spare_capacity_mut()[..len].chunks_mut(line).enumerate(), |(row, d_x)| {
        let start = row / rows.input * image;
        let (d_y, places) = (&d_y[start..][..image], &places[start..][..image]);
        let of_row = PixelRow { row: row % rows.input, rows, columns, channels, d_y, places };
        isa.run(Gathered { of_row, d_x: filled(d_x) });
    });
    // SAFETY: every row has been filled.
    unsafe { d_x.set_len(len) };
    d_x
}

/// A row of an image, and the gradient of its maxima with their places.
struct PixelRow<'a> {
    row: usize,
    rows: Axis,
    columns: Axis,
    channels: usize,
    d_y: &'a [f32],
    places: &'a [u8],
}

/// What the pixels of a row have won, to be added to `d_x`.
struct Gathered<'a> {
    of_row: PixelRow<'a>,
    d_x: &'a mut [f32],
}

impl Kernel for Gathered<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let PixelRow { row, rows, columns, channels, d_y, places } = self.of_row;
        for (column, d_x) in self.d_x.chunks_exact_mut(channels).enumerate() {
            for i in rows.windows(row) {
                for j in columns.windows(column) {
                    let place = rows.place(row, i) * columns.kernel + columns.place(column, j);
                    let window = (i * columns.output + j) * channels;
                    add_where(d_x, &d_y[window..][..channels], &places[window..][..channels], place as u8);
                }
            }
        }
    }
}

#[inline(always)]
fn add_where(d_x: &mut [f32], d_y: &[f32], places: &[u8], place: u8) {
    for ((d_x, &d_y), &winner) in d_x.iter_mut().zip(d_y).zip(places) {
        *d_x += if winner == place { d_y } else { 0.0 };
    }
}
