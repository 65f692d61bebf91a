//! The units of RegNets (Radosavovic et al. 2020).

use super::conv_norm::{NormConfig, conv_norm, square};
use super::mobile::squeeze_and_excite;
use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, named, unnamed};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use serde::{Deserialize, Serialize};

const RELU: Option<Activation> = Some(Activation::Relu);
const USUAL: NormConfig = NormConfig { epsilon: 1e-5, momentum: 0.1 };

/// 1x1 convolution, 3x3 one in groups, squeeze-and-excitation, 1x1 convolution, all of the unit's width, and a shortcut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegnetBlock {
    /// Channels of each group of the 3x3 convolution.
    pub group_width: usize,
    /// Channels between the two convolutions of squeeze-and-excitation; 0 leaves it out, as in RegNetX.
    pub squeezed: usize,
}

impl Default for RegnetBlock {
    /// RegNetX's in groups of 16 channels.
    fn default() -> Self {
        Self { group_width: 16, squeezed: 0 }
    }
}

impl RegnetBlock {
    /// The layers of the unit called `unit`, from `inputs` to `width` channels; named as torchvision names them.
    pub(super) fn layers(
        &self,
        unit: &str,
        [inputs, width]: [usize; 2],
        stride: usize,
    ) -> Result<Vec<NamedLayer>> {
        if self.group_width == 0 || !width.is_multiple_of(self.group_width) {
            return Err(Error::config(format!(
                "unit '{unit}' cannot have groups of {} channels, as it has {width}",
                self.group_width
            )));
        }
        let grouped = ConvConfig { groups: width / self.group_width, ..square(3, stride) };
        let mut main = conv_norm("f.a", [inputs, width], ConvConfig::default(), RELU, USUAL);
        main.extend(conv_norm("f.b", [width, width], grouped, RELU, USUAL));
        if self.squeezed > 0 {
            let gate = [Activation::Relu, Activation::Sigmoid];
            main.push(named("f.se", squeeze_and_excite(width, self.squeezed, gate)));
        }
        main.extend(conv_norm("f.c", [width, width], ConvConfig::default(), None, USUAL));
        let shortcut = match stride == 1 && inputs == width {
            true => ShortcutSpec::Identity,
            false => {
                ShortcutSpec::Projection(conv_norm("proj", [inputs, width], square(1, stride), None, USUAL))
            }
        };
        Ok(vec![unnamed(LayerSpec::Residual { main, shortcut, activation: RELU })])
    }
}
