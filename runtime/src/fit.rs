//! A whole run: epochs of steps, an evaluation after each, and events for those who watch. It can go on from
//! anywhere between two steps.

use crate::cache::{Input, batches_of_images};
use crate::data::Loader;
use crate::data::ahead::with_feed;
use crate::error::{Error, Result};
use crate::evaluate::{Answers, Evaluation, check_data};
use crate::progress::{Best, Progress};
use crate::schedule::Schedule;
use crate::side_by_side::side_by_side;
use crate::sweep::sweep;
use crate::trainer::one_value::check_statistics;
use crate::trainer::{Stage, StepReport, Trainer};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Side by side blocks rest, and a run may be saved or stopped, after as many steps as this for each block, and so long.
const STEPS_A_BLOCK: usize = 4;
const REST_AFTER: std::time::Duration = std::time::Duration::from_secs(2);

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duration {
    /// After this many passes over the data.
    Epochs(usize),
    /// After this many steps.
    Steps(usize),
}

/// How a run goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitConfig {
    /// When it ends.
    pub duration: Duration,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// The rate it changes from.
    pub learning_rate: f64,
    /// After how many epochs that bring no better evaluation it ends; none: it goes on.
    #[serde(default)]
    pub patience: Option<usize>,
    /// What evaluations are compared by.
    #[serde(default)]
    pub measure: Measure,
}

/// What says which of two evaluations is the better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The share of the samples that are classified right.
    #[default]
    Accuracy,
    /// The mean of this share over the classes.
    MacroAccuracy,
}

impl Measure {
    /// What `evaluation` is judged by; larger is better. Of values it is their mean absolute error, negated.
    pub fn of(self, evaluation: &Evaluation) -> f64 {
        match (&evaluation.answers, self) {
            (Answers::Values { mean_absolute_error, .. }, _) => -mean_absolute_error,
            (_, Self::Accuracy) => evaluation.accuracy,
            (_, Self::MacroAccuracy) => evaluation.macro_accuracy(),
        }
    }
}

impl Default for FitConfig {
    /// One epoch at 0.1, by the default schedule.
    fn default() -> Self {
        Self {
            duration: Duration::Epochs(1),
            schedule: Schedule::default(),
            learning_rate: 0.1,
            patience: None,
            measure: Measure::default(),
        }
    }
}

/// What a run tells as it goes. Steps and epochs count from 1.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A step is about to do this.
    Stage(Stage),
    /// A step is done.
    Step {
        /// Its number.
        step: usize,
        /// Its epoch.
        epoch: usize,
        /// Loss of each block.
        losses: Vec<f64>,
        /// The rate it was done with.
        learning_rate: f64,
        /// Samples in its batch.
        samples: usize,
        /// How long it took, its batch's reading included.
        seconds: f64,
    },
    /// Some batches of the evaluation are done.
    Evaluating {
        /// Batches done.
        done: usize,
        /// Of so many.
        batches: usize,
    },
    /// An epoch is done.
    Epoch {
        /// Its number.
        epoch: usize,
        /// Mean loss of each block over the epoch.
        losses: Vec<f64>,
        /// Share of the answers that were right while training: samples classified right, or labels. NaN for values.
        train_accuracy: f64,
        /// What the test data say, if there are any.
        evaluation: Option<Evaluation>,
        /// How long its training took, without the evaluation.
        seconds: f64,
    },
}

/// Whether to go on, asked after every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Go on.
    Continue,
    /// Stop after the current step.
    Stop,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
pub struct FitReport {
    /// Steps done.
    pub steps: usize,
    /// Samples trained on.
    pub samples: usize,
    /// Seconds of training, evaluations not counted.
    pub train_seconds: f64,
    /// Seconds of these that training waited for batches to be read, since it began or went on.
    pub waited_seconds: f64,
    /// The last evaluation, if there was one.
    pub evaluation: Option<Evaluation>,
    /// Mean loss of the last block over the last epoch.
    pub loss: f64,
    /// The best evaluation, if there was one.
    pub best: Option<Best>,
    /// Whether it ended before its time because nothing became better.
    pub ended_early: bool,
    /// Whether it was stopped before its end.
    pub interrupted: bool,
}

impl FitConfig {
    /// Refuses what cannot work.
    pub fn validate(&self) -> Result<()> {
        self.schedule.validate()?;
        if matches!(self.duration, Duration::Epochs(0) | Duration::Steps(0)) {
            return Err(Error::config("a run needs at least one step"));
        }
        if self.patience == Some(0) {
            return Err(Error::config("patience is a number of epochs from 1 on, found 0"));
        }
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(Error::config(format!(
                "the learning rate must be above 0, found {}",
                self.learning_rate
            )));
        }
        Ok(())
    }

    /// Steps of the whole run.
    pub fn total_steps(&self, steps_per_epoch: usize) -> usize {
        match self.duration {
            Duration::Epochs(epochs) => epochs.saturating_mul(steps_per_epoch),
            Duration::Steps(steps) => steps,
        }
    }

    /// Whether so many steps are all, or nothing has become better for as long as patience lasts.
    fn is_over(&self, progress: &Progress, total_steps: usize) -> bool {
        progress.closed && (progress.steps >= total_steps || self.is_out_of_patience(progress))
    }

    fn is_out_of_patience(&self, progress: &Progress) -> bool {
        let since = progress.best.map_or(0, |best| best.epochs_since);
        self.patience.is_some_and(|patience| since >= patience)
    }

    /// The rate of a step, both counted from 1.
    fn rate(&self, step: usize, epoch: usize) -> f64 {
        match self.duration {
            Duration::Epochs(epochs) => self.schedule.rate(self.learning_rate, epoch, epochs),
            Duration::Steps(steps) => self.schedule.rate(self.learning_rate, step, steps),
        }
    }
}

/// Who watches a run, and may save it between two steps.
pub trait Observer {
    /// Is told what happens, and says whether to go on.
    fn hear(&mut self, event: &Event) -> Control;

    /// Called when all that training changes is at rest: after each step, after each epoch's evaluation, and when
    /// the run ends or is stopped (`ending`). Its error ends the run.
    fn rest(&mut self, _trainer: &mut Trainer, _progress: &Progress, _ending: bool) -> Result<()> {
        Ok(())
    }
}

impl<F: FnMut(&Event) -> Control> Observer for F {
    fn hear(&mut self, event: &Event) -> Control {
        self(event)
    }
}

/// Trains on `train` until the end or until `watch` says stop; evaluates on `test` after every epoch.
pub fn fit(
    trainer: &mut Trainer,
    train: &Loader,
    test: Option<&Loader>,
    config: &FitConfig,
    watch: &mut dyn FnMut(&Event) -> Control,
) -> Result<FitReport> {
    let progress = Progress::start(trainer.ranges().len());
    fit_from(progress, trainer, train, test, config, &mut |event: &Event| watch(event))
}

/// The same from where `progress` says; the trainer must be as it was there.
///
/// # Errors
/// Those of training, reading and `observer`; `Config` when `progress` is not of such a run.
pub fn fit_from(
    mut progress: Progress,
    trainer: &mut Trainer,
    train: &Loader,
    test: Option<&Loader>,
    config: &FitConfig,
    observer: &mut dyn Observer,
) -> Result<FitReport> {
    config.validate()?;
    for loader in std::iter::once(train).chain(test) {
        check_data(trainer, loader)?;
    }
    if config.patience.is_some() && test.is_none() {
        return Err(Error::config("patience needs samples to be judged by; give some, or leave it out"));
    }
    let batch = train.config().batch.min(train.dataset().len());
    check_statistics(&trainer.model.spec, trainer.config(), batch)?;
    progress.check(trainer.ranges().len(), train.batches())?;
    let total_steps = config.total_steps(train.batches());
    let first = (progress.epoch as u64 - 1, progress.position);
    let left = total_steps.saturating_sub(progress.steps);
    let ahead = batches_of_images(trainer.method().cache, train.batches(), first, left);
    let (interrupted, waited_seconds) = with_feed(train, first, ahead, |feed| {
        let mut input = Input::new(trainer, feed)?;
        let interrupted = train_through(&mut progress, trainer, (train, test), config, observer, &mut input)?;
        Ok((interrupted, feed.waited_seconds))
    })?;
    Ok(FitReport {
        steps: progress.steps,
        samples: progress.samples,
        train_seconds: progress.train_seconds,
        waited_seconds,
        ended_early: progress.closed && progress.steps < total_steps && !interrupted,
        evaluation: progress.evaluation,
        loss: progress.loss,
        best: progress.best,
        interrupted,
    })
}

/// Trains epoch by epoch to the end of the run; whether it was stopped before.
fn train_through(
    progress: &mut Progress,
    trainer: &mut Trainer,
    data: (&Loader, Option<&Loader>),
    config: &FitConfig,
    observer: &mut dyn Observer,
    input: &mut Input<'_, '_>,
) -> Result<bool> {
    let train = data.0;
    let total_steps = config.total_steps(train.batches());
    let mut interrupted = false;
    while !interrupted && !config.is_over(progress, total_steps) {
        interrupted = train_epoch(progress, trainer, train, config, observer, input)?
            || close_epoch(progress, trainer, data, config, observer, input)?;
        let ended = config.is_over(progress, total_steps);
        interrupted &= !ended;
        if progress.closed && progress.position == train.batches() {
            progress.next_epoch();
        }
        observer.rest(trainer, progress, interrupted || ended)?;
    }
    Ok(interrupted)
}

/// Trains to the end of the epoch or of the run; whether it was stopped before.
fn train_epoch(
    progress: &mut Progress,
    trainer: &mut Trainer,
    train: &Loader,
    config: &FitConfig,
    observer: &mut dyn Observer,
    input: &mut Input<'_, '_>,
) -> Result<bool> {
    let total_steps = config.total_steps(train.batches());
    while progress.position < train.batches() && progress.steps < total_steps {
        let left = (train.batches() - progress.position).min(total_steps - progress.steps);
        let mut stops = false;
        for (samples, learning_rate, report, seconds) in
            train_chunk(progress, trainer, config, left, observer, input)?
        {
            progress.count(&report, samples, seconds);
            let event = Event::Step {
                step: progress.steps,
                epoch: progress.epoch,
                losses: report.losses,
                learning_rate,
                samples,
                seconds,
            };
            stops |= observer.hear(&event) == Control::Stop;
        }
        let goes_on = progress.position < train.batches() && progress.steps < total_steps;
        if stops && progress.steps < total_steps {
            return Ok(true);
        }
        if goes_on {
            observer.rest(trainer, progress, false)?;
        }
    }
    // Before the evaluation, which takes its time and can be repeated.
    observer.rest(trainer, progress, false)?;
    Ok(false)
}

/// Trains on the next batches, as many as a chunk has or as are left; of each step its samples, its rate, what it found
/// and how long it took.
fn train_chunk(
    progress: &Progress,
    trainer: &mut Trainer,
    config: &FitConfig,
    left: usize,
    observer: &mut dyn Observer,
    input: &mut Input<'_, '_>,
) -> Result<Vec<(usize, f64, StepReport, f64)>> {
    let started = Instant::now();
    let first = progress.steps + 1;
    let mut begin = |trainer: &mut Trainer, number: usize| {
        let place = (progress.epoch as u64 - 1, progress.position + number);
        input.begin(trainer, place, config.rate(first + number, progress.epoch))
    };
    let mut told = Vec::new();
    let mut watch = |stage| {
        observer.hear(&Event::Stage(stage));
    };
    let reports = if trainer.execution().side_by_side {
        watch(Stage::Forward(0));
        let least = STEPS_A_BLOCK * trainer.ranges().len();
        let mut next = |trainer: &mut Trainer| {
            let number = told.len();
            if number >= left || (number >= least && started.elapsed() >= REST_AFTER) {
                return Ok(None);
            }
            let step = begin(trainer, number)?;
            told.push((step.samples(), step.learning_rate()));
            Ok(Some(step))
        };
        side_by_side(trainer, &mut next)
    } else {
        let steps = (0..trainer.method().chunk.min(left)).map(|number| begin(trainer, number));
        let steps = steps.collect::<Result<Vec<_>>>()?;
        told.extend(steps.iter().map(|step| (step.samples(), step.learning_rate())));
        sweep(trainer, steps, &mut watch)
    };
    let place = if told.len() == 1 { format!("step {first}") } else { format!("steps from {first} on") };
    let reports = reports.map_err(|error| error.at(place))?;
    let seconds = started.elapsed().as_secs_f64() / told.len().max(1) as f64;
    Ok(told
        .into_iter()
        .zip(reports)
        .map(|((samples, rate), report)| (samples, rate, report, seconds))
        .collect())
}

/// Evaluates and tells of the epoch; whether it was stopped. A stopped evaluation leaves the epoch open.
fn close_epoch(
    progress: &mut Progress,
    trainer: &mut Trainer,
    (train, test): (&Loader, Option<&Loader>),
    config: &FitConfig,
    observer: &mut dyn Observer,
    input: &mut Input<'_, '_>,
) -> Result<bool> {
    let mut evaluation = None;
    if let Some(test) = test {
        let mut stopped = false;
        evaluation = input.evaluate(trainer, test, &mut |done, batches| {
            stopped |= observer.hear(&Event::Evaluating { done, batches }) == Control::Stop;
            !stopped
        })?;
        let Some(found) = &evaluation else { return Ok(true) };
        progress.judge(found, config.measure.of(found), progress.position == train.batches());
        progress.evaluation.clone_from(&evaluation);
    }
    progress.closed = true;
    let event = Event::Epoch {
        epoch: progress.epoch,
        losses: progress.mean_losses(),
        train_accuracy: progress.train_accuracy(trainer.model.spec.answers()),
        evaluation,
        seconds: progress.epoch_seconds,
    };
    Ok(observer.hear(&event) == Control::Stop)
}
