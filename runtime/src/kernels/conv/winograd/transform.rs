//! The transforms of F(4, 3) with the points 0, 1, -1, 2, -2 and infinity: sources by Bᵀ d, weights by G g, sums of
//! products by Aᵀ m, and, for the weight gradient, targets by A y and sums of products by Gᵀ u.

use super::super::scratch::BLOCK;
use super::{POSITIONS, TILE};
use crate::kernels::simd::{Isa, Kernel, Simd};

/// A row of sources `[pixel, 16]`, four pixels a tile and two more, to become `[tile, position, 16]`.
pub(super) struct Rows<'a> {
    pub(super) from: &'a [f32],
    pub(super) to: &'a mut [f32],
}

/// Transforms a row of sources.
pub(super) fn sources(isa: Isa, rows: Rows<'_>) {
    assert!(rows.from.len() * POSITIONS >= (rows.to.len() / POSITIONS * TILE + 2 * BLOCK) * POSITIONS);
    isa.run(rows);
}

impl Kernel for Rows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for (tile, to) in self.to.chunks_exact_mut(POSITIONS * BLOCK).enumerate() {
            for lane in (0..BLOCK).step_by(S::LANES) {
                // SAFETY: `sources` has checked that every tile has six pixels; the lanes lie within a block.
                unsafe {
                    let p = self.from.as_ptr().add(tile * TILE * BLOCK + lane);
                    let d: [S::V; POSITIONS] = std::array::from_fn(|i| S::load(p.add(i * BLOCK)));
                    let to = to.as_mut_ptr().add(lane);
                    for (i, v) in b_t::<S>(d).into_iter().enumerate() {
                        S::store(to.add(i * BLOCK), v);
                    }
                }
            }
        }
    }
}

/// Bᵀ applied to six vectors.
#[inline(always)]
unsafe fn b_t<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
    // SAFETY: the caller vouches for `S`.
    unsafe {
        let [two, four, five] = [S::splat(2.0), S::splat(4.0), S::splat(-5.0)];
        let minus_four = S::splat(-4.0);
        let (even, odd) = (S::fma(minus_four, d[2], d[4]), S::fma(minus_four, d[1], d[3]));
        let (outer, inner) = (S::sub(d[4], d[2]), S::mul(two, S::sub(d[3], d[1])));
        [
            S::fma(four, d[0], S::fma(five, d[2], d[4])),
            S::add(even, odd),
            S::sub(even, odd),
            S::add(outer, inner),
            S::sub(outer, inner),
            S::fma(four, d[1], S::fma(five, d[3], d[5])),
        ]
    }
}

/// Aᵀ applied to six vectors.
#[inline(always)]
pub(super) unsafe fn a_t<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
    // SAFETY: the caller vouches for `S`.
    unsafe {
        let (ones, one) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (twos, two) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        [
            S::add(m[0], S::add(ones, twos)),
            S::fma(S::splat(2.0), two, one),
            S::fma(S::splat(4.0), twos, ones),
            S::add(S::fma(S::splat(8.0), two, one), m[5]),
        ]
    }
}

/// A row of targets' gradients `[pixel, 16]`, four pixels a tile, to become `[position, tile, width]`, of which
/// `lanes` lanes are written.
pub(super) struct Gradients<'a> {
    pub(super) from: &'a [f32],
    pub(super) tiles: usize,
    pub(super) lanes: usize,
    pub(super) width: usize,
    /// Floats from position to position.
    pub(super) position: usize,
    pub(super) to: &'a mut [f32],
}

/// Transforms a row of targets' gradients.
pub(super) fn gradients(isa: Isa, rows: Gradients<'_>) {
    let last = (POSITIONS - 1) * rows.position + (rows.tiles - 1) * rows.width + rows.lanes;
    assert!(rows.from.len() >= rows.tiles * TILE * BLOCK && rows.to.len() >= last && rows.lanes <= BLOCK);
    isa.run(rows);
}

impl Kernel for Gradients<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for tile in 0..self.tiles {
            for lane in (0..self.lanes).step_by(S::LANES) {
                // SAFETY: `gradients` has checked that the pixels and the places of all tiles lie in the slices;
                // the lanes are whole vectors.
                unsafe {
                    let p = self.from.as_ptr().add(tile * TILE * BLOCK + lane);
                    let d: [S::V; TILE] = std::array::from_fn(|i| S::load(p.add(i * BLOCK)));
                    let to = self.to.as_mut_ptr().add(tile * self.width + lane);
                    for (i, v) in a::<S>(d).into_iter().enumerate() {
                        S::store(to.add(i * self.position), v);
                    }
                }
            }
        }
    }
}

/// A applied to four vectors.
#[inline(always)]
unsafe fn a<S: Simd>(y: [S::V; 4]) -> [S::V; 6] {
    // SAFETY: the caller vouches for `S`.
    unsafe {
        let [two, four, eight] = [S::splat(2.0), S::splat(4.0), S::splat(8.0)];
        let (even, odd) = (S::add(y[0], y[2]), S::add(y[1], y[3]));
        let (evens, odds) = (S::fma(four, y[2], y[0]), S::fma(eight, y[3], S::mul(two, y[1])));
        [y[0], S::add(even, odd), S::sub(even, odd), S::add(evens, odds), S::sub(evens, odds), y[3]]
    }
}

/// G applied to a row of the kernel.
pub(super) fn weights([a, b, c]: [f32; 3]) -> [f32; POSITIONS] {
    let (ones, twos) = ((a + c) / 6.0, a / 24.0 + c / 6.0);
    [a / 4.0, -(ones + b / 6.0), b / 6.0 - ones, twos + b / 12.0, twos - b / 12.0, c]
}

/// Gᵀ applied to sums of products: a row of the weight gradient.
pub(super) fn d_weights(u: [f32; POSITIONS]) -> [f32; 3] {
    let (ones, one) = ((u[1] + u[2]) / 6.0, (u[2] - u[1]) / 6.0);
    let (twos, two) = (u[3] + u[4], (u[3] - u[4]) / 12.0);
    [u[0] / 4.0 - ones + twos / 24.0, one + two, twos / 6.0 - ones + u[5]]
}
