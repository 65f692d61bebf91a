//! The products of a linear layer: convolutions of images of one pixel.

use super::conv;
use super::elementwise::rows;
use super::read::GradientRead;
use super::read::Read::Plain;
use crate::device::array::Array;
use crate::error::Result;
use crate::kernels::conv::Geometry;

fn geometry(samples: usize, inputs: usize, outputs: usize) -> Geometry {
    Geometry {
        images: samples,
        input: [1, 1],
        output: [1, 1],
        in_channels: inputs,
        out_channels: outputs,
        kernel: [1, 1],
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
        groups: 1,
    }
}

/// `x: [N, I]`, `weight: [O, I]`, `bias: [O]` -> `[N, O]`; `sizes` are N, I, O.
///
/// # Errors
/// Those of the device.
pub fn forward(x: &Array, weight: &Array, bias: Option<&Array>, sizes: [usize; 3]) -> Result<Array> {
    let [samples, inputs, outputs] = sizes;
    let geometry = geometry(samples, inputs, outputs);
    conv::forward(Plain(&rows(x)?), weight, bias, &geometry, None)?.0.reshape(&[samples, outputs])
}

/// The gradient of the input, `[N, I]`.
///
/// # Errors
/// Those of the device.
pub fn d_input(d_y: &Array, weight: &Array, [samples, inputs, outputs]: [usize; 3]) -> Result<Array> {
    let (d_y, geometry) = (rows(d_y)?, geometry(samples, inputs, outputs));
    let (d_x, _) = conv::d_input(GradientRead::Plain(&d_y), weight, &geometry, None, None)?;
    d_x.reshape(&[samples, inputs])
}

/// The gradient of the weight, `[O, I]`.
///
/// # Errors
/// Those of the device.
pub fn d_weight(x: &Array, d_y: &Array, [samples, inputs, outputs]: [usize; 3]) -> Result<Array> {
    let (x, d_y) = (rows(x)?, rows(d_y)?);
    let geometry = geometry(samples, inputs, outputs);
    conv::d_weight(Plain(&x), GradientRead::Plain(&d_y), &[outputs, inputs], &geometry)
}
