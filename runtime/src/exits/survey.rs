//! What exits answer: all of them to every sample, or to each sample the first that is sure enough.

use super::certainty::{Calibration, likeliest};
use super::{ExitCost, ExitFound};
use crate::data::ahead::with_feed;
use crate::data::{Batch, Loader};
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, Tally, check_data};
use crate::maps::Map;
use crate::maps::place::of_numbers;
use crate::trainer::Trainer;

/// What all exits made of all samples.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    exits: Vec<AtOne>,
    /// By which it is judged how sure exits are of each sample, if that is kept.
    temperatures: Vec<f64>,
    /// Of each sample how sure each exit is, and whether it is right.
    answers: Vec<(f64, bool)>,
}

/// What came to one exit.
#[derive(Clone, Debug, Default)]
struct AtOne {
    tally: Tally,
    calibration: Calibration,
    /// In the network's own units since the exit before, and in the exit alone.
    seconds: [f64; 2],
}

/// What comes of leaving as soon as an exit is sure enough.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// The share of all samples that were answered right.
    pub accuracy: f64,
    /// Multiply-adds of a sample in the mean, those of exits that it passed and did not leave by among them.
    pub multiply_adds: f64,
    /// Samples that left by each exit.
    pub left: Vec<usize>,
}

impl Survey {
    /// A survey that keeps how sure exits are by these temperatures; by none of no sample.
    pub fn by(temperatures: Vec<f64>) -> Self {
        Self { temperatures, ..Self::default() }
    }

    /// Passes every sample of `loader` through all exits. `watch` is told how many of the batches are done and returns whether
    /// to go on; a survey that was stopped is `None`.
    ///
    /// # Errors
    /// Those of reading samples, and of the network.
    pub fn run(
        mut self,
        trainer: &mut Trainer,
        loader: &Loader,
        watch: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Self>> {
        check_data(trainer, loader)?;
        let batches = loader.batches();
        with_feed(loader, (0, 0), batches, |feed| {
            for position in 0..batches {
                self.add(trainer, &feed.batch(0, position)?)?;
                if !watch(position + 1, batches) {
                    return Ok(None);
                }
            }
            Ok(Some(self))
        })
    }

    /// Passes a batch of samples with one class each through all exits.
    ///
    /// # Errors
    /// `Config` for other targets, and those of the network.
    pub fn add(&mut self, trainer: &mut Trainer, batch: &Batch) -> Result<()> {
        let (labels, exits) = (batch.targets.labels()?, trainer.exits().len());
        let first = self.answers.len();
        let Self { exits: found, temperatures, answers } = self;
        found.resize_with(exits, AtOne::default);
        if !temperatures.is_empty() {
            answers.resize(first + labels.len() * exits, (0.0, false));
        }
        trainer.pass_exits(&batch.inputs, &mut |at| {
            let one = &mut found[at.number];
            one.tally.count(at.logits, &batch.targets, at.spec)?;
            for (sum, seconds) in one.seconds.iter_mut().zip(at.seconds) {
                *sum += seconds;
            }
            let rows = rows(at.logits)?;
            for (sample, (row, &label)) in rows.iter().zip(labels).enumerate() {
                one.calibration.add(row, label as usize);
                if let Some(&temperature) = temperatures.get(at.number) {
                    let sure = likeliest(row, temperature);
                    answers[first + sample * exits + at.number] =
                        sure.map_or((0.0, false), |(class, sure)| (sure, class == label as usize));
                }
            }
            Ok((0..labels.len()).collect())
        })
    }

    /// What each exit's answers come to.
    pub fn evaluations(&self) -> Vec<Evaluation> {
        self.exits.iter().map(|exit| exit.tally.evaluation()).collect()
    }

    /// What there is to know of each exit from now on.
    pub fn found(&self) -> Vec<ExitFound> {
        let of = |exit: &AtOne| ExitFound {
            temperature: exit.calibration.temperature(),
            accuracy: exit.tally.evaluation().accuracy,
        };
        self.exits.iter().map(of).collect()
    }

    /// Seconds that a sample took to the answer of each exit, those before left out.
    pub fn seconds(&self) -> Vec<f64> {
        let mut units = 0.0;
        let to = |exit: &AtOne| {
            units += exit.seconds[0];
            (units + exit.seconds[1]) / exit.tally.evaluation().samples.max(1) as f64
        };
        self.exits.iter().map(to).collect()
    }

    /// What would come of leaving where an exit is as sure as `confidence`.
    pub fn leaving(&self, confidence: f64, costs: &[ExitCost]) -> Leaving {
        let exits = costs.len().max(1);
        let (mut right, mut left) = (0, vec![0; exits]);
        for answers in self.answers.chunks_exact(exits) {
            let last = exits - 1;
            let number = answers.iter().position(|(sure, _)| *sure >= confidence).unwrap_or(last);
            left[number] += 1;
            right += usize::from(answers[number].1);
        }
        Leaving::of(right, left, costs)
    }
}

impl Leaving {
    /// Of so many right answers, and so many samples at each exit.
    pub fn of(right: usize, left: Vec<usize>, costs: &[ExitCost]) -> Self {
        let samples = left.iter().sum::<usize>().max(1) as f64;
        let (mut passed, mut total) = (0, 0.0);
        for (cost, left) in costs.iter().zip(&left) {
            total += (cost.multiply_adds + passed) as f64 * *left as f64;
            passed += cost.own_multiply_adds;
        }
        Self { accuracy: right as f64 / samples, multiply_adds: total / samples, left }
    }
}

/// What a sample was answered, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The exit, counted from 0.
    pub exit: usize,
    /// Its logits.
    pub logits: Vec<f32>,
}

/// Answers each sample of a batch's inputs by the first exit that is as sure as `confidence`, given each exit's temperature,
/// or by the network's end. A sample that has its answer passes no later unit.
///
/// # Errors
/// Those of the network.
pub fn answers(
    trainer: &mut Trainer,
    inputs: &Map,
    temperatures: &[f64],
    confidence: f64,
) -> Result<Vec<Answer>> {
    let samples = inputs.dims().first().copied().unwrap_or(0);
    let mut found: Vec<Option<Answer>> = vec![None; samples];
    let mut here: Vec<usize> = (0..samples).collect();
    trainer.pass_exits(inputs, &mut |at| {
        let mut stay = Vec::new();
        for (place, logits) in rows(at.logits)?.into_iter().enumerate() {
            let is_sure = || {
                let temperature = temperatures.get(at.number).copied().unwrap_or(1.0);
                likeliest(&logits, temperature).is_some_and(|(_, sure)| sure >= confidence)
            };
            if at.is_last || is_sure() {
                found[here[place]] = Some(Answer { exit: at.number, logits });
            } else {
                stay.push(place);
            }
        }
        here = stay.iter().map(|&place| here[place]).collect();
        Ok(stay)
    })?;
    let answered: Option<Vec<Answer>> = found.into_iter().collect();
    answered.ok_or_else(|| Error::internal("a sample was lost between two exits"))
}

/// The logits of each sample; of none where they are only counted.
fn rows(logits: &Map) -> Result<Vec<Vec<f32>>> {
    let classes = logits.dims().last().copied().unwrap_or(0).max(1);
    let split = |numbers: &[f32]| numbers.chunks_exact(classes).map(<[f32]>::to_vec).collect();
    of_numbers(logits, split, Vec::new)
}
