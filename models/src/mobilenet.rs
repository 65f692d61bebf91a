//! MobileNetV2 (Sandler et al. 2018), named as torchvision names it.

use crate::config::{ModelConfig, no_widths};
use crate::hugging_face::norm_by_name;
use crate::scaled::{divisible, multiplier};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::network::{NetworkSpec, NormConfig, UnitKind, UnitSpec};

/// Expansion, width, number of units and first stride of each stage.
const STAGES: [(usize, usize, usize, usize); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];
const STEM_WIDTH: usize = 32;
const LAST_WIDTH: usize = 1280;

/// `mobilenet_v2`, or with other widths `mobilenet_v2_x0_5` and the like, or Hugging Face's `mobilenet_v2_1.0_224` and so on,
/// whose batch norms are TensorFlow's. The last 1x1 convolution belongs to the head. For
/// images of at most 64 pixels the stem and the second stage keep the size, unless the configuration says otherwise.
pub fn mobilenet_v2(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let (ours, norm) = norm_by_name(name);
    let multiplier = multiplier(ours, "mobilenet_v2")?;
    let scaled = |width: usize| divisible(width as f64 * multiplier);
    let mut width = scaled(STEM_WIDTH);
    let small = config.small_stem();
    let mut units = vec![UnitSpec {
        name: "features.0".into(),
        kind: UnitKind::ConvNorm { kernel: [3, 3], activation: Activation::Relu6, norm },
        width,
        stride: [if small { 1 } else { 2 }; 2],
    }];
    for (stage, (expansion, stage_width, count, first_stride)) in STAGES.into_iter().enumerate() {
        width = scaled(stage_width);
        for position in 0..count {
            let keeps_size = position > 0 || (small && stage == 1);
            units.push(UnitSpec {
                name: format!("features.{}", units.len()),
                kind: UnitKind::InvertedResidual { kernel: [3, 3], expansion, norm },
                width,
                stride: [if keeps_size { 1 } else { first_stride }; 2],
            });
        }
    }
    let last = divisible(LAST_WIDTH as f64 * multiplier.max(1.0));
    let head = head(units.len(), [width, last, config.classes], norm);
    Ok(config.network(name, units, head))
}

/// From so many inputs through so many channels to so many classes.
fn head(number: usize, [inputs, last, classes]: [usize; 3], norm: NormConfig) -> Vec<NamedLayer> {
    let config = ConvConfig { kernel: [1, 1], ..ConvConfig::default() };
    let conv = LayerSpec::Conv { inputs, outputs: last, config, bias: false };
    let norm = norm.layer(last, Some(Activation::Relu6));
    vec![
        named(format!("features.{number}.0"), conv),
        named(format!("features.{number}.1"), norm),
        unnamed(LayerSpec::GlobalAveragePool),
        named("classifier.0", LayerSpec::Dropout { probability: 0.2 }),
        named("classifier.1", LayerSpec::Linear { inputs: last, outputs: classes, bias: true }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn at(side: usize, classes: usize) -> NetworkSpec {
        of("mobilenet_v2", side, classes)
    }

    fn of(name: &str, side: usize, classes: usize) -> NetworkSpec {
        let config = ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() };
        mobilenet_v2(name, &config).unwrap()
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.mobilenet_v2().parameters())
        assert_eq!(parameters(&at(224, 1000)), 3_504_872);
        assert_eq!(parameters(&at(32, 10)), 3_504_872 - 1281 * 990);
        // torchvision.models.mobilenet_v2(width_mult=0.35), and so on
        let others = [("x0_35", 1_677_128), ("x0_5", 1_968_680), ("x0_75", 2_636_424), ("x1_4", 6_108_776)];
        for (width, count) in others {
            assert_eq!(parameters(&of(&format!("mobilenet_v2_{width}"), 224, 1000)), count, "{width}");
        }
    }

    #[test]
    fn sizes_of_large_and_small_images() {
        let last = |spec: NetworkSpec| spec.features_after(spec.units.len() - 1).unwrap();
        assert_eq!(last(at(224, 1000)), Features::Map { channels: 320, height: 7, width: 7 });
        assert_eq!(last(at(32, 10)), Features::Map { channels: 320, height: 4, width: 4 });
    }

    #[test]
    fn names_are_torchvisions() {
        let spec = at(224, 1000);
        let (layers, _) = &spec.expand().unwrap()[1];
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["conv.0.0", "conv.0.1", "conv.1", "conv.2"]);
        let (layers, _) = &spec.expand().unwrap()[3];
        let LayerSpec::Residual { main, .. } = &layers[0].layer else { panic!("no sum in unit 3") };
        let names: Vec<&str> = main.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["conv.0.0", "conv.0.1", "conv.1.0", "conv.1.1", "conv.2", "conv.3"]);
        assert_eq!(
            (spec.units[17].name.as_str(), spec.head[0].name.as_str()),
            ("features.17", "features.18.0")
        );
    }
}
