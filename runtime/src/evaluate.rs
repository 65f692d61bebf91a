//! How good a network is on a data set, by running statistics and without augmentation.

use crate::data::{Batch, Loader};
use crate::error::{Error, Result};
use crate::model::Classifier;
use crate::ops::cross_entropy;
use serde::{Deserialize, Serialize};

/// What an evaluation found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Share of the samples whose largest logit is their label's, in [0, 1].
    pub accuracy: f64,
    /// Mean cross-entropy.
    pub loss: f64,
    /// Number of samples.
    pub samples: usize,
}

impl Evaluation {
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
    let mut tally = Tally::default();
    for position in 0..batches {
        tally.add(model, &loader.batch(0, position)?)?;
        if !watch(position + 1, batches) {
            return Ok(None);
        }
    }
    Ok(Some(tally.evaluation()))
}

/// An evaluation under way, batch by batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    correct: usize,
    loss_sum: f64,
    samples: usize,
}

impl Tally {
    /// Runs a batch through the network and counts it.
    pub fn add(&mut self, model: &mut dyn Classifier, batch: &Batch) -> Result<()> {
        let logits = model.logits(&batch.images)?;
        let count = batch.labels.len();
        self.correct += cross_entropy::correct(&logits, &batch.labels)?;
        let loss = cross_entropy::softmax_cross_entropy(&logits, &batch.labels, 0.0)?;
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
        let tally = Tally { correct: 7746, loss_sum: 3.0, samples: 10_000 };
        let wanted = Evaluation { accuracy: 0.7746, loss: 0.0003, samples: 10_000 };
        assert_eq!(tally.evaluation(), wanted);
        assert_eq!(tally.evaluation().top1_error(), 0.2254);
        assert_eq!(Tally::default().evaluation().accuracy, 0.0);
    }
}
