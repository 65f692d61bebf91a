//! The memory plan holds: what training really allocates is never more than planned, and not much less.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

mod measure;

use localgrad::network::NetworkSpec;
use localgrad::optimizer::OptimizerConfig;
use localgrad::plan::{Freedom, Moment, Rates, Workload, choose, cuts, plan};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::TrainConfig;
use localgrad_models::{ModelConfig, network};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: localgrad::memory::Pooled = localgrad::memory::Pooled;

/// The count is the whole process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More than this share of what is measured is not tight.
const TIGHT: f64 = 1.15;

fn at_side(name: &str, side: usize) -> NetworkSpec {
    network(name, &ModelConfig { input: [3, side, side], ..ModelConfig::default() }).unwrap()
}

fn config(network: &NetworkSpec, rule: RuleConfig, blocks: usize) -> TrainConfig {
    let ends = match rule.rule {
        Rule::Bp => vec![network.units.len() - 1],
        _ => cuts::even_ends(network, &rule, blocks).unwrap(),
    };
    TrainConfig { rule, ends, ..TrainConfig::default() }
}

/// Plans and measures; panics where the plan is broken or loose.
fn hold(network: &NetworkSpec, train: &TrainConfig, batch: usize, threads: usize) {
    let steps = Workload::steps(network.clone(), train.clone(), batch, threads);
    let planned = plan(&steps).unwrap();
    let measured = measure::measure(network, train, batch, threads);
    let what = format!(
        "{} with {} in {} blocks, batch {batch}, {threads} threads, {:?}",
        network.name,
        train.rule.rule,
        train.ends.len(),
        (train.micro_batch, train.recompute, train.clip_norm)
    );
    let ratio = planned.peak_bytes as f64 / measured.peak_bytes as f64;
    println!("{ratio:.3} {what}: planned {}, measured {}", planned.peak_bytes, measured.peak_bytes);
    assert!(ratio >= 1.0, "{what}: planned {}, measured {}", planned.peak_bytes, measured.peak_bytes);
    assert!(ratio <= TIGHT, "{what}: planned {}, measured {}", planned.peak_bytes, measured.peak_bytes);
    // Before the first stage the trainer is built and frozen blocks are passed.
    for (moment, bytes) in measured.stages.into_iter().filter(|(moment, _)| *moment != Moment::Load) {
        let found = planned.moments.iter().find(|peak| peak.moment == moment).unwrap().bytes;
        assert!(bytes <= found, "{what}, {moment}: planned {found}, measured {bytes}");
    }
}

#[test]
fn every_rule_on_a_residual_network() {
    let _alone = alone();
    let network = at_side("resnet20", 32);
    let rules = [
        Rule::Bp,
        Rule::Greedy,
        Rule::Dgl,
        Rule::Predsim,
        Rule::Infopro,
        Rule::Auglocal,
        Rule::Man,
        Rule::Manpp,
    ];
    for (number, rule) in rules.into_iter().enumerate() {
        hold(&network, &config(&network, RuleConfig::new(rule), 3), 24, 1 + number % 2);
    }
    let contrastive = RuleConfig { contrastive_temperature: Some(0.07), ..RuleConfig::new(Rule::Infopro) };
    hold(&network, &config(&network, contrastive, 2), 32, 2);
}

#[test]
fn every_family() {
    let _alone = alone();
    for (name, side, batch) in [("vgg11", 32, 4), ("resnet18", 32, 4), ("mobilenet_v2", 32, 4)] {
        let network = at_side(name, side);
        for rule in [Rule::Bp, Rule::Man] {
            hold(&network, &config(&network, RuleConfig::new(rule), 3), batch, 2);
        }
    }
    let bottlenecks = at_side("resnet50", 32);
    hold(&bottlenecks, &config(&bottlenecks, RuleConfig::new(Rule::Greedy), 4), 2, 1);
    let pad = ModelConfig { shortcut: localgrad::network::unit::Shortcut::Pad, ..ModelConfig::default() };
    let pad = network("resnet20", &pad).unwrap();
    hold(&pad, &config(&pad, RuleConfig::new(Rule::Bp), 1), 16, 2);
}

#[test]
fn every_way_to_train() {
    let _alone = alone();
    let network = at_side("resnet20", 32);
    let man = config(&network, RuleConfig::new(Rule::Man), 4);
    let bp = config(&network, RuleConfig::new(Rule::Bp), 1);
    hold(&network, &TrainConfig { recompute: true, ..man.clone() }, 32, 2);
    hold(&network, &TrainConfig { micro_batch: Some(16), ..man.clone() }, 40, 2);
    hold(&network, &TrainConfig { micro_batch: Some(5), recompute: true, ..man.clone() }, 40, 1);
    hold(&network, &TrainConfig { frozen: 2, ..man.clone() }, 32, 1);
    hold(&network, &TrainConfig { micro_batch: Some(12), ..bp.clone() }, 36, 3);
    hold(&network, &TrainConfig { clip_norm: Some(1.0), ..bp.clone() }, 16, 1);
    hold(&network, &TrainConfig { optimizer: OptimizerConfig::adamw(), ..bp.clone() }, 16, 2);
    let plain = OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    hold(&network, &TrainConfig { optimizer: plain, ..bp }, 16, 1);
    let manpp = config(&network, RuleConfig::new(Rule::Manpp), 10);
    hold(&network, &TrainConfig { recompute: true, ..manpp }, 32, 2);
    let images = at_side("resnet18", 64);
    let imagenet = RuleConfig::over(Rule::Man, "imagenet".parse().unwrap(), true);
    hold(&images, &TrainConfig { recompute: true, ..config(&images, imagenet, 4) }, 2, 2);
}

#[test]
fn what_is_chosen_keeps_to_its_budget() {
    let _alone = alone();
    let network = at_side("resnet32", 32);
    let rule = RuleConfig::new(Rule::Man);
    let freedom = Freedom { cuts: cuts::cuts(&network, &rule).unwrap(), micro_batch: true, recompute: true };
    let workload = Workload::steps(network.clone(), config(&network, rule, 4), 64, 2);
    let mut slowest = 0.0;
    for budget in [48 << 20, 24 << 20] {
        let choice = choose(&workload, &freedom, budget, &Rates::default()).unwrap();
        assert!(choice.plan.peak_bytes <= budget);
        assert!(choice.chosen.step_seconds >= slowest, "a smaller budget is no faster");
        slowest = choice.chosen.step_seconds;
        let chosen = choice.chosen.applied(&workload);
        assert_eq!(plan(&chosen).unwrap(), choice.plan);
        hold(&network, &chosen.train, chosen.batch, chosen.threads);
    }
}

#[test]
fn too_small_a_budget_is_refused_with_the_least_that_would_do() {
    let _alone = alone();
    let network = at_side("resnet32", 32);
    let rule = RuleConfig::new(Rule::Man);
    let freedom = Freedom { cuts: cuts::cuts(&network, &rule).unwrap(), micro_batch: true, recompute: true };
    let workload = Workload::steps(network.clone(), config(&network, rule, 4), 32, 2);
    let refused = choose(&workload, &freedom, 1 << 20, &Rates::default()).unwrap_err().to_string();
    let least = refused.split_once('(').unwrap().1.split_once(" bytes").unwrap().0.parse().unwrap();
    assert!(refused.contains("the least that would do") && refused.contains("smaller batch"), "{refused}");
    assert!(choose(&workload, &freedom, least - 2048, &Rates::default()).is_err());
    let choice = choose(&workload, &freedom, least, &Rates::default()).unwrap();
    assert!(choice.plan.peak_bytes <= least && choice.plan.peak_bytes > least - 2048);
}
