//! A small run that can be stopped and gone on with.

use localgrad::checkpoint::files::Files;
use localgrad::checkpoint::{Checkpoints, Configuration};
use localgrad::data::idx::Idx;
use localgrad::data::{AugmentConfig, Loader, LoaderConfig, Normalize};
use localgrad::fit::{Control, Duration, Event, FitConfig, Observer, fit_from};
use localgrad::maps::Place;
use localgrad::network::NetworkSpec;
use localgrad::optimizer::OptimizerConfig;
use localgrad::progress::Progress;
use localgrad::random::Stream;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::schedule::Schedule;
use localgrad::trainer::{Method, TrainConfig, Trainer};
use localgrad::{Device, Error, Result};
use localgrad_models::{ModelConfig, resnet};
use std::sync::Arc;

/// Samples: five batches of four an epoch, the last of two.
const SAMPLES: usize = 18;
const SIDE: usize = 6;

/// What to train and how.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) network: NetworkSpec,
    pub(crate) train: TrainConfig,
    pub(crate) fit: FitConfig,
    pub(crate) loader: LoaderConfig,
}

/// Everything that training changes, bit for bit.
pub(crate) type State = Vec<(String, Vec<u32>)>;

impl Run {
    pub(crate) fn new(rule: Rule) -> Self {
        let config = ModelConfig {
            input: [1, SIDE, SIDE].into(),
            classes: 10,
            widths: Some(vec![2, 2, 3, 4]),
            ..ModelConfig::default()
        };
        let network = resnet::cifar(&[1, 1, 1], &config, "small").unwrap();
        let last = network.units.len() - 1;
        let ends = if rule == Rule::Bp { vec![last] } else { vec![0, 1, last] };
        Self {
            network,
            train: TrainConfig::from(Method {
                rule: RuleConfig::new(rule),
                ends,
                seed: 5,
                ..Method::default()
            }),
            fit: FitConfig {
                duration: Duration::Epochs(2),
                schedule: Schedule::Cosine { warmup_epochs: 1, start_rate: 0.01, floor: None },
                learning_rate: 0.05,
                ..FitConfig::default()
            },
            loader: LoaderConfig {
                batch: 4,
                seed: 5,
                augment: Some(AugmentConfig { padding: 1, ..AugmentConfig::default() }),
                ..LoaderConfig::default()
            },
        }
    }

    pub(crate) fn with(mut self, optimizer: OptimizerConfig, schedule: Schedule) -> Self {
        self.train.method.optimizer = optimizer;
        self.fit.schedule = schedule;
        self
    }

    pub(crate) fn loader(&self) -> Loader {
        Loader::new(Arc::new(data()), Normalize::half(1), self.loader).unwrap()
    }

    pub(crate) fn trainer(&self) -> Trainer {
        Trainer::new(self.network.clone(), self.train.clone(), Normalize::half(1), &Device::Cpu).unwrap()
    }

    pub(crate) fn configuration(&self) -> Configuration {
        Configuration::new(&self.network, &self.train, &self.fit, &self.loader(), &Place::Host).unwrap()
    }

    /// Trains from `progress` on, shown to `observer`.
    pub(crate) fn go_on(
        &self,
        trainer: &mut Trainer,
        progress: Progress,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let loader = self.loader();
        let test = Loader::new(Arc::new(data()), Normalize::half(1), LoaderConfig::evaluation(7)).unwrap();
        fit_from(progress, trainer, &loader, Some(&test), &self.fit, observer).map(|_| ())
    }

    /// A trainer and its first checkpoint in `files`.
    pub(crate) fn begin(
        &self,
        files: Box<dyn Files>,
        keep: usize,
    ) -> Result<(Trainer, Checkpoints, Progress)> {
        let mut trainer = self.trainer();
        let progress = Progress::start(trainer.ranges().len());
        let checkpoints = Checkpoints::create_in(files, self.configuration(), keep, &mut trainer, &progress)?;
        Ok((trainer, checkpoints, progress))
    }

    /// What the checkpoint in `files` comes to.
    pub(crate) fn resume(
        &self,
        files: Box<dyn Files>,
        keep: usize,
    ) -> Result<Option<(Trainer, Checkpoints, Progress)>> {
        let mut trainer = self.trainer();
        let found = Checkpoints::resume_in(files, self.configuration(), keep, &mut trainer)?;
        Ok(found.map(|(checkpoints, progress)| (trainer, checkpoints, progress)))
    }
}

/// Grey noise with labels.
fn data() -> Idx {
    let mut stream = Stream::new(11, "checkpoint tests", &[]);
    let mut images = [0x0803, SAMPLES as u32, SIDE as u32, SIDE as u32].map(u32::to_be_bytes).concat();
    images.extend((0..SAMPLES * SIDE * SIDE).map(|_| stream.next_u64() as u8));
    let mut labels = [0x0801, SAMPLES as u32].map(u32::to_be_bytes).concat();
    labels.extend((0..SAMPLES).map(|sample| (sample % 10) as u8));
    Idx::from_bytes(&images, &labels, "noise").unwrap()
}

/// Saves after every `every` steps, and fails after step `last` without a word, as a killed process does.
pub(crate) struct Saver {
    pub(crate) checkpoints: Option<Checkpoints>,
    pub(crate) every: usize,
    pub(crate) last: usize,
    pub(crate) told: Vec<String>,
}

impl Saver {
    /// Watches a run that nothing happens to.
    pub(crate) fn idle() -> Self {
        Self { checkpoints: None, every: usize::MAX, last: usize::MAX, told: Vec::new() }
    }
}

impl Observer for Saver {
    fn hear(&mut self, event: &Event) -> Control {
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.note(event).unwrap();
        }
        match event {
            Event::Step { step, epoch, losses, learning_rate, samples, .. } => {
                let losses: Vec<u64> = losses.iter().map(|loss| loss.to_bits()).collect();
                self.told.push(format!("step {step} of {epoch}: {losses:?} {learning_rate} {samples}"));
            }
            Event::Epoch { epoch, losses, train_accuracy, evaluation, .. } => {
                self.told.push(format!("epoch {epoch}: {losses:?} {train_accuracy} {evaluation:?}"));
            }
            Event::Stage(_) | Event::Evaluating { .. } => {}
        }
        Control::Continue
    }

    fn rest(&mut self, trainer: &mut Trainer, progress: &Progress, ending: bool) -> Result<()> {
        if let Some(checkpoints) = &mut self.checkpoints
            && (ending || progress.steps.is_multiple_of(self.every))
        {
            checkpoints.save(trainer, progress)?;
        }
        if progress.steps >= self.last {
            return Err(Error::internal("killed"));
        }
        Ok(())
    }
}

/// The bits of everything that training changes.
pub(crate) fn state(trainer: &mut Trainer) -> State {
    let mut all = vec![("passes".into(), vec![trainer.passes() as u32])];
    let bits = |map: &localgrad::maps::Map| -> Vec<u32> {
        map.numbers().unwrap().iter().map(|number| number.to_bits()).collect()
    };
    let visited = trainer.visit(&mut |name, variable| {
        all.push((name.into(), bits(variable.value())));
        if let localgrad::layers::Variable::Parameter(parameter) = variable {
            all.push((format!("{name} updates"), vec![parameter.updates as u32]));
            all.extend(parameter.state.iter().map(|moment| (format!("{name} moment"), bits(moment))));
        }
        Ok(())
    });
    visited.unwrap();
    all
}
