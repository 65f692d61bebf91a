//! Weights in the order in which the tiles read them, and back.

use super::buffer::Buffer;
use super::gather::{ChannelBlock, Direction, GatherPass, GatherPlan};
use super::geometry::Geometry;
use super::scratch::BLOCK;
use crate::deal::all;
use crate::kernels::transpose::transpose;

/// Where packed weights lie in `[O, I/groups, KH, KW]`: a block's first weight, plus an offset a row, plus a
/// step a lane.
struct Places<'a> {
    /// Offset and index of every row, ascending.
    rows: Vec<(usize, usize)>,
    /// Rows that are packed together: those of one block of source channels.
    together: usize,
    /// From one target channel to the next.
    lane_step: usize,
    geometry: &'a Geometry,
    direction: Direction,
}

impl<'a> Places<'a> {
    fn new(geometry: &'a Geometry, direction: Direction, pass: &GatherPass) -> Self {
        let (taps, filter) = (geometry.taps(), geometry.group_in() * geometry.taps());
        let forward = direction == Direction::Forward;
        // The steps from target channel to target channel, and from source channel to source channel.
        let (lane_step, row_step) = if forward { (filter, taps) } else { (taps, filter) };
        let offset = |channel: usize, tap: usize| channel * row_step + tap;
        let mut rows: Vec<_> =
            pass.rows.iter().enumerate().map(|(i, row)| (offset(row.channel, row.tap), i)).collect();
        rows.sort_unstable();
        let together =
            (pass.rows.len() / pass.rows.iter().map(|row| row.channel + 1).max().unwrap_or(1)).max(1);
        Self { rows, together: together * BLOCK, lane_step, geometry, direction }
    }

    /// The first weight of a block.
    fn start(&self, block: &ChannelBlock) -> usize {
        let g = self.geometry;
        let filter = g.group_in() * g.taps();
        match self.direction {
            Direction::Forward => block.first * filter,
            Direction::Backward => {
                let channel = block.first - block.group * g.group_in();
                block.group * g.group_out() * filter + channel * g.taps()
            }
        }
    }

    /// Calls `f(index in the packed block, index in the weight)` for all of a block, in an order that reads
    /// every cache line of the weight once.
    #[inline(always)]
    fn visit(&self, block: &ChannelBlock, lanes: usize, mut f: impl FnMut(usize, usize)) {
        let (start, width) = (self.start(block), block.vectors * lanes);
        for rows in self.rows.chunks(self.together) {
            if self.direction == Direction::Forward {
                for lane in 0..block.channels {
                    let first = start + lane * self.lane_step;
                    rows.iter().for_each(|&(offset, row)| f(row * width + lane, first + offset));
                }
            } else {
                for &(offset, row) in rows {
                    let first = start + offset;
                    (0..block.channels).for_each(|lane| f(row * width + lane, first + lane * self.lane_step));
                }
            }
        }
    }
}

/// Whether the weights are a matrix `[O, I]`.
fn is_matrix(geometry: &Geometry) -> bool {
    geometry.taps() == 1 && geometry.groups == 1
}

/// Packs `weight: [O, I/groups, KH, KW]` as `[pass, block, row, vectors * lanes]`, with zeros in empty lanes.
pub(super) fn pack(gather: &GatherPlan, geometry: &Geometry, direction: Direction, weight: &[f32]) -> Buffer {
    let mut packed = Buffer::zeros(gather.packed_len());
    let mut rest = &mut packed[..];
    for pass in &gather.passes {
        let places = Places::new(geometry, direction, pass);
        let (part, after) = rest.split_at_mut(pass.rows.len() * gather.vectors() * gather.lanes);
        rest = after;
        let parts = split(part, &gather.channel_blocks, |b| pass.rows.len() * b.vectors * gather.lanes);
        all(parts.into_iter().zip(&gather.channel_blocks), |(part, block)| {
            let width = block.vectors * gather.lanes;
            match (is_matrix(geometry), direction) {
                (false, _) => places.visit(block, gather.lanes, |at, from| part[at] = weight[from]),
                (true, Direction::Forward) => {
                    let inputs = geometry.in_channels;
                    let rows = &weight[block.first * inputs..][..block.channels * inputs];
                    transpose((rows, inputs), inputs, (part, width));
                }
                (true, Direction::Backward) => {
                    for (row, filter) in part.chunks_exact_mut(width).zip(weight.chunks(geometry.in_channels))
                    {
                        row[..block.channels].copy_from_slice(&filter[block.first..][..block.channels]);
                    }
                }
            }
        });
    }
    packed
}

/// Adds up `sums`, each laid out like the packed weights of a forward pass, into `d_weight`, in their order.
/// `sums[part][chunk]` holds the blocks of a chunk of `chunk_blocks` blocks.
pub(super) fn unpack(
    gather: &GatherPlan,
    geometry: &Geometry,
    sums: &[Vec<Buffer>],
    chunk_blocks: usize,
    d_weight: &mut [f32],
) {
    let pass = &gather.passes[0];
    let places = Places::new(geometry, Direction::Forward, pass);
    let blocks = &gather.channel_blocks;
    let filter = geometry.group_in() * geometry.taps();
    let parts = split(d_weight, blocks, |block| block.channels * filter);
    all(parts.into_iter().zip(blocks).enumerate(), |(index, (part, block))| {
        let chunk = index / chunk_blocks;
        let before = block.before - blocks[chunk * chunk_blocks].before;
        let (start, first) = (before * gather.lanes * pass.rows.len(), block.first * filter);
        let end = start + pass.rows.len() * block.vectors * gather.lanes;
        let mut total = sums[0][chunk][start..end].to_vec();
        for sums in &sums[1..] {
            total.iter_mut().zip(&sums[chunk][start..end]).for_each(|(total, sum)| *total += sum);
        }
        if is_matrix(geometry) {
            transpose((&total, block.vectors * gather.lanes), block.channels, (part, filter));
        } else {
            places.visit(block, gather.lanes, |at, to| part[to - first] = total[at]);
        }
    });
}

/// Cuts `all` into one part a block.
fn split<'a>(
    all: &'a mut [f32],
    blocks: &[ChannelBlock],
    len: impl Fn(&ChannelBlock) -> usize,
) -> Vec<&'a mut [f32]> {
    let mut rest = all;
    let mut parts = Vec::with_capacity(blocks.len());
    for block in blocks {
        let (part, after) = rest.split_at_mut(len(block));
        parts.push(part);
        rest = after;
    }
    parts
}
