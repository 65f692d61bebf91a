//! Dense products of matrices over slices, by the register tile of convolutions of one pixel.
//!
//! ```text
//! left matrix [row, depth]                right matrix [depth, column]
//!    │ a band of rows is copied              │ a panel of columns is copied
//!    ▼                                       ▼
//! [block of depth, row, 16]    times     [depth, vectors * lanes]
//!    └──────────────────┬────────────────────┘
//!                       ▼ summed in registers
//!             product [row, column]
//! ```
//! Sums do not depend on threads: work is cut by shape, and each is of stretches of a fixed depth, added in their order.

use super::conv::{
    BLOCK, Buffer, MOST_PIXELS, Start, Sweep, Target, block_vectors, buffers, cut_channels, sweep,
};
use super::simd::Isa;
use super::transpose::transpose;
use super::unwritten::unwritten;
use crate::deal::each;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Multiplications of one piece, which one thread does: some tens of microseconds of work.
const PIECE: usize = 1 << 20;
/// Most columns of a piece, whole panels of them.
const COLUMNS: usize = 128;
/// Least rows of a piece that is not all of them: each panel should meet many.
const ROWS: usize = 64;
/// Inner extent that is summed before the sums go to memory, so that a panel stays in the nearest cache.
const DEPTH: usize = 256;
/// Floats of a band of rows, so that it stays in a level-2 cache.
const BAND: usize = 32 << 10;
/// Most rows of a band.
const BAND_ROWS: usize = 1024;
/// What sums start from in the lanes of a panel.
const ZEROS: [f32; 32] = [0.0; 32];

/// A matrix over a slice: element (r, c) lies at `r · row_stride + c · column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// The matrix whose rows, of `columns` elements each, lie one after the other in `data`.
    pub fn new(data: &'a [f32], columns: usize) -> Self {
        let rows = data.len().checked_div(columns).unwrap_or(0);
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transpose, without a copy.
    #[must_use]
    pub fn transposed(self) -> Self {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        Self { data, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }

    /// Where element (r, c) lies.
    #[inline(always)]
    fn at(&self, row: usize, column: usize) -> usize {
        row * self.row_stride + column * self.column_stride
    }
}

/// `a · b`, row-major, plus `bias` (one a column) where given, on all threads.
///
/// # Panics
/// If the shapes do not fit.
pub fn product(a: Matrix<'_>, b: Matrix<'_>, bias: Option<&[f32]>) -> Vec<f32> {
    assert!(bias.is_none_or(|bias| bias.len() == b.columns), "columns of a product and its bias");
    let len = a.rows * b.columns;
    let mut out = Vec::with_capacity(len);
    multiply(&mut out.spare_capacity_mut()[..len], a, b, bias.map_or(Onto::Nothing, Onto::Bias));
    // SAFETY: every element of the product has been written.
    unsafe { out.set_len(len) };
    out
}

/// out `[a.rows, b.columns]` += a·b, on all threads.
///
/// # Panics
/// If the shapes do not fit.
pub fn add_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    // SAFETY: a product stores nothing but numbers.
    multiply(unsafe { unwritten(out).room() }, a, b, Onto::Held);
}

/// Writes the product, on all threads.
fn multiply(out: &mut [MaybeUninit<f32>], a: Matrix<'_>, b: Matrix<'_>, onto: Onto<'_>) {
    check(out.len(), a, b);
    let (isa, shape) = (Isa::best(), [a.rows, b.columns, a.columns]);
    let [row_step, column_step] = steps(shape);
    let (across, count) = (b.columns.div_ceil(column_step), pieces(a.rows, b.columns, a.columns));
    let target = Target(out.as_mut_ptr().cast());
    each(0..count, Scratch::default, |scratch, piece| {
        let part = |index: usize, step: usize, end: usize| index * step..end.min((index + 1) * step);
        let rows = part(piece / across, row_step, a.rows);
        let columns = part(piece % across, column_step, b.columns);
        // SAFETY: `out` holds the whole product, as was checked; pieces have disjoint rows or columns of it.
        unsafe { Part { isa, out: target, a, b, columns, onto }.run(rows, scratch) };
    });
}

/// Rows and columns of a piece of a product `[rows, depth]` times `[depth, columns]`.
fn steps([rows, columns, depth]: [usize; 3]) -> [usize; 2] {
    let column_step = columns.clamp(1, COLUMNS);
    let row_step = (PIECE / (column_step * depth).max(1)).max(ROWS).next_multiple_of(ROWS);
    [row_step.min(rows.max(1)), column_step]
}

/// The pieces of that product on all threads.
pub fn pieces(rows: usize, columns: usize, depth: usize) -> usize {
    let [row_step, column_step] = steps([rows, columns, depth]);
    rows.div_ceil(row_step) * columns.div_ceil(column_step)
}

/// Bytes that each thread computes a piece of that product with.
pub fn piece_bytes(isa: Isa, rows: usize, columns: usize, depth: usize) -> usize {
    let [row_step, column_step] = steps([rows, columns, depth]);
    scratch_bytes(isa, row_step, column_step, depth)
}

/// Bytes of the [`Scratch`] for a product of such a shape on one thread.
pub fn scratch_bytes(isa: Isa, rows: usize, columns: usize, depth: usize) -> usize {
    let [source, panel] = scratch_lens(isa, rows, columns, depth);
    buffers(&[source, panel]) + band_rows(rows, depth) * size_of::<usize>()
}

fn scratch_lens(isa: Isa, rows: usize, columns: usize, depth: usize) -> [usize; 2] {
    let (depth, lanes) = (depth.min(DEPTH), isa.lanes());
    let source = (band_rows(rows, depth) * depth.div_ceil(BLOCK) + MOST_PIXELS) * BLOCK;
    [source, depth * columns.next_multiple_of(lanes).min(block_vectors(isa) * lanes)]
}

/// Rows that are copied together.
fn band_rows(rows: usize, depth: usize) -> usize {
    let depth = depth.clamp(1, DEPTH).next_multiple_of(BLOCK);
    rows.min(BAND / depth).min(BAND_ROWS)
}

/// out `[a.rows, b.columns]` = a·b, or out += a·b, on this thread alone.
///
/// # Panics
/// If the shapes do not fit.
pub fn product_here(
    isa: Isa,
    out: &mut [f32],
    a: Matrix<'_>,
    b: Matrix<'_>,
    adds: bool,
    scratch: &mut Scratch,
) {
    check(out.len(), a, b);
    let (out, onto) = (Target(out.as_mut_ptr()), if adds { Onto::Held } else { Onto::Nothing });
    // SAFETY: `out` holds the whole product, as was checked, and is borrowed for this alone.
    unsafe { Part { isa, out, a, b, columns: 0..b.columns, onto }.run(0..a.rows, scratch) };
}

/// The inner products of all pairs of rows: `[N, N]` for `rows` `[N, columns]`.
pub fn gram(rows: &[f32], columns: usize) -> Vec<f32> {
    let x = Matrix::new(rows, columns);
    product(x, x.transposed(), None)
}

fn check(out_len: usize, a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(a.columns, b.rows, "inner extents of a product");
    assert_eq!(out_len, a.rows * b.columns, "elements of a product");
}

/// What a thread computes with; grows to what it is used for.
#[derive(Default)]
pub struct Scratch {
    /// A band, `[block of depth, row, 16]`.
    source: Buffer,
    /// `[depth, vectors * lanes]`.
    panel: Buffer,
    /// Where each row of the band is written.
    places: Vec<usize>,
}

impl Scratch {
    fn make_room(&mut self, lens: [usize; 2], rows: usize) {
        for (buffer, len) in [&mut self.source, &mut self.panel].into_iter().zip(lens) {
            if buffer.len() < len {
                *buffer = Buffer::zeros(len);
            }
        }
        self.places.clear();
        self.places.reserve_exact(rows);
    }
}

/// What a product is added to.
#[derive(Clone, Copy)]
enum Onto<'a> {
    /// Nothing: it is written over what is there.
    Nothing,
    /// One number a column.
    Bias(&'a [f32]),
    /// What its place holds.
    Held,
}

/// Some columns of a product.
struct Part<'a> {
    isa: Isa,
    /// Of the whole product.
    out: Target,
    a: Matrix<'a>,
    b: Matrix<'a>,
    columns: Range<usize>,
    onto: Onto<'a>,
}

impl Part<'_> {
    /// Makes some rows.
    ///
    /// # Safety
    /// `out` is the start of a product of both matrices, whose rows and columns given nobody else touches.
    unsafe fn run(&self, rows: Range<usize>, scratch: &mut Scratch) {
        let (all, depth) = (self.columns.clone(), self.a.columns);
        let zeros = vec![0.0; if depth == 0 { all.len() } else { 0 }];
        let start = match self.onto {
            Onto::Bias(bias) => &bias[all.clone()],
            Onto::Nothing => &zeros,
            Onto::Held => &[],
        };
        for row in rows.clone() {
            // SAFETY: the caller vouches for these elements, of which there are as many as columns, or none.
            unsafe {
                let to = self.out.0.add(row * self.b.columns + all.start);
                to.copy_from_nonoverlapping(start.as_ptr(), start.len());
            }
        }
        let step = band_rows(rows.len(), depth).max(1);
        scratch.make_room(scratch_lens(self.isa, rows.len(), all.len(), depth), step);
        for first in rows.clone().step_by(step) {
            let band = first..rows.end.min(first + step);
            scratch.places.clear();
            scratch.places.extend(band.clone().map(|row| row * self.b.columns));
            for first in (0..depth).step_by(DEPTH) {
                let depths = first..depth.min(first + DEPTH);
                self.a.copy_rows(band.clone(), depths.clone(), step * BLOCK, &mut scratch.source);
                // SAFETY: passed on from the caller.
                unsafe { self.panels(depths, step * BLOCK, scratch) }
            }
        }
    }

    /// Adds the products of one stretch of depth.
    ///
    /// # Safety
    /// As for [`Part::run`].
    unsafe fn panels(&self, depths: Range<usize>, source_step: usize, scratch: &mut Scratch) {
        let Scratch { source, panel, places } = scratch;
        let is_first = depths.start == 0 && matches!(self.onto, Onto::Nothing);
        let lanes = self.isa.lanes();
        for block in cut_channels(1, self.columns.len(), lanes, block_vectors(self.isa)) {
            let first = self.columns.start + block.first;
            let width = block.vectors * lanes;
            self.b.copy_columns(depths.clone(), first..first + block.channels, width, panel);
            let sweep_of = Sweep {
                places,
                source: source.as_ptr(),
                source_step,
                depth: depths.len(),
                weights: panel.as_ptr(),
                start: if is_first { Start::Given(ZEROS.as_ptr()) } else { Start::Nothing },
                ahead: None,
                block,
                // SAFETY: the column lies within the product.
                target: unsafe { self.out.0.add(first) },
            };
            // SAFETY: the caller vouches for the places and columns; the band and the panel have just been copied whole, and
            // the scratch has room behind the band.
            unsafe { sweep(self.isa, &sweep_of) }
        }
    }
}

impl Matrix<'_> {
    /// Copies some columns of some rows as `[block of 16 columns, row, 16]`, `step` floats from block to block; what is behind
    /// the last column stays as it was.
    fn copy_rows(&self, rows: Range<usize>, columns: Range<usize>, step: usize, to: &mut [f32]) {
        for (first, to) in columns.clone().step_by(BLOCK).zip(to.chunks_mut(step)) {
            let len = BLOCK.min(columns.end - first);
            if self.column_stride == 1 {
                for (row, to) in rows.clone().zip(to.chunks_exact_mut(BLOCK)) {
                    let from = &self.data[self.at(row, first)..];
                    match (from.first_chunk::<BLOCK>(), len) {
                        (Some(from), BLOCK) => to.copy_from_slice(from),
                        _ => to[..len].copy_from_slice(&from[..len]),
                    }
                }
            } else {
                self.transposed().copy_across(first..first + len, rows.clone(), to, BLOCK);
            }
        }
    }

    /// Copies some columns of some rows into rows of `width`, with zeros behind them.
    fn copy_columns(&self, rows: Range<usize>, columns: Range<usize>, width: usize, to: &mut [f32]) {
        let to = &mut to[..rows.len() * width];
        if columns.len() < width {
            to.fill(0.0);
        }
        if self.column_stride == 1 {
            for (row, to) in rows.zip(to.chunks_exact_mut(width)) {
                to[..columns.len()]
                    .copy_from_slice(&self.data[self.at(row, columns.start)..][..columns.len()]);
            }
        } else {
            self.transposed().copy_across(columns, rows, to, width);
        }
    }

    /// Copies some columns of some rows, whose elements follow each other, as rows, `step` floats from one to the next.
    fn copy_across(&self, rows: Range<usize>, columns: Range<usize>, to: &mut [f32], step: usize) {
        let from = &self.data[self.at(rows.start, columns.start)..];
        let shape = [rows.len(), columns.len()];
        transpose(shape, from, |row| row * self.row_stride, to, |column| column * step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(a: Matrix<'_>, b: Matrix<'_>, start: &[f32]) -> Vec<f32> {
        let mut out = start.to_vec();
        for r in 0..a.rows {
            for c in 0..b.columns {
                let terms =
                    (0..a.columns).map(|i| f64::from(a.data[a.at(r, i)]) * f64::from(b.data[b.at(i, c)]));
                out[r * b.columns + c] += terms.sum::<f64>() as f32;
            }
        }
        out
    }

    #[test]
    fn products_agree_with_plain_loops() {
        let shapes = [
            (1, 1, 1),
            (5, 3, 7),
            (64, 2, 9),
            (65, 17, 33),
            (130, 1, 4),
            (3, 70, 1),
            (9, 33, 700),
            (4, 5, 0),
        ];
        for (m, n, k) in shapes {
            // Small integers, so that every order of adding gives the same sum.
            let numbers = |len: usize, step: usize| -> Vec<f32> {
                (0..len).map(|i| ((i * step) % 11) as f32 - 5.0).collect()
            };
            let (a, b, start) = (numbers(m * k, 7), numbers(k * n, 3), numbers(m * n, 5));
            let matrix = |data, rows, columns| Matrix { rows, ..Matrix::new(data, columns) };
            let plain = (matrix(&a, m, k), matrix(&b, k, n));
            let flipped = (matrix(&a, k, m).transposed(), matrix(&b, n, k).transposed());
            for (a, b) in [plain, flipped] {
                let mut out = start.clone();
                add_product(&mut out, a, b);
                assert_eq!(out, naive(a, b, &start), "{m} x {k} times {k} x {n}");
                for isa in Isa::available() {
                    let mut scratch = Scratch::default();
                    product_here(isa, &mut out, a, b, false, &mut scratch);
                    assert_eq!(out, naive(a, b, &vec![0.0; m * n]), "{m} x {k} times {k} x {n}, {isa:?}");
                }
            }
        }
    }
}
