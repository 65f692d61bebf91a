//! The inverted residual units of MobileNetV3 (Howard et al. 2019) and EfficientNet (Tan and Le 2019).

use super::conv_norm::{NormConfig, ONE, THREE, conv_norm, depthwise};
use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, named, unnamed};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use serde::{Deserialize, Serialize};

/// 1x1 convolution to more channels, depthwise one, squeeze-and-excitation, 1x1 convolution to fewer; the input is added where
/// the shape stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MobileBlock {
    /// Rows and columns of the depthwise kernel.
    #[serde(with = "crate::layers::axes")]
    pub kernel: [usize; 2],
    /// Channels of the depthwise convolution; where the unit is given as many the first convolution is left out.
    pub inner: usize,
    /// Channels between the two convolutions of squeeze-and-excitation; 0 leaves it out.
    pub squeezed: usize,
    /// After the first two convolutions.
    pub activation: Activation,
    /// After the two convolutions of squeeze-and-excitation.
    pub gate: [Activation; 2],
    /// Of all batch norms.
    pub norm: NormConfig,
    /// Probability that a sample does without the unit in training, where the input is added.
    pub drop_path: f64,
}

impl Default for MobileBlock {
    /// MobileNetV3's of three by three pixels and 16 channels.
    fn default() -> Self {
        Self {
            kernel: THREE,
            inner: 16,
            squeezed: 0,
            activation: Activation::HardSwish,
            gate: [Activation::Relu, Activation::HardSigmoid],
            norm: NormConfig { epsilon: 1e-3, momentum: 0.01 },
            drop_path: 0.0,
        }
    }
}

impl MobileBlock {
    /// The layers of the unit called `unit`, from `inputs` to `width` channels; named as torchvision names them.
    pub(super) fn layers(
        &self,
        unit: &str,
        [inputs, width]: [usize; 2],
        stride: [usize; 2],
    ) -> Result<Vec<NamedLayer>> {
        let Self { kernel, inner, squeezed, .. } = *self;
        if inner == 0 || kernel.contains(&0) {
            return Err(Error::config(format!(
                "unit '{unit}' needs a kernel and inner channels of at least 1, found {kernel:?} and {inner}"
            )));
        }
        let activation = Some(self.activation);
        let mut main = Vec::new();
        let mut number = 0;
        let mut names = || {
            number += 1;
            format!("block.{}", number - 1)
        };
        if inner != inputs {
            main.extend(conv_norm(&names(), [inputs, inner], ConvConfig::default(), activation, self.norm));
        }
        let config = depthwise(inner, kernel, stride);
        main.extend(conv_norm(&names(), [inner, inner], config, activation, self.norm));
        if squeezed > 0 {
            main.push(named(names(), squeeze_and_excite(inner, squeezed, self.gate)));
        }
        main.extend(conv_norm(&names(), [inner, width], ConvConfig::default(), None, self.norm));
        if stride != ONE || inputs != width {
            return Ok(main);
        }
        if self.drop_path != 0.0 {
            main.push(named("stochastic_depth", LayerSpec::DropPath { probability: self.drop_path }));
        }
        Ok(vec![unnamed(LayerSpec::Residual { main, shortcut: ShortcutSpec::Identity, activation: None })])
    }
}

/// Squeeze-and-excitation (Hu et al. 2018) of a map, its convolutions named as torchvision names them.
pub(super) fn squeeze_and_excite(
    channels: usize,
    squeezed: usize,
    [inner, outer]: [Activation; 2],
) -> LayerSpec {
    let conv =
        |inputs, outputs| LayerSpec::Conv { inputs, outputs, config: ConvConfig::default(), bias: true };
    LayerSpec::Excite {
        gate: vec![
            unnamed(LayerSpec::AdaptiveAveragePool([1, 1])),
            named("fc1", conv(channels, squeezed)),
            unnamed(LayerSpec::Activation(inner)),
            named("fc2", conv(squeezed, channels)),
            unnamed(LayerSpec::Activation(outer)),
        ],
    }
}
