//! A whole run: epochs of steps, an evaluation after each, and events for those who watch.

use crate::data::Loader;
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, check_data, evaluate};
use crate::schedule::Schedule;
use crate::trainer::{Stage, Trainer};
use serde::{Deserialize, Serialize};
use std::time::Instant;

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
        /// Share of the training samples classified right while training.
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
    /// The last evaluation, if there was one.
    pub evaluation: Option<Evaluation>,
    /// Mean loss of the last block over the last epoch.
    pub loss: f64,
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
        if !(self.learning_rate.is_finite() && self.learning_rate > 0.0) {
            return Err(Error::config(format!(
                "the learning rate must be above 0, found {}",
                self.learning_rate
            )));
        }
        Ok(())
    }

    fn total_steps(&self, steps_per_epoch: usize) -> usize {
        match self.duration {
            Duration::Epochs(epochs) => epochs * steps_per_epoch,
            Duration::Steps(steps) => steps,
        }
    }

    /// The rate of a step, both counted from 1.
    fn rate(&self, step: usize, epoch: usize) -> f64 {
        match self.duration {
            Duration::Epochs(epochs) => self.schedule.rate(self.learning_rate, epoch, epochs),
            Duration::Steps(steps) => self.schedule.rate(self.learning_rate, step, steps),
        }
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
    config.validate()?;
    for loader in std::iter::once(train).chain(test) {
        check_data(&trainer.model, loader)?;
    }
    let total_steps = config.total_steps(train.batches());
    let mut report = FitReport {
        steps: 0,
        samples: 0,
        train_seconds: 0.0,
        evaluation: None,
        loss: f64::NAN,
        interrupted: false,
    };
    let mut epoch = 0;
    while report.steps < total_steps && !report.interrupted {
        epoch += 1;
        train_epoch(trainer, train, config, epoch, &mut report, watch).and_then(|mut summary| {
            if let Some(test) = test.filter(|_| !report.interrupted) {
                let mut stopped = false;
                summary.evaluation = evaluate(&mut trainer.model, test, &mut |done, batches| {
                    stopped |= watch(&Event::Evaluating { done, batches }) == Control::Stop;
                    !stopped
                })?;
                report.evaluation = summary.evaluation.or(report.evaluation);
                report.interrupted |= stopped && report.steps < total_steps;
            }
            report.loss = summary.losses.last().copied().unwrap_or(f64::NAN);
            if watch(&summary.event(epoch)) == Control::Stop {
                report.interrupted |= report.steps < total_steps;
            }
            Ok(())
        })?;
    }
    Ok(report)
}

/// Sums over an epoch.
struct Summary {
    losses: Vec<f64>,
    train_accuracy: f64,
    seconds: f64,
    evaluation: Option<Evaluation>,
}

impl Summary {
    fn event(&self, epoch: usize) -> Event {
        Event::Epoch {
            epoch,
            losses: self.losses.clone(),
            train_accuracy: self.train_accuracy,
            evaluation: self.evaluation,
            seconds: self.seconds,
        }
    }
}

fn train_epoch(
    trainer: &mut Trainer,
    train: &Loader,
    config: &FitConfig,
    epoch: usize,
    report: &mut FitReport,
    watch: &mut dyn FnMut(&Event) -> Control,
) -> Result<Summary> {
    let total_steps = config.total_steps(train.batches());
    let mut sums = vec![0.0; trainer.ranges().len()];
    let (mut correct, mut samples, mut seconds) = (0, 0, 0.0);
    for position in 0..train.batches() {
        let started = Instant::now();
        let batch = train.batch(epoch as u64 - 1, position)?;
        let learning_rate = config.rate(report.steps + 1, epoch);
        let step = trainer
            .step(&batch, learning_rate, &mut |stage| {
                watch(&Event::Stage(stage));
            })
            .map_err(|e| e.at(format!("step {}", report.steps + 1)))?;
        let count = batch.labels.len();
        let elapsed = started.elapsed().as_secs_f64();
        report.steps += 1;
        report.samples += count;
        report.train_seconds += elapsed;
        correct += step.correct;
        samples += count;
        seconds += elapsed;
        for (sum, loss) in sums.iter_mut().zip(&step.losses) {
            *sum += loss * count as f64;
        }
        let event = Event::Step {
            step: report.steps,
            epoch,
            losses: step.losses,
            learning_rate,
            samples: count,
            seconds: elapsed,
        };
        let stop = watch(&event) == Control::Stop;
        if report.steps == total_steps {
            break;
        }
        if stop {
            report.interrupted = true;
            break;
        }
    }
    let share = 1.0 / samples.max(1) as f64;
    Ok(Summary {
        losses: sums.iter().map(|sum| sum * share).collect(),
        train_accuracy: correct as f64 * share,
        seconds,
        evaluation: None,
    })
}
