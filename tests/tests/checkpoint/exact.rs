//! A run that was cut and gone on with is the run that never was: same state, same events.

use crate::faulty::Memory;
use crate::run::{Run, Saver, State, state};
use localgrad::checkpoint::{Checkpoints, Record, Saved};
use localgrad::data::{AugmentConfig, LoaderConfig, RandomResizedCrop};
use localgrad::fit::Duration;
use localgrad::network::Objective;
use localgrad::optimizer::{OptimizerConfig, StateFormat};
use localgrad::precision::Precision;
use localgrad::progress::Progress;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::schedule::Schedule;
use localgrad::threads::Workers;
use localgrad::trainer::{CacheConfig, Execution, Method, Selection, TrainConfig};
use localgrad_models::{ModelConfig, resnet};

/// Steps of a run: two epochs of five.
const STEPS: usize = 10;

fn uncut(run: &Run) -> (State, Vec<String>) {
    let (mut trainer, mut saver) = (run.trainer(), Saver::idle());
    let progress = Progress::start(trainer.ranges().len());
    run.go_on(&mut trainer, progress, &mut saver).unwrap();
    (state(&mut trainer), saver.told)
}

/// Cuts the run after each step of `cuts`, saving after every `every`, and goes on to its end; its state, and the
/// events that were not made void.
fn cut(run: &Run, cuts: &[usize], every: usize, threads: &[usize]) -> (State, Vec<String>) {
    let files = Memory::default();
    let (mut trainer, checkpoints, mut progress) = run.begin(files.handle(), 2).unwrap();
    let mut checkpoints = Some(checkpoints);
    let mut told: Vec<String> = Vec::new();
    for part in 0..=cuts.len() {
        let last = cuts.get(part).copied().unwrap_or(usize::MAX);
        let workers = Workers::start(threads[part % threads.len()]).unwrap();
        let mut saver = Saver { checkpoints: checkpoints.take(), every, last, told: Vec::new() };
        let ended = workers.run(|| run.go_on(&mut trainer, progress.clone(), &mut saver));
        assert_eq!(ended.is_ok(), part == cuts.len());
        told.retain(|before| !saver.told.iter().any(|event| same_place(before, event)));
        told.append(&mut saver.told);
        drop(saver);
        let (resumed, opened, stands) = run.resume(files.handle(), 2).unwrap().unwrap();
        (trainer, checkpoints, progress) = (resumed, Some(opened), stands);
    }
    (state(&mut trainer), told)
}

/// Whether two events are of the same step or epoch.
fn same_place(a: &str, b: &str) -> bool {
    a.split_once(':').map(|(place, _)| place) == b.split_once(':').map(|(place, _)| place)
}

fn check(run: &Run, what: &str) {
    let expected = uncut(run);
    for (cuts, every, threads) in [(&[4usize, 7][..], 3, &[1usize, 3][..]), (&[5, 6], 1, &[2, 1])] {
        let found = cut(run, cuts, every, threads);
        assert_eq!(found.1, expected.1, "{what}: events");
        for (found, expected) in found.0.iter().zip(&expected.0) {
            assert_eq!(found, expected, "{what}");
        }
        assert_eq!(found.0.len(), expected.0.len(), "{what}");
    }
}

#[test]
fn runs_of_tokens_resume_exactly() {
    for rule in [Rule::Bp, Rule::Dgl, Rule::Man, Rule::Manpp] {
        check(&Run::of_tokens(rule), &format!("{rule} on tokens"));
    }
    check(&Run::of_tokens(Rule::Greedy).answering(Objective::Labels), "tokens with labels");
}

fn schedules() -> [Schedule; 3] {
    [
        Schedule::Constant,
        Schedule::Step { milestones: vec![1], factor: 0.1 },
        Schedule::Cosine { warmup_epochs: 1, start_rate: 0.01, floor: None },
    ]
}

#[test]
fn every_rule_optimizer_and_schedule_resumes_exactly() {
    let optimizers = [
        OptimizerConfig::sgd(),
        OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 1e-3 },
        OptimizerConfig::adamw(),
    ];
    for rule in [
        Rule::Bp,
        Rule::Greedy,
        Rule::Dgl,
        Rule::Predsim,
        Rule::Infopro,
        Rule::Auglocal,
        Rule::Man,
        Rule::Manpp,
    ] {
        for optimizer in &optimizers {
            for schedule in schedules() {
                let run = Run::new(rule).with(optimizer.clone(), schedule.clone());
                check(&run, &format!("{rule} {optimizer:?} {schedule:?}"));
            }
        }
    }
}

#[test]
fn optimizer_state_in_eight_bits_resumes_exactly() {
    for optimizer in [OptimizerConfig::sgd(), OptimizerConfig::adamw()] {
        let mut run = Run::new(Rule::Man).with(optimizer, Schedule::Constant);
        let config =
            ModelConfig { input: run.network.input, classes: run.network.classes, ..ModelConfig::default() };
        // The last weights have more than 4,096 elements.
        let config = ModelConfig { widths: Some(vec![4, 4, 24, 24]), ..config };
        run.network = resnet::cifar(&[1, 1, 1], &config, "wider").unwrap();
        let plain = uncut(&run);
        run.train.method.optimizer_state = StateFormat::EightBit;
        assert_ne!(uncut(&run).0, plain.0);
        check(&run, "in 8 bits");
    }
}

#[test]
fn patience_ends_a_run_and_resumes_exactly() {
    let mut run = Run::new(Rule::Dgl).with(OptimizerConfig::sgd(), Schedule::Constant);
    run.fit.duration = Duration::Epochs(40);
    // So large a rate soon brings nothing better.
    run.fit.learning_rate = 0.3;
    run.fit.patience = Some(2);
    run.train.method.class_weights = (0..10).map(|class| 0.5 + class as f32 / 9.0).collect();
    let (_, told) = uncut(&run);
    let epochs = told.iter().filter(|event| event.starts_with("epoch")).count();
    assert!(epochs < 40, "it went on for {epochs} epochs");
    check(&run, "patience");

    // The end is an end, until there is more patience.
    let files = Memory::default();
    let (mut trainer, checkpoints, progress) = run.begin(files.handle(), 1).unwrap();
    let mut saver = Saver { checkpoints: Some(checkpoints), every: 1, ..Saver::idle() };
    run.go_on(&mut trainer, progress, &mut saver).unwrap();
    drop(saver);
    let (mut trainer, _, progress) = run.resume(files.handle(), 1).unwrap().unwrap();
    let best = progress.best.unwrap();
    assert_eq!((best.epochs_since, best.epoch + 2), (2, epochs));
    let before = state(&mut trainer);
    let mut saver = Saver::idle();
    run.go_on(&mut trainer, progress.clone(), &mut saver).unwrap();
    assert!(saver.told.is_empty() && state(&mut trainer) == before);
    run.fit.patience = Some(3);
    let (mut trainer, _, progress) = run.resume(files.handle(), 1).unwrap().unwrap();
    run.go_on(&mut trainer, progress, &mut saver).unwrap();
    assert!(saver.told.iter().any(|event| event.starts_with("epoch")));
    run.fit.patience = Some(0);
    let progress = Progress::start(trainer.ranges().len());
    let refused = run.go_on(&mut trainer, progress, &mut saver).unwrap_err();
    assert!(refused.to_string().contains("from 1 on"), "{refused}");
}

#[test]
fn gathered_gradients_dropout_and_frozen_blocks_resume_exactly() {
    let mut run = Run::new(Rule::Man);
    run.train.execution.micro_batch = Some(3);
    run.train.method.clip_norm = Some(0.5);
    run.train.method.label_smoothing = 0.1;
    check(&run, "micro-batches, clipped");
    let mut run = Run::new(Rule::Infopro);
    run.train.method.rule.contrastive_temperature = Some(0.1);
    check(&run, "contrastive");
    let mut run = Run::new(Rule::Dgl);
    let dropout = localgrad::layers::LayerSpec::Dropout { probability: 0.4 };
    run.network.head.insert(1, localgrad::layers::spec::unnamed(dropout));
    check(&run, "dropout");
    let mut run = Run::new(Rule::Man);
    run.train.method.frozen = 1;
    check(&run, "frozen");
    for selection in [Selection::Head, Selection::Norms, Selection::Biases, Selection::LastUnits(2)] {
        let mut run = Run::new(Rule::Man);
        run.train.method.selection = selection;
        check(&run, &selection.to_string());
    }
    let mut run = Run::new(Rule::Greedy);
    run.loader = LoaderConfig { shuffle: false, drop_last: true, augment: None, ..run.loader };
    check(&run, "in order");
    run.fit.duration = Duration::Steps(8);
    check(&run, "steps");
}

#[test]
fn a_run_whose_batches_are_made_ahead_is_exact() {
    let mut run = Run::new(Rule::Man);
    let crop = Some(RandomResizedCrop::default());
    run.loader.augment = Some(AugmentConfig { padding: 0, crop, ..AugmentConfig::default() });
    assert!(run.loader().batches_ahead() > 0);
    check(&run, "batches made ahead");
    run.loader.repeats = 2;
    run.fit.duration = Duration::Steps(8);
    check(&run, "repeated samples");
}

#[test]
fn features_that_are_kept_are_made_anew_after_a_kill() {
    for (selection, rule) in [(Selection::Head, Rule::Bp), (Selection::LastUnits(2), Rule::Man)] {
        for (variants, precision) in [(1, Precision::F16), (2, Precision::F32), (3, Precision::Bf16)] {
            let mut run = Run::new(rule);
            run.train.method.selection = selection;
            run.train.method.cache = Some(CacheConfig { variants, precision });
            check(&run, &format!("{selection}, {variants} showings in {precision}"));
            run.train.execution.micro_batch = Some(3);
            let crop = Some(RandomResizedCrop::default());
            run.loader.augment = Some(AugmentConfig { padding: 0, crop, ..AugmentConfig::default() });
            check(&run, &format!("{selection}, {variants} showings in {precision}, made ahead"));
        }
    }
}

#[test]
fn a_finished_run_goes_on_when_it_is_made_longer() {
    let mut run = Run::new(Rule::Greedy).with(OptimizerConfig::sgd(), Schedule::Constant);
    for (short, long) in
        [(Duration::Epochs(1), Duration::Epochs(2)), (Duration::Steps(3), Duration::Steps(STEPS))]
    {
        run.fit.duration = long;
        let (expected, told) = uncut(&run);
        run.fit.duration = short;
        let files = Memory::default();
        let (mut trainer, checkpoints, progress) = run.begin(files.handle(), 1).unwrap();
        let mut saver = Saver { checkpoints: Some(checkpoints), every: 2, ..Saver::idle() };
        run.go_on(&mut trainer, progress, &mut saver).unwrap();
        run.fit.duration = long;
        let (mut trainer, checkpoints, progress) = run.resume(files.handle(), 1).unwrap().unwrap();
        let mut saver = Saver { checkpoints: Some(checkpoints), every: 2, ..Saver::idle() };
        run.go_on(&mut trainer, progress, &mut saver).unwrap();
        assert_eq!(state(&mut trainer), expected);
        assert_eq!(saver.told.last(), told.last());
    }
}

#[test]
fn frozen_blocks_stay_and_keep_their_file() {
    let mut run = Run::new(Rule::Greedy);
    run.train.method.frozen = 2;
    let files = Memory::default();
    let (mut trainer, checkpoints, progress) = run.begin(files.handle(), 1).unwrap();
    let before = state(&mut trainer);
    let mut saver = Saver { checkpoints: Some(checkpoints), every: 1, ..Saver::idle() };
    run.go_on(&mut trainer, progress, &mut saver).unwrap();
    let manifest = saver.checkpoints.as_ref().unwrap().manifest();
    let newest = &manifest.generations[0];
    let writers: Vec<u64> = newest.blocks.iter().map(|block| block.written_by).collect();
    assert_eq!(&writers[..2], [1, 1]);
    assert!(writers[2] > 5);
    let after = state(&mut trainer);
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        let head_or_last = ["layer2", "layer3", "fc", "passes"].iter().any(|part| name.contains(part));
        assert!(head_or_last || before == after, "{name} changed");
    }
    assert_ne!(before, after);
    run.train = TrainConfig { method: Method { frozen: 3, ..run.train.method }, ..run.train };
    let refused = localgrad::trainer::Trainer::new(
        run.network.clone(),
        run.train.clone(),
        localgrad::data::Normalize::half(1),
        &localgrad::Device::Cpu,
    );
    assert!(refused.err().unwrap().to_string().contains("freeze at most 2"));
}

#[test]
fn the_journal_tells_each_step_once() {
    let run = Run::new(Rule::Greedy);
    let files = Memory::default();
    let (mut trainer, checkpoints, progress) = run.begin(files.handle(), 1).unwrap();
    let mut saver = Saver { checkpoints: Some(checkpoints), every: 3, last: 7, told: Vec::new() };
    run.go_on(&mut trainer, progress, &mut saver).unwrap_err();
    let (mut trainer, checkpoints, progress) = run.resume(files.handle(), 1).unwrap().unwrap();
    assert_eq!(progress.steps, 6);
    let mut saver = Saver { checkpoints: Some(checkpoints), every: 3, ..Saver::idle() };
    run.go_on(&mut trainer, progress, &mut saver).unwrap();
    let records = Saved::read_from(files.handle()).unwrap().unwrap().records().unwrap();
    let steps: Vec<usize> = records
        .iter()
        .filter_map(|record| match record {
            Record::Step { step, .. } => Some(*step),
            _ => None,
        })
        .collect();
    assert_eq!(steps, (1..=STEPS).collect::<Vec<_>>());
    let epochs = records.iter().filter(|record| matches!(record, Record::Epoch { .. })).count();
    assert_eq!(epochs, 2);
}

/// What the journal in `files` says of each epoch.
fn metrics_of(files: &Memory) -> Vec<Vec<(String, f64)>> {
    let records = Saved::read_from(files.handle()).unwrap().unwrap().records().unwrap();
    let metrics = |record| match record {
        Record::Epoch { metrics, .. } => Some(metrics),
        _ => None,
    };
    records.into_iter().filter_map(metrics).collect()
}

#[test]
fn the_journal_keeps_by_what_labels_and_values_are_judged() {
    let labels = vec!["label_accuracy", "mean_precision", "mean_recall"];
    let values = vec!["mean_absolute_error", "root_mean_square_error"];
    for (objective, names) in [
        (Objective::Labels, labels),
        (Objective::Values, values.clone()),
        (Objective::Huber { delta: 0.5 }, values),
        (Objective::Classes, Vec::new()),
    ] {
        let run = Run::new(Rule::Greedy).answering(objective);
        let told = |cuts: &[usize]| {
            let files = Memory::default();
            let (mut trainer, checkpoints, mut progress) = run.begin(files.handle(), 1).unwrap();
            let mut checkpoints = Some(checkpoints);
            for last in cuts.iter().copied().chain([usize::MAX]) {
                let mut saver = Saver { checkpoints: checkpoints.take(), every: 3, last, told: Vec::new() };
                assert_eq!(run.go_on(&mut trainer, progress, &mut saver).is_ok(), last == usize::MAX);
                drop(saver);
                let (resumed, opened, stands) = run.resume(files.handle(), 1).unwrap().unwrap();
                (trainer, checkpoints, progress) = (resumed, Some(opened), stands);
            }
            metrics_of(&files)
        };
        let whole = told(&[]);
        assert_eq!(whole.len(), 2);
        for epoch in &whole {
            assert_eq!(epoch.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
            assert!(epoch.iter().all(|(_, value)| value.is_finite()), "{epoch:?}");
        }
        assert_eq!(told(&[4, 7]), whole, "{objective:?}");
    }
}

/// Something else said about a run.
type Change = fn(&mut Run);

#[test]
fn a_changed_configuration_is_refused_by_name() {
    let run = Run::new(Rule::Man);
    let files = Memory::default();
    drop(run.begin(files.handle(), 1).unwrap());
    let changes: [(&str, Change); 10] = [
        ("train.optimizer_state", |run| run.train.method.optimizer_state = StateFormat::EightBit),
        ("train.rule.ema_momentum", |run| run.train.method.rule.ema_momentum = 0.9),
        ("train.rule.rule", |run| run.train.method.rule = RuleConfig::new(Rule::Manpp)),
        ("train.ends", |run| run.train.method.ends = vec![1, 3]),
        ("train.optimizer", |run| run.train.method.optimizer = OptimizerConfig::adamw()),
        ("train.seed", |run| run.train.method.seed = 6),
        ("fit.learning_rate was 0.05 and is 0.06", |run| run.fit.learning_rate = 0.06),
        ("loader.augment", |run| run.loader.augment = None),
        ("loader.batch was 4 and is 6", |run| run.loader.batch = 6),
        ("fit.duration", |run| run.fit.duration = Duration::Steps(10)),
    ];
    for (field, change) in changes {
        let mut changed = run.clone();
        change(&mut changed);
        let error = changed.resume(files.handle(), 1).err().unwrap();
        assert!(error.to_string().contains(field), "{field}: {error}");
    }
    let mut longer = run.clone();
    longer.fit.duration = Duration::Epochs(9);
    assert!(longer.resume(files.handle(), 3).unwrap().is_some());
    let mut other_data = run.configuration();
    other_data.data.labels_checksum ^= 1;
    let refused = Checkpoints::resume_in(files.handle(), other_data, 1, &mut run.trainer());
    assert!(refused.err().unwrap().to_string().contains("data.labels_checksum"));
}

#[test]
fn what_is_repeated_may_change_where_the_results_are_the_same() {
    let mut run = Run::new(Rule::Greedy);
    run.train.method.ends = vec![2, 3];
    let (cut_up, recompute): (Change, Change) =
        (|run| run.train.execution.pieces = vec![0, 1], |run| run.train.execution.recompute = true);
    for (precision, rounds) in [(Precision::F32, false), (Precision::F16, true), (Precision::Bf16, true)] {
        for (pieces, change, same) in
            [(vec![], cut_up, !rounds), (vec![], recompute, true), (vec![0, 1], recompute, !rounds)]
        {
            run.train = TrainConfig {
                execution: Execution { features: precision, pieces, ..run.train.execution },
                ..run.train
            };
            let mut changed = run.clone();
            change(&mut changed);
            let files = Memory::default();
            drop(run.begin(files.handle(), 1).unwrap());
            let what = format!("{:?} after {:?}", changed.train, run.train);
            assert_eq!(changed.resume(files.handle(), 1).is_ok(), same, "{what}");
            assert_eq!(uncut(&changed).0 == uncut(&run).0, same, "{what}");
        }
    }
}

#[test]
fn repeating_a_pair_may_not_change_where_activations_are_rounded() {
    let mut run = Run::new(Rule::Man);
    run.train.method.ends = vec![2, 3];
    let (cut_up, recompute): (Change, Change) =
        (|run| run.train.execution.pieces = vec![0, 1], |run| run.train.execution.recompute = true);
    for (precision, rounds) in [(Precision::F32, false), (Precision::F16, true)] {
        for (change, same) in [(cut_up, true), (recompute, !rounds)] {
            run.train.execution.activations = precision;
            let mut changed = run.clone();
            change(&mut changed);
            let files = Memory::default();
            drop(run.begin(files.handle(), 1).unwrap());
            let what = format!("{:?} after {:?}", changed.train, run.train);
            assert_eq!(changed.resume(files.handle(), 1).is_ok(), same, "{what}");
            assert_eq!(uncut(&changed).0 == uncut(&run).0, same, "{what}");
        }
    }
}
