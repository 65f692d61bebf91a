//! Starting weights: the draws, and the rule of each kind of weight. Maps are on the host.

use crate::deal::all;
use crate::error::Result;
use crate::maps::Map;
use crate::random::Stream;

/// Elements that one task draws: few enough that small layers are shared evenly, too.
const CHUNK: usize = 1024;

/// Normal numbers of mean 0 and standard deviation `deviation`. Takes two draws for each.
pub fn normal(dims: &[usize], deviation: f64, stream: &mut Stream) -> Result<Map> {
    fill(dims, 2, stream, |stream| (stream.normal() * deviation) as f32)
}

/// Numbers uniform between -`bound` and `bound`. Takes one draw for each.
pub fn uniform(dims: &[usize], bound: f64, stream: &mut Stream) -> Result<Map> {
    fill(dims, 1, stream, |stream| ((2.0 * stream.uniform_f64() - 1.0) * bound) as f32)
}

/// Fills a map with `number`s of `draws` draws each; tasks start at their own place in the stream.
fn fill(
    dims: &[usize],
    draws: u64,
    stream: &mut Stream,
    number: impl Fn(&mut Stream) -> f32 + Sync,
) -> Result<Map> {
    let mut data = vec![0.0f32; dims.iter().product()];
    let fill_chunk = |(task, data): (usize, &mut [f32])| {
        let mut own = stream.clone();
        own.skip((task * CHUNK) as u64 * draws);
        data.iter_mut().for_each(|x| *x = number(&mut own));
    };
    all(data.chunks_mut(CHUNK).enumerate(), fill_chunk);
    stream.skip(data.len() as u64 * draws);
    Map::new(data, dims)
}

/// The weight of a convolution: normal of deviation sqrt(2 / (KH·KW·O)), which keeps the variance of gradients
/// through ReLUs (He et al. 2015, "Delving deep into rectifiers", fan-out form).
///
/// # Shapes
/// `shape`: `[O, I/groups, KH, KW]`.
pub fn convolution_weight(shape: [usize; 4], stream: &mut Stream) -> Result<Map> {
    let [outputs, _, height, width] = shape;
    let fan_out = (outputs * height * width).max(1) as f64;
    normal(&shape, (2.0 / fan_out).sqrt(), stream)
}

/// The weight `[outputs, inputs]` of a linear layer: uniform within ±1/sqrt(inputs).
pub fn linear_weight(outputs: usize, inputs: usize, stream: &mut Stream) -> Result<Map> {
    uniform(&[outputs, inputs], linear_bound(inputs), stream)
}

/// The bias `[outputs]` of a linear layer with `inputs` inputs: uniform within ±1/sqrt(inputs).
pub fn linear_bias(outputs: usize, inputs: usize, stream: &mut Stream) -> Result<Map> {
    uniform(&[outputs], linear_bound(inputs), stream)
}

fn linear_bound(inputs: usize) -> f64 {
    1.0 / (inputs.max(1) as f64).sqrt()
}
