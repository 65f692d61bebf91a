//! Strided slices and their gradients from candle's index selection.

use crate::error::Result;
use crate::kernels::subsample::Sizes;
use candle_core::Tensor;

/// `x: [N, H, W, C]` -> `[N, OH, OW, channels]`.
pub(crate) fn forward(x: &Tensor, sizes: Sizes) -> Result<Tensor> {
    let kept =
        |axis: usize| (0..sizes.small[axis]).map(|i| (i * sizes.stride[axis]) as u32).collect::<Vec<_>>();
    let x = select(&select(x, 1, &kept(0))?, 2, &kept(1))?;
    let (before, added) = (sizes.before(), sizes.small[2] - sizes.large[2]);
    Ok(x.pad_with_zeros(3, before, added - before)?)
}

/// `d_y: [N, OH, OW, channels]` -> `[N, H, W, C]`.
pub(crate) fn backward(d_y: &Tensor, sizes: Sizes) -> Result<Tensor> {
    // Where the forward pass did not look, the row or column of zeros after the last is taken.
    let sources = |axis: usize| -> Vec<u32> {
        let (stride, outputs) = (sizes.stride[axis], sizes.small[axis]);
        let source = |i: usize| if i.is_multiple_of(stride) { i / stride } else { outputs };
        (0..sizes.large[axis]).map(|i| source(i) as u32).collect()
    };
    let d_y = d_y.narrow(3, sizes.before(), sizes.large[2])?.contiguous()?;
    let d_y = pad_end(&pad_end(&d_y, 1, 0.0)?, 2, 0.0)?;
    let rows = select(&d_y, 1, &sources(0))?;
    select(&rows, 2, &sources(1))
}

/// The named positions of one dimension.
pub(super) fn select(x: &Tensor, dim: usize, positions: &[u32]) -> Result<Tensor> {
    Ok(x.contiguous()?.index_select(&Tensor::new(positions, x.device())?, dim)?)
}

/// One more position at the end of a dimension, filled with `value`.
pub(super) fn pad_end(x: &Tensor, dim: usize, value: f32) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    dims[dim] = 1;
    Ok(Tensor::cat(&[x, &Tensor::full(value, dims, x.device())?], dim)?)
}
