//! The transforms of F(4, 3) with the points 0, 5/8, -5/8, 11/8, -11/8 and infinity: sources by Bᵀ d, weights by G g,
//! sums of products by Aᵀ m, and, for the weight gradient, targets by A y and sums of products by Gᵀ u. The usual
//! points 1 and 2 cost as much, but their powers spread further, and errors twice to four times as far.

use super::super::scratch::BLOCK;
use super::{POSITIONS, TILE};
use crate::kernels::simd::{Isa, Kernel, Simd};

/// The finite points other than 0, with either sign. All that Aᵀ and Bᵀ hold of them is exact.
const NEAR: f32 = 0.625;
const FAR: f32 = 1.375;
/// Factors of G: a point's differences from the other points, multiplied and inverted.
const BY_ZERO: f32 = 1.0 / (NEAR * NEAR * FAR * FAR);
const BY_NEAR: f32 = 0.5 / (NEAR * NEAR * (NEAR * NEAR - FAR * FAR));
const BY_FAR: f32 = 0.5 / (FAR * FAR * (FAR * FAR - NEAR * NEAR));

/// A row of sources `[pixel, 16]`, four pixels a tile and two more, to become `[tile, position, 16]`.
pub(super) struct SourceRow<'a> {
    pub(super) from: &'a [f32],
    pub(super) to: &'a mut [f32],
}

/// Transforms a row of sources.
pub(super) fn sources(isa: Isa, rows: SourceRow<'_>) {
    assert!(rows.from.len() * POSITIONS >= (rows.to.len() / POSITIONS * TILE + 2 * BLOCK) * POSITIONS);
    isa.run(rows);
}

impl Kernel for SourceRow<'_> {
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
pub(super) unsafe fn b_t<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
    // SAFETY: the caller vouches for `S`.
    unsafe {
        let [near, far] = [S::splat(-NEAR * NEAR), S::splat(-FAR * FAR)];
        let (near_even, near_odd) = (S::fma(far, d[2], d[4]), S::fma(far, d[1], d[3]));
        let (far_even, far_odd) = (S::fma(near, d[2], d[4]), S::fma(near, d[1], d[3]));
        let [sum, product] = [S::splat(-NEAR * NEAR - FAR * FAR), S::splat(NEAR * NEAR * FAR * FAR)];
        [
            S::fma(product, d[0], S::fma(sum, d[2], d[4])),
            S::fma(S::splat(NEAR), near_odd, near_even),
            S::fma(S::splat(-NEAR), near_odd, near_even),
            S::fma(S::splat(FAR), far_odd, far_even),
            S::fma(S::splat(-FAR), far_odd, far_even),
            S::fma(product, d[1], S::fma(sum, d[3], d[5])),
        ]
    }
}

/// Aᵀ applied to six vectors.
#[inline(always)]
pub(super) unsafe fn a_t<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
    // SAFETY: the caller vouches for `S`.
    unsafe {
        let (near_even, near_odd) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (far_even, far_odd) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        let near = |power: i32, v| S::mul(S::splat(NEAR.powi(power)), v);
        let and_far = |power: i32, v, near| S::fma(S::splat(FAR.powi(power)), v, near);
        [
            S::add(m[0], S::add(near_even, far_even)),
            and_far(1, far_odd, near(1, near_odd)),
            and_far(2, far_even, near(2, near_even)),
            and_far(3, far_odd, S::fma(S::splat(NEAR.powi(3)), near_odd, m[5])),
        ]
    }
}

/// A row of targets' gradients `[pixel, 16]`, four pixels a tile, to become `[position, tile, width]`, of which
/// `lanes` lanes are written.
pub(super) struct TargetRow<'a> {
    pub(super) from: &'a [f32],
    pub(super) tiles: usize,
    pub(super) lanes: usize,
    pub(super) width: usize,
    /// Floats from position to position.
    pub(super) position: usize,
    pub(super) to: &'a mut [f32],
}

/// Transforms a row of targets' gradients.
pub(super) fn gradients(isa: Isa, rows: TargetRow<'_>) {
    let last = (POSITIONS - 1) * rows.position + (rows.tiles - 1) * rows.width + rows.lanes;
    assert!(rows.from.len() >= rows.tiles * TILE * BLOCK && rows.to.len() >= last && rows.lanes <= BLOCK);
    isa.run(rows);
}

impl Kernel for TargetRow<'_> {
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
pub(super) unsafe fn a<S: Simd>(y: [S::V; 4]) -> [S::V; 6] {
    // SAFETY: the caller vouches for `S`.
    unsafe {
        let even = |point: f32| S::fma(S::splat(point.powi(2)), y[2], y[0]);
        let odd = |point: f32| S::fma(S::splat(point.powi(3)), y[3], S::mul(S::splat(point), y[1]));
        let (near_even, near_odd, far_even, far_odd) = (even(NEAR), odd(NEAR), even(FAR), odd(FAR));
        [
            y[0],
            S::add(near_even, near_odd),
            S::sub(near_even, near_odd),
            S::add(far_even, far_odd),
            S::sub(far_even, far_odd),
            y[3],
        ]
    }
}

/// G applied to three vectors.
#[inline(always)]
pub(super) unsafe fn g<S: Simd>(w: [S::V; 3]) -> [S::V; 6] {
    // SAFETY: the caller vouches for `S`.
    unsafe {
        let even =
            |point: f32, by: f32| S::fma(S::splat(point * point * by), w[2], S::mul(S::splat(by), w[0]));
        let odd = |point: f32, by: f32| S::mul(S::splat(point * by), w[1]);
        let (near_even, near_odd) = (even(NEAR, BY_NEAR), odd(NEAR, BY_NEAR));
        let (far_even, far_odd) = (even(FAR, BY_FAR), odd(FAR, BY_FAR));
        [
            S::mul(S::splat(BY_ZERO), w[0]),
            S::add(near_even, near_odd),
            S::sub(near_even, near_odd),
            S::add(far_even, far_odd),
            S::sub(far_even, far_odd),
            w[2],
        ]
    }
}

/// Gᵀ applied to six vectors.
#[inline(always)]
pub(super) unsafe fn g_t<S: Simd>(u: [S::V; 6]) -> [S::V; 3] {
    // SAFETY: the caller vouches for `S`.
    unsafe {
        let [near_even, near_odd] = [S::add(u[1], u[2]), S::sub(u[1], u[2])];
        let [far_even, far_odd] = [S::add(u[3], u[4]), S::sub(u[3], u[4])];
        let both =
            |near: f32, a, far: f32, b, rest| S::fma(S::splat(near), a, S::fma(S::splat(far), b, rest));
        [
            both(BY_NEAR, near_even, BY_FAR, far_even, S::mul(S::splat(BY_ZERO), u[0])),
            both(NEAR * BY_NEAR, near_odd, FAR * BY_FAR, far_odd, S::zero()),
            both(NEAR * NEAR * BY_NEAR, near_even, FAR * FAR * BY_FAR, far_even, u[5]),
        ]
    }
}

/// G applied to a row of the kernel.
pub(super) fn weights([a, b, c]: [f32; 3]) -> [f32; POSITIONS] {
    let [near, far] = [(a + NEAR * NEAR * c) * BY_NEAR, (a + FAR * FAR * c) * BY_FAR];
    let [near_odd, far_odd] = [NEAR * BY_NEAR * b, FAR * BY_FAR * b];
    [a * BY_ZERO, near + near_odd, near - near_odd, far + far_odd, far - far_odd, c]
}

/// Gᵀ applied to sums of products: a row of the weight gradient.
pub(super) fn d_weights(u: [f32; POSITIONS]) -> [f32; 3] {
    let [near_even, near_odd] = [(u[1] + u[2]) * BY_NEAR, (u[1] - u[2]) * BY_NEAR];
    let [far_even, far_odd] = [(u[3] + u[4]) * BY_FAR, (u[3] - u[4]) * BY_FAR];
    [
        u[0] * BY_ZERO + near_even + far_even,
        NEAR * near_odd + FAR * far_odd,
        NEAR * NEAR * near_even + FAR * FAR * far_even + u[5],
    ]
}
