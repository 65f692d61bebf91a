//! The weight gradient by F(4x4, 3x3): 36 sums of products of transformed x and d_y, transformed at the end.
//!
//! Cut as the direct weight gradient is: a number of parts fixed by shape, added in order.

use super::super::super::buffer::Buffer;
use super::super::super::gather::{ChannelBlock, Direction};
use super::super::super::geometry::Geometry;
use super::super::super::scratch::BLOCK;
use super::super::super::source::{self, ReadThrough, Strip};
use super::super::super::weight::{self, Products, WeightCut};
use super::super::super::workspace::{Workspace, buffers};
use super::super::TILE;
use super::super::units::TileUnit;
use super::SQUARE;
use super::plan::SquarePlan;
use super::transform::{self, TargetLines};
use crate::deal::all;
use crate::kernels::simd::{Isa, Kernel, Simd};
use crate::kernels::transpose::transpose;
use crate::kernels::unwritten::filled;
use std::mem::MaybeUninit;

/// Tiles whose products are summed in registers before they are added to the sums, at most.
const TOGETHER: usize = 64;
/// Tiles that a unit should have at least, as the sums are read and written once a unit.
const UNIT_TILES: usize = 64;
/// Taps of a kernel.
const TAPS: usize = 9;

/// The plan, which is the forward pass's but for its larger units, and its cut.
pub(in crate::kernels::conv) fn plan(isa: Isa, geometry: &Geometry) -> (SquarePlan, WeightCut) {
    let plan = SquarePlan::new(isa, geometry, Direction::Forward).with_tiles(UNIT_TILES);
    let bytes = sums_len(&plan, &plan.channel_blocks) * size_of::<f32>();
    let cut = WeightCut::new(plan.channel_blocks.len(), bytes, plan.units.count());
    (plan, cut)
}

/// Lanes of some channel blocks.
fn lanes(plan: &SquarePlan, blocks: &[ChannelBlock]) -> usize {
    blocks.iter().map(|b| b.vectors).sum::<usize>() * plan.lanes
}

/// Floats of the sums of some channel blocks.
pub(super) fn sums_len(plan: &SquarePlan, blocks: &[ChannelBlock]) -> usize {
    SQUARE * plan.source.channels * lanes(plan, blocks)
}

/// Floats of a unit's transformed d_y of some channel blocks: `[block, position, tile, vectors * lanes]`.
fn gradients_len(plan: &SquarePlan, blocks: &[ChannelBlock]) -> usize {
    blocks.iter().map(|b| SQUARE * plan.products_position(b)).sum()
}

/// The memory of the pass.
pub(in crate::kernels::conv) fn workspace(plan: &SquarePlan, cut: &WeightCut) -> Workspace {
    let blocks = &plan.channel_blocks;
    let tasks = cut.parts * cut.chunks;
    // The first chunk's blocks are the widest.
    let widest = &blocks[cut.blocks(0, blocks.len())];
    let working = buffers(&[plan.lines_len(), plan.transformed_len(), gradients_len(plan, widest)]);
    Workspace {
        // The sums of all tasks are those of all parts.
        call_bytes: plan.bytes()
            + cut.parts * buffers(&[sums_len(plan, blocks)])
            + 2 * tasks * (size_of::<Buffer>() + buffers(&[0])),
        // While units are worked on, and a chunk's total after that.
        worker_bytes: working.max(buffers(&[sums_len(plan, widest)])),
    }
}

/// Writes d_weight `[O, I, 3, 3]` from whole batches of x and d_y.
pub(in crate::kernels::conv) fn d_weight(
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
    plan: &SquarePlan,
    cut: &WeightCut,
    tasks: &[Buffer],
    d_weight: &mut [MaybeUninit<f32>],
) {
    let chunks = cut.split(&plan.channel_blocks, plan.source.channels * TAPS, d_weight);
    all(chunks.into_iter().enumerate(), |(chunk, d_weight)| {
        let blocks = &plan.channel_blocks[cut.blocks(chunk, plan.channel_blocks.len())];
        isa.run(Filters { plan, blocks, sums: &cut.total(tasks, chunk), d_weight: filled(d_weight) });
    });
}

/// What a unit is transformed in.
pub(in crate::kernels::conv) struct Scratch {
    lines: Buffer,
    transformed: Buffer,
    gradients: Buffer,
}

impl Scratch {
    /// For some channel blocks.
    pub(super) fn new(plan: &SquarePlan, blocks: &[ChannelBlock]) -> Self {
        Self {
            lines: Buffer::zeros(plan.lines_len()),
            transformed: Buffer::zeros(plan.transformed_len()),
            gradients: Buffer::zeros(gradients_len(plan, blocks)),
        }
    }
}

/// Adds the products of a unit's x and d_y to the sums of some channel blocks.
pub(super) fn add(
    isa: Isa,
    plan: &SquarePlan,
    unit: &TileUnit,
    blocks: &[ChannelBlock],
    [x, d_y]: [ReadThrough<'_>; 2],
    scratch: &mut Scratch,
    sums: &mut [f32],
) {
    let Scratch { lines, transformed, gradients } = scratch;
    plan.transform(isa, unit, x, lines, transformed);
    transform_gradients(isa, plan, unit, blocks, d_y, lines, gradients);
    multiply(isa, plan, unit, blocks, [transformed, gradients], sums);
}

/// Transforms a unit's d_y, a row of tiles of at most sixteen channels at a time.
fn transform_gradients(
    isa: Isa,
    plan: &SquarePlan,
    unit: &TileUnit,
    blocks: &[ChannelBlock],
    d_y: ReadThrough<'_>,
    lines: &mut [f32],
    gradients: &mut [f32],
) {
    let ([height, width], channels) = (plan.target.size, plan.target.channels);
    let row_len = plan.tiles[1] * TILE * BLOCK;
    lines.fill(0.0);
    let mut rest = gradients;
    for block in blocks {
        let lanes = block.vectors * plan.lanes;
        let position = plan.products_position(block);
        let (part, after) = rest.split_at_mut(SQUARE * position);
        rest = after;
        let rows = unit.images.clone().flat_map(|image| unit.rows.clone().map(move |row| [image, row]));
        for (done, [image, row]) in rows.enumerate() {
            for lane in (0..lanes).step_by(BLOCK) {
                let len = block.channels.saturating_sub(lane).min(BLOCK);
                let channel = (block.first + lane).min(channels - 1);
                let strip = Strip { channel, len, every: channels, to_every: BLOCK, to_len: BLOCK };
                for (line, to) in lines.chunks_exact_mut(row_len).take(TILE).enumerate() {
                    let (at, to) = (row * TILE + line, &mut to[..width * BLOCK]);
                    if at < height {
                        let pixel = (image * height + at) * width;
                        let from = d_y.part(pixel * channels + channel, width * channels - channel);
                        source::copy(isa, from, strip, to);
                    } else {
                        to.fill(0.0);
                    }
                }
                let lines = TargetLines {
                    lines,
                    tiles: plan.tiles[1],
                    lanes: (lanes - lane).min(BLOCK),
                    width: lanes,
                    position,
                };
                transform::gradients(isa, lines, &mut part[done * plan.tiles[1] * lanes + lane..]);
            }
        }
    }
}

/// Adds a unit's products to the sums.
fn multiply(
    isa: Isa,
    plan: &SquarePlan,
    unit: &TileUnit,
    blocks: &[ChannelBlock],
    [transformed, gradients]: [&[f32]; 2],
    sums: &mut [f32],
) {
    let tiles = plan.unit_tiles(unit);
    let (mut from, mut to) = (0, 0);
    for block in blocks {
        let sums_position = plan.source.channels * block.vectors * plan.lanes;
        for position in 0..SQUARE {
            for first in (0..tiles).step_by(TOGETHER) {
                let products = Products {
                    rows: &[(first * BLOCK, first)],
                    cols: (tiles - first).min(TOGETHER),
                    x_step: BLOCK,
                    segments: &plan.segments,
                    vectors: block.vectors,
                    x: transformed[position * plan.position_len()..].as_ptr(),
                    d_y: gradients[from + position * plan.products_position(block)..].as_ptr(),
                    sums: sums[to..].as_mut_ptr(),
                };
                // SAFETY: by the plan's sizes a unit's tiles and the block's lanes lie in the buffers.
                unsafe { weight::add(isa, &products) }
            }
            to += sums_position;
        }
        from += SQUARE * plan.products_position(block);
    }
}

/// The sums of some channel blocks, to be transformed into their part of d_weight.
struct Filters<'a> {
    plan: &'a SquarePlan,
    blocks: &'a [ChannelBlock],
    sums: &'a [f32],
    d_weight: &'a mut [f32],
}

impl Kernel for Filters<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Filters { plan, blocks, mut sums, d_weight } = self;
        let channels = plan.source.channels;
        let mut filters = d_weight;
        for block in blocks {
            let width = block.vectors * S::LANES;
            let (of_block, after) =
                std::mem::take(&mut filters).split_at_mut(block.channels * channels * TAPS);
            filters = after;
            for source in 0..channels {
                for lane in (0..block.channels).step_by(S::LANES) {
                    let mut taps = [[0.0; BLOCK]; TAPS];
                    let from = &sums[source * width + lane..][..(SQUARE - 1) * channels * width + S::LANES];
                    // SAFETY: the CPU has `S`; the slice holds a vector at every position.
                    let gradients = unsafe { transform::d_weights::<S>(from.as_ptr(), channels * width) };
                    for (to, v) in taps.iter_mut().zip(gradients) {
                        // SAFETY: as above; sixteen floats hold a vector.
                        unsafe { S::store(to.as_mut_ptr(), v) }
                    }
                    let shape = [TAPS, (block.channels - lane).min(S::LANES)];
                    let to = &mut of_block[(lane * channels + source) * TAPS..];
                    let (from, from_row) = (taps.as_flattened(), |tap: usize| tap * BLOCK);
                    transpose(shape, from, from_row, to, |lane| lane * channels * TAPS);
                }
            }
            sums = &sums[SQUARE * channels * width..];
        }
    }
}
