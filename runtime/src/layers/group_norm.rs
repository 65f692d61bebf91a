//! Layer norm and group norm as layers.

use super::{GradientSink, Initializer, Layer, Mode, Variable, Visitor, spec::join};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::group_norm::{self, Extent};
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
            weight: Parameter::of_part(initializer.constant(channels, 1.0)?, initializer.part),
            bias: Parameter::of_part(initializer.constant(channels, 0.0)?, initializer.part),
            extent,
            epsilon,
        })
    }
}

impl Layer for GroupNorm {
    fn forward(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        let y = group_norm::forward(&x, &self.weight.value, &self.bias.value, self.extent, self.epsilon)?;
        if mode.is_training() {
            tape.push(&x)?;
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
        let x = tape.pop()?;
        let gradients = group_norm::backward(d_y, &x, &self.weight.value, self.extent, self.epsilon)?;
        drop(x);
        if self.weight.trainable {
            sink.take(&mut self.weight, gradients.d_weight)?;
        }
        if self.bias.trainable {
            sink.take(&mut self.bias, gradients.d_bias)?;
        }
        Ok(need_input.then_some(gradients.d_x))
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        visitor(&join(path, "weight"), Variable::Parameter(&mut self.weight))?;
        visitor(&join(path, "bias"), Variable::Parameter(&mut self.bias))
    }
}
