//! Weights in the order in which the tiles read them, and back.

use super::gather::{ChannelBlock, Direction, Gather, Row};
use super::geometry::Geometry;
use rayon::prelude::*;

/// Where the weight of one target channel and one row of packed weights lies in `[O, I/groups, KH, KW]`.
#[derive(Clone, Copy)]
struct Order {
    direction: Direction,
    depthwise: bool,
    group_in: usize,
    group_out: usize,
    taps: usize,
}

impl Order {
    fn new(geometry: &Geometry, direction: Direction) -> Self {
        Self {
            direction,
            depthwise: geometry.is_depthwise(),
            group_in: geometry.group_in(),
            group_out: geometry.group_out(),
            taps: geometry.taps(),
        }
    }

    /// The index for a channel of the block (counted over all groups) and a row.
    fn index(&self, block: &ChannelBlock, channel: usize, row: Row) -> usize {
        let (o, i) = match self.direction {
            _ if self.depthwise => (channel, 0),
            Direction::Forward => (channel, row.channel),
            Direction::Backward => (block.group * self.group_out + row.channel, channel % self.group_in),
        };
        (o * self.group_in + i) * self.taps + row.tap
    }
}

/// Packs `weight: [O, I/groups, KH, KW]` as `[pass, block, row, vectors * lanes]`, with zeros in empty lanes.
pub(super) fn pack(gather: &Gather, geometry: &Geometry, direction: Direction, weight: &[f32]) -> Vec<f32> {
    let order = Order::new(geometry, direction);
    let mut packed = vec![0.0; gather.packed_len()];
    let mut parts = Vec::new();
    let mut rest = &mut packed[..];
    for pass in &gather.passes {
        for block in &gather.channel_blocks {
            let (part, after) = rest.split_at_mut(pass.rows.len() * block.vectors * gather.lanes);
            parts.push((pass, block, part));
            rest = after;
        }
    }
    parts.into_par_iter().for_each(|(pass, block, part)| {
        let width = block.vectors * gather.lanes;
        for (row, lanes) in pass.rows.iter().zip(part.chunks_exact_mut(width)) {
            for (lane, w) in lanes[..block.channels].iter_mut().enumerate() {
                *w = weight[order.index(block, block.first + lane, *row)];
            }
        }
    });
    packed
}

/// Adds up `sums`, each laid out like the packed weights of a forward pass, into `d_weight`, in their order.
/// `sums[part][chunk]` holds the blocks of a chunk of `chunk_blocks` blocks.
pub(super) fn unpack(
    gather: &Gather,
    geometry: &Geometry,
    sums: &[Vec<Vec<f32>>],
    chunk_blocks: usize,
    d_weight: &mut [f32],
) {
    let order = Order::new(geometry, Direction::Forward);
    let channel_len = geometry.group_in() * geometry.taps();
    let rows = &gather.passes[0].rows;
    let mut parts = Vec::new();
    let mut rest = d_weight;
    for block in &gather.channel_blocks {
        let (part, after) = rest.split_at_mut(block.channels * channel_len);
        parts.push(part);
        rest = after;
    }
    parts.into_par_iter().zip(&gather.channel_blocks).enumerate().for_each(|(index, (part, block))| {
        let width = block.vectors * gather.lanes;
        let chunk = index / chunk_blocks;
        let start = (block.before - gather.channel_blocks[chunk * chunk_blocks].before) * gather.lanes;
        let first = block.first * channel_len;
        for (r, row) in rows.iter().enumerate() {
            let at = start * rows.len() + r * width;
            for lane in 0..block.channels {
                let sum = sums.iter().fold(0.0, |sum, part| sum + part[chunk][at + lane]);
                part[order.index(block, block.first + lane, *row) - first] = sum;
            }
        }
    });
}
