//! Layers one after the other, replayed.

use super::chain::Chain;
use super::context::Context;
use super::layers::{BatchNorm, Conv, Linear, Plain};
use super::ledger::Part;
use super::outline::{Lazy, Outline};
use super::replay::{Parameter, Replay, Tape};
use super::residual::Residual;
use crate::error::Result;
use crate::layers::Mode;
use crate::layers::spec::{LayerSpec, NamedLayer};

/// `layers::Sequential`
pub(super) struct Sequential {
    layers: Vec<Box<dyn Replay>>,
    /// Position of the first layer that has weights.
    first_weighted: usize,
    height: usize,
}

impl Sequential {
    /// Layers whose weights serve `part`.
    pub(super) fn new(context: &Context, specs: &[NamedLayer], part: Part) -> Self {
        let mut layers: Vec<Box<dyn Replay>> = Vec::with_capacity(specs.len());
        let mut first_weighted = specs.len();
        let mut rest = specs;
        while let [spec, after @ ..] = rest {
            let (layer, weighted): (Box<dyn Replay>, bool);
            if let Some((chain, taken)) = Chain::of_prefix(context, rest, part) {
                (layer, weighted) = (Box::new(chain), true);
                rest = &rest[taken..];
            } else {
                (layer, weighted) = build(context, &spec.layer, part);
                rest = after;
            }
            if weighted {
                first_weighted = first_weighted.min(layers.len());
            }
            layers.push(layer);
        }
        Self { layers, first_weighted, height: 0 }
    }

    fn begin(&mut self, mode: Mode, tape: &Tape) {
        if mode.is_training() {
            self.height = tape.height();
        }
    }

    pub(super) fn has_weights(&self) -> bool {
        self.first_weighted < self.layers.len()
    }

    /// The forward pass with its last normalization done.
    pub(super) fn forward_plain(
        &mut self,
        context: &Context,
        x: Outline,
        mode: Mode,
        tape: &mut Tape,
    ) -> Result<Outline> {
        let y = self.forward(context, Lazy::Plain(x), mode, tape)?;
        context.resolve(y)
    }

    /// The backward pass for callers that need the input's gradient.
    pub(super) fn backward_to_input(
        &mut self,
        context: &Context,
        d_y: Outline,
        tape: &mut Tape,
    ) -> Result<Outline> {
        let d_x = self.backward(context, d_y, tape, true)?;
        d_x.ok_or_else(|| crate::error::Error::internal("a replayed layer gave no gradient for its input"))
    }
}

/// `layers::build`, and whether the layer has weights.
fn build(context: &Context, spec: &LayerSpec, part: Part) -> (Box<dyn Replay>, bool) {
    match spec {
        LayerSpec::Conv { inputs, outputs, config, bias } => {
            (Box::new(Conv::new(context, *inputs, *outputs, *config, *bias, part)), true)
        }
        LayerSpec::BatchNorm { channels, .. } => (Box::new(BatchNorm::new(context, *channels, part)), true),
        LayerSpec::Linear { inputs, outputs, bias } => {
            (Box::new(Linear::new(context, *inputs, *outputs, *bias, part)), true)
        }
        LayerSpec::Activation(_) => (Box::new(Plain::Activate), false),
        LayerSpec::Dropout { .. } => (Box::new(Plain::Dropout), false),
        LayerSpec::Flatten => (Box::new(Plain::Flatten), false),
        LayerSpec::MaxPool(config) => (Box::new(Plain::MaxPool(*config)), false),
        LayerSpec::AveragePool(_)
        | LayerSpec::AdaptiveAveragePool(_)
        | LayerSpec::GlobalAveragePool
        | LayerSpec::Upsample { .. } => (Box::new(Plain::Resample(spec.clone())), false),
        LayerSpec::Residual { main, shortcut, activation } => {
            let residual = Residual::new(context, main, shortcut, *activation, part);
            let weighted = residual.has_weights();
            (Box::new(residual), weighted)
        }
    }
}

impl Replay for Sequential {
    fn forward(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<Lazy> {
        self.begin(mode, tape);
        self.layers.iter_mut().try_fold(x, |x, layer| layer.forward(context, x, mode, tape))
    }

    fn repeat(&mut self, context: &Context, x: Lazy, mode: Mode, tape: &mut Tape) -> Result<()> {
        self.begin(mode, tape);
        let Some((last, before)) = self.layers.split_last_mut() else { return Ok(()) };
        let x = before.iter_mut().try_fold(x, |x, layer| layer.forward(context, x, mode, tape))?;
        last.repeat(context, x, mode, tape)
    }

    fn backward(
        &mut self,
        context: &Context,
        d_y: Outline,
        tape: &mut Tape,
        need_input: bool,
    ) -> Result<Option<Outline>> {
        let mut gradient = d_y;
        for (position, layer) in self.layers.iter_mut().enumerate().rev() {
            let need = need_input || position > self.first_weighted;
            match layer.backward(context, gradient, tape, need)? {
                Some(d_x) => gradient = d_x,
                None => {
                    tape.cut_back(self.height);
                    return Ok(None);
                }
            }
        }
        Ok(need_input.then_some(gradient))
    }

    fn leaves_gradient(&self) -> bool {
        self.layers.last().is_some_and(|layer| layer.leaves_gradient())
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        self.layers.iter_mut().flat_map(|layer| layer.parameters()).collect()
    }
}
