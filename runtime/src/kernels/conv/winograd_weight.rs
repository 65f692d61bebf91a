//! The weight gradient by Winograd's F(2x2, 3x3): sixteen sums of products of transformed x and d_y.
//!
//! Cut as the direct weight gradient is: a number of parts fixed by shape, added in order.

use super::buffer::Buffer;
use super::gather::{ChannelBlock, Direction};
use super::geometry::Geometry;
use super::scratch::{self, BLOCK, Blocks, Image, Window};
use super::source::Source;
use super::tile::MOST_CHANNELS;
use super::weight::{self, Cut, Products};
use super::winograd::{Plan, Unit};
use super::winograd_transform::{self as transform, Group, POSITIONS};
use super::workspace::{Workspace, buffers};
use crate::kernels::simd::Isa;
use rayon::prelude::*;
use std::ops::Range;

/// The plan, which is the forward pass's, and its cut.
pub(super) fn plan(isa: Isa, geometry: &Geometry) -> (Plan, Cut) {
    let plan = Plan::new(isa, geometry, Direction::Forward);
    let bytes = POSITIONS * plan.source.channels * plan.target_lanes() * size_of::<f32>();
    let cut = Cut::new(plan.channel_blocks.len(), bytes, plan.units());
    (plan, cut)
}

/// The memory of the pass.
pub(super) fn workspace(plan: &Plan, cut: &Cut) -> Workspace {
    let sums = POSITIONS * plan.source.channels * plan.target_lanes();
    let tasks = cut.parts * cut.chunks;
    let chunk = POSITIONS * plan.source.channels * cut.chunk_blocks * plan.widest();
    let transformed = [POSITIONS * plan.source_position(), POSITIONS * plan.target_position()];
    let working = buffers(&[plan.scratch_len(), d_y_scratch_len(plan), transformed[0], transformed[1]]);
    Workspace {
        // The sums of all tasks are those of all parts.
        call_bytes: plan.bytes()
            + cut.parts * buffers(&[sums])
            + 2 * tasks * (size_of::<Buffer>() + buffers(&[0])),
        // While units are worked on, and a chunk's total after that.
        worker_bytes: (working + plan.group_bytes()).max(buffers(&[chunk])),
    }
}

/// Writes d_weight `[O, I, 3, 3]` from whole batches of x and d_y.
pub(super) fn run(isa: Isa, geometry: &Geometry, x: Source<'_>, d_y: Source<'_>, d_weight: &mut [f32]) {
    let (plan, cut) = plan(isa, geometry);
    let (units, chunks) = (plan.units(), cut.chunks);
    let tasks: Vec<Buffer> = (0..cut.parts * chunks)
        .into_par_iter()
        .map(|task| {
            let part = task / chunks;
            let blocks = &plan.channel_blocks[cut.blocks(task % chunks, plan.channel_blocks.len())];
            sums(isa, &plan, part * units / cut.parts..(part + 1) * units / cut.parts, blocks, x, d_y)
        })
        .collect();
    let chunks_of_d_weight = split_by_chunk(&plan, &cut, d_weight);
    chunks_of_d_weight.into_par_iter().enumerate().for_each(|(chunk, d_weight)| {
        let blocks = &plan.channel_blocks[cut.blocks(chunk, plan.channel_blocks.len())];
        let mut total = tasks[chunk].to_vec();
        for part in 1..cut.parts {
            let sums = &tasks[part * chunks + chunk];
            total.iter_mut().zip(sums.iter()).for_each(|(total, sum)| *total += sum);
        }
        unpack(&plan, blocks, &total, d_weight);
    });
}

/// The filters of each chunk of channel blocks. Blocks differ in width, so chunks differ in length.
fn split_by_chunk<'a>(plan: &Plan, cut: &Cut, d_weight: &'a mut [f32]) -> Vec<&'a mut [f32]> {
    let filter = plan.source.channels * 9;
    let mut rest = d_weight;
    (0..cut.chunks)
        .map(|chunk| {
            let blocks = &plan.channel_blocks[cut.blocks(chunk, plan.channel_blocks.len())];
            let channels: usize = blocks.iter().map(|block| block.channels).sum();
            let (part, after) = std::mem::take(&mut rest).split_at_mut(filter * channels);
            rest = after;
            part
        })
        .collect()
}

/// The sums of some units for some channel blocks: `[position, block, source channel, vectors * lanes]`.
fn sums(
    isa: Isa,
    plan: &Plan,
    units: Range<usize>,
    blocks: &[ChannelBlock],
    x: Source<'_>,
    d_y: Source<'_>,
) -> Buffer {
    let lanes = blocks.iter().map(|b| b.vectors).sum::<usize>() * plan.lanes;
    let mut sums = Buffer::zeros(POSITIONS * plan.source.channels * lanes);
    let mut x_scratch = Buffer::zeros(plan.scratch_len());
    let mut d_y_scratch = Buffer::zeros(d_y_scratch_len(plan));
    let mut sources = Buffer::zeros(POSITIONS * plan.source_position());
    let mut gradients = Buffer::zeros(POSITIONS * plan.target_position());
    for index in units {
        let unit = plan.unit(index);
        plan.copy(isa, &unit, x, &mut x_scratch);
        copy_d_y(isa, plan, &unit, d_y, &mut d_y_scratch);
        let size = [unit.images.len(), unit.rows.len()];
        for group in plan.source_tiles().groups(size, plan.group) {
            transform_group(
                isa,
                plan,
                &group,
                blocks,
                [&x_scratch, &d_y_scratch],
                [&mut sources, &mut gradients],
            );
            multiply(isa, plan, group.len, blocks, [&sources, &gradients], &mut sums);
        }
    }
    sums
}

/// Floats of the scratch that holds a unit's d_y.
pub(super) fn d_y_scratch_len(plan: &Plan) -> usize {
    plan.unit_size()[0] * d_y_image_len(plan)
}

/// Floats of a row of one block of d_y's scratch.
fn d_y_line(plan: &Plan) -> usize {
    2 * plan.tiles[1] * BLOCK
}

fn d_y_image_len(plan: &Plan) -> usize {
    plan.target.channels.div_ceil(BLOCK) * 2 * plan.unit_size()[1] * d_y_line(plan)
}

/// Copies a unit's d_y as `[image, block of 16 channels, row, col, 16]`, with zeros to whole tiles.
fn copy_d_y(isa: Isa, plan: &Plan, unit: &Unit, d_y: Source<'_>, scratch: &mut [f32]) {
    let origin = 2 * unit.rows.start as isize;
    let rows = Window { origin, step: 1, len: 2 * plan.unit_size()[1] };
    let cols = Window { origin: 0, step: 1, len: 2 * plan.tiles[1] };
    let blocks = Blocks::padded(plan.target.channels);
    for (image, part) in unit.images.clone().zip(scratch.chunks_exact_mut(d_y_image_len(plan))) {
        let source = d_y.part(image * plan.target.len(), plan.target.len());
        let image = Image { source, size: plan.target.size, channels: plan.target.channels };
        scratch::fill(isa, image, [rows, cols], &blocks, 0..blocks.count(), part);
    }
}

/// Transforms a group's tiles of x, and of some blocks of d_y: `[position, block, tile, vectors * lanes]`.
fn transform_group(
    isa: Isa,
    plan: &Plan,
    group: &Group,
    blocks: &[ChannelBlock],
    [x, d_y]: [&[f32]; 2],
    [sources, gradients]: [&mut [f32]; 2],
) {
    let (line, image_len) = (d_y_line(plan), d_y_image_len(plan));
    for row in &group.rows {
        let tiles = transform::Sources {
            blocks: plan.source_blocks(),
            from: x[row.source..].as_ptr(),
            first: row.first,
            tiles: row.len,
            to: sources.as_mut_ptr(),
        };
        // SAFETY: by the plan's sizes the row's tiles lie in the scratch and in the group.
        unsafe { transform::sources(isa, tiles) }
        let from = row.image * image_len + 2 * row.at[0] * line + 2 * row.at[1] * BLOCK;
        for block in blocks {
            let lanes = block.vectors * plan.lanes;
            let to = (block.before - blocks[0].before) * plan.lanes * plan.group + row.first * lanes;
            let tiles = transform::Gradients {
                from: d_y[from..].as_ptr(),
                block: 2 * plan.unit_size()[1] * line,
                line,
                channel: block.first,
                lanes,
                tiles: row.len,
                position: plan.target_position(),
                to: gradients[to..].as_mut_ptr(),
            };
            // SAFETY: as for x.
            unsafe { transform::gradients(isa, tiles) }
        }
    }
}

/// Adds the sixteen matrix products of a group of `tiles` tiles to the sums.
fn multiply(
    isa: Isa,
    plan: &Plan,
    tiles: usize,
    blocks: &[ChannelBlock],
    [sources, gradients]: [&[f32]; 2],
    sums: &mut [f32],
) {
    let mut done = 0;
    for position in 0..POSITIONS {
        for block in blocks {
            let before = (block.before - blocks[0].before) * plan.lanes * plan.group;
            let products = Products {
                rows: &[(0, 0)],
                cols: tiles,
                x_step: BLOCK,
                segments: &plan.segments,
                vectors: block.vectors,
                depthwise: false,
                x: sources[position * plan.source_position()..].as_ptr(),
                d_y: gradients[position * plan.target_position() + before..].as_ptr(),
                sums: sums[done..].as_mut_ptr(),
            };
            // SAFETY: a group's tiles and the block's lanes lie in the buffers, by the plan's sizes.
            unsafe { weight::add(isa, &products) }
            done += plan.source.channels * block.vectors * plan.lanes;
        }
    }
}

/// Transforms the sums of some blocks into d_weight, of which `d_weight` holds those blocks' part.
fn unpack(plan: &Plan, blocks: &[ChannelBlock], sums: &[f32], d_weight: &mut [f32]) {
    let rows = plan.source.channels;
    let position = sums.len() / POSITIONS;
    for block in blocks {
        let width = block.vectors * plan.lanes;
        let start = (block.before - blocks[0].before) * plan.lanes * rows;
        for row in 0..rows {
            let mut lanes = [[0.0; MOST_CHANNELS]; POSITIONS];
            for (p, lanes) in lanes.iter_mut().enumerate() {
                let at = p * position + start + row * width;
                lanes[..width].copy_from_slice(&sums[at..at + width]);
            }
            let taps = transform::d_weights(&lanes);
            for lane in 0..block.channels {
                let at = ((block.first - blocks[0].first + lane) * rows + row) * 9;
                d_weight[at..at + 9].iter_mut().zip(&taps).for_each(|(d, tap)| *d = tap[lane]);
            }
        }
    }
}
