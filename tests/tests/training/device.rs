//! Whole trainers on the emulated device give what the kernels of the CPU give: by every rule, with every optimizer, with
//! whatever waits elsewhere meanwhile. That includes what the device checks: accesses, races, barriers.

use crate::common::small_resnet;
use crate::composed::{all_rules, assert_near, assert_same, batches, bp, local, train};
use crate::objectives::{OBJECTIVES, assert_losses_agree};
use crate::tokens;
use localgrad::data::{BlendConfig, Normalize};
use localgrad::device::emulated::Emulated;
use localgrad::device::engine::Engine;
use localgrad::device::idle::Idle;
use localgrad::device::table::all::Class;
use localgrad::maps::Place;
use localgrad::network::Objective;
use localgrad::optimizer::OptimizerConfig;
use localgrad::precision::Precision;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::sweep::sweep;
use localgrad::trainer::{Execution, Method, TrainConfig, Trainer};
use localgrad_models::{ModelConfig, resnet};

fn engine() -> Engine {
    Engine::new("emulated", Emulated { seed: 3, ..Emulated::default() }, Class::Scalar)
}

fn device() -> Place {
    Place::Device(engine())
}

#[test]
fn every_rule_trains_a_residual_network() {
    let spec = small_resnet([3, 8, 8]);
    let batches = batches(&spec, 2, 5);
    for config in all_rules().into_iter().map(local).chain([bp()]) {
        let kernels = train(&spec, &config, &batches, &Place::Host);
        let found = train(&spec, &config, &batches, &device());
        assert_near(&kernels, &found, 5e-3, &format!("{:?}", config.method.rule));
    }
}

#[test]
fn every_rule_trains_tokens() {
    let spec = tokens::spec();
    let batches = batches(&spec, 2, 5);
    for config in tokens::configs() {
        let kernels = train(&spec, &config, &batches, &Place::Host);
        let found = train(&spec, &config, &batches, &device());
        assert_near(&kernels, &found, 5e-3, &format!("{:?}", config.method.rule));
    }
}

#[test]
fn optimizers_and_shares_are_those_of_the_cpu() {
    let spec = small_resnet([1, 8, 8]);
    let batches = batches(&spec, 2, 5);
    let man = || local(RuleConfig::new(Rule::Man));
    let plain_sgd = OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.01 };
    for config in [
        TrainConfig::from(Method { optimizer: plain_sgd, label_smoothing: 0.1, ..man().method }),
        TrainConfig::from(Method { clip_norm: Some(0.1), ..man().method }),
        TrainConfig {
            method: Method { class_weights: vec![1.0, 4.0, 0.25, 2.0, 0.5], ..man().method },
            execution: Execution { micro_batch: Some(3), ..Execution::default() },
        },
        TrainConfig::from(Method { chunk: 2, ..local(RuleConfig::new(Rule::Infopro)).method }),
    ] {
        let kernels = train(&spec, &config, &batches, &Place::Host);
        assert_near(&kernels, &train(&spec, &config, &batches, &device()), 2e-3, &format!("{config:?}"));
    }
    // Adam's first steps are signs of gradients: where one is nearly 0, rounding decides.
    let adamw = TrainConfig::from(Method { optimizer: OptimizerConfig::adamw(), ..man().method });
    let losses = |place: &Place| train(&spec, &adamw, &batches, place).losses;
    for (a, b) in losses(&Place::Host).iter().zip(&losses(&device())).take(3) {
        assert!((a - b).abs() < 1e-4 * a, "{a} and {b}");
    }
}

#[test]
fn labels_values_and_mixed_samples_are_learnt_as_on_the_cpu() {
    OBJECTIVES.into_iter().for_each(|objective| assert_losses_agree(objective, None, &device()));
    let blend = BlendConfig { mixup: Some(0.4), cutmix: Some(1.0) };
    assert_losses_agree(Objective::Classes, Some(blend), &device());
}

#[test]
fn what_waits_changes_nothing() {
    let spec = small_resnet([1, 8, 8]);
    let batches = batches(&spec, 2, 4);
    for base in [local(RuleConfig::new(Rule::Man)), bp()] {
        let plain = train(&spec, &base, &batches, &device());
        let again = TrainConfig {
            execution: Execution { recompute: true, ..base.execution.clone() },
            ..base.clone()
        };
        let away = TrainConfig {
            execution: Execution { offload: true, features_on_disk: true, ..base.execution.clone() },
            ..base.clone()
        };
        for config in [again, away] {
            assert_same(&plain, &train(&spec, &config, &batches, &device()), &format!("{config:?}"));
        }
        let narrow =
            TrainConfig { execution: Execution { activations: Precision::Bf16, ..base.execution }, ..base };
        let kernels = train(&spec, &narrow, &batches, &Place::Host);
        assert_near(&kernels, &train(&spec, &narrow, &batches, &device()), 2e-2, &format!("{narrow:?}"));
    }
}

/// Counted on a device that does nothing.
#[test]
fn a_step_of_a_published_network_takes_few_launches() {
    let model = ModelConfig { input: [3, 32, 32].into(), classes: 10, ..ModelConfig::default() };
    let spec = resnet::cifar(&[5, 5, 5], &model, "resnet32").unwrap();
    let engine = Engine::new("idle", Idle, Class::Scalar);
    let config = TrainConfig::from(Method { ends: vec![spec.units.len() - 1], ..bp().method });
    let mut trainer =
        Trainer::new(spec.clone(), config, Normalize::half(3), Place::Device(engine.clone())).unwrap();
    let batch = &batches(&spec, 1, 128)[0];
    let mut launched = || {
        trainer.step(batch, 0.05, &mut |_| {}).unwrap();
        engine.take_launched()
    };
    launched();
    let found = launched();
    println!("{found:?}, {:?}", engine.usage());
    assert_eq!(found, launched());
    assert!(found.launches <= 295, "{found:?}");
}

#[test]
fn a_step_launches_and_allocates_what_the_step_before_did() {
    let spec = small_resnet([3, 8, 8]);
    let engine = engine();
    let config = local(RuleConfig::new(Rule::Dgl));
    let normalize = Normalize::half(spec.input.channels());
    let place = Place::Device(engine.clone());
    let mut trainer = Trainer::new(spec.clone(), config, normalize, &place).unwrap();
    let mut found = vec![];
    for batch in batches(&spec, 4, 5) {
        engine.take_launched();
        let step = trainer.begin(&batch, 0.05).unwrap();
        sweep(&mut trainer, vec![step], &mut |_| {}).unwrap();
        let usage = engine.usage();
        found.push((engine.take_launched(), usage.allocations, usage.peak_bytes, usage.live_bytes));
    }
    println!("{:?}", found[3]);
    assert!(found[3].0.launches > 0 && found[3].2 > found[3].3);
    assert_eq!(found[2], found[3]);
}
