//! Winograd's F(2x2, 3x3): a tile of 2x2 targets from 4x4 sources with 16 multiplications a channel pair
//! instead of 36 (Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016).
//!
//! A group of tiles is transformed, which turns the convolution into 16 matrix products; the tiles of the
//! direct convolution compute these too. The input gradient is the same with the kernel turned round.

use super::buffer::Buffer;
use super::direct::Target;
use super::gather::{ChannelBlock, Direction, Map, Run, Segment, cut_channels};
use super::geometry::Geometry;
use super::scratch::{self, BLOCK, Blocks, Image, Window};
use super::source::Source;
use super::tile::{self, MOST_CHANNELS, Sweep};
use super::winograd_transform::{self as transform, POSITIONS, Tiles};
use super::workspace::{Workspace, buffers};
use crate::kernels::batch_norm::{Accumulator, Part, part_bytes};
use crate::kernels::simd::Isa;
use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// The scratch of a unit aims to be no larger.
const SCRATCH_BYTES: usize = 512 << 10;
/// A pass should have as many units, so that a few cores share them evenly.
const UNITS: usize = 16;
/// Positions are kept a cache line further apart than they need: a large power of two would make them compete
/// for the same lines of the cache.
const APART: usize = 16;

/// The plan of a pass.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) images: usize,
    pub(super) source: Map,
    pub(super) target: Map,
    /// The first source row and column that the first tile reads.
    origin: [isize; 2],
    /// Rows and columns of tiles of an image.
    pub(super) tiles: [usize; 2],
    pub(super) blocks: Blocks,
    pub(super) channel_blocks: Vec<ChannelBlock>,
    pub(super) segments: Vec<Segment>,
    pub(super) lanes: usize,
    /// Tiles that are transformed together.
    pub(super) group: usize,
    run_len: usize,
    unit_images: usize,
    unit_rows: usize,
}

/// Images and rows of tiles of one unit.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) images: Range<usize>,
    pub(super) rows: Range<usize>,
}

/// Whether the kernel is one that this file knows.
pub(super) fn applies(g: &Geometry) -> bool {
    g.kernel == [3, 3] && g.stride == [1, 1] && g.dilation == [1, 1] && g.groups == 1
}

/// Whether this is faster than the direct convolution, as measured with AVX-512 on both sides of every bound.
/// With fewer channels the transforms cost what the products save; with more weights they no longer stay in
/// the cache; with few tiles, or tiles that stick out of the image, the weights' transform and the empty
/// products cost too much.
pub(super) fn is_faster(g: &Geometry) -> bool {
    let tiles = g.output[0].div_ceil(2) * g.output[1].div_ceil(2);
    let full = g.output[0] * g.output[1] * 100 >= 4 * tiles * 85;
    g.in_channels.min(g.out_channels) >= 32
        && g.in_channels * g.out_channels <= 384 * 384
        && g.images * tiles >= 128
        && full
}

impl Plan {
    pub(super) fn new(isa: Isa, g: &Geometry, direction: Direction) -> Self {
        let x = Map { size: g.input, channels: g.in_channels };
        let y = Map { size: g.output, channels: g.out_channels };
        let forward = direction == Direction::Forward;
        let (source, target) = if forward { (x, y) } else { (y, x) };
        let origin = g.padding.map(|p| if forward { -(p as isize) } else { p as isize - 2 });
        // A multiple of every tile's pixels, and small: the transformed tiles should stay in the cache.
        let group = tile::MOST_PIXELS;
        let blocks = Blocks::padded(source.channels);
        let segments =
            (0..blocks.count()).map(|b| Segment { offset: b * group * BLOCK, len: blocks.len(b) }).collect();
        let mut plan = Self {
            images: g.images,
            source,
            target,
            origin,
            tiles: target.size.map(|size| size.div_ceil(2)),
            blocks,
            channel_blocks: cut_channels(1, target.channels, isa.lanes(), tile::block_vectors(isa)),
            segments,
            lanes: isa.lanes(),
            group,
            run_len: tile::run_pixels(isa),
            unit_images: 1,
            unit_rows: 1,
        };
        plan.cut();
        plan
    }

    /// Chooses the size of a unit: whole images, several if they are small, or bands of a large one.
    fn cut(&mut self) {
        let [rows, cols] = self.tiles;
        let mut band = rows.div_ceil(UNITS.div_ceil(self.images)).max(2).min(rows);
        while band > 1 && self.image_scratch(band) * size_of::<f32>() > SCRATCH_BYTES {
            band = band.div_ceil(2);
        }
        self.unit_rows = band;
        if band == rows {
            let fitting = SCRATCH_BYTES / (self.image_scratch(rows) * size_of::<f32>());
            let wanted = (2 * self.group).div_ceil(rows * cols);
            self.unit_images = wanted.min(fitting).min(self.images.div_ceil(UNITS)).max(1);
        }
    }

    /// Floats of the scratch for `rows` rows of tiles of one image.
    fn image_scratch(&self, rows: usize) -> usize {
        self.blocks.count() * (2 * rows + 2) * self.line()
    }

    /// Floats of a row of one block of the scratch.
    fn line(&self) -> usize {
        (2 * self.tiles[1] + 2) * BLOCK
    }

    /// Floats of a unit's scratch.
    pub(super) fn scratch_len(&self) -> usize {
        self.unit_images * self.image_scratch(self.unit_rows)
    }

    /// Most images and rows of tiles of a unit.
    pub(super) fn unit_size(&self) -> [usize; 2] {
        [self.unit_images, self.unit_rows]
    }

    pub(super) fn units(&self) -> usize {
        self.images.div_ceil(self.unit_images) * self.bands()
    }

    fn bands(&self) -> usize {
        self.tiles[0].div_ceil(self.unit_rows)
    }

    pub(super) fn unit(&self, index: usize) -> Unit {
        let part = |i: usize, size: usize, end: usize| i * size..((i + 1) * size).min(end);
        Unit {
            images: part(index / self.bands(), self.unit_images, self.images),
            rows: part(index % self.bands(), self.unit_rows, self.tiles[0]),
        }
    }

    /// Lanes of all channel blocks.
    pub(super) fn target_lanes(&self) -> usize {
        self.channel_blocks.iter().map(|b| b.vectors).sum::<usize>() * self.lanes
    }

    /// Floats of one position of the transformed sources.
    pub(super) fn source_position(&self) -> usize {
        self.blocks.count() * self.group * BLOCK + APART
    }

    /// Floats of one position of the products.
    pub(super) fn target_position(&self) -> usize {
        self.target_lanes() * self.group + APART
    }

    /// Where the tiles of a unit lie in the scratch.
    pub(super) fn source_tiles(&self) -> Tiles {
        Tiles {
            cols: self.tiles[1],
            row_step: 2 * self.line(),
            image_step: self.image_scratch(self.unit_rows),
        }
    }

    /// Where its blocks lie, before and after the transform.
    pub(super) fn source_blocks(&self) -> transform::Blocks {
        transform::Blocks {
            count: self.blocks.count(),
            step: (2 * self.unit_rows + 2) * self.line(),
            line: self.line(),
            group: self.group,
            position: self.source_position(),
        }
    }

    /// Bytes of the plan itself.
    pub(super) fn bytes(&self) -> usize {
        2 * (size_of_val(&self.segments[..]) + 2 * size_of_val(&self.channel_blocks[..]))
    }

    /// Bytes of the list of a group's rows.
    pub(super) fn group_bytes(&self) -> usize {
        2 * self.group * size_of::<transform::TileRow>()
    }

    /// Channels of the widest block.
    pub(super) fn widest(&self) -> usize {
        self.channel_blocks.iter().map(|b| b.vectors).max().unwrap_or(0) * self.lanes
    }

    /// Copies what a unit reads. A last, thinner band copies as much as the others.
    pub(super) fn copy(&self, isa: Isa, unit: &Unit, source: Source<'_>, scratch: &mut [f32]) {
        let origin = self.origin[0] + 2 * unit.rows.start as isize;
        let rows = Window { origin, step: 1, len: 2 * self.unit_rows + 2 };
        let cols = Window { origin: self.origin[1], step: 1, len: 2 * self.tiles[1] + 2 };
        let parts = scratch.chunks_exact_mut(self.image_scratch(self.unit_rows));
        for (image, part) in unit.images.clone().zip(parts) {
            let source = source.part(image * self.source.len(), self.source.len());
            let image = Image { source, size: self.source.size, channels: self.source.channels };
            scratch::fill(isa, image, [rows, cols], &self.blocks, 0..self.blocks.count(), part);
        }
    }

    /// Transforms `weight: [O, I, 3, 3]` and packs it as `[position, block, source channel, vectors * lanes]`.
    pub(super) fn pack(&self, direction: Direction, weight: &[f32]) -> Buffer {
        let (rows, lanes) = (self.source.channels, self.target_lanes());
        let mut packed = Buffer::zeros(POSITIONS * rows * lanes);
        let forward = direction == Direction::Forward;
        let filter = |target: usize, source: usize| -> [f32; 9] {
            let index = if forward { target * rows + source } else { source * self.target.channels + target };
            let mut taps = [0.0; 9];
            taps.copy_from_slice(&weight[index * 9..index * 9 + 9]);
            if !forward {
                taps.reverse();
            }
            taps
        };
        let mut parts: Vec<Vec<&mut [f32]>> = self.channel_blocks.iter().map(|_| Vec::new()).collect();
        let mut rest = &mut packed[..];
        for _ in 0..POSITIONS {
            for (block, parts) in self.channel_blocks.iter().zip(&mut parts) {
                let (part, after) = rest.split_at_mut(rows * block.vectors * self.lanes);
                parts.push(part);
                rest = after;
            }
        }
        parts.into_par_iter().zip(&self.channel_blocks).for_each(|(mut parts, block)| {
            let width = block.vectors * self.lanes;
            for row in 0..rows {
                let mut taps = [[0.0; MOST_CHANNELS]; 9];
                for lane in 0..block.channels {
                    let filter = filter(block.first + lane, row);
                    taps.iter_mut().zip(filter).for_each(|(lanes, tap)| lanes[lane] = tap);
                }
                let transformed = transform::weights(&taps);
                for (part, lanes) in parts.iter_mut().zip(&transformed) {
                    part[row * width..(row + 1) * width].copy_from_slice(&lanes[..width]);
                }
            }
        });
        packed
    }
}

/// Runs every unit: `source` and `target` are whole batches, `packed` the plan's transformed weights, `bias` one
/// float a lane of every channel block. Answers the units' moments, if they were asked for. Writes every target.
pub(super) fn run(
    isa: Isa,
    plan: &Plan,
    packed: &[f32],
    bias: &[f32],
    source: Source<'_>,
    target: &mut [MaybeUninit<f32>],
    with_moments: bool,
) -> Vec<Part> {
    let lanes = plan.target_lanes();
    let run = |tile: usize| Run { from: tile * BLOCK, to: tile * lanes };
    let runs = (0..plan.group).step_by(plan.run_len).map(run).collect();
    let work = Work { isa, plan, runs, packed, bias, target: Target(target.as_mut_ptr().cast()) };
    let channels = if with_moments { plan.target.channels } else { 1 };
    let worker = || (Scratch::new(plan), Accumulator::new(channels));
    let unit = |(scratch, sums): &mut (Scratch, Accumulator), index: usize| {
        let unit = plan.unit(index);
        plan.copy(isa, &unit, source, &mut scratch.source);
        work.unit(&unit, scratch);
        if with_moments { work.moments(&unit, sums) } else { Part::new() }
    };
    let parts: Vec<Part> = (0..plan.units()).into_par_iter().map_init(worker, unit).collect();
    if with_moments { parts } else { Vec::new() }
}

/// What one worker computes with.
struct Scratch {
    source: Buffer,
    /// `[position, block, tile, 16]`.
    sources: Buffer,
    /// `[position, tile, lanes]`.
    products: Buffer,
}

impl Scratch {
    fn new(plan: &Plan) -> Self {
        Self {
            source: Buffer::zeros(plan.scratch_len()),
            sources: Buffer::zeros(POSITIONS * plan.source_position()),
            products: Buffer::zeros(POSITIONS * plan.target_position()),
        }
    }
}

/// One pass; see [`run`].
struct Work<'a> {
    isa: Isa,
    plan: &'a Plan,
    runs: Vec<Run>,
    packed: &'a [f32],
    bias: &'a [f32],
    target: Target,
}

impl Work<'_> {
    /// The moments of what the unit has written.
    fn moments(&self, unit: &Unit, sums: &mut Accumulator) -> Part {
        let (target, first) = (self.plan.target, 2 * unit.rows.start);
        let last = (2 * unit.rows.end).min(target.size[0]);
        let row = target.size[1] * target.channels;
        for image in unit.images.clone() {
            let start = image * target.len() + first * row;
            // SAFETY: these rows lie within the target, and this unit, which alone writes them, has written them.
            let rows = unsafe { std::slice::from_raw_parts(self.target.0.add(start), (last - first) * row) };
            sums.add(self.isa, rows);
        }
        sums.take()
    }

    /// Computes the targets of one unit, whose source is already in the scratch.
    fn unit(&self, unit: &Unit, scratch: &mut Scratch) {
        let plan = self.plan;
        let blocks = plan.source_blocks();
        let size = [unit.images.len(), unit.rows.len()];
        for group in plan.source_tiles().groups(size, plan.group) {
            for row in &group.rows {
                let tiles = transform::Sources {
                    blocks,
                    from: scratch.source[row.source..].as_ptr(),
                    first: row.first,
                    tiles: row.len,
                    to: scratch.sources.as_mut_ptr(),
                };
                // SAFETY: by the plan's sizes the row's tiles lie in the scratch and in the group.
                unsafe { transform::sources(self.isa, tiles) }
            }
            self.multiply(&self.runs[..group.len.div_ceil(plan.run_len)], scratch);
            for row in &group.rows {
                let tiles = transform::Targets {
                    from: scratch.products[row.first * plan.target_lanes()..].as_ptr(),
                    position: plan.target_position(),
                    lanes: plan.target_lanes(),
                    tiles: row.len,
                    at: [unit.rows.start + row.at[0], row.at[1]],
                    size: plan.target.size,
                    channels: plan.target.channels,
                    bias: self.bias.as_ptr(),
                    // SAFETY: the image lies within the target, whose length `run`'s callers have checked.
                    image: unsafe { self.target.0.add((unit.images.start + row.image) * plan.target.len()) },
                };
                // SAFETY: as for the sources; tiles at the edge write no more than the image.
                unsafe { transform::targets(self.isa, tiles) }
            }
        }
    }

    /// The sixteen matrix products of the transformed sources and weights.
    fn multiply(&self, runs: &[Run], scratch: &mut Scratch) {
        let plan = self.plan;
        let (rows, lanes) = (plan.source.channels, plan.target_lanes());
        let zeros = [0.0; MOST_CHANNELS];
        for position in 0..POSITIONS {
            for &block in &plan.channel_blocks {
                let before = block.before * plan.lanes;
                let sweep = Sweep {
                    segments: &plan.segments,
                    runs,
                    run_len: plan.run_len,
                    from_step: BLOCK,
                    to_step: lanes,
                    block: ChannelBlock { channels: block.vectors * plan.lanes, ..block },
                    source: scratch.sources[position * plan.source_position()..].as_ptr(),
                    weights: self.packed[(position * lanes + before) * rows..].as_ptr(),
                    bias: zeros.as_ptr(),
                    target: scratch.products[position * plan.target_position() + before..].as_mut_ptr(),
                };
                // SAFETY: a group's tiles and the block's lanes lie in the buffers, by the plan's sizes.
                unsafe { tile::sweep(self.isa, &sweep) }
            }
        }
    }
}

/// The memory of a pass.
pub(super) fn workspace(plan: &Plan) -> Workspace {
    let lanes = plan.target_lanes();
    let small = plan.bytes() + plan.group * size_of::<Run>() + lanes * size_of::<f32>();
    // The parts of the packed weights while they are filled.
    let parts = 2 * POSITIONS * plan.channel_blocks.len() * size_of::<&[f32]>();
    Workspace {
        call_bytes: small
            + parts
            + buffers(&[POSITIONS * plan.source.channels * lanes])
            + 2 * part_bytes(plan.units(), plan.target.channels),
        worker_bytes: buffers(&[
            plan.scratch_len(),
            POSITIONS * plan.source_position(),
            POSITIONS * plan.target_position(),
        ]) + plan.group_bytes()
            + Accumulator::bytes(plan.target.channels),
    }
}
