//! Transformed weights in the order in which the tiles read them.

use super::super::buffer::Buffer;
use super::super::gather::Direction;
use super::super::scratch::BLOCK;
use super::POSITIONS;
use super::plan::RowPlan;
use super::transform;
use crate::deal::all;

/// Transforms `weight: [O, I, 3, 3]` into `[channel block, block of source channels, kernel row, source channel,
/// position, vectors * lanes]`.
pub(in super::super) fn pack(plan: &RowPlan, direction: Direction, weight: &[f32]) -> Buffer {
    let rows = plan.rows();
    let mut packed = Buffer::zeros(POSITIONS * rows * plan.target_lanes());
    let mut rest = &mut packed[..];
    let mut parts = Vec::with_capacity(plan.channel_blocks.len());
    for block in &plan.channel_blocks {
        let (part, after) = rest.split_at_mut(POSITIONS * rows * block.vectors * plan.lanes);
        parts.push((part, block));
        rest = after;
    }
    all(parts.into_iter(), |(part, block)| {
        let lanes = block.vectors * plan.lanes;
        for lane in 0..block.channels {
            for source in 0..plan.source.channels {
                let filter = filter(plan, direction, weight, block.first + lane, source);
                for (kernel_row, taps) in filter.into_iter().enumerate() {
                    let at = row(plan.source.channels, source, kernel_row) * POSITIONS * lanes + lane;
                    for (position, v) in transform::weights(taps).into_iter().enumerate() {
                        part[at + position * lanes] = v;
                    }
                }
            }
        }
    });
    packed
}

/// The kernel between a target and a source channel, row by row; turned round for the input gradient.
fn filter(
    plan: &RowPlan,
    direction: Direction,
    weight: &[f32],
    target: usize,
    source: usize,
) -> [[f32; 3]; 3] {
    let forward = direction == Direction::Forward;
    let index =
        if forward { target * plan.source.channels + source } else { source * plan.target.channels + target };
    let tap = |row: usize, col: usize| {
        let tap = row * 3 + col;
        weight[index * 9 + if forward { tap } else { 8 - tap }]
    };
    std::array::from_fn(|row| std::array::from_fn(|col| tap(row, col)))
}

/// The row of packed weights of a source channel and a row of the kernel: blocks of source channels come first,
/// then rows of the kernel, then channels of the block.
pub(super) fn row(channels: usize, source: usize, kernel_row: usize) -> usize {
    let first = source / BLOCK * BLOCK;
    let len = (channels - first).min(BLOCK);
    3 * first + kernel_row * len + source - first
}
