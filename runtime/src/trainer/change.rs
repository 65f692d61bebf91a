//! Going on otherwise: what of a trainer at rest may change.

use super::{Execution, Method, Trainer, check_weights};
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
        let now = &self.config.method.optimizer;
        let same_kind = std::mem::discriminant(now) == std::mem::discriminant(&optimizer);
        if !same_kind || now.state_tensors() != optimizer.state_tensors() {
            return Err(Error::config(
                "training cannot go on with another optimizer, or with momentum where there was none: what it \
                 remembers of each weight would not fit; make another trainer",
            ));
        }
        let method = Method { optimizer, label_smoothing, clip_norm, ..self.config.method.clone() };
        method.validate()?;
        check_weights(&method, &self.model.spec)?;
        self.config.method = method;
        Ok(())
    }

    /// Carries the method out in another way. What waits in a file, and whether statistics are exact, stays as it was.
    ///
    /// # Errors
    /// `Config` for what cannot work; nothing is changed.
    pub(crate) fn change_execution(&mut self, execution: &Execution) -> Result<()> {
        execution.validate(&self.config.method)?;
        let Execution { exact, offload, features_on_disk, .. } = self.config.execution;
        let execution = Execution { exact, offload, features_on_disk, ..execution.clone() };
        let Execution { recompute, activations, features, .. } = execution;
        self.config.execution = execution;
        self.auxiliaries.iter_mut().flatten().for_each(|auxiliary| auxiliary.exit.set_recompute(recompute));
        self.tape = Tape::in_precision(activations);
        self.shelf.precision = features;
        Ok(())
    }
}
