//! Samples that are to be answered with themselves, as an autoencoder learns them.

use super::crop::Window;
use super::survey::Seen;
use super::{Dataset, ImageShape};
use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::targets::TargetKind;
use std::sync::Arc;

/// The samples of a data set, each to be answered with its own numbers `[C, H, W]` as the data have them, before they are
/// normalised. Classes that the data have are of no matter.
pub struct Autoencoded {
    samples: Arc<dyn Dataset>,
}

impl Autoencoded {
    /// These samples.
    pub fn new(samples: Arc<dyn Dataset>) -> Self {
        Self { samples }
    }
}

/// Writes pixels `[H, W, C]` as planes `[C, H, W]`; both have as many numbers.
pub(super) fn planes(pixels: &[f32], channels: usize, planes: &mut [f32]) {
    let positions = pixels.len() / channels.max(1);
    for (position, pixel) in pixels.chunks_exact(channels.max(1)).enumerate() {
        for (channel, number) in pixel.iter().enumerate() {
            planes[channel * positions + position] = *number;
        }
    }
}

impl Dataset for Autoencoded {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn shape(&self) -> ImageShape {
        self.samples.shape()
    }

    fn input(&self) -> Inputs {
        self.samples.input()
    }

    fn classes(&self) -> usize {
        self.shape().elements()
    }

    fn sample_name(&self, index: usize) -> Option<&str> {
        self.samples.sample_name(index)
    }

    fn label(&self, index: usize) -> Result<u32> {
        self.samples.label(index).map(|_| 0)
    }

    fn target_kind(&self) -> TargetKind {
        TargetKind::Values
    }

    fn answers_itself(&self) -> bool {
        true
    }

    fn target(&self, index: usize, row: &mut [f32]) -> Result<()> {
        let shape = self.shape();
        if row.len() != shape.elements() {
            let found = row.len();
            return Err(Error::shape(format!("an image of {shape} does not fit a row of {found} numbers")));
        }
        let mut pixels = vec![0.0; row.len()];
        self.samples.read(index, &mut pixels)?;
        planes(&pixels, shape.channels, row);
        Ok(())
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        self.samples.read(index, pixels).map(|_| 0)
    }

    fn read_part(
        &self,
        index: usize,
        choose: &dyn Fn([usize; 2]) -> Window,
        pixels: &mut [f32],
    ) -> Result<u32> {
        self.samples.read_part(index, choose, pixels).map(|_| 0)
    }

    fn seen(&self, index: usize) -> Option<Seen> {
        self.samples.seen(index)
    }

    fn decoding_bytes(&self) -> usize {
        self.samples.decoding_bytes()
    }

    fn resident_bytes(&self) -> usize {
        self.samples.resident_bytes()
    }
}
