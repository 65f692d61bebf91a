//! The learning rate over a run.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The warm-up of the published recipe, in epochs.
pub const DEFAULT_WARMUP_EPOCHS: usize = 10;
/// The rate that the published warm-up starts from.
pub const DEFAULT_START_RATE: f64 = 0.01;

/// How the learning rate changes from epoch to epoch.
///
/// Epochs count from 1. A run that is counted in steps puts steps in their place: then milestones and the
/// warm-up are steps, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Schedule {
    /// The base rate throughout.
    Constant,
    /// The base rate, times `factor` for every milestone that lies before the epoch.
    Step {
        /// The last epoch at each rate, in rising order.
        milestones: Vec<usize>,
        /// What each milestone multiplies the rate by, above 0.
        factor: f64,
    },
    /// Half a cosine (Loshchilov and Hutter 2017, "SGDR"): c(e) = ½·base·(1 + cos(πe/E)), 0 in the last epoch of
    /// E. In the warm-up, epochs 1 to W, the rate is c(e)·(e-1)/W + start·(W+1-e)/W.
    Cosine {
        /// W; a shorter run warms up for a quarter of it: W = min(warmup_epochs, E/4), rounded down.
        warmup_epochs: usize,
        /// start, the rate of epoch 1; a smaller base rate takes its place.
        start_rate: f64,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self::cosine()
    }
}

impl Schedule {
    /// The published recipe of the local rules: cosine after ten epochs of warm-up from 0.01.
    pub fn cosine() -> Self {
        Self::Cosine { warmup_epochs: DEFAULT_WARMUP_EPOCHS, start_rate: DEFAULT_START_RATE }
    }

    /// Errors, with what to change, if a field is out of its range.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Constant => Ok(()),
            Self::Step { milestones, factor } => {
                if !(*factor > 0.0 && factor.is_finite()) {
                    return Err(Error::config(format!(
                        "factor is {factor}; give a positive number, such as 0.1"
                    )));
                }
                match milestones.is_sorted_by(|a, b| a < b) && milestones.first() != Some(&0) {
                    true => Ok(()),
                    false => Err(Error::config(format!(
                        "milestones are {milestones:?}; give epochs from 1 on, each larger than the one before"
                    ))),
                }
            }
            Self::Cosine { start_rate, .. } => match *start_rate >= 0.0 && start_rate.is_finite() {
                true => Ok(()),
                false => Err(Error::config(format!(
                    "start_rate is {start_rate}; give a finite number that is not negative, such as 0.01"
                ))),
            },
        }
    }

    /// The learning rate in `epoch` (from 1) of `epochs`, for the rate `base`. An epoch outside the run counts as
    /// the nearest one inside. A cosine over a single epoch, which would be 0, is its mean instead, ½·base.
    pub fn rate(&self, base: f64, epoch: usize, epochs: usize) -> f64 {
        let epochs = epochs.max(1);
        let epoch = epoch.clamp(1, epochs);
        match self {
            Self::Constant => base,
            Self::Step { milestones, factor } => {
                let passed = milestones.iter().filter(|&&milestone| milestone < epoch).count();
                base * factor.powi(passed as i32)
            }
            Self::Cosine { .. } if epochs == 1 => 0.5 * base,
            Self::Cosine { warmup_epochs, start_rate } => {
                let cosine = 0.5 * base * (1.0 + (std::f64::consts::PI * epoch as f64 / epochs as f64).cos());
                let warmup = (*warmup_epochs).min(epochs / 4);
                if epoch > warmup {
                    return cosine;
                }
                let (done, warmup) = ((epoch - 1) as f64, warmup as f64);
                cosine * done / warmup + start_rate.min(base) * (warmup - done) / warmup
            }
        }
    }
}
