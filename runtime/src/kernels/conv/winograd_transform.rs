//! The transforms of F(2x2, 3x3): sources by Bᵀ d B, weights by G g Gᵀ, products by Aᵀ m A, and, for the weight
//! gradient, targets by A y Aᵀ and products by Gᵀ u G.

use super::scratch::BLOCK;
use super::tile::{self, MOST_CHANNELS};
use crate::kernels::simd::{Isa, Kernel, Simd};

/// Elements of a transformed tile.
pub(super) const POSITIONS: usize = 16;

/// One number for every channel of a block.
type Lanes = [f32; MOST_CHANNELS];

/// The tiles of a unit, image by image, row by row.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    /// Tiles of a row.
    pub(super) cols: usize,
    /// Floats from row to row of tiles.
    pub(super) row_step: usize,
    /// Floats from image to image.
    pub(super) image_step: usize,
}

/// Tiles that are transformed together.
pub(super) struct Group {
    pub(super) len: usize,
    pub(super) rows: Vec<TileRow>,
}

/// Neighbouring tiles of one row.
#[derive(Clone, Copy)]
pub(super) struct TileRow {
    /// The first one's float in a block of the scratch.
    pub(super) source: usize,
    /// The image in the unit, and the first tile's row and column in the image's part of the unit.
    pub(super) image: usize,
    pub(super) at: [usize; 2],
    /// The first one's number in the group.
    pub(super) first: usize,
    pub(super) len: usize,
}

impl Tiles {
    /// Cuts the tiles of `images` images of `rows` rows into groups of at most `most` tiles.
    pub(super) fn groups(self, [images, rows]: [usize; 2], most: usize) -> impl Iterator<Item = Group> {
        let all = images * rows * self.cols;
        (0..all).step_by(most).map(move |start| {
            let end = (start + most).min(all);
            let mut parts = Vec::new();
            let mut tile = start;
            while tile < end {
                let (line, col) = (tile / self.cols, tile % self.cols);
                let (image, row) = (line / rows, line % rows);
                let len = (self.cols - col).min(end - tile);
                let source = image * self.image_step + row * self.row_step + col * 2 * BLOCK;
                parts.push(TileRow { source, image, at: [row, col], first: tile - start, len });
                tile += len;
            }
            Group { len: end - start, rows: parts }
        })
    }
}

/// Blocks of source channels: in the scratch, and transformed as `[position, block, tile, 16]`.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    pub(super) count: usize,
    /// Floats from block to block of the scratch.
    pub(super) step: usize,
    /// Floats from row to row of the scratch.
    pub(super) line: usize,
    /// Tiles of a group.
    pub(super) group: usize,
    /// Floats from position to position.
    pub(super) position: usize,
}

/// A row of tiles of sources.
pub(super) struct Sources {
    pub(super) blocks: Blocks,
    /// The first tile in the first block of the scratch.
    pub(super) from: *const f32,
    /// The first tile's number in the group.
    pub(super) first: usize,
    pub(super) tiles: usize,
    /// The group's transformed tiles.
    pub(super) to: *mut f32,
}

/// Transforms a row of tiles of every block of source channels.
///
/// # Safety
/// The pointers are good for the tiles and blocks.
pub(super) unsafe fn sources(isa: Isa, tiles: Sources) {
    isa.run(tiles);
}

/// Bᵀ applied to four vectors.
#[inline(always)]
unsafe fn b_t<S: Simd>(d: [S::V; 4]) -> [S::V; 4] {
    // SAFETY: the caller vouches for `S`.
    unsafe { [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3])] }
}

/// One column of a tile, transformed by Bᵀ.
#[inline(always)]
unsafe fn column<S: Simd>(p: *const f32, line: usize) -> [S::V; 4] {
    // SAFETY: the caller's pointer is good for four rows.
    unsafe {
        b_t::<S>([S::load(p), S::load(p.add(line)), S::load(p.add(2 * line)), S::load(p.add(3 * line))])
    }
}

impl Kernel for Sources {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Blocks { count, step, line, group, position } = self.blocks;
        for block in 0..count {
            for lane in (0..BLOCK).step_by(S::LANES) {
                // SAFETY: the caller of `sources` has vouched for the pointers.
                unsafe {
                    let mut p = self.from.add(block * step + lane);
                    let mut to = self.to.add((block * group + self.first) * BLOCK + lane);
                    let mut left = [column::<S>(p, line), column::<S>(p.add(BLOCK), line)];
                    for _ in 0..self.tiles {
                        p = p.add(2 * BLOCK);
                        let right = [column::<S>(p, line), column::<S>(p.add(BLOCK), line)];
                        for y in 0..4 {
                            let row = b_t::<S>([left[0][y], left[1][y], right[0][y], right[1][y]]);
                            for (x, v) in row.into_iter().enumerate() {
                                S::store(to.add((y * 4 + x) * position), v);
                            }
                        }
                        left = right;
                        to = to.add(BLOCK);
                    }
                }
            }
        }
    }
}

/// A row of tiles of products, `[position, tile, lanes]`, and the image `[size[0], size[1], channels]` they become.
pub(super) struct Targets {
    /// The first tile's products.
    pub(super) from: *const f32,
    /// Floats from position to position.
    pub(super) position: usize,
    pub(super) lanes: usize,
    pub(super) tiles: usize,
    /// The first tile's row and column of tiles in the image.
    pub(super) at: [usize; 2],
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
    pub(super) bias: *const f32,
    pub(super) image: *mut f32,
}

/// Transforms the products of a row of tiles and adds the bias.
///
/// # Safety
/// The pointers are good for the tiles, the lanes and the image.
pub(super) unsafe fn targets(isa: Isa, tiles: Targets) {
    isa.run(tiles);
}

/// Aᵀ applied to four vectors.
#[inline(always)]
unsafe fn a_t<S: Simd>(m: [S::V; 4]) -> [S::V; 2] {
    // SAFETY: the caller vouches for `S`.
    unsafe { [S::add(m[0], S::add(m[1], m[2])), S::sub(S::sub(m[1], m[2]), m[3])] }
}

impl Kernel for Targets {
    #[allow(clippy::needless_range_loop)] // rows and columns of a tile say more than iterators
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let row_len = self.size[1] * self.channels;
        for tile in 0..self.tiles {
            let (y, x) = (2 * self.at[0], 2 * (self.at[1] + tile));
            let whole = y + 2 <= self.size[0] && x + 2 <= self.size[1];
            for lane in (0..self.channels).step_by(S::LANES) {
                // SAFETY: the caller of `targets` has vouched for the pointers; pixels beyond the image are
                // not written.
                unsafe {
                    let from = self.from.add(tile * self.lanes + lane);
                    let to = self.image.add(y * row_len + x * self.channels + lane);
                    let mut half = [[S::zero(); 4]; 2];
                    for c in 0..4 {
                        let p = from.add(c * self.position);
                        let step = 4 * self.position;
                        let column = [
                            S::load(p),
                            S::load(p.add(step)),
                            S::load(p.add(2 * step)),
                            S::load(p.add(3 * step)),
                        ];
                        [half[0][c], half[1][c]] = a_t::<S>(column);
                    }
                    let bias = S::load(self.bias.add(lane));
                    for r in 0..2 {
                        let pair = a_t::<S>(half[r]);
                        for c in 0..2 {
                            let to = to.add(r * row_len + c * self.channels);
                            let v = S::add(pair[c], bias);
                            if whole && lane + S::LANES <= self.channels {
                                S::store(to, v);
                            } else if y + r < self.size[0] && x + c < self.size[1] {
                                tile::store::<S, 1>(to, &[v], self.channels - lane);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A row of 2x2 tiles of d_y, in blocks of 16 channels, to become `[position, tile, lanes]` of one channel block.
pub(super) struct Gradients {
    /// The first tile in the first block.
    pub(super) from: *const f32,
    /// Floats from block to block, and from row to row.
    pub(super) block: usize,
    pub(super) line: usize,
    /// First channel of the channel block.
    pub(super) channel: usize,
    /// Lanes of the channel block.
    pub(super) lanes: usize,
    pub(super) tiles: usize,
    /// Floats from position to position.
    pub(super) position: usize,
    /// The first tile's first position.
    pub(super) to: *mut f32,
}

/// Transforms a row of tiles of d_y.
///
/// # Safety
/// The pointers are good for the tiles and lanes.
pub(super) unsafe fn gradients(isa: Isa, tiles: Gradients) {
    isa.run(tiles);
}

/// A applied to two vectors.
#[inline(always)]
unsafe fn a<S: Simd>(d: [S::V; 2]) -> [S::V; 4] {
    // SAFETY: the caller vouches for `S`.
    unsafe { [d[0], S::add(d[0], d[1]), S::sub(d[0], d[1]), S::sub(S::zero(), d[1])] }
}

impl Kernel for Gradients {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        for lane in (0..self.lanes).step_by(S::LANES) {
            let channel = self.channel + lane;
            for tile in 0..self.tiles {
                // SAFETY: the caller of `gradients` has vouched for the pointers.
                unsafe {
                    let at = channel / BLOCK * self.block + channel % BLOCK + tile * 2 * BLOCK;
                    let (p, to) = (self.from.add(at), self.to.add(tile * self.lanes + lane));
                    let left = a::<S>([S::load(p), S::load(p.add(self.line))]);
                    let right = a::<S>([S::load(p.add(BLOCK)), S::load(p.add(self.line + BLOCK))]);
                    for y in 0..4 {
                        for (x, v) in a::<S>([left[y], right[y]]).into_iter().enumerate() {
                            S::store(to.add((y * 4 + x) * self.position), v);
                        }
                    }
                }
            }
        }
    }
}

/// G applied to three numbers a lane.
fn g(d: [&Lanes; 3]) -> [Lanes; 4] {
    let mut out = [*d[0], [0.0; MOST_CHANNELS], [0.0; MOST_CHANNELS], *d[2]];
    for lane in 0..MOST_CHANNELS {
        let ends = d[0][lane] + d[2][lane];
        out[1][lane] = 0.5 * (ends + d[1][lane]);
        out[2][lane] = 0.5 * (ends - d[1][lane]);
    }
    out
}

/// Transforms 3x3 weights, tap by tap, into 16 positions.
pub(super) fn weights(taps: &[Lanes; 9]) -> [Lanes; POSITIONS] {
    let columns = [0, 1, 2].map(|c| g([&taps[c], &taps[3 + c], &taps[6 + c]]));
    let mut out = [[0.0; MOST_CHANNELS]; POSITIONS];
    for y in 0..4 {
        out[y * 4..y * 4 + 4].copy_from_slice(&g([&columns[0][y], &columns[1][y], &columns[2][y]]));
    }
    out
}

/// Gᵀ applied to four numbers a lane.
fn g_t(u: [&Lanes; 4]) -> [Lanes; 3] {
    let mut out = [[0.0; MOST_CHANNELS]; 3];
    for lane in 0..MOST_CHANNELS {
        let half = 0.5 * (u[1][lane] + u[2][lane]);
        out[0][lane] = u[0][lane] + half;
        out[1][lane] = 0.5 * (u[1][lane] - u[2][lane]);
        out[2][lane] = half + u[3][lane];
    }
    out
}

/// Transforms 16 positions of sums into the gradients of 3x3 weights, tap by tap.
pub(super) fn d_weights(sums: &[Lanes; POSITIONS]) -> [Lanes; 9] {
    let columns = [0, 1, 2, 3].map(|c| g_t([&sums[c], &sums[4 + c], &sums[8 + c], &sums[12 + c]]));
    let mut out = [[0.0; MOST_CHANNELS]; 9];
    for y in 0..3 {
        let row = g_t([&columns[0][y], &columns[1][y], &columns[2][y], &columns[3][y]]);
        out[y * 3..y * 3 + 3].copy_from_slice(&row);
    }
    out
}
