//! The parameter-free shortcut of ResNets (He et al., 2016, option A): a strided slice with channels of
//! zeros.

#[cfg(feature = "device")]
use crate::device::{operations::pool as device, table::body::Body};
use crate::error::{Error, Result};
use crate::kernels::subsample::{self as kernels, Sizes};
use crate::maps::Map;
use crate::maps::place::make;
use crate::maps::resample::{expect_gradient, image_dims};
use crate::maps::slices::{elements, tensor};

/// Every `stride`-th row and column of `x: [N, H, W, C]`, from the first on, with zeros added to `channels`
/// channels, (channels - C) / 2 of them before: `[N, ceil(H / stride[0]), ceil(W / stride[1]), channels]`.
pub fn subsample_forward(x: &Map, stride: [usize; 2], channels: usize) -> Result<Map> {
    let [n, ..] = image_dims(x.dims())?;
    let sizes = sizes(x.dims(), stride, channels)?;
    let [oh, ow, channels] = sizes.small;
    let dims = [n, oh, ow, channels];
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::subsample(Body::Subsample, x, dims, sizes).map(Map::Device);
    }
    make(
        x,
        &dims,
        || tensor(kernels::forward(&elements(x)?, sizes), &dims[..]),
        |counter| counter.sweep(2 * dims.iter().product::<usize>()),
    )
}

/// The gradient of an input of the shape `input_shape: [N, H, W, C]` from `d_y: [N, OH, OW, channels]`.
pub fn subsample_backward(d_y: &Map, input_shape: &[usize], stride: [usize; 2]) -> Result<Map> {
    let [n, h, w, c] = image_dims(input_shape)?;
    let [_, _, _, channels] = image_dims(d_y.dims())?;
    let sizes = sizes(input_shape, stride, channels)?;
    let [oh, ow, channels] = sizes.small;
    expect_gradient(d_y, [n, oh, ow, channels])?;
    #[cfg(feature = "device")]
    if let Map::Device(d_y) = d_y {
        return device::subsample(Body::SubsampleBackward, d_y, [n, h, w, c], sizes).map(Map::Device);
    }
    make(
        d_y,
        &[n, h, w, c],
        || tensor(kernels::backward(&elements(d_y)?, sizes), (n, h, w, c)),
        |counter| counter.sweep(d_y.elem_count() + n * h * w * c),
    )
}

fn sizes(dims: &[usize], stride: [usize; 2], channels: usize) -> Result<Sizes> {
    let [_, h, w, c] = image_dims(dims)?;
    if stride.contains(&0) || channels < c {
        return Err(Error::config(format!(
            "a strided slice needs a stride of at least 1 and no fewer than its {c} channels, got stride \
             {stride:?} and {channels} channels"
        )));
    }
    let small = [h.div_ceil(stride[0]), w.div_ceil(stride[1]), channels];
    Ok(Sizes { large: [h, w, c], small, stride })
}
