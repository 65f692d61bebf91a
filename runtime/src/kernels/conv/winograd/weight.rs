//! The weight gradient by F(4, 3): six sums of products of transformed x and d_y for every row of the kernel.
//!
//! Cut as the direct weight gradient is: a number of parts fixed by shape, added in order.

use super::super::buffer::Buffer;
use super::super::gather::{ChannelBlock, Direction, cut_channels};
use super::super::geometry::Geometry;
use super::super::scratch::BLOCK;
use super::super::source::{self, ReadThrough, Strip};
use super::super::tile::block_vectors;
use super::super::weight::{self, Products, WeightCut};
use super::super::workspace::{Workspace, buffers};
use super::pack::row;
use super::plan::RowPlan;
use super::transform::{self, TargetRow};
use super::units::TileUnit;
use super::{KERNEL_ROWS, POSITIONS};
use crate::deal::all;
use crate::kernels::simd::{Isa, Kernel, Simd};
use crate::kernels::transpose::transpose;
use crate::kernels::unwritten::filled;
use std::mem::MaybeUninit;

/// Tiles whose products are summed in registers before they are added to the sums: few enough to stay in a level-1
/// cache.
const TOGETHER: usize = 64;

/// The plan, which is the forward pass's but for its wider channel blocks, and its cut.
pub(in super::super) fn plan(isa: Isa, geometry: &Geometry) -> (RowPlan, WeightCut) {
    let mut plan = RowPlan::new(isa, geometry, Direction::Forward);
    plan.channel_blocks = cut_channels(1, plan.target.channels, plan.lanes, block_vectors(isa));
    let bytes = POSITIONS * plan.rows() * lanes(&plan, &plan.channel_blocks) * size_of::<f32>();
    let cut = WeightCut::new(plan.channel_blocks.len(), bytes, plan.units.count());
    (plan, cut)
}

/// Lanes of some channel blocks.
fn lanes(plan: &RowPlan, blocks: &[ChannelBlock]) -> usize {
    blocks.iter().map(|b| b.vectors).sum::<usize>() * plan.lanes
}

/// The memory of the pass.
pub(in super::super) fn workspace(plan: &RowPlan, cut: &WeightCut) -> Workspace {
    let blocks = &plan.channel_blocks;
    let tasks = cut.parts * cut.chunks;
    let widest = blocks.iter().map(|b| b.vectors).max().unwrap_or(0) * plan.lanes * cut.chunk_blocks;
    let d_y = POSITIONS * plan.most_tiles() * widest;
    let places = plan.most_tiles() / plan.cols * size_of::<(usize, usize)>();
    let working = buffers(&[plan.row_len(), plan.transformed_len(), d_y]) + places;
    Workspace {
        // The sums of all tasks are those of all parts.
        call_bytes: plan.bytes()
            + cut.parts * buffers(&[POSITIONS * plan.rows() * lanes(plan, blocks)])
            + 2 * tasks * (size_of::<Buffer>() + buffers(&[0])),
        // While units are worked on, and a chunk's total after that.
        worker_bytes: working.max(buffers(&[POSITIONS * plan.rows() * widest])),
    }
}

/// Writes d_weight `[O, I, 3, 3]` from whole batches of x and d_y.
pub(in super::super) fn d_weight(
    isa: Isa,
    geometry: &Geometry,
    x: ReadThrough<'_>,
    d_y: ReadThrough<'_>,
    d_weight: &mut [MaybeUninit<f32>],
) {
    let (plan, cut) = plan(isa, geometry);
    let blocks_of = |chunk: usize| &plan.channel_blocks[cut.blocks(chunk, plan.channel_blocks.len())];
    let zeros = |chunk| Buffer::zeros(sums_len(&plan, blocks_of(chunk)));
    let add = |scratch: &mut Scratch, index, chunk, sums: &mut Buffer| {
        add(isa, &plan, &plan.units.unit(index), blocks_of(chunk), [x, d_y], scratch, sums);
    };
    let tasks = cut.sums(plan.units.count(), || Scratch::new(&plan, blocks_of(0)), zeros, add);
    finish(isa, &plan, &cut, &tasks, d_weight);
}

/// Writes d_weight from the sums of every part's chunks.
pub(super) fn finish(
    isa: Isa,
    plan: &RowPlan,
    cut: &WeightCut,
    tasks: &[Buffer],
    d_weight: &mut [MaybeUninit<f32>],
) {
    let filter_len = plan.source.channels * KERNEL_ROWS * TAPS;
    let chunks = cut.split(&plan.channel_blocks, filter_len, d_weight);
    all(chunks.into_iter().enumerate(), |(chunk, d_weight)| {
        let blocks = &plan.channel_blocks[cut.blocks(chunk, plan.channel_blocks.len())];
        isa.run(Filters { plan, blocks, sums: &cut.total(tasks, chunk), d_weight: filled(d_weight) });
    });
}

/// Floats of the sums of some channel blocks.
pub(super) fn sums_len(plan: &RowPlan, blocks: &[ChannelBlock]) -> usize {
    POSITIONS * plan.rows() * lanes(plan, blocks)
}

/// What a unit is transformed in.
pub(in crate::kernels::conv) struct Scratch {
    row: Buffer,
    transformed: Buffer,
    gradients: Buffer,
    /// Where its lines of tiles begin: in what is transformed, and among the tiles of the gradients.
    lines: Vec<(usize, usize)>,
}

impl Scratch {
    /// For some channel blocks.
    pub(super) fn new(plan: &RowPlan, blocks: &[ChannelBlock]) -> Self {
        Self {
            row: Buffer::zeros(plan.row_len()),
            transformed: Buffer::zeros(plan.transformed_len()),
            gradients: Buffer::zeros(POSITIONS * plan.most_tiles() * lanes(plan, blocks)),
            lines: Vec::with_capacity(plan.most_tiles() / plan.cols),
        }
    }
}

/// Adds the products of a unit's x and d_y to the sums of some channel blocks.
pub(super) fn add(
    isa: Isa,
    plan: &RowPlan,
    unit: &TileUnit,
    blocks: &[ChannelBlock],
    [x, d_y]: [ReadThrough<'_>; 2],
    scratch: &mut Scratch,
    sums: &mut [f32],
) {
    let Scratch { row, transformed, gradients, lines } = scratch;
    plan.transform(isa, unit, x, row, transformed);
    transform_gradients(isa, plan, unit, blocks, d_y, row, gradients);
    let rows = unit.rows.len();
    let begin = |line: usize| {
        let from = line / rows * plan.image_len() + line % rows * plan.line();
        (from, line * plan.cols)
    };
    lines.clear();
    lines.extend((0..unit.images.len() * rows).map(begin));
    multiply(isa, plan, lines, blocks, [transformed, gradients], sums);
}

/// Transforms a unit's d_y: `[block, position, tile, vectors * lanes]`.
fn transform_gradients(
    isa: Isa,
    plan: &RowPlan,
    unit: &TileUnit,
    blocks: &[ChannelBlock],
    d_y: ReadThrough<'_>,
    row: &mut Buffer,
    gradients: &mut [f32],
) {
    let (width, channels) = (plan.target.size[1], plan.target.channels);
    let tiles = unit.images.len() * unit.rows.len() * plan.cols;
    row[width * BLOCK..].fill(0.0);
    let mut rest = gradients;
    for block in blocks {
        let lanes = block.vectors * plan.lanes;
        let (part, after) = rest.split_at_mut(POSITIONS * plan.most_tiles() * lanes);
        rest = after;
        let mut done = 0;
        for image in unit.images.clone() {
            for line in unit.rows.clone() {
                let pixel = (image * plan.target.size[0] + line) * width;
                for lane in (0..lanes).step_by(BLOCK) {
                    let len = block.channels.saturating_sub(lane).min(BLOCK);
                    let channel = (block.first + lane).min(channels - 1);
                    let strip = Strip { channel, len, every: channels, to_every: BLOCK, to_len: BLOCK };
                    let source = d_y.part(pixel * channels + channel, width * channels - channel);
                    source::copy(isa, source, strip, &mut row[..width * BLOCK]);
                    let rows = TargetRow {
                        from: row,
                        tiles: plan.cols,
                        lanes: (lanes - lane).min(BLOCK),
                        width: lanes,
                        position: tiles * lanes,
                        to: &mut part[done * lanes + lane..],
                    };
                    transform::gradients(isa, rows);
                }
                done += plan.cols;
            }
        }
    }
}

/// Adds the products of a unit, whose lines are given, to the sums.
fn multiply(
    isa: Isa,
    plan: &RowPlan,
    lines: &[(usize, usize)],
    blocks: &[ChannelBlock],
    [transformed, gradients]: [&[f32]; 2],
    sums: &mut [f32],
) {
    let tiles = lines.len() * plan.cols;
    for together in lines.chunks(TOGETHER.div_ceil(plan.cols)) {
        let (mut from, mut to) = (0, 0);
        for block in blocks {
            let lanes = block.vectors * plan.lanes;
            for position in 0..POSITIONS {
                let products = Products {
                    rows: together,
                    cols: plan.cols,
                    x_step: POSITIONS * BLOCK,
                    segments: &plan.segments,
                    vectors: block.vectors,
                    x: transformed[position * BLOCK..].as_ptr(),
                    d_y: gradients[from + position * tiles * lanes..].as_ptr(),
                    sums: sums[to..].as_mut_ptr(),
                };
                // SAFETY: by the plan's sizes a unit's tiles and the block's lanes lie in the buffers.
                unsafe { weight::add(isa, &products) }
                to += plan.rows() * lanes;
            }
            from += POSITIONS * plan.most_tiles() * lanes;
        }
    }
}

/// The sums of some channel blocks, to be transformed into their part of d_weight.
struct Filters<'a> {
    plan: &'a RowPlan,
    blocks: &'a [ChannelBlock],
    sums: &'a [f32],
    d_weight: &'a mut [f32],
}

impl Kernel for Filters<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Filters { plan, blocks, mut sums, d_weight } = self;
        let (rows, channels) = (plan.rows(), plan.source.channels);
        let filter_len = channels * KERNEL_ROWS * TAPS;
        let mut filters = d_weight;
        for block in blocks {
            let width = block.vectors * S::LANES;
            let (of_block, after) = std::mem::take(&mut filters).split_at_mut(block.channels * filter_len);
            filters = after;
            for source in 0..channels {
                for lane in (0..block.channels).step_by(S::LANES) {
                    let mut taps = [[0.0; BLOCK]; KERNEL_ROWS * TAPS];
                    for kernel_row in 0..KERNEL_ROWS {
                        let at = row(channels, source, kernel_row) * width + lane;
                        let u: [&[f32]; POSITIONS] =
                            std::array::from_fn(|position| &sums[position * rows * width + at..][..S::LANES]);
                        for i in 0..S::LANES {
                            let of_lane =
                                transform::d_weights(std::array::from_fn(|position| u[position][i]));
                            for (tap, v) in of_lane.into_iter().enumerate() {
                                taps[kernel_row * TAPS + tap][i] = v;
                            }
                        }
                    }
                    let shape = [KERNEL_ROWS * TAPS, (block.channels - lane).min(S::LANES)];
                    let to = &mut of_block[lane * filter_len + source * KERNEL_ROWS * TAPS..];
                    let (from, from_row) = (taps.as_flattened(), |tap: usize| tap * BLOCK);
                    transpose(shape, from, from_row, to, |lane| lane * filter_len);
                }
            }
            sums = &sums[POSITIONS * rows * width..];
        }
    }
}

/// Taps of a row of the kernel.
const TAPS: usize = 3;
