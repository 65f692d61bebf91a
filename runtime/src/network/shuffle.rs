//! The units of ShuffleNetV2 (Ma et al. 2018).

use super::conv_norm::{conv_bn, depthwise};
use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use crate::maps::activation::Activation;

const RELU: Option<Activation> = Some(Activation::Relu);
const KERNEL: usize = 3;

/// The layers of the unit called `unit`, from `inputs` to `width` channels: half of the channels pass by the layers of the
/// others, or, where the shape changes, two branches are put side by side; then the halves are mixed. Named as torchvision
/// names them.
pub(super) fn layers(unit: &str, [inputs, width]: [usize; 2], stride: usize) -> Result<Vec<NamedLayer>> {
    if !width.is_multiple_of(2) {
        return Err(Error::config(format!(
            "unit '{unit}' puts two halves side by side; its width must be even, found {width}"
        )));
    }
    let half = width / 2;
    let branches = match stride == 1 && inputs == width {
        true => {
            let slice = |first| unnamed(LayerSpec::Slice { first, count: half });
            let mut branch = vec![slice(half)];
            branch.extend(narrowed(half, half, stride));
            vec![vec![slice(0)], branch]
        }
        false => {
            let mut around = spread("branch1.0", "branch1.1", inputs, stride);
            around.extend(conv_bn("branch1.2", "branch1.3", inputs, half, 1, 1, RELU));
            vec![around, narrowed(inputs, half, stride)]
        }
    };
    Ok(vec![unnamed(LayerSpec::Concat { branches }), unnamed(LayerSpec::Shuffle { groups: 2 })])
}

/// 1x1 convolution, depthwise one, 1x1 convolution.
fn narrowed(inputs: usize, width: usize, stride: usize) -> Vec<NamedLayer> {
    let mut layers = conv_bn("branch2.0", "branch2.1", inputs, width, 1, 1, RELU);
    layers.extend(spread("branch2.3", "branch2.4", width, stride));
    layers.extend(conv_bn("branch2.5", "branch2.6", width, width, 1, 1, RELU));
    layers
}

/// A depthwise convolution and batch norm.
fn spread(conv: &str, bn: &str, channels: usize, stride: usize) -> Vec<NamedLayer> {
    let config = depthwise(channels, KERNEL, stride);
    vec![
        named(conv, LayerSpec::Conv { inputs: channels, outputs: channels, config, bias: false }),
        named(bn, LayerSpec::batch_norm(channels, None)),
    ]
}
