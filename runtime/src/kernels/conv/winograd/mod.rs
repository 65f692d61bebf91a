//! Winograd's F(4, 3) along the rows of images: four neighbouring targets from six sources, with 6
//! multiplications a kernel row and pair of channels instead of 12 (Winograd, "Arithmetic complexity of
//! computations", 1980; for convolutions Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016).
//!
//! Kernel rows and up to sixteen source channels are summed in registers; the sums of one block of target channels
//! are all that is stored of the products. The input gradient is the same with
//! the kernel turned round. Errors are about one and a half times those of the direct convolution: 1.3e-6 of the
//! largest result with 64 channels and 3e-6 with 512.

mod joint;
mod pack;
mod plan;
pub(super) mod square;
mod tile;
mod transform;
mod units;
mod weight;

pub(super) use joint::JointRows;
pub(super) use pack::pack;
pub(super) use plan::{RowPlan, applies, is_faster};
pub(super) use weight::{d_weight, plan as weight_plan, workspace as weight_workspace};

use super::buffer::Buffer;
use super::direct::Target;
use super::gather::ChannelBlock;
use super::source::ReadThrough;
use super::workspace::{Workspace, buffers};
use crate::deal::each;
use crate::kernels::batch_norm::{Accumulator, part_bytes, part_len, with_parts};
use crate::kernels::simd::Isa;
use plan::Tile;
use std::mem::MaybeUninit;
use tile::Sweep;
use units::TileUnit;

/// Targets of a tile.
const TILE: usize = 4;
/// Elements of a transformed tile.
const POSITIONS: usize = 6;
/// Rows of the kernel.
const KERNEL_ROWS: usize = 3;

/// Runs every unit: `source` and `target` are whole batches, `packed` the plan's transformed weights, `bias` one
/// float a lane of every channel block. Answers the units' moments, if they were asked for. Writes every target.
pub(super) fn run(
    isa: Isa,
    plan: &RowPlan,
    packed: &[f32],
    bias: &[f32],
    source: ReadThrough<'_>,
    target: &mut [MaybeUninit<f32>],
    with_moments: bool,
) -> Vec<f64> {
    let tiles = &plan.unit_tiles();
    let work = RowPass { isa, plan, tiles, packed, bias, target: Target(target.as_mut_ptr().cast()) };
    let (units, channels) = (plan.units.count(), plan.target.channels);
    let mut parts = vec![0.0; if with_moments { units * part_len(channels) } else { 0 }];
    let worker = || RowBuffers::new(plan, with_moments);
    let unit = |worker: &mut RowBuffers, (index, part): (usize, Option<&mut [f64]>)| {
        let unit = plan.units.unit(index);
        plan.transform(isa, &unit, source, &mut worker.row, &mut worker.transformed);
        work.unit(&unit, worker);
        if let Some(part) = part {
            // SAFETY: the unit has written these rows, with every channel of theirs.
            unsafe { work.target.moments(isa, plan.target, &unit.images, &unit.rows, &mut worker.sums, part) }
        }
    };
    each(with_parts(units, &mut parts, channels), worker, unit);
    parts
}

/// What one worker computes with.
pub(in crate::kernels::conv) struct RowBuffers {
    /// A row of sources with its border.
    row: Buffer,
    transformed: Buffer,
    /// `[tile, position, lane]` of one block of target channels.
    products: Buffer,
    sums: Accumulator,
}

impl RowBuffers {
    fn new(plan: &RowPlan, with_moments: bool) -> Self {
        Self {
            row: Buffer::zeros(plan.row_len()),
            transformed: Buffer::zeros(plan.transformed_len()),
            products: Buffer::zeros(plan.products_len()),
            sums: Accumulator::new(if with_moments { plan.target.channels } else { 1 }),
        }
    }
}

/// One pass; see [`run`].
struct RowPass<'a> {
    isa: Isa,
    plan: &'a RowPlan,
    /// Those of a full unit: the tiles of a smaller one come first.
    tiles: &'a [Tile],
    packed: &'a [f32],
    bias: &'a [f32],
    target: Target,
}

impl RowPass<'_> {
    /// Computes the targets of one unit from its transformed sources.
    fn unit(&self, unit: &TileUnit, worker: &mut RowBuffers) {
        let plan = self.plan;
        let row = plan.target.size[1] * plan.target.channels;
        let start = unit.images.start * plan.target.len() + unit.rows.start * row;
        // Units of several images hold whole images, so a shorter unit lacks only tiles at the end.
        let tiles = &self.tiles[..unit.images.len() * unit.rows.len() * plan.cols];
        for &ChannelBlock { first, channels, before, .. } in &plan.channel_blocks {
            let mut weights = before * plan.lanes * plan.rows() * POSITIONS;
            let source_blocks = plan.segments.len() / KERNEL_ROWS;
            for (block, segments) in plan.segments.chunks_exact(KERNEL_ROWS).enumerate() {
                let sweep = Sweep {
                    segments,
                    tiles,
                    channels,
                    to_step: plan.target.channels,
                    source: worker.transformed.as_ptr(),
                    weights: self.packed[weights..].as_ptr(),
                    bias: self.bias[before * plan.lanes..].as_ptr(),
                    sums: worker.products.as_mut_ptr(),
                    is_first: block == 0,
                    is_last: block + 1 == source_blocks,
                    // SAFETY: the unit's first pixel and the block's first channel lie within the target.
                    target: unsafe { self.target.0.add(start + first) },
                };
                // SAFETY: by the plan's sizes the tiles lie in the transformed sources, in the sums and in the
                // target, whose lengths the callers of `run` have checked.
                unsafe { tile::sweep(self.isa, &sweep) }
                weights += segments.iter().map(|s| s.len).sum::<usize>() * POSITIONS * plan.lanes;
            }
        }
    }
}

/// The memory of a pass.
pub(super) fn workspace(plan: &RowPlan) -> Workspace {
    let lanes = plan.target_lanes();
    Workspace {
        call_bytes: plan.bytes()
            + lanes * size_of::<f32>()
            + 2 * plan.most_tiles() * size_of::<Tile>()
            + buffers(&[POSITIONS * plan.rows() * lanes])
            + 2 * plan.channel_blocks.len() * size_of::<(&[f32], &ChannelBlock)>()
            + part_bytes(plan.units.count(), plan.target.channels),
        worker_bytes: buffers(&[plan.row_len(), plan.transformed_len(), plan.products_len()])
            + Accumulator::bytes(plan.target.channels),
    }
}
