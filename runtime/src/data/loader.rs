//! Batches of a data set: any batch of any epoch, computed directly, so that training resumes anywhere.

use super::Dataset;
use super::ahead::BATCHES_AHEAD;
use super::augment::{AugmentConfig, Showing};
use super::autoencode::planes;
use super::blend::BlendConfig;
use super::normalize::Normalize;
use super::order::Order;
use super::survey::Survey;
use crate::deal::deal;
use crate::error::{Error, Result};
use crate::maps::Map;
use crate::maps::slices;
use crate::targets::{TargetKind, Targets};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, OnceLock};

/// How a data set is cut into batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoaderConfig {
    /// Samples a batch, at least 1. The last batch of an epoch may have fewer.
    pub batch: usize,
    /// Another order every epoch, rather than the order of the data set.
    pub shuffle: bool,
    /// Leave out a last batch that is not full, rather than train on what it has.
    pub drop_last: bool,
    /// What the order of the epochs and the augmentation are functions of.
    pub seed: u64,
    /// How images are varied, if they are.
    pub augment: Option<AugmentConfig>,
    /// How often an epoch shows each sample that it shows, one time after the other and each time varied anew (Hoffer et
    /// al. 2020). It has as many showings as there are samples, and so shows fewer of these.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub repeats: usize,
    /// How samples are mixed with others of their batch, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blend: Option<BlendConfig>,
}

fn once() -> usize {
    1
}

fn is_once(repeats: &usize) -> bool {
    *repeats == once()
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch: 128,
            shuffle: true,
            drop_last: false,
            seed: 0,
            augment: None,
            repeats: once(),
            blend: None,
        }
    }
}

impl LoaderConfig {
    /// Every sample once, in order and as it is.
    pub fn evaluation(batch: usize) -> Self {
        Self { batch, shuffle: false, ..Self::default() }
    }
}

/// Some samples, ready for a network.
#[derive(Debug)]
pub struct Batch {
    /// [N, H, W, C], normalised, or tokens [N, T], on the host.
    pub inputs: Map,
    /// What each of the N samples is to be answered with.
    pub targets: Targets,
}

/// Refuses to change tokens, whose numbers are names.
fn check_as_they_are(dataset: &dyn Dataset, normalize: &Normalize, config: &LoaderConfig) -> Result<()> {
    let is_varied = config.augment.is_some() || config.blend.is_some();
    if *normalize == Normalize::identity(1) && !is_varied && !dataset.answers_itself() {
        return Ok(());
    }
    Err(Error::config(
        "tokens are taken as they are; leave normalisation, augmentation, mixup, cutmix and autoencoders to images",
    ))
}

/// Makes the batches of a data set. A batch is a function of data, configuration, epoch and position
/// alone: it depends neither on the batches before it nor on the number of threads.
pub struct Loader {
    dataset: Arc<dyn Dataset>,
    normalize: Normalize,
    config: LoaderConfig,
    survey: OnceLock<Survey>,
}

impl Loader {
    /// A loader of `dataset`.
    ///
    /// # Errors
    /// `Config` when the batch is empty, `normalize` or the augmentation does not fit the images, samples are repeated that
    /// are not varied or mixed that cannot be, or `drop_last` leaves no batch.
    pub fn new(dataset: Arc<dyn Dataset>, normalize: Normalize, config: LoaderConfig) -> Result<Self> {
        if config.batch == 0 {
            return Err(Error::config("a batch of 0 samples was asked for; it must have at least 1"));
        }
        if config.repeats == 0 || (config.repeats > 1 && config.augment.is_none()) {
            return Err(Error::config(format!(
                "samples are to be shown {} times; show them once, or more often where they are varied",
                config.repeats
            )));
        }
        normalize.check(dataset.shape().channels)?;
        if dataset.input().are_tokens() {
            check_as_they_are(dataset.as_ref(), &normalize, &config)?;
        }
        if let Some(augment) = config.augment {
            augment.check(dataset.shape())?;
        }
        if let Some(blend) = config.blend {
            blend.check(dataset.as_ref())?;
        }
        let loader = Self { dataset, normalize, config, survey: OnceLock::new() };
        if loader.batches() == 0 {
            return Err(Error::config(format!(
                "{} samples make no full batch of {}; choose a smaller batch or keep the last one",
                loader.dataset.len(),
                config.batch
            )));
        }
        Ok(loader)
    }

    /// The data set that the batches are of.
    pub fn dataset(&self) -> &dyn Dataset {
        self.dataset.as_ref()
    }

    /// What a pass over the data set finds; the first call makes it.
    ///
    /// # Errors
    /// Those of reading samples.
    pub fn survey(&self) -> Result<Survey> {
        if let Some(survey) = self.survey.get() {
            return Ok(*survey);
        }
        let survey = Survey::of(self.dataset())?;
        Ok(*self.survey.get_or_init(|| survey))
    }

    /// How the data set is cut into batches.
    pub fn config(&self) -> &LoaderConfig {
        &self.config
    }

    /// The normalisation of the images; `Normalize::invert` undoes it.
    pub fn normalize(&self) -> &Normalize {
        &self.normalize
    }

    /// The number of batches in an epoch. A last partial batch counts unless `drop_last` is set.
    pub fn batches(&self) -> usize {
        match self.config.drop_last {
            true => self.dataset.len() / self.config.batch,
            false => self.dataset.len().div_ceil(self.config.batch),
        }
    }

    /// The memory that reading and varying a sample takes meanwhile, in bytes, where that is work; else 0.
    pub fn working_bytes(&self) -> usize {
        let varying = self.config.augment.map_or(0, |augment| augment.working_bytes(self.dataset.shape()));
        self.dataset.decoding_bytes().saturating_add(varying)
    }

    /// How many batches are worth being made ahead of their use.
    pub fn batches_ahead(&self) -> usize {
        if self.working_bytes() > 0 { BATCHES_AHEAD } else { 0 }
    }

    /// The samples of batch `position` of `epoch`, by their indices in the data set.
    ///
    /// # Errors
    /// `Config` when the epoch has no such batch.
    pub fn samples(&self, epoch: u64, position: usize) -> Result<Vec<usize>> {
        if position >= self.batches() {
            return Err(Error::config(format!(
                "batch {position} was asked for, but an epoch has {}",
                self.batches()
            )));
        }
        let len = self.dataset.len();
        // No overflow: the position is below the number of batches.
        let start = position * self.config.batch;
        let places = start..start + self.config.batch.min(len - start);
        let LoaderConfig { seed, repeats, shuffle, .. } = self.config;
        let order = Order::new(len, seed, epoch);
        let sample = |place: usize| if shuffle { order.sample(place / repeats) } else { place / repeats };
        Ok(places.map(sample).collect())
    }

    /// Batch `position` of `epoch`, both counted from 0. Without shuffling and augmentation every epoch
    /// is the same.
    ///
    /// # Errors
    /// `Config` when the epoch has no such batch; the errors of reading otherwise.
    pub fn batch(&self, epoch: u64, position: usize) -> Result<Batch> {
        let samples = self.samples(epoch, position)?;
        let LoaderConfig { repeats, batch, .. } = self.config;
        let (mut images, targets) =
            self.read_all(&samples, epoch, |number| (position * batch + number) % repeats)?;
        let shape = self.dataset.shape();
        let targets = match (self.config.blend, &targets) {
            (Some(blend), Targets::Classes(labels)) => {
                let draw = blend.draw(shape, (self.config.seed, epoch, position));
                draw.map(|draw| draw.apply(&mut images, labels, shape, self.dataset.classes()))
            }
            _ => None,
        }
        .unwrap_or(targets);
        self.batch_of(images, targets)
    }

    /// These samples as `epoch` shows them for the first time.
    ///
    /// # Errors
    /// Those of reading.
    pub fn showing(&self, samples: &[usize], epoch: u64) -> Result<Batch> {
        let (images, targets) = self.read_all(samples, epoch, |_| 0)?;
        self.batch_of(images, targets)
    }

    /// What these samples are to be answered with, unmixed and as they are; no image is read but of samples that answer
    /// themselves.
    ///
    /// # Errors
    /// Those of reading.
    pub fn targets(&self, samples: &[usize]) -> Result<Targets> {
        if self.dataset.target_kind() == TargetKind::Class {
            let labels = samples.iter().map(|&sample| self.dataset.label(sample));
            return Ok(Targets::Classes(labels.collect::<Result<_>>()?));
        }
        let width = self.dataset.classes();
        let mut numbers = vec![0.0; samples.len() * width];
        for (row, &sample) in numbers.chunks_exact_mut(width.max(1)).zip(samples) {
            self.dataset.target(sample, row)?;
        }
        Ok(Targets::Rows { width, numbers })
    }

    /// A batch of pixels `[N, H, W, C]`, or of tokens.
    fn batch_of(&self, numbers: Vec<f32>, targets: Targets) -> Result<Batch> {
        let inputs = slices::tensor(numbers, self.dataset.input().dims(targets.len()))?.into();
        Ok(Batch { inputs, targets })
    }

    /// Reads samples, of which `repeat` says how often the epoch has shown each before: pixels `[N, H, W, C]` and targets.
    fn read_all(
        &self,
        samples: &[usize],
        epoch: u64,
        repeat: impl Fn(usize) -> usize + Sync,
    ) -> Result<(Vec<f32>, Targets)> {
        let size = self.dataset.shape().elements();
        let seed = self.config.seed;
        let mut images = vec![0.0; samples.len() * size];
        let places = images.chunks_exact_mut(size).zip(samples).enumerate();
        let labels = deal(places, Vec::new, |scratch, (number, (image, &sample))| {
            self.read(Showing { seed, epoch, sample, repeat: repeat(number) }, image, scratch)
        });
        // Collected one by one so that of several errors the first sample's is reported.
        let labels = labels.into_iter().collect::<Result<Vec<u32>>>()?;
        let targets = match self.dataset.target_kind() {
            TargetKind::Class => Targets::Classes(labels),
            _ if self.dataset.answers_itself() => {
                let mut numbers = vec![0.0; images.len()];
                let rows = numbers.chunks_exact_mut(size).zip(images.chunks_exact(size));
                rows.for_each(|(row, image)| planes(image, self.dataset.shape().channels, row));
                self.normalize.apply(&mut images);
                Targets::Rows { width: size, numbers }
            }
            _ => self.targets(samples)?,
        };
        Ok((images, targets))
    }

    /// Reads one sample into `image`, varied and, but for one that answers itself, normalised. `scratch` is kept from image to
    /// image.
    fn read(&self, showing: Showing, image: &mut [f32], scratch: &mut Vec<f32>) -> Result<u32> {
        let label = match self.config.augment {
            None => self.dataset.read(showing.sample, image)?,
            Some(augment) => {
                scratch.resize(image.len(), 0.0);
                augment.read(self.dataset.as_ref(), showing, image, scratch)?
            }
        };
        if !self.dataset.answers_itself() {
            self.normalize.apply(image);
        }
        Ok(label)
    }
}
