//! Whole trainers on the emulated device give what the kernels of the CPU give: on tokens, by every objective; and what a step
//! launches. That includes what the device checks: accesses, races, barriers.

use crate::common::small_resnet;
use crate::device_families::assert_near;
use crate::objectives::{OBJECTIVES, assert_losses_agree};
use crate::selection::assert_biases_follow_the_slope;
use crate::tokens;
use crate::trained::{batches, bp, local, train};
use localgrad::data::{BlendConfig, Normalize};
use localgrad::device::emulated::Emulated;
use localgrad::device::engine::{Engine, Launched};
use localgrad::device::idle::Idle;
use localgrad::device::table::all::Class;
use localgrad::maps::Place;
use localgrad::network::Objective;
use localgrad::plan::{Workload, plan};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::sweep::sweep;
use localgrad::trainer::{Method, TrainConfig, Trainer};
use localgrad_models::{ModelConfig, resnet};

fn engine() -> Engine {
    Engine::new("emulated", Emulated { seed: 3, ..Emulated::default() }, Class::Scalar)
}

pub(crate) fn device() -> Place {
    Place::Device(engine())
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
fn biases_follow_the_slope_of_the_evaluations_loss() {
    assert_biases_follow_the_slope(&small_resnet([3, 8, 8]), &device());
}

#[test]
fn labels_values_and_mixed_samples_are_learnt_as_on_the_cpu() {
    OBJECTIVES.into_iter().for_each(|objective| assert_losses_agree(objective, None, &device()));
    let blend = BlendConfig { mixup: Some(0.4), cutmix: Some(1.0) };
    assert_losses_agree(Objective::Classes, Some(blend), &device());
}

/// Counted on a device that does nothing.
#[test]
fn a_step_of_a_published_network_takes_few_launches() {
    let model = ModelConfig { input: [3, 32, 32].into(), classes: 10, ..ModelConfig::default() };
    let spec = resnet::cifar(&[5, 5, 5], &model, "resnet32").unwrap();
    let engine = Engine::new("idle", Idle::default(), Class::Scalar);
    let config = TrainConfig::from(Method { ends: vec![spec.units.len() - 1], ..bp().method });
    let mut trainer =
        Trainer::new(spec.clone(), config.clone(), Normalize::half(3), Place::Device(engine.clone()))
            .unwrap();
    let batch = &batches(&spec, 1, 128)[0];
    let mut launched = || {
        trainer.step(batch, 0.05, &mut |_| {}).unwrap();
        // Graphs are made of what comes again, from step to step more.
        Launched { graphs: 0, graph_launches: 0, updates: 0, ..engine.take_launched() }
    };
    launched();
    let found = launched();
    println!("{found:?}, {:?}", engine.usage());
    assert_eq!(found, launched());
    assert!(found.launches <= 130, "{found:?}");
    let least = plan(&Workload::steps(spec, config, 128, 1)).unwrap().step_work.least_bytes;
    let moved = (found.traffic.bytes_read + found.traffic.bytes_written) as f64 / least;
    assert!(moved <= 1.3, "{moved} times the least");
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
