//! Numbers a channel, repeated over so many rows that a loop over them fills vectors however few channels are.

/// Elements that a loop over some rows should have at least.
const WIDTH: usize = 64;
/// Elements beyond the width, so that sixteen can be read from every channel on.
const SLACK: usize = 16;

/// Elements of as few rows of `channels` as make a worthwhile loop.
pub(super) fn width(channels: usize) -> usize {
    channels * WIDTH.div_ceil(channels)
}

/// Elements of `cyclic`.
pub(super) fn cyclic_len(channels: usize) -> usize {
    width(channels) + SLACK
}

/// `values`, one a channel, again and again.
pub(super) fn cyclic(values: impl Iterator<Item = f32> + Clone, channels: usize) -> Vec<f32> {
    values.cycle().take(cyclic_len(channels)).collect()
}
