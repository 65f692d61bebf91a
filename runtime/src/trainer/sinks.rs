//! What becomes of gradients.

use crate::error::Result;
use crate::layers::GradientSink;
use crate::optimizer::{self, OptimizerConfig};
use crate::parameter::Parameter;
use candle_core::Tensor;

/// Hands every gradient to the optimizer the moment it exists.
pub(super) struct Update {
    pub(super) optimizer: OptimizerConfig,
    pub(super) learning_rate: f64,
}

impl GradientSink for Update {
    fn take(&mut self, parameter: &mut Parameter, d_value: Tensor) -> Result<()> {
        optimizer::update(parameter, &d_value, &self.optimizer, self.learning_rate)
    }
}

/// Adds every gradient to its parameter's accumulator.
pub(super) struct Accumulate;

impl GradientSink for Accumulate {
    fn take(&mut self, parameter: &mut Parameter, d_value: Tensor) -> Result<()> {
        optimizer::accumulate(parameter, &d_value, 1.0)
    }

    fn updates(&self) -> bool {
        false
    }
}

/// Forgets every gradient.
pub(super) struct Discard;

impl GradientSink for Discard {
    fn take(&mut self, _: &mut Parameter, _: Tensor) -> Result<()> {
        Ok(())
    }

    fn updates(&self) -> bool {
        false
    }
}
