//! Winograd's F(4x4, 3x3): sixteen targets from 36 sources with 36 multiplications a pair of channels instead of 144.
//!
//! A unit's sources are transformed once; then, for each block of target channels, come the products at the 36
//! positions of a tile, matrices of tiles times source channels, and the targets from them while they are in the
//! cache. The input gradient is the same with the kernel turned round. Errors are two to three times those of the
//! direct convolution: 2e-6 of the largest result with 64 channels and 5e-6 with 512. The weight gradient's are 2e-6
//! of the largest, where the direct sum has 3e-7.

mod joint;
mod pack;
mod plan;
mod tile;
mod transform;
mod weight;

pub(in crate::kernels::conv) use joint::JointSquares;
pub(in crate::kernels::conv) use plan::SquarePlan;
pub(in crate::kernels::conv) use weight::{d_weight, plan as weight_plan, workspace as weight_workspace};

use super::super::buffer::Buffer;
use super::super::direct::Target;
use super::super::gather::{ChannelBlock, Direction};
use super::super::geometry::Geometry;
use super::super::source::ReadThrough;
use super::super::workspace::{Workspace, buffers};
use super::units::TileUnit;
use super::{POSITIONS, TILE};
use crate::deal::each;
use crate::kernels::batch_norm::{Accumulator, part_bytes, part_len, with_parts};
use crate::kernels::simd::Isa;
use crate::threads::current_count;
use pack::pack;
use std::mem::MaybeUninit;
use tile::{Products, Targets};

/// Elements of a transformed tile.
const SQUARE: usize = POSITIONS * POSITIONS;
/// Tasks that the last units should have for each thread, so that they come out about even.
const TASKS: usize = 4;
/// Tiles that a unit is padded to a multiple of.
const TAIL: usize = 4;

/// Whether this is faster than one direction, as measured with AVX-512: where the products outweigh the transforms,
/// images hold mostly whole tiles, and there are enough of them to pay for the transform of the weights.
pub(in crate::kernels::conv) fn is_faster(g: &Geometry) -> bool {
    let [rows, cols] = g.output.map(|size| size.div_ceil(TILE));
    let full = g.output[0] * g.output[1] * 4 >= rows * cols * TILE * TILE * 3;
    g.in_channels.min(g.out_channels) >= 32 && full && g.images * rows * cols >= 32
}

/// The same for the weight gradient. With more channels every chunk of its sums would transform too much again.
pub(in crate::kernels::conv) fn weight_is_faster(g: &Geometry) -> bool {
    is_faster(g) && g.in_channels.max(g.out_channels) <= 128
}

/// The pass: `source` and `target` are whole batches, `weight` is `[O, I, 3, 3]`, `bias` one float a lane of every
/// channel block. Answers the units' moments, if they were asked for. Writes every target.
#[expect(clippy::too_many_arguments, reason = "those of both passes")]
pub(in crate::kernels::conv) fn run(
    isa: Isa,
    plan: &SquarePlan,
    direction: Direction,
    weight: &[f32],
    bias: &[f32],
    source: ReadThrough<'_>,
    target: &mut [MaybeUninit<f32>],
    with_moments: bool,
) -> Vec<f64> {
    let target = Target(target.as_mut_ptr().cast());
    let mut parts = Vec::new();
    let mut chunks = plan.channel_blocks.chunks(plan.chunk_blocks()).peekable();
    while let Some(blocks) = chunks.next() {
        let packed = pack(isa, plan, direction, weight, blocks);
        // Only then are pixels whole.
        let with_moments = with_moments && chunks.peek().is_none();
        let work = SquarePass { isa, plan, blocks, packed: &packed, bias, source, target };
        parts = work.units(with_moments);
    }
    parts
}

/// What one worker computes with.
pub(in crate::kernels::conv) struct SquareBuffers {
    /// The rows of sources that a row of tiles reads, with their borders.
    lines: Buffer,
    transformed: Buffer,
    /// `[position, tile, vectors * lanes]` of one block of target channels.
    products: Buffer,
    sums: Accumulator,
}

impl SquareBuffers {
    fn new(plan: &SquarePlan, with_moments: bool) -> Self {
        Self {
            lines: Buffer::zeros(plan.lines_len()),
            transformed: Buffer::zeros(plan.transformed_len()),
            products: Buffer::zeros(plan.products_len()),
            sums: Accumulator::new(if with_moments { plan.target.channels } else { 1 }),
        }
    }
}

/// The pass of some channel blocks; see [`run`].
struct SquarePass<'a> {
    isa: Isa,
    plan: &'a SquarePlan,
    blocks: &'a [ChannelBlock],
    /// The blocks' transformed weights.
    packed: &'a [f32],
    bias: &'a [f32],
    source: ReadThrough<'a>,
    target: Target,
}

impl SquarePass<'_> {
    /// Computes every unit, and its moments if they are asked for.
    fn units(&self, with_moments: bool) -> Vec<f64> {
        let Self { isa, plan, source, .. } = *self;
        let (units, channels) = (plan.units.count(), plan.target.channels);
        // Those behind the whole ones would leave threads without work.
        let whole = units - units % current_count();
        let shares = self.shares(units - whole);
        let mut parts = vec![0.0; if with_moments { units * part_len(channels) } else { 0 }];
        let (meanwhile, afterwards) =
            parts.split_at_mut(if with_moments { whole * part_len(channels) } else { 0 });
        let worker = || (SquareBuffers::new(plan, with_moments), None);
        let task = |(worker, transformed): &mut (SquareBuffers, Option<usize>),
                    (index, part): (usize, Option<&mut [f64]>)| {
            let of_shares = index.saturating_sub(whole);
            let number = index.min(whole) + of_shares / shares.len();
            let share = if index < whole { self } else { &shares[of_shares % shares.len()] };
            let unit = plan.units.unit(number);
            if transformed.replace(number) != Some(number) {
                plan.transform(isa, &unit, source, &mut worker.lines, &mut worker.transformed);
            }
            share.unit(&unit, worker);
            if let Some(part) = part {
                // SAFETY: the unit has written its rows, and all other channels of theirs were written before.
                unsafe { self.moments(&unit, &mut worker.sums, part) }
            }
        };
        let tasks = whole + (units - whole) * shares.len();
        each(with_parts(tasks, meanwhile, channels), worker, task);
        each(
            afterwards.chunks_exact_mut(part_len(channels)).enumerate(),
            || Accumulator::new(channels),
            |sums, (index, part)| {
                // SAFETY: every unit has been written.
                unsafe { self.moments(&plan.units.unit(whole + index), sums, part) }
            },
        );
        parts
    }

    /// The pass in shares of the channel blocks, so that so few units make work for all threads: each thread transforms what
    /// they read. No sum depends on them.
    fn shares(&self, units: usize) -> Vec<SquarePass<'_>> {
        let wanted = (TASKS * current_count()).div_ceil(units.max(1));
        let blocks = self.blocks.len().div_ceil(wanted.min(self.blocks.len()));
        let mut packed = self.packed;
        let share = |blocks| {
            let (own, rest) = packed.split_at(self.plan.packed_len(blocks));
            packed = rest;
            SquarePass { blocks, packed: own, ..*self }
        };
        self.blocks.chunks(blocks).map(share).collect()
    }

    /// Adds a unit's rows to a part of the moments.
    ///
    /// # Safety
    /// Every channel of them has been written, and nobody writes them meanwhile.
    unsafe fn moments(&self, unit: &TileUnit, sums: &mut Accumulator, part: &mut [f64]) {
        let (plan, rows) = (self.plan, self.plan.target_rows(unit));
        // SAFETY: a unit's rows lie within the target; else passed on from the caller.
        unsafe { self.target.moments(self.isa, plan.target, &unit.images, &rows, sums, part) }
    }

    /// Computes the targets of one unit from its transformed sources.
    fn unit(&self, unit: &TileUnit, worker: &mut SquareBuffers) {
        let plan = self.plan;
        let [_, width] = plan.target.size;
        let steps = [plan.target.len(), width * plan.target.channels, plan.target.channels];
        let rows = plan.target_rows(unit);
        let start = unit.images.start * steps[0] + rows.start * steps[1];
        let mut weights = self.packed;
        for block in self.blocks {
            let &ChannelBlock { first, channels, vectors, before, .. } = block;
            let position = plan.products_position(block);
            let products = Products {
                tiles: plan.unit_tiles(unit).next_multiple_of(TAIL),
                segments: &plan.segments,
                vectors,
                source: worker.transformed.as_ptr(),
                source_position: plan.position_len(),
                weights: weights.as_ptr(),
                weights_position: plan.panel_len(block),
                to: worker.products.as_mut_ptr(),
                to_position: position,
            };
            let targets = Targets {
                size: [unit.images.len(), rows.len(), width],
                channels,
                vectors,
                products: worker.products.as_ptr(),
                position,
                bias: self.bias[before * plan.lanes..].as_ptr(),
                // SAFETY: the unit's first pixel and the block's first channel lie within the target.
                target: unsafe { self.target.0.add(start + first) },
                steps,
            };
            // SAFETY: by the plan's sizes the tiles lie in the transformed sources, in the products and in the
            // target, whose lengths the callers of `run` have checked.
            unsafe {
                tile::multiply(self.isa, &products);
                tile::finish(self.isa, &targets);
            }
            weights = &weights[plan.packed_len(std::slice::from_ref(block))..];
        }
    }
}

/// The memory of a pass.
pub(in crate::kernels::conv) fn workspace(plan: &SquarePlan) -> Workspace {
    let lanes = plan.target_lanes();
    // The first chunk's blocks are the widest.
    let widest = &plan.channel_blocks[..plan.chunk_blocks().min(plan.channel_blocks.len())];
    Workspace {
        call_bytes: plan.bytes()
            + lanes * size_of::<f32>()
            + buffers(&[plan.packed_len(widest)])
            + 2 * widest.len() * pack::PART_BYTES
            + part_bytes(plan.units.count(), plan.target.channels),
        worker_bytes: buffers(&[plan.lines_len(), plan.transformed_len(), plan.products_len()])
            + Accumulator::bytes(plan.target.channels),
    }
}
