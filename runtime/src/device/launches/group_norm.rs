//! Norms of each sample by itself.

use crate::device::arguments::Groups;
use crate::device::launch::{Launch, Traffic, whole};
use crate::device::table::body::Body;
use crate::device::table::kernel::Kernel;
use crate::error::Result;
use crate::kernels::group_norm::Sizes;

/// The arguments for a map of `elements`.
///
/// # Errors
/// Of what is too large for a device.
pub fn arguments(elements: usize, sizes: Sizes, epsilon: f64) -> Result<Groups> {
    Ok(Groups {
        elements: whole(elements)?,
        rows: whole(sizes.rows)?,
        channels: whole(sizes.channels)?,
        width: whole(sizes.channels / sizes.groups)?,
        epsilon: epsilon as f32,
    })
}

/// One of the launches of a group norm: [`Body::GroupMoments`], [`Body::GroupApply`]; [`Body::GroupSums`],
/// [`Body::GroupBackward`].
///
/// # Errors
/// `Internal` for another body.
pub fn step(body: Body, p: &Groups) -> Result<Launch> {
    let elements = p.elements as usize;
    let groups = elements / (p.rows * p.width) as usize;
    let read = 3 * groups + p.channels as usize;
    let traffic = match body {
        Body::GroupMoments => Traffic::floats(elements, 2 * groups, 4 * elements),
        Body::GroupSums => Traffic::floats(2 * elements + read, 2 * groups, 6 * elements),
        Body::GroupApply => Traffic::floats(elements + read, elements, 4 * elements),
        _ => Traffic::floats(2 * elements + read, 2 * elements, 7 * elements),
    };
    match body {
        Body::GroupApply | Body::GroupBackward => Launch::flat(body, elements, p, traffic),
        _ => Launch::new(Kernel::of(body), [whole(groups)?, 1, 1], p, traffic),
    }
}

/// [`Body::ResponseFactors`] and [`Body::ResponseBackward`] of samples of `channels`.
///
/// # Errors
/// `Internal` for another body.
pub fn response(body: Body, samples: usize, channels: usize, epsilon: f64) -> Result<Launch> {
    let numbers = samples * channels;
    let p = arguments(numbers, Sizes { rows: 1, channels, groups: 1 }, epsilon)?;
    let (read, written) = if body == Body::ResponseBackward { (2, 2) } else { (1, 1) };
    let traffic = Traffic::floats(read * numbers + channels, written * numbers, 6 * numbers);
    Launch::new(Kernel::of(body), [whole(samples)?, 1, 1], &p, traffic)
}
