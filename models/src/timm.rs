//! The names that timm gives to networks, and to their weights, which we name as torchvision does.

use localgrad::layers::spec::{LayerSpec, join, weighted};
use localgrad::network::{NetworkSpec, UnitKind, UnitSpec};
use std::collections::BTreeMap;

/// Networks that timm calls otherwise, and our names for them. (Its RegNetX-400MF and RegNetY-800MF have other widths, but
/// for these two.)
const MODELS: &[(&str, &str)] = &[
    ("mobilenetv1_100", "mobilenet_v1"),
    ("mobilenetv2_035", "mobilenet_v2_x0_35"),
    ("mobilenetv2_050", "mobilenet_v2_x0_5"),
    ("mobilenetv2_075", "mobilenet_v2_x0_75"),
    ("mobilenetv2_100", "mobilenet_v2"),
    ("mobilenetv2_140", "mobilenet_v2_x1_4"),
    ("mnasnet_050", "mnasnet0_5"),
    ("mnasnet_075", "mnasnet0_75"),
    ("mnasnet_100", "mnasnet1_0"),
    ("regnetx_004_tv", "regnet_x_400mf"),
    ("regnetx_008", "regnet_x_800mf"),
    ("regnety_004", "regnet_y_400mf"),
    ("regnety_008_tv", "regnet_y_800mf"),
];

/// Networks that have other batch norms there: they go by timm's name and, with torchvision's, by ours.
const OTHERS: &[(&str, &str)] =
    &[("mobilenetv3_small_100", "mobilenet_v3_small"), ("mobilenetv3_large_100", "mobilenet_v3_large")];

/// Timm's name of the network that we call `ours`.
pub fn name_of(ours: &'static str) -> &'static str {
    MODELS.iter().chain(OTHERS).find(|(_, name)| *name == ours).map_or(ours, |(theirs, _)| *theirs)
}

/// Timm's name of its own network of that form, where the one that is called `ours` has other batch norms.
pub fn other(ours: &str) -> Option<&'static str> {
    OTHERS.iter().find(|(_, name)| *name == ours).map(|(theirs, _)| *theirs)
}

/// Our name of the network that timm calls `name`, where ours is another.
pub fn model(name: &str) -> Option<&'static str> {
    MODELS.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| *ours)
}

/// A layer with weights: its name, and what it is.
type Weighted<'a> = (String, &'a LayerSpec);

/// How timm writes a family.
#[derive(Clone, Copy, PartialEq)]
enum Family {
    /// MobileNets from the second on, EfficientNets and MNASNet.
    Mobile,
    Regnet,
    ConvNext,
}

/// Our names of a network's weights and statistics by timm's; none where they are the same, or unknown.
pub fn names(network: &NetworkSpec) -> BTreeMap<String, String> {
    let Some(family) = family(network) else { return BTreeMap::new() };
    let Ok(expanded) = network.expand() else { return BTreeMap::new() };
    let (mut found, mut stage, mut position) = (Vec::new(), 0, 0);
    for (number, (unit, (layers, _))) in network.units.iter().zip(&expanded).enumerate() {
        let layers = weighted(&unit.name, layers);
        if number == 0 {
            let theirs = stem(family, layers.len());
            found.extend(layers.into_iter().zip(theirs.iter().map(ToString::to_string)));
            // MNASNet's stem has a stage in it.
            stage = usize::from(theirs.len() > 2);
            continue;
        }
        if number > 1 {
            let begins = network.units.get(number - 1).is_some_and(|before| begins_stage(before, unit));
            (stage, position) = if begins { (stage + 1, 0) } else { (stage, position + 1) };
        }
        let path = unit_path(family, &unit.kind, [stage, position]);
        let theirs = of_unit(family, unit, &layers);
        found.extend(
            layers.into_iter().zip(theirs).map(|(ours, name)| (ours, join(&path, &name).into_owned())),
        );
    }
    let layers = weighted("", &network.head);
    let theirs = head(family, layers.len(), stage + 1);
    found.extend(layers.into_iter().zip(theirs));
    let tensors = |((ours, layer), theirs): (Weighted<'_>, String)| {
        let pair =
            |tensor: &&'static str| (join(&theirs, tensor).into_owned(), join(&ours, tensor).into_owned());
        layer.tensors().iter().map(pair).collect::<Vec<_>>()
    };
    found.into_iter().flat_map(tensors).collect()
}

fn family(network: &NetworkSpec) -> Option<Family> {
    match network.units.get(1)?.kind {
        UnitKind::InvertedResidual { .. } | UnitKind::MobileBlock(_) | UnitKind::MnasBlock(_) => {
            Some(Family::Mobile)
        }
        UnitKind::RegnetBlock(_) => Some(Family::Regnet),
        UnitKind::ConvNext(_) => Some(Family::ConvNext),
        _ => None,
    }
}

/// Whether `unit` is the first of a stage.
fn begins_stage(before: &UnitSpec, unit: &UnitSpec) -> bool {
    let expansion = |unit: &UnitSpec| match unit.kind {
        UnitKind::InvertedResidual { expansion, .. } => expansion,
        _ => 0,
    };
    let is_patches = |unit: &UnitSpec| matches!(unit.kind, UnitKind::Patches { .. });
    if is_patches(before) || is_patches(unit) {
        return is_patches(unit);
    }
    unit.stride != [1, 1] || unit.width != before.width || expansion(unit) != expansion(before)
}

fn stem(family: Family, layers: usize) -> &'static [&'static str] {
    match (family, layers) {
        (Family::Mobile, 2) => &["conv_stem", "bn1"],
        (Family::Mobile, _) => &[
            "conv_stem",
            "bn1",
            "blocks.0.0.conv_dw",
            "blocks.0.0.bn1",
            "blocks.0.0.conv_pw",
            "blocks.0.0.bn2",
        ],
        (Family::Regnet, _) => &["stem.conv", "stem.bn"],
        (Family::ConvNext, _) => &["stem.0", "stem.1"],
    }
}

fn unit_path(family: Family, kind: &UnitKind, [stage, position]: [usize; 2]) -> String {
    match (family, kind) {
        (Family::Mobile, _) => format!("blocks.{stage}.{position}"),
        (Family::Regnet, _) => format!("s{}.b{}", stage + 1, position + 1),
        (Family::ConvNext, UnitKind::Patches { .. }) => format!("stages.{stage}.downsample"),
        // The patches come first, but for those of the stem.
        (Family::ConvNext, _) => {
            format!("stages.{stage}.blocks.{}", position.saturating_sub(usize::from(stage > 0)))
        }
    }
}

/// Their names of a unit's layers, below the unit's.
fn of_unit(family: Family, unit: &UnitSpec, layers: &[Weighted<'_>]) -> Vec<String> {
    if family == Family::Mobile {
        return of_mobile(layers);
    }
    let own = |(name, _): &Weighted<'_>| {
        let below = name.strip_prefix(&*unit.name).unwrap_or(name);
        renamed(below.trim_start_matches('.')).to_string()
    };
    layers.iter().map(own).collect()
}

fn of_mobile(layers: &[Weighted<'_>]) -> Vec<String> {
    let excites = |layer: &LayerSpec| matches!(layer, LayerSpec::Conv { bias: true, .. });
    let plain = layers.iter().filter(|(_, layer)| !excites(layer)).count();
    let mut names = match plain {
        4 => ["conv_dw", "bn1", "conv_pw", "bn2"].iter(),
        _ => ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"].iter(),
    };
    let mut of_gate = ["se.conv_reduce", "se.conv_expand"].iter();
    let next = |(_, layer): &Weighted<'_>| match excites(layer) {
        true => of_gate.next(),
        false => names.next(),
    };
    layers.iter().map(next).map(|name| name.copied().unwrap_or_default().to_string()).collect()
}

/// Their name of a layer of a RegNet's or ConvNeXt's unit.
fn renamed(ours: &str) -> &str {
    match ours {
        "f.a.0" => "conv1.conv",
        "f.a.1" => "conv1.bn",
        "f.b.0" => "conv2.conv",
        "f.b.1" => "conv2.bn",
        "f.se.fc1" => "se.fc1",
        "f.se.fc2" => "se.fc2",
        "f.c.0" => "conv3.conv",
        "f.c.1" => "conv3.bn",
        "proj.0" => "downsample.conv",
        "proj.1" => "downsample.bn",
        "block.0" => "conv_dw",
        "block.2" => "norm",
        "block.3" => "mlp.fc1",
        "block.5" => "mlp.fc2",
        "layer_scale" => "gamma",
        other => other,
    }
}

/// Their names of the head's layers with weights, of which there are so many; `stages` come before.
fn head(family: Family, layers: usize, stages: usize) -> Vec<String> {
    let last = |layer| format!("blocks.{stages}.0.{layer}");
    match (family, layers) {
        // MobileNetV3 counts the last convolution among the blocks.
        (Family::Mobile, 4) => vec![last("conv"), last("bn1"), "conv_head".into(), "classifier".into()],
        (Family::Mobile, _) => ["conv_head", "bn2", "classifier"].map(String::from).into(),
        (Family::Regnet, _) => vec!["head.fc".into()],
        (Family::ConvNext, _) => ["head.norm", "head.fc"].map(String::from).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::tensors;
    use crate::{ModelConfig, network};

    /// Names that are in timm's files, and ours.
    const KNOWN: &[(&str, &str, &str)] = &[
        ("mobilenet_v2", "conv_stem.weight", "features.0.0.weight"),
        ("mobilenet_v2", "blocks.0.0.conv_pw.weight", "features.1.conv.1.weight"),
        ("mobilenet_v2", "blocks.1.1.conv_dw.weight", "features.3.conv.1.0.weight"),
        ("mobilenet_v2", "blocks.6.0.bn3.running_var", "features.17.conv.3.running_var"),
        ("mobilenet_v2_x0_35", "blocks.1.0.conv_pwl.weight", "features.2.conv.2.weight"),
        ("mobilenet_v2", "classifier.bias", "classifier.1.bias"),
        ("mobilenet_v3_small", "blocks.0.0.se.conv_reduce.bias", "features.1.block.1.fc1.bias"),
        ("mobilenet_v3_small", "blocks.1.0.conv_pw.weight", "features.2.block.0.0.weight"),
        ("mobilenet_v3_small", "blocks.5.0.conv.weight", "features.12.0.weight"),
        ("mobilenet_v3_large", "blocks.6.0.bn1.weight", "features.16.1.weight"),
        ("mobilenet_v3_large", "conv_head.bias", "classifier.0.bias"),
        ("efficientnet_b1", "blocks.0.1.conv_dw.weight", "features.1.1.block.0.0.weight"),
        ("efficientnet_lite0", "blocks.6.0.conv_pwl.weight", "features.7.0.block.2.0.weight"),
        ("efficientnet_b0", "bn2.bias", "features.8.1.bias"),
        ("mnasnet1_0", "blocks.0.0.conv_dw.weight", "layers.3.weight"),
        ("mnasnet1_0", "blocks.1.2.bn2.weight", "layers.8.2.layers.4.weight"),
        ("mnasnet1_0", "conv_head.weight", "layers.14.weight"),
        ("regnet_x_400mf", "s2.b1.downsample.conv.weight", "trunk_output.block2.block2-0.proj.0.weight"),
        ("regnet_y_400mf", "s4.b6.se.fc2.bias", "trunk_output.block4.block4-5.f.se.fc2.bias"),
        ("regnet_y_400mf", "head.fc.weight", "fc.weight"),
        ("convnext_atto", "stem.1.weight", "features.0.1.weight"),
        ("convnext_atto", "stages.0.blocks.0.conv_dw.bias", "features.1.0.block.0.bias"),
        ("convnext_tiny", "stages.2.downsample.1.weight", "features.4.1.weight"),
        ("convnext_tiny", "stages.2.blocks.8.gamma", "features.5.8.layer_scale"),
        ("convnext_tiny", "head.norm.weight", "classifier.0.weight"),
    ];

    #[test]
    fn networks_are_found_by_the_names_of_timm() {
        let config = ModelConfig { input: [3, 224, 224].into(), ..ModelConfig::default() };
        for (theirs, ours) in MODELS {
            assert_eq!(network(theirs, &config).unwrap(), network(ours, &config).unwrap(), "{theirs}");
        }
    }

    #[test]
    fn networks_have_the_names_of_timm() {
        for (theirs, ours) in MODELS.iter().chain(OTHERS) {
            assert_eq!(name_of(ours), *theirs);
        }
        assert_eq!(name_of("efficientnet_b0"), "efficientnet_b0");
        for (theirs, ours) in OTHERS {
            let [a, b] = [theirs, ours].map(|name| network(name, &ModelConfig::default()).unwrap());
            assert!(other(ours) == Some(*theirs) && a.head != b.head);
        }
        assert_eq!([other("mobilenet_v2"), other("mobilenetv3_small_100")], [None, None]);
    }

    #[test]
    fn names_of_timm_are_known() {
        for (model, theirs, ours) in KNOWN {
            for side in [32, 224] {
                let config = ModelConfig { input: [3, side, side].into(), ..ModelConfig::default() };
                let names = names(&network(model, &config).unwrap());
                assert_eq!(names.get(*theirs).map(String::as_str), Some(*ours), "{model} {theirs}");
            }
        }
    }

    #[test]
    fn every_weight_has_one_name() {
        for (model, ..) in KNOWN {
            let spec = network(model, &ModelConfig::default()).unwrap();
            let mut ours: Vec<String> = tensors(&spec).unwrap().into_iter().map(|(name, _)| name).collect();
            let mut named: Vec<String> = names(&spec).into_values().collect();
            named.sort();
            ours.sort();
            assert_eq!(named, ours, "{model}");
        }
    }
}
