//! Blocks side by side: the same bits as one after the other, whatever thread comes when.

use crate::common::{Noise, batch, small_resnet, weights_of};
use localgrad::data::{Batch, Loader, LoaderConfig, Normalize};
use localgrad::fit::{Control, Event, FitConfig, fit};
use localgrad::network::NetworkSpec;
use localgrad::rules::{Head, Rule, RuleConfig};
use localgrad::side_by_side::side_by_side;
use localgrad::threads::Workers;
use localgrad::trainer::{Execution, Method, StepReport, TrainConfig, Trainer};
use localgrad::{Device, ErrorKind, Result};
use std::sync::Arc;

const RATE: f64 = 0.05;

fn config(rule: RuleConfig, ends: &[usize]) -> TrainConfig {
    TrainConfig::from(Method { rule, ends: ends.to_vec(), ..Method::default() })
}

fn trainer(spec: &NetworkSpec, config: &TrainConfig) -> Trainer {
    Trainer::new(spec.clone(), config.clone(), Normalize::half(3), &Device::Cpu).unwrap()
}

fn beside(trainer: &mut Trainer, batches: &[Batch], rate: f64) -> Result<Vec<StepReport>> {
    let mut batches = batches.iter();
    side_by_side(trainer, &mut |trainer| batches.next().map(|batch| trainer.begin(batch, rate)).transpose())
}

/// Trains on the batches one block after the other, and then on copies of the trainer side by side.
fn same(spec: &NetworkSpec, config: &TrainConfig, what: &str) {
    let batches: Vec<Batch> = (0..7).map(|seed| batch(spec, 6, 10 + seed)).collect();
    let mut plain = trainer(spec, config);
    let reports: Vec<StepReport> =
        batches.iter().map(|batch| plain.step(batch, RATE, &mut |_| {}).unwrap()).collect();
    let weights = weights_of(&mut plain);
    for threads in [1, 2, 4] {
        let mut trainer = trainer(spec, config);
        let workers = Workers::start(threads).unwrap();
        // In two parts: nothing is left under way between them.
        let found = workers.run(|| {
            let mut found = beside(&mut trainer, &batches[..3], RATE).unwrap();
            found.extend(beside(&mut trainer, &batches[3..], RATE).unwrap());
            found
        });
        // A frozen block has no loss, which is no number.
        assert_eq!(format!("{found:?}"), format!("{reports:?}"), "{what}, {threads} threads");
        assert_eq!(weights_of(&mut trainer), weights, "{what}, {threads} threads");
    }
}

#[test]
fn every_rule_is_as_one_block_after_the_other() {
    let spec = small_resnet([3, 8, 8]);
    let rules =
        [Rule::Greedy, Rule::Dgl, Rule::Predsim, Rule::Infopro, Rule::Auglocal, Rule::Man, Rule::Manpp];
    for rule in rules {
        for ends in [&[1, 3, 6][..], &[0, 1, 2, 3, 4, 5, 6]] {
            same(&spec, &config(RuleConfig::new(rule), ends), &format!("{rule}, {ends:?}"));
        }
    }
    let pair = RuleConfig { head: Head::Auglocal, ..RuleConfig::new(Rule::Man) };
    same(&spec, &config(pair, &[1, 3, 6]), "MAN over AugLocal");
    same(&spec, &config(RuleConfig::new(Rule::Bp), &[6]), "one block");
}

#[test]
fn shares_and_repeated_passes_are_as_one_block_after_the_other() {
    let spec = small_resnet([3, 8, 8]);
    let man = config(RuleConfig::new(Rule::Man), &[1, 3, 6]);
    for execution in [
        Execution { micro_batch: Some(2), ..Execution::default() },
        Execution { micro_batch: Some(4), exact: true, ..Execution::default() },
        Execution { recompute: true, pieces: vec![0, 2, 5], ..Execution::default() },
    ] {
        same(&spec, &TrainConfig { execution: execution.clone(), ..man.clone() }, &format!("{execution:?}"));
    }
    let method = Method { frozen: 1, clip_norm: Some(0.5), ..man.method };
    same(&spec, &TrainConfig::from(method), "the first block frozen");
}

#[test]
fn averages_of_what_is_batches_behind_are_refused() {
    let spec = small_resnet([3, 8, 8]);
    let far = RuleConfig { head: Head::Path, depth: 9, pyramid: 0.0, ..RuleConfig::new(Rule::Man) };
    let mut trainer = trainer(&spec, &config(far, &[1, 3, 6]));
    let error = beside(&mut trainer, &[batch(&spec, 4, 0)], RATE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("behind the next block"), "{error}");
}

#[test]
fn what_makes_blocks_come_in_turn_is_refused() {
    let whole = config(RuleConfig::new(Rule::Greedy), &[1, 3, 6]);
    let beside = Execution { side_by_side: true, ..Execution::default() };
    let execution = |execution| TrainConfig { execution, ..whole.clone() };
    let method = |method| TrainConfig { method, execution: beside.clone() };
    for (train, word) in [
        (execution(Execution { offload: true, ..beside.clone() }), "file"),
        (execution(Execution { features_on_disk: true, ..beside.clone() }), "file"),
        (method(Method { chunk: 2, ..whole.method.clone() }), "chunks"),
        (method(Method { chunk: 2, block_batches: vec![2, 4, 4], ..whole.method.clone() }), "chunks"),
    ] {
        let error = train.validate().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

/// A failure brings every block back, and says what it is.
#[test]
fn a_failure_leaves_a_whole_trainer() {
    let spec = small_resnet([3, 8, 8]);
    let man = config(RuleConfig::new(Rule::Man), &[1, 3, 6]);
    let (mut first, mut second) = (trainer(&spec, &man), trainer(&spec, &man));
    let names = |trainer: &mut Trainer| -> Vec<String> {
        weights_of(trainer).into_iter().map(|(name, _)| name).collect()
    };
    let all = names(&mut first);
    let batches: Vec<Batch> = (0..6).map(|seed| batch(&spec, 4, seed)).collect();
    let workers = Workers::start(3).unwrap();
    let error = workers.run(|| beside(&mut first, &batches, 1e30)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFinite);
    assert!(error.to_string().contains("block "), "{error}");
    let other = small_resnet([3, 16, 16]);
    let mixed = [batch(&spec, 4, 0), batch(&other, 4, 0)];
    assert_eq!(workers.run(|| beside(&mut second, &mixed, RATE)).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!((names(&mut first), names(&mut second)), (all.clone(), all));
}

/// A run tells of each step in its place and comes to the same end.
#[test]
fn a_run_is_the_same() {
    let spec = small_resnet([3, 8, 8]);
    let noise = || Arc::new(Noise::new(42, 8));
    let how = LoaderConfig { batch: 4, ..LoaderConfig::evaluation(4) };
    let data = Loader::new(noise(), Normalize::half(3), how).unwrap();
    let told = |side_by_side| {
        let whole = config(RuleConfig::new(Rule::Man), &[1, 3, 6]);
        let execution = Execution { side_by_side, ..Execution::default() };
        let mut trainer = trainer(&spec, &TrainConfig { execution, ..whole });
        let mut steps = Vec::new();
        let workers = Workers::start(2).unwrap();
        workers.run(|| {
            fit(&mut trainer, &data, Some(&data), &FitConfig::default(), &mut |event| {
                if let Event::Step { step, epoch, losses, learning_rate, samples, .. } = event {
                    steps.push((*step, *epoch, losses.clone(), *learning_rate, *samples));
                }
                Control::Continue
            })
            .unwrap()
        });
        (steps, weights_of(&mut trainer))
    };
    assert_eq!(told(true), told(false));
}
