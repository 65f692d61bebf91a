//! Trainers of small networks, and what came of training them.

use crate::common::{batch, values, weights_of};
use localgrad::data::{Batch, Normalize};
use localgrad::maps::Place;
use localgrad::model::Classifier;
use localgrad::network::NetworkSpec;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::scratch::Scratch;
use localgrad::sweep::sweep;
use localgrad::trainer::{Method, OpenStep, TrainConfig, Trainer};

const RATE: f64 = 0.05;

/// Trained by `rule` in three blocks, with small auxiliary networks.
pub(crate) fn local(rule: RuleConfig) -> TrainConfig {
    let rule = RuleConfig { feature_dim: 8, pooled_features: 16, ..rule };
    TrainConfig::from(Method { rule, ends: vec![1, 3, 6], ..Method::default() })
}

pub(crate) fn bp() -> TrainConfig {
    TrainConfig::from(Method { rule: RuleConfig::new(Rule::Bp), ends: vec![6], ..Method::default() })
}

/// What came of training.
pub(crate) struct Trained {
    pub(crate) losses: Vec<f64>,
    pub(crate) correct: usize,
    /// Everything that training changes, by name.
    pub(crate) state: Vec<(String, Vec<f32>)>,
    /// Of the first batch, in evaluation.
    pub(crate) logits: Vec<f32>,
}

/// Trains on all batches, as many at once as the configuration's chunk has.
pub(crate) fn train(spec: &NetworkSpec, config: &TrainConfig, batches: &[Batch], place: &Place) -> Trained {
    let directory = tempfile::tempdir().unwrap();
    let scratch = config.execution.needs_scratch().then(|| Scratch::create(directory.path(), None).unwrap());
    let normalize = Normalize::half(spec.input.channels());
    let mut trainer = Trainer::with_scratch(spec.clone(), config.clone(), normalize, place, scratch).unwrap();
    let (mut losses, mut correct) = (Vec::new(), 0);
    for chunk in batches.chunks(config.method.chunk) {
        let steps: Vec<OpenStep> = chunk.iter().map(|batch| trainer.begin(batch, RATE).unwrap()).collect();
        for report in sweep(&mut trainer, steps, &mut |_| {}).unwrap() {
            losses.extend(report.losses);
            correct += report.correct;
        }
    }
    let logits = values(&trainer.logits(&batches[0].inputs).unwrap());
    let bits = |bits: Vec<u32>| bits.into_iter().map(f32::from_bits).collect();
    let state = weights_of(&mut trainer).into_iter().map(|(name, value)| (name, bits(value))).collect();
    Trained { losses, correct, state, logits }
}

pub(crate) fn assert_same(a: &Trained, b: &Trained, what: &str) {
    let bits = |losses: &[f64]| losses.iter().map(|loss| loss.to_bits()).collect::<Vec<_>>();
    assert_eq!((bits(&a.losses), a.correct), (bits(&b.losses), b.correct), "{what}");
    assert_eq!(a.state, b.state, "{what}");
    assert_eq!(a.logits, b.logits, "{what}");
}

pub(crate) fn batches(spec: &NetworkSpec, count: u64, samples: usize) -> Vec<Batch> {
    (0..count).map(|seed| batch(spec, samples, 20 + seed)).collect()
}
