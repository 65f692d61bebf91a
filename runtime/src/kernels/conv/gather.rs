//! The plan of a pass that gathers: the forward pass, or the input gradient, which reads d_y as the forward
//! reads x, once for every remainder of the stride.
//!
//! The target is cut into units of whole images or of bands of rows, by shape only. A unit copies what it reads
//! into a scratch and sums every target pixel from first tap to last, so no cut changes a bit of the result.
//!
//! ```text
//! source [image, row, column, channel]
//!    │ copied, with zeros around it
//!    ▼
//! scratch of a unit [image, source block, row, column, 16 channels]
//!    │ of each target pixel: some segments of it, one after the other, times as many rows of packed weights
//!    ▼
//! target [image, row, column, channel]: a run of pixels, and a block of channels, at a time
//! ```
//! - A *unit* is what one thread makes at a time: some images, or a band of rows of one, and some channel blocks.
//! - A *channel block* is a few vectors of target channels; a *source block* is up to 16 source channels.
//! - A *pass* is of the target pixels that read the same taps: all of them, forward; of the input gradient those that
//!   leave the same remainder by the stride, along rows and columns.
//! - A *segment* is what of the scratch one pixel reads without a gap: taps and source blocks that lie side by side.
//! - A *run* is a few neighbouring pixels of a pass that are computed together.

use super::axis::{Axis, Phase};
use super::geometry::Geometry;
use super::scratch::{BLOCK, Blocks, Window};
use super::tile;
use crate::kernels::simd::Isa;
use std::ops::Range;

/// The scratch of a unit aims to be no larger, so that it stays in a level-2 cache.
const SCRATCH_BYTES: usize = 512 << 10;
/// Target pixels that a unit should have in every phase, so that reading the weights once a unit is cheap and
/// tiles are full.
const UNIT_PIXELS: usize = 256;
/// A pass should have as many units, so that a few cores share them evenly.
pub(super) const UNITS: usize = 16;

/// Which pass a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Reads x, writes y.
    Forward,
    /// Reads d_y, writes d_x.
    Backward,
}

/// Size and channels of one image.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapShape {
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
}

impl MapShape {
    /// Floats of one image.
    pub(super) fn len(&self) -> usize {
        self.size[0] * self.size[1] * self.channels
    }
}

/// A block of target channels: a few vectors, written together.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct ChannelBlock {
    /// Group of channels that it belongs to.
    pub(in crate::kernels) group: usize,
    /// First channel among those of all groups.
    pub(in crate::kernels) first: usize,
    /// Channels; the last vector may be partly empty.
    pub(in crate::kernels) channels: usize,
    /// Vectors.
    pub(in crate::kernels) vectors: usize,
    /// Vectors of all blocks before this one.
    pub(in crate::kernels) before: usize,
}

/// `len` floats of the scratch that follow each other and meet `len` rows of packed weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// From the target pixel's place in the first block of its group.
    pub(super) offset: usize,
    pub(super) len: usize,
}

/// A row of packed weights: which tap and which source channel of the group it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct WeightRow {
    pub(super) tap: usize,
    pub(super) channel: usize,
}

/// Neighbouring target pixels: where the first one reads the scratch and where it is written in the unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct PixelRun {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// Target pixels that read the same taps.
#[derive(Clone, Debug)]
pub(super) struct GatherPass {
    pub(super) segments: Vec<Segment>,
    pub(super) rows: Vec<WeightRow>,
    /// Rows of packed weights of all passes before this one.
    pub(super) rows_before: usize,
    /// Runs of a full unit, by image, row and column: those of a smaller unit come first.
    pub(super) runs: Vec<PixelRun>,
    /// Pixels of a run.
    pub(super) run_len: usize,
    /// Floats of the scratch from pixel to pixel.
    pub(super) from_step: usize,
    /// Floats of the target from pixel to pixel.
    pub(super) to_step: usize,
    /// The phase's rows.
    pub(super) lines: Phase,
    runs_per_row: usize,
}

impl GatherPass {
    /// Runs of a unit of `images` images of `rows` target rows each.
    pub(super) fn runs_of(&self, images: usize, rows: usize) -> &[PixelRun] {
        &self.runs[..images * self.lines.count(rows) * self.runs_per_row]
    }
}

/// What one unit writes.
#[derive(Clone, Debug)]
pub(super) struct GatherUnit {
    pub(super) images: Range<usize>,
    pub(super) rows: Range<usize>,
    pub(super) blocks: Range<usize>,
}

/// How a source is gathered to a target: in which units, passes and blocks.
#[derive(Clone, Debug)]
pub(super) struct GatherPlan {
    /// Images of the batch.
    pub(super) images: usize,
    pub(super) source: MapShape,
    pub(super) target: MapShape,
    /// The source's channels in the scratch.
    pub(super) blocks: Blocks,
    /// The source columns that the scratch holds.
    pub(super) cols: Window,
    pub(super) passes: Vec<GatherPass>,
    /// The target's channels.
    pub(super) channel_blocks: Vec<ChannelBlock>,
    /// Lanes of a vector.
    pub(super) lanes: usize,
    rows: Axis,
    /// Images of a unit; 1 where it is a band of rows.
    pub(super) unit_images: usize,
    /// Target rows of a unit.
    pub(super) unit_rows: usize,
    /// Channel blocks of a unit.
    unit_blocks: usize,
}

impl GatherPlan {
    /// The plan of one pass of `geometry` on an instruction set.
    pub(super) fn new(isa: Isa, geometry: &Geometry, direction: Direction) -> Self {
        let g = geometry;
        let x = MapShape { size: g.input, channels: g.in_channels };
        let y = MapShape { size: g.output, channels: g.out_channels };
        let (source, target) = if direction == Direction::Forward { (x, y) } else { (y, x) };
        let [rows, cols] = [0, 1].map(|i| Axis::of(g, direction, i));
        let blocks = Blocks::new(g.groups, source.channels / g.groups);
        let channel_blocks =
            cut_channels(g.groups, target.channels / g.groups, isa.lanes(), tile::block_vectors(isa));
        let mut plan = Self {
            images: g.images,
            source,
            target,
            blocks,
            cols: cols.window(0, cols.targets),
            passes: Vec::new(),
            unit_blocks: channel_blocks.len(),
            channel_blocks,
            lanes: isa.lanes(),
            unit_images: 1,
            unit_rows: rows.targets,
            rows,
        };
        plan.cut(plan.rows.phases.len() * cols.phases.len());
        plan.passes = plan.passes(isa, &cols, g.kernel[1]);
        plan
    }

    /// Chooses the size of a unit.
    fn cut(&mut self, phases: usize) {
        let (rows, blocks) = (self.rows.targets, self.channel_blocks.len());
        // Few images: bands, but not so thin that most of what they copy is copied twice.
        let mut band = rows.div_ceil(UNITS.div_ceil(self.images)).max(4).min(rows);
        while band > 1 && self.image_bytes(band) > SCRATCH_BYTES {
            band = band.div_ceil(2);
        }
        self.unit_rows = band.next_multiple_of(self.rows.multiple).min(rows);
        if self.unit_rows == rows {
            let pixels = (self.target.size[0] * self.target.size[1]).div_ceil(phases);
            // As many as are needed, fit, and leave enough units.
            let most = (SCRATCH_BYTES / self.image_bytes(rows))
                .min((self.images * blocks.min(UNITS)).div_ceil(UNITS));
            self.unit_images = UNIT_PIXELS.div_ceil(pixels).min(most).max(1);
        }
        let units = self.images.div_ceil(self.unit_images) * rows.div_ceil(self.unit_rows);
        let chunks = UNITS.div_ceil(units).min(blocks);
        self.unit_blocks = blocks.div_ceil(chunks);
    }

    /// Bytes of the scratch for `rows` target rows of one image.
    fn image_bytes(&self, rows: usize) -> usize {
        self.image_scratch(rows) * size_of::<f32>()
    }

    /// Floats of the scratch for `rows` target rows of one image.
    fn image_scratch(&self, rows: usize) -> usize {
        self.blocks.count() * self.block_stride(rows)
    }

    /// Floats from block to block of the scratch for `rows` target rows.
    fn block_stride(&self, rows: usize) -> usize {
        self.rows.lines(rows) * self.line()
    }

    /// Floats from block to block of a unit's scratch.
    pub(super) fn unit_block_stride(&self) -> usize {
        self.block_stride(self.unit_rows)
    }

    /// Floats from image to image of a unit's scratch.
    pub(super) fn unit_image_stride(&self) -> usize {
        self.image_scratch(self.unit_rows)
    }

    /// Floats from row to row of the scratch.
    pub(super) fn line(&self) -> usize {
        self.cols.len * self.blocks.width
    }

    /// Most target pixels of a unit.
    pub(super) fn unit_pixels(&self) -> usize {
        self.unit_images * self.unit_rows * self.target.size[1]
    }

    /// The same plan with units that hold every channel block.
    pub(super) fn with_all_channels(mut self) -> Self {
        self.unit_blocks = self.channel_blocks.len();
        self
    }

    /// Whether units hold every channel of their pixels.
    pub(super) fn has_whole_pixels(&self) -> bool {
        self.unit_blocks == self.channel_blocks.len()
    }

    /// Floats of the scratch that one unit needs.
    pub(super) fn scratch_len(&self) -> usize {
        self.unit_images * self.image_scratch(self.unit_rows)
    }

    /// Source rows that a unit copies. A last, thinner band copies as many, to be laid out like the others.
    pub(super) fn row_window(&self, unit: &GatherUnit) -> Window {
        self.rows.window(unit.rows.start, self.unit_rows)
    }

    /// How many units there are.
    pub(super) fn units(&self) -> usize {
        let [images, bands, chunks] = self.unit_counts();
        images * bands * chunks
    }

    /// The units of the same channels, which are all of the target's pixels: the first ones.
    pub(super) fn pixel_units(&self) -> usize {
        let [images, bands, _] = self.unit_counts();
        images * bands
    }

    fn unit_counts(&self) -> [usize; 3] {
        [
            self.images.div_ceil(self.unit_images),
            self.rows.targets.div_ceil(self.unit_rows),
            self.channel_blocks.len().div_ceil(self.unit_blocks),
        ]
    }

    /// The `index`-th unit.
    pub(super) fn unit(&self, index: usize) -> GatherUnit {
        let [images, bands, _] = self.unit_counts();
        let part = |i: usize, size: usize, end: usize| i * size..((i + 1) * size).min(end);
        // Chunks of channels outermost: their weights stay in the cache.
        GatherUnit {
            images: part(index / bands % images, self.unit_images, self.images),
            rows: part(index % bands, self.unit_rows, self.rows.targets),
            blocks: part(index / (images * bands), self.unit_blocks, self.channel_blocks.len()),
        }
    }

    /// The source blocks that some channel blocks read.
    pub(super) fn source_blocks(&self, blocks: &Range<usize>) -> Range<usize> {
        self.source_block(blocks.start)..self.source_block(blocks.end - 1) + self.blocks.per_group
    }

    /// The first source block that a channel block reads.
    pub(super) fn source_block(&self, block: usize) -> usize {
        self.channel_blocks[block].group * self.blocks.per_group
    }

    /// Bytes of the plan itself.
    pub(super) fn bytes(&self) -> usize {
        let pass = |p: &GatherPass| {
            // Segments may join; packing sorts the rows once more.
            p.segments.capacity() * size_of::<Segment>()
                + size_of_val(&p.runs[..])
                + size_of_val(&p.rows[..])
                + p.rows.len() * size_of::<(usize, usize)>()
                + size_of::<GatherPass>()
        };
        self.passes.iter().map(pass).sum::<usize>() + 4 * size_of_val(&self.channel_blocks[..])
    }

    /// Floats of the packed weights.
    pub(super) fn packed_len(&self) -> usize {
        self.passes.iter().map(|p| p.rows.len()).sum::<usize>() * self.vectors() * self.lanes
    }

    /// Vectors of all channel blocks.
    pub(super) fn vectors(&self) -> usize {
        self.channel_blocks.iter().map(|b| b.vectors).sum()
    }

    fn passes(&self, isa: Isa, cols: &Axis, kernel_cols: usize) -> Vec<GatherPass> {
        let pairs = self.rows.phases.iter().flat_map(|r| cols.phases.iter().map(move |c| (r, c)));
        let mut rows_before = 0;
        pairs
            .map(|(r, c)| {
                let mut taps = Vec::with_capacity(r.taps.len() * c.taps.len());
                for &(kr, jr) in &r.taps {
                    for &(kc, jc) in &c.taps {
                        taps.push((kr * kernel_cols + kc, (jr * self.cols.len + jc) * self.blocks.width));
                    }
                }
                let (segments, rows) = self.segments(&taps);
                let pixels = c.count(cols.targets);
                let from_step = c.advance * self.blocks.width;
                let run_len = run_len(isa, from_step, pixels);
                let runs = self.runs(r, c, pixels, run_len);
                let to_step = c.every * self.target.channels;
                let runs_per_row = pixels.div_ceil(run_len);
                let before = rows_before;
                rows_before += rows.len();
                GatherPass {
                    segments,
                    rows,
                    rows_before: before,
                    runs,
                    run_len,
                    from_step,
                    to_step,
                    runs_per_row,
                    lines: r.clone(),
                }
            })
            .collect()
    }

    /// What the taps (index, offset) of every source block read; what follows each other becomes one segment.
    fn segments(&self, taps: &[(usize, usize)]) -> (Vec<Segment>, Vec<WeightRow>) {
        let channels: usize = (0..self.blocks.per_group).map(|block| self.blocks.len(block)).sum();
        let mut segments = Vec::<Segment>::with_capacity(self.blocks.per_group * taps.len());
        let mut rows = Vec::with_capacity(channels * taps.len());
        let stride = self.block_stride(self.unit_rows);
        for block in 0..self.blocks.per_group {
            let len = self.blocks.len(block);
            for &(tap, offset) in taps {
                let offset = block * stride + offset;
                match segments.last_mut() {
                    Some(last) if last.offset + last.len == offset => last.len += len,
                    _ => segments.push(Segment { offset, len }),
                }
                let first = block * BLOCK;
                rows.extend((first..first + len).map(|channel| WeightRow { tap, channel }));
            }
        }
        (segments, rows)
    }

    fn runs(&self, rows: &Phase, cols: &Phase, pixels: usize, run_len: usize) -> Vec<PixelRun> {
        let line = self.line();
        let (image_from, image_to) = (self.image_scratch(self.unit_rows), self.target.len());
        let per_image = rows.count(self.unit_rows) * pixels.div_ceil(run_len);
        let mut runs = Vec::with_capacity(self.unit_images * per_image);
        for image in 0..self.unit_images {
            for r in 0..rows.count(self.unit_rows) {
                let from = image * image_from + r * rows.advance * line;
                let row = rows.first + r * rows.every;
                let to = image * image_to + row * self.target.size[1] * self.target.channels;
                for start in (0..pixels).step_by(run_len) {
                    // The last run of a row ends with it: some pixels may be computed twice, alike.
                    let c = start.min(pixels - run_len);
                    runs.push(PixelRun {
                        from: from + c * cols.advance * self.blocks.width,
                        to: to + (cols.first + c * cols.every) * self.target.channels,
                    });
                }
            }
        }
        runs
    }
}

/// Pixels of a run: several where the tile knows their distance and few are computed twice, else one.
fn run_len(isa: Isa, from_step: usize, pixels: usize) -> usize {
    let run = tile::run_pixels(isa);
    let known = from_step == BLOCK || from_step == 2 * BLOCK;
    let computed = pixels.div_ceil(run) * run;
    if known && pixels >= run && computed * 9 <= pixels * 10 { run } else { 1 }
}

/// Cuts each group's channels into blocks of at most `most` vectors, a power of two; rests become smaller blocks.
pub(in crate::kernels) fn cut_channels(
    groups: usize,
    channels: usize,
    lanes: usize,
    most: usize,
) -> Vec<ChannelBlock> {
    let mut blocks = Vec::new();
    let mut before = 0;
    for group in 0..groups {
        let mut done = 0;
        while done < channels {
            let left = (channels - done).div_ceil(lanes);
            let vectors = if left >= most { most } else { 1 << left.ilog2() };
            let block = (channels - done).min(vectors * lanes);
            blocks.push(ChannelBlock {
                group,
                first: group * channels + done,
                channels: block,
                vectors,
                before,
            });
            before += vectors;
            done += block;
        }
    }
    blocks
}
