//! A gate on each channel, as in squeeze-and-excitation (Hu et al. 2018), as a layer.

use super::spec::NamedLayer;
use super::{GradientSink, Initializer, Layer, Mode, Sequential, Visitor};
use crate::error::Result;
use crate::maps::{Map, per_channel};
use crate::tape::Tape;

/// `x · gate(x)`; keeps both.
pub struct Excite {
    gate: Sequential,
}

impl Excite {
    /// Builds the gate's layers; their weights are named from `path` down.
    pub fn new(gate: &[NamedLayer], path: &str, initializer: &Initializer) -> Result<Self> {
        Ok(Self { gate: Sequential::new(gate, path, initializer)? })
    }
}

impl Layer for Excite {
    fn forward(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        let gate = self.gate.forward(x.clone(), mode, tape)?;
        let y = per_channel::multiply(&x, &gate)?;
        if mode.is_training() {
            tape.push(&x)?;
            tape.push(&gate)?;
        }
        Ok(y)
    }

    fn backward(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Map>> {
        let gate = tape.pop()?;
        let d_gate = per_channel::d_factors(&d_y, &tape.pop()?, &gate)?;
        if !need_input {
            return self.gate.backward(d_gate, tape, sink, false);
        }
        let d_x = per_channel::multiply_into(d_y, &gate)?;
        self.gate.backward_beside(d_gate, &d_x, tape, sink).map(Some)
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        self.gate.visit(path, visitor)
    }
}
