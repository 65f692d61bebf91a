//! Matrices turned over, a few elements of a few rows at a time.

/// Writes the first `columns` columns of a matrix as rows of another one; each comes with the floats from one of its rows to
/// the next.
pub fn transpose((from, from_step): (&[f32], usize), columns: usize, (to, to_step): (&mut [f32], usize)) {
    const SIDE: usize = 4;
    const LINE: usize = 16;
    let whole = columns / SIDE * SIDE;
    // A cache line of each row at a time.
    for strip in (0..whole).step_by(LINE) {
        for (square, rows) in from.chunks(SIDE * from_step).enumerate() {
            if rows.len() < (SIDE - 1) * from_step + columns {
                continue;
            }
            for column in (strip..whole.min(strip + LINE)).step_by(SIDE) {
                let square_of: [[f32; SIDE]; SIDE] =
                    std::array::from_fn(|r| std::array::from_fn(|c| rows[r * from_step + column + c]));
                for c in 0..SIDE {
                    let row: [f32; SIDE] = std::array::from_fn(|r| square_of[r][c]);
                    to[(column + c) * to_step + square * SIDE..][..SIDE].copy_from_slice(&row);
                }
            }
        }
    }
    let rows = (from.len() + from_step - columns) / from_step;
    let rest = rows / SIDE * SIDE;
    for (row, from) in from.chunks(from_step).enumerate() {
        let start = if row < rest { whole } else { 0 };
        (start..columns).for_each(|column| to[column * to_step + row] = from[column]);
    }
}
