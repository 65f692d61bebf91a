//! The weight gradient: sums over pixels, in tiles of a few source channels times a few vectors of outputs.
//!
//! The units of the forward pass are dealt to a number of parts fixed by shape; each part has sums of its own,
//! which are added in order at the end. Blocks of output channels are dealt to chunks, which share no sums.

use super::buffer::Buffer;
use super::direct;
use super::gather::{ChannelBlock, Direction, GatherPlan, GatherUnit, Segment};
use super::geometry::Geometry;
use super::pack;
use super::scratch::BLOCK;
use super::source::{self, ReadThrough, Strip};
use super::workspace::{Workspace, buffers};
use crate::deal::deal;
use crate::kernels::simd::{Isa, Kernel, Simd};
use crate::threads::current_count;
use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::ops::Range;

/// A pass should have as many tasks (parts times chunks), so that a few cores share them evenly.
pub(super) const TASKS: usize = 8;
/// The sums of all parts aim to be no larger.
const PARTS_BYTES: usize = 2 << 20;
/// What is copied of x for several chunks aims to be no larger.
const COPIED_BYTES: usize = 2 << 20;
/// Pixels after which a tile adds its registers to the sums: few enough to stay in a level-1 cache.
const TILE_PIXELS: usize = 128;

/// How the work is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct WeightCut {
    /// Sums of their own.
    pub(super) parts: usize,
    /// Channel blocks of a chunk.
    pub(super) chunk_blocks: usize,
    /// Chunks.
    pub(super) chunks: usize,
}

impl WeightCut {
    /// The cut of sums of `bytes` bytes for `blocks` channel blocks over `units` units, by shape only: parts
    /// while their sums stay small, then chunks.
    pub(super) fn new(blocks: usize, bytes: usize, units: usize) -> Self {
        let parts = (1 << (PARTS_BYTES / bytes).max(1).ilog2()).min(TASKS).min(units);
        let chunk_blocks = blocks.div_ceil(TASKS.div_ceil(parts).min(blocks));
        Self { parts, chunk_blocks, chunks: blocks.div_ceil(chunk_blocks) }
    }

    /// The cut of a plan.
    fn of(gather: &GatherPlan) -> Self {
        let bytes = gather.packed_len() * size_of::<f32>();
        Self::new(gather.channel_blocks.len(), bytes, gather.units())
    }

    /// The filters, of `filter_len` elements each, of every chunk of channel blocks. Blocks differ in width, so chunks
    /// differ in length.
    pub(super) fn split<'a, T>(
        &self,
        blocks: &[ChannelBlock],
        filter_len: usize,
        d_weight: &'a mut [T],
    ) -> Vec<&'a mut [T]> {
        let mut rest = d_weight;
        let of_chunk = |chunk| {
            let blocks = &blocks[self.blocks(chunk, blocks.len())];
            let channels: usize = blocks.iter().map(|block| block.channels).sum();
            let (part, after) = std::mem::take(&mut rest).split_at_mut(filter_len * channels);
            rest = after;
            part
        };
        (0..self.chunks).map(of_chunk).collect()
    }

    /// The sums of all tasks, by part, then by chunk. A thread begins with a `scratch`; `zeros` are a chunk's sums before
    /// `add` adds what each of a part's units gives, of `units`.
    pub(super) fn sums<S>(
        &self,
        units: usize,
        scratch: impl Fn() -> S + Sync,
        zeros: impl Fn(usize) -> Buffer + Sync,
        add: impl Fn(&mut S, usize, usize, &mut Buffer) + Sync,
    ) -> Vec<Buffer> {
        deal(0..self.parts * self.chunks, scratch, |scratch, task| {
            let (part, chunk) = (task / self.chunks, task % self.chunks);
            let mut sums = zeros(chunk);
            for unit in part * units / self.parts..(part + 1) * units / self.parts {
                add(scratch, unit, chunk, &mut sums);
            }
            sums
        })
    }

    /// The sums of a chunk, those of all parts added in order; `tasks` are by part, then by chunk.
    pub(super) fn total<'a>(&self, tasks: &'a [Buffer], chunk: usize) -> Cow<'a, [f32]> {
        let mut total = Cow::Borrowed(&tasks[chunk][..]);
        for part in 1..self.parts {
            let sums = &tasks[part * self.chunks + chunk];
            total.to_mut().iter_mut().zip(sums.iter()).for_each(|(total, sum)| *total += sum);
        }
        total
    }

    /// The blocks, of `count`, of a chunk.
    pub(super) fn blocks(&self, chunk: usize, count: usize) -> Range<usize> {
        chunk * self.chunk_blocks..((chunk + 1) * self.chunk_blocks).min(count)
    }
}

/// The plan of the weight gradient: the forward pass's, whose units hold every channel block.
pub(super) fn plan(isa: Isa, geometry: &Geometry) -> GatherPlan {
    GatherPlan::new(isa, geometry, Direction::Forward).with_all_channels()
}

/// The memory of the pass.
pub(super) fn workspace(gather: &GatherPlan) -> Workspace {
    let cut = WeightCut::of(gather);
    let blocks = &gather.channel_blocks;
    let widest = blocks.iter().map(|b| b.vectors).max().unwrap_or(0) * gather.lanes;
    let (rows, tasks) = (gather.passes[0].rows.len(), cut.parts * cut.chunks);
    let d_y = gather.unit_pixels() * cut.chunk_blocks * widest;
    let places = gather.unit_pixels() / gather.target.size[1] * size_of::<(usize, usize)>();
    Workspace {
        // The sums of all tasks are those of all parts.
        call_bytes: gather.bytes()
            + cut.parts * buffers(&[gather.packed_len()])
            + 2 * tasks * (size_of::<Buffer>() + buffers(&[0])),
        // While units are worked on, and a block's total after that.
        worker_bytes: (buffers(&[units_at_once(gather, &cut) * gather.scratch_len(), d_y]) + places)
            .max(buffers(&[rows * widest])),
    }
}

/// Writes d_weight `[O, I/groups, KH, KW]` from whole batches of x and d_y.
pub(super) fn run(
    isa: Isa,
    geometry: &Geometry,
    x: ReadThrough<'_>,
    d_y: ReadThrough<'_>,
    d_weight: &mut [MaybeUninit<f32>],
) {
    let gather = plan(isa, geometry);
    let cut = WeightCut::of(&gather);
    let chunks = cut.chunks;
    let blocks_of = |chunk: usize| cut.blocks(chunk, gather.channel_blocks.len());
    let lanes_of = |blocks: Range<usize>| {
        gather.channel_blocks[blocks].iter().map(|block| block.vectors * gather.lanes).sum::<usize>()
    };
    let widest = (0..chunks).map(|chunk| lanes_of(blocks_of(chunk))).max().unwrap_or(0);
    let zeros = |chunk| Buffer::zeros(lanes_of(blocks_of(chunk)) * gather.passes[0].rows.len());
    let (at_once, hands) = (units_at_once(&gather, &cut), hands(&cut));
    let task = |scratch: &mut Scratch, task: usize| {
        let (part, hand) = (task / hands, task % hands);
        let of_hand = hand * chunks / hands..(hand + 1) * chunks / hands;
        let mut sums: Vec<Buffer> = of_hand.clone().map(zeros).collect();
        let units = part * gather.units() / cut.parts..(part + 1) * gather.units() / cut.parts;
        for first in units.clone().step_by(at_once) {
            let units = first..units.end.min(first + at_once);
            for (unit, to) in units.clone().zip(scratch.x.chunks_exact_mut(gather.scratch_len())) {
                direct::copy(isa, &gather, &gather.unit(unit), x, to);
            }
            for (chunk, sums) in of_hand.clone().zip(&mut sums) {
                for (index, unit) in units.clone().enumerate() {
                    let unit = GatherUnit { blocks: blocks_of(chunk), ..gather.unit(unit) };
                    add_copied(isa, &gather, &unit, index, d_y, scratch, sums);
                }
            }
        }
        sums
    };
    let tasks = deal(0..cut.parts * hands, || Scratch::new(&gather, at_once, widest), task);
    let mut tasks = tasks.into_iter();
    let sums: Vec<Vec<Buffer>> =
        (0..cut.parts).map(|_| tasks.by_ref().take(hands).flatten().collect()).collect();
    pack::unpack(&gather, geometry, &sums, cut.chunk_blocks, d_weight);
}

/// Units of which x is copied at once, to meet every chunk. It changes no sum.
fn units_at_once(gather: &GatherPlan, cut: &WeightCut) -> usize {
    let fitting = COPIED_BYTES / size_of::<f32>() / gather.scratch_len();
    if cut.chunks == 1 { 1 } else { fitting.clamp(1, gather.units().div_ceil(cut.parts)) }
}

/// Tasks among which the chunks of a part are dealt: each copies x, so as few as leave work for every thread.
fn hands(cut: &WeightCut) -> usize {
    let threads = current_count();
    let fewest = threads.div_ceil(cut.parts);
    let comes_out_even = (cut.parts * fewest).is_multiple_of(threads) && cut.chunks.is_multiple_of(fewest);
    if comes_out_even { fewest } else { (2 * threads).div_ceil(cut.parts).min(cut.chunks) }
}

/// What units are copied to.
pub(super) struct Scratch {
    /// Of some units, one behind the other.
    x: Buffer,
    d_y: Buffer,
    /// Where its lines begin, in both.
    lines: Vec<(usize, usize)>,
}

impl Scratch {
    /// For x of so many units, and so many lanes of channel blocks.
    fn new(gather: &GatherPlan, units: usize, lanes: usize) -> Self {
        Self {
            lines: Vec::with_capacity(gather.unit_pixels() / gather.target.size[1]),
            ..Self::of(units * gather.scratch_len(), lanes * gather.unit_pixels())
        }
    }

    /// Of so many floats of x and of d_y.
    pub(super) fn of(x_len: usize, d_y_len: usize) -> Self {
        Self { x: Buffer::zeros(x_len), d_y: Buffer::zeros(d_y_len), lines: Vec::new() }
    }
}

/// Adds a unit's products for its channel blocks to their sums, which are laid out like packed weights.
pub(super) fn add_unit(
    isa: Isa,
    gather: &GatherPlan,
    unit: &GatherUnit,
    [x, d_y]: [ReadThrough<'_>; 2],
    scratch: &mut Scratch,
    sums: &mut [f32],
) {
    direct::copy(isa, gather, unit, x, &mut scratch.x);
    add_copied(isa, gather, unit, 0, d_y, scratch, sums);
}

/// The same of a unit whose x has been copied as the `index`-th.
fn add_copied(
    isa: Isa,
    gather: &GatherPlan,
    unit: &GatherUnit,
    index: usize,
    d_y: ReadThrough<'_>,
    scratch: &mut Scratch,
    sums: &mut [f32],
) {
    let blocks = unit.blocks.clone();
    let pixels = copy_d_y(isa, gather, unit, &gather.channel_blocks[blocks.clone()], d_y, &mut scratch.d_y);
    let (rows, cols, pass) = (unit.rows.len(), gather.target.size[1], &gather.passes[0]);
    let begin = |line: usize| {
        let (image, row) = (line / rows, line % rows);
        let x = image * gather.unit_image_stride() + row * pass.lines.advance * gather.line();
        (x, line * cols)
    };
    scratch.lines.clear();
    scratch.lines.extend((0..unit.images.len() * rows).map(begin));
    let x = &scratch.x[index * gather.scratch_len()..];
    UnitSums { gather, pixels, blocks, lines: &scratch.lines, x, d_y: &scratch.d_y }.run(isa, sums);
}

/// Copies a unit's pixels of `blocks` as `[block, pixel, vectors * lanes]`; answers how many pixels.
fn copy_d_y(
    isa: Isa,
    gather: &GatherPlan,
    unit: &GatherUnit,
    blocks: &[ChannelBlock],
    d_y: ReadThrough<'_>,
    scratch: &mut [f32],
) -> usize {
    let channels = gather.target.channels;
    let row = gather.target.size[1];
    let per_image = unit.rows.len() * row;
    let pixels = unit.images.len() * per_image;
    let mut rest = scratch;
    for block in blocks {
        let width = block.vectors * gather.lanes;
        let (part, after) = rest.split_at_mut(pixels * width);
        rest = after;
        for (image, part) in unit.images.clone().zip(part.chunks_exact_mut(per_image * width)) {
            let start = (image * gather.target.size[0] + unit.rows.start) * row * channels;
            let source = d_y.part(start, per_image * channels);
            for lane in (0..width).step_by(BLOCK) {
                let len = block.channels.saturating_sub(lane).min(BLOCK);
                let to_len = (width - lane).min(BLOCK);
                let channel = block.first + lane.min(block.channels);
                let strip = Strip { channel, len, every: channels, to_every: width, to_len };
                source::copy(isa, source.after(channel.min(channels - 1)), strip, &mut part[lane..]);
            }
        }
    }
    pixels
}

/// One unit, x and d_y already in their scratches.
struct UnitSums<'a> {
    gather: &'a GatherPlan,
    pixels: usize,
    blocks: Range<usize>,
    lines: &'a [(usize, usize)],
    x: &'a [f32],
    d_y: &'a [f32],
}

impl UnitSums<'_> {
    fn run(&self, isa: Isa, sums: &mut [f32]) {
        let gather = self.gather;
        let pass = &gather.passes[0];
        let cols = gather.target.size[1];
        let first = gather.channel_blocks[self.blocks.start].before;
        for rows in self.lines.chunks(TILE_PIXELS.div_ceil(cols)) {
            for index in self.blocks.clone() {
                let block = gather.channel_blocks[index];
                let before = (block.before - first) * gather.lanes;
                let products = Products {
                    rows,
                    cols,
                    x_step: pass.from_step,
                    segments: &pass.segments,
                    vectors: block.vectors,
                    x: self.x[gather.source_block(index) * gather.unit_block_stride()..].as_ptr(),
                    d_y: self.d_y[before * self.pixels..].as_ptr(),
                    sums: sums[before * pass.rows.len()..].as_mut_ptr(),
                };
                // SAFETY: the plan's rows and segments stay within the scratches and the sums, whose lengths
                // `sums` took from the plan.
                unsafe { add(isa, &products) }
            }
        }
    }
}

/// A band of output rows and a channel block: all the tiles of a band read the same pixels.
#[derive(Clone, Copy)]
pub(super) struct Products<'a> {
    /// Each row's first pixel: in x's scratch, and as a pixel of d_y's.
    pub(super) rows: &'a [(usize, usize)],
    /// Pixels of a row.
    pub(super) cols: usize,
    /// Floats of x's scratch from pixel to pixel.
    pub(super) x_step: usize,
    /// What of x each pixel meets.
    pub(super) segments: &'a [Segment],
    /// Vectors of the channel block.
    pub(super) vectors: usize,
    /// The block that the channel block reads.
    pub(super) x: *const f32,
    /// `[pixel, vectors * LANES]`.
    pub(super) d_y: *const f32,
    /// `[row of the segments, vectors * LANES]`.
    pub(super) sums: *mut f32,
}

/// Adds the products of x and d_y to the sums.
///
/// # Safety
/// The pointers are good for all that the rows, segments and vectors address.
pub(super) unsafe fn add(isa: Isa, products: &Products<'_>) {
    isa.run(WeightSums(products));
}

/// Products whose pointers the caller of [`add`] has vouched for.
struct WeightSums<'a>(&'a Products<'a>);

impl Kernel for WeightSums<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let WeightSums(products) = self;
        // SAFETY: the CPU has `S`, and see `WeightSums`.
        unsafe {
            match (S::LANES, products.vectors) {
                (16, 2) => segments_of::<S, 8, 2>(products),
                (16, _) => segments_of::<S, 16, 1>(products),
                (8, 2) => segments_of::<S, 6, 2>(products),
                (8, _) => segments_of::<S, 8, 1>(products),
                (_, 4) => segments_of::<S, 6, 4>(products),
                (_, 2) if S::REGISTERS == 32 => segments_of::<S, 8, 2>(products),
                (_, 2) => segments_of::<S, 4, 2>(products),
                (_, _) => segments_of::<S, 8, 1>(products),
            }
        }
    }
}

/// Every tile of a channel block: M source channels at a time, then four, then one.
#[inline(always)]
unsafe fn segments_of<S: Simd, const M: usize, const NB: usize>(products: &Products<'_>) {
    let mut sums = products.sums;
    for segment in products.segments {
        let mut done = 0;
        while done < segment.len {
            let left = segment.len - done;
            // SAFETY: `done` stays within the segment and its rows of sums; else passed on from the caller.
            unsafe {
                let x = products.x.add(segment.offset + done);
                let tile_len = if left >= M {
                    tile::<S, M, NB>(products, x, sums);
                    M
                } else if left >= 4 {
                    tile::<S, 4, NB>(products, x, sums);
                    4
                } else {
                    tile::<S, 1, NB>(products, x, sums);
                    1
                };
                done += tile_len;
                sums = sums.add(tile_len * NB * S::LANES);
            }
        }
    }
}

/// M source channels times NB vectors of outputs, summed over the band's pixels and added to `sums`.
#[inline(always)]
unsafe fn tile<S: Simd, const M: usize, const NB: usize>(
    products: &Products<'_>,
    x: *const f32,
    sums: *mut f32,
) {
    // SAFETY: the caller vouches for the pointers.
    unsafe {
        let few = if M < S::FEW { 1 } else { S::FEW };
        let mut acc = [[S::zero(); NB]; M];
        for &(x_at, d_y_at) in products.rows {
            let mut x = x.add(x_at);
            let mut d_y = products.d_y.add(d_y_at * NB * S::LANES);
            for _ in 0..products.cols {
                let mut b = [S::zero(); NB];
                for (j, b) in b.iter_mut().enumerate() {
                    *b = S::load(d_y.add(j * S::LANES));
                }
                for (m, acc) in acc.iter_mut().enumerate() {
                    // A last few holds some of those before it, too.
                    let first = (m - m % few).min(M - few);
                    let from = x.add(first);
                    let a = if few == 1 { S::splat(*from) } else { S::pick(S::few(from), m - first) };
                    for j in 0..NB {
                        acc[j] = S::fma(a, b[j], acc[j]);
                    }
                }
                x = x.add(products.x_step);
                d_y = d_y.add(NB * S::LANES);
            }
        }
        for (m, acc) in acc.iter().enumerate() {
            for (j, &acc) in acc.iter().enumerate() {
                let sum = sums.add((m * NB + j) * S::LANES);
                S::store(sum, S::add(S::load(sum), acc));
            }
        }
    }
}
