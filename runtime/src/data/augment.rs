//! Random crops and flips, each a function of seed, epoch and sample alone.

use super::ImageShape;
use super::mix::{Purpose, below, key, mix};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// How images are varied: padded, cropped back to their size at a random place, mirrored or not.
///
/// The default is the usual one for CIFAR: reflected by 4, flipped half the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AugmentConfig {
    /// Pixels added on each side, fewer than the image has; 0 for no cropping.
    pub padding: usize,
    /// Pad with the mirror image of the border (which is not repeated) rather than with 0.
    pub reflect: bool,
    /// Mirror left and right half of the time.
    pub flip: bool,
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self { padding: 4, reflect: true, flip: true }
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
    /// Checks that images of this shape can be padded so.
    ///
    /// # Errors
    /// `Config` when the padding is not smaller than the image.
    pub fn check(&self, shape: ImageShape) -> Result<()> {
        if self.padding >= shape.height.min(shape.width) {
            return Err(Error::config(format!(
                "padding by {} needs images larger than that, these are {}x{}; choose a smaller padding",
                self.padding, shape.height, shape.width
            )));
        }
        Ok(())
    }

    /// What chance decides for a sample in an epoch.
    pub fn draw(&self, seed: u64, epoch: u64, sample: usize) -> Draw {
        let random = key(Purpose::Augment, &[seed, epoch, sample as u64]);
        let places = (self.padding as u64).saturating_mul(2).saturating_add(1);
        Draw {
            top: below(mix(random ^ 1), places) as usize,
            left: below(mix(random ^ 2), places) as usize,
            flip: self.flip && mix(random ^ 3) >> 63 == 1,
        }
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
