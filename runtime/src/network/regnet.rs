//! The units of RegNets (Radosavovic et al. 2020).

use super::conv_norm::{NormConfig, ONE, THREE, conv_norm, padded};
use super::mobile::squeeze_and_excite;
use super::unit::is_three;
use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, named, unnamed};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use serde::{Deserialize, Serialize};

const RELU: Option<Activation> = Some(Activation::Relu);
const USUAL: NormConfig = NormConfig { epsilon: 1e-5, momentum: 0.1 };

/// 1x1 convolution, another in groups, squeeze-and-excitation, 1x1 convolution, all of the unit's width, and a shortcut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegnetBlock {
    /// Channels of each group of the convolution between.
    pub group_width: usize,
    /// Channels between the two convolutions of squeeze-and-excitation; 0 leaves it out, as in RegNetX.
    pub squeezed: usize,
    /// Rows and columns of the kernel between; 3 of each as published.
    #[serde(with = "crate::layers::axes", skip_serializing_if = "is_three")]
    pub kernel: [usize; 2],
}

impl Default for RegnetBlock {
    /// RegNetX's in groups of 16 channels.
    fn default() -> Self {
        Self { group_width: 16, squeezed: 0, kernel: THREE }
    }
}

impl RegnetBlock {
    /// The layers of the unit called `unit`, from `inputs` to `width` channels; named as torchvision names them.
    pub(super) fn layers(
        &self,
        unit: &str,
        [inputs, width]: [usize; 2],
        stride: [usize; 2],
    ) -> Result<Vec<NamedLayer>> {
        if self.group_width == 0 || !width.is_multiple_of(self.group_width) {
            return Err(Error::config(format!(
                "unit '{unit}' cannot have groups of {} channels, as it has {width}",
                self.group_width
            )));
        }
        let grouped = ConvConfig { groups: width / self.group_width, ..padded(self.kernel, stride) };
        let mut main = conv_norm("f.a", [inputs, width], ConvConfig::default(), RELU, USUAL);
        main.extend(conv_norm("f.b", [width, width], grouped, RELU, USUAL));
        if self.squeezed > 0 {
            let gate = [Activation::Relu, Activation::Sigmoid];
            main.push(named("f.se", squeeze_and_excite(width, self.squeezed, gate)));
        }
        main.extend(conv_norm("f.c", [width, width], ConvConfig::default(), None, USUAL));
        let shortcut = match stride == ONE && inputs == width {
            true => ShortcutSpec::Identity,
            false => {
                ShortcutSpec::Projection(conv_norm("proj", [inputs, width], padded(ONE, stride), None, USUAL))
            }
        };
        Ok(vec![unnamed(LayerSpec::Residual { main, shortcut, activation: RELU })])
    }
}
