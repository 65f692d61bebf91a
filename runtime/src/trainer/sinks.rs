//! What becomes of gradients.

use super::Trainer;
use crate::error::{Error, Result};
use crate::layers::{GradientSink, Variable};
use crate::maps::Map;
use crate::maps::elementwise;
use crate::optimizer::{self, OptimizerConfig};
use crate::parameter::Parameter;

/// Hands every gradient to the optimizer the moment it exists.
pub(super) struct Update {
    pub(super) optimizer: OptimizerConfig,
    pub(super) learning_rate: f64,
}

impl GradientSink for Update {
    fn take(&mut self, parameter: &mut Parameter, d_value: Map) -> Result<()> {
        optimizer::update(parameter, &d_value, &self.optimizer, self.learning_rate)
    }
}

/// Adds every gradient to its parameter's accumulator.
pub(super) struct Accumulate;

impl GradientSink for Accumulate {
    fn take(&mut self, parameter: &mut Parameter, d_value: Map) -> Result<()> {
        optimizer::accumulate(parameter, d_value, 1.0)
    }

    fn updates(&self) -> bool {
        false
    }
}

/// Forgets every gradient.
pub(super) struct Discard;

impl GradientSink for Discard {
    fn take(&mut self, _: &mut Parameter, _: Map) -> Result<()> {
        Ok(())
    }

    fn updates(&self) -> bool {
        false
    }
}

impl Trainer {
    /// Clips the block's accumulated gradient if asked to, and hands it to the optimizer.
    pub(super) fn apply_accumulated(&mut self, block: usize, learning_rate: f64) -> Result<()> {
        let factor = match self.config.method.clip_norm {
            Some(limit) => (limit / (self.accumulated_norm(block)? + 1e-6)).min(1.0),
            None => 1.0,
        };
        let config = self.config.method.optimizer.clone();
        let update = &mut |_: &str, variable: Variable<'_>| -> Result<()> {
            if let Variable::Parameter(parameter) = variable
                && let Some(gradient) = parameter.accumulated.take()
            {
                let gradient = if factor < 1.0 { elementwise::scale(gradient, factor)? } else { gradient };
                optimizer::update(parameter, &gradient, &config, learning_rate)?;
            }
            Ok(())
        };
        self.trained_groups(block).try_for_each(|group| self.visit_group(group, update))
    }

    /// Norm of the block's accumulated gradient. One that is no number could not be clipped: by infinity all becomes 0
    /// or NaN, and NaN bounds nothing.
    fn accumulated_norm(&mut self, block: usize) -> Result<f64> {
        let mut sum_of_squares = 0.0;
        let add = &mut |_: &str, variable: &Variable<'_>| -> Result<()> {
            if let Variable::Parameter(Parameter { accumulated: Some(gradient), .. }) = variable {
                sum_of_squares += elementwise::sum_of_squares(gradient)?;
            }
            Ok(())
        };
        self.trained_groups(block).try_for_each(|group| self.read_group(group, add))?;
        let norm = f64::sqrt(sum_of_squares);
        if norm.is_finite() { Ok(norm) } else { Err(Error::not_finite("norm of the gradient", norm)) }
    }
}
