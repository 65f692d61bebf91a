//! Max pooling from candle's primitives: one strided slice for each place of the window.

use crate::composed::subsample::{pad_end, select};
use crate::error::Result;
use crate::kernels::max_pool::Axis;
use candle_core::{DType, Tensor};

/// The maxima of `x: [N, H, W, C]` and their places, as f32 and u8 tensors of the shape `[N, OH, OW, C]`.
pub(crate) fn forward(x: &Tensor, rows: Axis, columns: Axis) -> Result<(Tensor, Tensor)> {
    let (n, _, _, c) = x.dims4()?;
    let shape = (n, rows.output, columns.output, c);
    let padded = pad_end(&pad_end(x, 1, f32::NEG_INFINITY)?, 2, f32::NEG_INFINITY)?;
    let mut y = Tensor::full(f32::NEG_INFINITY, shape, x.device())?;
    let mut places = first_places(rows, columns, x)?.broadcast_as(shape)?.contiguous()?;
    for i in 0..rows.kernel {
        let line = select(&padded, 1, &pixels(rows, i))?;
        for j in 0..columns.kernel {
            let candidate = select(&line, 2, &pixels(columns, j))?;
            let place = places.zeros_like()?.affine(1.0, (i * columns.kernel + j) as f64)?;
            // Not a number, or larger; comparisons with what is not a number are false.
            for wins in [candidate.gt(&y)?, candidate.ne(&candidate)?] {
                y = wins.where_cond(&candidate, &y)?;
                places = wins.where_cond(&place, &places)?;
            }
        }
    }
    Ok((y, places.to_dtype(DType::U8)?))
}

/// The gradient of `x: [N, H, W, C]` from that of the maxima and their places.
pub(crate) fn backward(d_y: &Tensor, places: &Tensor, rows: Axis, columns: Axis) -> Result<Tensor> {
    let (n, _, _, c) = d_y.dims4()?;
    let mut d_x = Tensor::zeros((n, rows.input, columns.input, c), DType::F32, d_y.device())?;
    for i in 0..rows.kernel {
        for j in 0..columns.kernel {
            let won = places.eq((i * columns.kernel + j) as u8)?.to_dtype(DType::F32)?;
            let share = pad_end(&pad_end(&(won * d_y)?, 1, 0.0)?, 2, 0.0)?;
            let share = select(&share, 1, &windows(rows, i))?;
            d_x = (d_x + select(&share, 2, &windows(columns, j))?)?;
        }
    }
    Ok(d_x)
}

/// The first place of each window that lies on the image, `[1, OH, OW, 1]`: it stays where all is -infinity.
fn first_places(rows: Axis, columns: Axis, x: &Tensor) -> Result<Tensor> {
    let first = |row, column| rows.taps(row).start * columns.kernel + columns.taps(column).start;
    let places: Vec<f32> = (0..rows.output)
        .flat_map(|row| (0..columns.output).map(move |column| first(row, column) as f32))
        .collect();
    Ok(Tensor::from_vec(places, (1, rows.output, columns.output, 1), x.device())?)
}

/// The pixel at place `tap` of each window; the one after the last stands for padding.
fn pixels(axis: Axis, tap: usize) -> Vec<u32> {
    let pixel = |output| if axis.taps(output).contains(&tap) { axis.pixel(output, tap) } else { axis.input };
    (0..axis.output).map(|output| pixel(output) as u32).collect()
}

/// The window that has each pixel at place `tap`; the one after the last stands for none.
fn windows(axis: Axis, tap: usize) -> Vec<u32> {
    let mut windows = vec![axis.output as u32; axis.input];
    for output in 0..axis.output {
        if axis.taps(output).contains(&tap) {
            windows[axis.pixel(output, tap)] = output as u32;
        }
    }
    windows
}
