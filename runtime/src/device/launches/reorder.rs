//! Axes and channels put elsewhere, and products with a number of each channel.

use crate::device::arguments::{Axes, Channels, Pool};
use crate::device::launch::{Launch, Traffic, whole};
use crate::device::table::body::Body;
use crate::error::Result;

fn axes(elements: usize, [outer, middle, inner]: [usize; 3]) -> Result<Axes> {
    let (outer, middle, inner) = (whole(outer)?, whole(middle)?, whole(inner)?);
    Ok(Axes { elements: whole(elements)?, outer, middle, inner })
}

/// Groups of `[outer, middle, inner]`, made from groups of `[inner, middle, outer]`.
///
/// # Errors
/// Of what is too large for a device.
pub fn reversed(elements: usize, sizes: [usize; 3]) -> Result<Launch> {
    let traffic = Traffic::floats(elements, elements, 0);
    Launch::flat(Body::Reversed, elements, &axes(elements, sizes)?, traffic)
}

/// [`Body::MultiplyChannels`], [`Body::Prelu`] and [`Body::PreluBackward`]: groups of `rows` of `channels`, with a number of each
/// channel of a group.
///
/// # Errors
/// Of what is too large for a device.
pub fn with_channels(body: Body, elements: usize, rows: usize, channels: usize) -> Result<Launch> {
    let factors = elements / rows.max(1);
    let maps = if body == Body::PreluBackward { 2 } else { 1 };
    let traffic = Traffic::floats(maps * elements + factors, maps * elements, maps * elements);
    Launch::flat(body, elements, &axes(elements, [1, rows, channels])?, traffic)
}

/// Some channels of each row, from one map to another.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChannelSlice {
    /// Rows of both.
    pub rows: usize,
    /// Channels that are copied.
    pub count: usize,
    /// Channels of what is read, and the first of them.
    pub from: [usize; 2],
    /// Channels of what is written, and the first of them.
    pub to: [usize; 2],
}

/// What is not copied stays as it was.
///
/// # Errors
/// Of what is too large for a device.
pub fn copy_channels(part: ChannelSlice) -> Result<Launch> {
    let elements = part.rows * part.count;
    let p = Channels {
        elements: whole(elements)?,
        count: whole(part.count)?,
        from_channels: whole(part.from[0])?,
        from: whole(part.from[1])?,
        to_channels: whole(part.to[0])?,
        to: whole(part.to[1])?,
    };
    whole(part.rows * part.from[0].max(part.to[0]))?;
    Launch::flat(Body::CopyChannels, elements, &p, Traffic::floats(elements, elements, 0))
}

/// `rows` of `count` channels among `channels`, from number `first` on, the others 0: a subsampling of every pixel.
///
/// # Errors
/// Of what is too large for a device.
pub fn spread(rows: usize, count: usize, first: usize, channels: usize) -> Result<Launch> {
    let elements = rows * channels;
    let p = Pool {
        elements: whole(elements)?,
        input: [1, 1],
        output: [1, 1],
        channels: whole(count)?,
        out_channels: whole(channels)?,
        before: whole(first)?,
        stride: [1, 1],
        ..Pool::default()
    };
    Launch::flat(Body::Subsample, elements, &p, Traffic::floats(rows * count, elements, 0))
}
