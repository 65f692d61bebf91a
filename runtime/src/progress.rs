//! Where a run stands between two steps.

use crate::error::{Error, Result};
use crate::evaluate::Evaluation;
use crate::trainer::StepReport;
use serde::{Deserialize, Serialize};

/// More than any run counts to; what reaches it is no count, and must not overflow one.
const MAX_COUNT: usize = usize::MAX / 2;

/// All that a run knows besides what the trainer holds. Batches are functions of epoch and position, so that
/// nothing of the data's order needs to be kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub steps: usize,
    /// Samples trained on.
    pub samples: usize,
    /// The epoch being trained, from 1.
    pub epoch: usize,
    /// Its batches that are done.
    pub position: usize,
    /// Whether the steps so far were evaluated and told of as an epoch.
    pub closed: bool,
    /// The epoch's sum of each block's loss over the samples.
    pub loss_sums: Vec<f64>,
    /// The epoch's answers that were right while training: samples classified right, or labels.
    pub correct: usize,
    /// The epoch's samples so far.
    pub epoch_samples: usize,
    /// Seconds of the epoch's training.
    pub epoch_seconds: f64,
    /// Seconds of all training, evaluations not counted.
    pub train_seconds: f64,
    /// The last evaluation.
    pub evaluation: Option<Evaluation>,
    /// Mean loss of the last block over the epoch of the last step; NaN before the first.
    pub loss: f64,
    /// The best evaluation so far.
    pub best: Option<Best>,
}

/// The evaluation that none has surpassed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// The epoch that it followed, from 1.
    pub epoch: usize,
    /// Steps done then.
    pub steps: usize,
    /// What it is judged by: larger is better.
    pub score: f64,
    /// Its accuracy; NaN where answers are values.
    pub accuracy: f64,
    /// Its loss, which decides between equal scores.
    pub loss: f64,
    /// Whole epochs that were evaluated since.
    pub epochs_since: usize,
}

impl Progress {
    /// Before the first step.
    pub fn start(blocks: usize) -> Self {
        Self {
            steps: 0,
            samples: 0,
            epoch: 1,
            position: 0,
            closed: true,
            loss_sums: vec![0.0; blocks],
            correct: 0,
            epoch_samples: 0,
            epoch_seconds: 0.0,
            train_seconds: 0.0,
            evaluation: None,
            loss: f64::NAN,
            best: None,
        }
    }

    /// Takes in an evaluation, of which `score` is what it is judged by: the larger, and of equal ones that of less loss,
    /// is the best. `is_whole` says whether a whole epoch lies before it.
    pub(crate) fn judge(&mut self, evaluation: &Evaluation, score: f64, is_whole: bool) {
        let Evaluation { accuracy, loss, .. } = *evaluation;
        let is_best = |best: &Best| score > best.score || score == best.score && loss < best.loss;
        match &mut self.best {
            Some(best) if !(loss.is_finite() && is_best(best)) => {
                best.epochs_since += usize::from(is_whole);
            }
            // Answers that are no numbers are no better than any.
            None if !loss.is_finite() => {}
            best => {
                let (epoch, steps) = (self.epoch, self.steps);
                *best = Some(Best { epoch, steps, score, accuracy, loss, epochs_since: 0 });
            }
        }
    }

    /// Counts a step of `samples` samples.
    pub fn count(&mut self, step: &StepReport, samples: usize, seconds: f64) {
        self.steps += 1;
        self.samples += samples;
        self.position += 1;
        self.closed = false;
        self.correct += step.correct;
        self.epoch_samples += samples;
        self.epoch_seconds += seconds;
        self.train_seconds += seconds;
        for (sum, loss) in self.loss_sums.iter_mut().zip(&step.losses) {
            *sum += loss * samples as f64;
        }
        self.loss = self.mean_losses().last().copied().unwrap_or(f64::NAN);
    }

    /// Turns to the epoch that follows.
    pub fn next_epoch(&mut self) {
        self.epoch += 1;
        self.position = 0;
        self.loss_sums.fill(0.0);
        (self.correct, self.epoch_samples, self.epoch_seconds) = (0, 0, 0.0);
    }

    /// Mean loss of each block over the epoch so far.
    pub fn mean_losses(&self) -> Vec<f64> {
        let share = 1.0 / self.epoch_samples.max(1) as f64;
        self.loss_sums.iter().map(|sum| sum * share).collect()
    }

    /// Share of the answers that were right in the epoch's training, of which each sample has so many; NaN for none.
    pub fn train_accuracy(&self, answers: usize) -> f64 {
        match answers {
            0 => f64::NAN,
            answers => self.correct as f64 / (self.epoch_samples.max(1) as f64 * answers as f64),
        }
    }

    /// Refuses what no run of so many blocks and batches an epoch can have come to.
    pub fn check(&self, blocks: usize, batches: usize) -> Result<()> {
        let counts = [self.steps, self.samples, self.epoch, self.correct, self.epoch_samples];
        let countable = counts.iter().all(|&count| count < MAX_COUNT);
        if countable && self.epoch >= 1 && self.position <= batches && self.loss_sums.len() == blocks {
            return Ok(());
        }
        Err(Error::config(format!(
            "a run of {blocks} blocks and {batches} batches an epoch cannot stand at batch {} of epoch {} with {} \
             losses; go on with the network and the data that it began with",
            self.position,
            self.epoch,
            self.loss_sums.len()
        )))
    }
}
