//! ConvNeXt (Liu et al. 2022), named as torchvision names it.

use crate::config::{ModelConfig, no_widths};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, named, unnamed};
use localgrad::network::{ConvNextBlock, NetworkSpec, UnitKind, UnitSpec};

/// Units of each stage; channels of the first stage, of which each later one has twice as many; and the probability that a
/// sample does without the last unit, towards which it grows from 0.
type ConvNextForm = ([usize; 4], usize, f64);

fn form(name: &str) -> ConvNextForm {
    match name {
        "convnext_atto" => ([2, 2, 6, 2], 40, 0.0),
        _ => ([3, 3, 9, 3], 96, 0.1),
    }
}

/// `convnext_tiny`, or timm's `convnext_atto`. For images of at most 64 pixels the stem makes patches of two pixels a side
/// instead of four, unless the configuration says otherwise.
pub fn convnext(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let (depths, first_width, most_drop_path) = form(name);
    let patch = if config.small_stem() { 2 } else { 4 };
    let count: usize = depths.iter().sum();
    let (mut units, mut number) = (Vec::new(), 0);
    for (stage, depth) in depths.into_iter().enumerate() {
        let width = first_width << stage;
        let unit = |name: String, kind, stride| UnitSpec { name, kind, width, stride: [stride; 2] };
        let kind = UnitKind::Patches { norm_first: stage > 0 };
        units.push(unit(format!("features.{}", 2 * stage), kind, if stage > 0 { 2 } else { patch }));
        for position in 0..depth {
            let drop_path = most_drop_path * number as f64 / (count - 1) as f64;
            let kind = UnitKind::ConvNext(ConvNextBlock { drop_path, ..ConvNextBlock::default() });
            units.push(unit(format!("features.{}.{position}", 2 * stage + 1), kind, 1));
            number += 1;
        }
    }
    let inputs = first_width << (depths.len() - 1);
    let head = vec![
        unnamed(LayerSpec::GlobalAveragePool),
        named("classifier.0", LayerSpec::LayerNorm { channels: inputs, epsilon: 1e-6 }),
        named("classifier.2", LayerSpec::Linear { inputs, outputs: config.classes, bias: true }),
    ];
    Ok(config.network(name, units, head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn at(side: usize, classes: usize) -> NetworkSpec {
        of("convnext_tiny", side, classes)
    }

    fn of(name: &str, side: usize, classes: usize) -> NetworkSpec {
        convnext(name, &ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() })
            .unwrap()
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.convnext_tiny().parameters())
        assert_eq!(parameters(&at(224, 1000)), 28_589_128);
        // timm's convnext_atto, of which its tables say 3.70 million.
        assert_eq!(parameters(&of("convnext_atto", 224, 1000)), 3_695_520);
    }

    #[test]
    fn sizes_and_names() {
        let last = |spec: &NetworkSpec| spec.features_after(spec.units.len() - 1).unwrap();
        let map = |side| Features::Map { channels: 768, height: side, width: side };
        assert_eq!([last(&at(224, 1000)), last(&at(32, 10))], [map(7), map(2)]);
        let spec = at(224, 1000);
        let names: Vec<&str> = spec.units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names[..5], ["features.0", "features.1.0", "features.1.1", "features.1.2", "features.2"]);
        let (layers, _) = &spec.expand().unwrap()[2];
        let names: Vec<&str> =
            layers[0].layer.branches()[0].iter().map(|layer| layer.name.as_str()).collect();
        let numbered = ["block.0", "block.2", "block.3", "", "block.5", "layer_scale", "stochastic_depth"];
        assert_eq!(names, numbered);
    }
}
