//! The last few rows of a source, as they are read: through what they come through, with zeros beside them.

use super::super::buffer::Buffer;
use super::super::gather::MapShape;
use super::super::scratch::{BLOCK, Window};
use super::super::source::{self, ReadThrough, Strip};
use crate::kernels::simd::Isa;
use std::ops::Range;

/// Rows of one image, each in the place of its number's remainder by how many are kept.
pub(super) struct Rows {
    data: Buffer,
    /// The row in each place.
    held: Vec<Option<usize>>,
    /// Floats of a row.
    len: usize,
    source: MapShape,
    window: Window,
}

impl Rows {
    /// Room for `count` rows of the columns `window` of a source, and one of zeros.
    pub(super) fn new(count: usize, source: MapShape, window: Window) -> Self {
        let data = Buffer::zeros(Self::floats(count, source, window));
        Self { data, held: vec![None; count], len: window.len * source.channels, source, window }
    }

    /// A vector may begin with the last channel of all.
    fn floats(count: usize, source: MapShape, window: Window) -> usize {
        (count + 1) * window.len * source.channels + BLOCK
    }

    /// Bytes of `count` rows.
    pub(super) fn bytes(count: usize, source: MapShape, window: Window) -> usize {
        Buffer::bytes(Self::floats(count, source, window)) + count * size_of::<Option<usize>>()
    }

    /// Another image begins.
    pub(super) fn forget(&mut self) {
        self.held.fill(None);
    }

    /// The float where the rows begin.
    pub(super) fn as_ptr(&self) -> *const f32 {
        self.data.as_ptr()
    }

    /// The first float of row `number`, which is read from `image` unless it is here; of zeros, if the source has no such
    /// row.
    pub(super) fn row<'s>(
        &mut self,
        isa: Isa,
        number: isize,
        image: &impl Fn(Range<usize>) -> ReadThrough<'s>,
    ) -> usize {
        let row = match usize::try_from(number) {
            Ok(row) if row < self.source.size[0] => row,
            _ => return self.held.len() * self.len,
        };
        let place = row % self.held.len();
        if self.held[place] != Some(row) {
            self.held[place] = Some(row);
            let row_len = self.source.size[1] * self.source.channels;
            self.read(isa, place * self.len, image(row * row_len..(row + 1) * row_len));
        }
        place * self.len
    }

    /// Reads a row to where its first float is to be.
    fn read(&mut self, isa: Isa, at: usize, row: ReadThrough<'_>) {
        let (channels, window) = (self.source.channels, self.window);
        let (from, to) = window.inside(self.source.size[1]);
        if from >= to {
            return;
        }
        let first = (window.origin + (from * window.step) as isize) as usize * channels;
        let target = &mut self.data[at + from * channels..at + to * channels];
        let width = row.width(channels);
        let strip = Strip { channel: 0, len: width, every: width, to_every: width, to_len: width };
        if window.step == 1 {
            return source::copy(isa, row.after(first), strip, target);
        }
        for (j, pixel) in target.chunks_exact_mut(channels).enumerate() {
            source::copy(isa, row.after(first + j * window.step * channels), strip, pixel);
        }
    }
}
