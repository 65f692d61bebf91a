//! Networks that nobody thought of: whatever is not refused is planned within what it then takes, trains by every rule
//! that accepts it, and classifies.

use crate::common::batch;
use localgrad::data::Normalize;
use localgrad::inputs::Inputs;
use localgrad::layers::Features;
use localgrad::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, named, output_of_all};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::maps::pool::PoolConfig;
use localgrad::model::Classifier;
use localgrad::network::unit::{Shortcut, UnitKind, UnitSpec};
use localgrad::network::{
    ConvNextBlock, MnasBlock, MobileBlock, NetworkSpec, NormConfig, Objective, RegnetBlock, TemporalBlock,
};
use localgrad::plan::{Workload, plan};
use localgrad::random::Stream;
use localgrad::rules::{RuleConfig, auxiliary_specs};
use localgrad::trainer::{Execution, Method, TrainConfig, Trainer};
use localgrad::{Device, ErrorKind};

const SAMPLES: usize = 3;
const RULES: [(&str, Option<&str>); 12] = [
    ("bp", None),
    ("greedy", None),
    ("dgl", None),
    ("predsim", None),
    ("infopro", None),
    ("auglocal", None),
    ("man", None),
    ("manpp", None),
    ("man", Some("path")),
    ("man", Some("auglocal")),
    ("dgl", Some("path")),
    ("greedy", Some("2c3f")),
];

/// A number from `least` to `most`.
fn from(stream: &mut Stream, least: usize, most: usize) -> usize {
    least + stream.below((most - least + 1) as u64) as usize
}

fn pair(stream: &mut Stream, least: usize, most: usize) -> [usize; 2] {
    [from(stream, least, most), from(stream, least, most)]
}

fn unit(stream: &mut Stream, number: usize) -> UnitSpec {
    let shortcut =
        [Shortcut::Project, Shortcut::Pad, Shortcut::Average, Shortcut::Convolve][from(stream, 0, 3)];
    let norm = NormConfig::default();
    let kind = match from(stream, 0, 16) {
        0 => UnitKind::Stem { kernel: pair(stream, 1, 7), pool: from(stream, 0, 1) == 1 },
        1 => UnitKind::Plain {
            names: ["conv".into(), "norm".into()],
            bias: from(stream, 0, 1) == 1,
            norm: from(stream, 0, 1) == 1,
            kernel: pair(stream, 1, 4),
        },
        2 => UnitKind::Basic { kernel: pair(stream, 1, 3), shortcut },
        3 => {
            let groups = from(stream, 1, 2);
            let inner = groups * from(stream, 1, 3);
            UnitKind::Bottleneck { kernel: pair(stream, 1, 3), inner, groups, shortcut }
        }
        4 => UnitKind::ConvNorm {
            kernel: pair(stream, 1, 5),
            activation: activation(stream).unwrap_or(Activation::Relu6),
            norm,
        },
        16 => UnitKind::TemporalBlock(TemporalBlock {
            kernels: vec![3; from(stream, 1, 3)],
            dilation: from(stream, 1, 4),
            dropout: [0.0, 0.2][from(stream, 0, 1)],
        }),
        15 => UnitKind::RegnetBlock(RegnetBlock {
            group_width: from(stream, 1, 2),
            squeezed: from(stream, 0, 3),
            kernel: pair(stream, 1, 3),
        }),
        14 => UnitKind::MnasBlock(MnasBlock {
            kernel: pair(stream, 1, 5),
            expansion: from(stream, 1, 3),
            ..MnasBlock::default()
        }),
        13 => UnitKind::Separable { kernel: pair(stream, 1, 5), activation: Activation::Relu6, norm },
        12 => UnitKind::Fire { kernel: pair(stream, 1, 3), squeezed: from(stream, 1, 3) },
        10 => {
            let kernel = pair(stream, 1, 3);
            UnitKind::Dense { kernel, inner: from(stream, 1, 5), growth: from(stream, 1, 4) }
        }
        9 => UnitKind::Transition,
        8 => UnitKind::Shuffle,
        6 => UnitKind::Patches { norm_first: from(stream, 0, 1) == 1 },
        7 => UnitKind::ConvNext(ConvNextBlock {
            kernel: pair(stream, 1, 7),
            scale: 0.5,
            drop_path: [0.0, 0.2][from(stream, 0, 1)],
        }),
        5 => UnitKind::MobileBlock(MobileBlock {
            kernel: pair(stream, 1, 5),
            inner: from(stream, 1, 9),
            squeezed: from(stream, 0, 3),
            activation: activation(stream).unwrap_or(Activation::Silu),
            drop_path: [0.0, 0.2][from(stream, 0, 1)],
            ..MobileBlock::default()
        }),
        _ => UnitKind::InvertedResidual { kernel: pair(stream, 1, 4), expansion: from(stream, 1, 3), norm },
    };
    let stride = [[1, 1], [1, 1], [1, 2], [2, 1], [2, 2], [3, 3]][from(stream, 0, 5)];
    UnitSpec { name: format!("unit{number}"), kind, width: from(stream, 1, 9), stride }
}

/// A unit of any layers that mostly fit.
fn written_out(stream: &mut Stream, number: usize, mut features: Features) -> UnitSpec {
    let count = from(stream, 1, 4);
    let layers = layers(stream, count, 2, &mut features);
    let kind = UnitKind::Layers(layers);
    UnitSpec { name: format!("unit{number}"), kind, width: features.channels(), stride: [1, 1] }
}

fn activation(stream: &mut Stream) -> Option<Activation> {
    use Activation::{Gelu, HardSigmoid, HardSwish, LeakyRelu, Relu, Relu6, Sigmoid, Silu};
    let leaky = LeakyRelu { slope: 0.1 };
    let all = [Relu, Relu6, Silu, Sigmoid, Gelu, HardSwish, HardSigmoid, leaky];
    all.get(from(stream, 0, all.len())).copied()
}

/// Layers on `features` that mostly fit them, and what they give.
fn layers(stream: &mut Stream, count: usize, deep: usize, features: &mut Features) -> Vec<NamedLayer> {
    let mut found: Vec<NamedLayer> = Vec::new();
    for number in 0..count {
        let pool = PoolConfig {
            kernel: pair(stream, 1, 3),
            stride: pair(stream, 1, 3),
            padding: pair(stream, 0, 1),
            round_up: from(stream, 0, 1) == 1,
        };
        let layer = match (from(stream, 0, 17), *features) {
            (0, Features::Map { channels, .. }) => {
                let groups = if from(stream, 0, 2) == 0 { channels } else { 1 };
                let config = ConvConfig {
                    kernel: pair(stream, 1, 3),
                    stride: pair(stream, 1, 2),
                    padding: pair(stream, 0, 3),
                    dilation: pair(stream, 1, 2),
                    groups,
                };
                let outputs = groups * from(stream, 1, 4);
                LayerSpec::Conv { inputs: channels, outputs, config, bias: from(stream, 0, 1) == 1 }
            }
            (0, Features::Flat(inputs)) => {
                LayerSpec::Linear { inputs, outputs: from(stream, 1, 8), bias: from(stream, 0, 1) == 1 }
            }
            (1, _) => batch_norm(stream, features.channels()),
            (2, _) => LayerSpec::Activation(activation(stream).unwrap_or(Activation::Relu)),
            (3, _) => {
                let probability = [0.0, 0.3][from(stream, 0, 1)];
                [LayerSpec::Dropout { probability }, LayerSpec::DropPath { probability }][from(stream, 0, 1)]
                    .clone()
            }
            (4, _) => LayerSpec::MaxPool(pool),
            (5, _) => LayerSpec::AveragePool(pool),
            (6, _) => LayerSpec::AdaptiveAveragePool(pair(stream, 1, 5)),
            (7, _) => {
                LayerSpec::Upsample { size: pair(stream, 1, 6), align_corners: from(stream, 0, 1) == 1 }
            }
            (8, _) => LayerSpec::Flatten,
            (10, _) => LayerSpec::Prelu { slopes: [1, features.channels()][from(stream, 0, 1)] },
            (11, _) if deep > 0 => excite(stream, *features),
            (14, _) => {
                let first = from(stream, 0, features.channels() - 1);
                LayerSpec::Slice { first, count: from(stream, 1, features.channels() - first) }
            }
            (15, _) => LayerSpec::Shuffle { groups: from(stream, 1, 3) },
            (16, _) if deep > 0 => concat(stream, deep, *features),
            (13, _) => LayerSpec::Scale { channels: features.channels(), start: 0.5 },
            (12, _) => norm(stream, features.channels()),
            (9, _) if deep > 0 => residual(stream, deep, *features),
            _ => continue,
        };
        // What does not fit is refused by `validate` now and then, and left out mostly.
        match layer.output(*features) {
            Ok(output) => *features = output,
            Err(_) if from(stream, 0, 9) > 0 => continue,
            Err(_) => {}
        }
        found.push(named(format!("layer{number}"), layer));
    }
    found
}

fn batch_norm(stream: &mut Stream, channels: usize) -> LayerSpec {
    let (epsilon, momentum) = [(1e-5, 0.1), (1e-3, 0.01)][from(stream, 0, 1)];
    LayerSpec::BatchNorm { channels, activation: activation(stream), epsilon, momentum }
}

fn concat(stream: &mut Stream, deep: usize, features: Features) -> LayerSpec {
    let branches = 0..from(stream, 1, 3);
    let branch = |number| {
        let count = from(stream, 0, 2);
        named_below(layers(stream, count, deep - 1, &mut features.clone()), &format!("branch{number}"))
    };
    LayerSpec::Concat { branches: branches.map(branch).collect() }
}

/// One that looks at samples one by one.
fn norm(stream: &mut Stream, channels: usize) -> LayerSpec {
    let epsilon = [1e-5, 1e-3][from(stream, 0, 1)];
    let groups = (1..=4).rev().find(|groups| channels.is_multiple_of(*groups)).unwrap_or(1);
    match from(stream, 0, 2) {
        0 => LayerSpec::ResponseNorm { channels },
        1 => LayerSpec::LayerNorm { channels, epsilon },
        _ => LayerSpec::GroupNorm { channels, groups, epsilon },
    }
}

/// Squeeze-and-excitation, or a gate of one number.
fn excite(stream: &mut Stream, features: Features) -> LayerSpec {
    let (inputs, outputs) = (features.channels(), from(stream, 1, 3));
    let conv =
        |inputs, outputs| LayerSpec::Conv { inputs, outputs, config: ConvConfig::default(), bias: true };
    let linear = |inputs, outputs| LayerSpec::Linear { inputs, outputs, bias: true };
    let then = |stream: &mut Stream| LayerSpec::Activation(activation(stream).unwrap_or(Activation::Sigmoid));
    let mut gate = match features {
        Features::Map { .. } => vec![LayerSpec::AdaptiveAveragePool([1, 1]), conv(inputs, outputs)],
        Features::Flat(_) | Features::Tokens(_) => vec![linear(inputs, outputs)],
    };
    gate.push(then(stream));
    gate.push(if let Features::Map { .. } = features {
        conv(outputs, inputs)
    } else {
        linear(outputs, inputs)
    });
    gate.push(then(stream));
    let names = (0..).map(|number| format!("gate{number}"));
    LayerSpec::Excite { gate: names.zip(gate).map(|(name, layer)| named(name, layer)).collect() }
}

fn residual(stream: &mut Stream, deep: usize, features: Features) -> LayerSpec {
    let (mut main_features, mut around_features) = (features, features);
    let count = from(stream, 0, 3);
    let main = named_below(layers(stream, count, deep - 1, &mut main_features), "main");
    let shortcut = match from(stream, 0, 3) {
        0 => ShortcutSpec::Identity,
        1 => ShortcutSpec::Pad { stride: pair(stream, 1, 2), channels: main_features.channels() },
        // The same layers once more fit always.
        2 => ShortcutSpec::Projection(named_below(main.clone(), "again")),
        _ => {
            let count = from(stream, 0, 2);
            ShortcutSpec::Projection(named_below(layers(stream, count, 0, &mut around_features), "around"))
        }
    };
    LayerSpec::Residual { main, shortcut, activation: activation(stream) }
}

fn named_below(layers: Vec<NamedLayer>, path: &str) -> Vec<NamedLayer> {
    layers.into_iter().map(|layer| named(format!("{path}.{}", layer.name), layer.layer)).collect()
}

fn network(stream: &mut Stream) -> NetworkSpec {
    let input = [from(stream, 1, 3), from(stream, 1, 13), from(stream, 1, 13)];
    let [channels, height, width] = input;
    let mut features = Features::Map { channels, height, width };
    let mut units = Vec::new();
    for number in 0..from(stream, 1, 5) {
        let unit = match from(stream, 0, 2) {
            0 => written_out(stream, number, features),
            _ => unit(stream, number),
        };
        if let Ok(layers) = unit.layers(features.channels()) {
            features = output_of_all(&layers, features).unwrap_or(features);
        }
        units.push(unit);
    }
    let mut spec = NetworkSpec {
        name: "drawn".into(),
        input: input.into(),
        classes: from(stream, 2, 5),
        objective: Objective::Classes,
        units,
        head: Vec::new(),
    };
    if spec.expand().is_err() {
        return spec;
    }
    let count = from(stream, 0, 5);
    spec.head = layers(stream, count, 2, &mut features);
    if let Features::Map { channels, .. } = features {
        let flat = [LayerSpec::GlobalAveragePool, LayerSpec::Flatten][from(stream, 0, 1)].clone();
        features = flat.output(features).unwrap_or(Features::Flat(channels));
        spec.head.push(named("flat", flat));
    }
    let inputs = features.channels();
    spec.head.push(named("last", LayerSpec::Linear { inputs, outputs: spec.classes, bias: true }));
    spec
}

/// Plans, trains a step and classifies; false where the rule does not accept the network.
fn trains(spec: &NetworkSpec, train: &TrainConfig, what: &str) -> bool {
    if auxiliary_specs(spec, &train.method.ends, &train.method.rule).is_err() {
        return false;
    }
    let workload = Workload {
        evaluation_batch: Some(SAMPLES),
        saves: true,
        ..Workload::steps(spec.clone(), train.clone(), SAMPLES, 2)
    };
    let planned = plan(&workload).unwrap_or_else(|error| panic!("{error}: {what}"));
    if planned.peak_bytes > 64 << 20 || planned.step_work.multiply_adds > 1e7 {
        return false;
    }
    let mut trainer =
        Trainer::new(spec.clone(), train.clone(), Normalize::half(spec.input.channels()), &Device::Cpu)
            .unwrap_or_else(|error| panic!("{error}: {what}"));
    for step in 0..2 {
        match trainer.step(&batch(spec, SAMPLES, step), 0.01, &mut |_| {}) {
            Ok(report) => assert_eq!(report.losses.len(), train.method.ends.len(), "{what}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFinite, "{error}: {what}"),
        }
    }
    let logits = trainer.logits(&batch(spec, 1, 9).inputs).unwrap_or_else(|error| panic!("{error}: {what}"));
    assert_eq!(logits.dims(), [1, spec.classes]);
    true
}

/// What the fuzzer starts from is worth starting from.
#[test]
fn the_corpus_trains() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/network");
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let spec: NetworkSpec = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        spec.validate().unwrap_or_else(|error| panic!("{error}: {path:?}"));
        let units = spec.units.len();
        // MAN's own head rebuilds pixels.
        let head = matches!(spec.input, Inputs::Tokens(_)).then_some("1c2f");
        for (rule, head, ends) in [("bp", None, vec![units - 1]), ("man", head, (0..units).collect())] {
            let rule = RuleConfig::named(rule.parse().unwrap(), head).unwrap();
            let train = TrainConfig::from(Method { rule, ends, ..Method::default() });
            assert!(trains(&spec, &train, &format!("{path:?}")), "{path:?}");
        }
    }
}

#[test]
fn what_validates_trains_by_every_rule_that_accepts_it() {
    let (mut valid, mut trained) = (0, 0);
    for seed in 0..180 {
        let stream = &mut Stream::new(seed, "networks", &[]);
        let spec = network(stream);
        if spec.validate().is_err() {
            continue;
        }
        valid += 1;
        let units = spec.units.len();
        for (rule, head) in RULES {
            let rule = RuleConfig::named(rule.parse().unwrap(), head).unwrap();
            let ends: Vec<usize> = match rule.rule {
                localgrad::rules::Rule::Bp => vec![units - 1],
                _ => (0..units - 1).filter(|_| from(stream, 0, 1) == 0).chain([units - 1]).collect(),
            };
            let bp = ends.len() == 1;
            let train = TrainConfig {
                method: Method { rule, ends, ..Method::default() },
                execution: Execution {
                    pieces: if bp && from(stream, 0, 1) == 0 { (0..units).collect() } else { Vec::new() },
                    recompute: from(stream, 0, 2) == 0,
                    micro_batch: [None, Some(2)][from(stream, 0, 1)],
                    ..Execution::default()
                },
            };
            let what = format!("seed {seed}, {:?} on {}", train, serde_json::to_string(&spec).unwrap());
            trained += usize::from(trains(&spec, &train, &what));
        }
    }
    assert!(valid > 60 && trained > 400, "{valid} valid networks, trained {trained} times");
}
