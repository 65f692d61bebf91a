//! Global response norm (Woo et al. 2023, "ConvNeXt V2"): channels compete by their norms over all positions of a sample.

use super::Map;
use super::elementwise::{combine_with, one_per_channel, rows_and_channels, same_shape, sum_rows};
use super::group_norm::AffineGradients;
use super::place::make;
use super::slices::{elements, tensor};
#[cfg(feature = "device")]
use crate::device::operations::group_norm as device;
use crate::error::Result;
use crate::kernels::per_channel;
use crate::kernels::response_norm as kernels;

/// `x` as `[N, R, C]`.
fn grouped(x: &Map, named: &[(&str, &Map)]) -> Result<[usize; 3]> {
    let (rows, channels) = rows_and_channels(x)?;
    one_per_channel(channels, named)?;
    let samples = x.dims()[0];
    Ok([samples, rows / samples, channels])
}

/// x · (1 + weight · n / (mean(n) + 1e-6)) + bias, of the shape of `x: [N, H, W, C]` or `[N, C]`, where n is the L2 norm of a
/// channel over the positions of a sample and the mean is over channels; `weight` and `bias` are `[C]`.
///
/// # Errors
/// `Shape` where the shapes do not fit.
pub fn forward(x: &Map, weight: &Map, bias: &Map) -> Result<Map> {
    let grouped = grouped(x, &[("the weight", weight), ("the bias", bias)])?;
    let [samples, rows, channels] = grouped;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        return device::response(x, [weight.array()?, bias.array()?], grouped).map(Map::Device);
    }
    make(
        x,
        x.dims(),
        || {
            let (of_x, weight, bias) = (elements(x)?, elements(weight)?, elements(bias)?);
            let squares = per_channel::sums(&of_x, &of_x, [rows, channels], |a, b| a * b);
            let factors = kernels::factors(&squares, &weight);
            let mut y = vec![0.0; of_x.len()];
            per_channel::update(&mut y, &of_x, &factors, [rows, channels], |_, x, factor| factor * x);
            per_channel::change(&mut y, &bias, [samples * rows, channels], |y, bias| y + bias);
            tensor(y, x.dims())
        },
        |counter| {
            let numbers = 2 * samples * channels * size_of::<f32>();
            counter.scratch(numbers + per_channel::sums_bytes(samples, [rows, channels], counter.threads));
            counter.sweep(5 * x.elem_count());
        },
    )
}

/// The gradients of `forward` for the same arguments, from `d_y`, that of its output. Norms are taken anew.
///
/// `d_y` may be written into: the caller must be its only user. `d_x` then has its memory.
///
/// # Errors
/// As for [`forward`].
pub fn backward(d_y: Map, x: &Map, weight: &Map) -> Result<AffineGradients> {
    same_shape(&d_y, x)?;
    let grouped = grouped(x, &[("the weight", weight)])?;
    let [samples, rows, channels] = grouped;
    let d_bias = sum_rows(&d_y)?;
    #[cfg(feature = "device")]
    if let Map::Device(x) = x {
        let d_weight = device::response_backward(d_y.array()?, x, weight.array()?, grouped)?;
        return Ok(AffineGradients { d_x: d_y, d_weight: Map::Device(d_weight), d_bias });
    }
    let d_weight = make(
        x,
        &[channels],
        || {
            let weight = elements(weight)?;
            let d_weight = combine_with(&d_y, x, |d, x| {
                let squares = per_channel::sums(x, x, [rows, channels], |a, b| a * b);
                let products = per_channel::sums(d, x, [rows, channels], |d, x| d * x);
                let [of_x, d_weight] = kernels::backward(&squares, &products, &weight);
                per_channel::change(d, &kernels::factors(&squares, &weight), [rows, channels], |d, f| d * f);
                per_channel::update(d, x, &of_x, [rows, channels], |d, x, part| d + part * x);
                d_weight
            })?;
            tensor(d_weight, channels)
        },
        |counter| {
            let numbers = 4 * samples * channels * size_of::<f32>() + kernels::backward_bytes(channels);
            counter.scratch(numbers + per_channel::sums_bytes(samples, [rows, channels], counter.threads));
            counter.sweep(9 * x.elem_count());
        },
    )?;
    Ok(AffineGradients { d_x: d_y, d_weight, d_bias })
}
