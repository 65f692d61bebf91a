//! EfficientNet (Tan and Le 2019), named as torchvision names it.

use crate::catalogue::{ModelConfig, no_widths};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::network::{MobileBlock, NetworkSpec, NormConfig, UnitKind, UnitSpec};

/// Expansion, kernel, first stride, width and number of units of each stage.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
];
const STEM_WIDTH: usize = 32;
const LAST_WIDTH: usize = 1280;
const SWISH: Activation = Activation::Silu;
/// The probability that a sample does without the last unit, towards which it grows from 0.
const DROP_PATH: f64 = 0.2;

/// `efficientnet_b0`. The last 1x1 convolution belongs to the head. For images of at most 64 pixels the stem and the second
/// stage keep the size, unless the configuration says otherwise.
pub fn efficientnet_b0(config: &ModelConfig) -> Result<NetworkSpec> {
    let name = "efficientnet_b0";
    no_widths(name, config)?;
    let small = config.small_stem();
    let mut units = vec![UnitSpec {
        name: "features.0".into(),
        kind: UnitKind::ConvNorm { kernel: 3, activation: SWISH, norm: NormConfig::default() },
        width: STEM_WIDTH,
        stride: if small { 1 } else { 2 },
    }];
    let count: usize = STAGES.iter().map(|stage| stage.4).sum();
    let mut width = STEM_WIDTH;
    for (stage, (expansion, kernel, first_stride, stage_width, count_here)) in STAGES.into_iter().enumerate()
    {
        for position in 0..count_here {
            let block = MobileBlock {
                kernel,
                inner: expansion * width,
                squeezed: width / 4,
                activation: SWISH,
                gate: [SWISH, Activation::Sigmoid],
                norm: NormConfig::default(),
                drop_path: DROP_PATH * (units.len() - 1) as f64 / count as f64,
            };
            let keeps_size = position > 0 || (small && stage == 1);
            width = stage_width;
            units.push(UnitSpec {
                name: format!("features.{}.{position}", stage + 1),
                kind: UnitKind::MobileBlock(block),
                width,
                stride: if keeps_size { 1 } else { first_stride },
            });
        }
    }
    let head = head(STAGES.len() + 1, width, config.classes);
    Ok(NetworkSpec { name: name.into(), input: config.input, classes: config.classes, units, head })
}

fn head(number: usize, inputs: usize, classes: usize) -> Vec<NamedLayer> {
    let conv = LayerSpec::Conv { inputs, outputs: LAST_WIDTH, config: ConvConfig::default(), bias: false };
    vec![
        named(format!("features.{number}.0"), conv),
        named(format!("features.{number}.1"), LayerSpec::batch_norm(LAST_WIDTH, Some(SWISH))),
        unnamed(LayerSpec::GlobalAveragePool),
        named("classifier.0", LayerSpec::Dropout { probability: 0.2 }),
        named("classifier.1", LayerSpec::Linear { inputs: LAST_WIDTH, outputs: classes, bias: true }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn at(side: usize, classes: usize) -> NetworkSpec {
        efficientnet_b0(&ModelConfig { input: [3, side, side], classes, ..ModelConfig::default() }).unwrap()
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.efficientnet_b0().parameters())
        assert_eq!(parameters(&at(224, 1000)), 5_288_548);
        assert_eq!(parameters(&at(32, 10)), 5_288_548 - 1281 * 990);
    }

    #[test]
    fn sizes_and_names() {
        let last = |spec: &NetworkSpec| spec.features_after(spec.units.len() - 1).unwrap();
        let map = |side| Features::Map { channels: 320, height: side, width: side };
        assert_eq!([last(&at(224, 1000)), last(&at(32, 10))], [map(7), map(4)]);
        let spec = at(224, 1000);
        let names: Vec<&str> = spec.units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names[..4], ["features.0", "features.1.0", "features.2.0", "features.2.1"]);
        assert_eq!(spec.units.len(), 17);
    }
}
