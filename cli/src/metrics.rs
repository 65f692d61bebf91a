//! The metrics of a run: one JSON object a line in `metrics.jsonl`, written as training goes and read by the report.
//!
//! Several runs may share a file, told apart by their name. A run that was killed and resumed goes back to its
//! last checkpoint and may write some steps again: of two records for one step, the later counts.

mod file;
#[cfg(test)]
mod tests;

pub use file::{Writer, read};

use crate::board::Board;
use localgrad::evaluate::{Answers, ClassCount, Evaluation};
use localgrad::inputs::Inputs;
use localgrad::precision::ProductPrecision;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Name of the file in a run directory.
pub const FILE_NAME: &str = "metrics.jsonl";

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// A run begins, or goes on after a resume.
    Start(Box<Start>),
    /// Some steps later.
    Step(Step),
    /// The memory of one traced step.
    Memory(Memory),
    /// An epoch ended and was evaluated.
    Epoch(Epoch),
    /// What the machine tells of itself: as a run begins, after each epoch, and when it rests because it is hot.
    Board(Box<BoardRecord>),
    /// Something that the user should know.
    Warning(Warning),
    /// What the network takes for what at the end, if that was looked at.
    Judged(Judged),
    /// What an exit can do and costs, if they were kept.
    Exit(Exit),
    /// The run ended.
    Done(Done),
}

/// What a run is, before its first step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Name of the run, unique in its file: `man`, `bp`.
    pub run: String,
    /// Version of the program.
    pub version: String,
    /// The network in a word or two: `resnet32`.
    pub network: String,
    /// The training rule: `man`, `bp`.
    pub rule: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Samples a step.
    pub batch: u64,
    /// Length of the run in epochs, if it was given so.
    pub epochs: Option<u64>,
    /// Length of the run in steps, if it was given so.
    pub steps: Option<u64>,
    /// Training samples.
    pub samples: u64,
    /// Classes.
    pub classes: u64,
    /// Parameters of the network, without auxiliary networks.
    pub parameters: u64,
    /// The size of one sample.
    pub input: Inputs,
    /// The units of the network, in order.
    pub units: Vec<UnitRecord>,
    /// The blocks, in order; one for end-to-end training.
    pub blocks: Vec<BlockRecord>,
    /// Where it ran, in words: `cpu, 2 threads`. May be empty.
    #[serde(default)]
    pub device: String,
    /// The command line that repeats the run. May be empty.
    #[serde(default)]
    pub command: String,
}

/// One unit of the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Its name: `layer1.0`.
    pub name: String,
    /// What it is: `basic`.
    pub kind: String,
    /// The features that it gives: channels, height and width `16x28x28`, or a length `10`.
    pub features: String,
    /// Its parameters.
    pub parameters: u64,
    /// Bytes that it keeps for its backward, for one batch.
    pub activation_bytes: u64,
}

/// One block: the units `first_unit..=last_unit` and the auxiliary network over them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlockRecord {
    /// Its first unit, counted from 0.
    pub first_unit: usize,
    /// Its last unit, counted from 0.
    pub last_unit: usize,
    /// Parameters of its units.
    pub parameters: u64,
    /// Bytes that its units and its auxiliary network keep for their backward, for one batch.
    pub activation_bytes: u64,
    /// The auxiliary network in words; empty for the last block, which has the network's own head.
    pub auxiliary: String,
    /// Parameters of the auxiliary network.
    pub auxiliary_parameters: u64,
}

/// Where training is after a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Name of the run.
    pub run: String,
    /// Steps done.
    pub step: u64,
    /// Epoch of the step.
    pub epoch: u64,
    /// Loss of each block. A loss that is not finite is written as `null` and read as NaN.
    #[serde(deserialize_with = "finite_or_nan_list")]
    pub losses: Vec<f64>,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Speed.
    pub samples_per_second: f64,
    /// Bytes allocated after the step.
    pub live_bytes: u64,
    /// The most bytes allocated at one time so far.
    pub peak_bytes: u64,
}

/// Live bytes during one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Name of the run.
    pub run: String,
    /// Which step.
    pub step: u64,
    /// Seconds since the step began, live bytes, the block being trained, counted from 0.
    pub points: Vec<[f64; 3]>,
}

/// An epoch and what the network could do after it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Name of the run.
    pub run: String,
    /// Epochs done.
    pub epoch: u64,
    /// Fraction of the evaluation samples that were classified rightly.
    #[serde(deserialize_with = "finite_or_nan")]
    pub accuracy: f64,
    /// The mean of this fraction over the classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_accuracy: Option<f64>,
    /// What answers that are no classes were judged by, the first by its name.
    #[serde(flatten)]
    pub judged: MetricRecord,
    /// Mean training loss of each block over the epoch.
    #[serde(deserialize_with = "finite_or_nan_list")]
    pub train_losses: Vec<f64>,
    /// Seconds since the run began.
    pub seconds: f64,
    /// The most bytes allocated at one time so far.
    pub peak_bytes: u64,
}

/// What the machine tells of itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoardRecord {
    /// Name of the run.
    pub run: String,
    /// Steps done.
    pub step: u64,
    /// Whether training rests now, until the machine is cooler.
    pub resting: bool,
    /// How long it has rested so far.
    pub rested_seconds: f64,
    /// Temperatures, clocks and power mode.
    #[serde(flatten)]
    pub board: Board,
}

/// Something that the user should know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// Name of the run.
    pub run: String,
    /// One sentence.
    pub message: String,
}

/// What a network takes for what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Name of the run.
    pub run: String,
    /// Names of the classes; none where they are too many for a table.
    pub classes: Vec<String>,
    /// Of each class, how many of its evaluation samples were taken for each.
    pub confusion: Vec<Vec<u64>>,
    /// The surest mistakes, that of the highest probability first.
    pub mistakes: Vec<Mistake>,
}

/// A sample that was taken for something else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// Its file, or its number.
    pub sample: String,
    /// Its class.
    pub class: String,
    /// The class that the network found likeliest.
    pub taken_for: String,
    /// With this probability.
    pub probability: f64,
    /// A small picture of it: a BMP file in base 64.
    pub thumbnail: String,
}

/// A way out of a network before its end, or its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// Name of the run; empty where a file's exits are evaluated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// Its number, from 1; the last is the network's end.
    pub exit: u64,
    /// The last unit before it, counted from 0.
    pub after_unit: u64,
    /// Fraction of the evaluation samples that it classified rightly.
    pub accuracy: f64,
    /// Multiply-adds of a sample, of the network that ends there.
    pub multiply_adds: u64,
    /// Numbers that were trained of that network, moving averages among them.
    pub parameters: u64,
    /// Bytes of its weights and running statistics.
    pub bytes: u64,
    /// How long a sample took to its answer, in batches as large as those of the evaluation.
    pub milliseconds: f64,
    /// What its logits are divided by.
    pub temperature: f64,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Name of the run.
    pub run: String,
    /// Fraction of the evaluation samples that were classified rightly.
    #[serde(deserialize_with = "finite_or_nan")]
    pub accuracy: f64,
    /// One minus the accuracy.
    #[serde(deserialize_with = "finite_or_nan")]
    pub top1_error: f64,
    /// Loss on the evaluation samples.
    #[serde(deserialize_with = "finite_or_nan")]
    pub loss: f64,
    /// Steps done.
    pub steps: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Speed over the whole run.
    pub samples_per_second: f64,
    /// The most bytes allocated at one time.
    pub peak_bytes: u64,
    /// The peak that was promised before the run began, if one was.
    pub planned_bytes: Option<u64>,
    /// The most bytes that were resident at one time since the process began, as the operating system counts.
    #[serde(default)]
    pub resident_peak_bytes: Option<u64>,
    /// Bytes that went to the scratch file or came from it, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<u64>,
    /// How long training waited for that file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_seconds: Option<f64>,
    /// How long training waited for batches to be read, since it began or went on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_seconds: Option<f64>,
    /// How long training and evaluations rested because the machine was hot, since the run began or went on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rested_seconds: Option<f64>,
    /// In what the device multiplied; none on the CPU, which has f32 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<ProductPrecision>,
    /// The hottest of the machine's thermal zones that was seen, in degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hottest_celsius: Option<f64>,
    /// The mean of the accuracies of the classes, in which each counts the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macro_accuracy: Option<f64>,
    /// What answers that are no classes were judged by, the first by its name.
    #[serde(flatten)]
    pub judged: MetricRecord,
    /// Each class, in the order of the labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassRecord>,
    /// The epoch whose evaluation was the best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<u64>,
    /// Its accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_accuracy: Option<f64>,
    /// Whether the run ended before its time because nothing became better.
    #[serde(default)]
    pub ended_early: bool,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
}

/// What answers that are no classes are judged by; nothing of classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricRecord {
    /// The name of the one that they are judged by first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// All of them, by name. One that is not finite is written as `null` and read as NaN.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "finite_or_nan_map")]
    pub metrics: BTreeMap<String, f64>,
}

impl MetricRecord {
    /// Those of an evaluation.
    pub fn of(found: Option<&Evaluation>) -> Self {
        match found.filter(|found| found.answers != Answers::Classes) {
            None => Self::default(),
            Some(found) => Self {
                metric: Some(found.metric().0.into()),
                metrics: found.metrics().into_iter().map(|(name, value)| (name.into(), value)).collect(),
            },
        }
    }

    /// The first of them.
    pub fn first(&self) -> Option<(&str, f64)> {
        let name = self.metric.as_deref()?;
        Some((name, *self.metrics.get(name)?))
    }
}

/// A metric and its value as people read it: shares in hundredths, a dash where nothing was judged.
pub fn metric_text(name: &str, value: f64) -> String {
    match name.ends_with("_error") {
        _ if value.is_nan() => "–".into(),
        true => format!("{value:.4}"),
        false => format!("{:.2} %", 100.0 * value),
    }
}

impl Done {
    /// What the run is judged by, where it is not its accuracy.
    pub fn metric_name(&self) -> Option<&str> {
        self.judged.metric.as_deref()
    }

    /// Its value in words.
    pub fn metric_text(&self) -> String {
        let (name, value) = self.judged.first().unwrap_or(("accuracy", self.accuracy));
        metric_text(name, value)
    }

    /// The best epoch and, of classes and labels, its accuracy, in words.
    pub fn best_text(&self) -> Option<String> {
        let accuracy = self.best_accuracy.map(|accuracy| format!(", {}", metric_text("accuracy", accuracy)));
        Some(format!("epoch {}{}", self.best_epoch?, accuracy.unwrap_or_default()))
    }
}

/// What an evaluation found of one class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassRecord {
    /// Its name, or its number where it has none.
    pub name: String,
    /// Evaluation samples of it.
    pub samples: u64,
    /// Fraction of them that was classified rightly; `null` where there are none.
    pub accuracy: Option<f64>,
    /// Of a label, the fraction of the samples found to have it that have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
}

/// The records of the classes of an evaluation; `names` as far as they are known.
pub fn class_records(found: &Evaluation, names: &[String]) -> Vec<ClassRecord> {
    let record = |(number, class): (usize, &ClassCount)| ClassRecord {
        name: names.get(number).cloned().unwrap_or_else(|| number.to_string()),
        samples: class.samples as u64,
        accuracy: class.accuracy(),
        precision: found.precision(number),
    };
    found.classes.iter().enumerate().map(record).collect()
}

impl Record {
    /// Name of the run that the record belongs to.
    pub fn run(&self) -> &str {
        match self {
            Self::Start(start) => &start.run,
            Self::Step(step) => &step.run,
            Self::Memory(memory) => &memory.run,
            Self::Epoch(epoch) => &epoch.run,
            Self::Board(board) => &board.run,
            Self::Warning(warning) => &warning.run,
            Self::Judged(judged) => &judged.run,
            Self::Exit(exit) => &exit.run,
            Self::Done(done) => &done.run,
        }
    }
}

/// JSON has no NaN: `null` stands for it.
fn finite_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn finite_or_nan_list<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

fn finite_or_nan_map<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<BTreeMap<String, f64>, D::Error> {
    let values = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, value)| (name, value.unwrap_or(f64::NAN))).collect())
}
