//! A trained factor of each channel (Touvron et al. 2021, "layer scale"), as a layer.

use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Variable, Visitor};
use crate::error::Result;
use crate::maps::map_read::MapRead;
use crate::maps::{Map, per_channel};
use crate::parameter::Parameter;
use crate::tape::Tape;

/// Keeps its input if its factors are trained; they are `[C]` and have the layer's own name.
pub struct Scale {
    factors: Parameter,
}

impl Scale {
    /// All factors start as `start`.
    pub fn new(channels: usize, start: f64, initializer: &Initializer) -> Result<Self> {
        let factors = initializer.constant(channels, start as f32)?;
        Ok(Self { factors: initializer.parameter(factors, initializer.trains.weights) })
    }
}

impl Layer for Scale {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let x = x.resolve()?;
        let y = per_channel::multiply(&x, &self.factors.value)?;
        if mode.is_training() && self.factors.trainable {
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
        let d_factors = match self.factors.trainable {
            true => Some(per_channel::d_factors(d_y.map(), &tape.pop()?, &self.factors.value)?),
            false => None,
        };
        // The input's gradient needs the factors from before their update.
        let d_x = need.of(|| per_channel::multiply_into(d_y.own()?, &self.factors.value))?;
        if let Some(d_factors) = d_factors {
            sink.take(&mut self.factors, d_factors)?;
        }
        Ok(d_x)
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        visitor(path, Variable::Parameter(&mut self.factors))
    }
}
