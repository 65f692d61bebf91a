//! Residual networks (He et al. 2015): the CIFAR form with stages of basic units, and the ImageNet form
//! with four stages, named as torchvision names them.

use crate::config::{ModelConfig, no_widths};
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::maps::pool::PoolConfig;
use localgrad::network::NetworkSpec;
use localgrad::network::unit::{Shortcut, UnitKind, UnitSpec};
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
        kind: UnitKind::Stem { kernel: [3, 3], pool: false },
        width: *stem,
        stride: [1, 1],
    }];
    for (stage, (&width, &count)) in stages.iter().zip(units).enumerate() {
        let kind = UnitKind::Basic { kernel: [3, 3], shortcut: config.shortcut };
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

/// ResNet-D (He et al. 2019), as timm has it: a stem of three 3x3 convolutions, and ways around that pool before they project.
///
/// # Errors
/// `Config` for another way around, besides those of the ImageNet form.
pub fn averaged(name: &str, depth: usize, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    if config.shortcut == Shortcut::Pad {
        return Err(Error::config(format!(
            "{name} pools on its ways around; leave the padding shortcut out"
        )));
    }
    let config = ModelConfig { shortcut: Shortcut::Average, ..config.clone() };
    let mut spec = imagenet_of(name, depth, [1, 1], &config)?;
    if let Some(stem) = spec.units.first_mut() {
        stem.kind = UnitKind::Layers(deep_stem([config.input.channels(), stem.width], config.small_stem()));
    }
    Ok(spec)
}

/// From so many channels to so many.
fn deep_stem([inputs, width]: [usize; 2], small: bool) -> Vec<NamedLayer> {
    let stride = if small { 1 } else { 2 };
    let inner = width / 2;
    let mut layers = Vec::new();
    for (names, inputs, outputs, stride) in [
        (["conv1.0", "conv1.1"], inputs, inner, stride),
        (["conv1.3", "conv1.4"], inner, inner, 1),
        (["conv1.6", "bn1"], inner, width, 1),
    ] {
        let config =
            ConvConfig { kernel: [3, 3], stride: [stride; 2], padding: [1, 1], ..ConvConfig::default() };
        let [conv, norm] = names;
        layers.push(named(conv, LayerSpec::Conv { inputs, outputs, config, bias: false }));
        layers.push(named(norm, LayerSpec::batch_norm(outputs, Some(Activation::Relu))));
    }
    if !small {
        let pool = PoolConfig { kernel: [3, 3], stride: [2, 2], padding: [1, 1], ..PoolConfig::default() };
        layers.push(unnamed(LayerSpec::MaxPool(pool)));
    }
    layers
}

fn imagenet_of(
    name: &str,
    depth: usize,
    [widening, groups]: [usize; 2],
    config: &ModelConfig,
) -> Result<NetworkSpec> {
    let (counts, bottleneck) = match depth {
        18 => ([2, 2, 2, 2], false),
        26 => ([2, 2, 2, 2], true),
        34 => ([3, 4, 6, 3], false),
        50 => ([3, 4, 6, 3], true),
        101 => ([3, 4, 23, 3], true),
        152 => ([3, 8, 36, 3], true),
        _ => return Err(Error::config(format!("there is no ImageNet ResNet of depth {depth}"))),
    };
    let small = config.small_stem();
    let mut list = vec![UnitSpec {
        name: String::new(),
        kind: UnitKind::Stem { kernel: [if small { 3 } else { 7 }; 2], pool: !small },
        width: 64,
        stride: [if small { 1 } else { 2 }; 2],
    }];
    let mut width = 64;
    for (stage, &count) in counts.iter().enumerate() {
        let inner = 64 << stage;
        let kind = if bottleneck {
            UnitKind::Bottleneck {
                kernel: [3, 3],
                inner: inner * widening,
                groups,
                shortcut: config.shortcut,
            }
        } else {
            UnitKind::Basic { kernel: [3, 3], shortcut: config.shortcut }
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
            stride: [if stage > 0 && position == 0 { 2 } else { 1 }; 2],
        })
        .collect()
}

fn spec(name: &str, config: &ModelConfig, units: Vec<UnitSpec>, width: usize) -> NetworkSpec {
    let head: Vec<NamedLayer> = vec![
        unnamed(LayerSpec::GlobalAveragePool),
        named("fc", LayerSpec::Linear { inputs: width, outputs: config.classes, bias: true }),
    ];
    config.network(name, units, head)
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
    use localgrad::layers::Features;
    use localgrad::layers::spec::NamedLayer;
    use localgrad::network::unit::Shortcut;

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.resnext50_32x4d().parameters()), and so on
        let published = [
            ("resnext50_32x4d", 25_028_904),
            ("resnext101_32x8d", 88_791_336),
            ("resnext101_64x4d", 83_455_272),
            ("wide_resnet50_2", 68_883_240),
            ("wide_resnet101_2", 126_886_696),
            // sum(p.numel() for p in timm.create_model("resnet18d").parameters()), and so on
            ("resnet18d", 11_708_744),
            ("resnet34d", 21_816_904),
            ("resnet50d", 25_576_264),
        ];
        let config = ModelConfig { input: [3, 224, 224].into(), classes: 1000, ..ModelConfig::default() };
        for (name, count) in published {
            assert_eq!(parameters(&network(name, &config).unwrap()), count, "{name}");
        }
    }

    #[test]
    fn resnet_d_pools_on_its_ways_around() {
        let config = ModelConfig { input: [3, 97, 97].into(), ..ModelConfig::default() };
        let spec = network("resnet18d", &config).unwrap();
        // 97 to 49 in the stem, 25 in its pool, and rounded up from there on.
        let last = spec.features_after(spec.units.len() - 1).unwrap();
        assert_eq!(last, Features::Map { channels: 512, height: 4, width: 4 });
        let expanded = spec.expand().unwrap();
        let names = |layers: &[NamedLayer]| layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            names(&expanded[0].0)[..6],
            ["conv1.0", "conv1.1", "conv1.3", "conv1.4", "conv1.6", "bn1"]
        );
        assert_eq!(names(expanded[3].0[0].layer.branches()[1]), ["", "downsample.1", "downsample.2"]);
        let refused = ModelConfig { shortcut: Shortcut::Pad, ..config };
        assert!(network("resnet18d", &refused).unwrap_err().to_string().contains("leave the padding"));
    }
}
