//! The sums of pixels that pools, up-sampling and their gradients are.

use crate::error::{Error, Result};
use crate::kernels::resample::Taps;
use crate::maps::Map;
use crate::maps::place::make;
use crate::maps::slices::{elements, tensor};

/// `x: [N, rows in, columns in, C]` -> `[N, rows out, columns out, C]`, each pixel the sum that the taps of its row and
/// of its column say.
///
/// # Errors
/// `Shape` when images and taps do not fit.
pub fn resample(x: &Map, rows: &Taps, columns: &Taps) -> Result<Map> {
    let ([images, height, width, channels], (rows_in, rows_out), (columns_in, columns_out)) =
        (image_dims(x.dims())?, rows.sizes(), columns.sizes());
    if [height, width] != [rows_in, columns_in] {
        return Err(Error::shape(format!(
            "images of {rows_in} by {columns_in} pixels are needed, got the shape {:?}",
            x.dims()
        )));
    }
    let dims = [images, rows_out, columns_out, channels];
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return crate::device::operations::pool::resample(x, dims, rows, columns).map(Map::Device);
    }
    make(
        x,
        &dims,
        || tensor(crate::kernels::resample::resample(&elements(x)?, channels, rows, columns), &dims[..]),
        |counter| {
            // A line for each thread.
            counter.scratch(counter.threads * columns_in * channels * size_of::<f32>());
            counter.sweep(x.elem_count() + dims.iter().product::<usize>());
        },
    )
}

/// The sizes `[N, H, W, C]`, none of which may be 0.
pub(super) fn image_dims(dims: &[usize]) -> Result<[usize; 4]> {
    match dims {
        &[n, h, w, c] if n * h * w * c > 0 => Ok([n, h, w, c]),
        _ => Err(Error::shape(format!("images of the shape [N, H, W, C] are needed, got {dims:?}"))),
    }
}

/// A shape error unless `d_y` has the shape of the output, `[N, OH, OW, C]`.
pub(super) fn expect_gradient(d_y: &Map, expected: [usize; 4]) -> Result<()> {
    if d_y.dims() == expected {
        return Ok(());
    }
    Err(Error::shape(format!("a gradient of the shape {expected:?} is needed, got {:?}", d_y.dims())))
}
