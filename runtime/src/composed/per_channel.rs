//! Maps beside numbers of a channel from candle's primitives; see `maps::per_channel`. Shapes are `[G, R, C]` of maps and
//! `[G, C]` of numbers.

use crate::error::Result;
use candle_core::{DType, Tensor};

/// `x` times its channels' numbers, of the shape of `x`.
pub(crate) fn multiply(x: &Tensor, factors: &Tensor, grouped: [usize; 3]) -> Result<Tensor> {
    Ok(x.reshape(&grouped)?.broadcast_mul(&numbers(factors, grouped)?)?.reshape(x.shape())?)
}

/// The sums over rows of `a · b`, of the shape `dims`.
pub(crate) fn sums(a: &Tensor, b: &Tensor, grouped: [usize; 3], dims: &[usize]) -> Result<Tensor> {
    Ok((a * b)?.reshape(&grouped)?.sum(1)?.reshape(dims)?)
}

/// `x` where it is above 0, and its channel's slope times `x` elsewhere.
pub(crate) fn prelu(x: &Tensor, slopes: &Tensor, grouped: [usize; 3]) -> Result<Tensor> {
    Ok(x.gt(0f32)?.where_cond(x, &multiply(x, slopes, grouped)?)?)
}

/// Gradients of [`prelu`], of input and slopes.
pub(crate) fn prelu_backward(
    (d_y, x): (&Tensor, &Tensor),
    slopes: &Tensor,
    grouped: [usize; 3],
) -> Result<(Tensor, Tensor)> {
    let above = x.gt(0f32)?;
    let d_x = above.where_cond(d_y, &multiply(d_y, slopes, grouped)?)?;
    let below = (x * above.eq(0u8)?.to_dtype(DType::F32)?)?;
    Ok((d_x, sums(d_y, &below, grouped, slopes.dims())?))
}

fn numbers(numbers: &Tensor, [groups, _, channels]: [usize; 3]) -> Result<Tensor> {
    Ok(numbers.reshape((groups, 1, channels))?)
}
