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

/// A convolution without bias that keeps the size (up to its stride), and batch norm.
pub(super) fn conv_bn(
    conv: &str,
    bn: &str,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    activation: Option<Activation>,
) -> Vec<NamedLayer> {
    let config = square(kernel, stride);
    vec![
        named(conv, LayerSpec::Conv { inputs, outputs, config, bias: false }),
        named(bn, LayerSpec::batch_norm(outputs, activation)),
    ]
}

/// A square kernel that keeps the size, up to the stride.
pub(super) fn square(kernel: usize, stride: usize) -> ConvConfig {
    ConvConfig { kernel: [kernel; 2], stride: [stride; 2], padding: [kernel / 2; 2], ..ConvConfig::default() }
}

/// The same of each channel by itself.
pub(super) fn depthwise(channels: usize, kernel: usize, stride: usize) -> ConvConfig {
    ConvConfig { groups: channels, ..square(kernel, stride) }
}

/// A convolution without bias, called 0, and batch norm, called 1, below `path`.
pub(super) fn conv_norm(
    path: &str,
    [inputs, outputs]: [usize; 2],
    config: ConvConfig,
    activation: Option<Activation>,
    NormConfig { epsilon, momentum }: NormConfig,
) -> Vec<NamedLayer> {
    let norm = LayerSpec::BatchNorm { channels: outputs, activation, epsilon, momentum };
    vec![
        named(join(path, "0"), LayerSpec::Conv { inputs, outputs, config, bias: false }),
        named(join(path, "1"), norm),
    ]
}
