//! The transforms of F(4, 3) in both directions, columns first: sources by Bᵀ d B, weights by G g Gᵀ, products by
//! Aᵀ m A, and, for the weight gradient, targets by A y Aᵀ and sums of products by Gᵀ u G.

use super::super::super::scratch::BLOCK;
use super::super::transform::{a, a_t, b_t, g_t};
use super::super::{POSITIONS, TILE};
use super::SQUARE;
use crate::kernels::simd::{Isa, Kernel, Simd};

/// Six rows of sources `[pixel, 16]`, four pixels a tile and two more, to become `[position, tile, 16]`.
#[derive(Clone, Copy)]
pub(super) struct Lines<'a> {
    pub(super) lines: &'a [f32],
    pub(super) row_len: usize,
    /// Which row comes first; the one before it comes last.
    pub(super) first: usize,
    pub(super) tiles: usize,
    /// Floats from position to position.
    pub(super) position: usize,
}

/// Transforms a row of tiles; `to` starts at its first tile.
pub(super) fn sources(isa: Isa, lines: Lines<'_>, to: &mut [f32]) {
    let Lines { row_len, tiles, position, .. } = lines;
    assert!(row_len >= (tiles * TILE + 2) * BLOCK && lines.lines.len() >= POSITIONS * row_len);
    assert!(to.len() >= (SQUARE - 1) * position + tiles * BLOCK);
    isa.run(Sources(lines, to));
}

struct Sources<'a>(Lines<'a>, &'a mut [f32]);

impl Kernel for Sources<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Sources(lines, to) = self;
        let rows: [*const f32; POSITIONS] =
            std::array::from_fn(|i| lines.lines[(lines.first + i) % POSITIONS * lines.row_len..].as_ptr());
        for lane in (0..BLOCK).step_by(S::LANES) {
            // SAFETY: `sources` has checked that every tile has six pixels in six rows and 36 places; the lanes lie
            // within a block, and the CPU has `S`.
            unsafe {
                let column = |col: usize| {
                    b_t::<S>(std::array::from_fn(|row| S::load(rows[row].add(col * BLOCK + lane))))
                };
                let mut columns = [[S::zero(); POSITIONS]; POSITIONS];
                (columns[4], columns[5]) = (column(0), column(1));
                for tile in 0..lines.tiles {
                    // Neighbouring tiles share two columns.
                    (columns[0], columns[1]) = (columns[4], columns[5]);
                    let next = tile * TILE;
                    (columns[2], columns[3]) = (column(next + 2), column(next + 3));
                    (columns[4], columns[5]) = (column(next + 4), column(next + 5));
                    let to = to.as_mut_ptr().add(tile * BLOCK + lane);
                    // Row by row in the text: in a loop that is not unrolled the columns would be in memory.
                    store_row::<S, 0>(&columns, to, lines.position);
                    store_row::<S, 1>(&columns, to, lines.position);
                    store_row::<S, 2>(&columns, to, lines.position);
                    store_row::<S, 3>(&columns, to, lines.position);
                    store_row::<S, 4>(&columns, to, lines.position);
                    store_row::<S, 5>(&columns, to, lines.position);
                }
            }
        }
    }
}

/// Transforms a row of a tile whose columns are transformed, and writes it, `position` floats apart.
///
/// # Safety
/// The CPU has the instruction set of `S`, and `to` is good for a vector at every position.
#[inline(always)]
unsafe fn store_row<S: Simd, const ROW: usize>(
    columns: &[[S::V; POSITIONS]; POSITIONS],
    to: *mut f32,
    position: usize,
) {
    // SAFETY: see above.
    unsafe {
        let [a, b, c, d, e, f] = columns;
        let row = b_t::<S>([a[ROW], b[ROW], c[ROW], d[ROW], e[ROW], f[ROW]]);
        for (col, v) in row.into_iter().enumerate() {
            S::store(to.add((ROW * POSITIONS + col) * position), v);
        }
    }
}

/// The targets of a tile from one vector of its products at 36 positions, `position` floats apart.
///
/// # Safety
/// The CPU has the instruction set of `S`, and `products` is good for a vector at every position.
#[allow(clippy::needless_range_loop)] // the indices of a tile say more than iterators
#[inline(always)]
pub(super) unsafe fn targets<S: Simd>(products: *const f32, position: usize) -> [[S::V; TILE]; TILE] {
    // SAFETY: see above.
    unsafe {
        let mut m = [[S::zero(); POSITIONS]; TILE];
        for col in 0..POSITIONS {
            let load = |row: usize| S::load(products.add((row * POSITIONS + col) * position));
            let column = a_t::<S>(std::array::from_fn(load));
            for (row, v) in column.into_iter().enumerate() {
                m[row][col] = v;
            }
        }
        let mut y = [[S::zero(); TILE]; TILE];
        for (y, m) in y.iter_mut().zip(m) {
            *y = a_t::<S>(m);
        }
        y
    }
}

/// Four rows of targets' gradients `[pixel, 16]`, four pixels a tile, to become `[position, tile, width]`, of which
/// `lanes` lanes are written.
#[derive(Clone, Copy)]
pub(super) struct TargetLines<'a> {
    pub(super) lines: &'a [f32],
    pub(super) tiles: usize,
    pub(super) lanes: usize,
    pub(super) width: usize,
    /// Floats from position to position.
    pub(super) position: usize,
}

/// Transforms a row of tiles of targets' gradients; `to` starts at its first tile.
pub(super) fn gradients(isa: Isa, lines: TargetLines<'_>, to: &mut [f32]) {
    let TargetLines { tiles, lanes, width, position, .. } = lines;
    assert!(lines.lines.len() >= TILE * tiles * TILE * BLOCK && lanes <= BLOCK);
    assert!(to.len() >= (SQUARE - 1) * position + (tiles - 1) * width + lanes);
    isa.run(OfTargets(lines, to));
}

struct OfTargets<'a>(TargetLines<'a>, &'a mut [f32]);

impl Kernel for OfTargets<'_> {
    #[allow(clippy::needless_range_loop)] // the indices of a tile say more than iterators
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let OfTargets(lines, to) = self;
        let row_len = lines.tiles * TILE * BLOCK;
        for tile in 0..lines.tiles {
            for lane in (0..lines.lanes).step_by(S::LANES) {
                // SAFETY: `gradients` has checked that every tile has four pixels in four rows and 36 places; the
                // lanes are whole vectors.
                unsafe {
                    let from = lines.lines.as_ptr().add(tile * TILE * BLOCK + lane);
                    let load = |row: usize, col: usize| S::load(from.add(row * row_len + col * BLOCK));
                    let to = to.as_mut_ptr().add(tile * lines.width + lane);
                    let mut d = [[S::zero(); TILE]; POSITIONS];
                    for col in 0..TILE {
                        let column = a::<S>(std::array::from_fn(|row| load(row, col)));
                        for (row, v) in column.into_iter().enumerate() {
                            d[row][col] = v;
                        }
                    }
                    for (row, d) in d.into_iter().enumerate() {
                        for (col, v) in a::<S>(d).into_iter().enumerate() {
                            S::store(to.add((row * POSITIONS + col) * lines.position), v);
                        }
                    }
                }
            }
        }
    }
}

/// The weight gradient's nine taps from one vector of the sums of products at 36 positions, `position` floats apart.
///
/// # Safety
/// The CPU has the instruction set of `S`, and `sums` is good for a vector at every position.
#[allow(clippy::needless_range_loop)] // the indices of a tile say more than iterators
#[inline(always)]
pub(super) unsafe fn d_weights<S: Simd>(sums: *const f32, position: usize) -> [S::V; 9] {
    // SAFETY: see above.
    unsafe {
        let mut u = [[S::zero(); POSITIONS]; 3];
        for col in 0..POSITIONS {
            let load = |row: usize| S::load(sums.add((row * POSITIONS + col) * position));
            let column = g_t::<S>(std::array::from_fn(load));
            for (row, v) in column.into_iter().enumerate() {
                u[row][col] = v;
            }
        }
        let rows = [g_t::<S>(u[0]), g_t::<S>(u[1]), g_t::<S>(u[2])];
        std::array::from_fn(|tap| rows[tap / 3][tap % 3])
    }
}
