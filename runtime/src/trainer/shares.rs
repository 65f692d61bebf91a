//! A batch cut into shares, each of which passes a block at once.

use super::open_step::{self, Features, MicroBatch, OpenStep};
use super::{StepReport, Trainer};
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::maps::Map;
use crate::maps::embedding::check_tokens;
use crate::rules::criterion::check_targets;
use crate::shelf::Parcel;
use crate::targets::Targets;

impl Trainer {
    /// Begins a step on `batch` without training anything yet.
    pub fn begin(&mut self, batch: &Batch, learning_rate: f64) -> Result<OpenStep> {
        let samples = batch.targets.len();
        self.check_batch(batch)?;
        let inputs = batch.inputs.to(&self.model.place)?;
        let waits = self.waits(samples.div_ceil(self.share_of(samples)));
        let targets = batch.targets.widened(self.model.spec.classes);
        let micro_batches = self.shares(&targets, false, |trainer, first, count| {
            // No copy: nobody writes into inputs, and candle would copy the whole batch for each share.
            let h = inputs.samples(first, count)?;
            Ok(Features::of(if waits { trainer.shelf.put_exactly(h)? } else { Parcel::Whole(h) }, count))
        })?;
        Ok(self.opened(micro_batches, learning_rate, false))
    }

    /// The same of what the units that stay as they are have made of each sample.
    ///
    /// # Errors
    /// Those of targets that the network cannot be trained to answer.
    pub(crate) fn begin_behind(
        &mut self,
        samples: Vec<Parcel>,
        targets: &Targets,
        learning_rate: f64,
    ) -> Result<OpenStep> {
        self.check_targets(targets, samples.len())?;
        let passed_head = self.still_head().is_some();
        let micro_batches = self.shares(targets, passed_head, |_, first, count| {
            Ok(Features::of_samples(samples[first..first + count].iter().cloned()))
        })?;
        Ok(self.opened(micro_batches, learning_rate, true))
    }

    /// The same of what [`Trainer::still_features`] has made of the samples, all in one map `[N, ...]`.
    ///
    /// # Errors
    /// As [`Trainer::check_still`]; `Shape`, and `Config` for targets.
    pub fn begin_on_features(
        &mut self,
        features: &Map,
        targets: &Targets,
        learning_rate: f64,
    ) -> Result<OpenStep> {
        self.check_still()?;
        let (samples, shape) = (targets.len(), self.still_shape()?);
        if samples == 0 || features.dims() != shape.dims(samples) {
            return Err(Error::shape(format!(
                "{} takes features [N, ...] of the shape {:?} with N labels or rows of targets, found {:?} with {samples}",
                self.model.spec.name,
                shape.dims(1),
                features.dims()
            )));
        }
        self.check_targets(targets, samples)?;
        let features = features.to(&self.model.place)?;
        let (size, passed_head) = (self.share_of(samples), self.still_head().is_some());
        let waits = self.waits(samples.div_ceil(size));
        let targets = targets.widened(self.model.spec.classes);
        let micro_batches = self.shares(&targets, passed_head, |trainer, first, count| {
            let mut h = features.samples(first, count)?;
            if count < samples {
                // What is shared with others lives as long as they do.
                h = h.copy()?;
            }
            Ok(Features::of(if waits { trainer.shelf.put(h)? } else { Parcel::Whole(h) }, count))
        })?;
        Ok(self.opened(micro_batches, learning_rate, true))
    }

    fn opened(&mut self, micro_batches: Vec<MicroBatch>, learning_rate: f64, passed: bool) -> OpenStep {
        let first_pass = self.number_passes(micro_batches.len());
        let report = StepReport { losses: Vec::with_capacity(self.ranges.len()), correct: 0 };
        OpenStep { micro_batches, learning_rate, report, first_pass, passed }
    }

    /// Samples of each share, of a batch of so many.
    fn share_of(&self, samples: usize) -> usize {
        self.config.execution.micro_batch.unwrap_or(samples).min(samples).max(1)
    }

    /// Whether a loss compares with the images.
    pub(super) fn compares_with_images(&self) -> bool {
        self.compares.images
    }

    /// Cuts a batch with these targets into shares; `h` gives what is in each, from its first sample on and so many.
    fn shares(
        &self,
        targets: &Targets,
        passed_head: bool,
        h: impl Fn(&Self, usize, usize) -> Result<Features>,
    ) -> Result<Vec<MicroBatch>> {
        let samples = targets.len();
        let needs_images = self.compares_with_images();
        let size = self.share_of(samples);
        let weights = &self.config.method.class_weights;
        let total = targets.total_weight(weights);
        let mut shares = Vec::with_capacity(samples.div_ceil(size));
        for first in (0..samples).step_by(size) {
            let count = size.min(samples - first);
            let h = h(self, first, count)?;
            let targets = targets.part(first..first + count);
            shares.push(MicroBatch {
                images: needs_images.then(|| h.clone()),
                h,
                passed_head,
                weight: count as f64 / samples as f64,
                label_weight: targets.total_weight(weights) / total,
                _room: open_step::room(&self.model.place, &targets),
                targets,
            });
        }
        Ok(shares)
    }

    /// Refuses a batch that the network does not take.
    ///
    /// # Errors
    /// `Shape`, and `Config` for targets.
    pub(crate) fn check_batch(&self, batch: &Batch) -> Result<()> {
        let (spec, samples) = (&self.model.spec, batch.targets.len());
        if samples > 0 && batch.inputs.dims() == spec.input.dims(samples) {
            if let Inputs::Tokens(tokens) = spec.input {
                check_tokens(&batch.inputs, tokens.vocabulary)?;
            }
            // In the loss they would be found when running statistics have seen the batch.
            return self.check_targets(&batch.targets, samples);
        }
        Err(Error::shape(format!(
            "{} takes {} {:?} with as many labels or rows of targets, found {:?} with {samples}",
            spec.name,
            spec.input.noun(),
            spec.input.dims(samples),
            batch.inputs.dims()
        )))
    }

    /// Refuses targets that the network, or what judges a block, cannot be trained by.
    fn check_targets(&self, targets: &Targets, samples: usize) -> Result<()> {
        check_targets(&self.model.spec, targets, samples)?;
        if matches!(targets, Targets::Rows { .. }) && self.compares.samples {
            return Err(Error::config(
                "similarity and contrastive losses need one class a sample, not shares of several; choose another head or \
                 task, or mix no samples",
            ));
        }
        Ok(())
    }
}
