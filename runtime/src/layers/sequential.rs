//! Layers one after the other.

use super::chain::Chain;
use super::spec::{NamedLayer, join};
use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Visitor, build, input_gradient};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::map_read::MapRead;
use crate::tape::Tape;

/// A list of layers, each with its part of the name.
pub struct Sequential {
    layers: Vec<(String, Box<dyn Layer>)>,
    /// Position of the first layer of which something is trained; nothing below it needs a gradient of its own.
    first_trained: usize,
    /// What was on the tape before its forward pass.
    height: usize,
}

impl Sequential {
    /// Builds every layer; weights are named from `path` down.
    pub fn new(specs: &[NamedLayer], path: &str, initializer: &Initializer) -> Result<Self> {
        let mut layers = Vec::with_capacity(specs.len());
        let mut first_trained = specs.len();
        let mut rest = specs;
        while let Some(spec) = rest.first() {
            let taken;
            let (name, layer): (_, Box<dyn Layer>);
            if let Some((chain, joined)) = Chain::of_prefix(rest, path, initializer)? {
                (name, layer) = (String::new(), Box::new(chain));
                taken = rest.split_at(joined);
            } else {
                (name, layer) =
                    (spec.name.clone(), build(&spec.layer, &join(path, &spec.name), initializer)?);
                taken = rest.split_at(1);
            }
            if taken.0.iter().any(|spec| initializer.trains.any_of(&spec.layer)) {
                first_trained = first_trained.min(layers.len());
            }
            layers.push((name, layer));
            rest = taken.1;
        }
        Ok(Self { layers, first_trained, height: 0 })
    }

    /// No layers: the identity.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The forward pass to a map that is in memory.
    ///
    /// # Errors
    /// Those of the layers.
    pub fn pass(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        self.forward(x.into(), mode, tape)?.resolve()
    }

    /// Backward for callers that need the input's gradient.
    ///
    /// # Errors
    /// Those of the layers.
    pub fn backward_to_input(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
    ) -> Result<Map> {
        input_gradient(self.backward(d_y.into(), tape, sink, Need::Input)?)
    }
}

impl Layer for Sequential {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        if mode.is_training() {
            self.height = tape.height();
        }
        let Some(((_, last), before)) = self.layers.split_last_mut() else { return Ok(x) };
        let answering = if mode.answers() { mode } else { mode.again() };
        let x = before.iter_mut().try_fold(x, |x, (_, layer)| layer.forward(x, answering, tape))?;
        last.forward(x, mode, tape)
    }

    fn backward(
        &mut self,
        d_y: Grad,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>> {
        if self.layers.is_empty() {
            return need.of(|| d_y.own());
        }
        let mut gradient = d_y;
        for (position, (_, layer)) in self.layers.iter_mut().enumerate().rev() {
            let need_here = match position {
                0 => need,
                _ if need.is_some() || position > self.first_trained => Need::Input,
                _ => Need::Nothing,
            };
            match layer.backward(gradient, tape, sink, need_here)? {
                Some(d_x) => gradient = Grad::Own(d_x),
                None => {
                    // Whoever comes before this list finds what it left itself.
                    tape.cut_back(self.height);
                    return Ok(None);
                }
            }
        }
        gradient.own().map(Some)
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        self.layers.iter_mut().try_for_each(|(name, layer)| layer.visit(&join(path, name), visitor))
    }
}
