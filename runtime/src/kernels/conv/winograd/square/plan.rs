//! How a pass is cut into units, and where a unit's transformed sources, products and weights lie.

use super::super::super::gather::{ChannelBlock, Direction, MapShape, Segment, UNITS, cut_channels};
use super::super::super::geometry::Geometry;
use super::super::super::scratch::{BLOCK, Blocks};
use super::super::super::source::{self, ReadThrough, Strip};
use super::super::super::tile::block_vectors;
use super::super::units::{TileUnit, TileUnits};
use super::super::{POSITIONS, TILE};
use super::transform::{self, Lines};
use super::{SQUARE, TAIL};
use crate::kernels::simd::Isa;
use std::ops::Range;

/// The transformed sources of a unit aim to be no larger, so that they stay near the core.
const TRANSFORMED_BYTES: usize = 96 << 10;
/// Tiles that a unit has even so, and even where that leaves few units.
const FEWEST_TILES: usize = 24;
/// Those where the weights do not stay in a level-2 cache, as they are read once a unit.
const STREAMED_TILES: usize = 48;
/// Packed weights up to this size stay there.
const CACHED_BYTES: usize = 1 << 20;
/// Packed weights that are in memory at a time aim to be no more: of more channel blocks, some come after others.
const PACKED_BYTES: usize = 16 << 20;

/// The plan of a pass.
#[derive(Clone, Debug)]
pub(in crate::kernels::conv) struct SquarePlan {
    pub(in crate::kernels::conv) source: MapShape,
    pub(in crate::kernels::conv) target: MapShape,
    pub(in crate::kernels::conv) channel_blocks: Vec<ChannelBlock>,
    pub(super) lanes: usize,
    /// Rows and columns of an image's tiles.
    pub(super) tiles: [usize; 2],
    /// What a tile reads at each position: of every block of source channels.
    pub(super) segments: Vec<Segment>,
    blocks: Blocks,
    /// The source row and column that the first target's first tap reads.
    origin: [isize; 2],
    /// Their rows are rows of tiles.
    pub(super) units: TileUnits,
}

impl SquarePlan {
    pub(in crate::kernels::conv) fn new(isa: Isa, g: &Geometry, direction: Direction) -> Self {
        let x = MapShape { size: g.input, channels: g.in_channels };
        let y = MapShape { size: g.output, channels: g.out_channels };
        let forward = direction == Direction::Forward;
        let (source, target) = if forward { (x, y) } else { (y, x) };
        let tiles = target.size.map(|size| size.div_ceil(TILE));
        let plan = Self {
            source,
            target,
            channel_blocks: cut_channels(1, target.channels, isa.lanes(), block_vectors(isa)),
            lanes: isa.lanes(),
            tiles,
            segments: Vec::new(),
            blocks: Blocks::padded(source.channels),
            origin: g.padding.map(|p| if forward { -(p as isize) } else { p as isize - 2 }),
            units: TileUnits { images: g.images, unit_images: 1, rows: tiles[0], unit_rows: 1 },
        };
        let weight_bytes = plan.packed_len(&plan.channel_blocks) * size_of::<f32>();
        plan.with_tiles(if weight_bytes <= CACHED_BYTES { FEWEST_TILES } else { STREAMED_TILES })
    }

    /// The same with units of no fewer tiles than so many, if there are as many.
    pub(super) fn with_tiles(mut self, fewest: usize) -> Self {
        self.cut(fewest);
        self
    }

    /// Chooses the size of a unit: whole images, several if they are small, or bands of a large one.
    fn cut(&mut self, fewest: usize) {
        let [rows, cols] = self.tiles;
        let tile_bytes = self.blocks.count() * SQUARE * BLOCK * size_of::<f32>();
        let even = (self.units.images * rows * cols).div_ceil(UNITS);
        let tiles = even.min(TRANSFORMED_BYTES / tile_bytes).max(fewest);
        // Bands of about equal height.
        self.units.unit_rows = rows.div_ceil(rows.div_ceil((tiles / cols).clamp(1, rows)));
        if self.units.unit_rows == rows {
            self.units.unit_images = tiles.div_ceil(rows * cols).min(self.units.images).max(1);
        }
        let segment = |block| Segment { offset: block * self.block_len(), len: self.blocks.len(block) };
        self.segments = (0..self.blocks.count()).map(segment).collect();
    }

    /// Floats from position to position of the transformed sources: the unit's tiles, and one more so that the
    /// positions of a tile do not share a set of a cache.
    pub(super) fn position_len(&self) -> usize {
        (self.most_tiles() + 1) * BLOCK
    }

    /// Floats from block to block.
    fn block_len(&self) -> usize {
        SQUARE * self.position_len()
    }

    /// Floats of a unit's transformed sources: `[block, position, tile, 16]`.
    pub(super) fn transformed_len(&self) -> usize {
        self.blocks.count() * self.block_len()
    }

    /// Floats from position to position of the products of a block of target channels: `[tile, vectors * lanes]`.
    pub(super) fn products_position(&self, block: &ChannelBlock) -> usize {
        self.most_tiles() * block.vectors * self.lanes + BLOCK
    }

    /// Floats of the products of any block of target channels.
    pub(super) fn products_len(&self) -> usize {
        self.channel_blocks.iter().map(|b| SQUARE * self.products_position(b)).max().unwrap_or(0)
    }

    /// Floats from position to position of a block's packed weights: `[source channel, vectors * lanes]`.
    pub(super) fn panel_len(&self, block: &ChannelBlock) -> usize {
        self.source.channels * block.vectors * self.lanes + BLOCK
    }

    /// Floats of the packed weights of some blocks: `[block, position, source channel, vectors * lanes]`.
    pub(super) fn packed_len(&self, blocks: &[ChannelBlock]) -> usize {
        blocks.iter().map(|b| SQUARE * self.panel_len(b)).sum()
    }

    /// Channel blocks whose packed weights are in memory at a time.
    pub(super) fn chunk_blocks(&self) -> usize {
        let count = self.channel_blocks.len();
        let bytes = self.packed_len(&self.channel_blocks) * size_of::<f32>();
        count.div_ceil(bytes.div_ceil(PACKED_BYTES).max(1)).max(1)
    }

    /// Floats of a row of one block of sources with its border.
    fn row_len(&self) -> usize {
        (self.tiles[1] * TILE + 2) * BLOCK
    }

    /// Floats of the rows that a row of tiles reads.
    pub(super) fn lines_len(&self) -> usize {
        POSITIONS * self.row_len()
    }

    /// Lanes of all channel blocks.
    pub(super) fn target_lanes(&self) -> usize {
        self.channel_blocks.iter().map(|b| b.vectors).sum::<usize>() * self.lanes
    }

    /// Tiles of a full unit, in whole tails.
    pub(super) fn most_tiles(&self) -> usize {
        (self.units.unit_images * self.units.unit_rows * self.tiles[1]).next_multiple_of(TAIL)
    }

    /// Tiles of a unit.
    pub(super) fn unit_tiles(&self, unit: &TileUnit) -> usize {
        unit.images.len() * unit.rows.len() * self.tiles[1]
    }

    /// Rows of targets of a unit.
    pub(super) fn target_rows(&self, unit: &TileUnit) -> Range<usize> {
        unit.rows.start * TILE..(unit.rows.end * TILE).min(self.target.size[0])
    }

    /// Bytes of the plan itself.
    pub(super) fn bytes(&self) -> usize {
        2 * (size_of_val(&self.segments[..]) + size_of_val(&self.channel_blocks[..]))
    }

    /// Transforms what a unit reads, a row of tiles of one block of channels at a time; `lines` are the rows of
    /// sources that it reads, of which the next one keeps two.
    pub(super) fn transform(
        &self,
        isa: Isa,
        unit: &TileUnit,
        source: ReadThrough<'_>,
        lines: &mut [f32],
        transformed: &mut [f32],
    ) {
        let tiles = self.tiles[1] * BLOCK;
        let row_len = self.row_len();
        lines.fill(0.0);
        for (block, part) in transformed.chunks_exact_mut(self.block_len()).enumerate() {
            let mut done = 0;
            for image in unit.images.clone() {
                for (index, row) in unit.rows.clone().enumerate() {
                    for line in if index == 0 { 0 } else { 2 }..POSITIONS {
                        let to = (index * TILE + line) % POSITIONS * row_len;
                        let at = [image, row * TILE + line];
                        self.line(isa, source, block, at, &mut lines[to..to + row_len]);
                    }
                    let first = index * TILE % POSITIONS;
                    let lines =
                        Lines { lines, row_len, first, tiles: self.tiles[1], position: self.position_len() };
                    transform::sources(isa, lines, &mut part[done..]);
                    done += tiles;
                }
            }
        }
    }

    /// Copies one row of a block of sources of an image between its borders, which stay as they are; `line` counts
    /// from the first row that a tile reads.
    fn line(
        &self,
        isa: Isa,
        source: ReadThrough<'_>,
        block: usize,
        [image, line]: [usize; 2],
        to: &mut [f32],
    ) {
        let [height, width] = self.source.size;
        let (channels, channel) = (self.source.channels, block * BLOCK);
        // The pixels of the line that have a source.
        let pixels = to.len() / BLOCK;
        let start = (-self.origin[1]).clamp(0, pixels as isize) as usize;
        let end = (width as isize - self.origin[1]).clamp(start as isize, pixels as isize) as usize;
        let at = self.origin[0] + line as isize;
        let to = &mut to[start * BLOCK..end * BLOCK];
        if at < 0 || at >= height as isize || start == end {
            to.fill(0.0);
            return;
        }
        let first = (self.origin[1] + start as isize) as usize;
        let pixel = (image * height + at as usize) * width + first;
        let strip =
            Strip { channel, len: self.blocks.len(block), every: channels, to_every: BLOCK, to_len: BLOCK };
        let source = source.part(pixel * channels + channel, (end - start) * channels - channel);
        source::copy(isa, source, strip, to);
    }
}
