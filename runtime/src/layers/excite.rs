//! A gate on each channel, as in squeeze-and-excitation (Hu et al. 2018), as a layer.

use super::spec::NamedLayer;
use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Sequential, Visitor};
use crate::error::Result;
use crate::maps::map_read::MapRead;
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
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        let gate = self.gate.pass(x.clone(), mode, tape)?;
        let y = per_channel::multiply(&x, &gate)?;
        if mode.is_training() {
            tape.push(&x)?;
            tape.push(&gate)?;
        }
        Ok(y.into())
    }

    fn backward(
        &mut self,
        d_y: Grad,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        let gate = tape.pop()?;
        let d_gate = per_channel::d_factors(d_y.map(), &tape.pop()?, &gate)?;
        let d_x = need.of(|| per_channel::multiply_into(d_y.own()?, &gate))?;
        let need_of_gate = d_x.as_ref().map_or(Need::Nothing, Need::Sum);
        self.gate.backward(d_gate.into(), tape, sink, need_of_gate)
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        self.gate.visit(path, visitor)
    }
}
