//! The names that Hugging Face's transformers give to weights, which we name as torchvision does: those of ResNets, RegNets
//! and ConvNeXts, whose networks are the same in both, and of EfficientNets, whose weights are TensorFlow's as
//! [`efficientnet_pytorch`] has them. Its MobileNets are TensorFlow's, too, and no network of the catalogue has their batch norms.

use crate::efficientnet_pytorch::{self, Style};
use localgrad::network::NetworkSpec;
use std::collections::{BTreeMap, BTreeSet};

const EFFICIENTNET: Style = Style {
    stem: ["embeddings.convolution", "embeddings.batchnorm"],
    blocks: "encoder.blocks",
    expansion: ["expansion.expand_conv", "expansion.expand_bn"],
    depthwise: ["depthwise_conv.depthwise_conv", "depthwise_conv.depthwise_norm"],
    gate: ["squeeze_excite.reduce", "squeeze_excite.expand"],
    projection: ["projection.project_conv", "projection.project_bn"],
    head: ["encoder.top_conv", "encoder.top_bn", "classifier"],
};

/// Our names by theirs, for as many of `ours`, which are `network`'s, as theirs are known.
pub fn names(ours: &BTreeSet<String>, network: &NetworkSpec) -> BTreeMap<String, String> {
    let of_efficientnet = efficientnet_pytorch::names_of(network, &EFFICIENTNET);
    if !of_efficientnet.is_empty() {
        return of_efficientnet;
    }
    let excites = ours.iter().any(|name| name.contains(".f.se."));
    ours.iter().filter_map(|name| Some((theirs(name, excites)?, name.clone()))).collect()
}

/// Their name; `excites` says of a RegNet whether it has gates.
fn theirs(ours: &str, excites: bool) -> Option<String> {
    let parts: Vec<&str> = ours.split('.').collect();
    match parts[..] {
        ["conv1", own] | ["stem", "0", own] => Some(format!("embedder.embedder.convolution.{own}")),
        ["bn1", own] | ["stem", "1", own] => Some(format!("embedder.embedder.normalization.{own}")),
        ["fc", own] => Some(format!("classifier.1.{own}")),
        ["trunk_output", stage, unit, ref rest @ ..] => {
            let unit = unit.strip_prefix(stage)?.strip_prefix('-')?;
            of_regnet([stage.strip_prefix("block")?, unit], rest, excites)
        }
        ["features", place, ref rest @ ..] => of_convnext(place.parse().ok()?, rest),
        ["classifier", "0", own] => Some(format!("layernorm.{own}")),
        ["classifier", "2", own] => Some(format!("classifier.{own}")),
        [stage, unit, ref rest @ ..] => of_resnet([stage.strip_prefix("layer")?, unit], rest),
        _ => None,
    }
}

/// The unit of a stage, which we count from 1.
fn unit([stage, unit]: [&str; 2]) -> Option<String> {
    let stage = stage.parse::<usize>().ok()?.checked_sub(1)?;
    Some(format!("encoder.stages.{stage}.layers.{unit}"))
}

fn of_resnet(place: [&str; 2], rest: &[&str]) -> Option<String> {
    let path = unit(place)?;
    match *rest {
        ["downsample", "0", own] => Some(format!("{path}.shortcut.convolution.{own}")),
        ["downsample", "1", own] => Some(format!("{path}.shortcut.normalization.{own}")),
        [layer, own] => {
            let (kind, number) = match layer.strip_prefix("conv") {
                Some(number) => ("convolution", number),
                None => ("normalization", layer.strip_prefix("bn")?),
            };
            let number = number.parse::<usize>().ok()?.checked_sub(1)?;
            Some(format!("{path}.layer.{number}.{kind}.{own}"))
        }
        _ => None,
    }
}

fn of_regnet(place: [&str; 2], rest: &[&str], excites: bool) -> Option<String> {
    let path = unit(place)?;
    let kind = |number| if number == "0" { "convolution" } else { "normalization" };
    match *rest {
        ["proj", number, own] => Some(format!("{path}.shortcut.{}.{own}", kind(number))),
        ["f", "se", "fc1", own] => Some(format!("{path}.layer.2.attention.0.{own}")),
        ["f", "se", "fc2", own] => Some(format!("{path}.layer.2.attention.2.{own}")),
        ["f", layer, number, own] => {
            let layer = match layer {
                "a" => 0,
                "b" => 1,
                "c" => 2 + usize::from(excites),
                _ => return None,
            };
            Some(format!("{path}.layer.{layer}.{}.{own}", kind(number)))
        }
        _ => None,
    }
}

/// Stages of a ConvNeXt are at odd places, what makes maps smaller at even ones.
fn of_convnext(place: usize, rest: &[&str]) -> Option<String> {
    let stage = place / 2;
    match (rest, place) {
        (["0", own], 0) => Some(format!("embeddings.patch_embeddings.{own}")),
        (["1", own], 0) => Some(format!("embeddings.layernorm.{own}")),
        ([layer @ ("0" | "1"), own], _) if place.is_multiple_of(2) => {
            Some(format!("encoder.stages.{stage}.downsampling_layer.{layer}.{own}"))
        }
        ([unit, "layer_scale"], _) => {
            Some(format!("encoder.stages.{stage}.layers.{unit}.layer_scale_parameter"))
        }
        ([unit, "block", layer, own], _) => {
            let layer = match *layer {
                "0" => "dwconv",
                "2" => "layernorm",
                "3" => "pwconv1",
                "5" => "pwconv2",
                _ => return None,
            };
            Some(format!("encoder.stages.{stage}.layers.{unit}.{layer}.{own}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::tensors;
    use crate::{ModelConfig, network};

    /// Names that are in their files, and ours.
    const KNOWN: &[(&str, &str, &str)] = &[
        ("resnet18", "embedder.embedder.convolution.weight", "conv1.weight"),
        (
            "resnet18",
            "encoder.stages.0.layers.1.layer.1.normalization.running_var",
            "layer1.1.bn2.running_var",
        ),
        ("resnet50", "encoder.stages.3.layers.0.layer.2.convolution.weight", "layer4.0.conv3.weight"),
        ("resnet50", "encoder.stages.0.layers.0.shortcut.normalization.bias", "layer1.0.downsample.1.bias"),
        ("resnet50", "classifier.1.bias", "fc.bias"),
        ("convnext_tiny", "embeddings.layernorm.weight", "features.0.1.weight"),
        ("convnext_tiny", "encoder.stages.2.downsampling_layer.1.bias", "features.4.1.bias"),
        ("convnext_tiny", "encoder.stages.2.layers.8.layer_scale_parameter", "features.5.8.layer_scale"),
        ("convnext_tiny", "encoder.stages.3.layers.0.pwconv2.weight", "features.7.0.block.5.weight"),
        ("convnext_tiny", "layernorm.bias", "classifier.0.bias"),
        ("convnext_tiny", "classifier.weight", "classifier.2.weight"),
        ("efficientnet-b0", "embeddings.batchnorm.weight", "features.0.1.weight"),
        (
            "efficientnet-b0",
            "encoder.blocks.0.depthwise_conv.depthwise_conv.weight",
            "features.1.0.block.0.0.weight",
        ),
        ("efficientnet-b0", "encoder.blocks.1.expansion.expand_bn.bias", "features.2.0.block.0.1.bias"),
        ("efficientnet-b1", "encoder.blocks.2.squeeze_excite.expand.bias", "features.2.0.block.2.fc2.bias"),
        (
            "efficientnet_b2",
            "encoder.blocks.1.projection.project_bn.running_var",
            "features.1.1.block.2.1.running_var",
        ),
        ("efficientnet-b0", "encoder.top_conv.weight", "features.8.0.weight"),
        ("efficientnet-b0", "classifier.bias", "classifier.1.bias"),
    ];

    #[test]
    fn their_names_are_known_and_every_weight_has_one() {
        for (model, theirs, ours) in KNOWN {
            let config = ModelConfig { input: [3, 224, 224].into(), ..ModelConfig::default() };
            let spec = network(model, &config).unwrap();
            let all: BTreeSet<String> = tensors(&spec).unwrap().into_iter().map(|(name, _)| name).collect();
            let names = names(&all, &spec);
            assert_eq!(names.get(*theirs).map(String::as_str), Some(*ours), "{model} {theirs}");
            assert_eq!(names.into_values().collect::<BTreeSet<_>>(), all, "{model}");
        }
    }
}
