//! Layers one after the other.

use super::chain::Chain;
use super::spec::{NamedLayer, join};
use super::{GradientSink, Initializer, Layer, Mode, Visitor, build, input_gradient};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::elementwise;
use crate::maps::map_read::MapRead;
use crate::tape::Tape;

/// A list of layers, each with its part of the name.
pub struct Sequential {
    layers: Vec<(String, Box<dyn Layer>)>,
    /// Position of the first layer that has weights; nothing below it needs a gradient of its own.
    first_weighted: usize,
    /// What was on the tape before its forward pass.
    height: usize,
}

impl Sequential {
    /// Builds every layer; weights are named from `path` down.
    pub fn new(specs: &[NamedLayer], path: &str, initializer: &Initializer) -> Result<Self> {
        let mut layers = Vec::with_capacity(specs.len());
        let mut first_weighted = specs.len();
        let mut rest = specs;
        while let [spec, after @ ..] = rest {
            if spec.layer.has_weights() {
                first_weighted = first_weighted.min(layers.len());
            }
            let (name, layer): (_, Box<dyn Layer>);
            if let Some((chain, taken)) = Chain::of_prefix(rest, path, initializer)? {
                first_weighted = first_weighted.min(layers.len());
                (name, layer) = (String::new(), Box::new(chain));
                rest = &rest[taken..];
            } else {
                (name, layer) =
                    (spec.name.clone(), build(&spec.layer, &join(path, &spec.name), initializer)?);
                rest = after;
            }
            layers.push((name, layer));
        }
        Ok(Self { layers, first_weighted, height: 0 })
    }

    /// No layers: the identity.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Notes where on the tape its own begins.
    fn begin(&mut self, mode: Mode, tape: &Tape) {
        if mode.is_training() {
            self.height = tape.height();
        }
    }

    /// Backward for callers that need the input's gradient.
    pub fn backward_to_input(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
    ) -> Result<Map> {
        input_gradient(self.backward(d_y, tape, sink, true)?)
    }
}

impl Layer for Sequential {
    fn forward(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        self.forward_lazy(x, mode, tape)?.resolve()
    }

    fn forward_lazy(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        self.forward_from(MapRead::Plain(x), mode, tape)
    }

    fn forward_from(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        self.begin(mode, tape);
        self.layers.iter_mut().try_fold(x, |x, (_, layer)| layer.forward_from(x, mode, tape))
    }

    fn repeat(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<()> {
        self.begin(mode, tape);
        let Some(((_, last), before)) = self.layers.split_last_mut() else { return Ok(()) };
        let x = before.iter_mut().try_fold(x, |x, (_, layer)| layer.forward_from(x, mode, tape))?;
        last.repeat(x, mode, tape)
    }

    fn backward(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need_input: bool,
    ) -> Result<Option<Map>> {
        let mut gradient = d_y;
        for (position, (_, layer)) in self.layers.iter_mut().enumerate().rev() {
            let need = need_input || position > self.first_weighted;
            match layer.backward(gradient, tape, sink, need)? {
                Some(d_x) => gradient = d_x,
                None => {
                    // Whoever comes before this list finds what it left itself.
                    tape.cut_back(self.height);
                    return Ok(None);
                }
            }
        }
        Ok(need_input.then_some(gradient))
    }

    fn backward_beside(
        &mut self,
        d_y: Map,
        beside: &Map,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
    ) -> Result<Map> {
        let Some(((_, first), others)) = self.layers.split_first_mut() else {
            return elementwise::add(d_y, beside);
        };
        let mut gradient = d_y;
        for (_, layer) in others.iter_mut().rev() {
            gradient = input_gradient(layer.backward(gradient, tape, sink, true)?)?;
        }
        first.backward_beside(gradient, beside, tape, sink)
    }

    fn leaves_gradient(&self) -> bool {
        self.layers.last().is_some_and(|(_, layer)| layer.leaves_gradient())
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        self.layers.iter_mut().try_for_each(|(name, layer)| layer.visit(&join(path, name), visitor))
    }
}
