//! Matrices turned over, a few elements of a few rows at a time.

/// Writes columns as rows: element (row, column) lies at `from_row(row) + column` and goes to `to_row(column) + row`.
#[inline(always)]
pub fn transpose(
    [rows, columns]: [usize; 2],
    from: &[f32],
    from_row: impl Fn(usize) -> usize,
    to: &mut [f32],
    to_row: impl Fn(usize) -> usize,
) {
    const SIDE: usize = 4;
    const LINE: usize = 16;
    let [whole_rows, whole_columns] = [rows, columns].map(|count| count / SIDE * SIDE);
    // A cache line of each row at a time.
    for strip in (0..whole_columns).step_by(LINE) {
        for row in (0..whole_rows).step_by(SIDE) {
            for column in (strip..whole_columns.min(strip + LINE)).step_by(SIDE) {
                let few =
                    |row: usize| from[from_row(row) + column..].first_chunk().copied().unwrap_or([0.0; SIDE]);
                let square: [[f32; SIDE]; SIDE] = std::array::from_fn(|r| few(row + r));
                for c in 0..SIDE {
                    let turned: [f32; SIDE] = std::array::from_fn(|r| square[r][c]);
                    to[to_row(column + c) + row..][..SIDE].copy_from_slice(&turned);
                }
            }
        }
    }
    for row in 0..rows {
        let first = if row < whole_rows { whole_columns } else { 0 };
        (first..columns).for_each(|column| to[to_row(column) + row] = from[from_row(row) + column]);
    }
}

#[cfg(test)]
mod tests {
    use super::transpose;

    #[test]
    fn every_element_finds_its_place() {
        for (rows, columns) in [(1, 1), (3, 5), (4, 4), (9, 33), (16, 7), (5, 64), (0, 3), (18, 0)] {
            let (from_step, to_step) = (columns + 2, rows + 3);
            let from: Vec<f32> = (0..rows * from_step).map(|i| i as f32).collect();
            let mut to = vec![-1.0; columns * to_step];
            // Rows in backward order.
            let from_row = |row: usize| (rows - 1 - row) * from_step;
            transpose([rows, columns], &from, from_row, &mut to, |column| column * to_step);
            for (i, &v) in to.iter().enumerate() {
                let (column, row) = (i / to_step, i % to_step);
                let wanted = if row < rows { from[from_row(row) + column] } else { -1.0 };
                assert_eq!(v, wanted, "{rows} x {columns}, row {row}, column {column}");
            }
        }
    }
}
