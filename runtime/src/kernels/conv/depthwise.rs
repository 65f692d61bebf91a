//! Depthwise convolution, one filter a channel: vectors of channels, a few neighbouring pixels at a time.

use super::gather::PixelRun;
use super::scratch::BLOCK;
use super::tile::{self, Sweep};
use crate::kernels::simd::{Isa, Kernel, Simd};

/// Computes every target of `sweep`, whose block of channels is one block of the scratch.
///
/// # Safety
/// The sweep's pointers are good for all that its runs, segments and block address.
pub(super) unsafe fn sweep(isa: Isa, sweep: &Sweep<'_>) {
    isa.run(DepthwiseSweep(sweep));
}

/// A sweep whose pointers the caller of [`sweep`] has vouched for.
struct DepthwiseSweep<'a>(&'a Sweep<'a>);

impl Kernel for DepthwiseSweep<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the CPU has `S`, and see `DepthwiseSweep`.
        unsafe {
            match S::LANES {
                16 => tiles::<S, 1>(self.0),
                8 => tiles::<S, 2>(self.0),
                _ => tiles::<S, 4>(self.0),
            }
        }
    }
}

/// Every tile: eight pixels at a time, then four, two and one, and NB vectors.
#[inline(always)]
unsafe fn tiles<S: Simd, const NB: usize>(sweep: &Sweep<'_>) {
    let mut runs = sweep.runs;
    while !runs.is_empty() {
        // SAFETY: passed on from the caller; the runs are the sweep's.
        let done = unsafe {
            match runs.len() {
                8.. => tile::<S, NB, 8>(sweep, runs),
                4.. => tile::<S, NB, 4>(sweep, runs),
                2.. => tile::<S, NB, 2>(sweep, runs),
                _ => tile::<S, NB, 1>(sweep, runs),
            }
        };
        runs = &runs[done..];
    }
}

/// The sums of the first P runs, of one pixel each. Answers P.
#[inline(always)]
unsafe fn tile<S: Simd, const NB: usize, const P: usize>(sweep: &Sweep<'_>, runs: &[PixelRun]) -> usize {
    let mut at = [runs[0]; P];
    at.copy_from_slice(&runs[..P]);
    for lane in (0..NB * S::LANES).step_by(S::LANES) {
        if lane >= sweep.block.channels {
            break;
        }
        // SAFETY: the caller vouches for the pointers (see `sweep`).
        unsafe {
            let mut sums = [S::load(sweep.bias.add(lane)); P];
            for (row, segment) in sweep.segments.iter().enumerate() {
                let w = S::load(sweep.weights.add(row * BLOCK + lane));
                let source = sweep.source.add(segment.offset + lane);
                for q in 0..P {
                    sums[q] = S::fma(S::load(source.add(at[q].from)), w, sums[q]);
                }
            }
            for q in 0..P {
                let to = sweep.target.add(at[q].to + lane);
                tile::store::<S, 1>(to, &[sums[q]], sweep.block.channels - lane);
            }
        }
    }
    P
}
