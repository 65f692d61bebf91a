//! Numbers that are not finite: gradients are not applied, and nothing is saved in place of good numbers.

use crate::faulty::Memory;
use crate::run::{Run, Saver, State, state};
use localgrad::checkpoint::blob;
use localgrad::layers::Variable;
use localgrad::optimizer::OptimizerConfig;
use localgrad::progress::Progress;
use localgrad::rules::Rule;
use localgrad::schedule::Schedule;
use localgrad::trainer::Trainer;
use localgrad::weights::{self, Card};
use localgrad::{Error, ErrorKind, Result, Tensor};

const SPOILERS: [f32; 3] = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];

/// A tensor like `tensor` with `number` in its middle.
fn with(tensor: &Tensor, number: f32) -> Tensor {
    let mut numbers: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    let middle = numbers.len() / 2;
    numbers[middle] = number;
    Tensor::from_vec(numbers, tensor.dims(), tensor.device()).unwrap()
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
        run.train.clip_norm = Some(1.0);
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
        assert!(error.to_string().contains("gradient's norm of block 0"), "{error}");
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
            let (mut trainer, mut checkpoints, mut progress) = run.begin(files.again(), 1).unwrap();
            let good = state(&mut trainer);
            spoil(&mut trainer, name, number);
            progress.steps = 1;
            trainer.set_passes(1);
            check(&checkpoints.save(&mut trainer, &progress).unwrap_err(), name);
            let mut room = vec![0; 1 << 20];
            let blob = blob::write(&mut trainer, &run.configuration(), &progress, &mut room);
            check(&blob.unwrap_err(), name);
            drop(checkpoints);
            let (mut found, _, progress) = run.resume(files.again(), 1).unwrap().unwrap();
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
        let (mut trainer, mut checkpoints, progress) = run.begin(files.again(), 1).unwrap();
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
