//! Dense products of matrices over slices: panels of the right one, a few vectors wide, against a few rows of the left
//! one at a time, summed in registers. The sums do not depend on threads: work is cut by shape.

use super::simd::{Isa, Kernel, Simd};
use crate::deal::all;
use std::ops::Range;

/// Multiplications of one piece, which one thread does: some tens of microseconds of work.
const PIECE: usize = 1 << 20;
/// Pieces are whole multiples of this many rows or columns, so that tiles are full.
const GRAIN: usize = 32;
/// Inner extent that is summed before the sums go to memory, so that a panel stays in the nearest cache.
const DEPTH: usize = 256;
/// Vectors of a panel.
const VECTORS: usize = 2;

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
    let mut out = vec![0.0; a.rows * b.columns];
    if let Some(bias) = bias {
        out.chunks_exact_mut(b.columns).for_each(|row| row.copy_from_slice(bias));
    }
    add_product(&mut out, a, b);
    out
}

/// out `[a.rows, b.columns]` += a·b, on all threads.
///
/// # Panics
/// If the shapes do not fit.
pub fn add_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    check(out, a, b);
    let (long, step) = (a.rows.max(b.columns), step(a.rows, b.columns, a.columns));
    let shared = Shared(out.as_mut_ptr());
    all(0..pieces(a.rows, b.columns, a.columns), |piece| {
        let range = piece * step..long.min((piece + 1) * step);
        let (rows, columns) = if a.rows >= b.columns { (range, 0..b.columns) } else { (0..a.rows, range) };
        // SAFETY: `out` holds the whole product, as was checked; pieces are disjoint ranges of its rows or columns.
        unsafe { part(Isa::best(), shared.start(), a, b, rows, columns, true) };
    });
}

/// Rows or columns, whichever are more, of one piece of a product `[rows, depth]` times `[depth, columns]`.
fn step(rows: usize, columns: usize, depth: usize) -> usize {
    (PIECE / (rows.min(columns) * depth).max(1)).max(1).next_multiple_of(GRAIN)
}

/// The pieces of that product on all threads.
pub fn pieces(rows: usize, columns: usize, depth: usize) -> usize {
    rows.max(columns).div_ceil(step(rows, columns, depth))
}

/// Bytes that each thread packs a panel of the right matrix into, for an inner extent of `depth`.
pub fn panel_bytes(isa: Isa, depth: usize) -> usize {
    panel_len(isa, depth) * size_of::<f32>()
}

fn panel_len(isa: Isa, depth: usize) -> usize {
    DEPTH.min(depth) * VECTORS * isa.lanes()
}

/// out `[a.rows, b.columns]` = a·b, or out += a·b, on this thread alone.
///
/// # Panics
/// If the shapes do not fit.
pub fn product_here(isa: Isa, out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, adds: bool) {
    check(out, a, b);
    // SAFETY: `out` holds the whole product, as was checked, and is borrowed for this alone.
    unsafe { part(isa, out.as_mut_ptr(), a, b, 0..a.rows, 0..b.columns, adds) };
}

/// The inner products of all pairs of rows: `[N, N]` for `rows` `[N, columns]`.
pub fn gram(rows: &[f32], columns: usize) -> Vec<f32> {
    let x = Matrix::new(rows, columns);
    product(x, x.transposed(), None)
}

fn check(out: &[f32], a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(a.columns, b.rows, "inner extents of a product");
    assert_eq!(out.len(), a.rows * b.columns, "elements of a product");
}

/// Makes `rows` and `columns` of a·b.
///
/// # Safety
/// `out` is the start of a product of both matrices, whose rows and columns given nobody else touches.
unsafe fn part(
    isa: Isa,
    out: *mut f32,
    a: Matrix<'_>,
    b: Matrix<'_>,
    rows: Range<usize>,
    columns: Range<usize>,
    adds: bool,
) {
    if a.columns == 0 && !adds {
        for row in rows {
            // SAFETY: the caller vouches for these elements.
            columns.clone().for_each(|column| unsafe { *out.add(row * b.columns + column) = 0.0 });
        }
        return;
    }
    let width = VECTORS * isa.lanes();
    let mut panel = vec![0.0; panel_len(isa, a.columns)];
    for column in columns.clone().step_by(width) {
        let width = width.min(columns.end - column);
        for depth in (0..a.columns).step_by(DEPTH) {
            let depths = depth..a.columns.min(depth + DEPTH);
            pack(&mut panel, VECTORS * isa.lanes(), b, depths.clone(), column..column + width);
            let adds = adds || depth > 0;
            isa.run(Tiles {
                out,
                stride: b.columns,
                a,
                rows: rows.clone(),
                depths,
                column,
                width,
                panel: &panel,
                adds,
            });
        }
    }
}

/// Copies rows `depths` and `columns` of b into rows of `width`, zeros behind them.
fn pack(panel: &mut [f32], width: usize, b: Matrix<'_>, depths: Range<usize>, columns: Range<usize>) {
    for (row, depth) in panel.chunks_exact_mut(width).zip(depths) {
        let (wanted, rest) = row.split_at_mut(columns.len());
        if b.column_stride == 1 {
            wanted.copy_from_slice(&b.data[b.at(depth, columns.start)..][..columns.len()]);
        } else {
            wanted.iter_mut().zip(columns.clone()).for_each(|(place, c)| *place = b.data[b.at(depth, c)]);
        }
        rest.fill(0.0);
    }
}

/// Rows of a against one panel of b.
struct Tiles<'a> {
    /// Start of the whole product.
    out: *mut f32,
    /// From one of its rows to the next.
    stride: usize,
    a: Matrix<'a>,
    rows: Range<usize>,
    depths: Range<usize>,
    /// The panel's first column, and how many it has.
    column: usize,
    width: usize,
    panel: &'a [f32],
    adds: bool,
}

impl Kernel for Tiles<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the CPU has `S`, and `part` has vouched for the rest.
        unsafe {
            match S::REGISTERS {
                32 => self.all::<S, 8>(),
                _ => self.all::<S, 4>(),
            }
        }
    }
}

impl Tiles<'_> {
    #[inline(always)]
    unsafe fn all<S: Simd, const ROWS: usize>(&self) {
        for first in self.rows.clone().step_by(ROWS) {
            // SAFETY: passed on from the caller.
            unsafe { self.tile::<S, ROWS>(first) }
        }
    }

    /// ROWS rows from `first` on; past the last one it is made again, and not stored.
    #[inline(always)]
    unsafe fn tile<S: Simd, const ROWS: usize>(&self, first: usize) {
        let row = |r: usize| (first + r).min(self.rows.end - 1);
        // SAFETY: rows and depths lie inside `a`, whose elements lie inside its slice; the panel has a row of VECTORS
        // vectors for each depth; `part` has vouched for the rows and columns of `out`.
        unsafe {
            let mut from = [self.a.data.as_ptr(); ROWS];
            for (r, from) in from.iter_mut().enumerate() {
                *from = from.add(self.a.at(row(r), self.depths.start));
            }
            let mut sums = [[S::zero(); VECTORS]; ROWS];
            for depth in 0..self.depths.len() {
                let b = self.panel.as_ptr().add(depth * VECTORS * S::LANES);
                let b: [S::V; VECTORS] = std::array::from_fn(|v| S::load(b.add(v * S::LANES)));
                for r in 0..ROWS {
                    let a = S::splat(*from[r].add(depth * self.a.column_stride));
                    for v in 0..VECTORS {
                        sums[r][v] = S::fma(a, b[v], sums[r][v]);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate().take(self.rows.end - first) {
                let out = self.out.add((first + r) * self.stride + self.column);
                for (v, &sum) in sums.iter().enumerate() {
                    let lanes = S::LANES.min(self.width.saturating_sub(v * S::LANES));
                    self.store::<S>(out.add(v * S::LANES), sum, lanes);
                }
            }
        }
    }

    /// Writes the first `lanes` lanes, or adds them to what is there.
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, out: *mut f32, sum: S::V, lanes: usize) {
        // SAFETY: the caller vouches for `lanes` elements.
        unsafe {
            match (self.adds, lanes == S::LANES) {
                (false, true) => S::store(out, sum),
                (false, false) => S::store_first(out, sum, lanes),
                (true, true) => S::store(out, S::add(S::load(out), sum)),
                (true, false) => {
                    let mut new = [0.0; 16];
                    S::store(new.as_mut_ptr(), sum);
                    new.iter().take(lanes).enumerate().for_each(|(i, sum)| *out.add(i) += sum);
                }
            }
        }
    }
}

/// The start of a product that pieces of one loop share.
struct Shared(*mut f32);

// SAFETY: the pieces write disjoint elements (see `add_product`), so sharing the pointer is sound.
unsafe impl Sync for Shared {}

impl Shared {
    fn start(&self) -> *mut f32 {
        self.0
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
                    product_here(isa, &mut out, a, b, false);
                    assert_eq!(out, naive(a, b, &vec![0.0; m * n]), "{m} x {k} times {k} x {n}, {isa:?}");
                }
            }
        }
    }
}
