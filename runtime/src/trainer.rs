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

mod alike;
mod alone;
mod build;
mod change;
mod classifier;
mod config;
mod execution;
mod exits;
mod method;
pub mod one_value;
mod open_step;
mod residence;
mod shares;
mod sinks;
mod still;

use crate::data::{Batch, Normalize};
use crate::depot::Depot;
use crate::error::{Error, ErrorKind, Result};
use crate::layers::{Draw, GradientSink, Layer, Mode, Need, Sequential};
use crate::maps::map_read::MapRead;
use crate::maps::{Map, Place, elementwise};
use crate::model::Model;
use crate::network::{NetworkSpec, blocks};
use crate::rules::auxiliary::Auxiliary;
use crate::rules::auxiliary_specs;
use crate::rules::criterion::Criterion;
use crate::rules::judge::Target;
use crate::scratch::{Scratch, Traffic};
pub use crate::selection::Selection;
use crate::shelf::{Parcel, Shelf};
use crate::tape::Tape;
use crate::whole_batch::WholeBatch;
pub(crate) use alike::Alike;
pub use build::Drawn;
use build::{Compares, build_auxiliaries, check_cache, check_place};
pub(crate) use build::{check_shares, check_weights};
pub use config::TrainConfig;
pub use execution::Execution;
pub use exits::{AtExit, WithExits};
pub use method::{CacheConfig, Method};
pub use open_step::OpenStep;
use open_step::{Features, MicroBatch, recut};
use sinks::{Accumulate, Discard, Update};
use std::ops::{Range, RangeInclusive};

/// What a step is doing, for those who watch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Units of this block, forward.
    Forward(usize),
    /// This block's auxiliary network or the head, forward and backward.
    Loss(usize),
    /// Units of this block, backward, with their updates.
    Backward(usize),
    /// Updates of this block by gathered gradients, and moving averages.
    Update(usize),
}

/// What a step found.
#[derive(Clone, Debug, PartialEq)]
pub struct StepReport {
    /// Loss of each block, before its update; NaN for a frozen block, which has none.
    pub losses: Vec<f64>,
    /// Answers of the network that were right, in training mode: samples classified right, or labels; none of values.
    pub correct: usize,
}

/// A network in training.
pub struct Trainer {
    /// The network itself.
    pub model: Model,
    config: TrainConfig,
    ranges: Vec<RangeInclusive<usize>>,
    /// The first unit of which something is trained, and the blocks before it, which have none.
    first_trained: usize,
    still_blocks: usize,
    /// One a block but the last; none for a block that stays as it is.
    auxiliaries: Vec<Option<Auxiliary>>,
    normalize: Normalize,
    tape: Tape,
    /// Where features wait.
    shelf: Shelf,
    /// Where weights wait, if not in memory.
    depot: Option<Depot>,
    scratch: Option<Scratch>,
    passes: u64,
    compares: Compares,
}

/// What a pass of a share through a block found.
struct Passed {
    loss: f64,
    correct: usize,
}

impl Trainer {
    /// Builds network and auxiliary networks; refuses what cannot work. `normalize` is how the data's images
    /// were normalised, so that decoders can compare with the images themselves.
    pub fn new(
        spec: NetworkSpec,
        config: TrainConfig,
        normalize: Normalize,
        place: impl Into<Place>,
    ) -> Result<Self> {
        Self::with_scratch(spec, config, normalize, place, None)
    }

    /// The same with a file for what the configuration lets wait outside of memory.
    pub fn with_scratch(
        spec: NetworkSpec,
        config: TrainConfig,
        normalize: Normalize,
        place: impl Into<Place>,
        scratch: Option<Scratch>,
    ) -> Result<Self> {
        Self::to_load(spec, config, normalize, place, scratch, Drawn::All)
    }

    /// The same with those weights `drawn` that will not be loaded.
    pub fn to_load(
        spec: NetworkSpec,
        config: TrainConfig,
        normalize: Normalize,
        place: impl Into<Place>,
        scratch: Option<Scratch>,
        drawn: Drawn,
    ) -> Result<Self> {
        let place = &place.into();
        config.validate()?;
        if config.execution.needs_scratch() && scratch.is_none() && !place.is_counted() {
            return Err(Error::config(
                "weights or features are to wait in a file, but no scratch file was given",
            ));
        }
        check_place(&config, place)?;
        let TrainConfig { method, execution } = &config;
        let specs = auxiliary_specs(&spec, &method.ends, &method.rule)?;
        check_shares(execution, &specs)?;
        check_weights(method, &spec)?;
        let expanded = spec.expand()?;
        let groups = residence::auxiliary_group(spec.units.len(), specs.len());
        let mut depot = execution.offload.then(|| Depot::new(scratch.clone(), groups));
        let first_trained = method.first_trained(&expanded);
        let still_blocks = method.still_blocks(first_trained);
        check_cache(method, first_trained, &specs, still_blocks)?;
        let settings = (&config, still_blocks, drawn);
        let auxiliaries = build_auxiliaries(&expanded, settings, &specs, place, &mut depot)?;
        let compares = Compares::of(&auxiliaries);
        let mut put = |group, layers: &mut Sequential| {
            layers.visit("", &mut build::keep(method.optimizer_state))?;
            match &mut depot {
                Some(depot) => depot.put(group, &mut |visitor| layers.visit("", visitor)),
                None => Ok(()),
            }
        };
        let model = Model::build(
            spec,
            &expanded,
            (method.seed, drawn.of_network(), method.selection),
            place,
            &mut put,
        )?;
        let shelf = Shelf {
            precision: execution.features,
            on_file: execution.features_on_disk,
            scratch: scratch.clone(),
        };
        Ok(Self {
            model,
            ranges: blocks::ranges(&method.ends),
            first_trained,
            still_blocks,
            auxiliaries,
            normalize,
            tape: Tape::in_precision(execution.activations),
            shelf,
            depot,
            scratch,
            passes: 0,
            compares,
            config,
        })
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

    /// The first of the numbers of as many passes as a step of so many shares takes.
    fn number_passes(&mut self, shares: usize) -> u64 {
        let first = self.passes;
        self.passes += (self.ranges.len() - self.still_blocks) as u64 * self.numbers(shares);
        first
    }

    /// How many numbers a block's passes of so many shares take: where they make one exact pass, it has one.
    fn numbers(&self, shares: usize) -> u64 {
        if self.config.execution.exact { 1 } else { shares as u64 }
    }

    /// What dropout draws from in each of a block's passes, of which the first has this number.
    fn draws(&self, micro_batches: &[MicroBatch], first_pass: u64) -> Vec<Draw> {
        let mut first = 0;
        let draw = |(number, micro): (usize, &MicroBatch)| {
            if !self.config.execution.exact {
                return Draw { pass: first_pass + number as u64, first: 0 };
            }
            first += micro.targets.len();
            Draw { pass: first_pass, first: first - micro.targets.len() }
        };
        micro_batches.iter().enumerate().map(draw).collect()
    }

    /// Trains the block of `step` that is next; whether another follows. Between two calls any time may pass, and
    /// settings may change, but no other step may be trained. After an error the step is of no use, and the
    /// blocks before have its updates. Where the error is that a loss is no number (`NotFinite`), nothing of this block
    /// has changed, neither weights nor what the optimizer remembers nor running statistics (but for those of shares
    /// that passed before the one that failed, where shares have statistics of their own): training may go on, as with a
    /// lower rate.
    pub fn train_next(&mut self, step: &mut OpenStep, watch: &mut dyn FnMut(Stage)) -> Result<bool> {
        let block = step.report.losses.len();
        if block >= self.ranges.len() {
            return Ok(false);
        }
        self.enter(block, watch)?;
        self.train_entered(step, watch)?;
        self.follow(block)?;
        self.leave(block)?;
        Ok(block + 1 < self.ranges.len())
    }

    /// Trains the block of `step` that is next, which is in memory. Its moving averages are still to advance.
    pub(crate) fn train_entered(&mut self, step: &mut OpenStep, watch: &mut dyn FnMut(Stage)) -> Result<()> {
        let OpenStep { micro_batches, learning_rate, report, first_pass, passed } = step;
        let block = report.losses.len();
        if self.is_frozen(block) {
            if !*passed {
                watch(Stage::Forward(block));
                self.pass_still(block, micro_batches)?;
            }
            report.losses.push(f64::NAN);
            return Ok(());
        }
        let trained_before = (block - self.still_blocks) as u64;
        let first_pass = *first_pass + trained_before * self.numbers(micro_batches.len());
        let draws = self.draws(micro_batches, first_pass);
        if !*passed && !self.still(block).is_empty() {
            watch(Stage::Forward(block));
            self.pass_still(block, micro_batches)?;
        }
        let trained = self.train_shares(block, micro_batches, &draws, *learning_rate, watch);
        if trained.is_err() {
            self.abandon(block)?;
        }
        let (loss, correct) = trained.map_err(|error| match error.kind() {
            ErrorKind::NotFinite => error.at(format!("block {block}")),
            _ => error,
        })?;
        report.losses.push(loss);
        report.correct += correct;
        Ok(())
    }

    /// One block on all micro-batches, with its update; its loss, and how many of the network's answers were right.
    fn train_shares(
        &mut self,
        block: usize,
        micro_batches: &mut [MicroBatch],
        draws: &[Draw],
        learning_rate: f64,
        watch: &mut dyn FnMut(Stage),
    ) -> Result<(f64, usize)> {
        // Gradients wait in accumulators when a step has several micro-batches, or when they are to be clipped.
        let gathers = self.config.method.clip_norm.is_some() || micro_batches.len() > 1;
        let waits = self.waits(micro_batches.len());
        let exact = self.config.execution.exact && micro_batches.len() > 1;
        let rounds = if exact { self.counted_rounds(block)? } else { None };
        if exact && rounds.is_none() {
            self.gather_statistics(block, micro_batches, draws, watch)?;
        }
        let (mut loss, mut right) = (0.0, 0);
        let mut alike = Alike::new(&self.model.place, micro_batches.len());
        let mut before = Features::default();
        for (number, (micro, &draw)) in micro_batches.iter_mut().zip(draws).enumerate() {
            if alike.skips(number) {
                self.skip_share(block, micro, &before, waits)?;
                continue;
            }
            let mut mode = Mode::Train { draw };
            if exact && number > 0 {
                // Running statistics see the whole batch once.
                mode = mode.again();
            }
            let optimizer = self.config.method.optimizer.clone();
            let mut update = Update { optimizer, learning_rate };
            let sink: &mut dyn GradientSink = if gathers { &mut Accumulate } else { &mut update };
            self.tape.begin_pass(micro.targets.len());
            let passed = self.pass(block, micro, (mode, waits), sink, watch)?;
            let passed = passed.ok_or_else(|| Error::internal("a pass of training was cut short"))?;
            loss += passed.loss * micro.weight;
            right += passed.correct;
            alike.end(number);
            if self.model.place.is_counted() {
                before = micro.h.clone();
            }
        }
        drop(before);
        self.tape.gather(None);
        if exact {
            self.settle(block)?;
        }
        if let Some(rounds) = rounds {
            rounds.end();
        }
        watch(Stage::Update(block));
        if gathers {
            self.apply_accumulated(block, learning_rate)?;
        }
        self.model.place.check_memory().map_err(|e| e.at(format!("block {block}")))?;
        Ok((loss, right))
    }

    /// Finds what batch norm makes of all micro-batches together, round by round: see [`WholeBatch`].
    fn gather_statistics(
        &mut self,
        block: usize,
        micro_batches: &mut [MicroBatch],
        draws: &[Draw],
        watch: &mut dyn FnMut(Stage),
    ) -> Result<()> {
        let samples = micro_batches.iter().map(|micro| micro.targets.len()).sum();
        self.tape.gather(Some(WholeBatch::new(samples)));
        loop {
            for (micro, &draw) in micro_batches.iter_mut().zip(draws) {
                let mode = Mode::Train { draw }.again();
                self.tape.begin_pass(micro.targets.len());
                let h = micro.h.clone();
                let through = self.pass(block, micro, (mode, false), &mut Discard, watch)?.is_some();
                micro.h = h;
                self.tape.clear();
                if through {
                    break;
                }
            }
            if !self.tape.end_round()? {
                return Ok(());
            }
        }
    }

    /// Whether features wait before the next block takes them.
    fn waits(&self, shares: usize) -> bool {
        shares > 1 || self.config.method.chunk > 1 || !self.config.method.block_batches.is_empty()
    }

    /// The output of a block as it is kept for the next one.
    fn kept(&self, block: usize, h: Map, samples: usize, waits: bool) -> Result<Features> {
        if block + 1 == self.ranges.len() {
            return Ok(Features::default());
        }
        let parcel = if waits { self.shelf.put(h)? } else { Parcel::Whole(h) };
        Ok(Features::of(parcel, samples))
    }

    /// One block on one micro-batch: forward, loss, backward. Afterwards `micro.h` is the block's output. None when the
    /// tape had enough before the end.
    fn pass(
        &mut self,
        block: usize,
        micro: &mut MicroBatch,
        (mode, waits): (Mode, bool),
        sink: &mut dyn GradientSink,
        watch: &mut dyn FnMut(Stage),
    ) -> Result<Option<Passed>> {
        watch(Stage::Forward(block));
        let repeats = self.config.execution.recompute && matches!(self.auxiliaries.get(block), Some(Some(_)));
        let range = self.trained(block);
        let pieces = pieces(&range, &self.config.execution.pieces);
        let mut inputs = Vec::new();
        let mut h = micro.h.get()?;
        for (number, piece) in pieces.iter().enumerate() {
            let is_last = number + 1 == pieces.len();
            self.enter_piece(block, piece, is_last)?;
            let mut forgetting = self.tape.for_later();
            let mut tape = &mut self.tape;
            if repeats || !is_last {
                inputs.push(match number {
                    0 => micro.h.clone(),
                    _ => Features::of(self.shelf.put(h.clone())?, micro.targets.len()),
                });
                tape = &mut forgetting;
            }
            let mut x = MapRead::Plain(h);
            for (_, unit) in &mut self.model.units[range.clone()][piece.clone()] {
                x = unit.forward(x, mode, tape)?;
                if tape.is_enough() {
                    return Ok(None);
                }
            }
            h = x.resolve()?;
            if !is_last {
                self.leave_piece(block, piece, false)?;
            }
        }
        micro.h = self.kept(block, h.clone(), micro.targets.len(), waits)?;

        watch(Stage::Loss(block));
        let (loss, correct, mut gradient) = self.loss(block, h, micro, mode, sink)?;
        if !self.tape.gathers() {
            self.settle(block)?;
        }

        watch(Stage::Backward(block));
        for (number, piece) in pieces.iter().enumerate().rev() {
            if inputs.len() > number {
                self.enter_piece(block, piece, true)?;
                let units = &mut self.model.units[range.clone()][piece.clone()];
                repeat(units, inputs.pop(), mode.again(), &mut self.tape)?;
            }
            let units = &mut self.model.units[range.clone()];
            for position in piece.clone().rev() {
                let Some(d_h) = gradient.take() else { break };
                let need = if position > 0 { Need::Input } else { Need::Nothing };
                gradient = units[position].1.backward(d_h.into(), &mut self.tape, sink, need)?;
                if self.tape.is_enough() {
                    return Ok(None);
                }
            }
            self.leave_piece(block, piece, sink.updates())?;
        }
        self.tape.clear();
        Ok(Some(Passed { loss, correct }))
    }

    /// What judges the output `h` of a block: its auxiliary network, or the head. Gives the loss, how many answers were
    /// right, and the gradient of `h`, unless no unit of the block is trained. A loss that is no number is an error
    /// before `sink` is given anything.
    fn loss(
        &mut self,
        block: usize,
        h: Map,
        micro: &MicroBatch,
        mode: Mode,
        sink: &mut dyn GradientSink,
    ) -> Result<(f64, usize, Option<Map>)> {
        let criterion = Criterion {
            objective: self.model.spec.objective,
            label_smoothing: self.config.method.label_smoothing,
            class_weights: &self.config.method.class_weights,
        };
        if let Some(Some(auxiliary)) = self.auxiliaries.get_mut(block) {
            let images = micro.images.as_ref().map(Features::get).transpose()?;
            let target = Target {
                targets: &micro.targets,
                classes: self.model.spec.classes,
                criterion,
                images: images.as_ref().map(|images| (images, &self.normalize)),
                weight: micro.weight,
                label_weight: micro.label_weight,
            };
            let (loss, d_h) = auxiliary.loss(h, &target, mode, &mut self.tape, sink)?;
            return Ok((loss, 0, Some(d_h)));
        }
        let logits = match micro.passed_head {
            false => self.model.head.pass(h, mode, &mut self.tape)?,
            true => self.model.head.pass_behind_still(h, mode, &mut self.tape)?,
        };
        let correct = criterion.right(&logits, &micro.targets)?;
        let loss = criterion.loss(&logits, &micro.targets)?.finite()?;
        let d_logits = elementwise::scale(loss.d_input, micro.label_weight)?;
        let need = if self.trained(block).is_empty() { Need::Nothing } else { Need::Input };
        let d_h = self.model.head.backward(d_logits.into(), &mut self.tape, sink, need)?;
        Ok((loss.value * (micro.label_weight / micro.weight), correct, d_h))
    }

    /// Advances the moving averages behind `block`, which read later units from before those units' own updates of
    /// this step.
    pub(crate) fn follow(&mut self, block: usize) -> Result<()> {
        let Some(Some(auxiliary)) = self.auxiliaries.get_mut(block) else { return Ok(()) };
        auxiliary.exit.follow(&mut self.model.units)
    }

    /// How it trains.
    pub fn config(&self) -> &TrainConfig {
        &self.config
    }

    /// What it trains, and by which rule.
    pub fn method(&self) -> &Method {
        &self.config.method
    }

    /// How it carries that out.
    pub fn execution(&self) -> &Execution {
        &self.config.execution
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
        block < self.still_blocks
    }

    /// The units of each block.
    pub fn ranges(&self) -> &[RangeInclusive<usize>] {
        &self.ranges
    }

    /// What went through the scratch file, if there is one.
    pub fn traffic(&self) -> Option<Traffic> {
        self.scratch.as_ref().map(Scratch::traffic)
    }

    /// The samples of some steps that have come equally far, cut into steps of `size` samples.
    pub(crate) fn recut(&mut self, steps: Vec<OpenStep>, size: usize) -> Vec<OpenStep> {
        let micro_batch = self.config.execution.micro_batch;
        let weights = self.config.method.class_weights.clone();
        let place = self.model.place.clone();
        recut(steps, size, micro_batch, &weights, &place, |shares| self.number_passes(shares))
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
    input: Option<Features>,
    mode: Mode,
    tape: &mut Tape,
) -> Result<()> {
    let (Some(input), Some(((_, last), before))) = (input, units.split_last_mut()) else { return Ok(()) };
    let mut x = MapRead::Plain(input.get()?);
    drop(input);
    for (_, unit) in before {
        x = unit.forward(x, mode, tape)?;
    }
    last.forward(x, mode.without_answer(), tape).map(drop)
}

fn auxiliary_path(block: usize) -> String {
    format!("aux.{block}")
}
