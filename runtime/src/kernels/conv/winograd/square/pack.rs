//! Transformed weights in the order in which the products read them.

use super::super::super::buffer::Buffer;
use super::super::super::gather::{ChannelBlock, Direction};
use super::super::super::scratch::BLOCK;
use super::super::POSITIONS;
use super::super::transform::g;
use super::SquarePlan;

use crate::deal::all;
use crate::kernels::simd::{Isa, Kernel, Simd};
use crate::kernels::transpose::transpose;
use std::mem::MaybeUninit;

/// Taps of a kernel, and of a row of it.
const TAPS: usize = 9;
const ROW: usize = 3;

/// Transforms what some channel blocks need of `weight: [O, I, 3, 3]` into
/// `[block, position, source channel, vectors * lanes]`.
pub(super) fn pack(
    isa: Isa,
    plan: &SquarePlan,
    direction: Direction,
    weight: &[f32],
    blocks: &[ChannelBlock],
) -> Buffer {
    let len = plan.packed_len(blocks);
    let write = |packed: &mut [MaybeUninit<f32>]| {
        let mut rest = packed;
        let mut parts = Vec::with_capacity(blocks.len());
        for &block in blocks {
            let (to, after) = rest.split_at_mut(plan.packed_len(&[block]));
            parts.push(Filters { plan, direction, weight, block, to });
            rest = after;
        }
        all(parts.into_iter(), |filters| isa.run(filters));
    };
    // SAFETY: a block's filters are as many as its place has room for, and every position's gap is written, too.
    unsafe { Buffer::written(len, write) }
}

/// Bytes of what is known of a block while weights are transformed.
pub(super) const PART_BYTES: usize = size_of::<Filters<'_>>();

/// The filters of one block of target channels.
struct Filters<'a> {
    plan: &'a SquarePlan,
    direction: Direction,
    weight: &'a [f32],
    block: ChannelBlock,
    to: &'a mut [MaybeUninit<f32>],
}

impl Filters<'_> {
    /// The taps between LANES target channels, from `lane` on, and a source channel; turned round for the input
    /// gradient.
    #[inline(always)]
    fn taps(&self, lane: usize, source: usize) -> [[f32; BLOCK]; TAPS] {
        let Filter { from, every, forward } = self.map(lane, source);
        let mut taps = [[0.0; BLOCK]; TAPS];
        let channels = (self.block.channels - lane).min(self.plan.lanes);
        let to_row = |tap: usize| if forward { tap } else { TAPS - 1 - tap } * BLOCK;
        let from_row = |channel: usize| channel * every;
        transpose([channels, TAPS], &self.weight[from..], from_row, taps.as_flattened_mut(), to_row);
        taps
    }

    /// Where those filters lie.
    #[inline(always)]
    fn map(&self, lane: usize, source: usize) -> Filter {
        let (sources, targets) = (self.plan.source.channels, self.plan.target.channels);
        let target = self.block.first + lane;
        if self.direction == Direction::Forward {
            Filter { from: (target * sources + source) * TAPS, every: sources * TAPS, forward: true }
        } else {
            Filter { from: (source * targets + target) * TAPS, every: TAPS, forward: false }
        }
    }
}

/// The first of some filters, and floats from one to the next.
struct Filter {
    from: usize,
    every: usize,
    forward: bool,
}

impl Kernel for Filters<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let width = self.block.vectors * S::LANES;
        let panel = self.plan.panel_len(&self.block);
        for to in self.to.chunks_mut(panel) {
            to[panel - BLOCK..].fill(MaybeUninit::new(0.0));
        }
        for source in 0..self.plan.source.channels {
            for lane in (0..width).step_by(S::LANES) {
                let taps = self.taps(lane, source);
                // A slice, so that the places of all positions are checked.
                let to =
                    &mut self.to[source * width + lane..][..(POSITIONS * POSITIONS - 1) * panel + S::LANES];
                // SAFETY: the CPU has `S`; a block of taps has room for a vector, and so has every position.
                unsafe {
                    let mut rows = [[S::zero(); ROW]; POSITIONS];
                    for col in 0..ROW {
                        let column = std::array::from_fn(|row| S::load(taps[row * ROW + col].as_ptr()));
                        for (row, v) in g::<S>(column).into_iter().enumerate() {
                            rows[row][col] = v;
                        }
                    }
                    for (row, v) in rows.into_iter().enumerate() {
                        for (col, v) in g::<S>(v).into_iter().enumerate() {
                            S::store(to.as_mut_ptr().cast::<f32>().add((row * POSITIONS + col) * panel), v);
                        }
                    }
                }
            }
        }
    }
}
