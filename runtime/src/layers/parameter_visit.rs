//! How weights are reached by name: one walk serves loading, saving, averaging and updating.

use super::statistic::Statistic;
use crate::error::Result;
use crate::parameter::Parameter;
use candle_core::Tensor;

/// Something a layer holds between steps.
pub enum Variable<'a> {
    /// Trained by gradients.
    Parameter(&'a mut Parameter),
    /// Kept by the layer itself, as batch norm keeps its running mean.
    Statistic(&'a mut Statistic),
}

impl Variable<'_> {
    /// The current value.
    pub fn value(&self) -> &Tensor {
        match self {
            Variable::Parameter(parameter) => &parameter.value,
            Variable::Statistic(statistic) => &statistic.value,
        }
    }

    /// Replaces the value; the shape must be the same.
    pub fn set(&mut self, value: Tensor) {
        match self {
            Variable::Parameter(parameter) => parameter.value = value,
            Variable::Statistic(statistic) => **statistic = Statistic::new(value),
        }
    }
}

/// Called once for each variable with its full name.
pub type Visitor<'a> = dyn FnMut(&str, Variable<'_>) -> Result<()> + 'a;
