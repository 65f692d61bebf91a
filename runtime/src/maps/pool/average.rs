//! Average pooling: over fixed windows, over as many windows as are asked for, and over whole images.

use super::PoolConfig;
use crate::error::{Error, Result};
use crate::kernels::resample::Taps;
use crate::maps::Map;
use crate::maps::resample::{expect_gradient, image_dims, resample};

/// The mean of each window: `x: [N, H, W, C]` -> `[N, OH, OW, C]`. Padding counts as zeros, in the sum and
/// in the number (PyTorch's `count_include_pad`); what lies beyond it does not count.
pub fn average_forward(x: &Map, config: &PoolConfig) -> Result<Map> {
    let [_, height, width, _] = image_dims(x.dims())?;
    let [rows, columns] = taps([height, width], config)?;
    resample(x, &rows, &columns)
}

/// The gradient of an input of the shape `input_shape: [N, H, W, C]` from `d_y: [N, OH, OW, C]`.
pub fn average_backward(d_y: &Map, input_shape: &[usize], config: &PoolConfig) -> Result<Map> {
    let [_, height, width, _] = image_dims(input_shape)?;
    backward(d_y, input_shape, taps([height, width], config)?)
}

/// The mean of each of `output: [OH, OW]` windows that cover the image: `x: [N, H, W, C]` -> `[N, OH, OW,
/// C]`.
///
/// Window i of OH takes the rows from floor(i · H / OH) up to ceil((i + 1) · H / OH), so windows can overlap.
pub fn adaptive_average_forward(x: &Map, output: [usize; 2]) -> Result<Map> {
    let [_, height, width, _] = image_dims(x.dims())?;
    if output.contains(&0) {
        return Err(Error::config(format!("images cannot be pooled to {} by {}", output[0], output[1])));
    }
    let [rows, columns] = adaptive_taps([height, width], output);
    resample(x, &rows, &columns)
}

/// The gradient of an input of the shape `input_shape: [N, H, W, C]` from `d_y: [N, OH, OW, C]`.
pub fn adaptive_average_backward(d_y: &Map, input_shape: &[usize]) -> Result<Map> {
    let [_, height, width, _] = image_dims(input_shape)?;
    let [_, oh, ow, _] = image_dims(d_y.dims())?;
    backward(d_y, input_shape, adaptive_taps([height, width], [oh, ow]))
}

/// The mean of each whole image: `x: [N, H, W, C]` -> `[N, C]`.
pub fn global_average_forward(x: &Map) -> Result<Map> {
    let [n, _, _, c] = image_dims(x.dims())?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return crate::device::operations::pool::mean(x, [n, x.len() / (n * c), c]).map(Map::Device);
    }
    adaptive_average_forward(x, [1, 1])?.reshape((n, c))
}

/// The gradient of an input of the shape `input_shape: [N, H, W, C]` from `d_y: [N, C]`.
pub fn global_average_backward(d_y: &Map, input_shape: &[usize]) -> Result<Map> {
    let [n, _, _, c] = image_dims(input_shape)?;
    if d_y.dims() != [n, c] {
        return Err(Error::shape(format!(
            "a gradient of the shape {:?} is needed, got {:?}",
            [n, c],
            d_y.dims()
        )));
    }
    adaptive_average_backward(&d_y.reshape((n, 1, 1, c))?, input_shape)
}

fn backward(d_y: &Map, input_shape: &[usize], [rows, columns]: [Taps; 2]) -> Result<Map> {
    let [n, _, _, c] = image_dims(input_shape)?;
    expect_gradient(d_y, [n, rows.sizes().1, columns.sizes().1, c])?;
    resample(d_y, &rows.transposed(), &columns.transposed())
}

fn taps(input: [usize; 2], config: &PoolConfig) -> Result<[Taps; 2]> {
    let output = config.output_size(input)?;
    Ok([0, 1].map(|axis| {
        let (kernel, padding) = (config.kernel[axis], config.padding[axis]);
        Taps::new(input[axis], output[axis], |i| {
            let first = i * config.stride[axis];
            let end = (first + kernel).min(input[axis] + 2 * padding);
            let weight = 1.0 / (end - first) as f32;
            (first.max(padding)..end).map(move |row| (row - padding, weight))
        })
    }))
}

fn adaptive_taps(input: [usize; 2], output: [usize; 2]) -> [Taps; 2] {
    [0, 1].map(|axis| {
        let (inputs, outputs) = (input[axis], output[axis]);
        Taps::new(inputs, outputs, |i| {
            let window = i * inputs / outputs..((i + 1) * inputs).div_ceil(outputs);
            let weight = 1.0 / window.len() as f32;
            window.map(move |row| (row, weight))
        })
    })
}
