//! Auxiliary networks and their losses, replayed.

use super::context::{Context, ELEMENT_BYTES};
use super::ledger::Part;
use super::outline::{Lazy, Outline};
use super::replay::{Parameter, Replay, Tape};
use super::sequential::Sequential;
use crate::error::{Error, Result};
use crate::layers::Mode;
use crate::layers::spec::{Features, NamedLayer};
use crate::rules::spec::{AuxiliarySpec, PairSpec, Task};

const DOUBLE_BYTES: usize = size_of::<f64>();

/// `rules::pair::Pair`
struct Pair {
    bias: Option<Sequential>,
    ema: Sequential,
    scale: Option<Parameter>,
    recompute: bool,
    /// Elements of the weights that the average follows, of the largest of them last.
    largest: usize,
}

impl Pair {
    fn new(context: &Context, spec: &PairSpec, inputs: usize, recompute: bool) -> Result<Self> {
        let layers = spec.unit.layers(inputs)?;
        let mut ema = Sequential::new(context, &layers, Part::Average);
        let largest = ema.parameters().iter().map(|parameter| parameter.elements()).max().unwrap_or(0);
        Ok(Self {
            ema,
            scale: spec.scaled.then(|| Parameter::new(context, &[1], Part::Auxiliary)),
            bias: spec.trained.then(|| Sequential::new(context, &layers, Part::Auxiliary)),
            recompute,
            largest,
        })
    }

    fn forward(&mut self, context: &Context, h: Outline, mode: Mode, tape: &mut Tape) -> Result<Outline> {
        let recompute = self.recompute && mode.is_training();
        let mut forgetting = Tape::forgetting();
        let kept = if recompute { &mut forgetting } else { &mut *tape };
        let bias = match &mut self.bias {
            Some(bias) => Some(bias.forward_plain(context, h.clone(), mode, kept)?),
            None => None,
        };
        let ema = self.ema.forward_plain(context, h.clone(), mode, kept)?;
        if recompute {
            tape.push(context, &h);
        }
        let Some(bias) = bias else { return Ok(ema) };
        context.sweep(3 * bias.elements());
        if self.scale.is_none() || recompute {
            return Ok(bias);
        }
        if mode.is_training() {
            tape.push(context, &bias);
            tape.push(context, &ema);
        }
        Ok(context.map(bias.dims()))
    }

    fn backward_again(
        &mut self,
        context: &Context,
        d_y: Outline,
        mode: Mode,
        tape: &mut Tape,
    ) -> Result<Outline> {
        let h = tape.pop(context)?;
        let scaled = self.scale.is_some();
        let repeat = |copy: &mut Sequential, h: Outline, tape: &mut Tape| match scaled {
            false => copy.repeat(context, Lazy::Plain(h), mode.again(), tape),
            true => copy.forward_plain(context, h, mode.again(), tape).map(drop),
        };
        repeat(&mut self.ema, h.clone(), tape)?;
        let Some(bias) = &mut self.bias else { return self.ema.backward_to_input(context, d_y, tape) };
        let d_ema = context.map(d_y.dims());
        let _through_ema = self.ema.backward_to_input(context, d_ema, tape)?;
        repeat(bias, h, tape)?;
        let through_bias = bias.backward_to_input(context, d_y, tape)?;
        context.sweep(3 * through_bias.elements());
        Ok(through_bias)
    }

    fn backward(&mut self, context: &Context, d_y: Outline, mode: Mode, tape: &mut Tape) -> Result<Outline> {
        if self.recompute {
            return self.backward_again(context, d_y, mode, tape);
        }
        let Some(bias) = &mut self.bias else { return self.ema.backward_to_input(context, d_y, tape) };
        let d_bias = context.map(d_y.dims());
        if self.scale.is_some() {
            let _halves = [tape.pop(context)?, tape.pop(context)?];
        }
        let _through_ema = self.ema.backward_to_input(context, d_y, tape)?;
        let through_bias = bias.backward_to_input(context, d_bias, tape)?;
        context.sweep(3 * through_bias.elements());
        Ok(through_bias)
    }

    fn parameters(&mut self) -> Vec<&mut Parameter> {
        let mut parameters = self.bias.iter_mut().flat_map(|bias| bias.parameters()).collect::<Vec<_>>();
        parameters.extend(self.ema.parameters());
        parameters.extend(&mut self.scale);
        parameters
    }
}

/// `rules::auxiliary::Auxiliary`
pub(super) struct Auxiliary {
    pairs: Vec<(usize, Pair)>,
    units: Vec<Sequential>,
    head: Sequential,
    task: Task,
    decoder: Option<Sequential>,
    similarity: Option<Sequential>,
}

impl Auxiliary {
    pub(super) fn new(
        context: &Context,
        spec: &AuxiliarySpec,
        features: Features,
        recompute: bool,
    ) -> Result<Self> {
        let mut inputs = features.channels();
        let mut pairs = Vec::with_capacity(spec.pairs.len());
        for pair in &spec.pairs {
            pairs.push((pair.followed, Pair::new(context, pair, inputs, recompute)?));
            inputs = pair.unit.width;
        }
        let mut units = Vec::with_capacity(spec.units.len());
        for unit in &spec.units {
            units.push(Sequential::new(context, &unit.layers(inputs)?, Part::Auxiliary));
            inputs = unit.width;
        }
        let branch = |layers: &[NamedLayer]| Sequential::new(context, layers, Part::Auxiliary);
        Ok(Self {
            pairs,
            units,
            head: branch(&spec.head),
            task: spec.task,
            decoder: spec.decoder.as_deref().map(branch),
            similarity: spec.similarity.as_deref().map(branch),
        })
    }

    pub(super) fn followed(&self) -> impl Iterator<Item = usize> {
        self.pairs.iter().map(|(followed, _)| *followed)
    }

    pub(super) fn needs_images(&self) -> bool {
        self.decoder.is_some()
    }

    /// `Auxiliary::loss`; `images` are those of the micro-batch.
    pub(super) fn loss(
        &mut self,
        context: &Context,
        h: Outline,
        images: Option<&Outline>,
        mode: Mode,
        tape: &mut Tape,
    ) -> Result<Outline> {
        let mut y = h;
        for (_, pair) in &mut self.pairs {
            y = pair.forward(context, y, mode, tape)?;
        }
        for unit in &mut self.units {
            y = unit.forward_plain(context, y, mode, tape)?;
        }
        let mut d_h = self.branches(context, y, images, mode, tape)?;
        for unit in self.units.iter_mut().rev() {
            d_h = unit.backward_to_input(context, d_h, tape)?;
        }
        for (_, pair) in self.pairs.iter_mut().rev() {
            d_h = pair.backward(context, d_h, mode, tape)?;
        }
        Ok(d_h)
    }

    fn branches(
        &mut self,
        context: &Context,
        y: Outline,
        images: Option<&Outline>,
        mode: Mode,
        tape: &mut Tape,
    ) -> Result<Outline> {
        let mut again = (self.decoder.is_some() || self.similarity.is_some()).then(|| y.clone());
        let output = self.head.forward_plain(context, y, mode, tape)?;
        let d_output = match self.task {
            Task::CrossEntropy => cross_entropy(context, &output),
            Task::Contrastive { .. } => contrastive(context, &output),
        };
        // The output lives until all branches are done, and gradients of a branch until all losses are known.
        context.waits.set(again.is_some());
        let d_y = self.head.backward_to_input(context, d_output, tape)?;
        context.waits.set(false);
        if let Some(decoder) = &mut self.decoder {
            let images = images.ok_or_else(|| Error::internal("a replayed decoder needs images"))?;
            let y = if self.similarity.is_some() { again.clone() } else { again.take() };
            let output = decoder.forward_plain(context, needed(y)?, mode, tape)?;
            let targets = context.map(images.dims());
            drop(context.map(images.dims()));
            let d_output = context.map(output.dims());
            context.sweep(8 * d_output.elements());
            drop((targets, output));
            context.waits.set(self.similarity.is_some());
            if self.similarity.is_none() {
                give_waiting(context, &mut self.head);
            }
            let _d_branch = decoder.backward_to_input(context, d_output, tape)?;
            context.waits.set(false);
            context.sweep(3 * d_y.elements());
        }
        if let Some(layers) = &mut self.similarity {
            let output = layers.forward_plain(context, needed(again)?, mode, tape)?;
            let d_output = similarity(context, &output);
            for branch in [Some(&mut self.head), self.decoder.as_mut()].into_iter().flatten() {
                give_waiting(context, branch);
            }
            let _d_branch = layers.backward_to_input(context, d_output, tape)?;
            context.sweep(3 * d_y.elements());
        }
        Ok(d_y)
    }

    /// `Auxiliary::follow`
    pub(super) fn follow(&self, context: &Context) {
        for (_, pair) in &self.pairs {
            context.sweep(4 * pair.largest);
        }
    }

    pub(super) fn parameters(&mut self) -> Vec<&mut Parameter> {
        let mut parameters =
            self.pairs.iter_mut().flat_map(|(_, pair)| pair.parameters()).collect::<Vec<_>>();
        parameters.extend(self.units.iter_mut().flat_map(|unit| unit.parameters()));
        parameters.extend(self.head.parameters());
        for branch in [&mut self.decoder, &mut self.similarity].into_iter().flatten() {
            parameters.extend(branch.parameters());
        }
        parameters
    }
}

/// `auxiliary::give_waiting`
fn give_waiting(context: &Context, branch: &mut Sequential) {
    if !context.gathers {
        branch.parameters().into_iter().for_each(|parameter| parameter.apply());
    }
}

fn needed(output: Option<Outline>) -> Result<Outline> {
    output.ok_or_else(|| Error::internal("a replayed body's output was given away"))
}

/// `ops::cross_entropy::softmax_cross_entropy`: the gradient of the logits.
pub(super) fn cross_entropy(context: &Context, logits: &Outline) -> Outline {
    let d_logits = context.map(logits.dims());
    context.scratch(logits.dims()[0] * DOUBLE_BYTES);
    d_logits
}

/// `ops::contrastive::supervised_contrastive`: the gradient of the features.
fn contrastive(context: &Context, features: &Outline) -> Outline {
    let (n, d) = (features.dims()[0], features.channels());
    // Unit rows, similarities, norms, losses, positives of each.
    let held = n * d * ELEMENT_BYTES + n * n * ELEMENT_BYTES + 4 * n * DOUBLE_BYTES;
    let _held = context.ledger.take(Part::Scratch, held);
    let d_features = context.map(features.dims());
    context.product(n, n, d);
    context.product(n, d, n);
    d_features
}

/// `ops::similarity::predsim`: the gradient of the features.
fn similarity(context: &Context, features: &Outline) -> Outline {
    let n = features.dims()[0];
    let of_rows = features.channels() <= 3 || features.dims()[1] == 1;
    // All elements are a sample's row, or the deviations of its channels are.
    let c = if of_rows { features.elements() / n } else { features.channels() };
    let means = if of_rows { 0 } else { n * c * DOUBLE_BYTES };
    let _deviations = context.ledger.take(Part::Scratch, means + n * c * DOUBLE_BYTES);
    {
        // Unit rows and their gradients, similarities, and a list of gradients that grows by doubling.
        let rows = 2 * n * c * ELEMENT_BYTES + n * n * ELEMENT_BYTES + 2 * n * DOUBLE_BYTES;
        let _rows = context.ledger.take(Part::Scratch, rows + 3 * n * c * DOUBLE_BYTES);
        context.product(n, n, c);
        context.product(n, c, n);
    }
    let _factors = context.ledger.take(Part::Scratch, 2 * n * c * DOUBLE_BYTES);
    let d_features = context.map(features.dims());
    context.sweep(4 * features.elements());
    d_features
}
