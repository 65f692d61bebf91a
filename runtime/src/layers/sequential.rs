//! Layers one after the other.

use super::chain::Chain;
use super::spec::{LayerSpec, NamedLayer, join};
use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Trains, Visitor, build, input_gradient};
use crate::error::Result;
use crate::maps::Map;
use crate::maps::map_read::MapRead;
use crate::tape::Tape;
use std::ops::Range;

/// A list of layers, each with its part of the name.
#[derive(Default)]
pub struct Sequential {
    layers: Vec<(String, Box<dyn Layer>)>,
    /// Position of the first layer of which something is trained; nothing below it needs a gradient of its own.
    first_trained: usize,
    /// The first layers that are passed in the same way every time.
    still: Still,
    /// What was on the tape before its forward pass.
    height: usize,
}

/// The first layers of a list of which nothing is trained and that draw nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Still {
    /// Layers, of which some may be several joined.
    layers: usize,
    /// Specs that these are of.
    pub(crate) specs: usize,
    /// Whether another follows that is not of them.
    ends: bool,
}

/// Whether a layer draws random numbers in training.
fn draws(layer: &LayerSpec) -> bool {
    matches!(layer, LayerSpec::Dropout { .. } | LayerSpec::DropPath { .. })
        || layer.branches().into_iter().flatten().any(|inner| draws(&inner.layer))
}

impl Sequential {
    /// Builds every layer; weights are named from `path` down.
    pub fn new(specs: &[NamedLayer], path: &str, initializer: &Initializer) -> Result<Self> {
        Self::of_parts(&[(specs, initializer.trains)], path, initializer)
    }

    /// The same of lists one after the other, of each of which something else is trained.
    ///
    /// # Errors
    /// Those of the layers.
    pub(crate) fn of_parts(
        parts: &[(&[NamedLayer], Trains)],
        path: &str,
        initializer: &Initializer,
    ) -> Result<Self> {
        let mut built =
            Self { layers: Vec::new(), first_trained: usize::MAX, still: Still::default(), height: 0 };
        for (specs, trains) in parts {
            built.extend(specs, path, &Initializer { trains: *trains, ..initializer.clone() })?;
        }
        Ok(built)
    }

    fn extend(&mut self, specs: &[NamedLayer], path: &str, initializer: &Initializer) -> Result<()> {
        let Self { layers, first_trained, still, .. } = self;
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
            let is_trained = taken.0.iter().any(|spec| initializer.trains.any_of(&spec.layer));
            if is_trained {
                *first_trained = (*first_trained).min(layers.len());
            }
            still.ends |= is_trained || taken.0.iter().any(|spec| draws(&spec.layer));
            if !still.ends {
                still.layers += 1;
                still.specs += taken.0.len();
            }
            layers.push((name, layer));
            rest = taken.1;
        }
        Ok(())
    }

    /// Its first layers that are passed in the same way every time.
    pub(crate) fn still(&self) -> Still {
        self.still
    }

    /// What these make of `x`.
    ///
    /// # Errors
    /// Those of the layers.
    pub(crate) fn pass_still(&mut self, x: Map, tape: &mut Tape) -> Result<Map> {
        self.forward_through(0..self.still.layers, x.into(), Mode::Evaluate, tape)?.resolve()
    }

    /// The forward pass of what these have made, through the layers behind them.
    ///
    /// # Errors
    /// Those of the layers.
    pub(crate) fn pass_behind_still(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        self.forward_through(self.still.layers..self.layers.len(), x.into(), mode, tape)?.resolve()
    }

    fn forward_through(
        &mut self,
        layers: Range<usize>,
        x: MapRead,
        mode: Mode,
        tape: &mut Tape,
    ) -> Result<MapRead> {
        if mode.is_training() {
            self.height = tape.height();
        }
        let Some(((_, last), before)) = self.layers[layers].split_last_mut() else { return Ok(x) };
        let answering = if mode.answers() { mode } else { mode.again() };
        let x = before.iter_mut().try_fold(x, |x, (_, layer)| layer.forward(x, answering, tape))?;
        last.forward(x, mode, tape)
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
        self.forward_through(0..self.layers.len(), x, mode, tape)
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
