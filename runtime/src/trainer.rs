//! One step of training, any rule:
//!
//! ```text
//! batch ──▶ for each block, in order
//!             h ─▶ units forward ─▶ auxiliary network ─▶ loss
//!             (tape)                                      │
//!             units backward ◀─ gradient of h ◀───────────┘
//!               └▶ each weight's gradient goes straight to the optimizer
//!             moving average of the boundary; h becomes a constant; next block
//! ```

use crate::data::{Batch, Normalize};
use crate::error::{Error, ErrorKind, Result};
use crate::layers::{GradientSink, Initializer, Layer, Mode, Sequential, Variable, Visitor};
use crate::memory;
use crate::model::Model;
use crate::network::{NetworkSpec, blocks};
use crate::ops::conv_norm::Lazy;
use crate::ops::{cross_entropy, elementwise};
use crate::optimizer::{self, OptimizerConfig};
use crate::parameter::Parameter;
use crate::rules::auxiliary::{Auxiliary, Target};
use crate::rules::{AuxiliarySpec, Rule, RuleConfig, auxiliary_specs};
use crate::tape::Tape;
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::ops::{Range, RangeInclusive};

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Which rule, and its numbers.
    pub rule: RuleConfig,
    /// Last unit of each block.
    pub ends: Vec<usize>,
    /// How gradients change weights.
    pub optimizer: OptimizerConfig,
    /// Share of each label that cross-entropy spreads over all classes.
    pub label_smoothing: f64,
    /// Largest allowed norm of a block's whole gradient, auxiliary network included. Clipping must see the
    /// whole gradient first, so the block's gradients then live together until its update.
    pub clip_norm: Option<f64>,
    /// Samples that pass through a block at once; batch norm's statistics are those of the micro-batch.
    pub micro_batch: Option<usize>,
    /// Whether blocks that have an auxiliary network keep nothing of their forward pass but its output, and repeat it
    /// for their backward pass; likewise both copies of MAN's pair, one after the other. The results are the same.
    #[serde(default)]
    pub recompute: bool,
    /// Last units of the pieces that a backward pass takes one at a time, the last first: of each but a block's last
    /// only the input is kept, and its forward pass repeated. None: blocks are kept whole. The results are the same.
    #[serde(default)]
    pub pieces: Vec<usize>,
    /// Seed of weights and dropout.
    pub seed: u64,
    /// The first blocks, as many as this, stay as they are.
    #[serde(default)]
    pub frozen: usize,
}

impl Default for TrainConfig {
    /// End to end as one unit; set `rule` and `ends`.
    fn default() -> Self {
        Self {
            rule: RuleConfig::new(Rule::Bp),
            ends: vec![0],
            optimizer: OptimizerConfig::default(),
            label_smoothing: 0.0,
            clip_norm: None,
            micro_batch: None,
            recompute: false,
            pieces: Vec::new(),
            seed: 0,
            frozen: 0,
        }
    }
}

impl TrainConfig {
    /// Refuses what cannot work.
    pub fn validate(&self) -> Result<()> {
        self.optimizer.validate()?;
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return Err(Error::config(format!(
                "label smoothing must be in [0, 1), found {}",
                self.label_smoothing
            )));
        }
        if let Some(limit) = self.clip_norm
            && !(limit.is_finite() && limit > 0.0)
        {
            return Err(Error::config(format!("the gradient norm's limit must be above 0, found {limit}")));
        }
        if self.micro_batch == Some(0) {
            return Err(Error::config("a micro-batch needs at least one sample"));
        }
        if !self.pieces.is_sorted_by(|a, b| a < b) || self.pieces.last() > self.ends.last() {
            return Err(Error::config(format!(
                "the pieces of a backward pass must end at ever later units of the network, found {:?}",
                self.pieces
            )));
        }
        if self.frozen > 0 && self.frozen >= self.ends.len() {
            return Err(Error::config(format!(
                "{} of {} blocks are to be frozen, but the last one holds the new head; freeze at most {}",
                self.frozen,
                self.ends.len(),
                self.ends.len().saturating_sub(1)
            )));
        }
        Ok(())
    }
}

/// What a step is doing, for those who watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Units of this block, forward.
    Forward(usize),
    /// This block's auxiliary network or the head, forward and backward.
    Loss(usize),
    /// Units of this block, backward, with their updates.
    Backward(usize),
}

/// What a step found.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Loss of each block, before its update; NaN for a frozen block, which has none.
    pub losses: Vec<f64>,
    /// Samples that the network classified right, in training mode.
    pub correct: usize,
}

/// A network in training.
pub struct Trainer {
    /// The network itself.
    pub model: Model,
    config: TrainConfig,
    ranges: Vec<RangeInclusive<usize>>,
    /// One a block but the last; none for a frozen block.
    auxiliaries: Vec<Option<Auxiliary>>,
    normalize: Normalize,
    tape: Tape,
    passes: u64,
}

/// A step under way: some blocks are trained on its batch, the others are still to come.
pub struct OpenStep {
    micro_batches: Vec<MicroBatch>,
    learning_rate: f64,
    report: StepReport,
}

impl OpenStep {
    /// What the step found in the blocks that are trained.
    pub fn report(&self) -> &StepReport {
        &self.report
    }

    /// Samples of its batch.
    pub fn samples(&self) -> usize {
        self.micro_batches.iter().map(|micro| micro.labels.len()).sum()
    }

    /// The rate that it is done with.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }
}

/// A share of the batch on its way through the blocks.
struct MicroBatch {
    h: Tensor,
    images: Option<Tensor>,
    labels: Vec<u32>,
    weight: f64,
}

impl Trainer {
    /// Builds network and auxiliary networks; refuses what cannot work. `normalize` is how the data's images
    /// were normalised, so that decoders can compare with the images themselves.
    pub fn new(
        spec: NetworkSpec,
        config: TrainConfig,
        normalize: Normalize,
        device: &Device,
    ) -> Result<Self> {
        config.validate()?;
        let specs = auxiliary_specs(&spec, &config.ends, &config.rule)?;
        let auxiliaries = build_auxiliaries(&spec, &config, &specs, device)?;
        let model = Model::new(spec, config.seed, device)?;
        let ranges = blocks::ranges(&config.ends);
        Ok(Self { model, config, ranges, auxiliaries, normalize, tape: Tape::new(), passes: 0 })
    }

    /// Trains every block once on `batch`; `watch` is told what happens when.
    pub fn step(
        &mut self,
        batch: &Batch,
        learning_rate: f64,
        watch: &mut dyn FnMut(Stage),
    ) -> Result<StepReport> {
        let mut step = self.begin(batch, learning_rate)?;
        while self.train_next(&mut step, watch)? {}
        Ok(step.report)
    }

    /// Begins a step on `batch` without training anything yet.
    pub fn begin(&self, batch: &Batch, learning_rate: f64) -> Result<OpenStep> {
        let micro_batches = self.micro_batches(batch)?;
        let report = StepReport { losses: Vec::with_capacity(self.ranges.len()), correct: 0 };
        Ok(OpenStep { micro_batches, learning_rate, report })
    }

    /// Trains the block of `step` that is next; whether another follows. Between two calls any time may pass, and
    /// settings may change, but no other step may be trained. After an error the step is of no use, and the
    /// blocks before have its updates.
    pub fn train_next(&mut self, step: &mut OpenStep, watch: &mut dyn FnMut(Stage)) -> Result<bool> {
        let OpenStep { micro_batches, learning_rate, report } = step;
        let block = report.losses.len();
        if block >= self.ranges.len() {
            return Ok(false);
        }
        if self.is_frozen(block) {
            self.pass_frozen(block, micro_batches)?;
            report.losses.push(f64::NAN);
            return Ok(true);
        }
        let trained = self.train_shares(block, micro_batches, *learning_rate, watch);
        if trained.is_err() {
            self.abandon(block)?;
        }
        let (loss, correct) = trained?;
        report.losses.push(loss);
        report.correct += correct;
        Ok(report.losses.len() < self.ranges.len())
    }

    /// One block on all micro-batches, with its update; its loss, and how many samples the network classified right.
    fn train_shares(
        &mut self,
        block: usize,
        micro_batches: &mut [MicroBatch],
        learning_rate: f64,
        watch: &mut dyn FnMut(Stage),
    ) -> Result<(f64, usize)> {
        // Gradients wait in accumulators when a step has several micro-batches, or when they are to be clipped.
        let gathers = self.config.clip_norm.is_some() || micro_batches.len() > 1;
        let (mut loss, mut right) = (0.0, 0);
        for micro in micro_batches {
            let (value, correct) = match gathers {
                true => self.train_block(block, micro, &mut Accumulate, watch)?,
                false => {
                    let optimizer = self.config.optimizer.clone();
                    self.train_block(block, micro, &mut Update { optimizer, learning_rate }, watch)?
                }
            };
            loss += value * micro.weight;
            right += correct;
        }
        if gathers {
            self.apply_accumulated(block, learning_rate)?;
        }
        self.follow(block)?;
        memory::check().map_err(|e| e.at(format!("block {block}")))?;
        Ok((loss, right))
    }

    /// Forgets what a failed pass through `block` left for its backward pass and its update.
    fn abandon(&mut self, block: usize) -> Result<()> {
        self.tape.clear();
        self.visit_block(block, &mut |_, variable| {
            if let Variable::Parameter(parameter) = variable {
                parameter.accumulated = None;
            }
            Ok(())
        })
    }

    /// Brings all micro-batches through a block that is not trained, by its running statistics.
    fn pass_frozen(&mut self, block: usize, micro_batches: &mut [MicroBatch]) -> Result<()> {
        for micro in micro_batches {
            for (_, unit) in &mut self.model.units[self.ranges[block].clone()] {
                micro.h = unit.forward(micro.h.clone(), Mode::Evaluate, &mut self.tape)?;
            }
        }
        Ok(())
    }

    /// One block on one micro-batch: forward, loss, backward. Afterwards `micro.h` is the block's output.
    fn train_block(
        &mut self,
        block: usize,
        micro: &mut MicroBatch,
        sink: &mut dyn GradientSink,
        watch: &mut dyn FnMut(Stage),
    ) -> Result<(f64, usize)> {
        let mode = Mode::Train { draw: self.passes };
        self.passes += 1;

        watch(Stage::Forward(block));
        let units = &mut self.model.units[self.ranges[block].clone()];
        let repeats = self.config.recompute && matches!(self.auxiliaries.get(block), Some(Some(_)));
        let pieces = pieces(&self.ranges[block], &self.config.pieces);
        let mut inputs = Vec::new();
        let mut h = micro.h.clone();
        for (number, piece) in pieces.iter().enumerate() {
            let mut forgetting = Tape::forgetting();
            let mut tape = &mut self.tape;
            if repeats || number + 1 < pieces.len() {
                inputs.push(h.clone());
                tape = &mut forgetting;
            }
            for (_, unit) in &mut units[piece.clone()] {
                h = unit.forward(h, mode, tape)?;
            }
        }
        micro.h = h.clone();

        watch(Stage::Loss(block));
        let (loss, correct, mut d_h) = self.loss(block, h, micro, mode, sink)?;
        if !loss.is_finite() {
            return Err(not_finite(block, loss));
        }

        watch(Stage::Backward(block));
        let units = &mut self.model.units[self.ranges[block].clone()];
        'backward: for (number, piece) in pieces.iter().enumerate().rev() {
            if inputs.len() > number {
                repeat(&mut units[piece.clone()], inputs.pop(), mode.again(), &mut self.tape)?;
            }
            for position in piece.clone().rev() {
                match units[position].1.backward(d_h, &mut self.tape, sink, position > 0)? {
                    Some(d_x) => d_h = d_x,
                    None => break 'backward,
                }
            }
        }
        self.tape.clear();
        Ok((loss, correct))
    }

    /// What judges the output `h` of a block: its auxiliary network, or the head. Gives the loss, how many samples were
    /// classified right, and the gradient of `h`.
    fn loss(
        &mut self,
        block: usize,
        h: Tensor,
        micro: &MicroBatch,
        mode: Mode,
        sink: &mut dyn GradientSink,
    ) -> Result<(f64, usize, Tensor)> {
        if let Some(Some(auxiliary)) = self.auxiliaries.get_mut(block) {
            let target = Target {
                labels: &micro.labels,
                classes: self.model.spec.classes,
                images: micro.images.as_ref().map(|images| (images, &self.normalize)),
                label_smoothing: self.config.label_smoothing,
                weight: micro.weight,
            };
            let (loss, d_h) = auxiliary.loss(h, &target, mode, &mut self.tape, sink)?;
            return Ok((loss, 0, d_h));
        }
        let logits = self.model.head.forward(h, mode, &mut self.tape)?;
        let correct = cross_entropy::correct(&logits, &micro.labels)?;
        let smoothing = self.config.label_smoothing;
        let loss = cross_entropy::softmax_cross_entropy(&logits, &micro.labels, smoothing)?;
        let d_logits = elementwise::scale(loss.d_input, micro.weight)?;
        let d_h = self.model.head.backward_to_input(d_logits, &mut self.tape, sink)?;
        Ok((loss.value, correct, d_h))
    }

    /// Clips the block's accumulated gradient if asked to, and hands it to the optimizer.
    fn apply_accumulated(&mut self, block: usize, learning_rate: f64) -> Result<()> {
        let mut factor = 1.0;
        if let Some(limit) = self.config.clip_norm {
            let mut sum_of_squares = 0.0;
            self.visit_block(block, &mut |_, variable| {
                if let Variable::Parameter(Parameter { accumulated: Some(gradient), .. }) = variable {
                    sum_of_squares += elementwise::sum_of_squares(gradient)?;
                }
                Ok(())
            })?;
            factor = (limit / (sum_of_squares.sqrt() + 1e-6)).min(1.0);
        }
        let config = self.config.optimizer.clone();
        self.visit_block(block, &mut |_, variable| {
            if let Variable::Parameter(parameter) = variable
                && let Some(gradient) = parameter.accumulated.take()
            {
                let gradient = if factor < 1.0 { elementwise::scale(gradient, factor)? } else { gradient };
                optimizer::update(parameter, &gradient, &config, learning_rate)?;
            }
            Ok(())
        })
    }

    /// Advances the moving average behind `block`, which reads the next block's first unit from before that
    /// unit's own update of this step.
    fn follow(&mut self, block: usize) -> Result<()> {
        let Some(Some(auxiliary)) = self.auxiliaries.get_mut(block) else { return Ok(()) };
        let next = self.ranges[block].end() + 1;
        auxiliary.follow(&mut self.model.units[next].1)
    }

    /// Cuts the batch into shares on the device: views of it.
    fn micro_batches(&self, batch: &Batch) -> Result<Vec<MicroBatch>> {
        let samples = batch.labels.len();
        self.check_batch(batch)?;
        let images = batch.images.to_device(&self.model.device)?;
        let needs_images = self.auxiliaries.iter().flatten().any(Auxiliary::needs_images);
        let size = self.config.micro_batch.unwrap_or(samples).min(samples);
        let mut shares = Vec::with_capacity(samples.div_ceil(size));
        for first in (0..samples).step_by(size) {
            let count = size.min(samples - first);
            // No copy: nobody writes into images, and candle would copy the whole batch for each share.
            let h = images.narrow(0, first, count)?;
            shares.push(MicroBatch {
                images: needs_images.then(|| h.clone()),
                h,
                labels: batch.labels[first..first + count].to_vec(),
                weight: count as f64 / samples as f64,
            });
        }
        Ok(shares)
    }

    fn check_batch(&self, batch: &Batch) -> Result<()> {
        let [channels, height, width] = self.model.spec.input;
        let samples = batch.labels.len();
        if samples > 0 && batch.images.dims() == [samples, height, width, channels] {
            return Ok(());
        }
        Err(Error::shape(format!(
            "{} takes images [N, {height}, {width}, {channels}] with N labels, found {:?} with {samples}",
            self.model.spec.name,
            batch.images.dims()
        )))
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// Goes on with other constants of the same optimizer, and another smoothing and norm, from the next block on.
    ///
    /// # Errors
    /// `Config` when a number is out of its range, or the optimizer's state would not fit; nothing is changed.
    pub fn change(
        &mut self,
        optimizer: OptimizerConfig,
        label_smoothing: f64,
        clip_norm: Option<f64>,
    ) -> Result<()> {
        let now = &self.config.optimizer;
        let same_kind = std::mem::discriminant(now) == std::mem::discriminant(&optimizer);
        if !same_kind || now.state_tensors() != optimizer.state_tensors() {
            return Err(Error::config(
                "training cannot go on with another optimizer, or with momentum where there was none: what it \
                 remembers of each weight would not fit; make another trainer",
            ));
        }
        let config = TrainConfig { optimizer, label_smoothing, clip_norm, ..self.config.clone() };
        config.validate()?;
        self.config = config;
        Ok(())
    }

    /// How many times a block was passed through in training: what dropout draws from.
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// Goes on counting from `passes`, as a checkpoint asks for.
    pub fn set_passes(&mut self, passes: u64) {
        self.passes = passes;
    }

    /// Whether training leaves `block` as it is.
    pub fn is_frozen(&self, block: usize) -> bool {
        block < self.config.frozen
    }

    /// The units of each block.
    pub fn ranges(&self) -> &[RangeInclusive<usize>] {
        &self.ranges
    }

    /// Shows every weight and statistic of one block: its units, the head if it is the last, its auxiliary
    /// network otherwise.
    pub fn visit_block(&mut self, block: usize, visitor: &mut Visitor<'_>) -> Result<()> {
        for (name, unit) in &mut self.model.units[self.ranges[block].clone()] {
            unit.visit(name, visitor)?;
        }
        match self.auxiliaries.get_mut(block) {
            Some(Some(auxiliary)) => auxiliary.visit(&auxiliary_path(block), visitor),
            Some(None) => Ok(()),
            None => self.model.head.visit("", visitor),
        }
    }

    /// Shows everything that training changes, block by block.
    pub fn visit(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        (0..self.ranges.len()).try_for_each(|block| self.visit_block(block, visitor))
    }
}

/// The pieces of a block, counted from its first unit.
pub(crate) fn pieces(block: &RangeInclusive<usize>, ends: &[usize]) -> Vec<Range<usize>> {
    let mut first = *block.start();
    let inner = ends.iter().copied().filter(|end| block.contains(end) && end < block.end());
    let piece = |end: usize| {
        let piece = first - block.start()..end + 1 - block.start();
        first = end + 1;
        piece
    };
    inner.chain([*block.end()]).map(piece).collect()
}

/// The forward pass of `units` once more, for the sake of what it leaves on the tape.
fn repeat(
    units: &mut [(String, Sequential)],
    input: Option<Tensor>,
    mode: Mode,
    tape: &mut Tape,
) -> Result<()> {
    let (Some(mut h), Some(((_, last), before))) = (input, units.split_last_mut()) else { return Ok(()) };
    for (_, unit) in before {
        h = unit.forward(h, mode, tape)?;
    }
    last.repeat(Lazy::Plain(h), mode, tape)
}

/// Hands every gradient to the optimizer the moment it exists.
struct Update {
    optimizer: OptimizerConfig,
    learning_rate: f64,
}

impl GradientSink for Update {
    fn take(&mut self, parameter: &mut Parameter, d_value: Tensor) -> Result<()> {
        optimizer::update(parameter, &d_value, &self.optimizer, self.learning_rate)
    }
}

/// Adds every gradient to its parameter's accumulator.
struct Accumulate;

impl GradientSink for Accumulate {
    fn take(&mut self, parameter: &mut Parameter, d_value: Tensor) -> Result<()> {
        optimizer::accumulate(parameter, &d_value, 1.0)
    }
}

fn auxiliary_path(block: usize) -> String {
    format!("aux.{block}")
}

fn build_auxiliaries(
    spec: &NetworkSpec,
    config: &TrainConfig,
    specs: &[AuxiliarySpec],
    device: &Device,
) -> Result<Vec<Option<Auxiliary>>> {
    let initializer = Initializer { seed: config.seed, device: device.clone() };
    specs
        .iter()
        .enumerate()
        .map(|(block, auxiliary)| {
            if block < config.frozen {
                return Ok(None);
            }
            let features = spec.features_after(config.ends[block])?;
            let path = auxiliary_path(block);
            Auxiliary::new(auxiliary, features, config.recompute, &path, &initializer).map(Some)
        })
        .collect()
}

fn not_finite(block: usize, loss: f64) -> Error {
    Error::new(
        ErrorKind::NotFinite,
        format!("the loss of block {block} became {loss}; lower the learning rate or clip gradients"),
    )
}
