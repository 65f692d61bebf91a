//! RegNets (Radosavovic et al. 2020), named as torchvision names them.

use crate::config::{ModelConfig, no_widths};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::network::{NetworkSpec, NormConfig, RegnetBlock, UnitKind, UnitSpec};

/// Widths and numbers of units of the stages, channels of a group, and whether units have squeeze-and-excitation.
type RegnetForm = ([usize; 4], [usize; 4], usize, bool);

const STEM_WIDTH: usize = 32;

fn form(name: &str) -> RegnetForm {
    match name {
        "regnet_x_400mf" => ([32, 64, 160, 400], [1, 2, 7, 12], 16, false),
        "regnet_x_800mf" => ([64, 128, 288, 672], [1, 3, 7, 5], 16, false),
        "regnet_y_400mf" => ([48, 104, 208, 440], [1, 3, 6, 6], 8, true),
        _ => ([64, 144, 320, 784], [1, 3, 8, 2], 16, true),
    }
}

/// `regnet_x_400mf`, `regnet_x_800mf`, `regnet_y_400mf` or `regnet_y_800mf`. For images of at most 64 pixels the stem and the
/// first stage keep the size, unless the configuration says otherwise.
pub fn regnet(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let (widths, counts, group_width, excites) = form(name);
    let small = config.small_stem();
    let mut units = vec![UnitSpec {
        name: "stem".into(),
        kind: UnitKind::ConvNorm {
            kernel: [3, 3],
            activation: Activation::Relu,
            norm: NormConfig::default(),
        },
        width: STEM_WIDTH,
        stride: [if small { 1 } else { 2 }; 2],
    }];
    let mut inputs = STEM_WIDTH;
    for (stage, (width, count)) in widths.into_iter().zip(counts).enumerate() {
        for position in 0..count {
            let squeezed = if excites { inputs / 4 } else { 0 };
            let keeps_size = position > 0 || (small && stage == 0);
            let number = stage + 1;
            units.push(UnitSpec {
                name: format!("trunk_output.block{number}.block{number}-{position}"),
                kind: UnitKind::RegnetBlock(RegnetBlock { group_width, squeezed, ..RegnetBlock::default() }),
                width,
                stride: [if keeps_size { 1 } else { 2 }; 2],
            });
            inputs = width;
        }
    }
    let head = vec![
        unnamed(LayerSpec::GlobalAveragePool),
        named("fc", LayerSpec::Linear { inputs, outputs: config.classes, bias: true }),
    ];
    Ok(config.network(name, units, head))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn at(name: &str, side: usize, classes: usize) -> NetworkSpec {
        let config = ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() };
        regnet(name, &config).unwrap()
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.regnet_x_400mf().parameters()), and so on
        let published =
            [("x_400mf", 5_495_976), ("x_800mf", 7_259_656), ("y_400mf", 4_344_144), ("y_800mf", 6_432_512)];
        for (size, count) in published {
            assert_eq!(parameters(&at(&format!("regnet_{size}"), 224, 1000)), count, "{size}");
        }
    }

    #[test]
    fn sizes_and_names() {
        let last = |spec: &NetworkSpec| spec.features_after(spec.units.len() - 1).unwrap();
        let map = |side| Features::Map { channels: 440, height: side, width: side };
        let spec = at("regnet_y_400mf", 224, 1000);
        assert_eq!([last(&spec), last(&at("regnet_y_400mf", 32, 10))], [map(7), map(4)]);
        let names: Vec<&str> = spec.units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names[..2], ["stem", "trunk_output.block1.block1-0"]);
        assert_eq!(names[3], "trunk_output.block2.block2-1");
        let (layers, _) = &spec.expand().unwrap()[1];
        let branches: Vec<Vec<&str>> = layers[0]
            .layer
            .branches()
            .iter()
            .map(|branch| branch.iter().map(|layer| layer.name.as_str()).collect())
            .collect();
        let main = ["f.a.0", "f.a.1", "f.b.0", "f.b.1", "f.se", "f.c.0", "f.c.1"];
        assert_eq!(branches, [&main[..], &["proj.0", "proj.1"]]);
    }
}
