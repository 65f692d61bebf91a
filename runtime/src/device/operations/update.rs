//! Updates of parameters by their gradients.

use crate::device::array::Array;
use crate::device::engine::Operand::{self, Nothing, Table as Words};
use crate::device::launches::update::{Slot, Table};
use crate::error::{Error, Result};
use crate::kernels::optimizer::Step;

/// One step of `value` and its `state` by `gradient`; all lie in the order of the value from then on.
///
/// # Errors
/// Those of the device, and `Internal` for a state that another optimizer left.
pub fn step(value: &Array, state: &[&Array], gradient: &Array, step: &Step) -> Result<()> {
    let order = value.order();
    let gradient = gradient.ordered(order)?;
    let state = state.iter().map(|state| settled(state, value)).collect::<Result<Vec<_>>>()?;
    // What AdamW has of the decay is in its step; here it is whether there is one.
    let weight_decay = match step {
        Step::Sgd(step) => step.weight_decay,
        Step::AdamW(_) => 1.0,
    };
    let table = Table::new(&[Slot { len: value.len(), splits: 1, weight_decay, ..Slot::default() }])?;
    let states = match (step, &state[..]) {
        (Step::Sgd(_), []) => vec![Nothing],
        (Step::Sgd(_), [momentum]) => vec![Operand::from(momentum)],
        (Step::AdamW(_), [mean, square]) => vec![Operand::from(mean), Operand::from(square)],
        (_, state) => return Err(Error::internal(format!("an update met {} tensors of state", state.len()))),
    };
    let mut operands = vec![Operand::from(value)];
    operands.extend(states);
    operands.extend([Operand::from(&gradient), Nothing, Words(&table.words), Nothing]);
    value.engine().launch(&table.step(step, 0, 1.0)?, &operands)
}

/// A state in the order of its value. It is written where it is, and so it may not be spared.
fn settled(state: &Array, value: &Array) -> Result<Array> {
    let settled = state.settled(value.order())?;
    match settled.shares_memory(state) {
        true => Ok(settled),
        false => Err(Error::internal("the state of an optimizer is shared with somebody who reads it")),
    }
}
