//! MobileNetV1 (Howard et al. 2017), named as timm names it.

use crate::config::{ModelConfig, no_widths};
use crate::hugging_face::norm_by_name;
use crate::scaled::{divisible, multiplier};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::network::{NetworkSpec, NormConfig, UnitKind, UnitSpec};

/// Width, number of units and first stride of each stage.
const STAGES: [(usize, usize, usize); 5] = [(64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)];
const STEM_WIDTH: usize = 32;
const RELU6: Activation = Activation::Relu6;

/// `mobilenet_v1`, or with other widths `mobilenet_v1_x0_25` and the like, or Hugging Face's `mobilenet_v1_1.0_224` and so on,
/// whose batch norms are TensorFlow's. For images of at most 64 pixels the stem and the
/// second stage keep the size, unless the configuration says otherwise.
pub fn mobilenet_v1(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let (ours, norm) = norm_by_name(name);
    let multiplier = multiplier(ours, "mobilenet_v1")?;
    let scaled = |width: usize| divisible(width as f64 * multiplier);
    let small = config.small_stem();
    let mut width = scaled(STEM_WIDTH);
    let mut units = vec![UnitSpec {
        name: String::new(),
        kind: UnitKind::Layers(stem([config.input.channels(), width], if small { 1 } else { 2 }, norm)),
        width,
        stride: [if small { 1 } else { 2 }; 2],
    }];
    for (stage, (stage_width, count, first_stride)) in STAGES.into_iter().enumerate() {
        width = scaled(stage_width);
        for position in 0..count {
            let keeps_size = position > 0 || (small && stage == 1);
            units.push(UnitSpec {
                name: format!("blocks.{stage}.{position}"),
                kind: UnitKind::Separable { kernel: [3, 3], activation: RELU6, norm },
                width,
                stride: [if keeps_size { 1 } else { first_stride }; 2],
            });
        }
    }
    let head = vec![
        unnamed(LayerSpec::GlobalAveragePool),
        named("classifier", LayerSpec::Linear { inputs: width, outputs: config.classes, bias: true }),
    ];
    Ok(config.network(name, units, head))
}

fn stem([inputs, outputs]: [usize; 2], stride: usize, norm: NormConfig) -> Vec<NamedLayer> {
    let config = ConvConfig { kernel: [3, 3], stride: [stride; 2], padding: [1, 1], ..ConvConfig::default() };
    vec![
        named("conv_stem", LayerSpec::Conv { inputs, outputs, config, bias: false }),
        named("bn1", norm.layer(outputs, Some(RELU6))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn at(name: &str, side: usize, classes: usize) -> NetworkSpec {
        let config = ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() };
        mobilenet_v1(name, &config).unwrap()
    }

    #[test]
    fn as_many_parameters_as_published() {
        // len(model.trainable_weights), counted, of keras.applications.MobileNet(alpha=1.0) and of the others
        let published = [("", 4_231_976), ("_x0_75", 2_585_560), ("_x0_5", 1_331_592), ("_x0_25", 470_072)];
        for (width, count) in published {
            assert_eq!(parameters(&at(&format!("mobilenet_v1{width}"), 224, 1000)), count, "{width}");
        }
    }

    #[test]
    fn sizes_and_names() {
        let last = |spec: &NetworkSpec| spec.features_after(spec.units.len() - 1).unwrap();
        let map = |channels, side| Features::Map { channels, height: side, width: side };
        let spec = at("mobilenet_v1", 224, 1000);
        assert_eq!(last(&spec), map(1024, 7));
        assert_eq!(last(&at("mobilenet_v1_x0_25", 32, 10)), map(256, 4));
        let names: Vec<&str> = spec.units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names[..4], ["", "blocks.0.0", "blocks.1.0", "blocks.1.1"]);
        let (layers, _) = &spec.expand().unwrap()[2];
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["conv_dw", "bn1", "conv_pw", "bn2"]);
    }
}
