//! The register tiles: the products of a unit at all 36 positions, and the targets from them.

use super::super::super::gather::Segment;
use super::super::super::tile::{add_few, store};
use super::super::TILE;
use super::transform;
use super::{SQUARE, TAIL};
use crate::kernels::conv::scratch::BLOCK;
use crate::kernels::simd::{Isa, Kernel, Simd};
use std::array::from_mut;

/// The products of a unit's tiles and one block of target channels.
pub(super) struct Products<'a> {
    /// Tiles, in whole tails, and one at least.
    pub(super) tiles: usize,
    /// What a tile reads at each position.
    pub(super) segments: &'a [Segment],
    /// Vectors of the block.
    pub(super) vectors: usize,
    /// `[block, position, tile, 16]`, and floats from position to position.
    pub(super) source: *const f32,
    pub(super) source_position: usize,
    /// `[position, source channel, vectors * LANES]`, and floats from position to position.
    pub(super) weights: *const f32,
    pub(super) weights_position: usize,
    /// `[position, tile, vectors * LANES]`, and floats from position to position.
    pub(super) to: *mut f32,
    pub(super) to_position: usize,
}

/// Writes the products, summed over source channels.
///
/// # Safety
/// The pointers are good for all that the tiles, segments and positions address.
pub(super) unsafe fn multiply(isa: Isa, products: &Products<'_>) {
    isa.run(Multiply(products));
}

/// Products whose pointers the caller of [`multiply`] has vouched for.
struct Multiply<'a>(&'a Products<'a>);

impl Kernel for Multiply<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Multiply(products) = self;
        // SAFETY: the CPU has `S`, and see `Multiply`.
        unsafe {
            match (S::REGISTERS, products.vectors) {
                (32, 4) => positions::<S, 6, 4>(products),
                (32, 2) if S::FEW > 1 => positions::<S, 8, 2>(products),
                (32, _) if S::FEW > 1 => positions::<S, 12, 1>(products),
                (32, 2) => positions::<S, 12, 2>(products),
                (32, _) => positions::<S, 24, 1>(products),
                (_, 2) => positions::<S, 6, 2>(products),
                (_, _) => positions::<S, 12, 1>(products),
            }
        }
    }
}

/// Every tile at every position, T at a time, and a tail of fewer.
#[inline(always)]
unsafe fn positions<S: Simd, const T: usize, const NB: usize>(products: &Products<'_>) {
    for position in 0..SQUARE {
        // SAFETY: passed on from the caller; the tiles are the products'.
        unsafe {
            let source = products.source.add(position * products.source_position);
            let weights = products.weights.add(position * products.weights_position);
            let to = products.to.add(position * products.to_position);
            let mut done = 0;
            while done + T <= products.tiles {
                tile::<S, T, NB>(products, source.add(done * BLOCK), weights, to.add(done * NB * S::LANES));
                done += T;
            }
            while done < products.tiles {
                // The last ones may have been computed before, to the same sums.
                let at = done.min(products.tiles - TAIL);
                tile::<S, TAIL, NB>(products, source.add(at * BLOCK), weights, to.add(at * NB * S::LANES));
                done += TAIL;
            }
        }
    }
}

/// T tiles times NB vectors of target channels at one position.
#[inline(always)]
unsafe fn tile<S: Simd, const T: usize, const NB: usize>(
    products: &Products<'_>,
    source: *const f32,
    mut weights: *const f32,
    to: *mut f32,
) {
    // SAFETY: the caller vouches for the pointers (see `multiply`).
    unsafe {
        let mut sums = [[S::zero(); NB]; T];
        for segment in products.segments {
            let from = source.add(segment.offset);
            let together = S::together(segment.len);
            for c in (0..together).step_by(S::FEW) {
                let from = |_, t: usize| from.add(t * BLOCK + c);
                add_few::<S, 1, T, NB>(from_mut(&mut sums), from, weights, NB * S::LANES);
                weights = weights.add(S::FEW * NB * S::LANES);
            }
            for c in together..segment.len {
                let w: [S::V; NB] = std::array::from_fn(|j| S::load(weights.add(j * S::LANES)));
                for (t, sums) in sums.iter_mut().enumerate() {
                    let x = S::splat(*from.add(t * BLOCK + c));
                    for j in 0..NB {
                        sums[j] = S::fma(x, w[j], sums[j]);
                    }
                }
                weights = weights.add(NB * S::LANES);
            }
        }
        for (t, sums) in sums.into_iter().enumerate() {
            for (j, sum) in sums.into_iter().enumerate() {
                S::store(to.add((t * NB + j) * S::LANES), sum);
            }
        }
    }
}

/// The targets of a unit's tiles and one block of target channels.
pub(super) struct Targets {
    /// Images of the unit, rows of targets of each, and targets of a row.
    pub(super) size: [usize; 3],
    /// Channels of the block, and its vectors.
    pub(super) channels: usize,
    pub(super) vectors: usize,
    /// `[position, tile, vectors * LANES]`, and floats from position to position.
    pub(super) products: *const f32,
    pub(super) position: usize,
    /// What is added, `[vectors * LANES]`.
    pub(super) bias: *const f32,
    /// First pixel of the unit, first channel of the block.
    pub(super) target: *mut f32,
    /// Floats of the target from image to image, row to row and pixel to pixel.
    pub(super) steps: [usize; 3],
}

/// Writes the targets.
///
/// # Safety
/// The pointers are good for all that the sizes and steps address.
pub(super) unsafe fn finish(isa: Isa, targets: &Targets) {
    isa.run(Finish(targets));
}

/// Targets whose pointers the caller of [`finish`] has vouched for.
struct Finish<'a>(&'a Targets);

impl Kernel for Finish<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Finish(targets) = self;
        let [images, rows, cols] = targets.size;
        let [to_image, to_row, to_col] = targets.steps;
        let mut products = targets.products;
        for image in 0..images {
            for row in (0..rows).step_by(TILE) {
                for col in (0..cols).step_by(TILE) {
                    let left = [rows - row, cols - col];
                    // SAFETY: see `Finish`; tiles follow each other by image, row and column.
                    unsafe {
                        let to = targets.target.add(image * to_image + row * to_row + col * to_col);
                        for vector in 0..targets.vectors {
                            write::<S>(targets, left, vector * S::LANES, products, to);
                        }
                        products = products.add(targets.vectors * S::LANES);
                    }
                }
            }
        }
    }
}

/// Writes one vector of a tile's targets, of which `left` rows and columns lie in the image.
#[inline(always)]
unsafe fn write<S: Simd>(
    targets: &Targets,
    left: [usize; 2],
    lane: usize,
    products: *const f32,
    to: *mut f32,
) {
    let [_, to_row, to_col] = targets.steps;
    let channels = (targets.channels - lane).min(S::LANES);
    // SAFETY: the caller vouches for the pointers (see `finish`).
    unsafe {
        let bias = S::load(targets.bias.add(lane));
        let y = transform::targets::<S>(products.add(lane), targets.position);
        let to = to.add(lane);
        if left[0] >= TILE && left[1] >= TILE && channels == S::LANES {
            for (row, y) in y.into_iter().enumerate() {
                for (col, v) in y.into_iter().enumerate() {
                    S::store(to.add(row * to_row + col * to_col), S::add(v, bias));
                }
            }
        } else {
            for (row, y) in y.iter().enumerate().take(left[0]) {
                for (col, &v) in y.iter().enumerate().take(left[1]) {
                    store::<S, 1>(to.add(row * to_row + col * to_col), &[S::add(v, bias)], channels);
                }
            }
        }
    }
}
