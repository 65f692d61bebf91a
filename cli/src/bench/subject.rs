//! A network in training that is measured at every step.

use super::resident;
use localgrad::data::{Batch, Normalize};
use localgrad::inputs::Inputs;
use localgrad::maps::Place;
use localgrad::maps::peak::{peak_bytes, reset_peak};
use localgrad::memory;
use localgrad::network::NetworkSpec;
use localgrad::optimizer::OptimizerConfig;
use localgrad::random::Stream;
use localgrad::side_by_side::side_by_side;
use localgrad::targets::Targets;
use localgrad::threads::Workers;
use localgrad::trainer::{StepReport, TrainConfig, Trainer};
use localgrad::{Device, Result, Tensor};
use std::time::Instant;

/// Steps that are timed as one where blocks train side by side: one after the other has most of them under way at once.
const STEPS: usize = 32;
/// Steps before the first that is timed.
const WARM_UP_STEPS: usize = 2;

/// A trainer, its batch, and what its steps took so far.
pub struct Subject<'a> {
    trainer: Trainer,
    batch: Batch,
    learning_rate: f64,
    workers: &'a Workers,
    place: &'a Place,
    start_live_bytes: usize,
    start_resident_bytes: Option<u64>,
    /// Seconds of every timed step.
    pub seconds: Vec<f64>,
    /// The most bytes that a step had in use at one time on its device, batch and weights included, beyond what was
    /// allocated before the trainer was made. On a GPU the large product's matrices are among them.
    pub peak_bytes: usize,
    /// The most large allocations that one timed step made.
    pub large_allocations: usize,
    /// Sum of the blocks' losses at the last step.
    pub loss: f64,
}

impl<'a> Subject<'a> {
    /// Builds the trainer for `samples` random images a step, and takes the steps that are not timed.
    pub fn new(
        network: &NetworkSpec,
        config: TrainConfig,
        samples: usize,
        (place, workers): (&'a Place, &'a Workers),
    ) -> Result<Self> {
        memory::release_unused();
        resident::reset_peak();
        let (start_live_bytes, start_resident_bytes) = (memory::live(), resident::resident_bytes());
        let learning_rate = learning_rate(&config.method.optimizer);
        let normalize = Normalize::half(network.input.channels());
        let trainer = workers.run(|| Trainer::new(network.clone(), config, normalize, place))?;
        let mut subject = Self {
            trainer,
            batch: random_batch(network, samples)?,
            learning_rate,
            workers,
            place,
            start_live_bytes,
            start_resident_bytes,
            seconds: Vec::new(),
            peak_bytes: 0,
            large_allocations: 0,
            loss: f64::NAN,
        };
        for _ in 0..WARM_UP_STEPS {
            subject.step()?;
        }
        subject.seconds.clear();
        subject.large_allocations = 0;
        Ok(subject)
    }

    /// Trains one step and returns its seconds.
    pub fn step(&mut self) -> Result<f64> {
        let (trainer, batch, rate) = (&mut self.trainer, &self.batch, self.learning_rate);
        reset_peak(self.place);
        let allocations = memory::large_allocations();
        let start = Instant::now();
        let (report, steps) = self.workers.run(|| train_some(trainer, batch, rate))?;
        // What a GPU was given to do may not be done.
        self.place.wait()?;
        let seconds = start.elapsed().as_secs_f64() / steps as f64;
        let before = if self.place.is_host() { self.start_live_bytes } else { 0 };
        self.peak_bytes = self.peak_bytes.max(peak_bytes(self.place).saturating_sub(before));
        self.large_allocations =
            self.large_allocations.max(memory::large_allocations().saturating_sub(allocations));
        self.loss = report.losses.iter().sum();
        self.seconds.push(seconds);
        Ok(seconds)
    }

    /// How far the memory that the system gave to the process has grown since before the trainer was made, at its
    /// highest; `None` where the system does not tell.
    pub fn resident_growth_bytes(&self) -> Option<u64> {
        Some(resident::peak_bytes()?.saturating_sub(self.start_resident_bytes?))
    }
}

/// Trains a step, or, side by side, a few; what the last found, and how many there were.
fn train_some(trainer: &mut Trainer, batch: &Batch, rate: f64) -> Result<(StepReport, usize)> {
    if !trainer.execution().side_by_side {
        return Ok((trainer.step(batch, rate, &mut |_| {})?, 1));
    }
    let mut left = STEPS;
    let mut begin = |trainer: &mut Trainer| {
        let comes = left > 0;
        left = left.saturating_sub(1);
        comes.then(|| trainer.begin(batch, rate)).transpose()
    };
    let mut reports = side_by_side(trainer, &mut begin)?;
    let steps = reports.len();
    Ok((reports.remove(steps - 1), steps))
}

/// Small enough that random labels do not make a network diverge.
pub(super) fn learning_rate(optimizer: &OptimizerConfig) -> f64 {
    match optimizer {
        OptimizerConfig::Sgd { .. } => 0.01,
        OptimizerConfig::AdamW { .. } => 1e-4,
    }
}

/// Pixels uniform in [-1, 1) or tokens uniform over the vocabulary, and classes uniform over all of them, or of each label and value 0 or 1.
pub(super) fn random_batch(network: &NetworkSpec, samples: usize) -> Result<Batch> {
    let mut stream = Stream::new(0, "bench", &[]);
    let number = |_| match network.input {
        Inputs::Pixels(_) => 2.0 * stream.uniform_f32() - 1.0,
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
    let inputs = Tensor::from_vec(numbers, network.input.dims(samples), &Device::Cpu)?.into();
    Ok(Batch { inputs, targets })
}
