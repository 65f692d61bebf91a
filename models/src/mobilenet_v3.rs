//! MobileNetV3 (Howard et al. 2019), named as torchvision names it.

use crate::config::{ModelConfig, no_widths};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::network::{MobileBlock, NetworkSpec, NormConfig, UnitKind, UnitSpec};

/// Kernel, inner channels, width, channels squeezed to, activation and stride of a unit.
type Unit = (usize, usize, usize, usize, Activation, usize);

const RELU: Activation = Activation::Relu;
const SWISH: Activation = Activation::HardSwish;
/// Of torchvision's batch norms.
const NORM: NormConfig = NormConfig { epsilon: 1e-3, momentum: 0.01 };
/// At the end of timm's names.
const TIMM: &str = "_100";
const STEM_WIDTH: usize = 16;

const LARGE: &[Unit] = &[
    (3, 16, 16, 0, RELU, 1),
    (3, 64, 24, 0, RELU, 2),
    (3, 72, 24, 0, RELU, 1),
    (5, 72, 40, 24, RELU, 2),
    (5, 120, 40, 32, RELU, 1),
    (5, 120, 40, 32, RELU, 1),
    (3, 240, 80, 0, SWISH, 2),
    (3, 200, 80, 0, SWISH, 1),
    (3, 184, 80, 0, SWISH, 1),
    (3, 184, 80, 0, SWISH, 1),
    (3, 480, 112, 120, SWISH, 1),
    (3, 672, 112, 168, SWISH, 1),
    (5, 672, 160, 168, SWISH, 2),
    (5, 960, 160, 240, SWISH, 1),
    (5, 960, 160, 240, SWISH, 1),
];

const SMALL: &[Unit] = &[
    (3, 16, 16, 8, RELU, 2),
    (3, 72, 24, 0, RELU, 2),
    (3, 88, 24, 0, RELU, 1),
    (5, 96, 40, 24, SWISH, 2),
    (5, 240, 40, 64, SWISH, 1),
    (5, 240, 40, 64, SWISH, 1),
    (5, 120, 48, 32, SWISH, 1),
    (5, 144, 48, 40, SWISH, 1),
    (5, 288, 96, 72, SWISH, 2),
    (5, 576, 96, 144, SWISH, 1),
    (5, 576, 96, 144, SWISH, 1),
];

/// `mobilenet_v3_large` or `mobilenet_v3_small`, or timm's `mobilenetv3_large_100` or `mobilenetv3_small_100`, whose batch
/// norms have the usual numbers. The last 1x1 convolution belongs to the head. For images of at most 64 pixels the stem and
/// the first unit with a stride keep the size, unless the configuration says otherwise.
pub fn mobilenet_v3(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    let (table, features) = if name.contains("large") { (LARGE, 1280) } else { (SMALL, 1024) };
    let norm = if name.ends_with(TIMM) { NormConfig::default() } else { NORM };
    no_widths(name, config)?;
    let small = config.small_stem();
    let kept = table.iter().position(|unit| unit.5 > 1).filter(|_| small);
    let mut units = vec![UnitSpec {
        name: "features.0".into(),
        kind: UnitKind::ConvNorm { kernel: [3, 3], activation: SWISH, norm },
        width: STEM_WIDTH,
        stride: [if small { 1 } else { 2 }; 2],
    }];
    let mut last = STEM_WIDTH;
    for (number, &(kernel, inner, width, squeezed, activation, stride)) in table.iter().enumerate() {
        let block =
            MobileBlock { kernel: [kernel; 2], inner, squeezed, activation, norm, ..MobileBlock::default() };
        units.push(UnitSpec {
            name: format!("features.{}", units.len()),
            kind: UnitKind::MobileBlock(block),
            width,
            stride: [if kept == Some(number) { 1 } else { stride }; 2],
        });
        last = width;
    }
    let head = head(units.len(), [last, features, config.classes], norm);
    Ok(config.network(name, units, head))
}

/// The last convolution has six channels for each of the last unit's.
fn head(number: usize, [inputs, features, classes]: [usize; 3], norm: NormConfig) -> Vec<NamedLayer> {
    let outputs = 6 * inputs;
    let conv = LayerSpec::Conv { inputs, outputs, config: ConvConfig::default(), bias: false };
    let NormConfig { epsilon, momentum } = norm;
    let norm = LayerSpec::BatchNorm { channels: outputs, activation: Some(SWISH), epsilon, momentum };
    vec![
        named(format!("features.{number}.0"), conv),
        named(format!("features.{number}.1"), norm),
        unnamed(LayerSpec::GlobalAveragePool),
        named("classifier.0", LayerSpec::Linear { inputs: outputs, outputs: features, bias: true }),
        unnamed(LayerSpec::Activation(SWISH)),
        named("classifier.2", LayerSpec::Dropout { probability: 0.2 }),
        named("classifier.3", LayerSpec::Linear { inputs: features, outputs: classes, bias: true }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn at(side: usize, classes: usize) -> [NetworkSpec; 2] {
        let config = ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() };
        ["mobilenet_v3_large", "mobilenet_v3_small"].map(|name| mobilenet_v3(name, &config).unwrap())
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.mobilenet_v3_large().parameters()), and of the small one
        assert_eq!(at(224, 1000).each_ref().map(parameters), [5_483_032, 2_542_856]);
        assert_eq!(at(32, 10).each_ref().map(parameters), [5_483_032 - 1281 * 990, 2_542_856 - 1025 * 990]);
    }

    #[test]
    fn sizes_of_large_and_small_images() {
        let last = |spec: &NetworkSpec| spec.features_after(spec.units.len() - 1).unwrap();
        let map = |channels, side| Features::Map { channels, height: side, width: side };
        assert_eq!(at(224, 1000).each_ref().map(last), [map(160, 7), map(96, 7)]);
        assert_eq!(at(32, 10).each_ref().map(last), [map(160, 4), map(96, 4)]);
    }

    #[test]
    fn names_are_torchvisions() {
        let [large, _] = at(224, 1000);
        let (layers, _) = &large.expand().unwrap()[4];
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(
            names,
            ["block.0.0", "block.0.1", "block.1.0", "block.1.1", "block.2", "block.3.0", "block.3.1"]
        );
        assert_eq!(layers[4].layer.branches()[0][1].name, "fc1");
        assert_eq!(
            (large.units[4].name.as_str(), large.head[0].name.as_str()),
            ("features.4", "features.16.0")
        );
        let (layers, _) = &large.expand().unwrap()[1];
        let names: Vec<&str> =
            layers[0].layer.branches()[0].iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["block.0.0", "block.0.1", "block.1.0", "block.1.1"]);
    }
}
