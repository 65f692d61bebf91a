//! Depthwise convolution, one filter a channel: vectors of channels, a few neighbouring pixels at a time.

use super::gather::Run;
use super::scratch::BLOCK;
use super::tile::{self, Sweep};
use crate::kernels::simd::Simd;

/// Pixels of a tile.
const PIXELS: usize = 4;

/// Computes every target of `sweep`, whose block of channels is one block of the scratch.
///
/// # Safety
/// The CPU has the instruction set of `S`; the sweep's pointers are good for all that its runs, segments and
/// block address.
#[inline(always)]
pub(super) unsafe fn sweep<S: Simd>(sweep: &Sweep<'_>) {
    // SAFETY: passed on from the caller.
    unsafe {
        match S::LANES {
            16 => tiles::<S, 1>(sweep),
            8 => tiles::<S, 2>(sweep),
            _ => tiles::<S, 4>(sweep),
        }
    }
}

/// Every tile of PIXELS pixels and NB vectors.
#[inline(always)]
unsafe fn tiles<S: Simd, const NB: usize>(sweep: &Sweep<'_>) {
    let pixels = sweep.runs.len() * sweep.run_len;
    let pixel = |i: usize| {
        let (run, r) = (sweep.runs[i / sweep.run_len], i % sweep.run_len);
        Run { from: run.from + r * sweep.from_step, to: run.to + r * sweep.to_step }
    };
    for start in (0..pixels).step_by(PIXELS) {
        let mut at = [Run { from: 0, to: 0 }; PIXELS];
        for (q, run) in at.iter_mut().enumerate() {
            *run = pixel((start + q).min(pixels - 1));
        }
        for j in 0..NB {
            // SAFETY: passed on from the caller; the pixels are the sweep's.
            unsafe { tile::<S>(sweep, &at, j * S::LANES) }
        }
    }
}

/// The sums of PIXELS pixels for one vector of channels, `lane` floats into the block.
#[inline(always)]
unsafe fn tile<S: Simd>(sweep: &Sweep<'_>, at: &[Run; PIXELS], lane: usize) {
    if lane >= sweep.block.channels {
        return;
    }
    // SAFETY: the caller vouches for the pointers (see `sweep`).
    unsafe {
        let mut sums = [S::load(sweep.bias.add(lane)); PIXELS];
        for (row, segment) in sweep.segments.iter().enumerate() {
            let w = S::load(sweep.weights.add(row * BLOCK + lane));
            let source = sweep.source.add(segment.offset + lane);
            for q in 0..PIXELS {
                sums[q] = S::fma(S::load(source.add(at[q].from)), w, sums[q]);
            }
        }
        for q in 0..PIXELS {
            let to = sweep.target.add(at[q].to + lane);
            tile::store::<S, 1>(to, &[sums[q]], sweep.block.channels - lane);
        }
    }
}
