//! Going on otherwise: what of a trainer at rest may change.

use super::{TrainConfig, Trainer, check_weights};
use crate::error::{Error, Result};
use crate::optimizer::OptimizerConfig;
use crate::tape::Tape;

impl Trainer {
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
        check_weights(&config, &self.model.spec)?;
        self.config = config;
        Ok(())
    }

    /// Goes on in another way that keeps the method: with other shares, pieces, repetitions and precisions. What waits in a
    /// file and what does not stays as it was.
    ///
    /// # Errors
    /// `Config` for what cannot work; nothing is changed.
    pub(crate) fn change_execution(&mut self, config: &TrainConfig) -> Result<()> {
        config.validate()?;
        let TrainConfig { micro_batch, recompute, activations, features, .. } = *config;
        let pieces = config.pieces.clone();
        self.config =
            TrainConfig { micro_batch, recompute, activations, features, pieces, ..self.config.clone() };
        self.auxiliaries.iter_mut().flatten().for_each(|auxiliary| auxiliary.exit.set_recompute(recompute));
        self.tape = Tape::in_precision(activations);
        self.shelf.precision = features;
        Ok(())
    }
}
