//! The register tile of a product: pixels that lie side by side in the scratch times a few vectors of target channels.

use super::super::gather::ChannelBlock;
use super::super::scratch::BLOCK;
use super::super::tile::add_few;
use crate::kernels::simd::{Isa, Kernel, Simd};
use std::mem::MaybeUninit;
use std::ops::Range;

/// Most pixels of a tile on any instruction set: the scratch has as many behind its last one, for the tile to read.
pub(in crate::kernels) const MOST_PIXELS: usize = 14;

/// Pixels of a tile of the widest channel block.
pub(super) fn tile_pixels(isa: Isa) -> usize {
    match (isa.lanes(), isa.registers()) {
        (16, _) => 14,
        (_, 32) => 6,
        (8, _) => 6,
        _ => 4,
    }
}

/// Floats of the largest tile.
const ASIDE: usize = MOST_PIXELS * 32;

/// A tile that has no place of its own; not filled, which would take as long as a small tile.
#[repr(align(64))]
struct Aside(MaybeUninit<[f32; ASIDE]>);

/// Some pixels, some source channels of theirs and one block of target channels.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Sweep<'a> {
    /// Floats from `target` to where each pixel is written.
    pub(in crate::kernels) places: &'a [usize],
    /// The first pixel's first channel, in a scratch of `[source block, pixel, 16 channels]`.
    pub(in crate::kernels) source: *const f32,
    /// Floats of the scratch from block to block.
    pub(in crate::kernels) source_step: usize,
    /// Source channels.
    pub(in crate::kernels) depth: usize,
    /// Packed weights of these channels and the block, `[depth, vectors * LANES]`.
    pub(in crate::kernels) weights: *const f32,
    pub(in crate::kernels) start: Start,
    /// What is copied next.
    pub(in crate::kernels) ahead: Option<Ahead>,
    pub(in crate::kernels) block: ChannelBlock,
    /// First channel of the block of the place from which others are counted.
    pub(in crate::kernels) target: *mut f32,
}

/// What each sum of a tile starts from.
#[derive(Clone, Copy)]
pub(in crate::kernels) enum Start {
    /// One number a lane, `[vectors * LANES]`.
    Given(*const f32),
    /// What the target holds.
    Held,
    /// Zero; the sum is added to what the target holds.
    Nothing,
}

/// What is brought near while a sweep computes: of as many pixels as it has, some channels.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct Ahead {
    /// The first pixel's first channel, in one map or two.
    pub(in crate::kernels) from: [*const f32; 2],
    /// Floats from pixel to pixel.
    pub(in crate::kernels) step: usize,
    /// The channels, in blocks of 16.
    pub(in crate::kernels) blocks: [usize; 2],
}

impl Ahead {
    /// What one of `parts` parts of the channels takes, from a pixel on; none where there are fewer blocks.
    pub(super) fn part(&self, pixel: usize, part: usize, parts: usize) -> Option<Self> {
        let from = self.from.map(|from| from.wrapping_add(pixel * self.step));
        let [first, last] = self.blocks;
        let blocks = [part, part + 1].map(|part| first + part * (last - first) / parts);
        (blocks[0] < blocks[1]).then_some(Self { from, blocks, ..*self })
    }

    /// Brings some pixels near.
    #[inline(always)]
    unsafe fn fetch<S: Simd>(&self, pixels: Range<usize>) {
        let maps = if self.from[0] == self.from[1] { 1 } else { 2 };
        for pixel in pixels {
            for block in self.blocks[0]..self.blocks[1] {
                for from in &self.from[..maps] {
                    // SAFETY: the CPU has `S`; any address will do.
                    unsafe { S::fetch(from.wrapping_add(pixel * self.step + block * BLOCK)) }
                }
            }
        }
    }
}

/// Computes every target of `sweep`.
///
/// # Safety
/// The sweep's pointers are good for all that its places, depth and block address, and the scratch for
/// [`MOST_PIXELS`] pixels more.
pub(in crate::kernels) unsafe fn sweep(isa: Isa, sweep: &Sweep<'_>) {
    isa.run(PointwiseSweep(sweep));
}

/// A sweep whose pointers the caller of [`sweep`] has vouched for.
struct PointwiseSweep<'a>(&'a Sweep<'a>);

impl Kernel for PointwiseSweep<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let PointwiseSweep(sweep) = self;
        // SAFETY: the CPU has `S`, and see `PointwiseSweep`.
        unsafe {
            match (S::LANES, sweep.block.vectors) {
                (16, 2) => tiles::<S, 14, 2>(sweep),
                (16, _) => tiles::<S, 14, 1>(sweep),
                (8, 2) => tiles::<S, 6, 2>(sweep),
                (8, _) => tiles::<S, 12, 1>(sweep),
                (_, 4) => tiles::<S, 6, 4>(sweep),
                (_, 2) if S::REGISTERS == 32 => tiles::<S, 8, 2>(sweep),
                (_, 2) => tiles::<S, 4, 2>(sweep),
                (_, _) => tiles::<S, 8, 1>(sweep),
            }
        }
    }
}

#[inline(always)]
unsafe fn tiles<S: Simd, const R: usize, const NB: usize>(sweep: &Sweep<'_>) {
    for first in (0..sweep.places.len()).step_by(R) {
        // SAFETY: passed on from the caller.
        unsafe { tile::<S, R, NB>(sweep, first) }
    }
}

/// One tile: sums in registers, one broadcast source value against NB vectors of weights at a time. Where pixels or channels
/// are missing it is made whole aside, and what there is goes to its place.
#[allow(clippy::needless_range_loop)] // the indices of a tile say more than iterators
#[inline(always)]
unsafe fn tile<S: Simd, const R: usize, const NB: usize>(sweep: &Sweep<'_>, first: usize) {
    let (places, channels, width) = (&sweep.places[first..], sweep.block.channels, NB * S::LANES);
    let places = &places[..R.min(places.len())];
    let (is_whole, adds) = (places.len() == R && channels == width, matches!(sweep.start, Start::Nothing));
    let mut aside = Aside(MaybeUninit::uninit());
    // SAFETY: the caller vouches for the pointers (see `sweep`).
    unsafe {
        let place = |r: usize| sweep.target.add(*places.get_unchecked(r));
        let aside_at = aside.0.as_mut_ptr().cast::<f32>();
        let mut sums = [[S::zero(); NB]; R];
        if let Start::Given(bias) = sweep.start {
            for j in 0..NB {
                let bias = S::load(bias.add(j * S::LANES));
                for r in 0..R {
                    sums[r][j] = bias;
                }
            }
        } else if adds {
            // From zero.
        } else if is_whole {
            for r in 0..R {
                for j in 0..NB {
                    sums[r][j] = S::load(place(r).add(j * S::LANES));
                }
            }
        } else {
            aside_at.write_bytes(0, R * width);
            for r in 0..places.len() {
                place(r).copy_to_nonoverlapping(aside_at.add(r * width), channels);
            }
            for r in 0..R {
                for j in 0..NB {
                    sums[r][j] = S::load(aside_at.add(r * width + j * S::LANES));
                }
            }
        }
        add_products::<S, R, NB>(sweep, first, &mut sums);
        if is_whole {
            for r in 0..R {
                for j in 0..NB {
                    let to = place(r).add(j * S::LANES);
                    S::store(to, if adds { S::add(S::load(to), sums[r][j]) } else { sums[r][j] });
                }
            }
        } else {
            for r in 0..R {
                for j in 0..NB {
                    S::store(aside_at.add(r * width + j * S::LANES), sums[r][j]);
                }
            }
            for r in 0..places.len() {
                let (to, from) = (place(r), aside_at.add(r * width));
                if adds {
                    (0..channels).for_each(|c| *to.add(c) += *from.add(c));
                } else {
                    to.copy_from_nonoverlapping(from, channels);
                }
            }
        }
    }
}

/// Adds the products of the depth's channels, in their order, to the sums of a tile.
#[allow(clippy::needless_range_loop)] // as above
#[inline(always)]
unsafe fn add_products<S: Simd, const R: usize, const NB: usize>(
    sweep: &Sweep<'_>,
    first: usize,
    sums: &mut [[S::V; NB]; R],
) {
    // SAFETY: passed on from the caller.
    unsafe {
        let mut weights = sweep.weights;
        let mut source = sweep.source.add(first * BLOCK);
        let mut near = first;
        let near_step = (R * BLOCK).div_ceil(sweep.depth);
        for done in (0..sweep.depth).step_by(BLOCK) {
            if let Some(ahead) = &sweep.ahead {
                let next = (near + near_step).min(first + R);
                ahead.fetch::<S>(near..next);
                near = next;
            }
            let len = BLOCK.min(sweep.depth - done);
            let together = S::together(len);
            for c in (0..together).step_by(S::FEW) {
                let from = |_: usize, r: usize| source.add(c + r * BLOCK);
                add_few::<S, 1, R, NB>(std::array::from_mut(sums), from, weights, NB * S::LANES);
                weights = weights.add(S::FEW * NB * S::LANES);
            }
            for c in together..len {
                let mut w = [S::zero(); NB];
                for (j, w) in w.iter_mut().enumerate() {
                    *w = S::load(weights.add(j * S::LANES));
                }
                for r in 0..R {
                    let x = S::splat(*source.add(c + r * BLOCK));
                    for j in 0..NB {
                        sums[r][j] = S::fma(x, w[j], sums[r][j]);
                    }
                }
                weights = weights.add(NB * S::LANES);
            }
            source = source.add(sweep.source_step);
        }
    }
}
