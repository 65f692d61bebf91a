//! The memory plan holds: what training really allocates is never more than planned, and not much less.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

#[path = "../common/mod.rs"]
mod common;
mod exits;
mod host;
mod kept;
mod measure;
mod saved;
mod work;

use localgrad::inputs::{Inputs, Tokens};
use localgrad::network::unit::Shortcut;
use localgrad::network::{NetworkSpec, Objective, UnitKind};
use localgrad::optimizer::{OptimizerConfig, StateFormat};
use localgrad::plan::{Freedom, Moment, Rates, Workload, choose, cuts, plan};
use localgrad::precision::Precision;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Execution, Method, Selection, TrainConfig, Trainer};
use localgrad::{ErrorKind, memory};
use localgrad_models::{ModelConfig, network};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: localgrad::memory::Pooled = localgrad::memory::Pooled;

/// The count is the whole process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More than this share of what is measured is not tight: with one thread, and with several, which need not have their
/// scratch at once.
const TIGHT: [f64; 2] = [1.05, 1.1];

fn at_side(name: &str, side: usize) -> NetworkSpec {
    network(name, &ModelConfig { input: [3, side, side].into(), ..ModelConfig::default() }).unwrap()
}

fn config(network: &NetworkSpec, rule: RuleConfig, blocks: usize) -> TrainConfig {
    let ends = match rule.rule {
        Rule::Bp => vec![network.units.len() - 1],
        _ => cuts::even_ends(network, &rule, blocks).unwrap(),
    };
    TrainConfig::from(Method { rule, ends, ..Method::default() })
}

/// `train` with a change.
fn with(train: &TrainConfig, change: impl FnOnce(&mut TrainConfig)) -> TrainConfig {
    let mut train = train.clone();
    change(&mut train);
    train
}

/// Plans and measures; panics where the plan is broken or loose.
fn hold(network: &NetworkSpec, train: &TrainConfig, batch: usize, threads: usize) {
    let with_threads =
        |threads| plan(&Workload::steps(network.clone(), train.clone(), batch, threads)).unwrap();
    let planned = with_threads(threads);
    // The scratch of all threads but one may be missing from what is measured.
    let sure_bytes = if threads > 1 { with_threads(1).peak_bytes } else { planned.peak_bytes };
    let measured = measure::measure(network, train, batch, threads);
    let what = format!(
        "{} with {} in {} blocks, batch {batch}, {threads} threads, {:?}",
        network.name,
        train.method.rule.rule,
        train.method.ends.len(),
        (&train.execution, train.method.clip_norm, train.method.chunk, &train.method.block_batches)
    );
    let ratio = planned.peak_bytes as f64 / measured.peak_bytes as f64;
    println!(
        "{ratio:.3} {what}: planned {}, {sure_bytes} are sure, measured {}",
        planned.peak_bytes, measured.peak_bytes
    );
    assert!(ratio >= 1.0, "{what}: planned {}, measured {}", planned.peak_bytes, measured.peak_bytes);
    assert!(
        sure_bytes as f64 <= TIGHT[usize::from(threads > 1)] * measured.peak_bytes as f64,
        "{what}: planned {}, {sure_bytes} are sure, measured {}",
        planned.peak_bytes,
        measured.peak_bytes
    );
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
    let pooled = RuleConfig { pool: 2, depth: 4, ..RuleConfig::new(Rule::Auglocal) };
    hold(&network, &config(&network, pooled, 4), 32, 2);
}

#[test]
fn blocks_side_by_side() {
    let _alone = alone();
    let network = at_side("resnet20", 32);
    for (rule, blocks, threads) in [
        (Rule::Greedy, 4, 1),
        (Rule::Greedy, 4, 2),
        (Rule::Man, 3, 2),
        (Rule::Infopro, 3, 4),
        (Rule::Auglocal, 2, 3),
    ] {
        let train = config(&network, RuleConfig::new(rule), blocks);
        let beside = with(&train, |train| train.execution.side_by_side = true);
        hold(&network, &beside, 24, threads);
        let shares = with(&beside, |train| train.execution.micro_batch = Some(8));
        hold(&network, &shares, 24, threads);
        let whole = |train: &TrainConfig| {
            plan(&Workload::steps(network.clone(), train.clone(), 24, threads)).unwrap().peak_bytes
        };
        assert!(threads == 1 || whole(&beside) > whole(&train), "more is in memory at once");
    }
}

#[test]
fn every_objective() {
    let _alone = alone();
    for (number, objective) in
        [Objective::Labels, Objective::Values, Objective::Huber { delta: 0.5 }].into_iter().enumerate()
    {
        let model = ModelConfig { classes: 200, objective, ..ModelConfig::default() };
        let network = network("resnet20", &model).unwrap();
        for rule in [Rule::Bp, Rule::Infopro, Rule::Man] {
            hold(&network, &config(&network, RuleConfig::new(rule), 3), 24, 1 + number % 2);
        }
    }
}

#[test]
fn every_family() {
    let _alone = alone();
    for (name, side, batch) in [("vgg11_bn", 32, 4), ("resnet18", 32, 4), ("mobilenet_v2", 32, 4)] {
        let network = at_side(name, side);
        for rule in [Rule::Bp, Rule::Man] {
            hold(&network, &config(&network, RuleConfig::new(rule), 3), batch, 2);
        }
    }
    let bottlenecks = at_side("resnet50", 32);
    hold(&bottlenecks, &config(&bottlenecks, RuleConfig::new(Rule::Greedy), 4), 2, 1);
    let pad = ModelConfig { shortcut: Shortcut::Pad, ..ModelConfig::default() };
    let pad = network("resnet20", &pad).unwrap();
    hold(&pad, &config(&pad, RuleConfig::new(Rule::Bp), 1), 16, 2);
}

#[test]
fn windows_of_time() {
    let _alone = alone();
    let mut network =
        network("resnet1d", &ModelConfig { input: [9, 1, 128].into(), classes: 6, ..ModelConfig::default() })
            .unwrap();
    network.units[1].kind = UnitKind::Basic { kernel: [1, 5], shortcut: Shortcut::Pad };
    network.units[1].stride = [1, 2];
    for rule in [Rule::Bp, Rule::Predsim, Rule::Man, Rule::Auglocal] {
        hold(&network, &config(&network, RuleConfig::new(rule), 3), 16, 2);
    }
}

#[test]
fn tokens() {
    let _alone = alone();
    let input = Inputs::Tokens(Tokens { length: 96, vocabulary: 3000 });
    let network = network("text_tcn", &ModelConfig { input, classes: 6, ..ModelConfig::default() }).unwrap();
    for (number, rule) in [Rule::Bp, Rule::Greedy, Rule::Predsim, Rule::Man].into_iter().enumerate() {
        let train = config(&network, RuleConfig::of_inputs(rule, None, input).unwrap(), 3);
        hold(&network, &train, 24, 1 + number % 2);
        let execution = Execution { micro_batch: Some(8), recompute: true, ..train.execution.clone() };
        hold(&network, &TrainConfig { execution, ..train }, 24, 2);
    }
}

#[test]
fn gates_norms_of_samples_and_branches() {
    let _alone = alone();
    for (name, side, batch) in [
        ("mobilenet_v3_small", 32, 6),
        ("efficientnet_b0", 32, 4),
        ("shufflenet_v2_x0_5", 32, 8),
        ("convnext_tiny", 32, 4),
        ("densenet121", 32, 2),
    ] {
        let network = at_side(name, side);
        for rule in [Rule::Bp, Rule::Man] {
            hold(&network, &config(&network, RuleConfig::new(rule), 3), batch, 2);
        }
    }
}

#[test]
fn pools_that_round_up_groups_and_windows_of_time() {
    let _alone = alone();
    let square = [3, 32, 32];
    for (name, input, batch) in [
        ("squeezenet1_1", square, 8),
        ("mobilenet_v1_x0_25", square, 16),
        ("mnasnet0_5", square, 8),
        ("regnet_y_400mf", square, 6),
        ("resnet18d", square, 4),
        ("tcn", [9, 1, 128], 32),
    ] {
        let network = network(name, &ModelConfig { input: input.into(), ..ModelConfig::default() }).unwrap();
        for rule in [Rule::Bp, Rule::Man] {
            hold(&network, &config(&network, RuleConfig::new(rule), 3), batch, 2);
        }
    }
}

#[test]
fn every_way_to_train() {
    let _alone = alone();
    let network = at_side("resnet20", 32);
    let man = config(&network, RuleConfig::new(Rule::Man), 4);
    let bp = config(&network, RuleConfig::new(Rule::Bp), 1);
    hold(&network, &with(&man, |train| train.execution.recompute = true), 32, 2);
    hold(&network, &with(&man, |train| train.execution.micro_batch = Some(16)), 40, 2);
    let in_shares = with(&man, |train| train.execution.micro_batch = Some(5));
    hold(&network, &with(&in_shares, |train| train.execution.recompute = true), 40, 1);
    hold(&network, &with(&man, |train| train.method.frozen = 2), 32, 1);
    for selection in [Selection::Head, Selection::Norms, Selection::Biases, Selection::LastUnits(3)] {
        hold(&network, &with(&man, |train| train.method.selection = selection), 32, 1);
        let selected = with(&bp, |train| train.method.selection = selection);
        hold(&network, &selected, 32, 2);
        let execution = Execution { micro_batch: Some(8), exact: true, ..Execution::default() };
        hold(&network, &TrainConfig { execution, ..selected }, 32, 2);
    }
    hold(&network, &with(&bp, |train| train.execution.micro_batch = Some(12)), 36, 3);
    hold(&network, &with(&bp, |train| train.method.clip_norm = Some(1.0)), 16, 1);
    hold(&network, &with(&bp, |train| train.method.optimizer = OptimizerConfig::adamw()), 16, 2);
    let large = at_side("resnet18", 32);
    for optimizer in [OptimizerConfig::sgd(), OptimizerConfig::adamw()] {
        let coded = |train: &mut TrainConfig| {
            train.method.optimizer = optimizer.clone();
            train.method.optimizer_state = StateFormat::EightBit;
        };
        hold(&network, &with(&bp, coded), 16, 2);
        let local = config(&large, RuleConfig::new(Rule::Greedy), 8);
        hold(&large, &with(&local, coded), 2, 1);
    }
    let plain = OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    hold(&network, &with(&bp, |train| train.method.optimizer = plain), 16, 1);
    for pieces in [2, 4, 10] {
        let pieces = cuts::even_pieces(&network, pieces).unwrap();
        hold(&network, &with(&bp, |train| train.execution.pieces = pieces), 32, 2);
    }
    let execution = Execution { recompute: true, pieces: (0..10).collect(), ..Execution::default() };
    hold(&network, &TrainConfig { execution, ..man }, 32, 2);
    let manpp = config(&network, RuleConfig::new(Rule::Manpp), 10);
    hold(&network, &with(&manpp, |train| train.execution.recompute = true), 32, 2);
    let path = RuleConfig { depth: 1, ..RuleConfig::over(Rule::Man, "path".parse().unwrap(), false) };
    for recompute in [false, true] {
        for offload in [false, true] {
            let execution = Execution { recompute, offload, ..Execution::default() };
            let way = TrainConfig { execution, ..config(&network, path.clone(), 4) };
            hold(&network, &way, 32, 2);
            hold(&network, &with(&way, |train| train.method.rule.trained_copy = false), 32, 2);
        }
    }
    let images = at_side("resnet18", 64);
    let imagenet = config(&images, RuleConfig::over(Rule::Man, "imagenet".parse().unwrap(), true), 4);
    hold(&images, &with(&imagenet, |train| train.execution.recompute = true), 2, 2);
}

#[test]
fn every_way_to_wait() {
    let _alone = alone();
    let network = at_side("resnet20", 32);
    let man = config(&network, RuleConfig::new(Rule::Man), 4);
    let bp = config(&network, RuleConfig::new(Rule::Bp), 1);
    let infopro = config(&network, RuleConfig::new(Rule::Infopro), 3);
    for activations in [Precision::F16, Precision::Bf16] {
        hold(&network, &with(&bp, |train| train.execution.activations = activations), 16, 2);
        hold(&network, &with(&man, |train| train.execution.activations = activations), 24, 1);
    }
    for offload in [false, true] {
        for features_on_disk in [false, true] {
            let waits = Execution { offload, features_on_disk, ..Execution::default() };
            let way = with(&man, |train| train.method.chunk = 4);
            hold(&network, &TrainConfig { execution: waits.clone(), ..way }, 16, 2);
            let (way, micro_batch) = (with(&infopro, |train| train.method.chunk = 3), Some(8));
            hold(
                &network,
                &TrainConfig { execution: Execution { micro_batch, ..waits.clone() }, ..way },
                24,
                1,
            );
            let pieces = cuts::even_pieces(&network, 4).unwrap();
            let execution = Execution { pieces, features: Precision::F16, ..waits };
            hold(&network, &TrainConfig { execution, ..bp.clone() }, 32, 2);
        }
    }
    let way = with(&man, |train| train.method.chunk = 3);
    hold(&network, &with(&way, |train| train.execution.features = Precision::F16), 16, 2);
    let execution = Execution { exact: true, micro_batch: Some(8), ..Execution::default() };
    hold(&network, &TrainConfig { execution, ..man.clone() }, 24, 2);
    let method = Method { chunk: 4, block_batches: vec![8, 16, 32, 24], ..man.method.clone() };
    hold(&network, &method.into(), 16, 2);
    // Every block gathers gradients, though no batch of the step's is cut.
    let method = Method { chunk: 2, block_batches: vec![32; 4], ..man.method };
    hold(&network, &with(&method.into(), |train| train.execution.micro_batch = Some(16)), 16, 2);
    // Where weights are most of it.
    let large = at_side("resnet18", 32);
    let local = config(&large, RuleConfig::new(Rule::Greedy), 8);
    hold(&large, &with(&local, |train| train.execution.offload = true), 2, 2);
    let execution =
        Execution { offload: true, pieces: cuts::even_pieces(&large, 9).unwrap(), ..Execution::default() };
    hold(&large, &TrainConfig { execution, ..config(&large, RuleConfig::new(Rule::Bp), 1) }, 2, 1);
}

/// What some threads and the allocator take once a process is there only in the first measurement.
#[test]
fn the_first_steps_of_a_process_are_as_planned() {
    let _alone = alone();
    for number in 0..FIRST_CASES {
        let this = std::env::current_exe().unwrap();
        let output = std::process::Command::new(this)
            .args(["--exact", "one_case_of_the_first", "--nocapture"])
            .env("LOCALGRAD_PLAN_CASE", number.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        println!("{said}");
        assert!(output.status.success() && said.contains("1 passed"), "case {number}: {said}");
    }
}

const FIRST_CASES: usize = 5;

/// One measurement alone in its process, where the environment says which.
#[test]
fn one_case_of_the_first() {
    let _alone = alone();
    let number = std::env::var("LOCALGRAD_PLAN_CASE").map_or(0, |number| number.parse().unwrap());
    let network = at_side("resnet20", 32);
    let man = config(&network, RuleConfig::new(Rule::Man), 4);
    let bp = config(&network, RuleConfig::new(Rule::Bp), 1);
    let infopro = config(&network, RuleConfig::new(Rule::Infopro), 3);
    let pieces = cuts::even_pieces(&network, 4).unwrap();
    let filed = TrainConfig {
        execution: Execution { offload: true, features_on_disk: true, ..infopro.execution },
        ..infopro
    };
    match number {
        0 => hold(&network, &bp, 24, 2),
        1 => hold(
            &network,
            &TrainConfig {
                method: Method { chunk: 7, ..man.method },
                execution: Execution { features_on_disk: true, ..man.execution },
            },
            16,
            2,
        ),
        2 => hold(
            &network,
            &TrainConfig {
                method: Method { chunk: 3, ..filed.method },
                execution: Execution { micro_batch: Some(8), ..filed.execution },
            },
            24,
            1,
        ),
        3 => hold(
            &network,
            &TrainConfig {
                execution: Execution { pieces, features: Precision::F16, offload: true, ..bp.execution },
                ..bp
            },
            32,
            2,
        ),
        _ => hold(
            &network,
            &TrainConfig { execution: Execution { micro_batch: Some(1), ..bp.execution }, ..bp },
            16,
            1,
        ),
    }
}

/// Everything is left to choose.
fn all_of(network: &NetworkSpec, rule: &RuleConfig) -> Freedom {
    Freedom {
        micro_batch: true,
        recompute: true,
        pieces: true,
        half: true,
        files: true,
        ..Freedom::of_cuts(cuts::cuts(network, rule).unwrap())
    }
}

/// End to end the choice is the pieces of the backward pass, before micro-batches, which change results.
#[test]
fn end_to_end_keeps_to_a_budget_one_piece_at_a_time() {
    let _alone = alone();
    let network = at_side("resnet32", 32);
    let rule = RuleConfig::new(Rule::Bp);
    let freedom = Freedom { micro_batch: false, ..all_of(&network, &rule) };
    let workload = Workload::steps(network.clone(), config(&network, rule, 1), 32, 2);
    let whole = plan(&workload).unwrap().peak_bytes;
    let choice = choose(&workload, &freedom, whole / 2, &Rates::default()).unwrap();
    let chosen = choice.chosen.applied(&workload);
    assert!(chosen.train.execution.pieces.len() > 1 && chosen.train.execution.micro_batch.is_none());
    hold(&network, &chosen.train, chosen.batch, chosen.threads);
    let least = localgrad::plan::least(&workload, &freedom, &Rates::default()).unwrap().unwrap();
    assert!(least.peak_bytes < whole / 2);
    assert!(choose(&workload, &freedom, least.peak_bytes, &Rates::default()).is_ok());
    // Of 16 bits those that no activation is too large for.
    let halves = Freedom { half: true, ..Freedom::of_cuts(freedom.cuts) };
    let halved = choose(&workload, &halves, whole / 4 * 3, &Rates::default()).unwrap();
    assert_eq!([least.execution.activations, halved.chosen.execution.activations], [Precision::Bf16; 2]);
}

#[test]
fn what_is_chosen_keeps_to_its_budget() {
    let _alone = alone();
    let network = at_side("resnet32", 32);
    let rule = RuleConfig::new(Rule::Man);
    let freedom = all_of(&network, &rule);
    let workload = Workload::steps(network.clone(), config(&network, rule, 4), 64, 2);
    let mut slowest = 0.0;
    for budget in [48 << 20, 24 << 20] {
        let choice = choose(&workload, &freedom, budget, &Rates::default()).unwrap();
        assert!(choice.plan.peak_bytes <= budget);
        assert!(choice.chosen.step_seconds >= slowest, "a smaller budget is no faster");
        assert!(choice.chosen.execution.micro_batch.is_none_or(|micro| micro >= 16), "{:?}", choice.chosen);
        slowest = choice.chosen.step_seconds;
        let chosen = choice.chosen.applied(&workload);
        assert_eq!(plan(&chosen).unwrap(), choice.plan);
        hold(&network, &chosen.train, chosen.batch, chosen.threads);
    }
}

/// What no plan foresaw ends training with an error that says who asked; it can go on once there is room.
#[test]
fn a_limit_that_would_be_passed_is_an_error() {
    let _alone = alone();
    let network = at_side("resnet20", 32);
    let train = config(&network, RuleConfig::new(Rule::Man), 3);
    let measured = measure::measure(&network, &train, 16, 1).peak_bytes;
    let batch = measure::random_batch(&network, 16);
    let normalize = localgrad::data::Normalize::half(3);
    let mut trainer = Trainer::new(network.clone(), train, normalize, &localgrad::Device::Cpu).unwrap();
    let mut step = |limit, tells_who| {
        memory::set_limit(limit, tells_who);
        let report = trainer.step(&batch, 0.01, &mut |_| {});
        memory::set_limit(None, false);
        report
    };
    step(Some(memory::live() + 2 * measured), false).unwrap();
    let tight = memory::live() + measured / 2;
    let error = step(Some(tight), true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Memory);
    let text = error.to_string();
    assert!(text.contains(&tight.to_string()) && text.contains("asked for by"), "{text}");
    assert!(text.split_once("asked for by").unwrap().1.contains("localgrad::"), "{text}");
    assert!(!step(Some(tight), false).unwrap_err().to_string().contains("asked for by"));
    step(None, false).unwrap();
    // What cannot be refused is noticed.
    memory::set_limit(Some(memory::live() + (1 << 20)), true);
    drop(std::hint::black_box(vec![1u8; 2 << 20]));
    let noticed = memory::check().unwrap_err();
    memory::set_limit(None, false);
    assert_eq!(noticed.kind(), ErrorKind::Memory);
    assert!(noticed.to_string().contains("a block of 2097152 "), "{noticed}");
    assert!(memory::check().is_ok());
}

#[test]
fn too_small_a_budget_is_refused_with_the_least_that_would_do() {
    let _alone = alone();
    let network = at_side("resnet32", 32);
    let rule = RuleConfig::new(Rule::Man);
    let freedom = all_of(&network, &rule);
    let workload = Workload::steps(network.clone(), config(&network, rule, 4), 32, 2);
    let refused = choose(&workload, &freedom, 1 << 20, &Rates::default()).unwrap_err().to_string();
    let least = refused.split_once('(').unwrap().1.split_once(" bytes").unwrap().0.parse().unwrap();
    assert!(refused.contains("the least that would do") && refused.contains("smaller batch"), "{refused}");
    assert!(choose(&workload, &freedom, least - 2048, &Rates::default()).is_err());
    let choice = choose(&workload, &freedom, least, &Rates::default()).unwrap();
    assert!(choice.plan.peak_bytes <= least && choice.plan.peak_bytes > least - 2048);
}
