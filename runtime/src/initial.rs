//! Starting weights: the draws, and the rule of each kind of weight. Tensors are f32 on the CPU.

use crate::error::Result;
use crate::ops::slices::tensor;
use crate::random::Stream;
use candle_core::{Shape, Tensor};

/// Normal numbers of mean 0 and standard deviation `deviation`.
pub fn normal(shape: impl Into<Shape>, deviation: f64, stream: &mut Stream) -> Result<Tensor> {
    let shape = shape.into();
    let data = (0..shape.elem_count()).map(|_| (stream.normal() * deviation) as f32).collect();
    tensor(data, shape)
}

/// Numbers uniform between -`bound` and `bound`.
pub fn uniform(shape: impl Into<Shape>, bound: f64, stream: &mut Stream) -> Result<Tensor> {
    let shape = shape.into();
    let number = |stream: &mut Stream| ((2.0 * stream.uniform_f64() - 1.0) * bound) as f32;
    let data = (0..shape.elem_count()).map(|_| number(stream)).collect();
    tensor(data, shape)
}

/// The weight of a convolution: normal of deviation sqrt(2 / (KH·KW·O)), which keeps the variance of gradients
/// through ReLUs (He et al. 2015, "Delving deep into rectifiers", fan-out form).
///
/// # Shapes
/// `shape`: `[O, I/groups, KH, KW]`.
pub fn convolution_weight(shape: [usize; 4], stream: &mut Stream) -> Result<Tensor> {
    let [outputs, _, height, width] = shape;
    let fan_out = (outputs * height * width).max(1) as f64;
    normal(shape.to_vec(), (2.0 / fan_out).sqrt(), stream)
}

/// The weight `[outputs, inputs]` of a linear layer: uniform within ±1/sqrt(inputs).
pub fn linear_weight(outputs: usize, inputs: usize, stream: &mut Stream) -> Result<Tensor> {
    uniform((outputs, inputs), linear_bound(inputs), stream)
}

/// The bias `[outputs]` of a linear layer with `inputs` inputs: uniform within ±1/sqrt(inputs).
pub fn linear_bias(outputs: usize, inputs: usize, stream: &mut Stream) -> Result<Tensor> {
    uniform(outputs, linear_bound(inputs), stream)
}

fn linear_bound(inputs: usize) -> f64 {
    1.0 / (inputs.max(1) as f64).sqrt()
}
