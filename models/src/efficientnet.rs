//! EfficientNet (Tan and Le 2019), named as torchvision names it.

use crate::config::{ModelConfig, no_widths};
use crate::scaled::divisible;
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
/// Channels of the last convolution, for each of the last unit's.
const LAST_EXPANSION: usize = 4;
/// The probability that a sample does without the last unit, towards which it grows from 0.
const DROP_PATH: f64 = 0.2;

/// What tells the networks apart.
struct EfficientNetForm {
    /// What widths are multiplied by.
    width: f64,
    /// What numbers of units are multiplied by, and rounded up.
    depth: f64,
    /// Before the classifier.
    dropout: f64,
    /// After the convolutions.
    activation: Activation,
    /// Whether units have squeeze-and-excitation.
    excites: bool,
}

const B0: EfficientNetForm =
    EfficientNetForm { width: 1.0, depth: 1.0, dropout: 0.2, activation: Activation::Silu, excites: true };

fn form(name: &str) -> EfficientNetForm {
    match name.replace('-', "_").as_str() {
        "efficientnet_b1" => EfficientNetForm { depth: 1.1, ..B0 },
        "efficientnet_b2" => EfficientNetForm { width: 1.1, depth: 1.2, dropout: 0.3, ..B0 },
        "efficientnet_lite0" => EfficientNetForm { activation: Activation::Relu6, excites: false, ..B0 },
        _ => B0,
    }
}

/// What TensorFlow's batch norms, and with them the weights that were learnt there, add to the variance.
pub(crate) const TENSORFLOW_EPSILON: f64 = 1e-3;

/// `efficientnet_b0`, `_b1`, `_b2` or `_lite0`, or EfficientNet-PyTorch's `efficientnet-b0` and so on, whose batch norms are
/// TensorFlow's; Lite0 is without squeeze-and-excitation and has ReLU6. The last 1x1 convolution belongs to the head. For images of at most 64 pixels the stem and the second stage keep the size, unless the
/// configuration says otherwise.
pub fn efficientnet(name: &str, config: &ModelConfig) -> Result<NetworkSpec> {
    no_widths(name, config)?;
    let form = form(name);
    let scaled = |width: usize| divisible(width as f64 * form.width);
    let units_of = |count: usize| (count as f64 * form.depth).ceil() as usize;
    let mut norm = NormConfig::default();
    if name.contains('-') {
        norm.epsilon = TENSORFLOW_EPSILON;
    }
    let small = config.small_stem();
    let mut width = scaled(STEM_WIDTH);
    let mut units = vec![UnitSpec {
        name: "features.0".into(),
        kind: UnitKind::ConvNorm { kernel: [3, 3], activation: form.activation, norm },
        width,
        stride: [if small { 1 } else { 2 }; 2],
    }];
    let count: usize = STAGES.iter().map(|stage| units_of(stage.4)).sum();
    for (stage, (expansion, kernel, first_stride, stage_width, count_here)) in STAGES.into_iter().enumerate()
    {
        for position in 0..units_of(count_here) {
            let block = MobileBlock {
                kernel: [kernel; 2],
                inner: expansion * width,
                squeezed: if form.excites { width / 4 } else { 0 },
                activation: form.activation,
                gate: [form.activation, Activation::Sigmoid],
                norm,
                drop_path: DROP_PATH * (units.len() - 1) as f64 / count as f64,
            };
            let keeps_size = position > 0 || (small && stage == 1);
            width = scaled(stage_width);
            units.push(UnitSpec {
                name: format!("features.{}.{position}", stage + 1),
                kind: UnitKind::MobileBlock(block),
                width,
                stride: [if keeps_size { 1 } else { first_stride }; 2],
            });
        }
    }
    let head = head(STAGES.len() + 1, [width, config.classes], &form, norm);
    Ok(config.network(name, units, head))
}

fn head(
    number: usize,
    [inputs, classes]: [usize; 2],
    form: &EfficientNetForm,
    NormConfig { epsilon, momentum }: NormConfig,
) -> Vec<NamedLayer> {
    let last = LAST_EXPANSION * inputs;
    let activation = Some(form.activation);
    let conv = LayerSpec::Conv { inputs, outputs: last, config: ConvConfig::default(), bias: false };
    vec![
        named(format!("features.{number}.0"), conv),
        named(
            format!("features.{number}.1"),
            LayerSpec::BatchNorm { channels: last, activation, epsilon, momentum },
        ),
        unnamed(LayerSpec::GlobalAveragePool),
        named("classifier.0", LayerSpec::Dropout { probability: form.dropout }),
        named("classifier.1", LayerSpec::Linear { inputs: last, outputs: classes, bias: true }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::parameters;
    use localgrad::layers::Features;

    fn of(name: &str, side: usize, classes: usize) -> NetworkSpec {
        let config = ModelConfig { input: [3, side, side].into(), classes, ..ModelConfig::default() };
        efficientnet(name, &config).unwrap()
    }

    fn at(side: usize, classes: usize) -> NetworkSpec {
        of("efficientnet_b0", side, classes)
    }

    #[test]
    fn as_many_parameters_as_published() {
        // sum(p.numel() for p in torchvision.models.efficientnet_b0().parameters()), and so on; of the last one timm's
        let published = [("b0", 5_288_548), ("b1", 7_794_184), ("b2", 9_109_994), ("lite0", 4_652_008)];
        for (size, count) in published {
            assert_eq!(parameters(&of(&format!("efficientnet_{size}"), 224, 1000)), count, "{size}");
        }
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
        assert_eq!(of("efficientnet_b2", 224, 1000).units.len(), 24);
    }
}
