//! What a few training steps really allocate.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use localgrad::Device;
use localgrad::data::{Batch, Normalize};
use localgrad::inputs::Inputs;
use localgrad::maps::Map;
use localgrad::memory;
use localgrad::network::NetworkSpec;
use localgrad::plan::Moment;
use localgrad::random::Stream;
use localgrad::scratch::Scratch;
use localgrad::side_by_side::side_by_side;
use localgrad::sweep::sweep;
use localgrad::targets::Targets;
use localgrad::threads::Workers;
use localgrad::trainer::{Stage, TrainConfig, Trainer};
use std::time::Duration;

/// What was found.
pub(crate) struct Measured {
    /// The most that was allocated.
    pub(crate) peak_bytes: usize,
    /// The most in each stage.
    pub(crate) stages: Vec<(Moment, usize)>,
}

/// Steps that are taken: the first makes the optimizer's state, the second finds it there.
const STEPS: usize = 2;
/// Less than any worker holds.
const LEFT_BYTES: usize = 256 << 10;

/// Trains on random images and targets.
pub(crate) fn measure(network: &NetworkSpec, train: &TrainConfig, batch: usize, threads: usize) -> Measured {
    let at_start = memory::live();
    let workers = Workers::start(threads).unwrap();
    let before = memory::live();
    memory::reset_peak();
    let (mut peak_bytes, mut stages) = (0, Vec::<(Moment, usize)>::new());
    let mut current = Moment::Load;
    let mut note = |next: Moment| {
        let bytes = memory::peak() - before;
        memory::reset_peak();
        peak_bytes = peak_bytes.max(bytes);
        match stages.iter_mut().find(|(moment, _)| *moment == current) {
            Some((_, most)) => *most = bytes.max(*most),
            None => stages.push((current, bytes)),
        }
        current = next;
    };
    workers.run(|| {
        let normalize = Normalize::half(network.input.channels());
        let directory = tempfile::tempdir().unwrap();
        let scratch =
            train.execution.needs_scratch().then(|| Scratch::create(directory.path(), None).unwrap());
        let mut trainer =
            Trainer::with_scratch(network.clone(), train.clone(), normalize, &Device::Cpu, scratch).unwrap();
        for _ in 0..if train.execution.side_by_side { 0 } else { STEPS } {
            note(Moment::Load);
            let watch = &mut |stage| {
                note(match stage {
                    Stage::Forward(block) => Moment::Forward(block),
                    Stage::Loss(block) => Moment::Loss(block),
                    Stage::Backward(block) => Moment::Backward(block),
                    Stage::Update(block) => Moment::Update(block),
                });
            };
            let begun =
                (0..train.method.chunk).map(|_| trainer.begin(&random_batch(network, batch), 0.001).unwrap());
            let steps = begun.collect();
            sweep(&mut trainer, steps, watch).unwrap();
        }
        if train.execution.side_by_side {
            let mut left = 4 * train.method.ends.len();
            let begin = &mut |trainer: &mut Trainer| {
                left = left.saturating_sub(1);
                (left > 0).then(|| trainer.begin(&random_batch(network, batch), 0.001)).transpose()
            };
            side_by_side(&mut trainer, begin).unwrap();
        }
        note(Moment::Load);
    });
    drop(workers);
    // Workers end in their own time, and give back then what they hold; it would pass for the next measurement's.
    for _ in 0..500 {
        if memory::live() <= at_start + LEFT_BYTES {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Measured { peak_bytes, stages }
}

pub(crate) fn random_batch(network: &NetworkSpec, samples: usize) -> Batch {
    let mut stream = Stream::new(0, "plan", &[]);
    let number = |_| match network.input {
        Inputs::Pixels(_) => stream.uniform_f32(),
        Inputs::Tokens(tokens) => stream.below(tokens.vocabulary as u64) as f32,
    };
    let numbers: Vec<f32> = (0..samples * network.input.elements()).map(number).collect();
    let outputs = network.classes;
    let targets = match network.objective.is_classes() {
        true => Targets::Classes((0..samples).map(|_| stream.below(outputs as u64) as u32).collect()),
        false => {
            let numbers = (0..samples * outputs).map(|_| stream.below(2) as f32).collect();
            Targets::Rows { width: outputs, numbers }
        }
    };
    let inputs = Map::new(numbers, network.input.dims(samples)).unwrap();
    Batch { inputs, targets }
}
