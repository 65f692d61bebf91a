//! Optimizer updates, composed; results are copied into the storage of the value and the state.

use crate::error::{Error, Result};
use crate::kernels::optimizer::{AdamWStep, SgdStep, Step};
use candle_core::Tensor;

/// One update of `value`, which must be contiguous, and of its `state`, by the gradient `d_value`.
pub(crate) fn update(value: &Tensor, d_value: &Tensor, state: &[&Tensor], step: &Step) -> Result<()> {
    match (*step, state) {
        (Step::Sgd(SgdStep { rate, weight_decay, .. }), []) => {
            let d = (d_value + (value * f64::from(weight_decay))?)?;
            store(value, &(value - (d * f64::from(rate))?)?)
        }
        (Step::Sgd(SgdStep { rate, momentum: kept, nesterov, weight_decay }), &[momentum]) => {
            let kept = f64::from(kept);
            let d = (d_value + (value * f64::from(weight_decay))?)?;
            let m = ((momentum * kept)? + &d)?;
            store(momentum, &m)?;
            let direction = if nesterov { (d + (m * kept)?)? } else { m };
            store(value, &(value - (direction * f64::from(rate))?)?)
        }
        (
            Step::AdamW(AdamWStep { keep, rate, beta1, beta2, new1, new2, root_correction, epsilon }),
            &[mean, square],
        ) => {
            let m = ((mean * f64::from(beta1))? + (d_value * f64::from(new1))?)?;
            let v = ((square * f64::from(beta2))? + (d_value.sqr()? * f64::from(new2))?)?;
            store(mean, &m)?;
            store(square, &v)?;
            let divisor = ((v.sqrt()? / f64::from(root_correction))? + f64::from(epsilon))?;
            let change = ((m * f64::from(rate))? / divisor)?;
            store(value, &((value * f64::from(keep))? - change)?)
        }
        (_, state) => Err(Error::internal(format!("an update met {} tensors of state", state.len()))),
    }
}

/// sum += factor·x, in the storage of `sum`.
pub(crate) fn add_scaled(sum: &Tensor, x: &Tensor, factor: f64) -> Result<()> {
    store(sum, &(sum + (x * factor)?)?)
}

/// Copies the elements of `from` into the storage of `to`.
fn store(to: &Tensor, from: &Tensor) -> Result<()> {
    // One axis, because a scalar has none to copy along.
    Ok(to.flatten_all()?.slice_set(&from.contiguous()?.flatten_all()?, 0, 0)?)
}
