//! A part of an image, copied into blocks of channels with zeros around it.
//!
//! The copy costs little beside the arithmetic and buys much: no border to ask about, a constant distance from
//! pixel to pixel, and a working set that stays in the cache.

use super::source::{self, ReadThrough, Strip};
use crate::kernels::simd::Isa;
use std::ops::Range;

/// Channels of a block. A pixel of a block is one cache line.
pub(in crate::kernels) const BLOCK: usize = 16;

/// How channels are cut into blocks. A block never spans two groups.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    groups: usize,
    /// Channels of a group.
    channels: usize,
    /// Floats from pixel to pixel within a block.
    pub(super) width: usize,
    /// Blocks of a group.
    pub(super) per_group: usize,
}

impl Blocks {
    /// Blocks of `groups` groups of `channels` channels each. Up to half a block is kept without padding, so
    /// that the channels of neighbouring pixels follow each other.
    pub(super) fn new(groups: usize, channels: usize) -> Self {
        let width = if channels <= BLOCK / 2 { channels } else { BLOCK };
        Self { groups, channels, width, per_group: channels.div_ceil(BLOCK) }
    }

    /// Blocks of channels that are padded with zeros to whole blocks, whatever their number.
    pub(super) fn padded(channels: usize) -> Self {
        Self { groups: 1, channels, width: BLOCK, per_group: channels.div_ceil(BLOCK) }
    }

    /// Blocks of all groups.
    pub(super) fn count(&self) -> usize {
        self.groups * self.per_group
    }

    /// Channels of the `index`-th block of a group.
    pub(super) fn len(&self, index: usize) -> usize {
        (self.channels - index * BLOCK).min(BLOCK)
    }

    /// First channel, among those of all groups, of block `index` among those of all groups.
    fn first(&self, index: usize) -> usize {
        index / self.per_group * self.channels + index % self.per_group * BLOCK
    }
}

/// The lines of one axis that a scratch holds: line `j` is source line `origin + j * step`, zero if there is none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) origin: isize,
    pub(super) step: usize,
    pub(super) len: usize,
}

impl Window {
    /// The source line of scratch line `j` of `size` source lines, if there is one.
    fn line(&self, j: usize, size: usize) -> Option<usize> {
        let at = self.origin + (j * self.step) as isize;
        (at >= 0 && at < size as isize).then_some(at as usize)
    }

    /// The scratch lines, from and to, that have a source line.
    pub(super) fn inside(&self, size: usize) -> (usize, usize) {
        let step = self.step as isize;
        let from = (-self.origin).max(0).div_ceil_to(step);
        let to = (size as isize - self.origin).max(0).div_ceil_to(step);
        (from.min(self.len), to.min(self.len))
    }
}

/// Division that rounds up, of numbers that are not negative.
trait DivCeil {
    fn div_ceil_to(self, by: isize) -> usize;
}

impl DivCeil for isize {
    fn div_ceil_to(self, by: isize) -> usize {
        ((self + by - 1) / by) as usize
    }
}

/// One image: `source` is `[size[0], size[1], channels]`.
#[derive(Clone, Copy)]
pub(super) struct Image<'a> {
    pub(super) source: ReadThrough<'a>,
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
}

/// Fills the blocks `range` of `scratch: [blocks, rows, cols, width]` with the windows (rows, cols) of `image`.
pub(super) fn fill(
    isa: Isa,
    image: Image<'_>,
    [rows, cols]: [Window; 2],
    blocks: &Blocks,
    range: Range<usize>,
    scratch: &mut [f32],
) {
    let line = cols.len * blocks.width;
    let row_len = image.size[1] * image.channels;
    let (from, to) = cols.inside(image.size[1]);
    for j in 0..rows.len {
        let source = rows.line(j, image.size[0]).map(|r| image.source.part(r * row_len, row_len));
        for b in range.clone() {
            let at = (b * rows.len + j) * line;
            let target = &mut scratch[at..at + line];
            let Some(source) = source.filter(|_| from < to) else {
                target.fill(0.0);
                continue;
            };
            target[..from * blocks.width].fill(0.0);
            target[to * blocks.width..].fill(0.0);
            let channel = blocks.first(b);
            let first = (cols.origin + (from * cols.step) as isize) as usize * image.channels + channel;
            let strip = Strip {
                channel,
                len: blocks.len(b % blocks.per_group),
                every: cols.step * image.channels,
                to_every: blocks.width,
                to_len: blocks.width,
            };
            let pixels = &mut target[from * blocks.width..to * blocks.width];
            source::copy(isa, source.after(first), strip, pixels);
        }
    }
}
