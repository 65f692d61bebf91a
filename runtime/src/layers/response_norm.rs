//! Global response norm as a layer.

use super::{
    Grad, GradientSink, Initializer, Layer, Mode, Need, Variable, Visitor, gradient::give, spec::join,
};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::map_read::MapRead;
use crate::maps::response_norm;
use crate::parameter::Parameter;
use crate::tape::Tape;

/// Keeps its input; `weight: [C]`, `bias: [C]`.
pub struct ResponseNorm {
    weight: Parameter,
    bias: Parameter,
}

impl ResponseNorm {
    /// Scale and shift zero: the identity.
    pub fn new(channels: usize, initializer: &Initializer) -> Result<Self> {
        let zeros =
            |trainable| initializer.constant(channels, 0.0).map(|x| initializer.parameter(x, trainable));
        Ok(Self { weight: zeros(initializer.trains.norms)?, bias: zeros(initializer.trains.shifts())? })
    }
}

impl Layer for ResponseNorm {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        let y = response_norm::forward(&x, &self.weight.value, &self.bias.value)?;
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
        let gradients = response_norm::backward(d_y.own()?, &tape.pop()?, &self.weight.value)?;
        give(&mut self.weight, gradients.d_weight, sink)?;
        give(&mut self.bias, gradients.d_bias, sink)?;
        need.of(|| Ok(gradients.d_x))
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        visitor(&join(path, "weight"), Variable::Parameter(&mut self.weight))?;
        visitor(&join(path, "bias"), Variable::Parameter(&mut self.bias))
    }
}
