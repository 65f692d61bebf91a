//! Channels cut off, put side by side and dealt out anew by candle's primitives.

use crate::error::Result;
use candle_core::{D, Tensor};

/// `count` channels from `first` on.
pub(crate) fn slice(x: &Tensor, first: usize, count: usize) -> Result<Tensor> {
    Ok(x.narrow(D::Minus1, first, count)?.contiguous()?)
}

/// Zeros around, up to `channels`.
pub(crate) fn spread(d_y: &Tensor, first: usize, channels: usize) -> Result<Tensor> {
    let after = channels - first - d_y.dim(D::Minus1)?;
    Ok(d_y.pad_with_zeros(D::Minus1, first, after)?)
}

/// Side by side.
pub(crate) fn concat(parts: &[&Tensor]) -> Result<Tensor> {
    Ok(Tensor::cat(parts, D::Minus1)?)
}

/// Channels of `groups` groups taken in turn.
pub(crate) fn shuffle(x: &Tensor, groups: usize) -> Result<Tensor> {
    let channels = x.dim(D::Minus1)?;
    let x_groups = x.reshape(((), groups, channels / groups))?;
    Ok(x_groups.transpose(1, 2)?.contiguous()?.reshape(x.shape())?)
}
