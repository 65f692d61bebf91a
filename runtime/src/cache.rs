//! What the units that stay as they are make of each sample, kept: these units are passed once for each of a few showings,
//! which epochs then repeat in turn, and not every epoch.
//!
//! The same for samples to be judged by, of which each has one showing.
//!
//! How many samples pass at once may decide the last digits of what they become. So they always pass in as many as a step
//! has, of which the last ones are filled up: what is kept is a function of sample and showing alone, and a run that goes on
//! makes the same anew.

use crate::data::ahead::{Feed, with_feed};
use crate::data::{Batch, Loader};
use crate::error::{Error, Result};
use crate::evaluate::{Evaluation, Tally, evaluate};
use crate::maps::Map;
use crate::precision::Precision;
use crate::shelf::{Parcel, Shelf};
use crate::targets::Targets;
use crate::trainer::{CacheConfig, OpenStep, Trainer};

/// What a sample's features take beside their numbers: the parcel, what it is shared by, its shape and its place.
pub(crate) const ENTRY_BYTES: usize = 320;

/// Where the steps of a run come from: from batches of samples, or from features that are kept of them.
pub(crate) struct Input<'a, 'f> {
    feed: &'a mut Feed<'f>,
    cache: Option<FeatureCache>,
    judged: Vec<Option<Parcel>>,
}

impl<'a, 'f> Input<'a, 'f> {
    /// The steps of `trainer` on what `feed` brings.
    ///
    /// # Errors
    /// `Config` where showings cannot be kept.
    pub(crate) fn new(trainer: &Trainer, feed: &'a mut Feed<'f>) -> Result<Self> {
        let loader = feed.loader();
        let cache =
            trainer.method().cache.map(|config| FeatureCache::new(config, trainer, loader)).transpose()?;
        Ok(Self { feed, cache, judged: Vec::new() })
    }

    /// Begins a step on batch `position` of `epoch`, both counted from 0.
    ///
    /// # Errors
    /// Those of reading samples, and of passing them.
    pub(crate) fn begin(
        &mut self,
        trainer: &mut Trainer,
        (epoch, position): (u64, usize),
        learning_rate: f64,
    ) -> Result<OpenStep> {
        match &mut self.cache {
            None => trainer.begin(&self.feed.batch(epoch, position)?, learning_rate),
            Some(cache) => {
                let (parcels, targets) = cache.features(trainer, self.feed, (epoch, position))?;
                trainer.begin_behind(parcels, &targets, learning_rate)
            }
        }
    }
}

impl Input<'_, '_> {
    /// As [`evaluate`]; where features are kept to learn from, those of the samples to be judged by are, too, batch by batch,
    /// which are the same every time.
    ///
    /// # Errors
    /// As [`evaluate`].
    pub(crate) fn evaluate(
        &mut self,
        trainer: &mut Trainer,
        loader: &Loader,
        watch: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Evaluation>> {
        let Some(cache) = &self.cache else { return evaluate(trainer, loader, watch) };
        let (shelf, judged, batches) = (&cache.shelf, &mut self.judged, loader.batches());
        judged.resize(batches, None);
        let first = judged.iter().take_while(|kept| kept.is_some()).count();
        with_feed(loader, (0, first), batches - first, |feed| {
            let mut tally = Tally::default();
            for (position, kept) in judged.iter_mut().enumerate() {
                let samples = loader.samples(0, position)?;
                let parcel = match kept.take() {
                    Some(parcel) => parcel,
                    None => shelf.put(trainer.still_features(&feed.batch(0, position)?.inputs)?)?,
                };
                let h = kept.insert(parcel).get(0..samples.len())?;
                let targets = loader.targets(&samples)?;
                let logits = trainer.logits_behind(h)?;
                tally.count(&logits, &targets, &trainer.model.spec)?;
                if !watch(position + 1, batches) {
                    return Ok(None);
                }
            }
            Ok(Some(tally.evaluation()))
        })
    }
}

/// How many of the `batches` of a run from batch `position` of `epoch` on are made of samples that nobody has passed yet, epoch
/// by epoch; later ones are kept, or made anew one by one.
pub(crate) fn batches_of_images(
    cache: Option<CacheConfig>,
    per_epoch: usize,
    (epoch, position): (u64, usize),
    batches: usize,
) -> usize {
    let Some(CacheConfig { variants, .. }) = cache else { return batches };
    let epochs = usize::try_from((variants as u64).saturating_sub(epoch)).unwrap_or(usize::MAX);
    epochs.saturating_mul(per_epoch).saturating_sub(position).min(batches)
}

/// The features of each showing of each sample that have been made so far.
struct FeatureCache {
    shelf: Shelf,
    showings: usize,
    /// Samples that pass at once.
    group: usize,
    /// By sample, then by showing.
    kept: Vec<Option<Parcel>>,
}

impl FeatureCache {
    fn new(config: CacheConfig, trainer: &Trainer, loader: &Loader) -> Result<Self> {
        let CacheConfig { variants, precision } = config;
        if loader.config().repeats > 1 {
            return Err(Error::config(
                "repeated augmentation shows a sample anew within an epoch, and features are kept of one showing an epoch; \
                 leave one of them out",
            ));
        }
        if loader.config().augment.is_none() && variants > 1 {
            return Err(Error::config(format!(
                "samples that are not varied look the same every time; keep the features of 1 showing, not of {variants}"
            )));
        }
        if loader.config().blend.is_some() {
            return Err(Error::config(
                "samples are to be mixed with others, and features are kept of each alone; leave one of them out",
            ));
        }
        if loader.dataset().answers_itself() && loader.config().augment.is_some() {
            return Err(Error::config(
                "samples are to be answered with themselves as they are varied, and features are kept without such answers; \
                 leave the variation out, or keep no features",
            ));
        }
        let samples = loader.dataset().len();
        let batch = loader.config().batch.min(samples);
        let places =
            samples.checked_mul(variants).filter(|places| *places <= isize::MAX as usize / ENTRY_BYTES);
        let places = places.ok_or_else(|| {
            Error::config(format!(
                "the features of {variants} showings of {samples} samples are too many to keep"
            ))
        })?;
        Ok(Self {
            shelf: trainer.cache_shelf(precision),
            showings: variants,
            group: group(trainer, batch),
            kept: vec![None; places],
        })
    }

    /// What a batch has become, sample by sample, and its targets.
    fn features(
        &mut self,
        trainer: &mut Trainer,
        feed: &mut Feed<'_>,
        (epoch, position): (u64, usize),
    ) -> Result<(Vec<Parcel>, Targets)> {
        let samples = feed.loader().samples(epoch, position)?;
        let showing = epoch % self.showings as u64;
        let showings = self.showings;
        let place = |sample: usize| sample * showings + showing as usize;
        if epoch == showing {
            let batch = feed.batch(epoch, position)?;
            self.keep(trainer, &samples, showing, &batch)?;
        } else {
            let missing: Vec<usize> =
                samples.iter().copied().filter(|&sample| self.kept[place(sample)].is_none()).collect();
            for missing in missing.chunks(self.group) {
                let batch = feed.showing(missing, showing)?;
                self.keep(trainer, missing, showing, &batch)?;
            }
        }
        let kept = samples.iter().map(|&sample| {
            self.kept[place(sample)].clone().ok_or_else(|| Error::internal("features were not kept"))
        });
        Ok((kept.collect::<Result<_>>()?, feed.loader().targets(&samples)?))
    }

    /// Passes `samples`, and keeps what they become.
    fn keep(&mut self, trainer: &mut Trainer, samples: &[usize], showing: u64, batch: &Batch) -> Result<()> {
        trainer.check_batch(batch)?;
        for (number, samples) in samples.chunks(self.group).enumerate() {
            let first = number * self.group;
            let inputs = filled_up(&batch.inputs.samples(first, samples.len())?, self.group)?;
            let parcels = pass_and_keep(trainer, &inputs, samples.len(), &self.shelf)?;
            for (parcel, &sample) in parcels.into_iter().zip(samples) {
                self.kept[sample * self.showings + showing as usize] = Some(parcel);
            }
        }
        Ok(())
    }
}

/// Samples that pass at once where a step has `batch` of them.
pub(crate) fn group(trainer: &Trainer, batch: usize) -> usize {
    trainer.execution().micro_batch.map_or(batch, |share| share.min(batch)).max(1)
}

/// What the first `count` of the inputs become that pass together, each kept for itself.
pub(crate) fn pass_and_keep(
    trainer: &mut Trainer,
    inputs: &Map,
    count: usize,
    shelf: &Shelf,
) -> Result<Vec<Parcel>> {
    let h = trainer.still_features(inputs)?;
    let keep = |number| {
        let mut own = h.samples(number, 1)?;
        if shelf.precision == Precision::F32 && !shelf.on_file {
            // What is shared with others lives as long as they do.
            own = own.copy()?;
        }
        shelf.put(own)
    };
    (0..count).map(keep).collect()
}

/// The inputs, and the last of them again until they are `count`.
fn filled_up(inputs: &Map, count: usize) -> Result<Map> {
    let found = inputs.dims()[0];
    if found == count {
        return Ok(inputs.clone());
    }
    let last = inputs.samples(found - 1, 1)?;
    let parts: Vec<Map> =
        std::iter::once(inputs.clone()).chain((found..count).map(|_| last.clone())).collect();
    Map::cat(&parts)
}
