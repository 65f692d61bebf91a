//! Batch norm, residual sums and their masks.

use crate::device::arguments::Norm;
use crate::device::launch::{Launch, Traffic, whole};
use crate::device::launches::{PART_CHANNELS, PART_ROWS};
use crate::device::table::body::Body;
use crate::device::table::kernel::{Kernel, ReadKind};
use crate::error::Result;

/// The other summand has a norm.
pub const BOTH_NORMALIZED: u32 = 1;
/// The mask is written.
pub const WRITES_MASK: u32 = 2;
/// The last block makes of moments or sums what a launch of its own else would.
pub const FINISHES: u32 = 4;
/// Rows of floats of a norm: mean, scale, bias, centre, slope, 1/deviation.
pub const NORM_ROWS: usize = 6;
/// Channels of a block that adds parts.
const FINISH_CHANNELS: usize = 32;
/// Elements of a block whose threads have a byte of a mask each.
const MASK_ELEMENTS: usize = 2048;

/// The arguments of a map `[rows, channels]`; the caller sets what else its kernel looks at.
///
/// # Errors
/// Of a map that is too large for a device.
pub fn arguments(rows: usize, channels: usize) -> Result<Norm> {
    Ok(Norm {
        rows: whole(rows)?,
        channels: whole(channels)?,
        elements: whole(rows * channels)?,
        tiles: whole(rows.div_ceil(PART_ROWS))?,
        tile_rows: PART_ROWS as u32,
        bounds: [f32::NEG_INFINITY, f32::INFINITY],
        ..Norm::default()
    })
}

/// The arguments of what finishes `tiles` parts of a map, each of `tile_rows` rows.
///
/// # Errors
/// Of a map that is too large for a device.
pub fn of_tiles(rows: usize, channels: usize, tiles: usize, tile_rows: usize) -> Result<Norm> {
    Ok(Norm { tiles: whole(tiles)?, tile_rows: whole(tile_rows)?, ..arguments(rows, channels)? })
}

/// [`Body::NormMoments`], [`Body::NormSums`], both perhaps with [`FINISHES`], and [`Body::ColumnParts`]: a part for each
/// [`PART_ROWS`] rows.
///
/// # Errors
/// Of a map that is too large for a device.
pub fn parts(body: Body, p: &Norm) -> Result<Launch> {
    let kernel = Kernel { is_wide: p.channels.is_multiple_of(4), ..Kernel::of(body) };
    let grid = [p.tiles, p.channels.div_ceil(PART_CHANNELS as u32), 1];
    let (maps, rows) = match body {
        Body::NormSums => (2, 2),
        Body::NormMoments => (1, 2),
        _ => (1, 1),
    };
    let (elements, parts) = (p.elements as usize, rows * p.tiles as usize * p.channels as usize);
    let mut traffic = Traffic::floats(maps * elements, parts, 3 * elements);
    if p.flags & FINISHES != 0 {
        traffic += finish_traffic(parts, p.channels as usize);
    }
    Launch::new(kernel, grid, p, traffic)
}

/// Counts of blocks, all 0, which a launch of [`parts`] is given that finishes them.
pub fn arrivals(p: &Norm) -> usize {
    p.channels.div_ceil(PART_CHANNELS as u32) as usize
}

/// What finishing so many floats of parts costs beside making them.
pub fn finish_traffic(parts_len: usize, channels: usize) -> Traffic {
    Traffic::floats(parts_len, NORM_ROWS * channels, 3 * parts_len)
}

/// [`Body::NormStatistics`], [`Body::NormFinish`] and [`Body::NormSumsFinish`].
///
/// # Errors
/// `Internal` for another body.
pub fn finish(body: Body, p: &Norm) -> Result<Launch> {
    let channels = p.channels as usize;
    let parts = 2 * p.tiles as usize * channels;
    let traffic = match body {
        Body::NormStatistics => Traffic::floats(parts, 2 * channels, 3 * parts),
        _ => finish_traffic(parts, channels),
    };
    Launch::new(Kernel::of(body), [whole(channels.div_ceil(FINISH_CHANNELS))?, 1, 1], p, traffic)
}

/// The norm of statistics, as one whose statistics are constants.
///
/// # Errors
/// `Internal`, as [`finish`].
pub fn of(p: &Norm) -> Result<Launch> {
    let traffic = Traffic::floats(4 * p.channels as usize, NORM_ROWS * p.channels as usize, 0);
    Launch::new(Kernel::of(Body::NormOf), [p.channels.div_ceil(256), 1, 1], p, traffic)
}

/// What is read through a norm, written to memory: [`ReadKind::Normalized`], or the gradient by [`ReadKind::Through`].
///
/// # Errors
/// `Internal`, as [`finish`].
pub fn apply(map: ReadKind, p: &Norm) -> Result<Launch> {
    let kernel = Kernel { map, is_wide: p.channels.is_multiple_of(4), ..Kernel::of(Body::NormApply) };
    let elements = p.elements as usize;
    let maps = if map == ReadKind::Through { 2 } else { 1 };
    let traffic = Traffic::floats(maps * elements, elements, 4 * elements);
    Launch::new(kernel, [whole(elements.div_ceil(1024))?, 1, 1], p, traffic)
}

/// The slope of the activation behind a norm, multiplied into a gradient.
///
/// # Errors
/// `Internal`, as [`finish`].
pub fn slope(p: &Norm) -> Result<Launch> {
    let elements = p.elements as usize;
    Launch::flat(Body::NormSlope, elements, p, Traffic::floats(2 * elements, elements, 4 * elements))
}

/// [`Body::ResidualSum`], [`Body::MaskOf`] and [`Body::MaskApply`].
///
/// # Errors
/// `Internal`, as [`finish`].
pub fn masked(body: Body, p: &Norm) -> Result<Launch> {
    let elements = p.elements as usize;
    let mask = u64::from(p.elements.div_ceil(8));
    let mut traffic = match body {
        Body::ResidualSum => Traffic::floats(2 * elements, elements, 4 * elements),
        Body::MaskOf => Traffic::floats(elements, 0, elements),
        _ => Traffic::floats(elements, elements, elements),
    };
    match body {
        Body::MaskApply => traffic.bytes_read += mask,
        Body::ResidualSum if p.flags & WRITES_MASK == 0 => {}
        _ => traffic.bytes_written += mask,
    }
    Launch::new(Kernel::of(body), [whole(elements.div_ceil(MASK_ELEMENTS))?, 1, 1], p, traffic)
}
