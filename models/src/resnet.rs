//! Residual networks (He et al. 2015): the CIFAR form with stages of basic units, and the ImageNet form
//! with four stages, named as torchvision names them.

use crate::catalogue::{ModelConfig, no_widths};
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::network::NetworkSpec;
use localgrad::network::unit::{UnitKind, UnitSpec};
use localgrad::{Error, Result};

/// The CIFAR form with `units[s]` basic units in stage s; widths (of the stem and each stage) 16, 16, 32, 64
/// unless given.
pub fn cifar(units: &[usize], config: &ModelConfig, name: &str) -> Result<NetworkSpec> {
    let widths = config.widths.clone().unwrap_or_else(|| vec![16, 16, 32, 64]);
    let (Some((stem, stages)), Some(&last)) = (widths.split_first(), widths.last()) else {
        return Err(wrong_widths(name, units.len(), &widths));
    };
    if stages.len() != units.len() || widths.contains(&0) {
        return Err(wrong_widths(name, units.len(), &widths));
    }
    let mut list = vec![UnitSpec {
        name: String::new(),
        kind: UnitKind::Stem { kernel: 3, pool: false },
        width: *stem,
        stride: 1,
    }];
    for (stage, (&width, &count)) in stages.iter().zip(units).enumerate() {
        let kind = UnitKind::Basic { shortcut: config.shortcut };
        list.extend(stage_units(stage, count, &kind, width));
    }
    Ok(spec(name, config, list, last))
}

/// The ImageNet form. For images of at most 64 pixels the stem is a 3x3 convolution that keeps the size, unless the
/// configuration says otherwise.
pub fn imagenet(depth: usize, config: &ModelConfig) -> Result<NetworkSpec> {
    let name = format!("resnet{depth}");
    no_widths(&name, config)?;
    imagenet_of(&name, depth, [1, 1], config)
}

/// The same of 3x3 convolutions `widening` times as wide in so many `groups`: ResNeXt (Xie et al. 2017) and wide ResNets
/// (Zagoruyko and Komodakis 2016), as torchvision has them.
pub fn widened(
    name: &str,
    depth: usize,
    [widening, groups]: [usize; 2],
    config: &ModelConfig,
) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    imagenet_of(name, depth, [widening, groups], config)
}

fn imagenet_of(
    name: &str,
    depth: usize,
    [widening, groups]: [usize; 2],
    config: &ModelConfig,
) -> Result<NetworkSpec> {
    let (counts, bottleneck) = match depth {
        18 => ([2, 2, 2, 2], false),
        34 => ([3, 4, 6, 3], false),
        50 => ([3, 4, 6, 3], true),
        101 => ([3, 4, 23, 3], true),
        152 => ([3, 8, 36, 3], true),
        _ => return Err(Error::config(format!("there is no ImageNet ResNet of depth {depth}"))),
    };
    let small = config.small_stem();
    let mut list = vec![UnitSpec {
        name: String::new(),
        kind: UnitKind::Stem { kernel: if small { 3 } else { 7 }, pool: !small },
        width: 64,
        stride: if small { 1 } else { 2 },
    }];
    let mut width = 64;
    for (stage, &count) in counts.iter().enumerate() {
        let inner = 64 << stage;
        let kind = if bottleneck {
            UnitKind::Bottleneck { inner: inner * widening, groups, shortcut: config.shortcut }
        } else {
            UnitKind::Basic { shortcut: config.shortcut }
        };
        width = if bottleneck { 4 * inner } else { inner };
        list.extend(stage_units(stage, count, &kind, width));
    }
    Ok(spec(name, config, list, width))
}

fn stage_units(stage: usize, count: usize, kind: &UnitKind, width: usize) -> Vec<UnitSpec> {
    (0..count)
        .map(|position| UnitSpec {
            name: format!("layer{}.{position}", stage + 1),
            kind: kind.clone(),
            width,
            stride: if stage > 0 && position == 0 { 2 } else { 1 },
        })
        .collect()
}

fn spec(name: &str, config: &ModelConfig, units: Vec<UnitSpec>, width: usize) -> NetworkSpec {
    let head: Vec<NamedLayer> = vec![
        unnamed(LayerSpec::GlobalAveragePool),
        named("fc", LayerSpec::Linear { inputs: width, outputs: config.classes, bias: true }),
    ];
    NetworkSpec { name: name.into(), input: config.input, classes: config.classes, units, head }
}

fn wrong_widths(name: &str, stages: usize, widths: &[usize]) -> Error {
    let list: Vec<String> = widths.iter().map(ToString::to_string).collect();
    Error::config(format!(
        "{name} takes {} widths above 0 (stem, then stages), found {}",
        stages + 1,
        list.join(",")
    ))
}

#[cfg(test)]
mod tests {
    use crate::counted::parameters;
    use crate::{ModelConfig, network};

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.resnext50_32x4d().parameters()), and so on
        let published = [
            ("resnext50_32x4d", 25_028_904),
            ("resnext101_32x8d", 88_791_336),
            ("resnext101_64x4d", 83_455_272),
            ("wide_resnet50_2", 68_883_240),
            ("wide_resnet101_2", 126_886_696),
        ];
        let config = ModelConfig { input: [3, 224, 224], classes: 1000, ..ModelConfig::default() };
        for (name, count) in published {
            assert_eq!(parameters(&network(name, &config).unwrap()), count, "{name}");
        }
    }
}
