//! Layer norm and group norm as layers.

use super::{
    Grad, GradientSink, Initializer, Layer, Mode, Need, Variable, Visitor, gradient::give, spec::join,
};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::group_norm::{self, Extent};
use crate::maps::map_read::MapRead;
use crate::parameter::Parameter;
use crate::tape::Tape;

/// Keeps its input; `weight: [C]`, `bias: [C]`.
pub struct GroupNorm {
    weight: Parameter,
    bias: Parameter,
    extent: Extent,
    epsilon: f64,
}

impl GroupNorm {
    /// Scale one, shift zero.
    pub fn new(channels: usize, extent: Extent, epsilon: f64, initializer: &Initializer) -> Result<Self> {
        Ok(Self {
            weight: initializer.parameter(initializer.constant(channels, 1.0)?, initializer.trains.norms),
            bias: initializer.parameter(initializer.constant(channels, 0.0)?, initializer.trains.shifts()),
            extent,
            epsilon,
        })
    }
}

impl Layer for GroupNorm {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        let y = group_norm::forward(&x, &self.weight.value, &self.bias.value, self.extent, self.epsilon)?;
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
        let gradients = group_norm::backward(d_y.own()?, &x, &self.weight.value, self.extent, self.epsilon)?;
        drop(x);
        give(&mut self.weight, gradients.d_weight, sink)?;
        give(&mut self.bias, gradients.d_bias, sink)?;
        need.of(|| Ok(gradients.d_x))
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        visitor(&join(path, "weight"), Variable::Parameter(&mut self.weight))?;
        visitor(&join(path, "bias"), Variable::Parameter(&mut self.bias))
    }
}
