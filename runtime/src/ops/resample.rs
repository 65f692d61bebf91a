//! Dispatch of the sums of pixels that pools, up-sampling and their gradients are.

use crate::error::{Error, Result};
use crate::kernels::resample::Taps;
use crate::ops::place::{Place, place};
use crate::ops::slices::{elements, tensor};
use candle_core::Tensor;

/// `x: [N, rows in, columns in, C]` -> `[N, rows out, columns out, C]`.
pub(super) fn resample(x: &Tensor, rows: &Taps, columns: &Taps) -> Result<Tensor> {
    let ([images, height, width, channels], (rows_in, rows_out), (columns_in, columns_out)) =
        (image_dims(x.dims())?, rows.sizes(), columns.sizes());
    if [height, width] != [rows_in, columns_in] {
        return Err(Error::shape(format!(
            "images of {rows_in} by {columns_in} pixels are needed, got the shape {:?}",
            x.dims()
        )));
    }
    match place(x.device())? {
        Place::Kernels => {
            let y = crate::kernels::resample::resample(&elements(x)?, channels, rows, columns);
            tensor(y, (images, rows_out, columns_out, channels))
        }
        Place::Composed => crate::composed::resample::resample(x, rows, columns),
    }
}

/// The sizes `[N, H, W, C]`, none of which may be 0.
pub(super) fn image_dims(dims: &[usize]) -> Result<[usize; 4]> {
    match dims {
        &[n, h, w, c] if n * h * w * c > 0 => Ok([n, h, w, c]),
        _ => Err(Error::shape(format!("images of the shape [N, H, W, C] are needed, got {dims:?}"))),
    }
}

/// A shape error unless `d_y` has the shape of the output, `[N, OH, OW, C]`.
pub(super) fn expect_gradient(d_y: &Tensor, expected: [usize; 4]) -> Result<()> {
    if d_y.dims() == expected {
        return Ok(());
    }
    Err(Error::shape(format!("a gradient of the shape {expected:?} is needed, got {:?}", d_y.dims())))
}
