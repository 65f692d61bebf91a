//! Small dense products of row-major matrices, for losses that compare every sample with every other.

use super::products::ROWS;
use gemm::Parallelism;
use rayon::prelude::*;

/// A row-major matrix, or its transpose: `data` is `[rows, columns]` as stored.
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
}

/// out `[a.rows, b.columns]` += a·b.
///
/// # Panics
/// If the shapes do not fit.
pub fn add_product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>) {
    assert_eq!(a.columns, b.rows, "inner extents of a product");
    assert_eq!(out.len(), a.rows * b.columns, "elements of a product");
    if out.is_empty() || a.columns == 0 {
        return;
    }
    out.par_chunks_mut(ROWS * b.columns)
        .enumerate()
        .for_each(|(task, out)| product_of_rows(out, a, task * ROWS, b, true));
}

/// out `[a.rows, b.columns]` = a·b, or out += a·b, on this thread alone.
///
/// # Panics
/// If the shapes do not fit.
pub fn product(out: &mut [f32], a: Matrix<'_>, b: Matrix<'_>, adds: bool) {
    assert_eq!(a.columns, b.rows, "inner extents of a product");
    assert_eq!(out.len(), a.rows * b.columns, "elements of a product");
    if out.is_empty() || a.columns == 0 {
        if !adds {
            out.fill(0.0);
        }
        return;
    }
    product_of_rows(out, a, 0, b, adds);
}

/// The product of b with the rows of a from `first` on that `out` has room for. Neither matrix is empty.
fn product_of_rows(out: &mut [f32], a: Matrix<'_>, first: usize, b: Matrix<'_>, adds: bool) {
    let rows = out.len() / b.columns;
    assert!(first + rows <= a.rows, "rows of a product");
    // SAFETY: `out` is `rows` whole rows of b.columns elements. `a` is an intact view of a matrix (its fields
    // are private), of which rows first..first + rows exist, as was checked; its first
    // element of that range is inside `data`, which is not empty. `b` is read whole. Nothing else touches
    // `out` while it is borrowed, and all strides fit isize because the slices do.
    unsafe {
        gemm::gemm(
            rows,
            b.columns,
            a.columns,
            out.as_mut_ptr(),
            1,
            b.columns as isize,
            adds,
            a.data[first * a.row_stride..].as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// The inner products of all pairs of rows: `[N, N]` for `rows` `[N, columns]`.
pub fn gram(rows: &[f32], columns: usize) -> Vec<f32> {
    let x = Matrix::new(rows, columns);
    let mut out = vec![0.0; x.rows * x.rows];
    add_product(&mut out, x, x.transposed());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(a: Matrix<'_>, b: Matrix<'_>, start: &[f32]) -> Vec<f32> {
        let at = |m: Matrix<'_>, r: usize, c: usize| m.data[r * m.row_stride + c * m.column_stride];
        let mut out = start.to_vec();
        for r in 0..a.rows {
            for c in 0..b.columns {
                out[r * b.columns + c] += (0..a.columns).map(|i| at(a, r, i) * at(b, i, c)).sum::<f32>();
            }
        }
        out
    }

    #[test]
    fn products_agree_with_plain_loops() {
        for (m, n, k) in [(1, 1, 1), (5, 3, 7), (64, 2, 9), (65, 17, 33), (130, 1, 4), (3, 70, 1)] {
            // Small integers, so that every order of adding gives the same sum.
            let numbers = |len: usize, step: usize| -> Vec<f32> {
                (0..len).map(|i| ((i * step) % 11) as f32 - 5.0).collect()
            };
            let (a, b, start) = (numbers(m * k, 7), numbers(k * n, 3), numbers(m * n, 5));
            let plain = (Matrix::new(&a, k), Matrix::new(&b, n));
            let flipped = (Matrix::new(&a, m).transposed(), Matrix::new(&b, k).transposed());
            for (a, b) in [plain, flipped] {
                let mut out = start.clone();
                add_product(&mut out, a, b);
                assert_eq!(out, naive(a, b, &start), "{m} x {k} times {k} x {n}");
            }
        }
    }
}
