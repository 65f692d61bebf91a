//! The units of MobileNetV1 (Howard et al. 2017) and DS-CNN (Zhang et al. 2017).

use super::conv_norm::{NormConfig, depthwise};
use crate::layers::spec::{LayerSpec, NamedLayer, named};
use crate::maps::activation::Activation;
use crate::maps::conv::ConvConfig;

/// The layers from `inputs` to `width` channels: a depthwise convolution and a 1x1 one, each with batch norm and activation;
/// named as timm names them.
pub(super) fn layers(
    [inputs, width]: [usize; 2],
    [kernel, stride]: [[usize; 2]; 2],
    activation: Activation,
    norm: NormConfig,
) -> Vec<NamedLayer> {
    let conv = |outputs, config| LayerSpec::Conv { inputs, outputs, config, bias: false };
    vec![
        named("conv_dw", conv(inputs, depthwise(inputs, kernel, stride))),
        named("bn1", norm.layer(inputs, Some(activation))),
        named("conv_pw", conv(width, ConvConfig::default())),
        named("bn2", norm.layer(width, Some(activation))),
    ]
}
