//! How good a network is on a data set, by running statistics and without augmentation.

use crate::data::Loader;
use crate::error::{Error, Result};
use crate::model::Model;
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

/// Runs every sample through the network. `watch` is told how many of the batches are done and returns whether
/// to go on; a stopped evaluation is `None`.
pub fn evaluate(
    model: &mut Model,
    loader: &Loader,
    watch: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Evaluation>> {
    check_data(model, loader)?;
    let batches = loader.batches();
    let (mut correct, mut loss, mut samples) = (0, 0.0, 0);
    for position in 0..batches {
        let batch = loader.batch(0, position)?;
        let logits = model.logits(&batch.images)?;
        let count = batch.labels.len();
        correct += cross_entropy::correct(&logits, &batch.labels)?;
        loss += cross_entropy::softmax_cross_entropy(&logits, &batch.labels, 0.0)?.value * count as f64;
        samples += count;
        if !watch(position + 1, batches) {
            return Ok(None);
        }
    }
    let share = 1.0 / samples.max(1) as f64;
    Ok(Some(Evaluation { accuracy: correct as f64 * share, loss: loss * share, samples }))
}

/// Refuses data of another shape or with more classes than the network has.
pub fn check_data(model: &Model, loader: &Loader) -> Result<()> {
    let (shape, spec) = (loader.dataset().shape(), &model.spec);
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
