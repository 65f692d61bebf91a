//! Matrix product as a layer.

use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Variable, Visitor, spec::join};
use crate::error::{Error, Result};
use crate::initial;
use crate::maps::Map;
use crate::maps::map_read::MapRead;
use crate::maps::{elementwise, linear};
use crate::parameter::Parameter;
use crate::tape::Tape;

/// Keeps its input `[N, I]` if its weight is trained; `weight: [O, I]`, `bias: [O]`.
pub struct Linear {
    weight: Parameter,
    bias: Option<Parameter>,
}

impl Linear {
    /// Weights drawn for the name `path`.
    pub fn new(
        inputs: usize,
        outputs: usize,
        bias: bool,
        path: &str,
        initializer: &Initializer,
    ) -> Result<Self> {
        let weight = initializer.draw([path, "weight"], &[outputs, inputs], |stream| {
            initial::linear_weight(outputs, inputs, stream)
        })?;
        let draw_bias = || {
            let draw = |stream: &mut _| initial::linear_bias(outputs, inputs, stream);
            let bias = initializer.draw([path, "bias"], &[outputs], draw)?;
            Ok::<_, Error>(Parameter { trainable: initializer.trains.biases, ..bias })
        };
        Ok(Self { weight, bias: bias.then(draw_bias).transpose()? })
    }
}

impl Layer for Linear {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        let y = linear::forward(&x, &self.weight.value, self.bias.as_ref().map(|b| &b.value))?;
        if mode.is_training() && self.weight.trainable {
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
        let x = if self.weight.trainable { Some(tape.pop()?) } else { None };
        let d_y = d_y.map();
        let d_x = need.of(|| linear::d_input(d_y, &self.weight.value))?;
        if let Some(bias) = self.bias.as_mut().filter(|b| b.trainable) {
            sink.take(bias, elementwise::sum_rows(d_y)?)?;
        }
        if let Some(x) = x {
            let d_weight = linear::d_weight(&x, d_y)?;
            sink.take(&mut self.weight, d_weight)?;
        }
        Ok(d_x)
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        visitor(&join(path, "weight"), Variable::Parameter(&mut self.weight))?;
        match &mut self.bias {
            Some(bias) => visitor(&join(path, "bias"), Variable::Parameter(bias)),
            None => Ok(()),
        }
    }
}
