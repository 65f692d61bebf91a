//! What judges a block by what its exit gives: losses, branch after branch, each forward and at once backward, so that no
//! two branches' activations live together.

use super::criterion::Criterion;
use super::exit::Exit;
use super::spec::{AuxiliarySpec, Task};
use crate::data::Normalize;
use crate::error::{Error, Result};
use crate::layers::spec::join;
use crate::layers::{GradientSink, Initializer, Layer, Mode, Sequential, Variable, Visitor};
use crate::maps::Map;
use crate::maps::loss::Loss;
use crate::maps::{binary_cross_entropy, contrastive, elementwise, similarity};
use crate::parameter::Parameter;
use crate::tape::Tape;
use crate::targets::Targets;

/// What losses compare with.
pub struct Target<'a> {
    /// What each sample is to be answered with.
    pub targets: &'a Targets,
    /// Number of classes.
    pub classes: usize,
    /// The task's loss.
    pub criterion: Criterion<'a>,
    /// The images, `[N, H, W, C]`, and how they were normalised; only decoders read them, as values in [0, 1].
    pub images: Option<(&'a Map, &'a Normalize)>,
    /// Share of the samples in the whole step: 1, or less for a micro-batch.
    pub weight: f64,
    /// The same of the targets' class weights.
    pub label_weight: f64,
}

/// The losses of a block, and what they alone need.
pub struct Judge {
    task: Task,
    decoder: Option<Sequential>,
    similarity: Option<Sequential>,
    lambda: [f64; 2],
}

const DECODER: &str = "decoder.decoder";
const SIMILARITY: &str = "similarity";

/// Whether a weight of this name, `aux.<block>` and so on, is a judge's, which exits do without.
pub(crate) fn is_of_judge(name: &str) -> bool {
    let own = name.splitn(3, '.').nth(2).unwrap_or_default();
    [DECODER, SIMILARITY]
        .iter()
        .any(|judge| own.strip_prefix(judge).is_some_and(|rest| rest.starts_with('.')))
}

impl Judge {
    /// Builds what `spec` asks for; weights are named from `path` (`aux.<block>`) down.
    ///
    /// # Errors
    /// Those of building layers.
    pub fn new(spec: &AuxiliarySpec, path: &str, initializer: &Initializer) -> Result<Self> {
        let branch = |layers: &Option<Vec<_>>, name: &str| {
            layers.as_ref().map(|l| Sequential::new(l, &join(path, name), initializer)).transpose()
        };
        Ok(Self {
            task: spec.task,
            decoder: branch(&spec.decoder, DECODER)?,
            similarity: branch(&spec.similarity, SIMILARITY)?,
            lambda: spec.lambda,
        })
    }

    /// The loss of `h`, the block's output, by way of `exit`, and its gradient with respect to `h`. Gradients of weights go to
    /// `sink`, once all of the loss is known to be a number.
    ///
    /// # Errors
    /// `NotFinite` where it is none; `sink` was then given nothing that updates a weight.
    pub fn loss(
        &mut self,
        exit: &mut Exit,
        h: Map,
        target: &Target<'_>,
        mode: Mode,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
    ) -> Result<(f64, Map)> {
        let y = exit.body(h, mode, tape)?;
        let (loss, d_y) = self.branches(&mut exit.head, y, target, mode, tape, sink)?;
        Ok((loss, exit.body_backward(d_y, tape, sink)?))
    }

    /// λ2·task + λ1·(reconstruction or similarity) on the body's output. Where a later branch may still have a loss that is
    /// no number, the gradients of an earlier one wait.
    fn branches(
        &mut self,
        head: &mut Sequential,
        y: Map,
        target: &Target<'_>,
        mode: Mode,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
    ) -> Result<(f64, Map)> {
        let [lambda_second, lambda_task] = self.lambda;
        // Only branches after the head need the body's output again.
        let mut again = (self.decoder.is_some() || self.similarity.is_some()).then(|| y.clone());
        let output = head.pass(y, mode, tape)?;
        let (loss, share) = match self.task {
            Task::CrossEntropy => (target.criterion.loss(&output, target.targets)?, target.label_weight),
            Task::Contrastive { temperature } => {
                let labels = target.targets.labels()?;
                (contrastive::supervised_contrastive(&output, labels, temperature)?, target.weight)
            }
        };
        let (value, d_output) = weigh(loss.finite()?, lambda_task, share)?;
        // Values are weighed by the share of samples later.
        let mut total = value * (share / target.weight);
        let mut d_y = match again.is_some() && sink.updates() {
            true => head.backward_to_input(d_output, tape, &mut Wait)?,
            false => head.backward_to_input(d_output, tape, sink)?,
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
                    give_waiting(head, sink)?;
                    decoder.backward_to_input(d_output, tape, sink)?
                }
            };
            d_y = elementwise::add(d_y, &d_branch)?;
        }
        if let Some(layers) = &mut self.similarity {
            let output = layers.pass(needed(again)?, mode, tape)?;
            let loss = similarity::predsim(&output, target.targets.labels()?, target.classes)?;
            let (value, d_output) = weigh(loss.finite()?, lambda_second, target.weight)?;
            total += value;
            for branch in [Some(&mut *head), self.decoder.as_mut()].into_iter().flatten() {
                give_waiting(branch, sink)?;
            }
            d_y = elementwise::add(d_y, &layers.backward_to_input(d_output, tape, sink)?)?;
        }
        Ok((total, d_y))
    }

    /// Whether losses compare the classes of samples.
    pub fn compares_samples(&self) -> bool {
        self.similarity.is_some() || matches!(self.task, Task::Contrastive { .. })
    }

    /// Whether losses compare with the images.
    pub fn needs_images(&self) -> bool {
        self.decoder.is_some()
    }

    /// Shows every weight and running statistic, named from `path` down.
    ///
    /// # Errors
    /// Those of `visitor`.
    pub fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
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

fn needed(output: Option<Map>) -> Result<Map> {
    output.ok_or_else(|| Error::internal("the body's output was given away"))
}

/// A loss times its weights: the value without the micro-batch's share, the gradient with it.
fn weigh(loss: Loss, lambda: f64, share: f64) -> Result<(f64, Map)> {
    let factor = lambda * share;
    let d_input = if factor == 1.0 { loss.d_input } else { elementwise::scale(loss.d_input, factor)? };
    Ok((loss.value * lambda, d_input))
}
