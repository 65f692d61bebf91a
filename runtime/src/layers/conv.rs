//! Convolution as a layer.

use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Variable, Visitor, spec::join};
use crate::error::{Error, Result};
use crate::initial;
use crate::maps::Map;
use crate::maps::conv::{self, ConvConfig};
use crate::maps::conv_norm;
use crate::maps::map_read::MapRead;
use crate::parameter::Parameter;
use crate::tape::Tape;

/// Keeps its input if its weight is trained; `weight: [O, I/groups, KH, KW]`, `bias: [O]`.
pub struct Conv {
    pub(super) weight: Parameter,
    pub(super) bias: Option<Parameter>,
    pub(super) config: ConvConfig,
}

impl Conv {
    /// Weights drawn for the name `path`.
    pub fn new(
        inputs: usize,
        outputs: usize,
        config: ConvConfig,
        bias: bool,
        path: &str,
        initializer: &Initializer,
    ) -> Result<Self> {
        let [height, width] = config.kernel;
        let shape = [outputs, inputs / config.groups, height, width];
        let weight = initializer
            .draw([path, "weight"], &shape, |stream| initial::convolution_weight(shape, stream))?;
        let fan_in = shape[1] * height * width;
        let draw_bias = || {
            let draw = |stream: &mut _| initial::linear_bias(outputs, fan_in, stream);
            let bias = initializer.draw([path, "bias"], &[outputs], draw)?;
            Ok::<_, Error>(Parameter { trainable: initializer.trains.biases, ..bias })
        };
        Ok(Self { weight, bias: bias.then(draw_bias).transpose()?, config })
    }
}

impl Layer for Conv {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let bias = self.bias.as_ref().map(|b| &b.value);
        let y = match &x {
            MapRead::Plain(x) | MapRead::Sum(x, _) => {
                conv::forward(x, &self.weight.value, bias, &self.config)?
            }
            x @ MapRead::Normalized(..) => {
                conv_norm::forward(x, &self.weight.value, bias, &self.config, None)?.0
            }
        };
        if mode.is_training() {
            tape.push_shape(x.stored());
            if self.weight.trainable {
                tape.push_lazy(x)?;
            }
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
        let x = if self.weight.trainable { Some(tape.pop_lazy()?) } else { None };
        let input_shape = tape.pop_shape()?;
        // The input's gradient needs the weight from before its update.
        let d_x = need.of(|| conv::d_input(d_y.map(), &self.weight.value, &input_shape, &self.config))?;
        if let Some(bias) = self.bias.as_mut().filter(|b| b.trainable) {
            sink.take(bias, conv::d_bias(d_y.map())?)?;
        }
        if let Some(x) = x {
            let shape = self.weight.value.dims();
            let d_weight = match &x {
                MapRead::Plain(x) | MapRead::Sum(x, _) => conv::d_weight(x, d_y.map(), shape, &self.config)?,
                x @ MapRead::Normalized(..) => conv_norm::d_weight(x, d_y.map(), shape, &self.config)?,
            };
            drop((x, d_y));
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
