//! The same weighted sums of pixels as one matrix product along each axis.

use crate::error::Result;
use crate::kernels::resample::Taps;
use candle_core::Tensor;

/// `x: [N, rows in, columns in, C]` -> `[N, rows out, columns out, C]`.
pub(crate) fn resample(x: &Tensor, rows: &Taps, columns: &Taps) -> Result<Tensor> {
    let (images, _, width, channels) = x.dims4()?;
    let ((_, out_height), (_, out_width)) = (rows.sizes(), columns.sizes());
    let x = along(x, images, rows, width * channels)?;
    let x = along(&x, images * out_height, columns, channels)?;
    Ok(x.reshape((images, out_height, out_width, channels))?)
}

/// `x: [batch, inputs, inner]`, however it is shaped -> `[batch, outputs, inner]`.
fn along(x: &Tensor, batch: usize, taps: &Taps, inner: usize) -> Result<Tensor> {
    let (inputs, outputs) = taps.sizes();
    let x = x.reshape((batch, inputs, inner))?;
    let matrix = Tensor::from_vec(taps.matrix(), (outputs, inputs), x.device())?;
    // Copied for each image: a product of broadcast matrices is not to be trusted on every device.
    let matrices = matrix.broadcast_as((batch, outputs, inputs))?.contiguous()?;
    Ok(matrices.matmul(&x)?)
}
