//! SqueezeNet (Iandola et al. 2016), named as torchvision names it.

use crate::config::{ModelConfig, no_widths};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::network::{NetworkSpec, UnitKind, UnitSpec};

/// Channels that the units squeeze to, and their widths.
const UNITS: [(usize, usize); 8] =
    [(16, 128), (16, 128), (32, 256), (32, 256), (48, 384), (48, 384), (64, 512), (64, 512)];

/// Width and kernel of the stem, and the units that a pool stands before, besides the first.
fn form(name: &str) -> (usize, usize, [usize; 2]) {
    match name {
        "squeezenet1_0" => (96, 7, [3, 7]),
        _ => (64, 3, [2, 4]),
    }
}

/// `squeezenet1_0` or `squeezenet1_1`. For images of at most 64 pixels the stem is a 3x3 convolution that keeps the size and
/// has no pool, unless the configuration says otherwise.
pub fn squeezenet(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let small = config.small_stem();
    let (stem_width, kernel, pools) = form(name);
    let mut units = vec![UnitSpec {
        name: String::new(),
        kind: UnitKind::Layers(stem(
            config.input.channels(),
            stem_width,
            if small { None } else { Some(kernel) },
        )),
        width: stem_width,
        stride: [if small { 1 } else { 2 }; 2],
    }];
    // torchvision counts the stem's ReLU and the pools among the features.
    let mut number = 2;
    for (position, (squeezed, width)) in UNITS.into_iter().enumerate() {
        let stride = if pools.contains(&position) || (position == 0 && !small) { 2 } else { 1 };
        number += stride - 1 + usize::from(small && position == 0);
        units.push(UnitSpec {
            name: format!("features.{number}"),
            kind: UnitKind::Fire { kernel: [3, 3], squeezed },
            width,
            stride: [stride; 2],
        });
        number += 1;
    }
    let head = head(units.last().map_or(stem_width, |unit| unit.width), config.classes);
    Ok(config.network(name, units, head))
}

/// A convolution with a stride of 2, or, without a kernel, one of 3x3 pixels that keeps the size.
fn stem(inputs: usize, outputs: usize, kernel: Option<usize>) -> Vec<NamedLayer> {
    let config = match kernel {
        Some(kernel) => ConvConfig { kernel: [kernel; 2], stride: [2, 2], ..ConvConfig::default() },
        None => ConvConfig { kernel: [3, 3], padding: [1, 1], ..ConvConfig::default() },
    };
    vec![
        named("features.0", LayerSpec::Conv { inputs, outputs, config, bias: true }),
        unnamed(LayerSpec::Activation(Activation::Relu)),
    ]
}

/// A convolution gives the classes, and has a ReLU behind it.
fn head(inputs: usize, outputs: usize) -> Vec<NamedLayer> {
    let config = ConvConfig::default();
    vec![
        named("classifier.0", LayerSpec::Dropout { probability: 0.5 }),
        named("classifier.1", LayerSpec::Conv { inputs, outputs, config, bias: true }),
        unnamed(LayerSpec::Activation(Activation::Relu)),
        unnamed(LayerSpec::GlobalAveragePool),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn at(name: &str, side: usize, classes: usize) -> NetworkSpec {
        let config = ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() };
        squeezenet(name, &config).unwrap()
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.squeezenet1_0().parameters()), and of 1_1
        assert_eq!(parameters(&at("squeezenet1_0", 224, 1000)), 1_248_424);
        assert_eq!(parameters(&at("squeezenet1_1", 224, 1000)), 1_235_496);
    }

    #[test]
    fn sizes_and_names() {
        let last = |spec: NetworkSpec| spec.features_after(spec.units.len() - 1).unwrap();
        let map = |side| Features::Map { channels: 512, height: side, width: side };
        assert_eq!(last(at("squeezenet1_0", 224, 1000)), map(13));
        assert_eq!(last(at("squeezenet1_1", 224, 1000)), map(13));
        assert_eq!(last(at("squeezenet1_0", 32, 10)), map(8));
        let names = |name: &str, side| -> Vec<String> {
            at(name, side, 10).units.into_iter().skip(1).map(|unit| unit.name).collect()
        };
        for side in [32, 224] {
            let numbers = [3, 4, 5, 7, 8, 9, 10, 12].map(|number| format!("features.{number}"));
            assert_eq!(names("squeezenet1_0", side), numbers);
            let numbers = [3, 4, 6, 7, 9, 10, 11, 12].map(|number| format!("features.{number}"));
            assert_eq!(names("squeezenet1_1", side), numbers);
        }
    }
}
