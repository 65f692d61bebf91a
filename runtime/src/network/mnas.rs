//! The units of MNASNet (Tan et al. 2019).

use super::conv_norm::{NormConfig, ONE, THREE, depthwise};
use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, named, unnamed};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use serde::{Deserialize, Serialize};

/// 1x1 convolution to more channels, depthwise one, 1x1 one to fewer; the input is added where the shape stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MnasBlock {
    /// Rows and columns of the depthwise kernel.
    #[serde(with = "crate::layers::axes")]
    pub kernel: [usize; 2],
    /// Inner channels for each input channel.
    pub expansion: usize,
    /// Of all batch norms.
    pub norm: NormConfig,
}

impl Default for MnasBlock {
    /// Of three by three pixels and three times as many channels.
    fn default() -> Self {
        Self { kernel: THREE, expansion: 3, norm: NormConfig { epsilon: 1e-5, momentum: 3e-4 } }
    }
}

impl MnasBlock {
    /// The layers of the unit called `unit`, from `inputs` to `width` channels; named as torchvision names them.
    pub(super) fn layers(
        &self,
        unit: &str,
        [inputs, width]: [usize; 2],
        stride: [usize; 2],
    ) -> Result<Vec<NamedLayer>> {
        let inner = inputs.checked_mul(self.expansion).filter(|&inner| inner > 0).ok_or_else(|| {
            Error::config(format!("unit '{unit}' cannot expand {inputs} channels {} times", self.expansion))
        })?;
        let relu = Some(Activation::Relu);
        let steps = [
            ([inputs, inner], ConvConfig::default(), relu),
            ([inner, inner], depthwise(inner, self.kernel, stride), relu),
            ([inner, width], ConvConfig::default(), None),
        ];
        let mut main = Vec::new();
        // torchvision counts the ReLUs among the layers.
        for (number, ([inputs, outputs], config, activation)) in steps.into_iter().enumerate() {
            let NormConfig { epsilon, momentum } = self.norm;
            let norm = LayerSpec::BatchNorm { channels: outputs, activation, epsilon, momentum };
            let conv = LayerSpec::Conv { inputs, outputs, config, bias: false };
            main.push(named(format!("layers.{}", 3 * number), conv));
            main.push(named(format!("layers.{}", 3 * number + 1), norm));
        }
        if stride != ONE || inputs != width {
            return Ok(main);
        }
        Ok(vec![unnamed(LayerSpec::Residual { main, shortcut: ShortcutSpec::Identity, activation: None })])
    }
}
