//! The units of networks for windows of time: `[C, 1, T]`, or rows of them that do not see each other.

use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, named, unnamed};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;
use serde::{Deserialize, Serialize};

/// The most convolutions of a unit.
const MOST_KERNELS: usize = 16;
const RELU: Option<Activation> = Some(Activation::Relu);

/// Convolutions along time that keep the length (up to the stride of the first), each with batch norm, and a shortcut. Of the
/// unit's stride the columns' alone counts, as each row is a window by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TemporalBlock {
    /// Length of each convolution's kernel; odd, so that it reaches as far back as ahead.
    pub kernels: Vec<usize>,
    /// Steps from one tap of a kernel to the next.
    pub dilation: usize,
    /// Probability of dropping an element between two convolutions.
    pub dropout: f64,
}

impl Default for TemporalBlock {
    /// That of a residual network (Wang et al. 2017).
    fn default() -> Self {
        Self { kernels: vec![7, 5, 3], dilation: 1, dropout: 0.0 }
    }
}

impl TemporalBlock {
    /// The layers of the unit called `unit`, from `inputs` to `width` channels.
    pub(super) fn layers(
        &self,
        unit: &str,
        [inputs, width]: [usize; 2],
        [_, stride]: [usize; 2],
    ) -> Result<Vec<NamedLayer>> {
        let count = self.kernels.len();
        if !(1..=MOST_KERNELS).contains(&count) || self.kernels.iter().any(|kernel| kernel % 2 == 0) {
            return Err(Error::config(format!(
                "unit '{unit}' needs up to {MOST_KERNELS} kernels of odd lengths, found {:?}",
                self.kernels
            )));
        }
        let mut main = Vec::new();
        for (position, &kernel) in self.kernels.iter().enumerate() {
            let (is_first, is_last) = (position == 0, position + 1 == count);
            let config = ConvConfig {
                kernel: [1, kernel],
                stride: [1, if is_first { stride } else { 1 }],
                padding: [0, self.dilation.saturating_mul(kernel / 2)],
                dilation: [1, self.dilation],
                groups: 1,
            };
            let inputs = if is_first { inputs } else { width };
            let number = position + 1;
            let conv = LayerSpec::Conv { inputs, outputs: width, config, bias: false };
            main.push(named(format!("conv{number}"), conv));
            let activation = if is_last { None } else { RELU };
            main.push(named(format!("bn{number}"), LayerSpec::batch_norm(width, activation)));
            if !is_last && self.dropout != 0.0 {
                let dropout = LayerSpec::Dropout { probability: self.dropout };
                main.push(named(format!("dropout{number}"), dropout));
            }
        }
        let shortcut = match stride == 1 && inputs == width {
            true => ShortcutSpec::Identity,
            false => ShortcutSpec::Projection(projection([inputs, width], stride)),
        };
        Ok(vec![unnamed(LayerSpec::Residual { main, shortcut, activation: RELU })])
    }
}

fn projection([inputs, width]: [usize; 2], stride: usize) -> Vec<NamedLayer> {
    let config = ConvConfig { stride: [1, stride], ..ConvConfig::default() };
    vec![
        named("downsample.0", LayerSpec::Conv { inputs, outputs: width, config, bias: false }),
        named("downsample.1", LayerSpec::batch_norm(width, None)),
    ]
}
