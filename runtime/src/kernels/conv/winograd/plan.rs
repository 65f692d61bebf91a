//! How a pass is cut into units, and where a unit's transformed sources lie.

use super::super::buffer::Buffer;
use super::super::gather::{ChannelBlock, Direction, MapShape, Segment, UNITS, cut_channels};
use super::super::geometry::Geometry;
use super::super::scratch::{BLOCK, Blocks};
use super::super::source::{self, ReadThrough, Strip};
use super::transform::{self, SourceRow};
use super::units::{TileUnit, TileUnits};
use super::{KERNEL_ROWS, POSITIONS, TILE};
use crate::kernels::simd::Isa;

/// The transformed sources of a unit aim to be no larger, so that they stay in a level-2 cache.
const TRANSFORMED_BYTES: usize = 512 << 10;
/// Tiles that a unit should have, so that reading the weights once a unit is cheap.
const UNIT_TILES: usize = 64;

/// The plan of a pass.
#[derive(Clone, Debug)]
pub(in super::super) struct RowPlan {
    pub(in super::super) source: MapShape,
    pub(in super::super) target: MapShape,
    /// Blocks of one vector of target channels.
    pub(in super::super) channel_blocks: Vec<ChannelBlock>,
    pub(super) lanes: usize,
    /// Tiles of a row.
    pub(super) cols: usize,
    /// What a tile reads: of every block of source channels, of every row of the kernel.
    pub(super) segments: Vec<Segment>,
    blocks: Blocks,
    /// The source row and column that the first target's first tap reads.
    origin: [isize; 2],
    pub(super) units: TileUnits,
}

/// Where a tile reads the transformed sources, where its first target is written, and how many targets there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) targets: usize,
}

/// Whether the kernel is one that this method knows.
pub(in super::super) fn applies(g: &Geometry) -> bool {
    g.kernel == [3, 3] && g.stride == [1, 1] && g.dilation == [1, 1] && g.groups == 1
}

/// Whether this is faster than the direct convolution, as measured with AVX-512. With few channels the transforms
/// cost what the products save, with tiles that stick out of the image empty products do, and with few tiles the
/// transform of the weights does.
pub(in super::super) fn is_faster(g: &Geometry) -> bool {
    let tiles = g.output[1].div_ceil(TILE);
    let full = g.output[1] * 4 >= tiles * TILE * 3;
    g.in_channels.min(g.out_channels) >= 8 && full && g.images * g.output[0] * tiles >= 256
}

impl RowPlan {
    pub(in super::super) fn new(isa: Isa, g: &Geometry, direction: Direction) -> Self {
        let x = MapShape { size: g.input, channels: g.in_channels };
        let y = MapShape { size: g.output, channels: g.out_channels };
        let forward = direction == Direction::Forward;
        let (source, target) = if forward { (x, y) } else { (y, x) };
        let mut plan = Self {
            source,
            target,
            channel_blocks: cut_channels(1, target.channels, isa.lanes(), 1),
            lanes: isa.lanes(),
            cols: target.size[1].div_ceil(TILE),
            segments: Vec::new(),
            blocks: Blocks::padded(source.channels),
            origin: g.padding.map(|p| if forward { -(p as isize) } else { p as isize - 2 }),
            units: TileUnits {
                images: g.images,
                unit_images: 1,
                rows: target.size[0],
                unit_rows: target.size[0],
            },
        };
        plan.cut();
        for block in 0..plan.blocks.count() {
            for row in 0..KERNEL_ROWS {
                let offset = block * plan.block_len() + row * plan.line();
                plan.segments.push(Segment { offset, len: plan.blocks.len(block) });
            }
        }
        plan
    }

    /// Chooses the size of a unit: whole images, several if they are small, or bands of a large one.
    fn cut(&mut self) {
        let rows = self.target.size[0];
        let bytes = |plan: &Self| plan.image_len() * size_of::<f32>();
        self.units.unit_rows = rows.div_ceil(UNITS.div_ceil(self.units.images)).max(4).min(rows);
        while self.units.unit_rows > 1 && bytes(self) > TRANSFORMED_BYTES {
            self.units.unit_rows = self.units.unit_rows.div_ceil(2);
        }
        if self.units.unit_rows == rows {
            let wanted = UNIT_TILES.div_ceil(rows * self.cols);
            let fitting = TRANSFORMED_BYTES / bytes(self);
            self.units.unit_images = wanted.min(fitting).min(self.units.images.div_ceil(UNITS)).max(1);
        }
    }

    /// Floats from row to row of the transformed sources: `[tile, position, 16]`.
    pub(super) fn line(&self) -> usize {
        self.cols * POSITIONS * BLOCK
    }

    /// Floats from block to block: the unit's rows and the kernel's reach.
    fn block_len(&self) -> usize {
        (self.units.unit_rows + 2) * self.line()
    }

    /// Floats from image to image.
    pub(super) fn image_len(&self) -> usize {
        self.blocks.count() * self.block_len()
    }

    /// Floats of a unit's transformed sources: `[image, block, row, tile, position, 16]`.
    pub(super) fn transformed_len(&self) -> usize {
        self.units.unit_images * self.image_len()
    }

    /// Floats of the sums of one block of target channels.
    pub(super) fn products_len(&self) -> usize {
        self.most_tiles() * POSITIONS * self.lanes
    }

    /// Floats of a row of one block of sources with its border.
    pub(super) fn row_len(&self) -> usize {
        (self.cols * TILE + 2) * BLOCK
    }

    /// Rows of weights: kernel rows times source channels.
    pub(super) fn rows(&self) -> usize {
        KERNEL_ROWS * self.source.channels
    }

    /// Lanes of all channel blocks.
    pub(super) fn target_lanes(&self) -> usize {
        self.channel_blocks.iter().map(|b| b.vectors).sum::<usize>() * self.lanes
    }

    /// Tiles of a full unit.
    pub(super) fn most_tiles(&self) -> usize {
        self.units.unit_images * self.units.unit_rows * self.cols
    }

    /// The tiles of a full unit, by image, row and column.
    pub(super) fn unit_tiles(&self) -> Vec<Tile> {
        let mut tiles = Vec::with_capacity(self.most_tiles());
        for image in 0..self.units.unit_images {
            for row in 0..self.units.unit_rows {
                for col in 0..self.cols {
                    let pixel = row * self.target.size[1] + col * TILE;
                    tiles.push(Tile {
                        from: image * self.image_len() + row * self.line() + col * POSITIONS * BLOCK,
                        to: image * self.target.len() + pixel * self.target.channels,
                        targets: (self.target.size[1] - col * TILE).min(TILE),
                    });
                }
            }
        }
        tiles
    }

    /// Bytes of the plan itself.
    pub(super) fn bytes(&self) -> usize {
        2 * (size_of_val(&self.segments[..]) + size_of_val(&self.channel_blocks[..]))
    }

    /// Transforms what a unit reads, row by row of each block of channels.
    pub(super) fn transform(
        &self,
        isa: Isa,
        unit: &TileUnit,
        source: ReadThrough<'_>,
        row: &mut Buffer,
        transformed: &mut [f32],
    ) {
        let [height, width] = self.source.size;
        let channels = self.source.channels;
        // The pixels of the row buffer that have a source.
        let pixels = self.cols * TILE + 2;
        let from = (-self.origin[1]).clamp(0, pixels as isize) as usize;
        let to = (width as isize - self.origin[1]).clamp(from as isize, pixels as isize) as usize;
        let first = (self.origin[1] + from as isize).max(0) as usize;
        row[..from * BLOCK].fill(0.0);
        row[to * BLOCK..].fill(0.0);
        for (image, part) in unit.images.clone().zip(transformed.chunks_exact_mut(self.image_len())) {
            for (block, part) in part.chunks_exact_mut(self.block_len()).enumerate() {
                let channel = block * BLOCK;
                let len = self.blocks.len(block);
                let strip = Strip { channel, len, every: channels, to_every: BLOCK, to_len: BLOCK };
                for (line, part) in part.chunks_exact_mut(self.line()).enumerate() {
                    let at = self.origin[0] + (unit.rows.start + line) as isize;
                    if at < 0 || at >= height as isize || from == to || line >= unit.rows.len() + 2 {
                        part.fill(0.0);
                        continue;
                    }
                    let pixel = (image * height + at as usize) * width + first;
                    let len = (to - from) * channels - channel;
                    let source = source.part(pixel * channels + channel, len);
                    source::copy(isa, source, strip, &mut row[from * BLOCK..to * BLOCK]);
                    transform::sources(isa, SourceRow { from: row, to: part });
                }
            }
        }
    }
}
