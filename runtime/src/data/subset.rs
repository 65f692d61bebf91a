//! The first samples of a data set, for trials.

use super::{Dataset, ImageShape, no_sample};
use crate::error::{Error, Result};

/// The first `len` samples of another data set. Classes and labels stay as they are.
pub struct Subset {
    whole: Box<dyn Dataset>,
    len: usize,
}

impl Subset {
    /// The first `len` samples of `whole`.
    ///
    /// # Errors
    /// `Config` when `len` is 0 or more than `whole` has.
    pub fn first(whole: Box<dyn Dataset>, len: usize) -> Result<Self> {
        if len == 0 || len > whole.len() {
            return Err(Error::config(format!(
                "the limit is {len} samples; it must be between 1 and the {} that the data set has",
                whole.len()
            )));
        }
        Ok(Self { whole, len })
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.len
    }

    fn shape(&self) -> ImageShape {
        self.whole.shape()
    }

    fn classes(&self) -> usize {
        self.whole.classes()
    }

    fn label(&self, index: usize) -> Result<u32> {
        if index < self.len { self.whole.label(index) } else { Err(no_sample(index, self.len)) }
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        if index < self.len { self.whole.read(index, pixels) } else { Err(no_sample(index, self.len)) }
    }

    fn resident_bytes(&self) -> usize {
        self.whole.resident_bytes()
    }
}
