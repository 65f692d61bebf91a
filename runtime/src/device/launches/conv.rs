//! The three passes of a convolution.

use crate::device::arguments::{Conv, Divisor};
use crate::device::launch::{Launch, Traffic, pair, whole};
use crate::device::launches::norm;
use crate::device::launches::{PART_CHANNELS, PART_ROWS};
use crate::device::table::all::{Class, ConvShape, Pass, choose, choose_both};
use crate::device::table::kernel::{Kernel, ReadKind};
use crate::error::Result;
use crate::kernels::conv::Geometry;

/// Adds the bias.
pub const WITH_BIAS: u32 = 1;
/// Takes the moments of what is written.
pub const WITH_MOMENTS: u32 = 2;
/// Adds the map beside.
pub const WITH_BESIDE: u32 = 4;
/// Sets to 0 where the mask says so.
pub const WITH_MASK: u32 = 8;
/// Takes the sums that the norm before needs.
pub const WITH_SUMS: u32 = 16;
/// The last block makes of moments or sums what a launch of its own else would.
pub const WITH_FINISH: u32 = 32;

/// What a convolution reads, beside its geometry.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// What the input is read through.
    pub map: ReadKind,
    /// The clamp of that.
    pub bounds: [f32; 2],
    /// What the gradient of the output is read through.
    pub gradient: ReadKind,
    /// The clamp of that.
    pub norm_bounds: [f32; 2],
    /// Rows and columns of the map that is up-sampled to the input.
    pub small: [usize; 2],
    /// What is added to the variance where moments are finished.
    pub epsilon: f32,
}

impl Default for Read {
    fn default() -> Self {
        let all = [f32::NEG_INFINITY, f32::INFINITY];
        Self {
            map: ReadKind::Plain,
            bounds: all,
            gradient: ReadKind::Plain,
            norm_bounds: all,
            small: [0; 2],
            epsilon: 0.0,
        }
    }
}

/// A launch that leaves parts behind.
#[derive(Clone, Debug)]
pub struct WithParts {
    /// The launch.
    pub launch: Launch,
    /// How many parts: tiles of pixels, or splits of a gradient.
    pub parts: usize,
    /// Rows of a tile.
    pub part_rows: usize,
    /// Floats of all.
    pub parts_len: usize,
    /// Counts of blocks, all 0, which a launch that finishes its parts is given and leaves as they are.
    pub arrivals: usize,
}

fn shape(geometry: &Geometry) -> Result<ConvShape> {
    Ok(ConvShape {
        channels: pair([geometry.group_in(), geometry.group_out()])?,
        is_depthwise: geometry.is_depthwise(),
        all_channels: whole(geometry.in_channels)?,
    })
}

fn arguments(geometry: &Geometry, read: &Read, flags: u32, gathered: usize) -> Result<Conv> {
    for len in [geometry.x_len(), geometry.y_len(), geometry.weight_len()] {
        whole(len)?;
    }
    Ok(Conv {
        images: whole(geometry.images)?,
        input: pair(geometry.input)?,
        output: pair(geometry.output)?,
        channels: pair([geometry.group_in(), geometry.group_out()])?,
        groups: whole(geometry.groups)?,
        kernel: pair(geometry.kernel)?,
        stride: pair(geometry.stride)?,
        padding: pair(geometry.padding)?,
        dilation: pair(geometry.dilation)?,
        flags,
        small: pair(read.small)?,
        bounds: read.bounds,
        norm_bounds: read.norm_bounds,
        epsilon: read.epsilon,
        by_channels: Divisor::new(whole(gathered)?),
        by_image: Divisor::new(whole(geometry.output[0] * geometry.output[1])?),
        by_row: Divisor::new(whole(geometry.output[1])?),
        ..Conv::default()
    })
}

/// Floats that a map of `len` is read as.
fn read_len(source: ReadKind, len: usize, small_len: usize) -> usize {
    match source {
        ReadKind::Sum | ReadKind::Through => 2 * len,
        ReadKind::Upsampled => small_len,
        ReadKind::Plain | ReadKind::Normalized => len,
    }
}

fn x_read_len(geometry: &Geometry, read: &Read) -> usize {
    let small_len = geometry.images * read.small[0] * read.small[1] * geometry.in_channels;
    read_len(read.map, geometry.x_len(), small_len)
}

/// A gather of `rows` pixels, the most that a phase has, into `columns` channels of a group.
fn gather(
    geometry: &Geometry,
    kernel: Kernel,
    mut p: Conv,
    (phases, rows, columns): (usize, usize, usize),
    mut traffic: Traffic,
    with_parts: bool,
) -> Result<WithParts> {
    let all_columns = columns * geometry.groups;
    let (part_rows, grid) = match kernel.tile {
        None => (PART_ROWS, [rows.div_ceil(PART_ROWS), all_columns.div_ceil(PART_CHANNELS), 1]),
        Some(tile) => {
            let (tile_rows, column_tiles) = (tile.rows as usize, columns.div_ceil(tile.columns as usize));
            p.column_tiles = whole(column_tiles)?;
            p.tiles = whole(rows.div_ceil(tile_rows))?;
            (tile_rows, [rows.div_ceil(tile_rows) * column_tiles * phases, geometry.groups, 1])
        }
    };
    let parts = rows.div_ceil(part_rows) * phases;
    let parts_len = if with_parts { 2 * parts * all_columns } else { 0 };
    traffic.bytes_written += 4 * parts_len as u64;
    if p.flags & WITH_FINISH != 0 {
        traffic += norm::finish_traffic(parts_len, all_columns);
    }
    let arrivals = grid[1] * p.column_tiles.max(1) as usize;
    let grid = [whole(grid[0])?, whole(grid[1])?, 1];
    Ok(WithParts { launch: Launch::new(kernel, grid, &p, traffic)?, parts, part_rows, parts_len, arrivals })
}

/// The output. `flags`: [`WITH_BIAS`], [`WITH_MOMENTS`], with which [`WITH_FINISH`].
///
/// # Errors
/// Of what is too large for a device.
pub fn forward(geometry: &Geometry, read: &Read, flags: u32, class: Class) -> Result<WithParts> {
    let kernel = choose(shape(geometry)?, Pass::Forward, read.map, ReadKind::Plain, class);
    let p = arguments(geometry, read, flags, geometry.group_in())?;
    let traffic = Traffic::floats(
        x_read_len(geometry, read) + geometry.weight_len(),
        geometry.y_len(),
        2 * geometry.multiplications(),
    );
    let rows = geometry.images * geometry.output[0] * geometry.output[1];
    let with_parts = flags & WITH_MOMENTS != 0;
    gather(geometry, kernel, p, (1, rows, geometry.group_out()), traffic, with_parts)
}

/// The gradient of the input. `flags`: [`WITH_BESIDE`], [`WITH_MASK`], [`WITH_SUMS`], with which
/// [`WITH_FINISH`]; a depthwise one takes sums alone.
///
/// # Errors
/// Of what is too large for a device.
pub fn d_input(geometry: &Geometry, read: &Read, flags: u32, class: Class) -> Result<WithParts> {
    let kernel = choose(shape(geometry)?, Pass::DInput, ReadKind::Plain, read.gradient, class);
    // What is gathered is the gradient: its clamp is the gather's.
    let turned = Read { bounds: read.norm_bounds, norm_bounds: read.bounds, ..*read };
    let p = arguments(geometry, &turned, flags, geometry.group_out())?;
    let mut read_floats = read_len(read.gradient, geometry.y_len(), 0) + geometry.weight_len();
    for flag in [WITH_BESIDE, WITH_SUMS] {
        read_floats += if flags & flag != 0 { geometry.x_len() } else { 0 };
    }
    let mut traffic = Traffic::floats(read_floats, geometry.x_len(), 2 * geometry.multiplications());
    traffic.bytes_read += if flags & WITH_MASK != 0 { geometry.x_len() as u64 / 8 } else { 0 };
    let [height, width] = geometry.input;
    let with_parts = flags & WITH_SUMS != 0;
    if geometry.is_depthwise() {
        let rows = geometry.images * height * width;
        return gather(geometry, kernel, p, (1, rows, 1), traffic, with_parts);
    }
    let [down, across] = geometry.stride;
    let rows = geometry.images * height.div_ceil(down) * width.div_ceil(across);
    gather(geometry, kernel, p, (down * across, rows, geometry.group_in()), traffic, with_parts)
}

/// Blocks that keep every device at work.
const ENOUGH_BLOCKS: usize = 256;
/// Pixels that are worth a block of their own.
const LEAST_PIXELS: usize = 512;
/// A split ends with a whole stage of every tile.
const STAGE: usize = 16;

/// The gradient of the weight, in splits of the pixels, each as long as the weight.
///
/// # Errors
/// Of what is too large for a device.
pub fn d_weight(geometry: &Geometry, read: &Read, class: Class) -> Result<WithParts> {
    let kernel = choose(shape(geometry)?, Pass::DWeight, read.map, read.gradient, class);
    let mut p = arguments(geometry, read, 0, geometry.group_in())?;
    let taps = geometry.taps();
    let [x, y] = match kernel.tile {
        None => [geometry.in_channels.div_ceil(PART_CHANNELS), taps],
        Some(tile) => {
            let column_tiles = geometry.group_out().div_ceil(tile.columns as usize);
            p.column_tiles = whole(column_tiles)?;
            [(taps * geometry.group_in()).div_ceil(tile.rows as usize), column_tiles * geometry.groups]
        }
    };
    let (pixels_a_split, splits) = splits(geometry, x * y);
    p.pixels_a_split = whole(pixels_a_split)?;
    let parts_len = splits * geometry.weight_len();
    let read_floats = x_read_len(geometry, read) + read_len(read.gradient, geometry.y_len(), 0);
    let traffic = Traffic::floats(read_floats, parts_len, 2 * geometry.multiplications());
    let grid = [whole(x)?, whole(y)?, whole(splits)?];
    let launch = Launch::new(kernel, grid, &p, traffic)?;
    Ok(WithParts { launch, parts: splits, part_rows: pixels_a_split, parts_len, arrivals: 0 })
}

/// Pixels of a split, and how many splits there are, where a split has so many tiles.
fn splits(geometry: &Geometry, tiles: usize) -> (usize, usize) {
    let pixels = geometry.images * geometry.output[0] * geometry.output[1];
    // By shape alone, so that all devices agree: until there are enough blocks, while a split is worth its traffic.
    let worth = (geometry.x_len() + geometry.y_len()) / (4 * geometry.weight_len());
    let wanted = ENOUGH_BLOCKS.div_ceil(tiles).min(pixels / LEAST_PIXELS).min(worth).max(1);
    let pixels_a_split = pixels.div_ceil(wanted).next_multiple_of(STAGE);
    (pixels_a_split, pixels.div_ceil(pixels_a_split))
}

/// Both gradients in one launch: what that of the input leaves, the launch with it, and how many splits that of the weight has.
#[derive(Clone, Debug)]
pub struct Both {
    /// Of the input.
    pub input: WithParts,
    /// Splits of the weight's gradient, each as long as the weight.
    pub splits: usize,
}

/// Both gradients, where one kernel makes them. `flags` as of [`d_input`]; the norm whose sums are taken is the one that the input is
/// read through. Each has the same bits as by a launch of its own.
///
/// # Errors
/// Of what is too large for a device.
pub fn backward(geometry: &Geometry, read: &Read, flags: u32, class: Class) -> Result<Option<Both>> {
    let groups = whole(geometry.groups)?;
    let Some(kernel) = choose_both(shape(geometry)?, groups, read.map, read.gradient, class) else {
        return Ok(None);
    };
    let [input, weight] = [d_input(geometry, read, flags, class)?, d_weight(geometry, read, class)?];
    let turned = Read { bounds: read.norm_bounds, norm_bounds: read.bounds, ..*read };
    let mut p = arguments(geometry, &turned, flags, geometry.group_out())?;
    p.pixels_a_split = whole(weight.part_rows)?;
    let Some(tile) = kernel.tile else { return Ok(None) };
    let column_tiles = geometry.group_in().div_ceil(tile.columns as usize);
    let [down, across] = geometry.stride;
    let [height, width] = geometry.input;
    let rows = geometry.images * height.div_ceil(down) * width.div_ceil(across);
    p.column_tiles = whole(column_tiles)?;
    p.tiles = whole(rows.div_ceil(tile.rows as usize))?;
    let [weight_rows, weight_columns, splits] = weight.launch.grid.map(|blocks| blocks as usize);
    let share = (input.launch.grid[0] as usize).div_ceil(splits);
    let blocks = whole(splits * (weight_rows * weight_columns + share))?;
    // The gradient of the output is read once, and of the input what sums are taken of.
    let mut traffic = input.launch.traffic;
    traffic += weight.launch.traffic;
    let again = 2 * geometry.y_len() + if flags & WITH_SUMS != 0 { geometry.x_len() } else { 0 };
    traffic.bytes_read -= 4 * again as u64;
    let launch = Launch::new(kernel, [blocks, 1, 1], &p, traffic)?;
    Ok(Some(Both { input: WithParts { launch, ..input }, splits }))
}
