//! Whole trainers on the emulated device give what the kernels of the CPU give, by every rule, on units of every kind, on any
//! head, with every optimizer and selection, with whatever waits elsewhere meanwhile.

use crate::common::{batch, small_resnet};
use crate::device::device;
use crate::trained::{Trained, assert_same, batches, bp, local, train};
use localgrad::data::Normalize;
use localgrad::layers::Variable;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::Place;
use localgrad::maps::activation::Activation;
use localgrad::network::unit::{Shortcut, UnitKind, UnitSpec};
use localgrad::network::{
    ConvNextBlock, MnasBlock, MobileBlock, NetworkSpec, NormConfig, Objective, RegnetBlock, TemporalBlock,
};
use localgrad::optimizer::OptimizerConfig;
use localgrad::precision::Precision;
use localgrad::rules::{Head, Rule, RuleConfig};
use localgrad::scratch::Scratch;
use localgrad::trainer::{Execution, Method, Selection, TrainConfig, Trainer};

const RATE: f64 = 0.05;

fn unit(name: &str, kind: UnitKind, width: usize, stride: usize) -> UnitSpec {
    UnitSpec { name: name.into(), kind, width, stride: [stride; 2] }
}

fn head(inputs: usize) -> Vec<NamedLayer> {
    vec![
        unnamed(LayerSpec::GlobalAveragePool),
        named("dropout", LayerSpec::Dropout { probability: 0.2 }),
        named("fc", LayerSpec::Linear { inputs, outputs: 5, bias: true }),
    ]
}

fn conv_norm(activation: Activation) -> UnitKind {
    UnitKind::ConvNorm { kernel: [3, 3], activation, norm: NormConfig::default() }
}

/// A stem, and units of DenseNet.
fn dense() -> Vec<UnitSpec> {
    vec![
        unit("stem", conv_norm(Activation::Relu), 4, 1),
        unit("a", UnitKind::Dense { kernel: [3, 3], inner: 6, growth: 2 }, 6, 1),
        unit("b", UnitKind::Dense { kernel: [3, 3], inner: 6, growth: 2 }, 8, 1),
        unit("c", UnitKind::Transition, 4, 2),
        unit("d", UnitKind::Dense { kernel: [3, 3], inner: 6, growth: 4 }, 8, 1),
    ]
}

/// Units of SqueezeNet, MobileNetV1 and a RegNet.
fn fires() -> Vec<UnitSpec> {
    let regular = RegnetBlock { group_width: 4, squeezed: 2, ..RegnetBlock::default() };
    vec![
        unit("stem", conv_norm(Activation::Relu), 4, 1),
        unit("a", UnitKind::Fire { kernel: [3, 3], squeezed: 3 }, 8, 2),
        unit(
            "b",
            UnitKind::Separable {
                kernel: [3, 3],
                activation: Activation::Relu6,
                norm: NormConfig::default(),
            },
            8,
            1,
        ),
        unit("c", UnitKind::RegnetBlock(regular.clone()), 8, 1),
        unit("d", UnitKind::RegnetBlock(regular), 12, 2),
    ]
}

/// Units of MNASNet, for windows of time, and of other ways around.
fn mixed() -> Vec<UnitSpec> {
    let along = TemporalBlock { kernels: vec![5, 3], dilation: 2, dropout: 0.0 };
    vec![
        unit("stem", conv_norm(Activation::Relu), 4, 1),
        unit("a", UnitKind::MnasBlock(MnasBlock { expansion: 2, ..MnasBlock::default() }), 4, 1),
        unit("b", UnitKind::TemporalBlock(along), 6, 2),
        unit("c", UnitKind::Basic { kernel: [3, 3], shortcut: Shortcut::Average }, 8, 2),
        unit("d", UnitKind::Basic { kernel: [3, 3], shortcut: Shortcut::Convolve }, 12, 2),
    ]
}

/// Units of residual networks.
fn residual() -> Vec<UnitSpec> {
    let kernel = [3, 3];
    let basic = |shortcut| UnitKind::Basic { kernel, shortcut };
    let bottleneck = |groups| UnitKind::Bottleneck { kernel, inner: 4, groups, shortcut: Shortcut::Project };
    vec![
        unit("stem", UnitKind::Stem { kernel, pool: true }, 6, 1),
        unit("a", basic(Shortcut::Project), 6, 1),
        unit("b", basic(Shortcut::Pad), 8, 2),
        unit("c", bottleneck(1), 12, 2),
        unit("d", bottleneck(2), 12, 1),
    ]
}

/// A small network of each family, with every kind of unit among them.
fn families() -> Vec<NetworkSpec> {
    let plain = |name: &str, width, stride| {
        let names = [format!("{name}.conv"), format!("{name}.bn")];
        unit("", UnitKind::Plain { names, bias: true, norm: true, kernel: [3, 3] }, width, stride)
    };
    let plain = vec![plain("0", 4, 1), plain("1", 8, 2), plain("2", 8, 1), plain("3", 12, 2)];
    let inverted = |name: &str, expansion, width, stride| {
        unit(
            name,
            UnitKind::InvertedResidual { kernel: [3, 3], expansion, norm: NormConfig::default() },
            width,
            stride,
        )
    };
    let mobile = vec![
        unit("stem", conv_norm(Activation::Relu6), 4, 1),
        inverted("a", 1, 4, 1),
        inverted("b", 3, 6, 2),
        inverted("c", 3, 6, 1),
        inverted("d", 2, 8, 2),
    ];
    let block = |name: &str, squeezed, inner, width, stride| {
        let block = MobileBlock { inner, squeezed, ..MobileBlock::default() };
        unit(name, UnitKind::MobileBlock(block), width, stride)
    };
    let gated = vec![
        unit("stem", conv_norm(Activation::HardSwish), 4, 1),
        block("a", 0, 4, 4, 1),
        block("b", 2, 10, 6, 2),
        block("c", 3, 12, 6, 1),
        block("d", 3, 12, 8, 2),
    ];
    let next = |name: &str, width, stride| {
        let block = ConvNextBlock { scale: 0.5, ..ConvNextBlock::default() };
        unit(name, UnitKind::ConvNext(block), width, stride)
    };
    let next = vec![
        unit("stem", UnitKind::Patches { norm_first: false }, 4, 2),
        next("a", 4, 1),
        next("b", 4, 1),
        unit("down", UnitKind::Patches { norm_first: true }, 6, 2),
        next("c", 8, 1),
    ];
    let shuffled = vec![
        unit("stem", conv_norm(Activation::Relu), 4, 1),
        unit("a", UnitKind::Shuffle, 8, 2),
        unit("b", UnitKind::Shuffle, 8, 1),
        unit("c", UnitKind::Shuffle, 8, 1),
        unit("d", UnitKind::Shuffle, 12, 2),
    ];
    let network = |name: &str, units: Vec<UnitSpec>| {
        let head = head(units.last().unwrap().width);
        let (input, classes, objective) = ([3, 8, 8].into(), 5, Objective::Classes);
        NetworkSpec { name: name.into(), input, classes, objective, units, head }
    };
    vec![
        network("residual", residual()),
        network("plain", plain),
        network("mobile", mobile),
        network("gated", gated),
        network("next", next),
        network("shuffled", shuffled),
        network("dense", dense()),
        network("fires", fires()),
        network("mixed", mixed()),
    ]
}

pub(crate) fn all_rules() -> Vec<RuleConfig> {
    let path = RuleConfig { depth: 1, ..RuleConfig::over(Rule::Man, Head::Path, false) };
    let alone = RuleConfig { trained_copy: false, ..path.clone() };
    let contrastive = RuleConfig { contrastive_temperature: Some(0.07), ..RuleConfig::new(Rule::Infopro) };
    let published =
        [Rule::Greedy, Rule::Dgl, Rule::Predsim, Rule::Infopro, Rule::Auglocal, Rule::Man, Rule::Manpp];
    published.into_iter().map(RuleConfig::new).chain([path, alone, contrastive]).collect()
}

/// The largest difference, relative to the largest number.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let scale = a.iter().fold(1e-2f32, |most, a| most.max(a.abs()));
    a.iter().zip(b).fold(0.0, |worst, (a, b)| if a == b { worst } else { f32::max(worst, (a - b).abs()) })
        / scale
}

/// Whether two ways of training agree, losses and weights to `bound`.
pub(crate) fn assert_near(a: &Trained, b: &Trained, bound: f32, what: &str) {
    for (a, b) in a.losses.iter().zip(&b.losses) {
        let off = if a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() / a.abs() };
        assert!(off <= f64::from(bound), "{what}: losses {a} and {b}");
    }
    for ((name, a), (other, b)) in a.state.iter().zip(&b.state) {
        assert_eq!(name, other, "{what}");
        assert!(a.iter().chain(b).all(|v| v.is_finite()), "{what}: {name}");
        assert!(apart(a, b) <= bound, "{what}: {name} is off by {}", apart(a, b));
    }
    assert!(
        apart(&a.logits, &b.logits) <= 5.0 * bound,
        "{what}: logits are off by {}",
        apart(&a.logits, &b.logits)
    );
}

#[test]
fn every_rule_trains_every_family() {
    families().into_iter().step_by(2).for_each(|spec| assert_every_rule_trains(&spec));
}

/// The other half, beside those.
#[test]
fn every_rule_trains_every_other_family() {
    families().into_iter().skip(1).step_by(2).for_each(|spec| assert_every_rule_trains(&spec));
}

fn assert_every_rule_trains(spec: &NetworkSpec) {
    let (batches, last) = (batches(spec, 1, 3), spec.units.len() - 1);
    for rule in all_rules() {
        let config = TrainConfig::from(Method { ends: vec![0, last / 2, last], ..local(rule).method });
        let kernels = train(spec, &config, &batches, &Place::Host);
        let found = train(spec, &config, &batches, &device());
        assert_near(&kernels, &found, 5e-3, &format!("{}, {:?}", spec.name, config.method.rule));
    }
    let config = TrainConfig::from(Method { ends: vec![last], ..bp().method });
    let found = train(spec, &config, &batches, &device());
    assert_near(&train(spec, &config, &batches, &Place::Host), &found, 1e-3, &spec.name);
}

#[test]
fn man_stands_on_any_head() {
    let spec = small_resnet([1, 8, 8]);
    let batches = batches(&spec, 1, 4);
    for head in ["greedy", "dgl", "predsim", "0c2f", "1c1f", "2c2f", "imagenet", "auglocal", "path"] {
        for (rule, reconstruct) in [(Rule::Man, false), (Rule::Manpp, head == "1c1f")] {
            let config = local(RuleConfig::over(rule, head.parse::<Head>().unwrap(), reconstruct));
            let kernels = train(&spec, &config, &batches, &Place::Host);
            let found = train(&spec, &config, &batches, &device());
            assert_near(&kernels, &found, 1e-3, &format!("{rule} over {head}"));
        }
    }
}

#[test]
fn optimizers_clipping_and_shares_are_those_of_kernels() {
    let spec = small_resnet([3, 8, 8]);
    let batches = batches(&spec, 2, 5);
    let man = || local(RuleConfig::new(Rule::Man));
    let plain_sgd = OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.01 };
    let cases = [
        TrainConfig::from(Method { optimizer: plain_sgd, label_smoothing: 0.1, ..man().method }),
        TrainConfig::from(Method { clip_norm: Some(0.1), ..man().method }),
        TrainConfig { execution: Execution { micro_batch: Some(3), ..Execution::default() }, ..man() },
        TrainConfig {
            method: Method { class_weights: vec![1.0, 4.0, 0.25, 2.0, 0.5], ..man().method },
            execution: Execution { micro_batch: Some(3), ..Execution::default() },
        },
        TrainConfig {
            method: Method { clip_norm: Some(0.1), frozen: 1, ..local(RuleConfig::new(Rule::Dgl)).method },
            execution: Execution { micro_batch: Some(3), ..Execution::default() },
        },
        TrainConfig::from(Method {
            chunk: 2,
            block_batches: vec![7, 14, 4],
            ..local(RuleConfig::new(Rule::Infopro)).method
        }),
        TrainConfig::from(Method { selection: Selection::Norms, ..man().method }),
        TrainConfig {
            method: Method { selection: Selection::Biases, ..man().method },
            execution: Execution { micro_batch: Some(3), ..Execution::default() },
        },
        TrainConfig::from(Method { selection: Selection::LastUnits(2), ..bp().method }),
        TrainConfig::from(Method { selection: Selection::Head, ..bp().method }),
    ];
    for config in cases {
        let kernels = train(&spec, &config, &batches, &Place::Host);
        assert_near(&kernels, &train(&spec, &config, &batches, &device()), 1e-3, &format!("{config:?}"));
    }
    // Adam's first steps are signs of gradients: where one is nearly 0, rounding decides.
    let adamw = TrainConfig::from(Method { optimizer: OptimizerConfig::adamw(), ..man().method });
    let (kernels, found) =
        (train(&spec, &adamw, &batches, &Place::Host), train(&spec, &adamw, &batches, &device()));
    for (a, b) in kernels.losses.iter().zip(&found.losses).take(3) {
        assert!((a - b).abs() < 1e-4 * a, "{a} and {b}");
    }
}

#[test]
fn what_waits_changes_nothing() {
    let spec = small_resnet([1, 8, 8]);
    let batches = batches(&spec, 2, 4);
    let of = |rule| local(RuleConfig::new(rule));
    let bases = [
        of(Rule::Man),
        TrainConfig {
            method: Method { optimizer: OptimizerConfig::adamw(), ..of(Rule::Manpp).method },
            execution: Execution { micro_batch: Some(4), ..Execution::default() },
        },
        TrainConfig {
            method: Method { chunk: 2, ..of(Rule::Infopro).method },
            execution: Execution { micro_batch: Some(2), ..Execution::default() },
        },
        TrainConfig::from(Method { frozen: 1, chunk: 2, clip_norm: Some(0.5), ..of(Rule::Auglocal).method }),
        bp(),
    ];
    for base in bases {
        let plain = train(&spec, &base, &batches, &device());
        let pieces = if base.method.ends.len() == 1 { vec![1, 2, 4] } else { Vec::new() };
        let again = TrainConfig {
            execution: Execution { recompute: true, pieces: pieces.clone(), ..base.execution.clone() },
            ..base.clone()
        };
        let away = TrainConfig {
            execution: Execution { offload: true, features_on_disk: true, pieces, ..base.execution.clone() },
            ..base.clone()
        };
        for config in [again, away] {
            assert_same(&plain, &train(&spec, &config, &batches, &device()), &format!("{config:?}"));
        }
    }
}

#[test]
fn activations_wait_in_fewer_bits_as_on_the_cpu() {
    let spec = small_resnet([3, 8, 8]);
    let batches = batches(&spec, 1, 4);
    for base in [bp(), local(RuleConfig::new(Rule::Man))] {
        let plain = train(&spec, &base, &batches, &device());
        for (precision, bound) in [(Precision::F16, 1e-2), (Precision::Bf16, 0.1)] {
            let config = TrainConfig {
                execution: Execution {
                    activations: precision,
                    features: precision,
                    ..base.execution.clone()
                },
                ..base.clone()
            };
            let packed = train(&spec, &config, &batches, &device());
            assert!(packed.state != plain.state, "{precision} loses nothing?");
            assert_near(&plain, &packed, bound, &format!("{precision}"));
        }
    }
}

#[test]
fn divergence_shows_in_the_loss() {
    for place in [Place::Host, device()] {
        let spec = small_resnet([3, 8, 8]);
        let mut trainer = Trainer::new(spec.clone(), bp(), Normalize::half(3), &place).unwrap();
        trainer
            .visit(&mut |name, mut variable: Variable<'_>| {
                if name.ends_with("layer2.0.bn1.weight") {
                    let value = variable.value();
                    variable.set(value.place().full(value.dims(), f32::NAN)?);
                }
                Ok(())
            })
            .unwrap();
        let error = trainer.step(&batch(&spec, 4, 1), RATE, &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("NaN"), "{error}");
    }
}

#[test]
fn exact_shares_are_refused() {
    let config = TrainConfig {
        execution: Execution { exact: true, micro_batch: Some(2), ..Execution::default() },
        ..bp()
    };
    let new =
        |place: Place| Trainer::new(small_resnet([3, 8, 8]), config.clone(), Normalize::half(3), place).err();
    assert!(new(Place::Host).is_none());
    assert!(new(device()).unwrap().to_string().contains("on the CPU only"));
}

#[test]
fn weights_stay_where_the_trainer_is() {
    let spec = small_resnet([3, 8, 8]);
    let directory = tempfile::tempdir().unwrap();
    let scratch = Scratch::create(directory.path(), None).unwrap();
    for place in [Place::Host, device()] {
        let config = TrainConfig {
            execution: Execution { offload: true, micro_batch: Some(2), ..Execution::default() },
            ..local(RuleConfig::new(Rule::Man))
        };
        let scratch = Some(scratch.clone());
        let mut trainer =
            Trainer::with_scratch(spec.clone(), config, Normalize::half(3), &place, scratch).unwrap();
        trainer.step(&batch(&spec, 4, 1), RATE, &mut |_| {}).unwrap();
        let mut all = 0;
        trainer
            .visit(&mut |name, variable| {
                all += 1;
                let mut maps = vec![variable.value()];
                if let Variable::Parameter(parameter) = &variable {
                    maps.extend(&parameter.state);
                }
                let stayed = maps.iter().all(|map| map.place().is_host() == place.is_host());
                assert!(stayed, "{name} left {place:?}");
                Ok(())
            })
            .unwrap();
        assert!(all > 20);
    }
}
