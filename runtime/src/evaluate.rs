//! How good a network is on a data set, by running statistics and without augmentation.

use crate::data::ahead::with_feed;
use crate::data::{Batch, Loader};
use crate::error::{Error, Result};
use crate::maps::{Map, cross_entropy, errors, soft_cross_entropy};
use crate::model::Classifier;
use crate::network::NetworkSpec;
use crate::rules::criterion::{Criterion, check_targets, labels_found};
use crate::targets::{TargetKind, Targets};
use serde::{Deserialize, Serialize};

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Share of the samples whose largest logit is their label's, in [0, 1]; of several labels a sample, the share of all
    /// answers that are right. NaN where answers are values.
    pub accuracy: f64,
    /// Mean loss: cross-entropy, or that of the network's objective.
    pub loss: f64,
    /// Number of samples.
    pub samples: usize,
    /// The samples of each class, or those with each label; none where only the sum is known, and of values.
    pub classes: Vec<ClassCount>,
    /// What is known besides of answers that are no classes.
    #[serde(skip)]
    pub answers: Answers,
}

/// What an evaluation found, beside the counts of classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Answers {
    /// A sample has one class: nothing.
    #[default]
    Classes,
    /// A sample has each label or has it not.
    Labels {
        /// Of each label, how many samples were found to have it, rightly or wrongly.
        found: Vec<usize>,
    },
    /// A sample has values.
    Values {
        /// Mean of |answer - value| over samples and values.
        mean_absolute_error: f64,
        /// Square root of the mean of (answer - value)².
        root_mean_square_error: f64,
    },
}

/// What an evaluation found of one class, or of one label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Samples whose label it is, or that have it among others.
    pub samples: usize,
    /// Those of them of which it was found.
    pub correct: usize,
}

impl ClassCount {
    /// Share of its samples that were classified right; none where it has no samples.
    pub fn accuracy(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.correct as f64 / self.samples as f64)
    }
}

impl Evaluation {
    /// What the answers are judged by, each with its name, the most telling one first: `accuracy` and `macro_accuracy` of
    /// classes; `label_accuracy`, `mean_precision` and `mean_recall` of labels; `mean_absolute_error` and
    /// `root_mean_square_error` of values, which are the better the less.
    pub fn metrics(&self) -> Vec<(&'static str, f64)> {
        let first = self.metric();
        match &self.answers {
            Answers::Classes => vec![first, ("macro_accuracy", self.macro_accuracy())],
            Answers::Labels { .. } => {
                let precisions: Vec<f64> =
                    (0..self.classes.len()).filter_map(|label| self.precision(label)).collect();
                // The sum of none would be -0.
                let sum = precisions.iter().fold(0.0, |sum, precision| sum + precision);
                let mean = sum / precisions.len().max(1) as f64;
                vec![first, ("mean_precision", mean), ("mean_recall", self.macro_accuracy())]
            }
            Answers::Values { root_mean_square_error, .. } => {
                vec![first, ("root_mean_square_error", *root_mean_square_error)]
            }
        }
    }

    /// The first of these.
    pub fn metric(&self) -> (&'static str, f64) {
        match &self.answers {
            Answers::Classes => ("accuracy", self.accuracy),
            Answers::Labels { .. } => ("label_accuracy", self.accuracy),
            Answers::Values { mean_absolute_error, .. } => ("mean_absolute_error", *mean_absolute_error),
        }
    }

    /// The share of the samples found to have a label that have it; none where none was found to, or answers are no labels.
    pub fn precision(&self, label: usize) -> Option<f64> {
        let Answers::Labels { found } = &self.answers else { return None };
        let (found, class) = (*found.get(label)?, self.classes.get(label)?);
        (found > 0).then(|| class.correct as f64 / found as f64)
    }

    /// The mean of the accuracies of the classes that occur, in which each counts the same (balanced accuracy); the
    /// accuracy where nothing is known of classes.
    pub fn macro_accuracy(&self) -> f64 {
        let known: Vec<f64> = self.classes.iter().filter_map(ClassCount::accuracy).collect();
        match known.len() {
            0 => self.accuracy,
            count => known.iter().sum::<f64>() / count as f64,
        }
    }

    /// That the network answered every sample with numbers.
    ///
    /// # Errors
    /// `NotFinite` where it did not.
    pub fn check(&self) -> Result<()> {
        if self.loss.is_finite() { Ok(()) } else { Err(Error::no_answer(self.loss)) }
    }

    /// Share of the samples that were classified wrongly, the number nearest to it.
    pub fn top1_error(&self) -> f64 {
        let samples = self.samples.max(1) as f64;
        (samples - (samples * self.accuracy).round()) / samples
    }
}

/// Runs every sample through the network. `watch` is told how many of the batches are done and returns whether
/// to go on; a stopped evaluation is `None`.
pub fn evaluate(
    model: &mut dyn Classifier,
    loader: &Loader,
    watch: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Evaluation>> {
    check_data(model, loader)?;
    let batches = loader.batches();
    with_feed(loader, (0, 0), batches, |feed| {
        let mut tally = Tally::default();
        for position in 0..batches {
            tally.add(model, &feed.batch(0, position)?)?;
            if !watch(position + 1, batches) {
                return Ok(None);
            }
        }
        Ok(Some(tally.evaluation()))
    })
}

/// An evaluation under way, batch by batch.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    correct: usize,
    loss_sum: f64,
    samples: usize,
    classes: Vec<ClassCount>,
    kind: TargetKind,
    /// Answers that were right or wrong, or values.
    answers: usize,
    /// Of each label, how many samples were found to have it.
    found: Vec<usize>,
    /// Sums of absolute and of squared errors.
    errors: [f64; 2],
}

impl Tally {
    /// Runs a batch through the network and counts it.
    pub fn add(&mut self, model: &mut dyn Classifier, batch: &Batch) -> Result<()> {
        let logits = model.logits(&batch.inputs)?;
        self.count(&logits, &batch.targets, model.spec())
    }

    /// Counts what a network of this spec gave for samples with these targets.
    ///
    /// # Errors
    /// `Config` for targets that the network is not to answer with, and those of the device.
    pub fn count(&mut self, logits: &Map, targets: &Targets, spec: &NetworkSpec) -> Result<()> {
        let count = targets.len();
        check_targets(spec, targets, count)?;
        let targets = &*targets.widened(spec.classes);
        self.kind = spec.objective.target_kind();
        self.classes.resize(self.classes.len().max(spec.classes), ClassCount::default());
        match targets {
            Targets::Classes(labels) => self.count_classes(logits, labels)?,
            Targets::Rows { width, numbers } if self.kind == TargetKind::Labels => {
                self.count_labels(logits, numbers, *width)?;
            }
            Targets::Rows { numbers, .. } if self.kind == TargetKind::Class => {
                // Shares are of no single class.
                let hits = soft_cross_entropy::soft_hits(logits, numbers)?;
                self.correct += hits.into_iter().filter(|&hit| hit).count();
                self.answers += count;
            }
            Targets::Rows { numbers, .. } => {
                let [absolute, squared] = errors::sums(logits, numbers)?;
                self.errors = [self.errors[0] + absolute, self.errors[1] + squared];
                self.answers += numbers.len();
            }
        }
        let criterion = Criterion { objective: spec.objective, ..Criterion::default() };
        self.loss_sum += criterion.loss(logits, targets)?.value * count as f64;
        self.samples += count;
        Ok(())
    }

    fn count_classes(&mut self, logits: &Map, labels: &[u32]) -> Result<()> {
        for (&label, hit) in labels.iter().zip(cross_entropy::hits(logits, labels)?) {
            let class = &mut self.classes[label as usize];
            class.samples += 1;
            class.correct += usize::from(hit);
            self.correct += usize::from(hit);
        }
        self.answers += labels.len();
        Ok(())
    }

    fn count_labels(&mut self, logits: &Map, numbers: &[f32], width: usize) -> Result<()> {
        self.found.resize(self.found.len().max(width), 0);
        let found = labels_found(logits)?;
        for (row, targets) in found.chunks_exact(width).zip(numbers.chunks_exact(width)) {
            for (label, (found, target)) in row.iter().zip(targets).enumerate() {
                let (is_there, found_there) = (*target > 0.5, *found == Some(true));
                self.classes[label].samples += usize::from(is_there);
                self.classes[label].correct += usize::from(is_there && found_there);
                self.found[label] += usize::from(found_there);
                self.correct += usize::from(*found == Some(is_there));
            }
        }
        self.answers += numbers.len();
        Ok(())
    }

    /// What all batches so far come to.
    pub fn evaluation(&self) -> Evaluation {
        let samples = self.samples.max(1) as f64;
        let all = self.answers.max(1) as f64;
        let share = self.correct as f64 / all;
        let (accuracy, classes, answers) = match self.kind {
            TargetKind::Class => (share, self.classes.clone(), Answers::Classes),
            TargetKind::Labels => {
                (share, self.classes.clone(), Answers::Labels { found: self.found.clone() })
            }
            TargetKind::Values => {
                let [absolute, squared] = self.errors;
                let answers = Answers::Values {
                    mean_absolute_error: absolute / all,
                    root_mean_square_error: (squared / all).sqrt(),
                };
                (f64::NAN, Vec::new(), answers)
            }
        };
        Evaluation { accuracy, loss: self.loss_sum / samples, samples: self.samples, classes, answers }
    }
}

/// Refuses data of another shape, with other targets than the network learns, or with more classes than it has.
pub fn check_data(model: &dyn Classifier, loader: &Loader) -> Result<()> {
    let (found, spec) = (loader.dataset().input(), model.spec());
    if !spec.input.take(found) {
        return Err(Error::config(format!(
            "{} takes {} of {}, but the data has {} of {found}",
            spec.name,
            spec.input.noun(),
            spec.input,
            found.noun()
        )));
    }
    let (wanted, kind) = (spec.objective.target_kind(), loader.dataset().target_kind());
    if kind != wanted {
        return Err(Error::config(format!(
            "{} answers with {}, but the data has {}: choose the objective that the data is for",
            spec.name,
            wanted.noun(),
            kind.noun()
        )));
    }
    let outputs = loader.dataset().classes();
    if outputs > spec.classes || kind != TargetKind::Class && outputs != spec.classes {
        return Err(Error::config(format!(
            "{} has {} {}, but the data has {outputs}",
            spec.name,
            spec.classes,
            wanted.noun()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Objective;

    #[test]
    fn a_share_is_the_number_nearest_to_it() {
        let classes = Vec::new();
        let counted = Tally { correct: 7746, loss_sum: 3.0, samples: 10_000, ..Tally::default() };
        let tally = Tally { classes: classes.clone(), answers: 10_000, ..counted };
        let answers = Answers::Classes;
        let wanted = Evaluation { accuracy: 0.7746, loss: 0.0003, samples: 10_000, classes, answers };
        assert_eq!(tally.evaluation(), wanted);
        assert_eq!(tally.evaluation().top1_error(), 0.2254);
        assert_eq!(Tally::default().evaluation().accuracy, 0.0);
    }

    #[test]
    fn every_class_that_occurs_counts_the_same() {
        let class = |samples, correct| ClassCount { samples, correct };
        let mut found = Evaluation {
            accuracy: 0.91,
            loss: 0.2,
            samples: 100,
            classes: vec![class(90, 90), class(0, 0), class(10, 1)],
            answers: Answers::Classes,
        };
        assert!((found.macro_accuracy() - 0.55).abs() < 1e-12);
        assert_eq!(found.classes[1].accuracy(), None);
        found.classes.clear();
        assert_eq!(found.macro_accuracy(), 0.91);
    }

    fn spec(objective: Objective) -> NetworkSpec {
        let (units, head) = (Vec::new(), Vec::new());
        NetworkSpec { name: "net".into(), input: [1, 1, 1].into(), classes: 2, objective, units, head }
    }

    #[test]
    fn labels_are_counted_one_by_one() {
        // Of the second sample the second label is no number.
        let logits = Map::new(vec![2.0, -1.0, 3.0, f32::NAN, -1.0, 0.5], (3, 2)).unwrap();
        let targets = Targets::Rows { width: 2, numbers: vec![1.0, 0.0, 0.0, 1.0, 0.0, 1.0] };
        let mut tally = Tally::default();
        tally.count(&logits, &targets, &spec(Objective::Labels)).unwrap();
        let found = tally.evaluation();
        assert_eq!(found.answers, Answers::Labels { found: vec![2, 1] });
        let counts: Vec<_> = found.classes.iter().map(|label| (label.samples, label.correct)).collect();
        assert_eq!(counts, [(1, 1), (2, 1)]);
        assert_eq!(
            [found.precision(0), found.precision(1), found.precision(2)],
            [Some(0.5), Some(1.0), None]
        );
        let metrics = [("label_accuracy", 4.0 / 6.0), ("mean_precision", 0.75), ("mean_recall", 0.75)];
        assert_eq!(found.metrics(), metrics);
        assert!(found.check().is_err());
    }

    #[test]
    fn shares_are_of_no_single_class() {
        let logits = Map::new(vec![2.0, -1.0, 3.0, 0.0], (2, 2)).unwrap();
        let mut tally = Tally::default();
        let shares = Targets::Rows { width: 2, numbers: vec![0.75, 0.25, 0.25, 0.75] };
        tally.count(&logits, &shares, &spec(Objective::Classes)).unwrap();
        let found = tally.evaluation();
        assert_eq!((found.accuracy, found.macro_accuracy(), found.samples), (0.5, 0.5, 2));
        let wide = Targets::Rows { width: 4, numbers: vec![0.0; 8] };
        assert!(tally.count(&logits, &wide, &spec(Objective::Labels)).is_err());
    }

    #[test]
    fn values_are_judged_by_their_errors() {
        let mut tally = Tally::default();
        for (outputs, values) in [([1.0, 2.0], [1.0, 5.0]), ([-1.0, 0.0], [0.0, 0.0])] {
            let targets = Targets::Rows { width: 2, numbers: values.to_vec() };
            let outputs = Map::new(outputs.to_vec(), (1, 2)).unwrap();
            tally.count(&outputs, &targets, &spec(Objective::Values)).unwrap();
        }
        let found = tally.evaluation();
        assert!(found.accuracy.is_nan() && found.classes.is_empty());
        assert_eq!(found.loss, 2.5);
        let metrics = [("mean_absolute_error", 1.0), ("root_mean_square_error", 2.5f64.sqrt())];
        assert_eq!(found.metrics(), metrics);
    }
}
