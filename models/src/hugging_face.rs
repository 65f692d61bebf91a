//! The names that Hugging Face's transformers give to weights, which we name as torchvision does: those of ResNets, RegNets
//! and ConvNeXts, whose networks are the same in both, and of EfficientNets and MobileNets, whose weights are TensorFlow's as
//! [`efficientnet_pytorch`] has them.

use crate::efficientnet::TENSORFLOW_EPSILON;
use crate::efficientnet_pytorch::{self, Style};
use localgrad::layers::spec::{join, weighted};
use localgrad::network::{NetworkSpec, NormConfig};
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

/// What it calls the published MobileNets (the side of their pictures comes last), and our names of those with the usual
/// batch norms.
const MOBILENETS: &[(&str, &str)] = &[
    ("mobilenet_v1_0.75_192", "mobilenet_v1_x0_75"),
    ("mobilenet_v1_1.0_224", "mobilenet_v1"),
    ("mobilenet_v2_0.35_96", "mobilenet_v2_x0_35"),
    ("mobilenet_v2_0.75_160", "mobilenet_v2_x0_75"),
    ("mobilenet_v2_1.0_224", "mobilenet_v2"),
    ("mobilenet_v2_1.4_224", "mobilenet_v2_x1_4"),
];

/// Its name of its own network of that form, where the one that is called `ours` has other batch norms.
pub fn other(ours: &str) -> Option<&'static str> {
    let mobilenet = MOBILENETS.iter().find(|(_, name)| *name == ours).map(|(theirs, _)| *theirs);
    mobilenet.or_else(|| efficientnet_pytorch::other(ours))
}

/// Our name of the MobileNet that is called `name` here or there, and its batch norms.
pub(crate) fn norm_by_name(name: &str) -> (&str, NormConfig) {
    match MOBILENETS.iter().find(|(theirs, _)| *theirs == name) {
        Some((_, ours)) => (ours, NormConfig { epsilon: TENSORFLOW_EPSILON, ..NormConfig::default() }),
        None => (name, NormConfig::default()),
    }
}

/// Our names by theirs, for as many of `ours`, which are `network`'s, as theirs are known.
pub fn names(ours: &BTreeSet<String>, network: &NetworkSpec) -> BTreeMap<String, String> {
    let of_efficientnet = efficientnet_pytorch::names_of(network, &EFFICIENTNET);
    if !of_efficientnet.is_empty() {
        return of_efficientnet;
    }
    match network.name.get(.."mobilenet_v1".len()) {
        Some("mobilenet_v1") => return of_mobilenet(network, of_first_mobilenet),
        Some("mobilenet_v2") => return of_mobilenet(network, of_second_mobilenet),
        _ => {}
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

/// Our names of a MobileNet's weights and statistics by theirs: `path` has that of each convolution and its norm, of so many.
fn of_mobilenet(network: &NetworkSpec, path: fn(usize, usize) -> String) -> BTreeMap<String, String> {
    let Ok(expanded) = network.expand() else { return BTreeMap::new() };
    let units = network.units.iter().zip(&expanded).map(|(unit, (layers, _))| (&*unit.name, &layers[..]));
    let layers = units.chain([("", &network.head[..])]).flat_map(|(path, layers)| weighted(path, layers));
    let layers: Vec<_> = layers.collect();
    let count = layers.len() / 2;
    let mut found = BTreeMap::new();
    for (number, (ours, layer)) in layers.iter().enumerate() {
        let theirs = match (number / 2, number % 2) {
            (pair, _) if pair == count => "classifier".into(),
            (pair, 0) => path(pair, count) + ".convolution",
            (pair, _) => path(pair, count) + ".normalization",
        };
        for tensor in layer.tensors() {
            found.insert(join(&theirs, tensor).into_owned(), join(ours, tensor).into_owned());
        }
    }
    found
}

fn of_first_mobilenet(pair: usize, _: usize) -> String {
    pair.checked_sub(1).map_or("conv_stem".into(), |layer| format!("layer.{layer}"))
}

/// The first unit, which expands nothing, belongs to their stem.
fn of_second_mobilenet(pair: usize, count: usize) -> String {
    match pair {
        0 => "conv_stem.first_conv".into(),
        1 => "conv_stem.conv_3x3".into(),
        2 => "conv_stem.reduce_1x1".into(),
        _ if pair + 1 == count => "conv_1x1".into(),
        _ => {
            let layer = ["expand_1x1", "conv_3x3", "reduce_1x1"][pair % 3];
            format!("layer.{}.{layer}", pair / 3 - 1)
        }
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
        ("mobilenet_v1_1.0_224", "conv_stem.normalization.running_mean", "bn1.running_mean"),
        ("mobilenet_v1_1.0_224", "layer.0.convolution.weight", "blocks.0.0.conv_dw.weight"),
        ("mobilenet_v1_0.75_192", "layer.25.convolution.weight", "blocks.4.1.conv_pw.weight"),
        ("mobilenet_v1", "classifier.bias", "classifier.bias"),
        ("mobilenet_v2", "conv_stem.first_conv.convolution.weight", "features.0.0.weight"),
        ("mobilenet_v2", "conv_stem.conv_3x3.convolution.weight", "features.1.conv.0.0.weight"),
        ("mobilenet_v2_1.0_224", "conv_stem.reduce_1x1.normalization.bias", "features.1.conv.2.bias"),
        ("mobilenet_v2_1.0_224", "layer.0.expand_1x1.convolution.weight", "features.2.conv.0.0.weight"),
        ("mobilenet_v2_1.4_224", "layer.15.reduce_1x1.convolution.weight", "features.17.conv.2.weight"),
        ("mobilenet_v2_0.35_96", "conv_1x1.normalization.running_var", "features.18.1.running_var"),
        ("mobilenet_v2_1.0_224", "classifier.weight", "classifier.1.weight"),
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
