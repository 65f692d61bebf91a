//! Norms of each sample by itself: group, layer and response norm.

use super::elementwise::{add_activate, like, rows};
use super::reorder::{d_factors, multiply, multiply_into};
use super::sums::sum_rows;
use crate::device::array::Array;
use crate::device::engine::Operand;
use crate::device::launches::group_norm as launches;
use crate::device::table::body::{Body, Element};
use crate::error::Result;
use crate::kernels::group_norm::Sizes;
use crate::kernels::response_norm::EPSILON;

/// Mean and 1/deviation of each group, `[groups, 2]`.
fn moments(x: &Array, sizes: Sizes, epsilon: f64) -> Result<Array> {
    let groups = x.len() / (sizes.rows * (sizes.channels / sizes.groups));
    let moments = Array::empty(x.engine(), Element::F32, &[groups, 2])?;
    let launch = launches::step(Body::GroupMoments, &launches::arguments(x.len(), sizes, epsilon)?)?;
    x.engine().launch(&launch, &[x, &moments].map(Operand::from))?;
    Ok(moments)
}

/// weight · normalized + bias.
///
/// # Errors
/// Those of the device.
pub fn forward(x: &Array, [weight, bias]: [&Array; 2], sizes: Sizes, epsilon: f64) -> Result<Array> {
    let (x, y) = (rows(x)?, like(x)?);
    let moments = moments(&x, sizes, epsilon)?;
    let launch = launches::step(Body::GroupApply, &launches::arguments(x.len(), sizes, epsilon)?)?;
    x.engine().launch(&launch, &[&x, &moments, weight, bias, &y].map(Operand::from))?;
    Ok(y)
}

/// `d`, the gradient of the output, becomes that of the input; answers those of weight and bias.
///
/// # Errors
/// Those of the device.
pub fn backward(d: &Array, x: &Array, weight: &Array, sizes: Sizes, epsilon: f64) -> Result<[Array; 2]> {
    let (engine, x) = (d.engine(), rows(x)?);
    let d_bias = sum_rows(d, sizes.channels)?;
    let moments = moments(&x, sizes, epsilon)?;
    let (sums, products) = (like(&moments)?, like(&x)?);
    let p = launches::arguments(x.len(), sizes, epsilon)?;
    let operands = [d, &x, &moments, weight, &sums].map(Operand::from);
    engine.launch(&launches::step(Body::GroupSums, &p)?, &operands)?;
    let operands = [d, &x, &moments, &sums, weight, &products].map(Operand::from);
    engine.launch(&launches::step(Body::GroupBackward, &p)?, &operands)?;
    Ok([sum_rows(&products, sizes.channels)?, d_bias])
}

/// The sums of the squares of each channel of each sample, and the factors that they make: both `[N, C]`.
fn response_factors(x: &Array, weight: &Array, grouped: [usize; 3]) -> Result<[Array; 2]> {
    let [samples, _, channels] = grouped;
    let squares = d_factors(x, x, grouped, &[samples, channels])?;
    let factors = like(&squares)?;
    let launch = launches::response(Body::ResponseFactors, samples, channels, EPSILON)?;
    x.engine().launch(&launch, &[&squares, weight, &factors].map(Operand::from))?;
    Ok([squares, factors])
}

/// x · (1 + weight · norm / mean norm) + bias of `x: [samples, rows, channels]`, which `grouped` says.
///
/// # Errors
/// Those of the device.
pub fn response(x: &Array, [weight, bias]: [&Array; 2], grouped: [usize; 3]) -> Result<Array> {
    let [_, factors] = response_factors(x, weight, grouped)?;
    let y = multiply(x, &factors, grouped)?;
    super::conv::add_per_channel(&y, bias)?;
    Ok(y)
}

/// `d`, the gradient of the output, becomes that of the input; answers that of the weight.
///
/// # Errors
/// Those of the device.
pub fn response_backward(d: &Array, x: &Array, weight: &Array, grouped: [usize; 3]) -> Result<Array> {
    let [samples, _, channels] = grouped;
    let [squares, factors] = response_factors(x, weight, grouped)?;
    let products = d_factors(d, x, grouped, &[samples, channels])?;
    let (of_x, of_samples) = (like(&squares)?, like(&squares)?);
    let launch = launches::response(Body::ResponseBackward, samples, channels, EPSILON)?;
    let operands = [&squares, &products, weight, &of_x, &of_samples].map(Operand::from);
    d.engine().launch(&launch, &operands)?;
    multiply_into(d, &factors, grouped)?;
    add_activate(d, &multiply(x, &of_x, grouped)?, None)?;
    sum_rows(&of_samples, channels)
}
