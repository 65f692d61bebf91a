//! Layers as data: what a layer is, the features it takes and the features it gives.

use super::limits::{check_features, check_numbers};
use super::output::output;
use crate::error::{Error, Result};
use crate::inputs::Tokens;
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use crate::maps::pool::PoolConfig;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The shape of one sample's features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Features {
    /// A feature map, stored as `[H, W, C]`.
    Map {
        /// C
        channels: usize,
        /// H
        height: usize,
        /// W
        width: usize,
    },
    /// A vector of this length.
    Flat(usize),
    /// Tokens, stored as a vector of them, which an embedding alone takes.
    Tokens(Tokens),
}

impl Features {
    /// Number of elements of one sample; as many as can be counted at most.
    pub fn elements(self) -> usize {
        match self {
            Self::Map { channels, height, width } => channels.saturating_mul(height).saturating_mul(width),
            Self::Flat(length) | Self::Tokens(Tokens { length, .. }) => length,
        }
    }

    /// Channels of a map, or the length of a vector; 1 of tokens.
    pub fn channels(self) -> usize {
        match self {
            Self::Map { channels, .. } => channels,
            Self::Flat(length) => length,
            Self::Tokens(_) => 1,
        }
    }

    /// The shape of a map of so many samples.
    pub fn dims(self, samples: usize) -> Vec<usize> {
        match self {
            Self::Map { channels, height, width } => vec![samples, height, width, channels],
            Self::Flat(length) | Self::Tokens(Tokens { length, .. }) => vec![samples, length],
        }
    }

    /// The same with so many channels.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        match self {
            Self::Map { height, width, .. } => Self::Map { channels, height, width },
            Self::Flat(_) => Self::Flat(channels),
            Self::Tokens(_) => self,
        }
    }

    /// The channels, height and width of a map.
    pub fn map(self) -> Result<(usize, usize, usize)> {
        match self {
            Self::Map { channels, height, width } => Ok((channels, height, width)),
            Self::Flat(_) | Self::Tokens(_) => {
                Err(Error::shape(format!("a feature map is needed here, found {self}")))
            }
        }
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map { channels, height, width } => write!(f, "{channels}x{height}x{width}"),
            Self::Flat(length) => write!(f, "{length}"),
            Self::Tokens(tokens) => tokens.fmt(f),
        }
    }
}

/// How the input of a residual unit reaches its sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShortcutSpec {
    /// As it is.
    Identity,
    /// Every `stride`-th row and column, with zero channels around up to `channels` (He et al. 2015, option A).
    Pad {
        /// Rows and columns from one taken to the next.
        #[serde(with = "super::axes")]
        stride: [usize; 2],
        /// Channels of the sum.
        channels: usize,
    },
    /// Through layers of its own, usually a 1x1 convolution and batch norm (option B).
    Projection(Vec<NamedLayer>),
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerSpec {
    /// Convolution of a map.
    Conv {
        /// Input channels.
        inputs: usize,
        /// Output channels.
        outputs: usize,
        /// Kernel, stride, padding, dilation, groups.
        config: ConvConfig,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Batch norm over samples and positions, with an activation fused in.
    BatchNorm {
        /// Channels.
        channels: usize,
        /// Applied to the normalised value.
        activation: Option<Activation>,
        /// Added to the variance before the root. Left out where it is 1e-5, as are momenta of 0.1.
        #[serde(default = "usual_epsilon", skip_serializing_if = "is_usual_epsilon")]
        epsilon: f64,
        /// Share of the newest batch in the running statistics.
        #[serde(default = "usual_momentum", skip_serializing_if = "is_usual_momentum")]
        momentum: f64,
    },
    /// Layer norm (Ba et al. 2016) over the channels of each position.
    LayerNorm {
        /// Channels.
        channels: usize,
        /// Added to the variance before the root.
        #[serde(default = "usual_epsilon")]
        epsilon: f64,
    },
    /// Group norm (Wu and He 2018) over all positions of a sample.
    GroupNorm {
        /// Channels.
        channels: usize,
        /// Groups of channels, each of which has its own mean and variance.
        groups: usize,
        /// Added to the variance before the root.
        #[serde(default = "usual_epsilon")]
        epsilon: f64,
    },
    /// Global response norm (Woo et al. 2023): starts as the identity.
    ResponseNorm {
        /// Channels.
        channels: usize,
    },
    /// Matrix product with a weight `[outputs, inputs]`.
    Linear {
        /// Input features.
        inputs: usize,
        /// Output features.
        outputs: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// A trained row of numbers for each token, which it becomes: the first layer where samples are tokens. Gives a map of
    /// one row, as long as there are tokens.
    Embedding {
        /// How many tokens there are to choose from.
        vocabulary: usize,
        /// Numbers of a row.
        channels: usize,
    },
    /// Elementwise non-linearity.
    Activation(Activation),
    /// ReLU with trained slopes below 0 (He et al. 2015).
    Prelu {
        /// Slopes: one a channel, or 1.
        slopes: usize,
    },
    /// Inverted dropout: active in training only.
    Dropout {
        /// Probability of dropping an element.
        probability: f64,
    },
    /// Stochastic depth (Huang et al. 2016): active in training only, at the end of a residual sum's branch. A sample is left
    /// out as a whole, or divided by the share that is kept.
    DropPath {
        /// Probability of leaving a sample out.
        probability: f64,
    },
    /// A trained factor of each channel, as ConvNeXt's layer scale; it has the layer's own name.
    Scale {
        /// Channels.
        channels: usize,
        /// What all factors start as.
        start: f64,
    },
    /// Maximum over windows.
    MaxPool(PoolConfig),
    /// Mean over windows; padding counts as zeros.
    AveragePool(PoolConfig),
    /// Mean over windows chosen so that the output has this height and width.
    AdaptiveAveragePool([usize; 2]),
    /// Mean over all positions: a map becomes a vector.
    GlobalAveragePool,
    /// A map becomes a vector in the order channel, row, column.
    Flatten,
    /// Bilinear up-sampling to this height and width.
    Upsample {
        /// Height and width of the output.
        size: [usize; 2],
        /// Whether the corners of input and output coincide.
        align_corners: bool,
    },
    /// Some of the channels, as for a branch that others pass by.
    Slice {
        /// The first of them.
        first: usize,
        /// How many.
        count: usize,
    },
    /// The channels of groups taken in turn (Zhang et al. 2018, "ShuffleNet").
    Shuffle {
        /// Groups.
        groups: usize,
    },
    /// What branches make of the input, side by side; a branch without layers is the input itself.
    Concat {
        /// The branches, in the order of their channels.
        branches: Vec<Vec<NamedLayer>>,
    },
    /// `x · gate(x)`, as in squeeze-and-excitation (Hu et al. 2018).
    Excite {
        /// Gives a number for each channel of a sample: `C` features, or a map of one position.
        gate: Vec<NamedLayer>,
    },
    /// `activation(main(x) + shortcut(x))`.
    Residual {
        /// The branch that is trained to a residual.
        main: Vec<NamedLayer>,
        /// The branch around it.
        shortcut: ShortcutSpec,
        /// Applied to the sum.
        activation: Option<Activation>,
    },
}

/// What norms add to a variance where nothing else is said.
fn usual_epsilon() -> f64 {
    1e-5
}

fn is_usual_epsilon(epsilon: &f64) -> bool {
    *epsilon == usual_epsilon()
}

/// The share of the newest batch where nothing else is said.
fn usual_momentum() -> f64 {
    0.1
}

fn is_usual_momentum(momentum: &f64) -> bool {
    *momentum == usual_momentum()
}

/// A layer and the part of its weights' names that it adds; an empty name adds nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedLayer {
    /// For example `conv1` or `downsample.0`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What it is.
    pub layer: LayerSpec,
}

/// A layer with the given name.
pub fn named(name: impl Into<String>, layer: LayerSpec) -> NamedLayer {
    NamedLayer { name: name.into(), layer }
}

/// A layer without weights, or one whose weights carry just the name around it.
pub fn unnamed(layer: LayerSpec) -> NamedLayer {
    named("", layer)
}

/// Joins two parts of a weight's name; either may be empty.
pub fn join<'a>(path: &'a str, name: &'a str) -> Cow<'a, str> {
    match (path.is_empty(), name.is_empty()) {
        (true, _) => name.into(),
        (_, true) => path.into(),
        _ => [path, ".", name].concat().into(),
    }
}

/// The layers with weights among `layers`, and inside them, in order; each with its full name, below `path`.
pub fn weighted<'a>(path: &str, layers: &'a [NamedLayer]) -> Vec<(String, &'a LayerSpec)> {
    let mut found = Vec::new();
    for NamedLayer { name, layer } in layers {
        let path = join(path, name);
        if !layer.tensors().is_empty() {
            found.push((path.to_string(), layer));
        }
        layer.branches().into_iter().for_each(|branch| found.extend(weighted(&path, branch)));
    }
    found
}

/// The features after a list of layers. Errors name the first layer that does not fit.
pub fn output_of_all(layers: &[NamedLayer], input: Features) -> Result<Features> {
    layers.iter().try_fold(input, |features, NamedLayer { name, layer }| {
        layer.output(features).map_err(|e| if name.is_empty() { e } else { e.at(name) })
    })
}

impl LayerSpec {
    /// Batch norm as it is where nothing else is said: with an epsilon of 1e-5 and a momentum of 0.1.
    pub fn batch_norm(channels: usize, activation: Option<Activation>) -> Self {
        let (epsilon, momentum) = (usual_epsilon(), usual_momentum());
        Self::BatchNorm { channels, activation, epsilon, momentum }
    }

    /// Whether it, or a layer inside it, has weights.
    pub fn has_weights(&self) -> bool {
        let within = || self.branches().into_iter().flatten().any(|inner| inner.layer.has_weights());
        !self.tensors().is_empty() || within()
    }

    /// The names that its own weights and statistics have after the layer's.
    pub fn tensors(&self) -> &'static [&'static str] {
        match self {
            Self::Conv { bias: true, .. }
            | Self::Linear { bias: true, .. }
            | Self::LayerNorm { .. }
            | Self::GroupNorm { .. }
            | Self::ResponseNorm { .. } => &["weight", "bias"],
            Self::Conv { .. } | Self::Linear { .. } | Self::Embedding { .. } | Self::Prelu { .. } => {
                &["weight"]
            }
            Self::Scale { .. } => &[""],
            Self::BatchNorm { .. } => &["weight", "bias", "running_mean", "running_var"],
            Self::Activation(_)
            | Self::Dropout { .. }
            | Self::DropPath { .. }
            | Self::MaxPool(_)
            | Self::AveragePool(_)
            | Self::AdaptiveAveragePool(_)
            | Self::GlobalAveragePool
            | Self::Flatten
            | Self::Upsample { .. }
            | Self::Slice { .. }
            | Self::Shuffle { .. }
            | Self::Concat { .. }
            | Self::Excite { .. }
            | Self::Residual { .. } => &[],
        }
    }

    /// The lists of layers inside it, each of which is given its input.
    pub fn branches(&self) -> Vec<&[NamedLayer]> {
        match self {
            Self::Residual { main, shortcut: ShortcutSpec::Projection(around), .. } => vec![main, around],
            Self::Residual { main: inner, .. } | Self::Excite { gate: inner } => vec![inner],
            Self::Concat { branches } => branches.iter().map(Vec::as_slice).collect(),
            _ => Vec::new(),
        }
    }

    /// The features this layer makes of `input`, or why it cannot take them.
    ///
    /// # Errors
    /// `Shape` where they do not fit, `Config` where a number is out of its range or [`super::limits`] are exceeded.
    pub fn output(&self, input: Features) -> Result<Features> {
        check_numbers(&self.numbers())?;
        check_features(output(self, input)?)
    }

    /// Its sizes and counts, but for those that its input or its weight bounds.
    fn numbers(&self) -> Vec<usize> {
        match self {
            Self::Conv { outputs, config, .. } => {
                let pairs = [config.kernel, config.stride, config.padding, config.dilation];
                [pairs.as_flattened(), &[*outputs, config.groups]].concat()
            }
            Self::MaxPool(pool) | Self::AveragePool(pool) => {
                [pool.kernel, pool.stride, pool.padding].as_flattened().to_vec()
            }
            Self::AdaptiveAveragePool(size) | Self::Upsample { size, .. } => size.to_vec(),
            Self::Embedding { channels, .. } => vec![*channels],
            Self::Residual { shortcut: ShortcutSpec::Pad { stride, channels }, .. } => {
                vec![stride[0], stride[1], *channels]
            }
            Self::BatchNorm { .. }
            | Self::LayerNorm { .. }
            | Self::GroupNorm { .. }
            | Self::ResponseNorm { .. }
            | Self::Linear { .. }
            | Self::Activation(_)
            | Self::Prelu { .. }
            | Self::Dropout { .. }
            | Self::DropPath { .. }
            | Self::Scale { .. }
            | Self::GlobalAveragePool
            | Self::Flatten
            | Self::Slice { .. }
            | Self::Shuffle { .. }
            | Self::Concat { .. }
            | Self::Excite { .. }
            | Self::Residual { .. } => Vec::new(),
        }
    }
}
