//! Channels cut off, put side by side, and dealt out anew.

use super::Map;
use super::elementwise::rows_and_channels;
use super::place::{apart, make};
use super::slices::{elements, tensor};
#[cfg(feature = "device")]
use crate::device::operations::reorder as device;
use crate::error::{Error, Result};
use crate::kernels::channels as kernels;

/// The shape of `x` with so many channels.
fn with_channels(x: &Map, channels: usize) -> Vec<usize> {
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = channels;
    }
    dims
}

/// `count` channels of `x: [.., C]` from `first` on: `[.., count]`.
///
/// # Errors
/// `Shape` where there are not so many.
pub fn slice(x: &Map, first: usize, count: usize) -> Result<Map> {
    let (rows, channels) = rows_and_channels(x)?;
    if count == 0 || first.checked_add(count).is_none_or(|end| end > channels) {
        return Err(Error::shape(format!(
            "{channels} channels cannot be cut to {count} from number {first} on"
        )));
    }
    let dims = with_channels(x, count);
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::slice(x, [rows, channels], first, &dims).map(Map::Device);
    }
    make(
        x,
        &dims,
        || {
            let mut y = vec![0.0; rows * count];
            kernels::copy(&elements(x)?, channels, first, &mut y, count, 0, count);
            tensor(y, &dims[..])
        },
        |counter| counter.sweep(2 * rows * count),
    )
}

/// The gradient of an input of `channels` channels from `d_y: [.., count]`, that of its [`slice()`] from `first` on.
///
/// # Errors
/// `Shape` where there are not so many.
pub fn slice_backward(d_y: &Map, first: usize, channels: usize) -> Result<Map> {
    let (rows, count) = rows_and_channels(d_y)?;
    if first.checked_add(count).is_none_or(|end| end > channels) {
        return Err(Error::shape(format!("{channels} channels have no {count} from number {first} on")));
    }
    let dims = with_channels(d_y, channels);
    #[cfg(feature = "device")]
    if let Map::Device(d_y) = d_y {
        return device::spread(d_y, [rows, count], first, &dims).map(Map::Device);
    }
    make(
        d_y,
        &dims,
        || {
            let mut d_x = vec![0.0; rows * channels];
            kernels::copy(&elements(d_y)?, count, 0, &mut d_x, channels, first, count);
            tensor(d_x, &dims[..])
        },
        |counter| counter.sweep(rows * (count + channels)),
    )
}

/// Maps `[.., C_i]` side by side: `[.., sum of C_i]`.
///
/// # Errors
/// `Shape` where there is none, or their other sizes differ.
pub fn concat(parts: &[Map]) -> Result<Map> {
    let [first, others @ ..] = parts else { return Err(Error::shape("no maps were put side by side")) };
    let (rows, mut channels) = rows_and_channels(first)?;
    let positions = |part: &Map| part.dims().split_last().map(|(_, others)| others.to_vec());
    for part in others {
        if std::mem::discriminant(part) != std::mem::discriminant(first) {
            return Err(apart());
        }
        let (_, more) = rows_and_channels(part)?;
        if positions(part) != positions(first) {
            return Err(Error::shape(format!(
                "maps of {:?} and {:?} cannot stand side by side",
                first.dims(),
                part.dims()
            )));
        }
        channels += more;
    }
    let dims = with_channels(first, channels);
    #[cfg(feature = "device")]
    if let Map::Device(_) = first {
        let parts = parts.iter().map(Map::array).collect::<Result<Vec<_>>>()?;
        return device::concat(&parts, rows, &dims).map(Map::Device);
    }
    make(
        first,
        &dims,
        || {
            let (mut y, mut at) = (vec![0.0; rows * channels], 0);
            for part in parts {
                let count = part.dims().last().copied().unwrap_or(0);
                kernels::copy(&elements(part)?, count, 0, &mut y, channels, at, count);
                at += count;
            }
            tensor(y, &dims[..])
        },
        |counter| counter.sweep(2 * rows * channels),
    )
}

/// The channels of `groups` groups of `x: [.., C]` taken in turn (Zhang et al. 2018, "ShuffleNet"): channel g · C / groups + i
/// becomes channel i · groups + g. Its gradient is the same with C / groups groups.
///
/// # Errors
/// `Shape` where groups do not divide the channels.
pub fn shuffle(x: &Map, groups: usize) -> Result<Map> {
    let (_, channels) = rows_and_channels(x)?;
    if groups == 0 || !channels.is_multiple_of(groups) {
        return Err(Error::shape(format!("{channels} channels cannot be cut into {groups} groups")));
    }
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::reversed(x, x.dims(), [channels / groups, 1, groups]).map(Map::Device);
    }
    make(
        x,
        x.dims(),
        || tensor(kernels::shuffle(&elements(x)?, groups, channels / groups), x.dims()),
        |counter| counter.sweep(2 * x.elem_count()),
    )
}
