//! The units of ShuffleNetV2 (Ma et al. 2018).

use super::conv_norm::{ONE, THREE, conv_bn, depthwise};
use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, unnamed};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;

/// The layers of the unit called `unit`, from `inputs` to `width` channels: half of the channels pass by the layers of the
/// others, or, where the shape changes, two branches are put side by side; then the halves are mixed. Named as torchvision
/// names them.
pub(super) fn layers(unit: &str, [inputs, width]: [usize; 2], stride: [usize; 2]) -> Result<Vec<NamedLayer>> {
    if !width.is_multiple_of(2) {
        return Err(Error::config(format!(
            "unit '{unit}' puts two halves side by side; its width must be even, found {width}"
        )));
    }
    let half = width / 2;
    let branches = match stride == ONE && inputs == width {
        true => {
            let slice = |first| unnamed(LayerSpec::Slice { first, count: half });
            let mut branch = vec![slice(half)];
            branch.extend(narrowed(half, half, stride));
            vec![vec![slice(0)], branch]
        }
        false => {
            let mut around = spread(["branch1.0", "branch1.1"], inputs, stride);
            around.extend(pointwise(["branch1.2", "branch1.3"], [inputs, half]));
            vec![around, narrowed(inputs, half, stride)]
        }
    };
    Ok(vec![unnamed(LayerSpec::Concat { branches }), unnamed(LayerSpec::Shuffle { groups: 2 })])
}

/// 1x1 convolution, depthwise one, 1x1 convolution.
fn narrowed(inputs: usize, width: usize, stride: [usize; 2]) -> Vec<NamedLayer> {
    let mut layers = pointwise(["branch2.0", "branch2.1"], [inputs, width]);
    layers.extend(spread(["branch2.3", "branch2.4"], width, stride));
    layers.extend(pointwise(["branch2.5", "branch2.6"], [width; 2]));
    layers
}

/// A depthwise convolution and batch norm.
fn spread(names: [&str; 2], channels: usize, stride: [usize; 2]) -> Vec<NamedLayer> {
    conv_bn(names, [channels; 2], depthwise(channels, THREE, stride), None)
}

/// A 1x1 convolution, batch norm and ReLU.
fn pointwise(names: [&str; 2], channels: [usize; 2]) -> Vec<NamedLayer> {
    conv_bn(names, channels, ConvConfig::default(), Some(Activation::Relu))
}
