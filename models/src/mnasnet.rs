//! MNASNet (Tan et al. 2019), named as torchvision names it.

use crate::config::{ModelConfig, no_widths};
use crate::scaled::divisible;
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::network::{MnasBlock, NetworkSpec, NormConfig, UnitKind, UnitSpec};

/// Expansion, kernel, first stride, width and number of units of each stage.
const STAGES: [(usize, usize, usize, usize, usize); 6] = [
    (3, 3, 2, 24, 3),
    (3, 5, 2, 40, 3),
    (6, 5, 2, 80, 3),
    (6, 3, 1, 96, 2),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
];
/// Widths of the first convolution and of the one behind it.
const STEM_WIDTHS: [usize; 2] = [32, 16];
const LAST_WIDTH: usize = 1280;
/// Of all batch norms.
const NORM: NormConfig = NormConfig { epsilon: 1e-5, momentum: 3e-4 };

fn multiplier(name: &str) -> f64 {
    match name {
        "mnasnet0_5" => 0.5,
        "mnasnet0_75" => 0.75,
        "mnasnet1_3" => 1.3,
        _ => 1.0,
    }
}

/// `mnasnet0_5`, `mnasnet0_75`, `mnasnet1_0` or `mnasnet1_3`. The last 1x1 convolution belongs to the head. For images of at
/// most 64 pixels the stem and the first stage keep the size, unless the configuration says otherwise.
pub fn mnasnet(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let scaled = |width: usize| divisible(width as f64 * multiplier(name));
    let small = config.small_stem();
    let [first, mut width] = STEM_WIDTHS.map(scaled);
    let stride = if small { 1 } else { 2 };
    let mut units = vec![UnitSpec {
        name: "layers".into(),
        kind: UnitKind::Layers(stem([config.input.channels(), first, width], stride)),
        width,
        stride: [stride; 2],
    }];
    for (stage, (expansion, kernel, first_stride, stage_width, count)) in STAGES.into_iter().enumerate() {
        width = scaled(stage_width);
        for position in 0..count {
            let keeps_size = position > 0 || (small && stage == 0);
            units.push(UnitSpec {
                name: format!("layers.{}.{position}", stage + 8),
                kind: UnitKind::MnasBlock(MnasBlock { kernel: [kernel; 2], expansion, norm: NORM }),
                width,
                stride: [if keeps_size { 1 } else { first_stride }; 2],
            });
        }
    }
    let mut head = conv_norm(["layers.14", "layers.15"], [width, LAST_WIDTH], ConvConfig::default(), true);
    head.extend([
        unnamed(LayerSpec::GlobalAveragePool),
        named("classifier.0", LayerSpec::Dropout { probability: 0.2 }),
        named("classifier.1", LayerSpec::Linear { inputs: LAST_WIDTH, outputs: config.classes, bias: true }),
    ]);
    Ok(config.network(name, units, head))
}

fn stem([inputs, first, width]: [usize; 3], stride: usize) -> Vec<NamedLayer> {
    let square = ConvConfig { kernel: [3, 3], padding: [1, 1], ..ConvConfig::default() };
    let mut layers =
        conv_norm(["0", "1"], [inputs, first], ConvConfig { stride: [stride; 2], ..square }, true);
    layers.extend(conv_norm(["3", "4"], [first, first], ConvConfig { groups: first, ..square }, true));
    layers.extend(conv_norm(["6", "7"], [first, width], ConvConfig::default(), false));
    layers
}

/// A convolution and batch norm of these names, with a ReLU or without.
fn conv_norm(
    [conv, norm]: [&str; 2],
    [inputs, outputs]: [usize; 2],
    config: ConvConfig,
    relu: bool,
) -> Vec<NamedLayer> {
    let activation = relu.then_some(Activation::Relu);
    let NormConfig { epsilon, momentum } = NORM;
    vec![
        named(conv, LayerSpec::Conv { inputs, outputs, config, bias: false }),
        named(norm, LayerSpec::BatchNorm { channels: outputs, activation, epsilon, momentum }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn at(name: &str, side: usize, classes: usize) -> NetworkSpec {
        let config = ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() };
        mnasnet(name, &config).unwrap()
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.mnasnet0_5().parameters()), and so on
        let published = [("0_5", 2_218_512), ("0_75", 3_170_208), ("1_0", 4_383_312), ("1_3", 6_282_256)];
        for (width, count) in published {
            assert_eq!(parameters(&at(&format!("mnasnet{width}"), 224, 1000)), count, "{width}");
        }
    }

    #[test]
    fn sizes_and_names() {
        let last = |spec: &NetworkSpec| spec.features_after(spec.units.len() - 1).unwrap();
        let map = |side| Features::Map { channels: 320, height: side, width: side };
        let spec = at("mnasnet1_0", 224, 1000);
        assert_eq!([last(&spec), last(&at("mnasnet1_0", 32, 10))], [map(7), map(4)]);
        let names = |layers: &[NamedLayer]| layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>();
        let expanded = spec.expand().unwrap();
        assert_eq!(names(&expanded[0].0), ["0", "1", "3", "4", "6", "7"]);
        let numbered = ["layers.0", "layers.1", "layers.3", "layers.4", "layers.6", "layers.7"];
        assert_eq!(names(&expanded[1].0), numbered);
        assert_eq!(names(expanded[2].0[0].layer.branches()[0]), numbered);
        assert_eq!(
            (spec.units[1].name.as_str(), spec.units[16].name.as_str()),
            ("layers.8.0", "layers.13.0")
        );
    }
}
