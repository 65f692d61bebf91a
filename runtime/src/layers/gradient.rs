//! Gradients on their way: who may write into them, which are needed, and where those of weights go.

use crate::error::{Error, Result};
use crate::maps::{Map, elementwise};
use crate::parameter::Parameter;

/// Where gradients of weights go.
pub trait GradientSink {
    /// Takes the gradient of `parameter`, which has its shape.
    fn take(&mut self, parameter: &mut Parameter, d_value: Map) -> Result<()>;

    /// Whether parameters change when it takes their gradients.
    fn updates(&self) -> bool {
        true
    }
}

/// Hands on the gradient of `parameter`, if it is trained.
///
/// # Errors
/// Those of `sink`.
pub fn give(parameter: &mut Parameter, d_value: Map, sink: &mut dyn GradientSink) -> Result<()> {
    if parameter.trainable { sink.take(parameter, d_value) } else { Ok(()) }
}

/// The gradient of a layer's output.
#[derive(Debug)]
pub enum Grad {
    /// Whose memory may be written into.
    Own(Map),
    /// That somebody else reads afterwards.
    Lent(Map),
}

impl From<Map> for Grad {
    fn from(d: Map) -> Self {
        Self::Own(d)
    }
}

impl Grad {
    /// To be read.
    pub fn map(&self) -> &Map {
        match self {
            Self::Own(d) | Self::Lent(d) => d,
        }
    }

    /// To be written into: a copy if somebody else reads it.
    ///
    /// # Errors
    /// Those of the device.
    pub fn own(self) -> Result<Map> {
        match self {
            Self::Own(d) => Ok(d),
            Self::Lent(d) => d.copy(),
        }
    }
}

/// What of the gradient of a layer's input is needed.
#[derive(Clone, Copy, Debug)]
pub enum Need<'a> {
    /// Nothing of it.
    Nothing,
    /// It alone.
    Input,
    /// Its sum with a map of its shape.
    Sum(&'a Map),
}

impl Need<'_> {
    /// Whether it is needed at all.
    pub fn is_some(self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The same without anything that is added.
    #[must_use]
    pub fn alone(self) -> Self {
        if self.is_some() { Self::Input } else { Self::Nothing }
    }

    /// What is needed, of a gradient that `make` makes and that nobody else has.
    ///
    /// # Errors
    /// Those of `make`, and of adding.
    pub fn of(self, make: impl FnOnce() -> Result<Map>) -> Result<Option<Map>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Input => make().map(Some),
            Self::Sum(other) => elementwise::add(make()?, other).map(Some),
        }
    }
}

/// The gradient that a backward pass was asked for.
pub fn input_gradient(gradient: Option<Map>) -> Result<Map> {
    gradient.ok_or_else(|| Error::internal("a layer gave no gradient for its input"))
}
