//! Training itself, on this side of the border: a trainer, the samples that wait for it, and where it stands.
//!
//! A step goes block by block. Between two blocks the wishes of other threads are looked at: a step that is
//! interrupted there is kept, and the next call goes on with its next block, as if nothing had happened.

use crate::budget::Budget;
use crate::control::{Control, Turn};
use crate::events::{Event, Events, cut, lg_event_kind};
use crate::guard;
use crate::inbox::{self, Inbox, Source};
use crate::made::Settings;
use crate::network::Pretrained;
use crate::samples::{Given, Intake};
use crate::status::{Fault, Outcome, lg_status};
use crate::stored::Stored;
use crate::weight_names::Named;
use localgrad_models::ModelConfig;
use localgrad_runtime::data::{Batch, Normalize};
use localgrad_runtime::evaluate::{Evaluation, Tally};
use localgrad_runtime::fit::{Duration as Length, FitConfig};
use localgrad_runtime::maps::peak::peak_bytes;
use localgrad_runtime::maps::{Map, Place};
use localgrad_runtime::model::Classifier;
use localgrad_runtime::progress::Progress;
use localgrad_runtime::scratch::Scratch;
use localgrad_runtime::threads::Workers;
use localgrad_runtime::trainer::{Drawn, Method, OpenStep, TrainConfig, Trainer, one_value};
use localgrad_runtime::{ErrorKind, weights};
use std::time::{Duration, Instant};

/// What one thread at a time may touch.
pub struct Session {
    pub(crate) trainer: Trainer,
    pub(crate) progress: Progress,
    pub(crate) fit: FitConfig,
    pub(crate) intake: Intake,
    /// As many as classes, or none.
    pub(crate) class_names: Vec<String>,
    /// The most samples in a step.
    pub(crate) batch: usize,
    /// Samples that are evaluated at once.
    pub(crate) evaluation_batch: usize,
    /// What the trainer keeps to.
    pub(crate) budget: Option<Budget>,
    pub(crate) inbox: Inbox,
    pub(crate) source: Option<Source>,
    pub(crate) stored: Stored,
    /// A step of which some blocks are trained.
    open: Option<Open>,
    /// Whether an error came in the middle of a step, so that nobody knows which blocks have its updates.
    damaged: bool,
    /// Whether the blocks before one whose loss was no number have updates of a step that the others have not.
    uneven: bool,
    /// Whether a stand-in is there in place of a trainer that could not be made.
    lost: bool,
    /// How many were wished for, and the pool.
    workers: Option<(usize, Workers)>,
    /// Loss of each block in the last step.
    pub(crate) losses: Vec<f64>,
    /// How long the last step took at work.
    last_step: Duration,
    /// Where the threads are.
    process: u32,
    /// The share of the time at work that was told last.
    work_fraction: f64,
    /// Weights by name, once somebody has asked.
    pub(crate) named: Vec<Named>,
    /// Whether the log was told of a step whose last sample is alone.
    told_alone: bool,
}

struct Open {
    step: OpenStep,
    worked: Duration,
}

/// What other threads may touch while the session is at work.
#[derive(Clone, Copy)]
pub struct Shared<'a> {
    pub(crate) control: &'a Control,
    pub(crate) events: &'a Events,
}

/// A step that is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepDone {
    pub(crate) samples: usize,
    pub(crate) correct: usize,
    /// The same as a share of all; NaN where answers are values.
    pub(crate) accuracy: f64,
    pub(crate) loss: f64,
    pub(crate) learning_rate: f64,
    pub(crate) seconds: f64,
}

/// How far a call came.
pub(crate) enum Advance {
    Done(StepDone),
    /// A block's work is done and others are to come.
    Interrupted(Turn),
    /// There are no samples to train on.
    NoData,
}

impl Session {
    pub(crate) fn new(settings: Settings) -> Outcome<Self> {
        let Settings {
            network,
            train,
            fit,
            batch,
            evaluation_batch,
            normalize,
            place,
            scratch,
            budget,
            class_names,
            pretrained,
            threads,
        } = settings;
        let wanted = scratch.filter(|_| train.execution.needs_scratch());
        let scratch = wanted.map(|(directory, limit)| Scratch::create(&directory, limit)).transpose()?;
        let drawn = if pretrained.is_some() { Drawn::AllButUnits } else { Drawn::All };
        // Drawing the weights of a large network takes long on one thread. None of these outlasts this call.
        let mut trainer = Workers::start(threads)?
            .run(|| Trainer::to_load(network, train, normalize.clone(), &place, scratch, drawn))?;
        match pretrained {
            None => {}
            Some(Pretrained { weights, head_is_new: false }) => weights::load(&mut trainer, &weights)?,
            Some(Pretrained { weights, head_is_new: true }) => {
                weights::load_body(&mut trainer, weights.as_ref().clone())?;
            }
        }
        let progress = Progress::start(trainer.ranges().len());
        Ok(Self {
            losses: vec![f64::NAN; trainer.ranges().len()],
            intake: Intake::of(&trainer, normalize),
            trainer,
            progress,
            fit,
            class_names,
            batch,
            evaluation_batch,
            budget,
            inbox: Inbox::default(),
            source: None,
            stored: Stored::default(),
            open: None,
            damaged: false,
            uneven: false,
            lost: false,
            workers: None,
            last_step: Duration::ZERO,
            process: std::process::id(),
            work_fraction: 1.0,
            named: Vec::new(),
            told_alone: false,
        })
    }

    /// Makes the trainer anew, to be trained as `train` says within the budget, if there is one. Its state is then that
    /// of no step, and must be put there.
    pub(crate) fn make_anew(&mut self, train: &TrainConfig, control: &Control) -> Outcome<()> {
        let Some(budget) = &self.budget else { return Ok(()) };
        let chosen = budget.choose_as(train)?;
        let scratch = budget.scratch(&chosen.train)?;
        let (spec, normalize) = (self.trainer.model.spec.clone(), self.intake.normalize.clone());
        // Two trainers at one time would not keep to the budget.
        self.trainer = stand_in()?;
        self.lost = true;
        self.set_damaged();
        self.trainer = Trainer::to_load(spec, chosen.train, normalize, &Place::Host, scratch, Drawn::None)?;
        self.lost = false;
        self.intake = Intake::of(&self.trainer, self.intake.normalize.clone());
        self.evaluation_batch = chosen.evaluation_batch.unwrap_or(self.batch);
        self.progress = Progress::start(self.trainer.ranges().len());
        self.losses = vec![f64::NAN; self.trainer.ranges().len()];
        self.named = Vec::new();
        control.wish(|wishes| {
            wishes.threads = match wishes.threads {
                0 => chosen.threads,
                wished => wished.min(chosen.threads),
            }
        });
        Ok(())
    }

    /// Whether there is no trainer any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Does `work` on the trainer inside its own threads, as many as are wished for now.
    pub(crate) fn work<T: Send>(
        &mut self,
        control: &Control,
        work: impl FnOnce(&mut Trainer) -> T + Send,
    ) -> Outcome<T> {
        // Whoever was asked for samples may have come back in another process.
        guard::check_process(self.process)?;
        let wished = control.wishes().threads;
        if self.workers.as_ref().is_none_or(|(count, _)| *count != wished) {
            // The old ones end before the new ones start.
            self.workers = None;
            self.workers = Some((wished, Workers::start(wished)?));
        }
        let trainer = &mut self.trainer;
        match &self.workers {
            Some((_, workers)) => Ok(workers.run(|| work(trainer))),
            None => Ok(work(trainer)),
        }
    }

    /// Refuses to train on with weights of which nobody knows what they are.
    pub(crate) fn check_whole(&self) -> Outcome<()> {
        match self.damaged {
            false => Ok(()),
            true => Err(Fault::new(
                lg_status::State,
                "an error came in the middle of a step, so that some blocks have its updates and others not; go back \
                 to a checkpoint or a saved state, or make another trainer",
            )),
        }
    }

    /// Refuses to save where a step is half done.
    pub(crate) fn check_at_rest(&self) -> Outcome<()> {
        self.check_whole()?;
        match &self.open {
            None if self.uneven => Err(Fault::new(
                lg_status::State,
                "a loss was no number in the middle of a step, so that some blocks have its updates and others not; \
                 finish another step, as with a lower rate, or go back to a checkpoint or a saved state",
            )),
            None => Ok(()),
            Some(open) => Err(Fault::new(
                lg_status::State,
                format!(
                    "step {} was interrupted after {} of {} blocks; clear the cancel and finish it by lg_trainer_step \
                     or lg_trainer_run, or go back to the last checkpoint",
                    self.progress.steps + 1,
                    open.step.report().losses.len(),
                    self.losses.len()
                ),
            )),
        }
    }

    /// Blocks of the step under way that are trained; `None` between two steps.
    pub(crate) fn blocks_done(&self) -> Option<usize> {
        self.open.as_ref().map(|open| open.step.report().losses.len())
    }

    /// Whether nobody knows what some weights are.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged
    }

    pub(crate) fn set_damaged(&mut self) {
        self.damaged = true;
        self.open = None;
    }

    /// Stands where `progress` says, after the trainer's state was put there.
    pub(crate) fn stand_at(&mut self, progress: Progress) {
        (self.progress, self.open) = (progress, None);
        (self.damaged, self.uneven) = (false, false);
        self.losses.fill(f64::NAN);
    }

    /// The rate of the next step.
    pub(crate) fn learning_rate(&self) -> f64 {
        let (Length::Steps(steps) | Length::Epochs(steps)) = self.fit.duration;
        self.fit.schedule.rate(self.fit.learning_rate, self.progress.steps + 1, steps)
    }

    /// How long the next step is likely to take.
    pub(crate) fn expected_step(&self, control: &Control) -> Duration {
        self.last_step.mul_f64(1.0 / control.wishes().work_fraction)
    }

    /// Whether there is something to train on, or may be.
    pub(crate) fn has_data(&self) -> bool {
        self.open.is_some() || self.source.is_some() || !self.inbox.is_empty()
    }

    /// Tells the log, once, where a step has batch norm see one value.
    fn tell_if_alone(&mut self, samples: usize) {
        let micro_batch = self.trainer.execution().micro_batch.unwrap_or(samples);
        if self.told_alone || (samples != 1 && samples % micro_batch != 1) {
            return;
        }
        self.told_alone = true;
        let (network, train) = (&self.trainer.model.spec, self.trainer.config());
        if let Ok(Some(message)) = one_value::warning_of_last_samples(network, train, samples, samples) {
            log::warn!("{message}");
        }
    }

    /// Finishes the step under way, or trains another: on what was pushed, or else on what the source gives.
    pub(crate) fn advance(&mut self, shared: Shared<'_>, deadline: Option<Instant>) -> Outcome<Advance> {
        self.check_whole()?;
        let Shared { control, .. } = shared;
        match self.wait_turn(shared, deadline) {
            Turn::Go => {}
            turn => return Ok(Advance::Interrupted(turn)),
        }
        if self.open.is_none() {
            let began = Instant::now();
            let was_pushed = !self.inbox.is_empty();
            let Some(given) = self.next_batch()? else { return Ok(Advance::NoData) };
            let samples = given.batch.targets.len();
            let step = match self.begin(&given) {
                Ok(step) => step,
                Err(error) => {
                    if was_pushed {
                        self.inbox.put_back(given)?;
                    }
                    return Err(error.into());
                }
            };
            drop(given);
            self.tell_if_alone(samples);
            self.stored.waits_since.get_or_insert(began);
            self.open = Some(Open { step, worked: began.elapsed() });
        }
        while let Some(mut open) = self.open.take() {
            let began = Instant::now();
            let trained = self.work(control, |trainer| trainer.train_next(&mut open.step, &mut |_| {}));
            let more = match trained {
                Ok(Ok(more)) => more,
                Ok(Err(error)) => {
                    match error.kind() {
                        // The block is as it was.
                        ErrorKind::NotFinite => self.uneven |= !open.step.report().losses.is_empty(),
                        _ => self.set_damaged(),
                    }
                    return Err(error.at(format!("step {}", self.progress.steps + 1)).into());
                }
                // No threads: nothing was trained.
                Err(fault) => {
                    self.open = Some(open);
                    return Err(fault);
                }
            };
            let worked = began.elapsed();
            open.worked += worked;
            self.tell_block(shared, &open.step);
            if !more {
                let done = self.finish(&open);
                control.rest(worked, deadline);
                return Ok(Advance::Done(done));
            }
            self.open = Some(open);
            control.rest(worked, deadline);
            match self.wait_turn(shared, deadline) {
                Turn::Go => {}
                turn => return Ok(Advance::Interrupted(turn)),
            }
        }
        Ok(Advance::NoData)
    }

    /// Waits for as long as the trainer is paused, and tells why.
    pub(crate) fn wait_turn(&mut self, shared: Shared<'_>, deadline: Option<Instant>) -> Turn {
        let step = self.progress.steps;
        let turn = shared.control.wait_turn(deadline, &mut |reason| {
            shared.events.push(&match reason {
                Some(reason) => Event::paused(step, reason),
                None => Event::of(lg_event_kind::Resumed, step),
            });
        });
        let wishes = shared.control.wishes();
        if self.work_fraction != wishes.work_fraction {
            self.work_fraction = wishes.work_fraction;
            shared.events.push(&Event::pace(step, wishes.work_fraction, wishes.pace_reason));
        }
        turn
    }

    fn begin(&mut self, given: &Given) -> localgrad_runtime::Result<OpenStep> {
        let (Given { batch, are_features }, rate) = (given, self.learning_rate());
        match are_features {
            false => self.trainer.begin(batch, rate),
            true => self.trainer.begin_on_features(&batch.inputs, &batch.targets, rate),
        }
    }

    fn next_batch(&mut self) -> Outcome<Option<Given>> {
        if !self.inbox.is_empty() {
            return self.inbox.take(&self.intake).map(Some);
        }
        match &mut self.source {
            Some(source) => inbox::ask(source, self.progress.steps as u64, &self.intake, self.batch),
            None => Ok(None),
        }
    }

    fn tell_block(&self, shared: Shared<'_>, step: &OpenStep) {
        let losses = &step.report().losses;
        let Some((block, loss)) = losses.iter().enumerate().next_back() else { return };
        let event = Event::of(lg_event_kind::Block, self.progress.steps);
        shared.events.push(&Event { block: block as u32, loss: *loss, ..event });
    }

    fn finish(&mut self, open: &Open) -> StepDone {
        let (report, samples) = (open.step.report(), open.step.samples());
        let seconds = open.worked.as_secs_f64();
        self.progress.count(report, samples, seconds);
        self.uneven = false;
        self.stored.unsaved_steps += 1;
        self.losses.clone_from(&report.losses);
        self.last_step = open.worked;
        StepDone {
            samples,
            correct: report.correct,
            accuracy: self.intake.accuracy(report.correct, samples),
            loss: report.losses.last().copied().unwrap_or(f64::NAN),
            learning_rate: open.step.learning_rate(),
            seconds,
        }
    }

    /// The most bytes of the device's memory that were in use.
    pub(crate) fn peak_bytes(&self) -> u64 {
        peak_bytes(&self.trainer.model.place) as u64
    }

    /// How good the network is on batches, until `next` has no more. A cancelled one is `None`.
    pub(crate) fn evaluate(
        &mut self,
        shared: Shared<'_>,
        next: &mut dyn FnMut(&Intake, usize) -> Outcome<Option<Given>>,
    ) -> Outcome<Option<Evaluation>> {
        let mut tally = Tally::default();
        while let Some(given) = next(&self.intake, self.batch)? {
            let samples = given.batch.targets.len();
            for first in (0..samples).step_by(self.evaluation_batch) {
                if self.wait_turn(shared, None) != Turn::Go {
                    return Ok(None);
                }
                let part = part(&given, first, self.evaluation_batch.min(samples - first))?;
                let began = Instant::now();
                self.work(shared.control, |trainer| {
                    let logits = logits(trainer, &part)?;
                    tally.count(&logits, &part.batch.targets, &trainer.model.spec)
                })??;
                shared.control.rest(began.elapsed(), None);
            }
        }
        let found = tally.evaluation();
        let (name, metric) = found.metric();
        let event = Event::of(lg_event_kind::Evaluation, self.progress.steps);
        shared.events.push(&Event {
            samples: found.samples as u64,
            loss: found.loss,
            accuracy: found.accuracy,
            metric,
            text: cut(name),
            ..event
        });
        Ok(Some(found))
    }
}

/// What a call says that a cancel ended.
pub(crate) fn cancelled() -> Fault {
    Fault::new(lg_status::Cancelled, "the trainer was cancelled; clearing that lets it go on")
}

/// A trainer of next to nothing.
fn stand_in() -> Outcome<Trainer> {
    let tiny = ModelConfig {
        input: [1, 8, 8].into(),
        classes: 2,
        widths: Some(vec![1; 4]),
        ..ModelConfig::default()
    };
    let network = localgrad_models::network("resnet8", &tiny)?;
    let train = TrainConfig::from(Method { ends: vec![network.units.len() - 1], ..Method::default() });
    Ok(Trainer::new(network, train, Normalize::half(1), &Place::Host)?)
}

/// What the network says to samples.
pub(crate) fn logits(trainer: &mut Trainer, given: &Given) -> localgrad_runtime::Result<Map> {
    let inputs = &given.batch.inputs;
    match given.are_features {
        false => trainer.logits(inputs),
        true => {
            let h = inputs.to(&trainer.model.place)?;
            trainer.logits_behind(h)
        }
    }
}

/// Samples `first` and on of a batch, `count` of them.
fn part(given: &Given, first: usize, count: usize) -> Outcome<Given> {
    let Given { batch, are_features } = given;
    let inputs = match count == batch.targets.len() {
        true => batch.inputs.clone(),
        false => batch.inputs.samples(first, count)?.copy()?,
    };
    let batch = Batch { inputs, targets: batch.targets.part(first..first + count) };
    Ok(Given { batch, are_features: *are_features })
}
