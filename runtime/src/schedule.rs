//! The learning rate over a run.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The warm-up of the published recipe, in epochs.
pub const DEFAULT_WARMUP_EPOCHS: usize = 10;
/// The rate that the published warm-up starts from.
pub const DEFAULT_START_RATE: f64 = 0.01;
/// The share of the base rate that a cosine ends at.
pub const DEFAULT_FLOOR: f64 = 0.01;

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
    /// Half a cosine from base to f·base (Loshchilov and Hutter 2017, "SGDR"), of which every epoch has the rate in its
    /// middle: c(t) = base·(f + ½(1-f)·(1 + cos(πt/E))) at t = e-½ of E. Epochs 1 to W warm up: c(t)·t/W + start·(W-t)/W.
    /// Every epoch trains: the last lies just above f·base.
    ///
    /// Without a floor, as published: every epoch has the rate at its end, c(e) with f = 0, and the last trains at 0; the
    /// warm-up is c(e)·(e-1)/W + start·(W+1-e)/W.
    Cosine {
        /// W; a shorter run warms up for a quarter of it: W = min(warmup_epochs, E/4), rounded down.
        warmup_epochs: usize,
        /// start, the rate that the warm-up begins with; a smaller base rate takes its place.
        start_rate: f64,
        /// f, in [0, 1], the share of the base rate that it ends at; none for the published form.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        floor: Option<f64>,
    },
}

impl Default for Schedule {
    fn default() -> Self {
        Self::cosine()
    }
}

impl Schedule {
    /// A cosine that ends at a hundredth of the base rate, after ten epochs of warm-up from 0.01.
    pub fn cosine() -> Self {
        Self::Cosine {
            warmup_epochs: DEFAULT_WARMUP_EPOCHS,
            start_rate: DEFAULT_START_RATE,
            floor: Some(DEFAULT_FLOOR),
        }
    }

    /// The published recipe of the local rules: the same to 0, at which the last epoch trains.
    pub fn published() -> Self {
        Self::Cosine { warmup_epochs: DEFAULT_WARMUP_EPOCHS, start_rate: DEFAULT_START_RATE, floor: None }
    }

    /// What goes on with a run that was begun by `begun`: itself, but for the end of a cosine that had no floor when
    /// nobody could say one.
    #[must_use]
    pub fn as_begun(self, begun: &Self) -> Self {
        match (self, begun) {
            (Self::Cosine { warmup_epochs, start_rate, .. }, Self::Cosine { floor: None, .. }) => {
                Self::Cosine { warmup_epochs, start_rate, floor: None }
            }
            (schedule, _) => schedule,
        }
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
            Self::Cosine { start_rate, floor, .. } => {
                if !(*start_rate >= 0.0 && start_rate.is_finite()) {
                    return Err(Error::config(format!(
                        "start_rate is {start_rate}; give a finite number that is not negative, such as 0.01"
                    )));
                }
                match floor {
                    Some(share) if !(0.0..=1.0).contains(share) => Err(Error::config(format!(
                        "floor is {share}; give a share of the learning rate from 0 to 1, such as 0.01"
                    ))),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The learning rate in `epoch` (from 1) of `epochs`, for the rate `base`. An epoch outside the run counts as
    /// the nearest one inside. A single epoch of the published cosine, which would be 0, has its mean instead, ½·base.
    pub fn rate(&self, base: f64, epoch: usize, epochs: usize) -> f64 {
        let epochs = epochs.max(1);
        let epoch = epoch.clamp(1, epochs);
        match self {
            Self::Constant => base,
            Self::Step { milestones, factor } => {
                let passed = milestones.iter().filter(|&&milestone| milestone < epoch).count();
                base * factor.powi(passed as i32)
            }
            Self::Cosine { floor: None, .. } if epochs == 1 => 0.5 * base,
            Self::Cosine { warmup_epochs, start_rate, floor } => {
                // How far the cosine is, and how far the warm-up.
                let (at, warm) = match floor {
                    Some(_) => (epoch as f64 - 0.5, epoch as f64 - 0.5),
                    None => (epoch as f64, epoch as f64 - 1.0),
                };
                let share = floor.unwrap_or(0.0);
                let falling = 0.5 * base * (1.0 + (std::f64::consts::PI * at / epochs as f64).cos());
                let cosine = share * base + (1.0 - share) * falling;
                let warmup = (*warmup_epochs).min(epochs / 4);
                if epoch > warmup {
                    return cosine;
                }
                let warmup = warmup as f64;
                cosine * warm / warmup + start_rate.min(base) * (warmup - warm) / warmup
            }
        }
    }
}
