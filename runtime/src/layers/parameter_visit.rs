//! How weights are reached by name: one walk serves loading, saving, averaging and updating.

use super::statistic::Statistic;
use crate::error::Result;
use crate::maps::Map;
use crate::parameter::Parameter;

/// Something a layer holds between steps.
pub enum Variable<'a> {
    /// Trained by gradients.
    Parameter(&'a mut Parameter),
    /// Kept by the layer itself, as batch norm keeps its running mean.
    Statistic(&'a mut Statistic),
}

impl Variable<'_> {
    /// The current value.
    pub fn value(&self) -> &Map {
        match self {
            Variable::Parameter(parameter) => &parameter.value,
            Variable::Statistic(statistic) => &statistic.value,
        }
    }

    /// Replaces the value; the shape must be the same.
    pub fn set(&mut self, value: Map) {
        match self {
            Variable::Parameter(parameter) => parameter.value = value,
            Variable::Statistic(statistic) => statistic.set(value),
        }
    }
}

/// What is known of a variable without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form<'a> {
    /// Its shape.
    pub dims: &'a [usize],
    /// Of a parameter: how many tensors the optimizer remembers of it, and how often it was updated.
    pub updated: Option<(usize, u64)>,
    /// Whether that is in 8 bits.
    pub coded: bool,
}

impl Variable<'_> {
    /// All but its numbers.
    pub fn form(&self) -> Form<'_> {
        let updated = match self {
            Variable::Parameter(parameter) => {
                Some((parameter.state.len() + parameter.coded.len(), parameter.updates))
            }
            Variable::Statistic(_) => None,
        };
        let coded = matches!(self, Variable::Parameter(parameter) if parameter.is_coded());
        Form { dims: self.value().dims(), updated, coded }
    }
}

/// Called once for each variable with its full name.
pub type Visitor<'a> = dyn FnMut(&str, Variable<'_>) -> Result<()> + 'a;

/// The same of who looks and changes nothing.
pub type Reader<'a> = dyn FnMut(&str, &Variable<'_>) -> Result<()> + 'a;

/// The same of who needs no numbers.
pub type FormReader<'a> = dyn FnMut(&str, Form<'_>) -> Result<()> + 'a;
