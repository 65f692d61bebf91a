//! The auxiliary network of one block at work: body, then branch after branch, each forward and at once
//! backward, so that no two branches' activations live together.

use super::pair::Pair;
use super::spec::{AuxiliarySpec, Task};
use crate::data::Normalize;
use crate::error::{Error, Result};
use crate::layers::spec::{Features, join};
use crate::layers::{GradientSink, Initializer, Layer, Mode, Sequential, Variable, Visitor};
use crate::maps::Map;
use crate::maps::loss::Loss;
use crate::maps::{binary_cross_entropy, contrastive, cross_entropy, elementwise, similarity};
use crate::parameter::Parameter;
use crate::tape::Tape;

/// What losses compare with.
pub struct Target<'a> {
    /// Class of each sample.
    pub labels: &'a [u32],
    /// Number of classes.
    pub classes: usize,
    /// The images, `[N, H, W, C]`, and how they were normalised; only decoders read them, as values in [0, 1].
    pub images: Option<(&'a Map, &'a Normalize)>,
    /// Share of each label that cross-entropy spreads over all classes.
    pub label_smoothing: f64,
    /// What each class counts in cross-entropy; none: 1 each.
    pub class_weights: &'a [f32],
    /// Share of the samples in the whole step: 1, or less for a micro-batch.
    pub weight: f64,
    /// The same of the labels' class weights.
    pub label_weight: f64,
}

/// Turns a block's output into a loss and a gradient.
pub struct Auxiliary {
    /// Each with the number of the unit that its average follows.
    pairs: Vec<(usize, Pair)>,
    units: Vec<(String, Sequential)>,
    head: Sequential,
    task: Task,
    decoder: Option<Sequential>,
    similarity: Option<Sequential>,
    lambda: [f64; 2],
}

impl Auxiliary {
    /// Builds it for a block that gives `features`; weights are named from `path` (`aux.<block>`) down. To
    /// `recompute` keeps less and repeats the pair's forward pass instead.
    pub fn new(
        spec: &AuxiliarySpec,
        features: Features,
        recompute: bool,
        path: &str,
        initializer: &Initializer,
    ) -> Result<Self> {
        let mut inputs = features.channels();
        let mut pairs = Vec::with_capacity(spec.pairs.len());
        for (number, pair) in spec.pairs.iter().enumerate() {
            let path = pair_path(path, number);
            pairs.push((pair.followed, Pair::new(pair, inputs, recompute, &path, initializer)?));
            inputs = pair.unit.width;
        }
        let mut units = Vec::with_capacity(spec.units.len());
        for unit in &spec.units {
            let name = join("units", &unit.name).into_owned();
            units.push((
                name.clone(),
                Sequential::new(&unit.layers(inputs)?, &join(path, &name), initializer)?,
            ));
            inputs = unit.width;
        }
        let branch = |layers: &Option<Vec<_>>, name: &str| {
            layers.as_ref().map(|l| Sequential::new(l, &join(path, name), initializer)).transpose()
        };
        Ok(Self {
            pairs,
            units,
            head: Sequential::new(&spec.head, &join(path, "head"), initializer)?,
            task: spec.task,
            decoder: branch(&spec.decoder, DECODER)?,
            similarity: branch(&spec.similarity, SIMILARITY)?,
            lambda: spec.lambda,
        })
    }

    /// The loss of `h`, the block's output, and its gradient with respect to `h`. Gradients of the auxiliary
    /// network's own weights go to `sink`, once all of the loss is known to be a number.
    ///
    /// # Errors
    /// `NotFinite` where it is none; `sink` was then given nothing that updates a weight.
    pub fn loss(
        &mut self,
        h: Map,
        target: &Target<'_>,
        mode: Mode,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
    ) -> Result<(f64, Map)> {
        let mut y = h;
        for (_, pair) in &mut self.pairs {
            y = pair.forward(y, mode, tape)?;
        }
        for (_, unit) in &mut self.units {
            y = unit.pass(y, mode, tape)?;
        }
        let (loss, d_y) = self.branches(y, target, mode, tape, sink)?;
        let mut d_h = d_y;
        for (_, unit) in self.units.iter_mut().rev() {
            d_h = unit.backward_to_input(d_h, tape, sink)?;
        }
        for (_, pair) in self.pairs.iter_mut().rev() {
            d_h = pair.backward(d_h, tape, sink)?;
        }
        Ok((loss, d_h))
    }

    /// λ2·task + λ1·(reconstruction or similarity) on the body's output. Where a later branch may still have a loss that is
    /// no number, the gradients of an earlier one wait.
    fn branches(
        &mut self,
        y: Map,
        target: &Target<'_>,
        mode: Mode,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
    ) -> Result<(f64, Map)> {
        let [lambda_second, lambda_task] = self.lambda;
        // Only branches after the head need the body's output again.
        let mut again = (self.decoder.is_some() || self.similarity.is_some()).then(|| y.clone());
        let output = self.head.pass(y, mode, tape)?;
        let (loss, share) = match self.task {
            Task::CrossEntropy => {
                let (labels, smoothing) = (target.labels, target.label_smoothing);
                let weights = target.class_weights;
                let loss =
                    cross_entropy::weighted_softmax_cross_entropy(&output, labels, smoothing, weights)?;
                (loss, target.label_weight)
            }
            Task::Contrastive { temperature } => {
                (contrastive::supervised_contrastive(&output, target.labels, temperature)?, target.weight)
            }
        };
        let (value, d_output) = weigh(loss.finite()?, lambda_task, share)?;
        // Values are weighed by the share of samples later.
        let mut total = value * (share / target.weight);
        let mut d_y = match again.is_some() && sink.updates() {
            true => self.head.backward_to_input(d_output, tape, &mut Wait)?,
            false => self.head.backward_to_input(d_output, tape, sink)?,
        };

        if let Some(decoder) = &mut self.decoder {
            let (images, normalize) =
                target.images.ok_or_else(|| Error::internal("a decoder needs the images to compare with"))?;
            // The last branch lets go of its input as soon as it can.
            let y = if self.similarity.is_some() { again.clone() } else { again.take() };
            let output = decoder.pass(needed(y)?, mode, tape)?;
            let loss =
                binary_cross_entropy::sigmoid_binary_cross_entropy(&output, &normalize.invert(images)?)?;
            drop(output);
            let (value, d_output) = weigh(loss.finite()?, lambda_second, target.weight)?;
            total += value;
            let d_branch = match self.similarity.is_some() && sink.updates() {
                true => decoder.backward_to_input(d_output, tape, &mut Wait)?,
                false => {
                    give_waiting(&mut self.head, sink)?;
                    decoder.backward_to_input(d_output, tape, sink)?
                }
            };
            d_y = elementwise::add(d_y, &d_branch)?;
        }
        if let Some(layers) = &mut self.similarity {
            let output = layers.pass(needed(again)?, mode, tape)?;
            let loss = similarity::predsim(&output, target.labels, target.classes)?;
            let (value, d_output) = weigh(loss.finite()?, lambda_second, target.weight)?;
            total += value;
            for branch in [Some(&mut self.head), self.decoder.as_mut()].into_iter().flatten() {
                give_waiting(branch, sink)?;
            }
            d_y = elementwise::add(d_y, &layers.backward_to_input(d_output, tape, sink)?)?;
        }
        Ok((total, d_y))
    }

    /// Repeats forward passes of pairs from the next step on, or keeps what they made.
    pub(crate) fn set_recompute(&mut self, recompute: bool) {
        self.pairs.iter_mut().for_each(|(_, pair)| pair.recompute = recompute);
    }

    /// Advances the moving averages of the units that they follow.
    pub fn follow(&mut self, units: &mut [(String, Sequential)]) -> Result<()> {
        self.pairs.iter_mut().try_for_each(|(followed, pair)| pair.follow(&mut units[*followed].1))
    }

    /// The units that moving averages follow.
    pub fn followed(&self) -> impl Iterator<Item = usize> {
        self.pairs.iter().map(|(followed, _)| *followed)
    }

    /// Whether losses compare with the images.
    pub fn needs_images(&self) -> bool {
        self.decoder.is_some()
    }

    /// Shows every weight and running statistic, named from `path` down.
    pub fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        for (number, (_, pair)) in self.pairs.iter_mut().enumerate() {
            pair.visit(&pair_path(path, number), visitor)?;
        }
        for (name, unit) in &mut self.units {
            unit.visit(&join(path, name), visitor)?;
        }
        self.head.visit(&join(path, "head"), visitor)?;
        for (branch, name) in [(&mut self.decoder, DECODER), (&mut self.similarity, SIMILARITY)] {
            if let Some(branch) = branch {
                branch.visit(&join(path, name), visitor)?;
            }
        }
        Ok(())
    }
}

/// Keeps every gradient with its parameter.
struct Wait;

impl GradientSink for Wait {
    fn take(&mut self, parameter: &mut Parameter, d_value: Map) -> Result<()> {
        parameter.accumulated = Some(d_value);
        Ok(())
    }
}

/// Hands on what waits with the parameters of a branch; where `sink` gathers, nothing does.
fn give_waiting(branch: &mut Sequential, sink: &mut dyn GradientSink) -> Result<()> {
    if !sink.updates() {
        return Ok(());
    }
    branch.visit("", &mut |_, variable| match variable {
        Variable::Parameter(parameter) => match parameter.accumulated.take() {
            Some(gradient) => sink.take(parameter, gradient),
            None => Ok(()),
        },
        Variable::Statistic(_) => Ok(()),
    })
}

const DECODER: &str = "decoder.decoder";
const SIMILARITY: &str = "similarity";

/// Where a pair's weights are named: the first, published one without a number.
fn pair_path(path: &str, number: usize) -> String {
    if number == 0 { path.to_string() } else { join(path, &format!("pairs.{number}")).into_owned() }
}

fn needed(output: Option<Map>) -> Result<Map> {
    output.ok_or_else(|| Error::internal("the body's output was given away"))
}

/// A loss times its weights: the value without the micro-batch's share, the gradient with it.
fn weigh(loss: Loss, lambda: f64, share: f64) -> Result<(f64, Map)> {
    let factor = lambda * share;
    let d_input = if factor == 1.0 { loss.d_input } else { elementwise::scale(loss.d_input, factor)? };
    Ok((loss.value * lambda, d_input))
}
