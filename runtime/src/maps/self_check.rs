//! Whether a device computes what the CPU does: an operation of each kind, on small shapes, when it is opened. No card has to be
//! trusted then, and no driver.

use super::activation::Activation;
use super::conv::ConvConfig;
use super::pool::PoolConfig;
use super::{Map, Place, batch_norm, conv, cross_entropy, linear, pool, update};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::optimizer::{SgdStep, Step};
use crate::precision::ProductPrecision;

/// Largest error, relative to the largest number (or 1): of an f32 that of sums in another order, else that of factors of 11 bits.
fn bound(products: ProductPrecision) -> f32 {
    if products.is_f32() { 1e-4 } else { 4e-3 }
}

/// What is made at a place.
type Operation = fn(&Place) -> Result<Vec<Map>>;

const OPERATIONS: [(&str, Operation); 7] = [
    ("a convolution", convolution),
    ("a depthwise convolution", depthwise),
    ("a batch norm", norm),
    ("a pool", pooled),
    ("a linear layer", layer),
    ("a loss", loss),
    ("a step of an optimizer", step),
];

impl Place {
    /// Does a little of everything here and on the CPU, and compares.
    ///
    /// # Errors
    /// `Device` where they differ, with the operation; those of the device.
    pub fn check_itself(&self) -> Result<()> {
        let bound = bound(self.products());
        for (operation, run) in OPERATIONS {
            for (here, there) in run(&Self::Host)?.iter().zip(&run(self)?) {
                let (expected, found) = (here.numbers()?, there.numbers()?);
                let largest = expected.iter().fold(1.0f32, |most, number| most.max(number.abs()));
                let is_off = |(expected, found): &(&f32, &f32)| {
                    let error = (*expected - *found).abs();
                    error.is_nan() || error > bound * largest
                };
                if let Some((expected, found)) = expected.iter().zip(&found).find(is_off) {
                    return Err(Error::new(
                        ErrorKind::Device,
                        format!(
                            "device '{}' computes wrongly: of {operation} a number is {found} and should be {expected}; \
                             install another version of its driver, or use --device cpu",
                            self.name()
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Numbers in [-1, 1) of no pattern.
fn noise(place: &Place, seed: usize, dims: &[usize]) -> Result<Map> {
    let number = |i: usize| {
        // Knuth's multiplicative hashing.
        let bits = ((seed * 7919 + i + 1) as u32).wrapping_mul(2_654_435_761);
        (bits >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    place.made(dims, || Map::new((0..dims.iter().product()).map(number).collect(), dims))
}

/// All three passes of a convolution.
fn passes(place: &Place, [inputs, outputs]: [usize; 2], config: &ConvConfig) -> Result<Vec<Map>> {
    let [x_dims, weight_dims] = [[2, 7, 6, inputs], [outputs, inputs / config.groups, 3, 3]];
    let (x, weight) = (noise(place, 1, &x_dims)?, noise(place, 2, &weight_dims)?);
    let y = conv::forward(&x, &weight, None, config)?;
    let d_y = noise(place, 3, y.dims())?;
    let d_x = conv::d_input(&d_y, &weight, &x_dims, config)?;
    Ok(vec![y, d_x, conv::d_weight(&x, &d_y, &weight_dims, config)?])
}

const THREE: ConvConfig =
    ConvConfig { kernel: [3, 3], stride: [1, 1], padding: [1, 1], dilation: [1, 1], groups: 1 };

fn convolution(place: &Place) -> Result<Vec<Map>> {
    let strided = ConvConfig { stride: [2, 2], ..THREE };
    let mut made = passes(place, [3, 16], &strided)?;
    // One that each width of tiles serves.
    for channels in [16, 32, 64] {
        made.extend(passes(place, [channels; 2], &THREE)?);
    }
    Ok(made)
}

fn depthwise(place: &Place) -> Result<Vec<Map>> {
    passes(place, [8, 8], &ConvConfig { groups: 8, ..THREE })
}

fn norm(place: &Place) -> Result<Vec<Map>> {
    let x = noise(place, 1, &[2, 5, 5, 6])?;
    let (weight, bias, d_y) = (noise(place, 2, &[6])?, noise(place, 3, &[6])?, noise(place, 4, x.dims())?);
    let (statistics, relu) = (batch_norm::statistics(&x)?, Some(Activation::Relu));
    let y = batch_norm::forward(&x, &statistics, &weight, &bias, 1e-5, relu)?;
    let found = batch_norm::backward(d_y, &x, &statistics, &weight, &bias, 1e-5, relu, None, true)?;
    Ok([Some(y), found.d_x, Some(found.d_weight), Some(found.d_bias)].into_iter().flatten().collect())
}

fn pooled(place: &Place) -> Result<Vec<Map>> {
    let (x, config) = (
        noise(place, 1, &[2, 7, 7, 5])?,
        PoolConfig { kernel: [3, 3], stride: [2, 2], ..PoolConfig::default() },
    );
    let (y, positions) = pool::max_forward(&x, &config)?;
    let d_x = pool::max_backward(&noise(place, 2, y.dims())?, &positions, x.dims(), &config)?;
    Ok(vec![y, d_x, pool::average_forward(&x, &config)?, pool::global_average_forward(&x)?])
}

fn layer(place: &Place) -> Result<Vec<Map>> {
    let (x, weight) = (noise(place, 1, &[5, 20])?, noise(place, 2, &[10, 20])?);
    let y = linear::forward(&x, &weight, Some(&noise(place, 3, &[10])?))?;
    let d_y = noise(place, 4, y.dims())?;
    Ok(vec![y, linear::d_input(&d_y, &weight)?, linear::d_weight(&x, &d_y)?])
}

fn loss(place: &Place) -> Result<Vec<Map>> {
    let loss = cross_entropy::softmax_cross_entropy(&noise(place, 1, &[4, 10])?, &[0, 3, 9, 3], 0.1)?;
    Ok(vec![loss.d_input, place.full(&[1], loss.value as f32)?])
}

fn step(place: &Place) -> Result<Vec<Map>> {
    let [value, momentum, gradient] = [1, 2, 3].map(|seed| noise(place, seed, &[40]));
    let (value, state) = (value?, [momentum?]);
    let sgd = SgdStep { rate: 0.1, momentum: 0.9, nesterov: true, weight_decay: 1e-2 };
    update::step(&value, &state, &gradient?, &Step::Sgd(sgd))?;
    let [momentum] = state;
    Ok(vec![value, momentum])
}
