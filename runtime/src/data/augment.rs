//! Random crops, flips and changes of colours, each a function of seed, epoch, sample and repetition alone.

use super::color::ColorJitter;
use super::crop::RandomResizedCrop;
use super::mix::{Purpose, below, key, mix};
use super::rand_augment::RandAugment;
use super::{Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::random::Stream;
use serde::{Deserialize, Serialize};

/// How images are varied: padded and cropped back to their size at a random place, or a part of them resized; mirrored or
/// not; changed by RandAugment; changed in colours and light.
///
/// The default is the usual one for CIFAR: reflected by 4, flipped half the time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AugmentConfig {
    /// Pixels added on each side, fewer than the image has; 0 for no cropping.
    pub padding: usize,
    /// Pad with the mirror image of the border (which is not repeated) rather than with 0.
    pub reflect: bool,
    /// Mirror left and right half of the time.
    pub flip: bool,
    /// Take a random part, instead of padding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<RandomResizedCrop>,
    /// Some of a list of operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rand_augment: Option<RandAugment>,
    /// Changes of colours and light.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color_jitter: Option<ColorJitter>,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self { padding: 4, reflect: true, flip: true, crop: None, rand_augment: None, color_jitter: None }
    }
}

/// One showing of a sample, which chance decides about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Showing {
    /// Of the whole run.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: u64,
    /// The sample, by its index in the data set.
    pub sample: usize,
    /// How often the epoch has shown it before.
    pub repeat: usize,
}

impl Showing {
    /// Random numbers for what `domain` names.
    fn stream(self, domain: &str) -> Stream {
        Stream::new(self.seed, domain, &[self.epoch, self.sample as u64, self.repeat as u64])
    }
}

/// One outcome of chance: where the padded image is cropped and whether it is mirrored afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The first row of the crop in the padded image, 0 to twice the padding.
    pub top: usize,
    /// The first column of the crop in the padded image, 0 to twice the padding.
    pub left: usize,
    /// Whether the crop is mirrored left to right.
    pub flip: bool,
}

impl AugmentConfig {
    /// Checks that images of this shape can be varied so.
    ///
    /// # Errors
    /// `Config` when the padding is not smaller than the image, when there is padding beside a random-resized crop, when
    /// colours of images of other channels than 1 and 3 are to change, and for numbers that cannot be.
    pub fn check(&self, shape: ImageShape) -> Result<()> {
        self.crop.map_or(Ok(()), |crop| crop.check())?;
        self.rand_augment.map_or(Ok(()), |augment| augment.check())?;
        self.color_jitter.map_or(Ok(()), |jitter| jitter.check())?;
        if self.crop.is_some() && self.padding > 0 {
            return Err(Error::config("a random-resized crop takes no padding besides; let it be 0"));
        }
        if self.changes_colors() && !matches!(shape.channels, 1 | 3) {
            return Err(Error::config(format!(
                "color jitter and RandAugment are for images of 1 or 3 channels, these have {}",
                shape.channels
            )));
        }
        if self.padding >= shape.height.min(shape.width) {
            return Err(Error::config(format!(
                "padding by {} needs images larger than that, these are {}x{}; choose a smaller padding",
                self.padding, shape.height, shape.width
            )));
        }
        Ok(())
    }

    /// Whether numbers are changed rather than moved; they must lie in [0, 1].
    pub fn changes_colors(&self) -> bool {
        self.rand_augment.is_some() || self.color_jitter.is_some()
    }

    /// The memory that varying an image of this shape takes meanwhile, in bytes, beside the image and a copy of it; 0 where
    /// next to nothing is to be done.
    pub fn working_bytes(&self, shape: ImageShape) -> usize {
        let is_work = self.crop.is_some() || self.changes_colors();
        if is_work { shape.elements().saturating_mul(2 * size_of::<f32>()) } else { 0 }
    }

    /// What chance decides for a sample that an epoch shows for the first time.
    pub fn draw(&self, seed: u64, epoch: u64, sample: usize) -> Draw {
        self.draw_of(Showing { seed, epoch, sample, repeat: 0 })
    }

    /// What chance decides for a showing.
    pub fn draw_of(&self, showing: Showing) -> Draw {
        let Showing { seed, epoch, sample, repeat } = showing;
        let counters = [seed, epoch, sample as u64, repeat as u64];
        let random = key(Purpose::Augment, &counters[..if repeat == 0 { 3 } else { 4 }]);
        let places = (self.padding as u64).saturating_mul(2).saturating_add(1);
        Draw {
            top: below(mix(random ^ 1), places) as usize,
            left: below(mix(random ^ 2), places) as usize,
            flip: self.flip && mix(random ^ 3) >> 63 == 1,
        }
    }

    /// Reads a sample of `dataset` into `image` as it is shown, and returns its label. `scratch` has the same size.
    pub(super) fn read(
        &self,
        dataset: &dyn Dataset,
        showing: Showing,
        image: &mut [f32],
        scratch: &mut [f32],
    ) -> Result<u32> {
        let (shape, sample) = (dataset.shape(), showing.sample);
        let label = match self.crop {
            None => dataset.read(sample, scratch)?,
            Some(crop) => {
                let choose = |size| crop.window(size, &mut showing.stream("random-resized crop"));
                dataset.read_part(sample, &choose, scratch)?
            }
        };
        self.apply(self.draw_of(showing), shape, scratch, image)?;
        if let Some(augment) = self.rand_augment {
            augment.apply(image, scratch, shape, &mut showing.stream("RandAugment"));
        }
        if let Some(jitter) = self.color_jitter {
            jitter.apply(image, shape.channels, &mut showing.stream("color jitter"));
        }
        Ok(label)
    }

    /// Writes the varied `image` into `varied`, without making the padded image.
    ///
    /// # Shapes
    /// `image`, `varied`: [H, W, C] of `shape`.
    ///
    /// # Errors
    /// `Config` as `check`, or when `draw` lies outside the padded image; `Shape` when a slice has another size.
    pub fn apply(&self, draw: Draw, shape: ImageShape, image: &[f32], varied: &mut [f32]) -> Result<()> {
        self.check(shape)?;
        if draw.top.max(draw.left) > 2 * self.padding {
            return Err(Error::config(format!("{draw:?} lies outside a padding of {}", self.padding)));
        }
        let ImageShape { channels, height, width } = shape;
        if image.len() != shape.elements() || varied.len() != shape.elements() || channels == 0 {
            return Err(Error::shape(format!(
                "{} and {} numbers are not two images of {shape:?}",
                image.len(),
                varied.len()
            )));
        }
        for (y, row) in varied.chunks_exact_mut(width * channels).enumerate() {
            let source_y = self.source(y + draw.top, height);
            for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
                let x = if draw.flip { width - 1 - x } else { x };
                match (source_y, self.source(x + draw.left, width)) {
                    (Some(source_y), Some(source_x)) => {
                        let start = (source_y * width + source_x) * channels;
                        pixel.copy_from_slice(&image[start..start + channels]);
                    }
                    _ => pixel.fill(0.0),
                }
            }
        }
        Ok(())
    }

    /// The coordinate in an image of `size` that the padded coordinate `padded` shows, if any.
    fn source(&self, padded: usize, size: usize) -> Option<usize> {
        if padded >= self.padding && padded - self.padding < size {
            return Some(padded - self.padding);
        }
        if !self.reflect {
            return None;
        }
        // Beyond either border as far outside as the image is inside; the padding is below the size.
        Some(if padded < self.padding {
            self.padding - padded
        } else {
            2 * (size - 1) - (padded - self.padding)
        })
    }
}
