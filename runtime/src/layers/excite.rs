//! A gate on each channel, as in squeeze-and-excitation (Hu et al. 2018), as a layer.

use super::spec::{LayerSpec, NamedLayer};
use super::{Grad, GradientSink, Initializer, Layer, Mode, Need, Sequential, Visitor};
use crate::error::Result;
use crate::maps::map_read::MapRead;
use crate::maps::{Map, elementwise, excite, per_channel, pool};
use crate::tape::Tape;

/// `x · gate(x)`; keeps both. On the host x may be what a batch norm makes of what is kept.
pub struct Excite {
    /// What the gate makes of the means over each image, of `[N, C]` or else of `[N, 1, 1, C]`; of x itself where it does not
    /// begin with them.
    squeezes: Option<Means>,
    gate: Sequential,
}

/// The shape of the means over each image.
#[derive(Clone, Copy)]
enum Means {
    Map,
    Flat,
}

impl Excite {
    /// Builds the gate's layers; their weights are named from `path` down.
    pub fn new(gate: &[NamedLayer], path: &str, initializer: &Initializer) -> Result<Self> {
        let squeezes = match gate.first().map(|first| &first.layer) {
            Some(LayerSpec::AdaptiveAveragePool([1, 1])) => Some(Means::Map),
            Some(LayerSpec::GlobalAveragePool) => Some(Means::Flat),
            _ => None,
        };
        let gate = &gate[usize::from(squeezes.is_some())..];
        Ok(Self { squeezes, gate: Sequential::new(gate, path, initializer)? })
    }

    /// What the gate is made of.
    fn squeezed(&self, x: &MapRead) -> Result<Map> {
        match (self.squeezes, x) {
            (None, x) => Ok(x.stored().clone()),
            (Some(Means::Map), MapRead::Normalized(z, by)) => excite::means(z, by),
            (Some(Means::Map), x) => pool::adaptive_average_forward(x.stored(), [1, 1]),
            (Some(Means::Flat), MapRead::Normalized(z, by)) => {
                excite::means(z, by)?.reshape((z.dims()[0], by.channels()))
            }
            (Some(Means::Flat), x) => pool::global_average_forward(x.stored()),
        }
    }

    /// The gradient of x, from that of its product with `gate` and that of what was squeezed.
    fn d_input(&self, d_y: Grad, gate: &Map, d_squeezed: &Map, shape: &[usize]) -> Result<Map> {
        if d_y.map().place().is_host() && self.squeezes.is_some() {
            return excite::d_input(d_y.own()?, gate, d_squeezed);
        }
        let d_x = per_channel::multiply_into(d_y.own()?, gate)?;
        let d_around = match self.squeezes {
            None => d_squeezed.clone(),
            Some(Means::Map) => pool::adaptive_average_backward(d_squeezed, shape)?,
            Some(Means::Flat) => pool::global_average_backward(d_squeezed, shape)?,
        };
        elementwise::add(d_around, &d_x)
    }
}

impl Layer for Excite {
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead> {
        let is_read = x.stored().place().is_host() && self.squeezes.is_some();
        let x = if is_read { x } else { MapRead::Plain(x.resolve()?) };
        let gate = self.gate.pass(self.squeezed(&x)?, mode, tape)?;
        let y = match &x {
            MapRead::Normalized(z, by) => excite::multiply(z, by, &gate)?,
            x => per_channel::multiply(x.stored(), &gate)?,
        };
        if mode.is_training() {
            tape.push_lazy(x)?;
            tape.push(&gate)?;
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
        let (gate, x) = (tape.pop()?, tape.pop_lazy()?);
        let shape = x.stored().dims().to_vec();
        let d_gate = match &x {
            MapRead::Normalized(z, by) => excite::d_gate(d_y.map(), z, by, &gate)?,
            x => per_channel::d_factors(d_y.map(), x.stored(), &gate)?,
        };
        drop(x);
        match self.gate.backward(d_gate.into(), tape, sink, need.alone())? {
            None => Ok(None),
            Some(d_squeezed) => need.of(|| self.d_input(d_y, &gate, &d_squeezed, &shape)),
        }
    }

    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        self.gate.visit(path, visitor)
    }
}
