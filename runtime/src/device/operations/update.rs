//! Updates of parameters by their gradients. They wait for others of the same step, many of which are one launch.

use crate::device::array::Array;
use crate::device::later::LaterKind;
use crate::error::{Error, Result};
use crate::kernels::optimizer::Step;

/// One step of `value` and its `state` by `gradient`; all lie in the order of the value from then on.
///
/// # Errors
/// Those of the device, and `Internal` for a state that another optimizer left.
pub fn step(value: &Array, state: &[&Array], gradient: &Array, step: &Step) -> Result<()> {
    let gradient = gradient.in_order(value.order())?;
    let state = state.iter().map(|state| settled(state, value)).collect::<Result<Vec<_>>>()?;
    let (arrays, factor) = match (step, &state[..]) {
        (Step::Sgd(step), []) => ([Some(value), None, None, Some(&gradient), None], step.weight_decay),
        (Step::Sgd(step), [momentum]) => {
            ([Some(value), Some(momentum), None, Some(&gradient), None], step.weight_decay)
        }
        // What AdamW has of the decay is in its step; here it is whether there is one.
        (Step::AdamW(_), [mean, square]) => {
            ([Some(value), Some(mean), Some(square), Some(&gradient), None], 1.0)
        }
        (_, state) => return Err(Error::internal(format!("an update met {} tensors of state", state.len()))),
    };
    value.engine().later(LaterKind::Step(*step), factor, arrays)
}

/// A state in the order of its value. It is written where it is, and so it may not be spared.
fn settled(state: &Array, value: &Array) -> Result<Array> {
    let settled = state.settled(value.order())?;
    match settled.shares_memory(state) {
        true => Ok(settled),
        false => Err(Error::internal("the state of an optimizer is shared with somebody who reads it")),
    }
}
