//! RandAugment (Cubuk et al. 2020): some operations of a list, drawn for each image, all of one magnitude. The list and what
//! magnitudes mean are `torchvision`'s.

use super::ImageShape;
use super::color::{autocontrast, blend, brightness, contrast, equalize, posterize, saturation, solarize};
use crate::error::{Error, Result};
use crate::random::Stream;
use serde::{Deserialize, Serialize};

/// The largest magnitude.
pub const LARGEST_MAGNITUDE: usize = 30;
/// More operations an image than anybody draws.
const MOST_OPERATIONS: usize = 16;
/// Of the largest magnitude: columns a row, or rows a column.
const SHEAR: f64 = 0.3;
/// Share of the side.
const TRANSLATION: f64 = 150.0 / 331.0;
/// Degrees.
const ROTATION: f64 = 30.0;
/// How far a factor is from 1.
const FACTOR: f64 = 0.9;
/// Bits that posterizing takes.
const BITS: f64 = 4.0;

/// How many operations, and how strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RandAugment {
    /// Operations an image, one after the other.
    pub operations: usize,
    /// How strong they are, 0 to [`LARGEST_MAGNITUDE`].
    pub magnitude: usize,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { operations: 2, magnitude: 9 }
    }
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the paper")]
pub enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

/// All of them.
pub const OPERATIONS: [Operation; 14] = [
    Operation::Identity,
    Operation::ShearX,
    Operation::ShearY,
    Operation::TranslateX,
    Operation::TranslateY,
    Operation::Rotate,
    Operation::Brightness,
    Operation::Color,
    Operation::Contrast,
    Operation::Sharpness,
    Operation::Posterize,
    Operation::Solarize,
    Operation::AutoContrast,
    Operation::Equalize,
];

impl RandAugment {
    /// Refuses what cannot be.
    ///
    /// # Errors
    /// `Config` for a magnitude that is too large, and for no operations or too many.
    pub fn check(&self) -> Result<()> {
        match (1..=MOST_OPERATIONS).contains(&self.operations) && self.magnitude <= LARGEST_MAGNITUDE {
            true => Ok(()),
            false => Err(Error::config(format!(
                "RandAugment of {} operations with magnitude {}: it takes 1 to {MOST_OPERATIONS} operations and a magnitude \
                 of 0 to {LARGEST_MAGNITUDE}",
                self.operations, self.magnitude
            ))),
        }
    }

    /// Changes `image` [H, W, C] of `shape` as `stream` says; `scratch` has the same size.
    pub fn apply(&self, image: &mut [f32], scratch: &mut [f32], shape: ImageShape, stream: &mut Stream) {
        let strength = self.magnitude as f64 / LARGEST_MAGNITUDE as f64;
        for _ in 0..self.operations {
            let operation = OPERATIONS[stream.below(OPERATIONS.len() as u64) as usize];
            let sign = if stream.below(2) == 1 { -1.0 } else { 1.0 };
            operation.apply(sign * strength, image, scratch, shape);
        }
    }
}

impl Operation {
    /// Changes `image` [H, W, C] of `shape`, whose numbers lie in [0, 1]; `scratch` has the same size. `strength` lies in
    /// [-1, 1]; its sign says nothing to the last four.
    pub fn apply(self, strength: f64, image: &mut [f32], scratch: &mut [f32], shape: ImageShape) {
        let channels = shape.channels;
        let factor = (1.0 + FACTOR * strength) as f32;
        let shear = SHEAR * strength;
        match self {
            Self::Identity => {}
            Self::ShearX => warp([[1.0, shear, 0.0], [0.0, 1.0, 0.0]], [0.0; 2], image, scratch, shape),
            Self::ShearY => warp([[1.0, 0.0, 0.0], [shear, 1.0, 0.0]], [0.0; 2], image, scratch, shape),
            Self::TranslateX => {
                let by = (TRANSLATION * shape.width as f64 * strength).trunc();
                warp([[1.0, 0.0, -by], [0.0, 1.0, 0.0]], [0.0; 2], image, scratch, shape);
            }
            Self::TranslateY => {
                let by = (TRANSLATION * shape.height as f64 * strength).trunc();
                warp([[1.0, 0.0, 0.0], [0.0, 1.0, -by]], [0.0; 2], image, scratch, shape);
            }
            Self::Rotate => {
                let (sin, cos) = (ROTATION * strength).to_radians().sin_cos();
                let center = [shape.width, shape.height].map(|side| side as f64 / 2.0);
                warp([[cos, -sin, 0.0], [sin, cos, 0.0]], center, image, scratch, shape);
            }
            Self::Brightness => brightness(image, factor),
            Self::Color => saturation(image, channels, factor),
            Self::Contrast => contrast(image, channels, factor),
            Self::Sharpness => sharpness(factor, image, scratch, shape),
            Self::Posterize => posterize(image, 8 - (BITS * strength.abs()).round_ties_even() as u32),
            Self::Solarize => solarize(image, 255.0 * (1.0 - strength.abs())),
            Self::AutoContrast => autocontrast(image, channels),
            Self::Equalize => equalize(image, channels),
        }
    }
}

/// Each pixel becomes the one where `matrix` leads its middle, as seen from `center` (x, y); outside of the image all is 0.
fn warp(matrix: [[f64; 3]; 2], center: [f64; 2], image: &mut [f32], scratch: &mut [f32], shape: ImageShape) {
    let ImageShape { channels, height, width } = shape;
    let source = &mut scratch[..image.len()];
    source.copy_from_slice(image);
    for (y, row) in image.chunks_exact_mut(width * channels).enumerate() {
        let down = y as f64 + 0.5 - center[1];
        for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
            let right = x as f64 + 0.5 - center[0];
            let [from_x, from_y] = [0, 1].map(|axis| {
                let [by_right, by_down, shift] = matrix[axis];
                (by_right * right + by_down * down + shift + center[axis]).floor()
            });
            let lies_in = |place: f64, side: usize| (0.0..side as f64).contains(&place);
            if lies_in(from_x, width) && lies_in(from_y, height) {
                let start = (from_y as usize * width + from_x as usize) * channels;
                pixel.copy_from_slice(&source[start..start + channels]);
            } else {
                pixel.fill(0.0);
            }
        }
    }
}

/// Softer below a factor of 1, sharper above: between the image, and each pixel's mean with its neighbours in which it counts
/// five times. Pixels at the border stay.
fn sharpness(factor: f32, image: &mut [f32], scratch: &mut [f32], shape: ImageShape) {
    let ImageShape { channels, height, width } = shape;
    let source = &mut scratch[..image.len()];
    source.copy_from_slice(image);
    let line = width * channels;
    for y in 1..height.saturating_sub(1) {
        for place in y * line + channels..(y + 1) * line - channels {
            let own = source[place];
            let mut sum = 4.0 * own;
            for row in [place - line, place, place + line] {
                sum += source[row - channels] + source[row] + source[row + channels];
            }
            image[place] = blend(own, sum / 13.0, factor);
        }
    }
}
