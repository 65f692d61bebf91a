//! The units of ConvNeXt (Liu et al. 2022).

use super::conv_norm::{ONE, depthwise};
use crate::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, named, unnamed};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use serde::{Deserialize, Serialize};

/// Depthwise convolution, layer norm, two 1x1 convolutions with GELU between, layer scale; the input is added. Where the
/// shape changes, layer norm and a convolution of patches come first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConvNextBlock {
    /// Rows and columns of the depthwise kernel; 7 of each as published.
    #[serde(with = "crate::layers::axes", skip_serializing_if = "is_published")]
    pub kernel: [usize; 2],
    /// What the factors of layer scale start as.
    pub scale: f64,
    /// Probability that a sample does without the unit in training.
    pub drop_path: f64,
}

impl Default for ConvNextBlock {
    /// As published, but for the probability, which grows with depth.
    fn default() -> Self {
        Self { kernel: KERNEL, scale: 1e-6, drop_path: 0.0 }
    }
}

/// Added to variances.
const EPSILON: f64 = 1e-6;
/// The published depthwise kernel.
const KERNEL: [usize; 2] = [7, 7];
/// Channels between the two 1x1 convolutions, for each outside.
const EXPANSION: usize = 4;

fn is_published(kernel: &[usize; 2]) -> bool {
    *kernel == KERNEL
}

impl ConvNextBlock {
    /// The layers from `inputs` to `width` channels; named as torchvision names them.
    pub(super) fn layers(&self, [inputs, width]: [usize; 2], stride: [usize; 2]) -> Vec<NamedLayer> {
        let mut layers = Vec::new();
        if stride != ONE || inputs != width {
            let patches = patches([inputs, width], stride, true);
            layers.extend(patches.into_iter().map(|l| named(format!("downsample.{}", l.name), l.layer)));
        }
        let inner = width.saturating_mul(EXPANSION);
        let mut main = vec![
            named("block.0", conv([width, width], depthwise(width, self.kernel, ONE))),
            named("block.2", LayerSpec::LayerNorm { channels: width, epsilon: EPSILON }),
            named("block.3", conv([width, inner], ConvConfig::default())),
            unnamed(LayerSpec::Activation(Activation::Gelu)),
            named("block.5", conv([inner, width], ConvConfig::default())),
            named("layer_scale", LayerSpec::Scale { channels: width, start: self.scale }),
        ];
        if self.drop_path != 0.0 {
            main.push(named("stochastic_depth", LayerSpec::DropPath { probability: self.drop_path }));
        }
        let shortcut = ShortcutSpec::Identity;
        layers.push(unnamed(LayerSpec::Residual { main, shortcut, activation: None }));
        layers
    }
}

/// A convolution of patches that touch, as wide as the stride, and layer norm after it or before it.
pub(super) fn patches([inputs, width]: [usize; 2], stride: [usize; 2], norm_first: bool) -> Vec<NamedLayer> {
    let config = ConvConfig { kernel: stride, stride, ..ConvConfig::default() };
    let channels = if norm_first { inputs } else { width };
    let mut layers = [conv([inputs, width], config), LayerSpec::LayerNorm { channels, epsilon: EPSILON }];
    if norm_first {
        layers.reverse();
    }
    ["0", "1"].into_iter().zip(layers).map(|(name, layer)| named(name, layer)).collect()
}

fn conv([inputs, outputs]: [usize; 2], config: ConvConfig) -> LayerSpec {
    LayerSpec::Conv { inputs, outputs, config, bias: true }
}
