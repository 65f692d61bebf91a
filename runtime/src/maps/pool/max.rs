//! Max pooling.

use super::{MOST_WINDOW_PIXELS, PoolConfig};
#[cfg(feature = "device")]
use crate::device::operations::pool as device;
use crate::error::{Error, Result};
use crate::kernels::max_pool::{self as kernels, Axis};
use crate::maps::Map;
use crate::maps::place::{make, make_with_bytes};
use crate::maps::resample::{expect_gradient, image_dims};
use crate::maps::slices::{elements, tensor};
use candle_core::{CpuStorage, Device, Storage, Tensor};

/// The largest pixel of each window, `x: [N, H, W, C]` -> `[N, OH, OW, C]`, and its position.
///
/// Positions are a map of bytes of the output's shape, where `x` is: the place inside the window, row
/// by row. That is a quarter of the memory of the output; it limits windows to 256 pixels. Of equal pixels
/// the first wins; padding counts as -infinity; what is not a number wins over all numbers, and the last of
/// several such wins.
pub fn max_forward(x: &Map, config: &PoolConfig) -> Result<(Map, Map)> {
    let [n, _, _, c] = image_dims(x.dims())?;
    let [rows, columns] = axes(x.dims(), config)?;
    let dims = [n, rows.output, columns.output, c];
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        let (y, places) = device::max(x, dims, [rows, columns])?;
        return Ok((Map::Device(y), Map::Device(places)));
    }
    make_with_bytes(
        x,
        (&dims, &dims),
        || {
            let (y, places) = kernels::forward(&elements(x)?, c, rows, columns);
            Ok((tensor(y, &dims[..])?, Tensor::from_vec(places, &dims[..], &Device::Cpu)?))
        },
        |counter| counter.sweep(x.elem_count() + dims.iter().product::<usize>()),
    )
}

/// The gradient of an input of the shape `input_shape: [N, H, W, C]` from `d_y: [N, OH, OW, C]` and the
/// `positions` that `max_forward` returned.
pub fn max_backward(d_y: &Map, positions: &Map, input_shape: &[usize], config: &PoolConfig) -> Result<Map> {
    let [n, height, width, c] = image_dims(input_shape)?;
    let [rows, columns] = axes(input_shape, config)?;
    expect_gradient(d_y, [n, rows.output, columns.output, c])?;
    if positions.dims() != d_y.dims() || !positions.is_bytes() {
        return Err(Error::shape(format!(
            "positions must be those of the forward pass, u8 of the shape {:?}, got {:?} of {}",
            d_y.dims(),
            positions.dims(),
            if positions.is_bytes() { "u8" } else { "f32" }
        )));
    }
    #[cfg(feature = "device")]
    if let Map::Device(d_y) = d_y {
        let (places, axes) = (positions.array()?, [rows, columns]);
        return device::max_backward(d_y, places, [n, height, width, c], axes).map(Map::Device);
    }
    make(
        d_y,
        &[n, height, width, c],
        || {
            let (d_y, positions) = (elements(d_y)?, positions.tensor()?);
            let (storage, layout) = positions.storage_and_layout();
            let (Storage::Cpu(CpuStorage::U8(all)), Some((start, end))) =
                (&*storage, layout.contiguous_offsets())
            else {
                return Err(Error::internal("positions of maxima must be contiguous and on the CPU"));
            };
            tensor(kernels::backward(&d_y, &all[start..end], c, rows, columns), (n, height, width, c))
        },
        |counter| counter.sweep(d_y.elem_count() + n * height * width * c),
    )
}

/// The rows' and the columns' windows, for images of the shape `[N, H, W, C]`.
fn axes(dims: &[usize], config: &PoolConfig) -> Result<[Axis; 2]> {
    let [_, height, width, _] = image_dims(dims)?;
    let (input, output) = ([height, width], config.output_size([height, width])?);
    let pixels = config.kernel[0].checked_mul(config.kernel[1]);
    if pixels.is_none_or(|pixels| pixels > MOST_WINDOW_PIXELS) {
        return Err(Error::config(format!(
            "max pooling takes windows of at most {MOST_WINDOW_PIXELS} pixels, got {} by {}",
            config.kernel[0], config.kernel[1]
        )));
    }
    Ok([0, 1].map(|axis| Axis {
        input: input[axis],
        output: output[axis],
        kernel: config.kernel[axis],
        stride: config.stride[axis],
        padding: config.padding[axis],
    }))
}
