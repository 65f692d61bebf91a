//! Convolutions by kernels of one pixel: the product of all pixels, as one long row, and the weights.
//!
//! ```text
//! source [image, row, column, channel]
//!    │ some channels of some pixels are copied
//!    ▼
//! scratch of a group [source block, pixel, 16 channels]
//!    │ a tile of pixels times a panel of packed weights
//!    ▼
//! target [image, row, column, channel]
//! ```
//! - A *depth* is a number of source channels whose panel of weights stays in the nearest cache. The target waits in memory
//!   from depth to depth, so each is summed from the first channel to the last, as everywhere.
//! - A *group* is some units of the plan: as many as have room in the scratch, so that a panel meets many pixels, and as few
//!   as leave work for every thread. It changes no sum.

mod tile;

pub(in crate::kernels) use tile::{MOST_PIXELS, Start, Sweep, sweep};

use super::buffer::Buffer;
use super::direct::Target;
use super::gather::{ChannelBlock, Direction, GatherPlan, MapShape};
use super::geometry::Geometry;
use super::scratch::BLOCK;
use super::source::{self, ReadThrough, Strip};
use super::workspace::{Workspace, buffers};
use crate::deal::each;
use crate::kernels::batch_norm::{Accumulator, part_bytes, part_len};
use crate::kernels::simd::Isa;
use crate::threads::current_count;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Source channels of a depth.
const DEPTH: usize = 256;
/// The scratch of a group aims to be no larger, so that it stays in a level-2 cache.
const SCRATCH_BYTES: usize = 512 << 10;
/// Packed weights of a depth up to this size stay there, too, so that a few tiles at a time can meet all of them.
const CACHED_BYTES: usize = 256 << 10;
/// Those tiles.
const TILES: usize = 7;
/// Pixels whose channels are copied together, so that what is read lies together.
const COPIED_PIXELS: usize = 32;
/// Tasks that each of several threads should find.
const TASKS: usize = 3;

/// Whether a convolution is such a product.
pub(super) fn applies(g: &Geometry) -> bool {
    g.taps() == 1 && g.groups == 1 && g.padding == [0, 0]
}

/// How the product is cut.
struct Cut {
    /// Source channels of a depth, whole blocks.
    depth: usize,
    /// Most pixels of a unit.
    unit_pixels: usize,
    /// Most units of a group.
    most_units: usize,
    /// Pixels from one that is read, or written, to the next, along rows and columns.
    from_step: [usize; 2],
    to_step: [usize; 2],
    /// Rows and columns of an image that are read, or written.
    size: [usize; 2],
}

impl Cut {
    fn new(gather: &GatherPlan, geometry: &Geometry, direction: Direction) -> Self {
        let depths = gather.source.channels.div_ceil(DEPTH);
        let depth = gather.source.channels.div_ceil(depths).next_multiple_of(BLOCK);
        let (from_step, to_step) = match direction {
            Direction::Forward => (geometry.stride, [1, 1]),
            Direction::Backward => ([1, 1], geometry.stride),
        };
        let (rows, size) = (gather.unit_rows.div_ceil(to_step[0]), geometry.output);
        let unit_pixels = gather.unit_images * rows * size[1];
        // Small weights are met by all pixels from the cache.
        let is_small = gather.packed_len() * size_of::<f32>() <= CACHED_BYTES;
        let most_pixels = if is_small { 0 } else { SCRATCH_BYTES / size_of::<f32>() / depth };
        Self { depth, unit_pixels, most_units: (most_pixels / unit_pixels).max(1), from_step, to_step, size }
    }

    /// Floats of the scratch from block to block.
    fn source_step(&self) -> usize {
        self.unit_pixels * self.most_units * BLOCK
    }

    fn scratch_len(&self) -> usize {
        self.depth / BLOCK * self.source_step() + tile::MOST_PIXELS * BLOCK
    }

    /// Units of a group, and channel blocks of a chunk, that leave work for every thread.
    fn deal(&self, gather: &GatherPlan, units: usize) -> [usize; 2] {
        let (threads, blocks) = (current_count(), gather.channel_blocks.len());
        let tasks = if threads > 1 { threads * TASKS } else { 1 };
        let is_wide = !gather.has_whole_pixels() && gather.target.channels > units * self.unit_pixels;
        let group = if is_wide { units } else { units.div_ceil(tasks) }.min(self.most_units);
        let chunks = if gather.has_whole_pixels() { 1 } else { tasks.div_ceil(units.div_ceil(group)) };
        [group, blocks.div_ceil(chunks.min(blocks))]
    }
}

/// As [`direct::run`](super::direct::run), of a convolution that [`applies`].
#[expect(clippy::too_many_arguments, reason = "those of both passes")]
pub(super) fn run(
    isa: Isa,
    gather: &GatherPlan,
    (geometry, direction): (&Geometry, Direction),
    packed: &[f32],
    bias: &[f32],
    source: ReadThrough<'_>,
    target: &mut [MaybeUninit<f32>],
    with_moments: bool,
) -> Vec<f64> {
    let cut = Cut::new(gather, geometry, direction);
    let with_moments = with_moments && gather.has_whole_pixels();
    let channels = if with_moments { gather.target.channels } else { 1 };
    let units = gather.pixel_units();
    let [group, chunk] = cut.deal(gather, units);
    let (groups, blocks) = (units.div_ceil(group), gather.channel_blocks.len());
    let mut parts = vec![0.0; if with_moments { units * part_len(channels) } else { 0 }];
    let mut parts_of = parts.chunks_mut(group * part_len(channels));
    let tasks = (0..groups * blocks.div_ceil(chunk)).map(|task| (task, parts_of.next()));
    let (threads, target) = (current_count(), Target(target.as_mut_ptr().cast()));
    let work = Work { isa, threads, gather, cut, packed, bias, source, target };
    let worker = || (work.scratch(), Accumulator::new(channels));
    let one = |(scratch, sums): &mut (Scratch, Accumulator), (task, parts): (usize, Option<&mut [f64]>)| {
        let (first, block) = (task % groups * group, task / groups * chunk);
        let of_group = first..units.min(first + group);
        work.group(&of_group, block..blocks.min(block + chunk), scratch);
        let parts = parts.into_iter().flat_map(|parts| parts.chunks_exact_mut(part_len(channels)));
        for (unit, part) in of_group.map(|unit| gather.unit(unit)).zip(parts) {
            // SAFETY: the group has written these rows, with every channel of theirs.
            unsafe { work.target.moments(isa, gather.target, &unit.images, &unit.rows, sums, part) }
        }
    };
    each(tasks, worker, one);
    parts
}

/// What a thread computes with.
struct Scratch {
    /// `[source block, pixel, 16 channels]`.
    source: Buffer,
    /// Where each pixel of the group is written.
    places: Vec<usize>,
}

/// What every group is made from.
struct Work<'a> {
    isa: Isa,
    threads: usize,
    gather: &'a GatherPlan,
    cut: Cut,
    packed: &'a [f32],
    bias: &'a [f32],
    source: ReadThrough<'a>,
    target: Target,
}

impl Work<'_> {
    fn scratch(&self) -> Scratch {
        let pixels = self.cut.unit_pixels * self.cut.most_units;
        Scratch { source: Buffer::zeros(self.cut.scratch_len()), places: Vec::with_capacity(pixels) }
    }

    /// The channels of `blocks` of the targets of some units.
    fn group(&self, units: &Range<usize>, blocks: Range<usize>, scratch: &mut Scratch) {
        let lines = self.lines(units);
        let Scratch { source, places } = scratch;
        places.clear();
        places.extend(lines.clone().flat_map(|line| self.places(line)));
        if self.cut.to_step != [1, 1] {
            lines.clone().for_each(|line| self.clear(line, &blocks));
        }
        for first in (0..self.gather.source.channels).step_by(self.cut.depth) {
            let channels = first..self.gather.source.channels.min(first + self.cut.depth);
            self.copy(&lines, &channels, source);
            let ahead = self.ahead(units, channels.end);
            self.multiply(&channels, &blocks, source, places, ahead);
        }
    }

    /// What is copied after some units' channels before `channel`: their next ones, or the first ones of the units that this
    /// thread is dealt next, if all threads are as fast.
    fn ahead(&self, units: &Range<usize>, channel: usize) -> Option<tile::Ahead> {
        let all = self.gather.source.channels;
        let (unit, channel) = match channel {
            end if end == all => (units.start + units.len() * self.threads, 0),
            channel => (units.start, channel),
        };
        if unit >= self.gather.pixel_units() || self.cut.from_step != [1, 1] {
            return None;
        }
        let (first, step) = self.place(self.gather.source, self.lines(&(unit..unit + 1)).start, [1, 1]);
        let from = self.source.addresses(first + channel);
        Some(tile::Ahead { from, step, blocks: [0, self.cut.depth.min(all - channel).div_ceil(BLOCK)] })
    }

    /// The rows, among those of all images, of some units.
    fn lines(&self, units: &Range<usize>) -> Range<usize> {
        let (first, last) = (self.gather.unit(units.start), self.gather.unit(units.end - 1));
        let (rows, step) = (self.cut.size[0], self.cut.to_step[0]);
        let end = (last.images.end - 1) * rows + last.rows.end.div_ceil(step);
        first.images.start * rows + first.rows.start / step..end
    }

    /// Where the first element of a row lies in a map, and how far it is from pixel to pixel.
    fn place(&self, map: MapShape, line: usize, step: [usize; 2]) -> (usize, usize) {
        let (image, row) = (line / self.cut.size[0], line % self.cut.size[0]);
        (image * map.len() + row * step[0] * map.size[1] * map.channels, step[1] * map.channels)
    }

    /// Where the pixels of a row are written.
    fn places(&self, line: usize) -> impl Iterator<Item = usize> {
        let (first, every) = self.place(self.gather.target, line, self.cut.to_step);
        (0..self.cut.size[1]).map(move |column| first + column * every)
    }

    /// Writes zeros to the channels of `blocks` of all target pixels from a row that is written to the next one: a stride
    /// leaves most of them out.
    fn clear(&self, line: usize, blocks: &Range<usize>) {
        let map = self.gather.target;
        let (start, _) = self.place(map, line, self.cut.to_step);
        let row = line % self.cut.size[0] * self.cut.to_step[0];
        let rows = self.cut.to_step[0].min(map.size[0] - row);
        let channels = self.channels(blocks);
        for pixel in 0..rows * map.size[1] {
            let at = start + pixel * map.channels + channels.start;
            // SAFETY: the pixel and these channels lie within the target, and no other task writes them.
            unsafe { std::slice::from_raw_parts_mut(self.target.0.add(at), channels.len()).fill(0.0) }
        }
    }

    /// The target channels of some blocks.
    fn channels(&self, blocks: &Range<usize>) -> Range<usize> {
        let end = |block: &ChannelBlock| block.first + block.channels;
        let blocks = &self.gather.channel_blocks[blocks.clone()];
        blocks.first().map_or(0, |block| block.first)..blocks.last().map_or(0, end)
    }

    /// Copies some channels of the pixels of some rows.
    fn copy(&self, lines: &Range<usize>, channels: &Range<usize>, scratch: &mut [f32]) {
        let cols = self.cut.size[1];
        // Without a stride all rows are one.
        let (count, pixels) =
            if self.cut.from_step == [1, 1] { (1, lines.len() * cols) } else { (lines.len(), cols) };
        for row in 0..count {
            let (first, every) = self.place(self.gather.source, lines.start + row, self.cut.from_step);
            for pixel in (0..pixels).step_by(COPIED_PIXELS) {
                let (from, to) = (first + pixel * every, (row * pixels + pixel) * BLOCK);
                let to = to..to + COPIED_PIXELS.min(pixels - pixel) * BLOCK;
                let blocks = scratch.chunks_mut(self.cut.source_step());
                for (block, channel) in blocks.zip(channels.clone().step_by(BLOCK)) {
                    let len = BLOCK.min(channels.end - channel);
                    let strip = Strip { channel, len, every, to_every: BLOCK, to_len: BLOCK };
                    source::copy(self.isa, self.source.after(from + channel), strip, &mut block[to.clone()]);
                }
            }
        }
    }

    /// Adds the products of some source channels, which lie in the scratch, to what the first ones of a target have set.
    fn multiply(
        &self,
        depth: &Range<usize>,
        blocks: &Range<usize>,
        scratch: &[f32],
        places: &[usize],
        ahead: Option<tile::Ahead>,
    ) {
        let (gather, lanes) = (self.gather, self.gather.lanes);
        let bytes = depth.len() * gather.vectors() * lanes * size_of::<f32>();
        let at_once = if bytes <= CACHED_BYTES { TILES * tile::tile_pixels(self.isa) } else { usize::MAX };
        for (index, places) in places.chunks(at_once).enumerate() {
            let pixel = index.saturating_mul(at_once);
            for (part, block) in gather.channel_blocks[blocks.clone()].iter().enumerate() {
                let ahead = ahead.and_then(|ahead| ahead.part(pixel, part, blocks.len()));
                let rows = block.before * gather.source.channels + depth.start * block.vectors;
                let bias = self.bias[block.before * lanes..].as_ptr();
                let sweep = tile::Sweep {
                    places,
                    source: scratch[pixel * BLOCK..].as_ptr(),
                    source_step: self.cut.source_step(),
                    depth: depth.len(),
                    weights: self.packed[rows * lanes..].as_ptr(),
                    ahead,
                    start: if depth.start == 0 { tile::Start::Given(bias) } else { tile::Start::Held },
                    block: *block,
                    // SAFETY: the block's first channel lies within the target.
                    target: unsafe { self.target.0.add(block.first) },
                };
                // SAFETY: the places and the block's channels lie within the target, the depth within the scratch and the
                // packed weights, whose lengths the plan has told.
                unsafe { tile::sweep(self.isa, &sweep) }
            }
        }
    }
}

/// The memory of a pass.
pub(super) fn workspace(gather: &GatherPlan, geometry: &Geometry, direction: Direction) -> Workspace {
    let cut = Cut::new(gather, geometry, direction);
    let places = cut.unit_pixels * cut.most_units * size_of::<usize>();
    let bias = gather.vectors() * gather.lanes * size_of::<f32>();
    Workspace {
        call_bytes: gather.bytes()
            + bias
            + buffers(&[gather.packed_len()])
            + part_bytes(gather.units(), gather.target.channels),
        worker_bytes: buffers(&[cut.scratch_len()]) + places + Accumulator::bytes(gather.target.channels),
    }
}
