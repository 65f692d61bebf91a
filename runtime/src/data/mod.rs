//! Labelled images: where they come from, and the batches that training is fed with.
//!
//! Pixels stay what they are on disk, bytes as a rule, and become f32 one image at a time.

pub mod open;
pub mod idx;
pub mod cifar;
pub mod safetensors;
pub mod subset;
pub mod autoencode;
mod balance;
pub mod crop;
pub mod color;
pub mod rand_augment;
pub mod augment;
pub mod blend;
pub mod normalize;
pub mod loader;
pub mod ahead;
pub mod survey;
mod source;
mod order;
mod mix;

pub use augment::AugmentConfig;
pub use autoencode::Autoencoded;
pub use balance::balanced_class_weights;
pub use blend::BlendConfig;
pub use color::ColorJitter;
pub use crop::{RandomResizedCrop, Window};
pub use loader::{Batch, Loader, LoaderConfig};
pub use normalize::Normalize;
pub use open::{Split, open};
pub use rand_augment::RandAugment;

use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::targets::TargetKind;
use std::fmt;
use survey::Seen;

/// The size of every image of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageShape {
    /// Colours, or 1 for grey.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl ImageShape {
    /// The numbers in one image. A shape too large to count saturates.
    pub fn elements(&self) -> usize {
        self.channels.saturating_mul(self.height).saturating_mul(self.width)
    }
}

impl fmt::Display for ImageShape {
    /// As people write it: `3x32x32`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// Labelled images of one size, readable in any order and from any thread.
pub trait Dataset: Send + Sync {
    /// The number of samples, at least one.
    fn len(&self) -> usize;

    /// Whether there are no samples.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of every image.
    fn shape(&self) -> ImageShape;

    /// What samples are: images of that size, unless they are tokens. Tokens are read as whole numbers, a row of `shape`.
    fn input(&self) -> Inputs {
        let ImageShape { channels, height, width } = self.shape();
        Inputs::Pixels([channels, height, width])
    }

    /// The number of classes; every label is below it.
    fn classes(&self) -> usize;

    /// Names of the classes (labels, values) in order, where the data say them; else none.
    fn class_names(&self) -> &[String] {
        &[]
    }

    /// What people call a sample, such as the path of its file, where it has a name.
    fn sample_name(&self, _index: usize) -> Option<&str> {
        None
    }

    /// The label of a sample, without reading its image.
    ///
    /// # Errors
    /// `Config` when there is no such sample.
    fn label(&self, index: usize) -> Result<u32>;

    /// What each sample is to be answered with. Where that is not a class, `classes` is how many numbers it is, and `label`
    /// and `read` give 0.
    fn target_kind(&self) -> TargetKind {
        TargetKind::Class
    }

    /// Whether each sample is to be answered with itself: its own numbers `[C, H, W]`, varied as it is.
    fn answers_itself(&self) -> bool {
        false
    }

    /// The numbers that a sample is to be answered with, `[classes]`; none where that is a class, or the sample itself.
    ///
    /// # Errors
    /// `Config` when there is no such sample.
    fn numbers(&self, index: usize) -> Result<&[f32]> {
        self.label(index).map(|_| &[][..])
    }

    /// Writes what a sample is to be answered with into `row`, `[classes]`; of a class 1 in its place and else 0.
    ///
    /// # Errors
    /// `Config` when there is no such sample, `Shape` when `row` is too short for its class, or not as long as its numbers.
    fn target(&self, index: usize, row: &mut [f32]) -> Result<()> {
        if self.target_kind() == TargetKind::Class {
            row.fill(0.0);
            let label = self.label(index)? as usize;
            let place = row.get_mut(label);
            *place.ok_or_else(|| Error::shape(format!("the class {label} has no place in a row")))? = 1.0;
            return Ok(());
        }
        let numbers = self.numbers(index)?;
        if row.len() != numbers.len() {
            return Err(Error::shape(format!("{} numbers do not fit a row of {}", numbers.len(), row.len())));
        }
        row.copy_from_slice(numbers);
        Ok(())
    }

    /// Reads one image into `pixels`: [H, W, C], and returns its label. Bytes come as byte / 255, in
    /// [0, 1]; data stored as f32 comes as it is.
    ///
    /// # Errors
    /// `Config` when there is no such sample, `Shape` when `pixels` has not the size of an image, `Io`
    /// when the file cannot be read (any more), `Format` when a stored f32 is not finite.
    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32>;

    /// Reads a part of one image, made as large as all images are: the part that `choose` says of an image of so many rows
    /// and columns, which may be more than `shape` says where images are made smaller to be read. Returns the label.
    ///
    /// # Errors
    /// Those of `read`, and `Config` for a part that lies outside.
    fn read_part(
        &self,
        index: usize,
        choose: &dyn Fn([usize; 2]) -> Window,
        pixels: &mut [f32],
    ) -> Result<u32> {
        let shape = self.shape();
        let mut image = vec![0.0; shape.elements()];
        let label = self.read(index, &mut image)?;
        crop::resize(&image, shape, choose([shape.height, shape.width]), pixels)?;
        Ok(label)
    }

    /// What a survey finds of a sample, where that is known without reading it.
    fn seen(&self, _index: usize) -> Option<Seen> {
        None
    }

    /// The most memory that reading a sample takes meanwhile, in bytes, where it has to be decoded first; else 0.
    fn decoding_bytes(&self) -> usize {
        0
    }

    /// The memory that the data set holds between reads, in bytes, for the memory plan. Data sets that
    /// read from a file hold little more than their labels.
    fn resident_bytes(&self) -> usize {
        0
    }
}

/// The error of a sample that is not there.
fn no_sample(index: usize, len: usize) -> Error {
    Error::config(format!("sample {index} was asked for, but the data set has {len}"))
}

/// Checks the arguments of `Dataset::read`.
fn check_read(index: usize, len: usize, pixels: &[f32], shape: ImageShape) -> Result<()> {
    if index >= len {
        return Err(no_sample(index, len));
    }
    if pixels.len() != shape.elements() {
        return Err(Error::shape(format!(
            "an image of {}x{}x{} (height, width, channels) does not fit a buffer of {} numbers",
            shape.height,
            shape.width,
            shape.channels,
            pixels.len()
        )));
    }
    Ok(())
}

/// The value of a byte pixel: 0 to 1.
fn from_byte(byte: u8) -> f32 {
    f32::from(byte) / 255.0
}

/// Turns planes [C, H, W] of `value`s into `pixels` [H, W, C]; both have the same number of elements.
fn interleave(channels: usize, pixels: &mut [f32], value: impl Fn(usize) -> f32) {
    let plane = pixels.len() / channels.max(1);
    for (position, pixel) in pixels.chunks_exact_mut(channels.max(1)).enumerate() {
        for (channel, number) in pixel.iter_mut().enumerate() {
            *number = value(channel * plane + position);
        }
    }
}
