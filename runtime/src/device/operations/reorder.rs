//! Axes and channels put elsewhere, and products with a number of each channel.

use super::elementwise::{like, rows};
use super::pool::mean;
use super::sums::sum_rows;
use crate::device::array::Array;
use crate::device::engine::Operand;
use crate::device::launches::reorder::{self as launches, ChannelSlice};
use crate::device::table::body::{Body, Element};
use crate::error::{Error, Result};

/// `x` as groups of `[inner, middle, outer]`, each the other way round, as an array of `dims`: `sizes` are outer, middle, inner.
///
/// # Errors
/// Those of the device.
pub fn reversed(x: &Array, dims: &[usize], sizes: [usize; 3]) -> Result<Array> {
    let (x, y) = (rows(x)?, Array::empty(x.engine(), Element::F32, dims)?);
    x.engine().launch(&launches::reversed(x.len(), sizes)?, &[Operand::from(&x), Operand::from(&y)])?;
    Ok(y)
}

/// `count` channels of `x: [rows, channels]` from `first` on, as an array of `dims`.
///
/// # Errors
/// Those of the device.
pub fn slice(x: &Array, [rows, channels]: [usize; 2], first: usize, dims: &[usize]) -> Result<Array> {
    let (x, y) = (super::elementwise::rows(x)?, Array::empty(x.engine(), Element::F32, dims)?);
    let count = y.len() / rows;
    let part = ChannelSlice { rows, count, from: [channels, first], to: [count, 0] };
    x.engine().launch(&launches::copy_channels(part)?, &[Operand::from(&x), Operand::from(&y)])?;
    Ok(y)
}

/// `x: [rows, count]` among channels of 0, from `first` on, as an array of `dims`.
///
/// # Errors
/// Those of the device.
pub fn spread(x: &Array, [rows, count]: [usize; 2], first: usize, dims: &[usize]) -> Result<Array> {
    let (x, y) = (super::elementwise::rows(x)?, Array::empty(x.engine(), Element::F32, dims)?);
    let launch = launches::spread(rows, count, first, y.len() / rows)?;
    x.engine().launch(&launch, &[Operand::from(&x), Operand::from(&y)])?;
    Ok(y)
}

/// Arrays of `rows` side by side, as one of `dims`.
///
/// # Errors
/// Those of the device.
pub fn concat(parts: &[&Array], rows: usize, dims: &[usize]) -> Result<Array> {
    let Some(first) = parts.first() else { return Err(Error::internal("no maps were put side by side")) };
    let y = Array::empty(first.engine(), Element::F32, dims)?;
    let (channels, mut at) = (y.len() / rows, 0);
    for x in parts {
        let (x, count) = (super::elementwise::rows(x)?, x.len() / rows);
        let part = ChannelSlice { rows, count, from: [count, 0], to: [channels, at] };
        x.engine().launch(&launches::copy_channels(part)?, &[Operand::from(&x), Operand::from(&y)])?;
        at += count;
    }
    Ok(y)
}

/// `x`, groups of rows of channels, times `factors`, which each group has of its own: written to `y`, which may be `x`.
///
/// # Errors
/// Those of the device.
fn multiply_to(x: &Array, factors: &Array, [_, rows, channels]: [usize; 3], y: &Array) -> Result<()> {
    let launch = launches::with_channels(Body::MultiplyChannels, x.len(), rows, channels)?;
    x.engine().launch(&launch, &[x, factors, y].map(Operand::from))
}

/// Their product, in memory of its own; `grouped` are groups, rows of each, channels.
///
/// # Errors
/// Those of the device.
pub fn multiply(x: &Array, factors: &Array, grouped: [usize; 3]) -> Result<Array> {
    let (x, y) = (rows(x)?, like(x)?);
    multiply_to(&x, factors, grouped, &y)?;
    Ok(y)
}

/// The same in the memory of `x`.
///
/// # Errors
/// Those of the device.
pub fn multiply_into(x: &Array, factors: &Array, grouped: [usize; 3]) -> Result<()> {
    multiply_to(x, factors, grouped, x)
}

/// The gradient of `factors`, of `dims`, from that of the product and `x`: sums over the rows of each group.
///
/// # Errors
/// Those of the device.
pub fn d_factors(d: &Array, x: &Array, grouped: [usize; 3], dims: &[usize]) -> Result<Array> {
    let [groups, rows_each, channels] = grouped;
    let products = multiply(d, &rows(x)?, [groups * rows_each, 1, channels])?;
    sums_of_groups(&products, grouped, dims)
}

/// The sums of each channel over the rows of each group, as an array of `dims`.
fn sums_of_groups(x: &Array, [groups, rows, channels]: [usize; 3], dims: &[usize]) -> Result<Array> {
    if groups == 1 {
        return sum_rows(x, channels)?.reshape(dims);
    }
    let sums = mean(x, [groups, rows, channels])?;
    super::elementwise::scale(&sums, rows as f32)?;
    sums.reshape(dims)
}

/// `x` above 0, and its slope times `x` elsewhere; `slopes` as the factors of [`multiply`].
///
/// # Errors
/// Those of the device.
pub fn prelu(x: &Array, slopes: &Array, [_, rows_each, channels]: [usize; 3]) -> Result<Array> {
    let (x, y) = (rows(x)?, like(x)?);
    let launch = launches::with_channels(Body::Prelu, x.len(), rows_each, channels)?;
    x.engine().launch(&launch, &[&x, slopes, &y].map(Operand::from))?;
    Ok(y)
}

/// `d`, the gradient of [`prelu`]'s output, becomes that of `x`; answers that of the slopes, of their shape.
///
/// # Errors
/// Those of the device.
pub fn prelu_backward(d: &Array, x: &Array, slopes: &Array, grouped: [usize; 3]) -> Result<Array> {
    let [_, rows_each, channels] = grouped;
    let (x, products) = (rows(x)?, like(x)?);
    let launch = launches::with_channels(Body::PreluBackward, x.len(), rows_each, channels)?;
    d.engine().launch(&launch, &[d, &x, slopes, &products].map(Operand::from))?;
    sums_of_groups(&products, grouped, slopes.dims())
}
