//! What no layer may exceed: few enough features and weights that sums and products of them can still be counted, and
//! more than any machine trains.

use super::spec::Features;
use crate::error::{Error, Result};
use crate::inputs::Tokens;

/// The largest stride, kernel, padding, dilation or size of a map, and the most channels of a map.
pub const LARGEST_NUMBER: usize = 65_535;
/// The most elements that a layer makes of one sample, 4 GiB of them.
pub const MOST_ELEMENTS: usize = 1 << 30;
/// The most weights of a layer, and of a network, 4 GiB of them.
pub const MOST_WEIGHTS: usize = 1 << 30;

/// Refuses the first of `numbers` that is too large.
pub(crate) fn check_numbers(numbers: &[usize]) -> Result<()> {
    match numbers.iter().find(|&&number| number > LARGEST_NUMBER) {
        None => Ok(()),
        Some(number) => Err(Error::config(format!(
            "{number} is too large for a network; its numbers go up to {LARGEST_NUMBER}"
        ))),
    }
}

/// What norms may add to a variance: enough that its root is no zero in f32, and no more than any norm adds.
const EPSILONS: std::ops::RangeInclusive<f64> = 1e-12..=1.0;

/// Refuses what no norm adds to a variance.
pub(crate) fn check_epsilon(epsilon: f64) -> Result<()> {
    match EPSILONS.contains(&epsilon) {
        true => Ok(()),
        false => Err(Error::config(format!(
            "the epsilon of a norm is {epsilon}; give a number between 1e-12 and 1, such as 1e-5"
        ))),
    }
}

/// Refuses what a dropout cannot drop by.
pub(crate) fn check_probability(probability: f64) -> Result<()> {
    match (0.0..1.0).contains(&probability) {
        true => Ok(()),
        false => Err(Error::config(format!("dropout probability must be in [0, 1), found {probability}"))),
    }
}

/// Refuses what is no share of the newest batch.
pub(crate) fn check_momentum(momentum: f64) -> Result<()> {
    match (0.0..=1.0).contains(&momentum) {
        true => Ok(()),
        false => Err(Error::config(format!(
            "the momentum of a batch norm is {momentum}; give the share of the newest batch, such as 0.1"
        ))),
    }
}

/// Refuses features of no element, or of too many.
pub(crate) fn check_features(features: Features) -> Result<Features> {
    let elements = match features {
        Features::Map { channels, height, width } => product(&[channels, height, width]),
        Features::Flat(length) | Features::Tokens(Tokens { length, .. }) => Some(length),
    };
    match elements {
        Some(1..=MOST_ELEMENTS) => Ok(features),
        Some(0) => Err(Error::shape(format!("a layer must give features, found {features}"))),
        _ => Err(Error::config(format!(
            "features of {features} are too many for one sample; a layer gives up to {MOST_ELEMENTS} numbers"
        ))),
    }
}

/// Refuses a weight of this shape that no machine could hold.
pub(crate) fn check_weight(dims: &[usize]) -> Result<()> {
    match product(dims) {
        Some(0..=MOST_WEIGHTS) => Ok(()),
        _ => Err(Error::config(format!(
            "a weight of {dims:?} is too large; a layer has up to {MOST_WEIGHTS} weights"
        ))),
    }
}

fn product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size))
}
