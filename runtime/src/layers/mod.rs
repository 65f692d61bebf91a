//! Layers: an op, its weights, and what it keeps for its backward pass.
//!
//! Layers know maps, the tape and parameters. They know nothing of blocks, rules or optimizers: a weight's
//! gradient goes to the [`GradientSink`] the moment it exists.

pub mod limits;
pub(crate) mod axes;
pub mod spec;
pub mod trains;
mod output;
pub mod cost;
pub mod parameter_visit;
pub mod statistic;
pub mod gradient;
pub mod conv;
pub mod batch_norm;
pub mod group_norm;
pub mod response_norm;
pub mod chain;
pub mod linear;
pub mod embedding;
mod shape_only;
pub mod elementwise;
pub mod prelu;
pub mod scale;
pub mod pool;
pub mod channels;
pub mod excite;
pub mod residual;
pub mod sequential;

use crate::error::Result;
use crate::maps::counted::ledger::Part;
use crate::maps::group_norm::Extent;
use crate::maps::map_read::MapRead;
use crate::maps::{Map, Place};
use crate::parameter::Parameter;
use crate::random::Stream;
use crate::tape::Tape;
pub use gradient::{Grad, GradientSink, Need, input_gradient};
pub use parameter_visit::{Form, FormReader, Reader, Variable, Visitor};
pub use sequential::Sequential;
use spec::join;
pub use spec::{Features, LayerSpec, NamedLayer};
pub use statistic::Statistic;
pub use trains::Trains;

/// What dropout draws from: it differs from pass to pass, and is the same when a run is repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Draw {
    /// Number of the forward pass since training began.
    pub pass: u64,
    /// The place of the first sample in the batch of that pass; above 0 where a share of it passes.
    pub first: usize,
}

/// How a forward pass is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics, dropout, and a tape for the backward pass.
    Train {
        /// What dropout draws from.
        draw: Draw,
    },
    /// That pass once more, when what it kept is needed at last: all as in that pass, but running statistics have seen
    /// the batch already.
    Again {
        /// What dropout drew from.
        draw: Draw,
        /// Whether its output is looked at; else a layer may answer any map of that shape.
        answers: bool,
    },
    /// Running statistics, no dropout, nothing kept.
    Evaluate,
}

impl Mode {
    /// Whether a backward pass will follow.
    pub fn is_training(self) -> bool {
        self.draw().is_some()
    }

    /// Whether running statistics take in the batch.
    pub fn observes(self) -> bool {
        matches!(self, Self::Train { .. })
    }

    /// What dropout draws from, in training.
    pub fn draw(self) -> Option<Draw> {
        match self {
            Self::Train { draw } | Self::Again { draw, .. } => Some(draw),
            Self::Evaluate => None,
        }
    }

    /// The mode in which to repeat this pass.
    #[must_use]
    pub fn again(self) -> Self {
        self.draw().map_or(self, |draw| Self::Again { draw, answers: true })
    }

    /// The mode in which to repeat it for what it leaves on the tape alone.
    #[must_use]
    pub fn without_answer(self) -> Self {
        self.draw().map_or(self, |draw| Self::Again { draw, answers: false })
    }

    /// Whether somebody looks at the output.
    pub fn answers(self) -> bool {
        !matches!(self, Self::Again { answers: false, .. })
    }
}

/// A function with weights and a closed-form gradient.
pub trait Layer: Send {
    /// Maps `x: [N, H, W, C]` or `[N, F]`, or tokens `[N, T]`, which may still have to be normalized, as may what it gives; in training it pushes
    /// on `tape` what backward will pop.
    fn forward(&mut self, x: MapRead, mode: Mode, tape: &mut Tape) -> Result<MapRead>;

    /// Maps the gradient of the output to that of the input, as far as that is needed, and hands the gradients of trainable
    /// weights to `sink`. Where it is not needed, layers below the last weight are not visited; what they left on the tape
    /// goes, too.
    fn backward(
        &mut self,
        d_y: Grad,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
        need: Need<'_>,
    ) -> Result<Option<Map>>;

    /// Shows every weight and running statistic, named from `path` down.
    fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()>;
}

/// Where new layers live and what their weights start from.
#[derive(Clone, Debug)]
pub struct Initializer {
    /// Weights are a function of this seed and their own name alone.
    pub seed: u64,
    /// Whether they are drawn; else they are 0 until they are loaded.
    pub draws: bool,
    /// Where the weights live.
    pub place: Place,
    /// What their memory is for.
    pub part: Part,
    /// Which of them are trained.
    pub trains: Trains,
}

impl Initializer {
    /// A weight whose start is drawn from the stream of its name, which is `path` and `name`.
    pub fn draw(
        &self,
        [path, name]: [&str; 2],
        dims: &[usize],
        make: impl FnOnce(&mut Stream) -> Result<Map>,
    ) -> Result<Parameter> {
        let value = match self.draws {
            true => self.place.made(dims, || make(&mut Stream::new(self.seed, &join(path, name), &[])))?,
            false => self.place.full(dims, 0.0)?,
        };
        Ok(self.parameter(value, self.trains.weights))
    }

    /// The parameter that starts as `value`.
    pub fn parameter(&self, value: Map, trainable: bool) -> Parameter {
        Parameter { trainable, ..Parameter::of_part(value, self.part) }
    }

    /// A number for each of so many channels, all the same.
    pub fn constant(&self, channels: usize, number: f32) -> Result<Map> {
        let value = self.place.full(&[channels], number)?;
        value.label(self.part);
        Ok(value)
    }
}

/// Builds the layer that `spec` describes; `path` is the name its weights start from.
pub fn build(spec: &LayerSpec, path: &str, initializer: &Initializer) -> Result<Box<dyn Layer>> {
    Ok(match spec {
        LayerSpec::Conv { inputs, outputs, config, bias } => {
            Box::new(conv::Conv::new(*inputs, *outputs, *config, *bias, path, initializer)?)
        }
        LayerSpec::BatchNorm { channels, activation, epsilon, momentum } => {
            Box::new(batch_norm::BatchNorm::new(*channels, *activation, [*epsilon, *momentum], initializer)?)
        }
        LayerSpec::LayerNorm { channels, epsilon } => {
            Box::new(group_norm::GroupNorm::new(*channels, Extent::Position, *epsilon, initializer)?)
        }
        LayerSpec::GroupNorm { channels, groups, epsilon } => {
            Box::new(group_norm::GroupNorm::new(*channels, Extent::Group(*groups), *epsilon, initializer)?)
        }
        LayerSpec::ResponseNorm { channels } => {
            Box::new(response_norm::ResponseNorm::new(*channels, initializer)?)
        }
        LayerSpec::Linear { inputs, outputs, bias } => {
            Box::new(linear::Linear::new(*inputs, *outputs, *bias, path, initializer)?)
        }
        LayerSpec::Embedding { vocabulary, channels } => {
            Box::new(embedding::Embedding::new(*vocabulary, *channels, path, initializer)?)
        }
        LayerSpec::Activation(activation) => Box::new(elementwise::Activate { activation: *activation }),
        LayerSpec::Prelu { slopes } => Box::new(prelu::Prelu::new(*slopes, initializer)?),
        LayerSpec::Dropout { probability } => {
            Box::new(elementwise::Dropout::new(*probability, path, initializer))
        }
        LayerSpec::DropPath { probability } => {
            Box::new(elementwise::DropPath::new(*probability, path, initializer))
        }
        LayerSpec::Scale { channels, start } => Box::new(scale::Scale::new(*channels, *start, initializer)?),
        LayerSpec::MaxPool(config) => Box::new(pool::MaxPool { config: *config }),
        LayerSpec::AveragePool(config) => Box::new(pool::AveragePool { config: *config }),
        LayerSpec::AdaptiveAveragePool(size) => Box::new(pool::AdaptiveAveragePool { size: *size }),
        LayerSpec::GlobalAveragePool => Box::new(pool::GlobalAveragePool),
        LayerSpec::Flatten => Box::new(elementwise::Flatten),
        LayerSpec::Upsample { size, align_corners } => {
            Box::new(elementwise::Upsample { size: *size, align_corners: *align_corners })
        }
        LayerSpec::Slice { first, count } => Box::new(channels::Slice { first: *first, count: *count }),
        LayerSpec::Shuffle { groups } => Box::new(channels::Shuffle { groups: *groups }),
        LayerSpec::Concat { branches } => Box::new(channels::Concat::new(branches, path, initializer)?),
        LayerSpec::Excite { gate } => Box::new(excite::Excite::new(gate, path, initializer)?),
        LayerSpec::Residual { main, shortcut, activation } => {
            Box::new(residual::Residual::new(main, shortcut, *activation, path, initializer)?)
        }
    })
}
