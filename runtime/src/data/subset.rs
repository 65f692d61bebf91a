//! Some samples of a data set: the first, for trials, or the last, held out.

use super::{Dataset, ImageShape, no_sample};
use crate::error::{Error, Result};
use std::sync::Arc;

/// Samples of another data set, one after the other. Classes and labels stay as they are.
pub struct Subset {
    whole: Arc<dyn Dataset>,
    start: usize,
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
        Ok(Self { whole: Arc::from(whole), start: 0, len })
    }

    /// `whole` in two: all but the last `held_out` samples, and these.
    ///
    /// # Errors
    /// `Config` when one of the two would be empty.
    pub fn split(whole: Arc<dyn Dataset>, held_out: usize) -> Result<[Self; 2]> {
        let start = whole.len().saturating_sub(held_out);
        if held_out == 0 || start == 0 {
            return Err(Error::config(format!(
                "{held_out} samples are to be held out; it must be between 1 and one fewer than the {} there are",
                whole.len()
            )));
        }
        let part = |start: usize, len: usize| Self { whole: whole.clone(), start, len };
        Ok([part(0, start), part(start, held_out)])
    }

    /// Where a sample is in the other set.
    fn place(&self, index: usize) -> Result<usize> {
        if index < self.len { Ok(self.start + index) } else { Err(no_sample(index, self.len)) }
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
        self.whole.label(self.place(index)?)
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        self.whole.read(self.place(index)?, pixels)
    }

    fn resident_bytes(&self) -> usize {
        self.whole.resident_bytes()
    }
}
