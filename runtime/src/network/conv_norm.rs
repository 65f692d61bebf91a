//! A convolution and its batch norm: what most units are made of.

use crate::layers::spec::{LayerSpec, NamedLayer, join, named};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use serde::{Deserialize, Serialize};

/// The numbers of batch norms that are not the usual ones everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NormConfig {
    /// Added to the variance before the root.
    pub epsilon: f64,
    /// Share of the newest batch in the running statistics.
    pub momentum: f64,
}

impl Default for NormConfig {
    /// The usual ones.
    fn default() -> Self {
        Self { epsilon: 1e-5, momentum: 0.1 }
    }
}

impl NormConfig {
    /// The batch norm of so many channels.
    pub fn layer(self, channels: usize, activation: Option<Activation>) -> LayerSpec {
        let Self { epsilon, momentum } = self;
        LayerSpec::BatchNorm { channels, activation, epsilon, momentum }
    }
}

/// The stride of a unit that keeps the size, and the kernel that sees one position.
pub(super) const ONE: [usize; 2] = [1, 1];
/// The kernel of most published units.
pub(super) const THREE: [usize; 2] = [3, 3];

/// A convolution without bias, and batch norm.
pub(super) fn conv_bn(
    [conv, bn]: [&str; 2],
    [inputs, outputs]: [usize; 2],
    config: ConvConfig,
    activation: Option<Activation>,
) -> Vec<NamedLayer> {
    vec![
        named(conv, LayerSpec::Conv { inputs, outputs, config, bias: false }),
        named(bn, LayerSpec::batch_norm(outputs, activation)),
    ]
}

/// A kernel with as much padding as keeps the size, up to the stride.
pub(super) fn padded(kernel: [usize; 2], stride: [usize; 2]) -> ConvConfig {
    ConvConfig { kernel, stride, padding: kernel.map(|side| side / 2), ..ConvConfig::default() }
}

/// The same of each channel by itself.
pub(super) fn depthwise(channels: usize, kernel: [usize; 2], stride: [usize; 2]) -> ConvConfig {
    ConvConfig { groups: channels, ..padded(kernel, stride) }
}

/// A convolution without bias, called 0, and batch norm, called 1, below `path`.
pub(super) fn conv_norm(
    path: &str,
    [inputs, outputs]: [usize; 2],
    config: ConvConfig,
    activation: Option<Activation>,
    norm: NormConfig,
) -> Vec<NamedLayer> {
    vec![
        named(join(path, "0"), LayerSpec::Conv { inputs, outputs, config, bias: false }),
        named(join(path, "1"), norm.layer(outputs, activation)),
    ]
}
