//! How matrix products are cut, and what `gemm` allocates for the pieces.

use gemm_common::cache::{CACHE_INFO, kernel_params};

/// Multiplications of one piece: some tens of microseconds of work.
const PIECE: usize = 1 << 20;
/// Pieces are whole multiples of this many rows or columns, so that the micro-kernels run full.
const GRAIN: usize = 16;
/// Rows of the product that one task makes where it is cut by rows; each task runs alone, so the sums do not depend on
/// threads.
pub const ROWS: usize = 64;

/// Rows or columns, whichever are more, of one piece of a product `[rows, depth]` times `[depth, columns]`.
pub fn step(rows: usize, columns: usize, depth: usize) -> usize {
    (PIECE / (rows.min(columns) * depth).max(1)).max(1).next_multiple_of(GRAIN)
}

/// The pieces of that product.
pub fn pieces(rows: usize, columns: usize, depth: usize) -> usize {
    rows.max(columns).div_ceil(step(rows, columns, depth))
}

/// Rows and columns of the largest micro-kernel of any instruction set.
const MICRO_KERNEL: [usize; 2] = [48, 16];
/// Bytes that `gemm` rounds its buffers up to.
const ALIGNMENT: usize = 128;

/// Bytes that `gemm` packs the operands of one piece into, at most.
pub fn piece_bytes(rows: usize, columns: usize, depth: usize) -> usize {
    let step = step(rows, columns, depth);
    let (rows, columns) = if rows >= columns { (rows.min(step), columns) } else { (rows, columns.min(step)) };
    gemm_bytes(rows, columns, depth)
}

/// Bytes that one call of `gemm` packs its operands into, at most; results are row-major, so that it exchanges the two.
pub fn gemm_bytes(rows: usize, columns: usize, depth: usize) -> usize {
    let [tall, wide] = MICRO_KERNEL;
    let depth = match columns <= 64 && rows <= 64 {
        true => depth.min(512),
        false => kernel_params(columns, rows, depth, tall, wide, size_of::<f32>()).kc,
    };
    let packed = rows.next_multiple_of(wide) + columns.next_multiple_of(tall);
    depth * packed * size_of::<f32>() + 2 * ALIGNMENT
}

/// Bytes that `gemm` keeps for a thread once it has multiplied on it: as many as its level-2 cache has.
pub fn slab_bytes() -> usize {
    CACHE_INFO[1].cache_bytes + ALIGNMENT
}
