//! Weights in the order in which the tiles read them, and back.

use super::buffer::Buffer;
use super::gather::{ChannelBlock, Direction, GatherPass, GatherPlan};
use super::geometry::Geometry;
use crate::deal::all;
use crate::kernels::transpose::transpose;
use crate::kernels::unwritten::filled;
use std::borrow::Cow;
use std::mem::MaybeUninit;

/// Where packed weights lie in `[O, I/groups, KH, KW]`: a block's first weight, plus an offset a row, plus a
/// step a lane.
struct Places<'a> {
    /// Offset and index of every row, ascending.
    rows: Vec<(usize, usize)>,
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
        let sources = if forward { geometry.group_in() } else { geometry.group_out() };
        // By channel and tap: sorting would take as long as what is packed by it.
        let mut indices = vec![None; sources * taps];
        for (index, row) in pass.rows.iter().enumerate() {
            indices[row.channel * taps + row.tap] = Some(index);
        }
        let offset = |place: usize| place / taps * row_step + place % taps;
        let rows =
            indices.iter().enumerate().filter_map(|(place, &index)| Some((offset(place), index?))).collect();
        Self { rows, lane_step, geometry, direction }
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

    /// Whether rows are of all the weights between a target channel and all source channels, so that offsets count them.
    fn is_full(&self) -> bool {
        let g = self.geometry;
        let sources = if self.direction == Direction::Forward { g.group_in() } else { g.group_out() };
        self.rows.len() == sources * g.taps()
    }

    /// Writes a block's weights as rows of so many lanes, in an order that reads every cache line of the weight once.
    fn pack(&self, block: &ChannelBlock, lanes: usize, weight: &[f32], part: &mut [f32]) {
        let (from, width) = (&weight[self.start(block)..], block.vectors * lanes);
        let from_row = |lane: usize| lane * self.lane_step;
        let row = |index: usize| self.rows[index].1 * width;
        let taps = self.geometry.taps();
        match self.direction {
            Direction::Forward => transpose([block.channels, self.rows.len()], from, from_row, part, row),
            Direction::Backward if taps > 1 && self.is_full() => {
                for first in (0..self.rows.len()).step_by(taps) {
                    let from = &from[self.rows[first].0..];
                    transpose([block.channels, taps], from, from_row, part, |tap| row(first + tap));
                }
            }
            Direction::Backward => {
                for &(offset, row) in &self.rows {
                    let (to, from) = (&mut part[row * width..][..block.channels], &from[offset..]);
                    if self.lane_step == 1 {
                        to.copy_from_slice(&from[..block.channels]);
                    } else {
                        to.iter_mut().zip(from.iter().step_by(self.lane_step)).for_each(|(to, &w)| *to = w);
                    }
                }
            }
        }
    }
}

/// Packs `weight: [O, I/groups, KH, KW]` as `[pass, block, row, vectors * lanes]`, with zeros in empty lanes.
pub(super) fn pack(gather: &GatherPlan, geometry: &Geometry, direction: Direction, weight: &[f32]) -> Buffer {
    let write = |packed: &mut [MaybeUninit<f32>]| {
        let mut rest = packed;
        for pass in &gather.passes {
            let places = Places::new(geometry, direction, pass);
            let (part, after) = rest.split_at_mut(pass.rows.len() * gather.vectors() * gather.lanes);
            rest = after;
            let parts = split(part, &gather.channel_blocks, |b| pass.rows.len() * b.vectors * gather.lanes);
            all(parts.into_iter().zip(&gather.channel_blocks), |(part, block)| {
                places.pack(block, gather.lanes, weight, filled(part));
            });
        }
    };
    // SAFETY: the parts of all blocks of all passes are the whole, and each is filled.
    unsafe { Buffer::written(gather.packed_len(), write) }
}

/// Adds up `sums`, each laid out like the packed weights of a forward pass, into `d_weight`, in their order. Writes all of
/// it. `sums[part][chunk]` holds the blocks of a chunk of `chunk_blocks` blocks.
pub(super) fn unpack(
    gather: &GatherPlan,
    geometry: &Geometry,
    sums: &[Vec<Buffer>],
    chunk_blocks: usize,
    d_weight: &mut [MaybeUninit<f32>],
) {
    let pass = &gather.passes[0];
    let places = Places::new(geometry, Direction::Forward, pass);
    let blocks = &gather.channel_blocks;
    let filter = geometry.group_in() * geometry.taps();
    let parts = split(d_weight, blocks, |block| block.channels * filter);
    all(parts.into_iter().zip(blocks).enumerate(), |(index, (part, block))| {
        let chunk = index / chunk_blocks;
        let before = block.before - blocks[chunk * chunk_blocks].before;
        let (start, width) = (before * gather.lanes * pass.rows.len(), block.vectors * gather.lanes);
        let end = start + pass.rows.len() * width;
        let mut total = Cow::Borrowed(&sums[0][chunk][start..end]);
        for sums in &sums[1..] {
            let sums = &sums[chunk][start..end];
            total.to_mut().iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        let row = |index: usize| places.rows[index].1 * width;
        transpose([filter, block.channels], &total, row, filled(part), |lane| lane * filter);
    });
}

/// Cuts `all` into one part a block.
fn split<'a, T>(
    all: &'a mut [T],
    blocks: &[ChannelBlock],
    len: impl Fn(&ChannelBlock) -> usize,
) -> Vec<&'a mut [T]> {
    let mut rest = all;
    let mut parts = Vec::with_capacity(blocks.len());
    for block in blocks {
        let (part, after) = rest.split_at_mut(len(block));
        parts.push(part);
        rest = after;
    }
    parts
}
