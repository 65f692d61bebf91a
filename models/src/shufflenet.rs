//! ShuffleNetV2 (Ma et al. 2018), named as torchvision names it.

use crate::config::{ModelConfig, no_widths};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::maps::pool::PoolConfig;
use localgrad::network::{NetworkSpec, UnitKind, UnitSpec};

/// Units of each stage.
const COUNTS: [usize; 3] = [4, 8, 4];
const STEM_WIDTH: usize = 24;

/// Widths of the stages and of the last convolution.
fn widths(name: &str) -> [usize; 4] {
    match name {
        "shufflenet_v2_x0_5" => [48, 96, 192, 1024],
        "shufflenet_v2_x1_0" => [116, 232, 464, 1024],
        "shufflenet_v2_x1_5" => [176, 352, 704, 1024],
        _ => [244, 488, 976, 2048],
    }
}

/// `shufflenet_v2_x0_5`, `_x1_0`, `_x1_5` or `_x2_0`. The last 1x1 convolution belongs to the head. For images of at most 64
/// pixels the stem keeps the size and has no pool, unless the configuration says otherwise.
pub fn shufflenet_v2(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let [first, second, third, last] = widths(name);
    let mut units = vec![UnitSpec {
        name: String::new(),
        kind: UnitKind::Layers(stem(config.input.channels(), config.small_stem())),
        width: STEM_WIDTH,
        stride: [if config.small_stem() { 1 } else { 4 }; 2],
    }];
    for (stage, (width, count)) in [first, second, third].into_iter().zip(COUNTS).enumerate() {
        units.extend((0..count).map(|position| UnitSpec {
            name: format!("stage{}.{position}", stage + 2),
            kind: UnitKind::Shuffle,
            width,
            stride: [if position == 0 { 2 } else { 1 }; 2],
        }));
    }
    let head = head(third, last, config.classes);
    Ok(config.network(name, units, head))
}

fn stem(inputs: usize, small: bool) -> Vec<NamedLayer> {
    let stride = if small { [1, 1] } else { [2, 2] };
    let config = ConvConfig { kernel: [3, 3], stride, padding: [1, 1], ..ConvConfig::default() };
    let mut layers = conv_bn("conv1", inputs, STEM_WIDTH, config);
    if !small {
        let pool = PoolConfig { kernel: [3, 3], stride: [2, 2], padding: [1, 1], ..PoolConfig::default() };
        layers.push(unnamed(LayerSpec::MaxPool(pool)));
    }
    layers
}

fn head(inputs: usize, last: usize, classes: usize) -> Vec<NamedLayer> {
    let mut head = conv_bn("conv5", inputs, last, ConvConfig::default());
    head.push(unnamed(LayerSpec::GlobalAveragePool));
    head.push(named("fc", LayerSpec::Linear { inputs: last, outputs: classes, bias: true }));
    head
}

fn conv_bn(name: &str, inputs: usize, outputs: usize, config: ConvConfig) -> Vec<NamedLayer> {
    vec![
        named(format!("{name}.0"), LayerSpec::Conv { inputs, outputs, config, bias: false }),
        named(format!("{name}.1"), LayerSpec::batch_norm(outputs, Some(Activation::Relu))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn at(name: &str, side: usize, classes: usize) -> NetworkSpec {
        shufflenet_v2(name, &ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() })
            .unwrap()
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.shufflenet_v2_x0_5().parameters()), and so on
        let published = [("x0_5", 1_366_792), ("x1_0", 2_278_604), ("x1_5", 3_503_624), ("x2_0", 7_393_996)];
        for (size, count) in published {
            assert_eq!(parameters(&at(&format!("shufflenet_v2_{size}"), 224, 1000)), count, "{size}");
        }
    }

    #[test]
    fn sizes_and_names() {
        let last = |spec: &NetworkSpec| spec.features_after(spec.units.len() - 1).unwrap();
        let map = |side| Features::Map { channels: 464, height: side, width: side };
        let name = "shufflenet_v2_x1_0";
        assert_eq!([last(&at(name, 224, 1000)), last(&at(name, 32, 10))], [map(7), map(4)]);
        let spec = at(name, 224, 1000);
        let expanded = spec.expand().unwrap();
        let branches = |unit: usize| -> Vec<Vec<&str>> {
            let branches = expanded[unit].0[0].layer.branches();
            branches.iter().map(|branch| branch.iter().map(|layer| layer.name.as_str()).collect()).collect()
        };
        let second = ["branch2.0", "branch2.1", "branch2.3", "branch2.4", "branch2.5", "branch2.6"];
        assert_eq!(branches(1), [&["branch1.0", "branch1.1", "branch1.2", "branch1.3"][..], &second]);
        assert_eq!(branches(2), [vec![""], [&[""], &second[..]].concat()]);
        assert_eq!((spec.units[1].name.as_str(), spec.head[0].name.as_str()), ("stage2.0", "conv5.0"));
    }
}
