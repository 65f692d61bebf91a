//! What version 1 of the manifest holds, read for ever, and evaluations as it and the journal have them: without classes.

use super::configuration::Configuration;
use super::manifest::{BlockEntry, Extent, Generation, Manifest, json_text};
use crate::evaluate::{Answers, Evaluation};
use crate::progress::Progress;
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
pub(super) struct Manifest1 {
    #[serde(with = "json_text")]
    configuration: Configuration,
    generations: Vec<Generation1>,
}

#[derive(Deserialize)]
struct Generation1 {
    number: u64,
    progress: Progress1,
    passes: u64,
    blocks: Vec<BlockEntry>,
    journal: Extent,
}

#[derive(Deserialize)]
struct Progress1 {
    steps: usize,
    samples: usize,
    epoch: usize,
    position: usize,
    closed: bool,
    loss_sums: Vec<f64>,
    correct: usize,
    epoch_samples: usize,
    epoch_seconds: f64,
    train_seconds: f64,
    evaluation: Option<Evaluation1>,
    loss: f64,
}

#[derive(Serialize, Deserialize)]
struct Evaluation1 {
    accuracy: f64,
    loss: f64,
    samples: usize,
}

impl From<Evaluation1> for Evaluation {
    fn from(Evaluation1 { accuracy, loss, samples }: Evaluation1) -> Self {
        Self { accuracy, loss, samples, classes: Vec::new(), answers: Answers::default() }
    }
}

impl From<Manifest1> for Manifest {
    fn from(Manifest1 { configuration, generations }: Manifest1) -> Self {
        let generation = |old: Generation1| Generation {
            number: old.number,
            progress: old.progress.into(),
            passes: old.passes,
            blocks: old.blocks,
            journal: old.journal,
        };
        Self { configuration, generations: generations.into_iter().map(generation).collect() }
    }
}

impl From<Progress1> for Progress {
    fn from(old: Progress1) -> Self {
        Self {
            steps: old.steps,
            samples: old.samples,
            epoch: old.epoch,
            position: old.position,
            closed: old.closed,
            loss_sums: old.loss_sums,
            correct: old.correct,
            epoch_samples: old.epoch_samples,
            epoch_seconds: old.epoch_seconds,
            train_seconds: old.train_seconds,
            evaluation: old.evaluation.map(Evaluation::from),
            loss: old.loss,
            best: None,
        }
    }
}

/// What is kept of an evaluation.
pub(super) fn brief(evaluation: &Evaluation) -> Evaluation {
    Evaluation { classes: Vec::new(), answers: Answers::default(), ..evaluation.clone() }
}

/// Reads and writes an evaluation without classes.
pub(super) mod evaluation {
    use super::{Evaluation, Evaluation1};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        evaluation: &Option<Evaluation>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let brief = evaluation.as_ref().map(|&Evaluation { accuracy, loss, samples, .. }| Evaluation1 {
            accuracy,
            loss,
            samples,
        });
        brief.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Evaluation>, D::Error> {
        Ok(Option::<Evaluation1>::deserialize(deserializer)?.map(Evaluation::from))
    }
}
