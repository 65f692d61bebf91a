//! VGG (Simonyan and Zisserman 2014), with batch norm or without, named as torchvision names it.

use crate::config::{ModelConfig, no_widths};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::pool::PoolConfig;
use localgrad::network::NetworkSpec;
use localgrad::network::unit::{UnitKind, UnitSpec};

/// At the end of the name of a network with batch norm.
const WITH_NORM: &str = "_bn";

/// The name of a network that a file holds: before there were VGGs without batch norm, those with it went by their names.
pub fn name_of(network: &NetworkSpec) -> String {
    let name = network.name.as_str();
    match name.starts_with("vgg") && !name.ends_with(WITH_NORM) && has_norm(network) {
        true => format!("{name}{WITH_NORM}"),
        false => name.into(),
    }
}

fn has_norm(network: &NetworkSpec) -> bool {
    network.units.iter().any(|unit| matches!(unit.kind, UnitKind::Plain { norm: true, .. }))
}

/// What to do about weights of these names that do not fit `network`, where it is a VGG and they are of the other kind.
pub fn advice<'a>(network: &NetworkSpec, mut names: impl Iterator<Item = &'a str>) -> Option<String> {
    let name = network.name.strip_suffix(WITH_NORM).unwrap_or(&network.name);
    let normed = names.any(|name| name.ends_with(".running_mean"));
    match (name.starts_with("vgg"), has_norm(network), normed) {
        (true, false, true) => Some(format!("these weights have batch norm, and {name}{WITH_NORM} has")),
        (true, true, false) => Some(format!("these weights have no batch norm, and {name} has none")),
        _ => None,
    }
}

/// Convolutions in each of the five stages.
fn counts(name: &str) -> [usize; 5] {
    match name {
        "vgg11" | "vgg11_bn" => [1, 1, 2, 2, 2],
        "vgg13" | "vgg13_bn" => [2; 5],
        "vgg16" | "vgg16_bn" => [2, 2, 3, 3, 3],
        _ => [2, 2, 4, 4, 4],
    }
}

/// `vgg11`, `vgg13`, `vgg16` or `vgg19`, and `vgg11_bn` and so on with batch norm. A stage's pool belongs to its first unit;
/// images of at most 64 pixels get one linear layer as their head, larger ones the published three.
pub fn vgg(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let mut units = Vec::new();
    let mut number = 0;
    let norm = name.ends_with(WITH_NORM);
    for (stage, count) in counts(name).into_iter().enumerate() {
        for position in 0..count {
            let pools = stage > 0 && position == 0;
            // torchvision counts the pools and ReLUs among the features.
            number += usize::from(pools);
            let normed = if norm { format!("features.{}", number + 1) } else { String::new() };
            let names = [format!("features.{number}"), normed];
            number += if norm { 3 } else { 2 };
            units.push(UnitSpec {
                name: String::new(),
                kind: UnitKind::Plain { names, bias: true, norm, kernel: [3, 3] },
                width: 64 << stage.min(3),
                stride: [if pools { 2 } else { 1 }; 2],
            });
        }
    }
    let [_, rows, columns] = config.input.sides();
    let size = [rows, columns];
    let head = if size[0].max(size[1]) <= 64 { small_head(size, config) } else { published_head(config) };
    Ok(config.network(name, units, head))
}

fn small_head(size: [usize; 2], config: &ModelConfig) -> Vec<NamedLayer> {
    let mut head = Vec::new();
    if size.iter().all(|side| side / 16 >= 2) {
        head.push(last_pool());
    }
    head.push(unnamed(LayerSpec::GlobalAveragePool));
    head.push(named("classifier", LayerSpec::Linear { inputs: 512, outputs: config.classes, bias: true }));
    head
}

fn published_head(config: &ModelConfig) -> Vec<NamedLayer> {
    let mut head =
        vec![last_pool(), unnamed(LayerSpec::AdaptiveAveragePool([7, 7])), unnamed(LayerSpec::Flatten)];
    let mut inputs = 512 * 7 * 7;
    for position in ["0", "3"] {
        head.push(named(
            format!("classifier.{position}"),
            LayerSpec::Linear { inputs, outputs: 4096, bias: true },
        ));
        head.push(unnamed(LayerSpec::Activation(Activation::Relu)));
        head.push(named(format!("dropout.{position}"), LayerSpec::Dropout { probability: 0.5 }));
        inputs = 4096;
    }
    head.push(named("classifier.6", LayerSpec::Linear { inputs, outputs: config.classes, bias: true }));
    head
}

fn last_pool() -> NamedLayer {
    unnamed(LayerSpec::MaxPool(PoolConfig::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;

    fn at(name: &str, side: usize, classes: usize) -> NetworkSpec {
        vgg(name, &ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() }).unwrap()
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.vgg11().parameters()), and so on
        let published = [
            ("vgg11", 132_863_336),
            ("vgg13", 133_047_848),
            ("vgg16", 138_357_544),
            ("vgg19", 143_667_240),
            ("vgg11_bn", 132_868_840),
            ("vgg13_bn", 133_053_736),
            ("vgg16_bn", 138_365_992),
            ("vgg19_bn", 143_678_248),
        ];
        for (name, count) in published {
            assert_eq!(parameters(&at(name, 224, 1000)), count, "{name}");
        }
    }

    #[test]
    fn convolutions_are_numbered_as_torchvision_numbers_them() {
        let names = |name| -> Vec<String> {
            let of_unit = |unit: UnitSpec| match unit.kind {
                UnitKind::Plain { names: [conv, _], .. } => conv,
                _ => unreachable!("only plain units"),
            };
            at(name, 32, 10).units.into_iter().map(of_unit).collect()
        };
        let numbered = |numbers: [usize; 8]| numbers.map(|number| format!("features.{number}"));
        assert_eq!(names("vgg11"), numbered([0, 3, 6, 8, 11, 13, 16, 18]));
        assert_eq!(names("vgg11_bn"), numbered([0, 4, 8, 11, 15, 18, 22, 25]));
    }

    #[test]
    fn names_from_before_are_understood() {
        let before = NetworkSpec { name: "vgg11".into(), ..at("vgg11_bn", 32, 10) };
        assert_eq!(name_of(&before), "vgg11_bn");
        for name in ["vgg11", "vgg11_bn"] {
            assert_eq!(name_of(&at(name, 32, 10)), name);
        }
    }

    #[test]
    fn weights_of_the_other_kind_are_told() {
        let normed = ["features.0.weight", "features.1.running_mean"];
        let plain = ["features.0.weight", "features.3.weight"];
        let advice = |name, names: [&str; 2]| advice(&at(name, 32, 10), names.into_iter());
        assert!(advice("vgg11", normed).unwrap().ends_with("vgg11_bn has"));
        assert!(advice("vgg16_bn", plain).unwrap().ends_with("vgg16 has none"));
        assert_eq!([advice("vgg11", plain), advice("vgg11_bn", normed)], [None, None]);
    }
}
