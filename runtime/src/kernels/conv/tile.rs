//! The register tile of the direct convolution: a few neighbouring target pixels times a few vectors of target
//! channels, summed over every tap and source channel without leaving the registers.

use super::gather::{ChannelBlock, PixelRun, Segment};
use super::scratch::BLOCK;
use crate::kernels::simd::{Isa, Kernel, Simd};

/// Most vectors of a channel block.
pub(in crate::kernels) fn block_vectors(isa: Isa) -> usize {
    if isa.lanes() == 4 && isa.registers() == 32 { 4 } else { 2 }
}

/// Pixels of a run where the tile knows their distance.
pub(super) fn run_pixels(isa: Isa) -> usize {
    match (isa.lanes(), isa.registers()) {
        (8, _) | (4, 32) => 2,
        _ => 4,
    }
}

/// What the tiles of one pass and one block of channels share.
#[derive(Clone, Copy)]
pub(super) struct Sweep<'a> {
    pub(super) segments: &'a [Segment],
    pub(super) runs: &'a [PixelRun],
    pub(super) run_len: usize,
    pub(super) from_step: usize,
    pub(super) to_step: usize,
    pub(super) block: ChannelBlock,
    /// First block of the group in the unit's scratch.
    pub(super) source: *const f32,
    /// Packed weights of the pass and the block, `[rows, vectors * LANES]`.
    pub(super) weights: *const f32,
    /// What each sum starts from, `[vectors * LANES]`.
    pub(super) bias: *const f32,
    /// First pixel of the unit, first channel of the block.
    pub(super) target: *mut f32,
}

/// Computes every target of `sweep`.
///
/// # Safety
/// The sweep's pointers are good for all that its runs, segments and block address.
pub(super) unsafe fn sweep(isa: Isa, sweep: &Sweep<'_>) {
    isa.run(DirectSweep(sweep));
}

/// A sweep whose pointers the caller of [`sweep`] has vouched for.
struct DirectSweep<'a>(&'a Sweep<'a>);

impl Kernel for DirectSweep<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        // SAFETY: the CPU has `S`, and see `DirectSweep`.
        unsafe { by_size::<S>(self.0) }
    }
}

/// Chooses the tile that suits the instruction set and the channel block.
#[inline(always)]
unsafe fn by_size<S: Simd>(sweep: &Sweep<'_>) {
    // SAFETY: passed on from the caller.
    unsafe {
        match (S::LANES, sweep.block.vectors) {
            (16, 2) => by_distance::<S, 3, 4, 8, 2>(sweep),
            (16, _) => by_distance::<S, 6, 4, 12, 1>(sweep),
            (8, 2) => by_distance::<S, 3, 2, 6, 2>(sweep),
            (8, _) => by_distance::<S, 4, 2, 8, 1>(sweep),
            (_, 4) => by_distance::<S, 3, 2, 6, 4>(sweep),
            (_, 2) if S::REGISTERS == 32 => by_distance::<S, 4, 2, 8, 2>(sweep),
            (_, 2) => by_distance::<S, 1, 4, 4, 2>(sweep),
            (_, _) if S::REGISTERS == 32 => by_distance::<S, 6, 2, 12, 1>(sweep),
            (_, _) => by_distance::<S, 2, 4, 8, 1>(sweep),
        }
    }
}

/// Chooses between Q runs of R pixels a constant distance apart, and Q1 single pixels.
#[inline(always)]
unsafe fn by_distance<S: Simd, const Q: usize, const R: usize, const Q1: usize, const NB: usize>(
    sweep: &Sweep<'_>,
) {
    const TWICE: usize = 2 * BLOCK;
    // SAFETY: passed on from the caller.
    unsafe {
        match (sweep.run_len, sweep.from_step) {
            (1, _) => tiles::<S, Q1, 1, NB, 0>(sweep),
            (_, BLOCK) => tiles::<S, Q, R, NB, BLOCK>(sweep),
            (_, _) => tiles::<S, Q, R, NB, TWICE>(sweep),
        }
    }
}

/// Every tile of Q runs of R pixels, `STEP` floats of the scratch from pixel to pixel.
#[inline(always)]
unsafe fn tiles<S: Simd, const Q: usize, const R: usize, const NB: usize, const STEP: usize>(
    sweep: &Sweep<'_>,
) {
    let runs = sweep.runs;
    for start in (0..runs.len()).step_by(Q) {
        let mut at = [runs[start]; Q];
        for (q, run) in at.iter_mut().enumerate() {
            // A last, smaller tile repeats its last run.
            *run = runs[(start + q).min(runs.len() - 1)];
        }
        // SAFETY: passed on from the caller; the runs are the sweep's.
        unsafe { tile::<S, Q, R, NB, STEP>(sweep, &at) }
    }
}

/// One tile: sums in registers, one broadcast source value against NB vectors of weights at a time.
#[allow(clippy::needless_range_loop)] // the indices of a tile say more than iterators
#[inline(always)]
unsafe fn tile<S: Simd, const Q: usize, const R: usize, const NB: usize, const STEP: usize>(
    sweep: &Sweep<'_>,
    runs: &[PixelRun; Q],
) {
    // SAFETY: the caller vouches for the pointers (see `sweep`).
    unsafe {
        let mut sums = [[[S::zero(); NB]; R]; Q];
        for j in 0..NB {
            let bias = S::load(sweep.bias.add(j * S::LANES));
            for run in &mut sums {
                for pixel in run {
                    pixel[j] = bias;
                }
            }
        }
        let mut weights = sweep.weights;
        for segment in sweep.segments {
            let source = sweep.source.add(segment.offset);
            let mut from = [source; Q];
            for q in 0..Q {
                from[q] = source.add(runs[q].from);
            }
            let together = S::together(segment.len);
            for c in (0..together).step_by(S::FEW) {
                let from = |q: usize, r: usize| from[q].add(c + r * STEP);
                add_few::<S, Q, R, NB>(&mut sums, from, weights, NB * S::LANES);
                weights = weights.add(S::FEW * NB * S::LANES);
            }
            for c in together..segment.len {
                let mut w = [S::zero(); NB];
                for (j, w) in w.iter_mut().enumerate() {
                    *w = S::load(weights.add(j * S::LANES));
                }
                for q in 0..Q {
                    for r in 0..R {
                        let x = S::splat(*from[q].add(c + r * STEP));
                        for j in 0..NB {
                            sums[q][r][j] = S::fma(x, w[j], sums[q][r][j]);
                        }
                    }
                }
                weights = weights.add(NB * S::LANES);
            }
        }
        for q in 0..Q {
            for r in 0..R {
                let to = sweep.target.add(runs[q].to + r * sweep.to_step);
                store::<S, NB>(to, &sums[q][r], sweep.block.channels);
            }
        }
    }
}

/// Adds the products of [`Simd::FEW`] source channels to NB vectors of sums a pixel. Those of pixel (q, r) begin at
/// `from(q, r)`, and their rows of weights lie `step` floats apart.
///
/// # Safety
/// The CPU has the instruction set of `S`, and the pointers are good for so many channels and rows.
#[allow(clippy::needless_range_loop)] // the indices of a tile say more than iterators
#[inline(always)]
pub(super) unsafe fn add_few<S: Simd, const Q: usize, const R: usize, const NB: usize>(
    sums: &mut [[[S::V; NB]; R]; Q],
    from: impl Fn(usize, usize) -> *const f32,
    weights: *const f32,
    step: usize,
) {
    // SAFETY: see above.
    unsafe {
        // In plain loops: a call that is not inlined would put the sums into memory.
        let mut x = [[S::zero(); R]; Q];
        for q in 0..Q {
            for r in 0..R {
                x[q][r] = S::few(from(q, r));
            }
        }
        for channel in 0..S::FEW {
            // One vector of weights at a time: the registers are full of the others.
            for j in 0..NB {
                let w = S::load(weights.add(channel * step + j * S::LANES));
                for q in 0..Q {
                    for r in 0..R {
                        sums[q][r][j] = S::fma(S::pick(x[q][r], channel), w, sums[q][r][j]);
                    }
                }
            }
        }
    }
}

/// Writes the first `channels` lanes of NB vectors.
///
/// # Safety
/// The CPU has the instruction set of `S`, and `to` is good for `channels` floats.
#[inline(always)]
pub(super) unsafe fn store<S: Simd, const NB: usize>(to: *mut f32, sums: &[S::V; NB], channels: usize) {
    for (j, &sum) in sums.iter().enumerate() {
        let done = j * S::LANES;
        // SAFETY: only lanes below `channels` are written.
        unsafe {
            if done + S::LANES <= channels {
                S::store(to.add(done), sum);
            } else if done < channels {
                S::store_first(to.add(done), sum, channels - done);
            }
        }
    }
}
