//! Matrix products, cut into pieces by shape; each piece is one single-threaded call of `gemm`.

use super::products;
use gemm::Parallelism;
use rayon::prelude::*;

/// A matrix over a slice: element (r, c) lies at `r · row_stride + c · column_stride`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// The row-major matrix `[rows, columns]` that `data` holds.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns, "a matrix of {rows} by {columns}");
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same elements with rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `lhs · rhs`, row-major, plus `bias` (one a column) where given.
pub fn product(lhs: Matrix<'_>, rhs: Matrix<'_>, bias: Option<&[f32]>) -> Vec<f32> {
    assert_eq!(lhs.columns, rhs.rows, "the inner sizes of a matrix product");
    let (rows, columns, depth) = (lhs.rows, rhs.columns, lhs.columns);
    let mut out = vec![0.0; rows * columns];
    if let Some(bias) = bias {
        out.par_chunks_exact_mut(columns).for_each(|row| row.copy_from_slice(bias));
    }
    let (long, step) = (rows.max(columns), products::step(rows, columns, depth));
    let base = Shared(out.as_mut_ptr());
    (0..products::pieces(rows, columns, depth)).into_par_iter().for_each(|piece| {
        let first = piece * step;
        let count = step.min(long - first);
        // SAFETY: `out` holds rows · columns elements and outlives the loop; pieces are disjoint ranges of
        // whole rows (or of whole columns) inside it, so no two threads write one element.
        unsafe {
            if rows >= columns {
                piece_of_product(
                    base.at(first * columns),
                    columns,
                    lhs,
                    rhs,
                    first..first + count,
                    0..columns,
                    bias.is_some(),
                );
            } else {
                piece_of_product(
                    base.at(first),
                    columns,
                    lhs,
                    rhs,
                    0..rows,
                    first..first + count,
                    bias.is_some(),
                );
            }
        }
    });
    out
}

/// Writes the `rows` and `columns` of `lhs · rhs` to `out`, or adds them to what is there.
///
/// # Safety
/// `out` must be valid for writes of `rows.len()` rows of `columns.len()` elements, `stride` apart, that no
/// other thread touches; the ranges must lie inside the matrices.
unsafe fn piece_of_product(
    out: *mut f32,
    stride: usize,
    lhs: Matrix<'_>,
    rhs: Matrix<'_>,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    add: bool,
) {
    let lhs_start = lhs.data[rows.start * lhs.row_stride..].as_ptr();
    let rhs_start = rhs.data[columns.start * rhs.column_stride..].as_ptr();
    // SAFETY: `Matrix::new` checked that every element of the matrices lies in its slice, the ranges lie
    // inside the matrices, and the caller vouches for `out`.
    unsafe {
        gemm::gemm(
            rows.len(),
            columns.len(),
            lhs.columns,
            out,
            1,
            stride as isize,
            add,
            lhs_start,
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs_start,
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// A pointer that pieces of one loop share.
struct Shared(*mut f32);

// SAFETY: the pieces write disjoint elements (see `product`), so sharing the pointer is sound.
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    /// `offset` must lie inside the allocation.
    unsafe fn at(&self, offset: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(offset) }
    }
}
