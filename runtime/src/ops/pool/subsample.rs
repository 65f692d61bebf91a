//! The parameter-free shortcut of ResNets (He et al., 2016, option A): a strided slice with channels of
//! zeros.

use crate::composed::subsample as composed;
use crate::error::{Error, Result};
use crate::kernels::subsample::{self as kernels, Sizes};
use crate::ops::place::{Place, place};
use crate::ops::resample::{expect_gradient, image_dims};
use crate::ops::slices::{elements, tensor};
use candle_core::Tensor;

/// Every `stride`-th row and column of `x: [N, H, W, C]`, from the first on, with zeros added to `channels`
/// channels, (channels - C) / 2 of them before: `[N, ceil(H / stride), ceil(W / stride), channels]`.
pub fn subsample_forward(x: &Tensor, stride: usize, channels: usize) -> Result<Tensor> {
    let [n, ..] = image_dims(x.dims())?;
    let sizes = sizes(x.dims(), stride, channels)?;
    match place(x.device())? {
        Place::Kernels => {
            let [oh, ow, channels] = sizes.small;
            tensor(kernels::forward(&elements(x)?, sizes), (n, oh, ow, channels))
        }
        Place::Composed => composed::forward(x, sizes),
    }
}

/// The gradient of an input of the shape `input_shape: [N, H, W, C]` from `d_y: [N, OH, OW, channels]`.
pub fn subsample_backward(d_y: &Tensor, input_shape: &[usize], stride: usize) -> Result<Tensor> {
    let [n, h, w, c] = image_dims(input_shape)?;
    let [_, _, _, channels] = image_dims(d_y.dims())?;
    let sizes = sizes(input_shape, stride, channels)?;
    let [oh, ow, channels] = sizes.small;
    expect_gradient(d_y, [n, oh, ow, channels])?;
    match place(d_y.device())? {
        Place::Kernels => tensor(kernels::backward(&elements(d_y)?, sizes), (n, h, w, c)),
        Place::Composed => composed::backward(d_y, sizes),
    }
}

fn sizes(dims: &[usize], stride: usize, channels: usize) -> Result<Sizes> {
    let [_, h, w, c] = image_dims(dims)?;
    if stride == 0 || channels < c {
        return Err(Error::config(format!(
            "a strided slice needs a stride of at least 1 and no fewer than its {c} channels, got stride \
             {stride} and {channels} channels"
        )));
    }
    Ok(Sizes { large: [h, w, c], small: [h.div_ceil(stride), w.div_ceil(stride), channels], stride })
}
