//! Networks that answer with several labels or with values, and samples that are mixed: every rule learns them, wherever maps
//! are, or says in a sentence why not.

use crate::common::{small_resnet, weights_of};
use localgrad::data::{
    Autoencoded, Batch, BlendConfig, Dataset, ImageShape, Loader, LoaderConfig, Normalize,
};
use localgrad::evaluate::{Answers, Evaluation};
use localgrad::fit::{Control, Duration, Event, FitConfig, Measure, fit};
use localgrad::layers::LayerSpec;
use localgrad::maps::Place;
use localgrad::network::{NetworkSpec, Objective};
use localgrad::random::Stream;
use localgrad::rules::{Head, Rule, RuleConfig};
use localgrad::schedule::Schedule;
use localgrad::targets::{TargetKind, Targets};
use localgrad::trainer::{Execution, Method, TrainConfig, Trainer};
use localgrad::{Device, Error, Result};
use localgrad_models::ModelConfig;
use std::sync::Arc;

const SIDE: usize = 8;
const SAMPLES: usize = 48;

/// Images whose colours are more or less bright; what they are to be answered with is how bright each is.
struct Bright(TargetKind);

impl Bright {
    fn brightness(index: usize) -> [f32; 3] {
        let mut stream = Stream::new(index as u64, "bright", &[]);
        [0; 3].map(|_| stream.uniform_f32())
    }
}

impl Dataset for Bright {
    fn len(&self) -> usize {
        SAMPLES
    }

    fn shape(&self) -> ImageShape {
        ImageShape { channels: 3, height: SIDE, width: SIDE }
    }

    fn classes(&self) -> usize {
        3
    }

    fn target_kind(&self) -> TargetKind {
        self.0
    }

    fn label(&self, index: usize) -> Result<u32> {
        let [red, green, blue] = Self::brightness(index);
        Ok(u32::from(green > red) + u32::from(blue > red.max(green)))
    }

    fn target(&self, index: usize, row: &mut [f32]) -> Result<()> {
        let bright = Self::brightness(index);
        row.copy_from_slice(&match self.0 {
            TargetKind::Values => bright.map(|channel| 4.0 * channel - 2.0),
            _ => bright.map(|channel| f32::from(channel > 0.5)),
        });
        Ok(())
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        let bright = Self::brightness(index);
        pixels.chunks_mut(3).for_each(|pixel| pixel.copy_from_slice(&bright));
        self.label(index)
    }
}

fn network(objective: Objective) -> NetworkSpec {
    let mut network = NetworkSpec { classes: 3, objective, ..small_resnet([3, SIDE, SIDE]) };
    if let Some(LayerSpec::Linear { outputs, .. }) = network.head.last_mut().map(|last| &mut last.layer) {
        *outputs = 3;
    }
    network.validate().unwrap();
    network
}

fn config(rule: RuleConfig) -> TrainConfig {
    let ends = if rule.rule == Rule::Bp { vec![6] } else { vec![1, 3, 6] };
    TrainConfig::from(Method { rule, ends, ..Method::default() })
}

fn loader(kind: TargetKind, blend: Option<BlendConfig>) -> Loader {
    let how = LoaderConfig { batch: 16, seed: 4, blend, ..LoaderConfig::default() };
    Loader::new(Arc::new(Bright(kind)), Normalize::half(3), how).unwrap()
}

fn batch(kind: TargetKind) -> Batch {
    loader(kind, None).batch(0, 0).unwrap()
}

fn trainer(objective: Objective, config: TrainConfig, place: impl Into<Place>) -> Result<Trainer> {
    Trainer::new(network(objective), config, Normalize::half(3), place)
}

pub(crate) const OBJECTIVES: [Objective; 3] =
    [Objective::Labels, Objective::Values, Objective::Huber { delta: 0.5 }];

fn rules() -> Vec<RuleConfig> {
    let mut rules: Vec<RuleConfig> =
        [Rule::Bp, Rule::Greedy, Rule::Dgl, Rule::Infopro, Rule::Auglocal, Rule::Man, Rule::Manpp]
            .map(RuleConfig::new)
            .to_vec();
    rules.push(RuleConfig::over(Rule::Man, Head::Auglocal, false));
    rules.push(RuleConfig::over(Rule::Man, Head::Path, false));
    rules
}

#[test]
fn every_rule_learns_labels_and_values() {
    for objective in OBJECTIVES {
        let batch = batch(objective.target_kind());
        for rule in rules() {
            let name = format!("{objective:?} by {} over {}", rule.rule, rule.head);
            let mut trainer = trainer(objective, config(rule), &Device::Cpu).unwrap();
            let mut step = || trainer.step(&batch, 0.02, &mut |_| {}).unwrap();
            let (first, mut last) = (step(), step());
            for _ in 0..24 {
                last = step();
            }
            let [before, after] = [&first, &last].map(|report| *report.losses.last().unwrap());
            assert!(after < 0.6 * before, "{name}: {before} became {after}");
            for (block, (before, after)) in first.losses.iter().zip(&last.losses).enumerate() {
                assert!(after < before, "{name}, block {block}: {before} became {after}");
            }
            let most = if objective == Objective::Labels { 3 * 16 } else { 0 };
            assert!(
                last.correct <= most && (most == 0 || last.correct > most / 2),
                "{name}: {}",
                last.correct
            );
        }
    }
}

#[test]
fn every_rule_trains_an_autoencoder() {
    let samples: Arc<dyn Dataset> = Arc::new(Bright(TargetKind::Class));
    let how = LoaderConfig { batch: 16, seed: 4, ..LoaderConfig::default() };
    let loader = Loader::new(Arc::new(Autoencoded::new(samples)), Normalize::half(3), how).unwrap();
    let batch = loader.batch(0, 0).unwrap();
    let (classes, objective) = (loader.dataset().classes(), Objective::Values);
    let of_autoencoder =
        ModelConfig { input: [3, SIDE, SIDE].into(), classes, objective, ..ModelConfig::default() };
    let network = localgrad_models::network("mlperf_autoencoder", &of_autoencoder).unwrap();
    for rule in rules() {
        let ends = if rule.rule == Rule::Bp { vec![8] } else { vec![2, 4, 8] };
        let (name, config) = (rule.rule, TrainConfig::from(Method { rule, ends, ..Method::default() }));
        let mut trainer = Trainer::new(network.clone(), config, Normalize::half(3), &Device::Cpu).unwrap();
        let mut step = || trainer.step(&batch, 0.1, &mut |_| {}).unwrap().losses;
        let before = step();
        (0..60).for_each(|_| drop(step()));
        let after = step();
        assert!(after.last().unwrap() < &(0.5 * before.last().unwrap()), "{name}: {before:?}, {after:?}");
        assert!(before.iter().zip(&after).all(|(before, after)| after < before), "{name}: {after:?}");
    }
}

/// Holds a step at `place` against one of the CPU's kernels.
#[cfg(feature = "emulated")]
pub(crate) fn assert_losses_agree(objective: Objective, blend: Option<BlendConfig>, place: &Place) {
    let batch = loader(objective.target_kind(), blend).batch(0, 0).unwrap();
    let [host, there] = [&Place::Host, place].map(|place| {
        let config = config(RuleConfig::new(Rule::Man));
        trainer(objective, config, place).unwrap().step(&batch, 0.02, &mut |_| {}).unwrap()
    });
    for (host, there) in host.losses.iter().zip(&there.losses) {
        assert!((host - there).abs() < 1e-3 * host.abs().max(1.0), "{objective:?}: {host} and {there}");
    }
    assert_eq!(host.correct, there.correct);
}

#[test]
fn shares_of_a_batch_make_the_same_step() {
    for (objective, blend) in
        [(Objective::Labels, None), (Objective::Values, None), (Objective::Classes, Some(1.0))]
    {
        let blend = blend.map(|mixup| BlendConfig { mixup: Some(mixup), cutmix: None });
        let batch = loader(objective.target_kind(), blend).batch(0, 0).unwrap();
        let class_weights = if objective.is_classes() { vec![0.5, 1.0, 2.0] } else { Vec::new() };
        let whole =
            TrainConfig::from(Method { class_weights, ..config(RuleConfig::new(Rule::Infopro)).method });
        let cut = TrainConfig {
            execution: Execution { micro_batch: Some(5), exact: true, ..whole.execution.clone() },
            ..whole.clone()
        };
        let [whole, cut] = [whole, cut].map(|config| {
            let mut trainer = trainer(objective, config, &Device::Cpu).unwrap();
            let report = trainer.step(&batch, 0.02, &mut |_| {}).unwrap();
            (report, weights_of(&mut trainer))
        });
        for (whole, cut) in whole.0.losses.iter().zip(&cut.0.losses) {
            assert!((whole - cut).abs() < 1e-4 * whole.abs().max(1.0), "{objective:?}: {whole} and {cut}");
        }
        for ((name, whole), (_, cut)) in whole.1.iter().zip(&cut.1) {
            for (whole, cut) in whole.iter().zip(cut) {
                let [whole, cut] = [whole, cut].map(|bits| f32::from_bits(*bits));
                assert!((whole - cut).abs() < 1e-3, "{objective:?}, {name}: {whole} and {cut}");
            }
        }
    }
}

fn fitted(objective: Objective, rule: Rule, blend: Option<BlendConfig>) -> Result<(Evaluation, f64)> {
    let mut trainer = trainer(objective, config(RuleConfig::new(rule)), &Device::Cpu)?;
    let kind = objective.target_kind();
    let how = FitConfig {
        duration: Duration::Epochs(20),
        schedule: Schedule::Constant,
        learning_rate: 0.03,
        measure: Measure::MacroAccuracy,
        ..FitConfig::default()
    };
    let mut train_accuracy = 0.0;
    let test = Loader::new(Arc::new(Bright(kind)), Normalize::half(3), LoaderConfig::evaluation(20)).unwrap();
    let report = fit(&mut trainer, &loader(kind, blend), Some(&test), &how, &mut |event| {
        if let Event::Epoch { train_accuracy: told, .. } = event {
            train_accuracy = *told;
        }
        Control::Continue
    })?;
    let best = report.best.ok_or_else(|| Error::internal("nothing was the best"))?;
    assert!(best.score.is_finite());
    let found = report.evaluation.ok_or_else(|| Error::internal("nothing was evaluated"))?;
    Ok((found, train_accuracy))
}

#[test]
fn a_run_tells_what_its_answers_are_worth() {
    let (found, train_accuracy) = fitted(Objective::Labels, Rule::Bp, None).unwrap();
    assert!(found.accuracy > 0.7 && train_accuracy > 0.6 && train_accuracy <= 1.0, "{found:?}");
    assert_eq!((found.classes.len(), found.metric().0), (3, "label_accuracy"));
    assert!(matches!(&found.answers, Answers::Labels { found } if found.len() == 3));
    let (found, train_accuracy) = fitted(Objective::Values, Rule::Bp, None).unwrap();
    assert!(train_accuracy.is_nan() && found.accuracy.is_nan());
    let (name, error) = found.metric();
    // Values are spread evenly over 4: answered by their mean they are missed by 1.
    assert!(name == "mean_absolute_error" && error < 0.7, "{error}");
}

#[test]
fn mixed_samples_are_learnt_and_their_runs_repeat() {
    let both = Some(BlendConfig { mixup: Some(0.4), cutmix: Some(1.0) });
    let (found, train_accuracy) = fitted(Objective::Classes, Rule::Greedy, both).unwrap();
    assert!(found.accuracy > 0.5 && (0.0..=1.0).contains(&train_accuracy), "{found:?}");
    assert_eq!(fitted(Objective::Classes, Rule::Greedy, both).unwrap().0, found);
    // Any batch is the same whatever came before it.
    let (one, other) = (loader(TargetKind::Class, both), loader(TargetKind::Class, both));
    let batches: Vec<Batch> = (0..3).map(|position| one.batch(2, position).unwrap()).collect();
    let again = other.batch(2, 1).unwrap();
    assert_eq!(again.targets, batches[1].targets);
    assert_eq!(again.inputs.numbers().unwrap(), batches[1].inputs.numbers().unwrap());
    assert_ne!(batches[1].targets, one.batch(1, 1).unwrap().targets);
    for batch in &batches {
        let Targets::Rows { width: 3, numbers } = &batch.targets else { panic!("{:?}", batch.targets) };
        assert!(numbers.chunks(3).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-6));
    }
}

#[test]
fn what_does_not_go_together_is_refused_in_a_sentence() {
    let refused = |objective, config| trainer(objective, config, &Device::Cpu).err().unwrap().to_string();
    let contrastive = RuleConfig { contrastive_temperature: Some(0.1), ..RuleConfig::new(Rule::Infopro) };
    for objective in OBJECTIVES {
        for rule in [RuleConfig::new(Rule::Predsim), contrastive.clone()] {
            let error = refused(objective, config(rule));
            assert!(error.contains("compare the classes of samples"), "{error}");
        }
        let plain = config(RuleConfig::new(Rule::Bp));
        for config in [
            TrainConfig { method: Method { label_smoothing: 0.1, ..plain.method.clone() }, ..plain.clone() },
            TrainConfig {
                method: Method { class_weights: vec![1.0; 3], ..plain.method.clone() },
                ..plain.clone()
            },
        ] {
            assert!(refused(objective, config).contains("are for one class a sample"));
        }
        // Neither labels in place of rows, nor rows of another length.
        let mut trainer = trainer(objective, plain, &Device::Cpu).unwrap();
        let Batch { inputs: images, .. } = batch(TargetKind::Class);
        for (targets, word) in [
            (Targets::Classes(vec![0; 16]), "samples come with one class each"),
            (Targets::Rows { width: 2, numbers: vec![0.0; 32] }, "3"),
        ] {
            let wrong = Batch { inputs: images.clone(), targets };
            let error = trainer.step(&wrong, 0.1, &mut |_| {}).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
    let mut predsim =
        trainer(Objective::Classes, config(RuleConfig::new(Rule::Predsim)), &Device::Cpu).unwrap();
    let mixup = Some(BlendConfig { mixup: Some(1.0), cutmix: None });
    let mixed = loader(TargetKind::Class, mixup).batch(0, 0).unwrap();
    let error = predsim.step(&mixed, 0.1, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("need one class a sample"), "{error}");
    predsim.step(&batch(TargetKind::Class), 0.1, &mut |_| {}).unwrap();
    // Data of another kind, at the door of a run.
    let mut classes = trainer(Objective::Classes, config(RuleConfig::new(Rule::Bp)), &Device::Cpu).unwrap();
    let go_on = &mut |_: &Event| Control::Continue;
    let error = fit(&mut classes, &loader(TargetKind::Labels, None), None, &FitConfig::default(), go_on);
    assert!(error.unwrap_err().to_string().contains("answers with classes, but the data has labels"));
    for blend in
        [BlendConfig { mixup: Some(0.0), cutmix: None }, BlendConfig { mixup: None, cutmix: Some(f64::NAN) }]
    {
        let how = LoaderConfig { blend: Some(blend), ..LoaderConfig::default() };
        assert!(Loader::new(Arc::new(Bright(TargetKind::Class)), Normalize::half(3), how).is_err());
    }
    let how = LoaderConfig { blend: mixup, ..LoaderConfig::default() };
    let error = Loader::new(Arc::new(Bright(TargetKind::Values)), Normalize::half(3), how).err().unwrap();
    assert!(error.to_string().contains("these have values"), "{error}");
}
