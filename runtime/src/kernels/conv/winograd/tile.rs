//! The register tile: a few tiles of targets times one or two vectors of target channels, summed over kernel rows and
//! source channels at all six positions, and transformed before they leave the registers.

use super::super::gather::Segment;
use super::super::scratch::BLOCK;
use super::super::tile::{add_few, store};
use super::plan::Tile;
use super::transform::a_t;
use super::{POSITIONS, TILE};
use crate::kernels::simd::{Isa, Kernel, Simd};
use std::array::from_mut;

/// What the tiles of one unit and one block of channels share, for one block of source channels.
pub(super) struct Sweep<'a> {
    /// What a tile reads, one for each row of the kernel.
    pub(super) segments: &'a [Segment],
    pub(super) tiles: &'a [Tile],
    /// Channels of the block, at most a vector's lanes.
    pub(super) channels: usize,
    /// Floats of the target from pixel to pixel.
    pub(super) to_step: usize,
    /// Transformed sources of the unit.
    pub(super) source: *const f32,
    /// Packed weights of the block, `[row, position, LANES]`.
    pub(super) weights: *const f32,
    /// What each target starts from, `[LANES]`.
    pub(super) bias: *const f32,
    /// The tiles' sums so far, `[tile, position, LANES]`; read unless this is the first block of source channels.
    pub(super) sums: *mut f32,
    pub(super) is_first: bool,
    /// Whether the targets are to be written instead of the sums.
    pub(super) is_last: bool,
    /// First pixel of the unit, first channel of the block.
    pub(super) target: *mut f32,
}

/// Adds to the sums of every tile, or computes their targets.
///
/// # Safety
/// The sweep's pointers are good for all that its tiles and segments address.
pub(super) unsafe fn sweep(isa: Isa, sweep: &Sweep<'_>) {
    isa.run(RowSweep(sweep));
}

/// A sweep whose pointers the caller of [`sweep`] has vouched for.
struct RowSweep<'a>(&'a Sweep<'a>);

impl Kernel for RowSweep<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the CPU has `S`, and see `RowSweep`.
        unsafe {
            match S::REGISTERS {
                32 if S::FEW > 1 => positions::<S, 12>(self.0),
                32 => tiles::<S, 4>(self.0),
                _ => tiles::<S, 2>(self.0),
            }
        }
    }
}

/// Every tile, T at a time.
#[inline(always)]
unsafe fn tiles<S: Simd, const T: usize>(sweep: &Sweep<'_>) {
    let count = sweep.tiles.len();
    for start in (0..count).step_by(T) {
        // The last ones repeat the last tile.
        let at: [usize; T] = std::array::from_fn(|t| (start + t).min(count - 1));
        // SAFETY: passed on from the caller; the tiles are the sweep's.
        unsafe { tile::<S, T>(sweep, at) }
    }
}

#[allow(clippy::needless_range_loop)] // the indices of a tile say more than iterators
#[inline(always)]
unsafe fn tile<S: Simd, const T: usize>(sweep: &Sweep<'_>, at: [usize; T]) {
    let tiles: [Tile; T] = std::array::from_fn(|t| sweep.tiles[at[t]]);
    // SAFETY: the caller vouches for the pointers (see `sweep`).
    unsafe {
        let so_far = |t: usize| sweep.sums.add(at[t] * POSITIONS * S::LANES);
        let mut sums = [[S::zero(); POSITIONS]; T];
        if !sweep.is_first {
            for t in 0..T {
                for position in 0..POSITIONS {
                    sums[t][position] = S::load(so_far(t).add(position * S::LANES));
                }
            }
        }
        let mut weights = sweep.weights;
        for segment in sweep.segments {
            let from: [*const f32; T] =
                std::array::from_fn(|t| sweep.source.add(segment.offset + tiles[t].from));
            for c in 0..segment.len {
                for position in 0..POSITIONS {
                    let w = S::load(weights.add(position * S::LANES));
                    for t in 0..T {
                        let x = S::splat(*from[t].add(c + position * BLOCK));
                        sums[t][position] = S::fma(x, w, sums[t][position]);
                    }
                }
                weights = weights.add(POSITIONS * S::LANES);
            }
        }
        for t in 0..T {
            for position in 0..POSITIONS {
                S::store(so_far(t).add(position * S::LANES), sums[t][position]);
            }
        }
        if sweep.is_last {
            for (&tile, at) in tiles.iter().zip(at) {
                finish::<S>(sweep, tile, at);
            }
        }
    }
}

/// Every tile, T at a time, one position after the other: with fewer sums at a time registers hold a few source channels
/// of every tile.
#[inline(always)]
unsafe fn positions<S: Simd, const T: usize>(sweep: &Sweep<'_>) {
    let count = sweep.tiles.len();
    for start in (0..count).step_by(T) {
        // The last ones repeat the last tile.
        let at: [usize; T] = std::array::from_fn(|t| (start + t).min(count - 1));
        // SAFETY: passed on from the caller; the tiles are the sweep's.
        unsafe {
            for position in 0..POSITIONS {
                at_position::<S, T>(sweep, at, position);
            }
            if sweep.is_last {
                for at in at {
                    finish::<S>(sweep, sweep.tiles[at], at);
                }
            }
        }
    }
}

/// Adds to the sums of T tiles at one position.
#[inline(always)]
unsafe fn at_position<S: Simd, const T: usize>(sweep: &Sweep<'_>, at: [usize; T], position: usize) {
    let from = at.map(|at| sweep.tiles[at].from);
    // SAFETY: the caller vouches for the pointers (see `sweep`).
    unsafe {
        let so_far = at.map(|at| sweep.sums.add((at * POSITIONS + position) * S::LANES));
        let mut sums = [[S::zero()]; T];
        if !sweep.is_first {
            sums = so_far.map(|from| [S::load(from)]);
        }
        let mut weights = sweep.weights.add(position * S::LANES);
        let step = POSITIONS * S::LANES;
        for segment in sweep.segments {
            let source = sweep.source.add(segment.offset + position * BLOCK);
            let from: [*const f32; T] = from.map(|from| source.add(from));
            let together = S::together(segment.len);
            for c in (0..together).step_by(S::FEW) {
                add_few::<S, 1, T, 1>(from_mut(&mut sums), |_, t| from[t].add(c), weights, step);
                weights = weights.add(S::FEW * step);
            }
            for c in together..segment.len {
                let w = S::load(weights);
                for (sum, from) in sums.iter_mut().zip(from) {
                    sum[0] = S::fma(S::splat(*from.add(c)), w, sum[0]);
                }
                weights = weights.add(step);
            }
        }
        for (to, [sum]) in so_far.into_iter().zip(sums) {
            S::store(to, sum);
        }
    }
}

/// Writes the targets of a tile from its sums.
#[inline(always)]
unsafe fn finish<S: Simd>(sweep: &Sweep<'_>, tile: Tile, at: usize) {
    // SAFETY: the caller vouches for the pointers (see `sweep`).
    unsafe {
        let sums = sweep.sums.add(at * POSITIONS * S::LANES);
        let sums = std::array::from_fn(|position| S::load(sums.add(position * S::LANES)));
        let bias = S::load(sweep.bias);
        let targets = a_t::<S>(sums).map(|v| S::add(v, bias));
        let to = sweep.target.add(tile.to);
        if tile.targets == TILE && sweep.channels == S::LANES {
            for (pixel, v) in targets.into_iter().enumerate() {
                S::store(to.add(pixel * sweep.to_step), v);
            }
        } else {
            for (pixel, &v) in targets.iter().enumerate().take(tile.targets) {
                store::<S, 1>(to.add(pixel * sweep.to_step), &[v], sweep.channels);
            }
        }
    }
}
