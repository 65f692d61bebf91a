//! Pools, resampling, and the strided slice of shortcuts.

use super::elementwise::rows;
use crate::device::array::Array;
use crate::device::engine::Operand;
use crate::device::launches::elements as launches;
use crate::device::table::body::{Body, Element};
use crate::error::Result;
use crate::kernels::max_pool::Axis;
use crate::kernels::resample::Taps;
use crate::kernels::subsample::Sizes;

/// The largest pixel of each window of `x: [N, H, W, C]`, and its place: both of `dims`.
///
/// # Errors
/// Those of the device.
pub fn max(x: &Array, dims: [usize; 4], axes: [Axis; 2]) -> Result<(Array, Array)> {
    let (x, engine) = (rows(x)?, x.engine());
    let (y, places) = (Array::empty(engine, Element::F32, &dims)?, Array::empty(engine, Element::U8, &dims)?);
    let launch = launches::max_pool(Body::MaxPool, dims[0], dims[3], axes)?;
    engine.launch(&launch, &[Operand::from(&x), Operand::from(&y), Operand::from(&places)])?;
    Ok((y, places))
}

/// The gradient of its input, of `dims`.
///
/// # Errors
/// Those of the device.
pub fn max_backward(d_y: &Array, places: &Array, dims: [usize; 4], axes: [Axis; 2]) -> Result<Array> {
    let (d_y, d_x) = (rows(d_y)?, Array::empty(d_y.engine(), Element::F32, &dims)?);
    let launch = launches::max_pool(Body::MaxPoolBackward, dims[0], dims[3], axes)?;
    let operands = [Operand::from(&d_y), Operand::from(places), Operand::from(&d_x)];
    d_y.engine().launch(&launch, &operands)?;
    Ok(d_x)
}

/// [`Body::Subsample`], or [`Body::SubsampleBackward`], of images, as an array of `dims`.
///
/// # Errors
/// Those of the device.
pub fn subsample(body: Body, x: &Array, dims: [usize; 4], sizes: Sizes) -> Result<Array> {
    let (x, y) = (rows(x)?, Array::empty(x.engine(), Element::F32, &dims)?);
    let launch = launches::subsample(body, dims[0], sizes)?;
    x.engine().launch(&launch, &[Operand::from(&x), Operand::from(&y)])?;
    Ok(y)
}

/// Weighted sums of the pixels of images, as an array of `dims`.
///
/// # Errors
/// Those of the device.
pub fn resample(x: &Array, dims: [usize; 4], by_rows: &Taps, by_columns: &Taps) -> Result<Array> {
    let (x, y) = (rows(x)?, Array::empty(x.engine(), Element::F32, &dims)?);
    let (launch, table) = launches::resample(dims[0], dims[3], by_rows, by_columns)?;
    x.engine().launch(&launch, &[Operand::from(&x), Operand::Table(&table), Operand::from(&y)])?;
    Ok(y)
}

/// The mean of each channel over the positions of each image, `[images, channels]` of `[images, positions, channels]`.
///
/// # Errors
/// Those of the device.
pub fn mean(x: &Array, [images, positions, channels]: [usize; 3]) -> Result<Array> {
    let (x, y) = (rows(x)?, Array::empty(x.engine(), Element::F32, &[images, channels])?);
    let launch = launches::mean_pool(images, positions, channels)?;
    x.engine().launch(&launch, &[Operand::from(&x), Operand::from(&y)])?;
    Ok(y)
}
