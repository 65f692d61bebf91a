//! Normalisation of images, channel by channel: (x - mean) / deviation, and back.

use crate::error::{Error, Result};
use crate::maps::Map;
use crate::maps::per_channel::affine;
use serde::{Deserialize, Serialize};

/// What is subtracted from every channel and what it is then divided by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalize {
    /// One mean a channel.
    pub mean: Vec<f32>,
    /// One deviation a channel, above 0.
    pub deviation: Vec<f32>,
}

impl Normalize {
    /// The mean and deviation of CIFAR-10's training set, the usual numbers.
    pub fn cifar10() -> Self {
        let bytes = |numbers: [f32; 3]| numbers.map(|number| number / 255.0).to_vec();
        Self { mean: bytes([125.3, 123.0, 113.9]), deviation: bytes([63.0, 62.1, 66.7]) }
    }

    /// The mean and deviation of ImageNet that pretrained networks expect.
    pub fn imagenet() -> Self {
        Self { mean: vec![0.485, 0.456, 0.406], deviation: vec![0.229, 0.224, 0.225] }
    }

    /// The mean and deviation of all 47,040,000 pixels of Fashion-MNIST's training set.
    pub fn fashion() -> Self {
        Self { mean: vec![0.286_040_6], deviation: vec![0.353_024_24] }
    }

    /// [0, 1] to [-1, 1], for any number of channels.
    pub fn half(channels: usize) -> Self {
        Self { mean: vec![0.5; channels], deviation: vec![0.5; channels] }
    }

    /// Leaves images as they are.
    pub fn identity(channels: usize) -> Self {
        Self { mean: vec![0.0; channels], deviation: vec![1.0; channels] }
    }

    /// The preset of that name, for images of `channels` channels.
    ///
    /// # Errors
    /// `Config` when there is no such preset or it is for another number of channels.
    pub fn named(name: &str, channels: usize) -> Result<Self> {
        let preset = match name {
            "cifar10" => Self::cifar10(),
            "imagenet" => Self::imagenet(),
            "fashion" => Self::fashion(),
            "half" => Self::half(channels),
            "identity" => Self::identity(channels),
            _ => {
                return Err(Error::config(format!(
                    "there is no normalisation {name:?}; choose cifar10, imagenet, fashion, half or identity"
                )));
            }
        };
        preset.check(channels).map_err(|error| error.at(format!("normalisation {name}")))?;
        Ok(preset)
    }

    /// Checks that it fits images of `channels` channels and can be undone.
    ///
    /// # Errors
    /// `Config` when a count differs, a number is not finite or a deviation is not above 0.
    pub fn check(&self, channels: usize) -> Result<()> {
        let (means, deviations) = (self.mean.len(), self.deviation.len());
        if means != channels || deviations != channels {
            return Err(Error::config(format!(
                "{means} means and {deviations} deviations do not fit images of {channels} channels"
            )));
        }
        let finite = self.mean.iter().chain(&self.deviation).all(|number| number.is_finite());
        if !finite || self.deviation.iter().any(|&deviation| deviation <= 0.0) {
            return Err(Error::config(format!(
                "means {:?} must be finite and deviations {:?} finite and above 0",
                self.mean, self.deviation
            )));
        }
        Ok(())
    }

    /// Normalises pixels [..., C] where they are. The caller has checked that C fits.
    pub fn apply(&self, pixels: &mut [f32]) {
        for pixel in pixels.chunks_exact_mut(self.mean.len().max(1)) {
            for ((number, mean), deviation) in pixel.iter_mut().zip(&self.mean).zip(&self.deviation) {
                *number = (*number - mean) / deviation;
            }
        }
    }

    /// The images before normalisation: x · deviation + mean.
    ///
    /// # Shapes
    /// `x`: [..., C], anywhere; the result has the same shape.
    ///
    /// # Errors
    /// `Config` when the channels do not fit, `Device` when the device fails.
    pub fn invert(&self, x: &Map) -> Result<Map> {
        let channels = x.dims().last().copied().unwrap_or(0);
        self.check(channels)?;
        affine(x, &self.deviation, &self.mean)
    }
}
