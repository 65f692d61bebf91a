//! Every rule trains every family of network, cut anywhere; the same bytes come out whatever the threads; what
//! cannot work is refused with a sentence.

mod common;

use common::{batch, small_resnet, step_once, weights_of};
use localgrad::data::Normalize;
use localgrad::network::NetworkSpec;
use localgrad::optimizer::OptimizerConfig;
use localgrad::rules::{Head, Rule, RuleConfig, auxiliary_specs};
use localgrad::threads::Workers;
use localgrad::trainer::{Execution, Method, TrainConfig, Trainer};
use localgrad::{Device, Error};
use localgrad_models::{ModelConfig, network};

const RULES: [Rule; 7] =
    [Rule::Greedy, Rule::Dgl, Rule::Predsim, Rule::Infopro, Rule::Auglocal, Rule::Man, Rule::Manpp];

/// All rules over their own heads, and those that are not published.
fn all_rules() -> Vec<RuleConfig> {
    let path = RuleConfig { depth: 1, ..RuleConfig::over(Rule::Man, Head::Path, false) };
    let alone = RuleConfig { trained_copy: false, ..path.clone() };
    let over_auglocal = RuleConfig { depth: 1, ..RuleConfig::over(Rule::Man, Head::Auglocal, false) };
    let without_averages = RuleConfig::over(Rule::Dgl, Head::Path, false);
    let pooled = RuleConfig { pool: 2, depth: 3, ..RuleConfig::new(Rule::Auglocal) };
    let published = RULES.into_iter().map(RuleConfig::new);
    published.chain([over_auglocal, path, alone, without_averages, pooled]).collect()
}

fn config(rule: RuleConfig, ends: &[usize]) -> TrainConfig {
    TrainConfig::from(Method { rule, ends: ends.to_vec(), ..Method::default() })
}

/// Cuts of `units` units into two blocks, three, and as many as there are.
fn cuts(units: usize) -> Vec<Vec<usize>> {
    vec![vec![0, units - 1], vec![units / 3, units / 2, units - 1], (0..units).collect()]
}

#[test]
fn every_rule_trains_a_residual_network_cut_anywhere() {
    let spec = small_resnet([3, 9, 11]);
    for rule in RULES {
        for ends in cuts(spec.units.len()) {
            let losses = step_once(&spec, &config(RuleConfig::new(rule), &ends), 3);
            assert_eq!(losses.len(), ends.len(), "{rule}");
            assert!(losses.iter().all(|loss| loss.is_finite() && *loss > 0.0), "{rule}: {losses:?}");
        }
    }
}

/// One step of every rule, of a network cut in two.
fn train_by_every_rule(spec: &NetworkSpec) {
    for rule in all_rules() {
        let ends = [spec.units.len() / 2, spec.units.len() - 1];
        let losses = step_once(spec, &config(rule.clone(), &ends), 2);
        assert!(losses.iter().all(|loss| loss.is_finite()), "{} {rule:?}: {losses:?}", spec.name);
    }
}

#[test]
fn every_rule_trains_every_family() {
    for (name, side) in [
        ("vgg11_bn", 32),
        ("resnet18", 16),
        ("resnet50", 16),
        ("mobilenet_v2", 16),
        ("mobilenet_v3_small", 16),
        ("shufflenet_v2_x0_5", 16),
    ] {
        let config = ModelConfig { input: [3, side, side].into(), classes: 4, ..ModelConfig::default() };
        train_by_every_rule(&network(name, &config).unwrap());
    }
}

#[test]
fn every_rule_trains_networks_of_phones_and_boards() {
    for (name, input) in [
        ("mobilenet_v1_x0_25", [3, 16, 16]),
        ("mobilenet_v2_x0_35", [3, 16, 16]),
        ("squeezenet1_1", [3, 32, 32]),
        ("mnasnet0_5", [3, 16, 16]),
        ("regnet_y_400mf", [3, 16, 16]),
        ("mlperf_resnet8", [3, 16, 16]),
        ("mlperf_ds_cnn", [1, 49, 10]),
        ("mlperf_autoencoder", [16, 1, 1]),
        ("resnet1d", [9, 1, 32]),
        ("tcn", [9, 1, 32]),
    ] {
        let config = ModelConfig { input: input.into(), classes: 4, ..ModelConfig::default() };
        train_by_every_rule(&network(name, &config).unwrap());
    }
}

#[test]
fn every_rule_trains_networks_of_every_other_form() {
    for (name, side) in [
        ("vgg11", 32),
        ("resnet18d", 16),
        ("resnext50_32x4d", 16),
        ("efficientnet_b0", 16),
        ("convnext_atto", 16),
        ("densenet121", 16),
    ] {
        let config = ModelConfig { input: [3, side, side].into(), classes: 4, ..ModelConfig::default() };
        train_by_every_rule(&network(name, &config).unwrap());
    }
}

#[test]
fn man_stands_on_any_head() {
    let spec = small_resnet([1, 8, 8]);
    for head in ["greedy", "dgl", "predsim", "0c2f", "1c1f", "2c2f", "1c3f", "imagenet", "auglocal", "path"] {
        for rule in [Rule::Man, Rule::Manpp] {
            for reconstruct in [false, head.contains('c') || head == "greedy"] {
                let rule = RuleConfig::over(rule, head.parse::<Head>().unwrap(), reconstruct);
                let losses = step_once(&spec, &config(rule, &[1, 2, 6]), 4);
                assert!(losses.iter().all(|loss| loss.is_finite()), "{head}: {losses:?}");
            }
        }
    }
}

#[test]
fn the_contrastive_form_of_infopro_trains() {
    let spec = small_resnet([3, 8, 8]);
    let rule = RuleConfig { contrastive_temperature: Some(0.07), ..RuleConfig::new(Rule::Infopro) };
    let losses = step_once(&spec, &config(rule, &[2, 6]), 6);
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
}

#[test]
fn loss_falls_when_a_batch_is_repeated() {
    let spec = small_resnet([3, 8, 8]);
    for rule in RULES.into_iter().chain([Rule::Bp]) {
        let ends = if rule == Rule::Bp { vec![6] } else { vec![2, 4, 6] };
        let mut trainer = Trainer::new(
            spec.clone(),
            config(RuleConfig::new(rule), &ends),
            Normalize::half(3),
            &Device::Cpu,
        )
        .unwrap();
        let batch = batch(&spec, 8, 1);
        let first = trainer.step(&batch, 0.05, &mut |_| {}).unwrap().losses;
        let mut last = first.clone();
        for _ in 0..12 {
            last = trainer.step(&batch, 0.05, &mut |_| {}).unwrap().losses;
        }
        for (block, (first, last)) in first.iter().zip(&last).enumerate() {
            assert!(last < first, "{rule}, block {block}: {first} to {last}");
        }
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_threads() {
    let spec = small_resnet([3, 12, 12]);
    for rule in [Rule::Man, Rule::Auglocal, Rule::Predsim] {
        let train = |threads: usize| {
            Workers::start(threads).unwrap().run(|| {
                let config = config(RuleConfig::new(rule), &[2, 4, 6]);
                let mut trainer =
                    Trainer::new(spec.clone(), config, Normalize::half(3), &Device::Cpu).unwrap();
                let losses: Vec<Vec<f64>> = (0..3)
                    .map(|step| trainer.step(&batch(&spec, 10, step), 0.1, &mut |_| {}).unwrap().losses)
                    .collect();
                (losses, weights_of(&mut trainer))
            })
        };
        let alone = train(1);
        assert!(alone == train(2), "{rule}: 1 and 2 threads differ");
        assert!(alone == train(3), "{rule}: 1 and 3 threads differ");
    }
}

#[test]
fn micro_batches_add_up() {
    // Two equal halves have equal statistics, so a step on both is a step on one.
    let spec = small_resnet([3, 8, 8]);
    let half = batch(&spec, 4, 7);
    let whole = common::repeated(&half);
    let step = |batch, micro_batch| {
        let config = TrainConfig {
            execution: Execution { micro_batch, ..Execution::default() },
            ..config(RuleConfig::over(Rule::Man, Head::Dgl, false), &[3, 6])
        };
        let mut trainer = Trainer::new(spec.clone(), config, Normalize::half(3), &Device::Cpu).unwrap();
        let losses = trainer.step(batch, 0.1, &mut |_| {}).unwrap().losses;
        (losses, common::parameters_of(&mut trainer))
    };
    let (losses_half, half_weights) = step(&half, None);
    let (losses_whole, whole_weights) = step(&whole, Some(4));
    for (a, b) in losses_half.iter().zip(&losses_whole) {
        assert!((a - b).abs() < 1e-6 * a.abs(), "{a} {b}");
    }
    for ((name, a), (_, b)) in half_weights.iter().zip(&whole_weights) {
        let error = a.iter().zip(b).fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(error < 1e-6, "{name}: {error}");
    }
}

#[test]
fn recomputing_changes_no_bit() {
    let at = |name| {
        network(name, &ModelConfig { input: [3, 16, 16].into(), classes: 5, ..ModelConfig::default() })
            .unwrap()
    };
    let all: (_, _, &[Option<f64>]) = (small_resnet([3, 9, 11]), all_rules(), &[None, Some(0.5)]);
    let man = || vec![RuleConfig::new(Rule::Man)];
    // With dropout, and with branches that samples leave out.
    let others = ["mobilenet_v2", "efficientnet_b0"].map(|name| (at(name), man(), &[None][..]));
    for (spec, rules, limits) in [all].into_iter().chain(others) {
        let last = spec.units.len() - 1;
        for rule in &rules {
            for &clip_norm in limits {
                let ends = vec![1, last / 2, last];
                let train = |recompute, pieces: &[usize]| {
                    let plain = config(rule.clone(), &ends);
                    let pieces = pieces.to_vec();
                    let config = TrainConfig {
                        method: Method { clip_norm, ..plain.method },
                        execution: Execution { recompute, pieces, micro_batch: Some(3), ..plain.execution },
                    };
                    let normalize = Normalize::half(3);
                    let mut trainer = Trainer::new(spec.clone(), config, normalize, &Device::Cpu).unwrap();
                    let losses: Vec<Vec<f64>> = (0..2)
                        .map(|seed| trainer.step(&batch(&spec, 5, seed), 0.05, &mut |_| {}).unwrap().losses)
                        .collect();
                    (losses, weights_of(&mut trainer))
                };
                let kept = train(false, &[]);
                let what = format!("{} {rule:?} {clip_norm:?}", spec.name);
                assert!(train(true, &[]) == kept, "{what}");
                assert!(train(false, &[0, 2, last - 1]) == kept, "{what}, in pieces");
                let units: Vec<usize> = (0..=last).collect();
                assert!(train(true, &units) == kept, "{what}, unit by unit");
            }
        }
    }
}

#[test]
fn clipping_bounds_the_step() {
    let spec = small_resnet([3, 8, 8]);
    let config = TrainConfig::from(Method {
        optimizer: OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 },
        clip_norm: Some(0.01),
        ..config(RuleConfig::new(Rule::Greedy), &[3, 6]).method
    });
    let mut trainer = Trainer::new(spec.clone(), config, Normalize::half(3), &Device::Cpu).unwrap();
    let before = common::parameters_of(&mut trainer);
    trainer.step(&batch(&spec, 4, 1), 1.0, &mut |_| {}).unwrap();
    let after = common::parameters_of(&mut trainer);
    let moved: f64 = before
        .iter()
        .zip(&after)
        .flat_map(|((_, a), (_, b))| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)))
        .sum();
    // Two blocks, each bounded by 0.01.
    let bound = 0.01 * 2f64.sqrt();
    assert!(moved.sqrt() < bound * 1.001 && moved.sqrt() > bound * 0.99, "{}", moved.sqrt());
}

fn refusal(spec: &NetworkSpec, config: TrainConfig) -> Error {
    match Trainer::new(spec.clone(), config, Normalize::half(3), &Device::Cpu) {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}

#[test]
fn what_cannot_work_is_refused_in_a_sentence() {
    let spec = small_resnet([3, 8, 8]);
    let man = || RuleConfig::new(Rule::Man);
    let cases = [
        (config(man(), &[2, 1, 6]), "increase"),
        (config(man(), &[2, 7]), "unit 6"),
        (config(man(), &[]), "at least one block"),
        (config(RuleConfig { ema_momentum: 1.0, ..man() }, &[2, 6]), "[0, 1)"),
        (config(RuleConfig::new(Rule::Bp), &[2, 6]), "one block"),
        (
            TrainConfig {
                execution: Execution { micro_batch: Some(0), ..Execution::default() },
                ..config(man(), &[2, 6])
            },
            "micro-batch",
        ),
        (
            TrainConfig::from(Method { label_smoothing: 1.0, ..config(man(), &[2, 6]).method }),
            "label smoothing",
        ),
        (TrainConfig::from(Method { clip_norm: Some(0.0), ..config(man(), &[2, 6]).method }), "norm"),
    ];
    for (config, needle) in cases {
        let message = refusal(&spec, config).to_string();
        assert!(message.contains(needle), "'{message}' does not say '{needle}'");
        assert!(!message.contains('\n'), "more than a sentence: {message}");
    }
}

#[test]
fn wrong_batches_are_refused() {
    let spec = small_resnet([3, 8, 8]);
    let mut trainer = Trainer::new(
        spec.clone(),
        config(RuleConfig::new(Rule::Man), &[2, 6]),
        Normalize::half(3),
        &Device::Cpu,
    )
    .unwrap();
    let grey = batch(&small_resnet([1, 8, 8]), 2, 0);
    assert!(trainer.step(&grey, 0.1, &mut |_| {}).unwrap_err().to_string().contains("takes images"));
    let mut mislabelled = batch(&spec, 2, 0);
    mislabelled.targets = vec![0, 99].into();
    assert!(trainer.step(&mislabelled, 0.1, &mut |_| {}).is_err());
    // A refused batch leaves nothing behind that would spoil the next.
    trainer.step(&batch(&spec, 2, 0), 0.1, &mut |_| {}).unwrap();
}

#[test]
fn auglocal_is_a_rule_and_a_head() {
    let spec = small_resnet([3, 16, 16]);
    let of = |rule: RuleConfig| auxiliary_specs(&spec, &[1, 6], &rule).unwrap().remove(0);
    let published = of(RuleConfig::new(Rule::Auglocal));
    for head in [Head::Predsim, Head::Imagenet, Head::Auglocal] {
        // The rule brings its own.
        assert_eq!(of(RuleConfig::over(Rule::Auglocal, head, head == Head::Imagenet)), published);
    }
    assert_eq!(of(RuleConfig::over(Rule::Greedy, Head::Auglocal, false)), published);
    let with_pair = of(RuleConfig { depth: 1, ..RuleConfig::over(Rule::Man, Head::Auglocal, false) });
    assert!(with_pair.pairs.len() == 1 && with_pair.units.len() == 1, "{with_pair}");
    assert_eq!(with_pair.units[0].width, spec.units[6].width);
}
