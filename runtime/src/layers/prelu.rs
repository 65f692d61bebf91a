//! The parametric ReLU as a layer.

use super::{
    Grad, GradientSink, Initializer, Layer, Mode, Need, Variable, Visitor, gradient::give, spec::join,
};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::map_read::MapRead;
use crate::maps::prelu;
use crate::parameter::Parameter;
use crate::tape::Tape;

/// What slopes start from, as their authors had it.
const START: f32 = 0.25;

/// Keeps its input; `weight: [C]`, or `[1]`.
pub struct Prelu {
    weight: Parameter,
}

impl Prelu {
    /// So many slopes of a quarter.
    pub fn new(slopes: usize, initializer: &Initializer) -> Result<Self> {
        let start = initializer.constant(slopes, START)?;
        Ok(Self { weight: initializer.parameter(start, initializer.trains.weights) })
    }
}

impl Layer for Prelu {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        let y = prelu::forward(&x, &self.weight.value)?;
        if mode.is_training() {
            tape.push(&x)?;
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
        let x = tape.pop()?;
        let gradients = prelu::backward(d_y.own()?, &x, &self.weight.value)?;
        drop(x);
        give(&mut self.weight, gradients.d_slopes, sink)?;
        need.of(|| Ok(gradients.d_x))
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        visitor(&join(path, "weight"), Variable::Parameter(&mut self.weight))
    }
}
