//! A small run that can be stopped and gone on with: of images or of tokens, with any objective.

use localgrad::checkpoint::files::Files;
use localgrad::checkpoint::{Checkpoints, Configuration};
use localgrad::data::idx::Idx;
use localgrad::data::{AugmentConfig, Dataset, ImageShape, Loader, LoaderConfig, Normalize};
use localgrad::fit::{Control, Duration, Event, FitConfig, Observer, fit_from};
use localgrad::inputs::{Inputs, Tokens};
use localgrad::maps::Place;
use localgrad::network::{NetworkSpec, Objective};
use localgrad::optimizer::OptimizerConfig;
use localgrad::progress::Progress;
use localgrad::random::Stream;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::schedule::Schedule;
use localgrad::targets::TargetKind;
use localgrad::trainer::{Method, TrainConfig, Trainer};
use localgrad::{Device, Error, Result};
use localgrad_models::{ModelConfig, network, resnet};
use std::sync::Arc;

/// Samples: five batches of four an epoch, the last of two.
const SAMPLES: usize = 18;
const SIDE: usize = 6;
const CLASSES: usize = 10;

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
            classes: CLASSES,
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

    /// The same of tokens: an embedding and two units.
    pub(crate) fn of_tokens(rule: Rule) -> Self {
        let input = Inputs::Tokens(Tokens { length: SIDE, vocabulary: 20 });
        let config = ModelConfig { input, classes: CLASSES, ..ModelConfig::default() };
        let mut run = Self::new(rule);
        // As the catalogue has it, of 4 channels in place of 64.
        let published = serde_json::to_string(&network("text_tcn", &config).unwrap()).unwrap();
        run.network = serde_json::from_str(&published.replace("64", "4")).unwrap();
        run.network.units.truncate(3);
        run.train.method.ends = if rule == Rule::Bp { vec![2] } else { vec![0, 1, 2] };
        run.train.method.rule = RuleConfig::of_inputs(rule, None, input).unwrap();
        run.loader.augment = None;
        run
    }

    /// The same with other answers.
    pub(crate) fn answering(mut self, objective: Objective) -> Self {
        self.network.objective = objective;
        self
    }

    /// What images are normalised by; tokens are taken as they are.
    fn normalize(&self) -> Normalize {
        if self.network.input.are_tokens() { Normalize::identity(1) } else { Normalize::half(1) }
    }

    fn data(&self, config: LoaderConfig) -> Loader {
        Loader::new(data(&self.network), self.normalize(), config).unwrap()
    }

    pub(crate) fn loader(&self) -> Loader {
        self.data(self.loader)
    }

    pub(crate) fn trainer(&self) -> Trainer {
        Trainer::new(self.network.clone(), self.train.clone(), self.normalize(), &Device::Cpu).unwrap()
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
        let test = self.data(LoaderConfig::evaluation(7));
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

/// What such a network takes, and is to answer with: noise.
fn data(network: &NetworkSpec) -> Arc<dyn Dataset> {
    let kind = match network.objective {
        Objective::Classes => TargetKind::Class,
        Objective::Labels => TargetKind::Labels,
        Objective::Values | Objective::Huber { .. } => TargetKind::Values,
    };
    if kind == TargetKind::Class && !network.input.are_tokens() {
        return Arc::new(grey());
    }
    let row = |at| f32::from(u8::from(at * at % 7 < 3));
    Arc::new(Noise { input: network.input, kind, rows: (0..SAMPLES * CLASSES).map(row).collect() })
}

/// Samples of any kind with answers of any.
struct Noise {
    input: Inputs,
    kind: TargetKind,
    /// [SAMPLES, CLASSES]
    rows: Vec<f32>,
}

impl Dataset for Noise {
    fn len(&self) -> usize {
        SAMPLES
    }

    fn shape(&self) -> ImageShape {
        let [channels, height, width] = self.input.sides();
        ImageShape { channels, height, width }
    }

    fn input(&self) -> Inputs {
        self.input
    }

    fn classes(&self) -> usize {
        CLASSES
    }

    fn label(&self, index: usize) -> Result<u32> {
        Ok(if self.kind == TargetKind::Class { (index % CLASSES) as u32 } else { 0 })
    }

    fn target_kind(&self) -> TargetKind {
        self.kind
    }

    fn numbers(&self, index: usize) -> Result<&[f32]> {
        Ok(if self.kind == TargetKind::Class { &[] } else { &self.rows[index * CLASSES..][..CLASSES] })
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        let mut stream = Stream::new(11, "checkpoint tests", &[index as u64]);
        pixels.fill_with(|| match self.input {
            Inputs::Pixels(_) => stream.below(256) as f32 / 255.0,
            Inputs::Tokens(tokens) => stream.below(tokens.vocabulary as u64) as f32,
        });
        self.label(index)
    }
}

/// Grey noise with labels.
fn grey() -> Idx {
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
            for coded in &parameter.coded {
                let scales = coded.scales.iter().map(|scale| scale.to_bits());
                let bits = coded.codes.iter().map(|&code| code.into()).chain(scales).collect();
                all.push((format!("{name} moment in 8 bits"), bits));
            }
        }
        Ok(())
    });
    visited.unwrap();
    all
}
