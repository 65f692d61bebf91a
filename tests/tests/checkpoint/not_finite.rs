//! Numbers that are not finite: gradients are not applied, and nothing is saved in place of good numbers.

use crate::faulty::Memory;
use crate::run::{Run, Saver, State, state};
use localgrad::checkpoint::blob;
use localgrad::checkpoint::block_input::load;
use localgrad::layers::Variable;
use localgrad::maps::{Map, Place};
use localgrad::optimizer::OptimizerConfig;
use localgrad::progress::Progress;
use localgrad::rules::Rule;
use localgrad::schedule::Schedule;
use localgrad::trainer::Trainer;
use localgrad::weights::{self, Card};
use localgrad::{Error, ErrorKind, Result, Tensor};

const SPOILERS: [f32; 3] = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];

/// A map like `map` with `number` in its middle.
fn with(map: &Map, number: f32) -> Map {
    let mut numbers = map.numbers().unwrap();
    let middle = numbers.len() / 2;
    numbers[middle] = number;
    Map::new(numbers, map.dims()).unwrap()
}

/// Changes what is called `name`.
fn change(trainer: &mut Trainer, name: &str, change: impl Fn(&mut Variable<'_>)) {
    let mut found = 0;
    let visited = trainer.visit(&mut |known, mut variable| {
        if known == name {
            found += 1;
            change(&mut variable);
        }
        Ok(())
    });
    visited.unwrap();
    assert_eq!(found, 1, "{name}");
}

fn spoil(trainer: &mut Trainer, name: &str, number: f32) {
    change(trainer, name, |variable| {
        let spoiled = with(variable.value(), number);
        variable.set(spoiled);
    });
}

/// All that belongs to parameters: a pass moves running statistics before any gradient is known.
fn parameters(trainer: &mut Trainer) -> State {
    let mut all = state(trainer);
    all.retain(|(name, _)| name.contains("weight") || name.contains("bias"));
    all
}

fn train(run: &Run, trainer: &mut Trainer) -> Result<()> {
    let progress = Progress::start(trainer.ranges().len());
    run.go_on(trainer, progress, &mut Saver { last: 1, ..Saver::idle() })
}

/// The error of a save, which names what is spoiled and says what to do.
fn check(error: &Error, name: &str) {
    assert_eq!(error.kind(), ErrorKind::NotFinite, "{error}");
    let text = error.to_string();
    assert!(text.contains(&format!("{name} ")) && text.contains("learning rate"), "{text}");
}

#[test]
fn a_gradient_that_cannot_be_clipped_changes_nothing() {
    for number in SPOILERS {
        let mut run = Run::new(Rule::Greedy);
        run.train.method.clip_norm = Some(1.0);
        let mut trainer = run.trainer();
        let before = parameters(&mut trainer);
        assert!(!before.is_empty());
        // As the first of some micro-batches may leave it.
        change(&mut trainer, "conv1.weight", |variable| {
            if let Variable::Parameter(parameter) = variable {
                parameter.accumulated = Some(with(&parameter.value, number));
            }
        });
        let error = train(&run, &mut trainer).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFinite, "{number}: {error}");
        assert!(error.to_string().contains("block 0: the norm of the gradient"), "{error}");
        assert_eq!(parameters(&mut trainer), before, "{number}");
        // What was gathered is forgotten, so that the trainer can go on.
        assert_eq!(train(&run, &mut trainer).unwrap_err().kind(), ErrorKind::Internal);
        assert_ne!(parameters(&mut trainer), before);
    }
}

#[test]
fn a_spoiled_state_does_not_replace_a_good_one() {
    let names = ["conv1.weight", "bn1.running_mean", "layer2.0.conv2.weight", "fc.bias"];
    for optimizer in [OptimizerConfig::sgd(), OptimizerConfig::adamw()] {
        let run = Run::new(Rule::Man).with(optimizer, Schedule::Constant);
        for (name, number) in names.into_iter().zip(SPOILERS.into_iter().cycle()) {
            let files = Memory::default();
            let (mut trainer, mut checkpoints, mut progress) = run.begin(files.handle(), 1).unwrap();
            let good = state(&mut trainer);
            spoil(&mut trainer, name, number);
            progress.steps = 1;
            trainer.set_passes(1);
            check(&checkpoints.save(&mut trainer, &progress).unwrap_err(), name);
            let mut room = vec![0; 1 << 20];
            let blob = blob::write(&mut trainer, &run.configuration(), &progress, &mut room);
            check(&blob.unwrap_err(), name);
            drop(checkpoints);
            let (mut found, _, progress) = run.resume(files.handle(), 1).unwrap().unwrap();
            assert_eq!(progress.steps, 0);
            assert_eq!(state(&mut found), good, "{name}");
            // Nothing is left of what was not saved.
            assert!(files.contents().keys().all(|name| !name.contains("0000000002")));
        }
    }
}

#[test]
fn what_the_optimizer_remembers_counts_too() {
    for (optimizer, what) in [(OptimizerConfig::sgd(), "momentum"), (OptimizerConfig::adamw(), "square")] {
        let run = Run::new(Rule::Greedy).with(optimizer, Schedule::Constant);
        let files = Memory::default();
        let (mut trainer, mut checkpoints, progress) = run.begin(files.handle(), 1).unwrap();
        train(&run, &mut trainer).unwrap_err();
        checkpoints.save(&mut trainer, &progress).unwrap();
        change(&mut trainer, "fc.weight", |variable| {
            if let Variable::Parameter(parameter) = variable {
                let last = parameter.state.pop().unwrap();
                parameter.state.push(with(&last, f32::INFINITY));
            }
        });
        checkpoints.forget_held();
        let error = checkpoints.save(&mut trainer, &progress).unwrap_err();
        check(&error, &format!("optimizer.{what}.fc.weight"));
    }
}

#[test]
fn spoiled_weights_are_not_exported() {
    let run = Run::new(Rule::Bp);
    let mut trainer = run.trainer();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights.safetensors");
    weights::write_network(&path, &mut trainer, &Card::default(), false).unwrap();
    let good = std::fs::read(&path).unwrap();
    for (half, number) in [false, true].into_iter().flat_map(|half| SPOILERS.map(|number| (half, number))) {
        spoil(&mut trainer, "layer3.0.bn2.running_var", number);
        let error = weights::write_network(&path, &mut trainer, &Card::default(), half).unwrap_err();
        check(&error, "layer3.0.bn2.running_var");
        let all = weights::of_model(&mut trainer.model).unwrap();
        check(&weights::write(&path, &all, &Card::default(), half).unwrap_err(), "layer3.0.bn2.running_var");
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }
}

/// The part of a state that belongs to a block's judge or units.
fn of(all: &State, prefixes: &[&str]) -> State {
    all.iter().filter(|(name, _)| prefixes.iter().any(|prefix| name.starts_with(prefix))).cloned().collect()
}

/// Makes every number of what is called `name` as large as floats are.
fn blow_up(trainer: &mut Trainer, name: &str) {
    change(trainer, name, |variable| {
        variable.set(Place::Host.full(variable.value().dims(), 3e38).unwrap());
    });
}

/// A name of the trainer that holds all of `parts`.
fn name_with(trainer: &mut Trainer, parts: &[&str]) -> String {
    let all = state(trainer);
    let found = all.iter().find(|(name, _)| parts.iter().all(|part| name.contains(part)));
    found.unwrap_or_else(|| panic!("{parts:?}")).0.clone()
}

#[test]
fn a_loss_that_is_no_number_changes_nothing_of_its_block() {
    let cases = [
        (Rule::Bp, &["fc.weight"][..], &[""][..]),
        (Rule::Man, &["aux.0", "head", "weight"], &[""]),
        (Rule::Dgl, &["aux.1", "head", "weight"], &["layer2", "aux.1"]),
        (Rule::Auglocal, &["fc.weight"], &["layer3", "fc"]),
        // The head's own loss is a number, and only that of what comes after it is none.
        (Rule::Infopro, &["aux.0", "decoder", "weight"], &[""]),
        (Rule::Predsim, &["aux.0.similarity", "weight"], &[""]),
    ];
    for optimizer in [OptimizerConfig::sgd(), OptimizerConfig::adamw()] {
        for (rule, spoiled, untouched) in cases {
            let mut run = Run::new(rule).with(optimizer.clone(), Schedule::Constant);
            for micro_batch in [None, Some(4)] {
                run.train.execution.micro_batch = micro_batch;
                let mut trainer = run.trainer();
                // What the optimizer remembers exists.
                train(&run, &mut trainer).unwrap_err();
                let name = name_with(&mut trainer, spoiled);
                blow_up(&mut trainer, &name);
                let before = state(&mut trainer);
                let error = train(&run, &mut trainer).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFinite, "{rule}: {error}");
                assert!(error.to_string().contains("the loss became"), "{error}");
                let after = state(&mut trainer);
                let (mut before, mut after) = (of(&before, untouched), of(&after, untouched));
                before.retain(|(name, _)| name != "passes");
                after.retain(|(name, _)| name != "passes");
                assert!(before.len() > 3);
                for (before, after) in before.iter().zip(&after) {
                    assert!(before == after, "{rule}, {micro_batch:?}: {} has changed", before.0);
                }
            }
        }
    }
}

#[test]
fn training_goes_on_after_a_loss_that_was_no_number() {
    for rule in [Rule::Bp, Rule::Man, Rule::Infopro] {
        let run = Run::new(rule);
        let (mut trainer, mut other) = (run.trainer(), run.trainer());
        let batch = run.loader().batch(0, 0).unwrap();
        let mut spoiled = run.loader().batch(0, 1).unwrap();
        spoiled.inputs = Place::Host.full(spoiled.inputs.dims(), f32::NAN).unwrap();
        trainer.step(&batch, 0.1, &mut |_| {}).unwrap();
        other.step(&batch, 0.1, &mut |_| {}).unwrap();
        let error = trainer.step(&spoiled, 0.1, &mut |_| {}).unwrap_err();
        assert!(error.to_string().starts_with("block 0: the loss became NaN"), "{error}");
        // Nothing is different from a trainer that never saw it.
        trainer.set_passes(other.passes());
        let (now, wanted) =
            [&mut trainer, &mut other].map(|trainer| trainer.step(&batch, 0.01, &mut |_| {}).unwrap()).into();
        assert_eq!(now.losses.len(), wanted.losses.len());
        assert!(now == wanted && state(&mut trainer) == state(&mut other), "{rule}");
    }
}

#[test]
fn spoiled_weights_are_not_read() {
    let run = Run::new(Rule::Bp);
    let mut trainer = run.trainer();
    let mut all = weights::of_model(&mut trainer.model).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weights.safetensors");
    let write = |all: &weights::Weights| safetensors(all, &path);
    write(&all);
    assert_eq!(weights::read(&path, |name| Some(name.into())).unwrap().len(), all.len());
    for number in SPOILERS {
        let good = all["layer2.0.conv2.weight"].clone();
        all.insert("layer2.0.conv2.weight".into(), with(&good, number));
        write(&all);
        let error = weights::read(&path, |name| Some(name.into())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains("layer2.0.conv2.weight holds"), "{error}");
        // What is of no use need not be whole.
        weights::read(&path, |name| (name != "layer2.0.conv2.weight").then(|| name.into())).unwrap();
        all.insert("layer2.0.conv2.weight".into(), good);
    }
    let large = Tensor::from_vec(vec![1e300f64, 1.0], 2, &localgrad::Device::Cpu).unwrap();
    write(&weights::Weights::from([("double".into(), large.into())]));
    let error = weights::read(&path, |name| Some(name.into())).unwrap_err().to_string();
    assert!(error.contains("double holds inf, or is larger than f32 holds"), "{error}");
}

#[test]
fn a_spoiled_checkpoint_is_not_read() {
    let run = Run::new(Rule::Bp);
    let mut trainer = run.trainer();
    train(&run, &mut trainer).unwrap_err();
    let before = state(&mut trainer);
    let mut tensors = weights::Weights::new();
    trainer
        .visit(&mut |name, variable| {
            tensors.insert(name.into(), variable.value().clone());
            if let Variable::Parameter(parameter) = variable {
                tensors.insert(format!("optimizer.momentum.{name}"), parameter.state[0].clone());
            }
            Ok(())
        })
        .unwrap();
    let updates = Tensor::ones(
        tensors.keys().filter(|name| name.starts_with("optimizer")).count(),
        localgrad::DType::I64,
        &localgrad::Device::Cpu,
    );
    tensors.insert("optimizer.updates".into(), updates.unwrap().into());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("block.safetensors");
    safetensors(&tensors, &path);
    load(&mut trainer, 0, &mut std::fs::File::open(&path).unwrap()).unwrap();
    for name in ["conv1.weight", "bn1.running_var", "optimizer.momentum.fc.bias"] {
        let good = tensors[name].clone();
        tensors.insert(name.into(), with(&good, f32::NAN));
        safetensors(&tensors, &path);
        let error = load(&mut trainer, 0, &mut std::fs::File::open(&path).unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.to_string().contains(name), "{error}");
        tensors.insert(name.into(), good);
    }
    assert!(state(&mut trainer) == before);
}

/// Writes tensors of any type and number, as other programs do.
fn safetensors(tensors: &weights::Weights, path: &std::path::Path) {
    let named: std::collections::HashMap<String, Tensor> =
        tensors.iter().map(|(name, map)| (name.clone(), map.tensor().unwrap().clone())).collect();
    localgrad::candle::safetensors::save(&named, path).unwrap();
}
