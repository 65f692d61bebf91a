//! DenseNet (Huang et al. 2017), named as torchvision names it.

use crate::config::{ModelConfig, no_widths};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::maps::pool::PoolConfig;
use localgrad::network::{NetworkSpec, UnitKind, UnitSpec};

/// Channels that a unit adds.
const GROWTH: usize = 32;
/// Channels between a unit's convolutions.
const INNER: usize = 4 * GROWTH;
const STEM_WIDTH: usize = 64;
const RELU: Option<Activation> = Some(Activation::Relu);

/// Units of each stage.
fn counts(name: &str) -> [usize; 4] {
    match name {
        "densenet121" => [6, 12, 24, 16],
        "densenet169" => [6, 12, 32, 32],
        _ => [6, 12, 48, 32],
    }
}

/// `densenet121`, `densenet169` or `densenet201`. The last batch norm belongs to the head. For images of at most 64 pixels the
/// stem is a 3x3 convolution that keeps the size, unless the configuration says otherwise.
pub fn densenet(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let small = config.small_stem();
    let mut units = vec![UnitSpec {
        name: "features".into(),
        kind: UnitKind::Layers(stem(config.input.channels(), small)),
        width: STEM_WIDTH,
        stride: [if small { 1 } else { 4 }; 2],
    }];
    let mut width = STEM_WIDTH;
    for (stage, count) in counts(name).into_iter().enumerate() {
        if stage > 0 {
            width /= 2;
            let name = format!("features.transition{stage}");
            units.push(UnitSpec { name, kind: UnitKind::Transition, width, stride: [2, 2] });
        }
        for position in 0..count {
            width += GROWTH;
            units.push(UnitSpec {
                name: format!("features.denseblock{}.denselayer{}", stage + 1, position + 1),
                kind: UnitKind::Dense { kernel: [3, 3], inner: INNER, growth: GROWTH },
                width,
                stride: [1, 1],
            });
        }
    }
    let head = vec![
        named("features.norm5", LayerSpec::batch_norm(width, RELU)),
        unnamed(LayerSpec::GlobalAveragePool),
        named("classifier", LayerSpec::Linear { inputs: width, outputs: config.classes, bias: true }),
    ];
    Ok(config.network(name, units, head))
}

fn stem(inputs: usize, small: bool) -> Vec<NamedLayer> {
    let (kernel, stride) = if small { (3, 1) } else { (7, 2) };
    let config = ConvConfig {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [kernel / 2; 2],
        ..ConvConfig::default()
    };
    let conv = LayerSpec::Conv { inputs, outputs: STEM_WIDTH, config, bias: false };
    let mut layers = vec![named("conv0", conv), named("norm0", LayerSpec::batch_norm(STEM_WIDTH, RELU))];
    if !small {
        let pool = PoolConfig { kernel: [3, 3], stride: [2, 2], padding: [1, 1], ..PoolConfig::default() };
        layers.push(unnamed(LayerSpec::MaxPool(pool)));
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn at(name: &str, side: usize, classes: usize) -> NetworkSpec {
        densenet(name, &ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() })
            .unwrap()
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.densenet121().parameters()), and so on
        let published =
            [("densenet121", 7_978_856), ("densenet169", 14_149_480), ("densenet201", 20_013_928)];
        for (name, count) in published {
            assert_eq!(parameters(&at(name, 224, 1000)), count, "{name}");
        }
    }

    #[test]
    fn sizes_and_names() {
        let last = |spec: &NetworkSpec| spec.features_after(spec.units.len() - 1).unwrap();
        let map = |side| Features::Map { channels: 1024, height: side, width: side };
        let name = "densenet121";
        assert_eq!([last(&at(name, 224, 1000)), last(&at(name, 32, 10))], [map(7), map(4)]);
        let spec = at(name, 224, 1000);
        let (layers, _) = &spec.expand().unwrap()[1];
        let names: Vec<&str> =
            layers[0].layer.branches()[1].iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["norm1", "conv1", "norm2", "conv2"]);
        assert_eq!(spec.units[1].name, "features.denseblock1.denselayer1");
        assert_eq!(spec.units[7].name, "features.transition1");
    }
}
