//! How good a network is on a data set, by running statistics and without augmentation.

use crate::data::ahead::with_feed;
use crate::data::{Batch, Loader};
use crate::error::{Error, Result};
use crate::maps::{Map, cross_entropy};
use crate::model::Classifier;
use serde::{Deserialize, Serialize};

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Share of the samples whose largest logit is their label's, in [0, 1].
    pub accuracy: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Number of samples.
    pub samples: usize,
    /// The samples of each class; none where only the sum is known.
    pub classes: Vec<ClassCount>,
}

/// What an evaluation found of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Samples whose label it is.
    pub samples: usize,
    /// Those of them that were classified right.
    pub correct: usize,
}

impl ClassCount {
    /// Share of its samples that were classified right; none where it has no samples.
    pub fn accuracy(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.correct as f64 / self.samples as f64)
    }
}

impl Evaluation {
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
}

impl Tally {
    /// Runs a batch through the network and counts it.
    pub fn add(&mut self, model: &mut dyn Classifier, batch: &Batch) -> Result<()> {
        let logits = model.logits(&batch.images)?;
        self.count(&logits, &batch.labels, model.spec().classes)
    }

    /// Counts what a network of so many classes gave for samples of these labels.
    pub(crate) fn count(&mut self, logits: &Map, labels: &[u32], classes: usize) -> Result<()> {
        let count = labels.len();
        let hits = cross_entropy::hits(logits, labels)?;
        self.classes.resize(self.classes.len().max(classes), ClassCount::default());
        for (&label, hit) in labels.iter().zip(hits) {
            let class = &mut self.classes[label as usize];
            class.samples += 1;
            class.correct += usize::from(hit);
            self.correct += usize::from(hit);
        }
        let loss = cross_entropy::softmax_cross_entropy(logits, labels, 0.0)?;
        self.loss_sum += loss.value * count as f64;
        self.samples += count;
        Ok(())
    }

    /// What all batches so far come to.
    pub fn evaluation(&self) -> Evaluation {
        let samples = self.samples.max(1) as f64;
        Evaluation {
            accuracy: self.correct as f64 / samples,
            loss: self.loss_sum / samples,
            samples: self.samples,
            classes: self.classes.clone(),
        }
    }
}

/// Refuses data of another shape or with more classes than the network has.
pub fn check_data(model: &dyn Classifier, loader: &Loader) -> Result<()> {
    let (shape, spec) = (loader.dataset().shape(), model.spec());
    let found = [shape.channels, shape.height, shape.width];
    if found != spec.input {
        return Err(Error::config(format!(
            "{} takes images of {:?} (channels, height, width), but the data has {found:?}",
            spec.name, spec.input
        )));
    }
    if loader.dataset().classes() > spec.classes {
        return Err(Error::config(format!(
            "{} has {} classes, but the data has {}",
            spec.name,
            spec.classes,
            loader.dataset().classes()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_number_nearest_to_it() {
        let classes = Vec::new();
        let tally = Tally { correct: 7746, loss_sum: 3.0, samples: 10_000, classes: classes.clone() };
        let wanted = Evaluation { accuracy: 0.7746, loss: 0.0003, samples: 10_000, classes };
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
        };
        assert!((found.macro_accuracy() - 0.55).abs() < 1e-12);
        assert_eq!(found.classes[1].accuracy(), None);
        found.classes.clear();
        assert_eq!(found.macro_accuracy(), 0.91);
    }
}
