//! What a pass reads: numbers as they are, or what batch norm makes of them on their way into the scratch.
//!
//! A normalized map, or the gradient of one, is thus never in memory as a whole.

use super::scratch::BLOCK;
use crate::kernels::batch_norm::{Gradient, Normalization};
use crate::kernels::elementwise;
use crate::kernels::simd::{Isa, Kernel, Simd};

/// A batch of images `[N, H, W, C]` to read.
#[derive(Clone, Copy, Debug)]
pub enum ReadThrough<'a> {
    /// As they are.
    Plain(&'a [f32]),
    /// Through a normalization of their channels, whose activation must be readable.
    Normalized(&'a [f32], &'a Normalization),
    /// The sum of `around` and a normalized map, between bounds; the normalization's own activation does not count.
    Sum {
        /// The map to be normalized.
        x: &'a [f32],
        /// How.
        by: &'a Normalization,
        /// The other summand.
        around: &'a [f32],
        /// The least and the largest sum.
        bounds: [f32; 2],
    },
    /// The gradient of the input `x` of a normalization, from `d`, that of its output.
    Gradient {
        /// The gradient of the output.
        d: &'a [f32],
        /// The input.
        x: &'a [f32],
        /// How to get from one to the other.
        by: &'a Gradient,
    },
}

impl<'a> From<&'a [f32]> for ReadThrough<'a> {
    fn from(data: &'a [f32]) -> Self {
        Self::Plain(data)
    }
}

impl<'a> From<&'a Vec<f32>> for ReadThrough<'a> {
    fn from(data: &'a Vec<f32>) -> Self {
        Self::Plain(data)
    }
}

impl ReadThrough<'_> {
    /// Elements; 0 if two maps that belong together differ in length, which no geometry has.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Plain(data) | Self::Normalized(data, _) => data.len(),
            Self::Gradient { d: other, x, .. } | Self::Sum { around: other, x, .. } => {
                if other.len() == x.len() { x.len() } else { 0 }
            }
        }
    }

    /// The channels that it must have, if it knows.
    pub(super) fn channels(&self) -> Option<usize> {
        match self {
            Self::Plain(_) => None,
            Self::Normalized(_, by) | Self::Sum { by, .. } => Some(by.channels()),
            Self::Gradient { by, .. } => Some(by.channels()),
        }
    }

    /// Elements that are read at once where pixels follow each other, of whole pixels all.
    pub(super) fn width(&self, channels: usize) -> usize {
        match self {
            Self::Plain(_) => channels,
            Self::Normalized(_, by) | Self::Sum { by, .. } => by.width(),
            Self::Gradient { by, .. } => by.width(),
        }
    }

    /// The elements from `start` on, `len` of them.
    pub(super) fn part(self, start: usize, len: usize) -> Self {
        match self {
            Self::Plain(data) => Self::Plain(&data[start..start + len]),
            Self::Normalized(data, by) => Self::Normalized(&data[start..start + len], by),
            Self::Sum { x, by, around, bounds } => {
                Self::Sum { x: &x[start..start + len], by, around: &around[start..start + len], bounds }
            }
            Self::Gradient { d, x, by } => {
                Self::Gradient { d: &d[start..start + len], x: &x[start..start + len], by }
            }
        }
    }

    /// Where element `at` and what belongs to it lie in memory, if only to have them brought near.
    pub(super) fn addresses(&self, at: usize) -> [*const f32; 2] {
        let [a, b] = match *self {
            Self::Plain(x) | Self::Normalized(x, _) => [x, x],
            Self::Sum { x, around: other, .. } | Self::Gradient { d: other, x, .. } => [x, other],
        };
        [a.as_ptr().wrapping_add(at), b.as_ptr().wrapping_add(at)]
    }

    /// The elements from `start` on.
    pub(super) fn after(self, start: usize) -> Self {
        self.part(start, self.len() - start)
    }
}

/// Where at most sixteen neighbouring channels lie in some pixels, and where they go.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    /// The first channel.
    pub(super) channel: usize,
    /// Channels.
    pub(super) len: usize,
    /// Floats from pixel to pixel of the source.
    pub(super) every: usize,
    /// Floats from pixel to pixel of the target.
    pub(super) to_every: usize,
    /// Floats of a pixel of the target that are written: the channels, and zeros.
    pub(super) to_len: usize,
}

impl Strip {
    /// Whether the pixels follow each other without gaps on both sides, in a rhythm that divides sixteen.
    fn is_flat(&self) -> bool {
        self.len == self.every && self.len == self.to_every && BLOCK.is_multiple_of(self.len)
    }
}

/// Copies the strip's channels of consecutive pixels from `source`, which starts at the first one's first channel,
/// to as many pixels as `target` has.
pub(super) fn copy(isa: Isa, source: ReadThrough<'_>, strip: Strip, target: &mut [f32]) {
    match source {
        ReadThrough::Plain(data) => copy_plain(data, strip, target),
        ReadThrough::Normalized(x, by) => {
            let bounds = by.clamp().unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
            isa.run(Pixels { strip, target: &mut *target, each: Normalized { x, by, bounds } });
            if let Some(activation) = by.unbounded() {
                // The zeros that fill pixels up stay zeros, so that all of the target is one.
                debug_assert_eq!(strip.to_every, strip.to_len);
                elementwise::activate_piece(isa, target, activation);
            }
        }
        ReadThrough::Sum { x, by, around, bounds } => {
            isa.run(Pixels { strip, target, each: Summed { x, by, around, bounds } });
        }
        ReadThrough::Gradient { d, x, by } => isa.run(Pixels { strip, target, each: Backward { d, x, by } }),
    }
}

fn copy_plain(data: &[f32], strip: Strip, target: &mut [f32]) {
    if strip.len == strip.every && strip.len == strip.to_every {
        target.copy_from_slice(&data[..target.len()]);
    } else if strip.len == BLOCK {
        for (to, from) in target.chunks_mut(strip.to_every).zip(data.chunks(strip.every)) {
            to[..BLOCK].copy_from_slice(&from[..BLOCK]);
        }
    } else {
        for (to, from) in target.chunks_mut(strip.to_every).zip(data.chunks(strip.every)) {
            to[..strip.len].copy_from_slice(&from[..strip.len]);
            to[strip.len..strip.to_len].fill(0.0);
        }
    }
}

/// How elements are made from those of the source; `at` counts them, `channel` is the first one's.
trait Each {
    fn array<const N: usize>(&self, at: usize, channel: usize, to: &mut [f32; N]);
    fn some(&self, at: usize, channel: usize, to: &mut [f32]);
}

struct Normalized<'a> {
    x: &'a [f32],
    by: &'a Normalization,
    bounds: [f32; 2],
}

impl Each for Normalized<'_> {
    #[inline(always)]
    fn array<const N: usize>(&self, at: usize, channel: usize, to: &mut [f32; N]) {
        if let Some(x) = self.x[at..].first_chunk() {
            self.by.array(x, channel, self.bounds, to);
        }
    }

    #[inline(always)]
    fn some(&self, at: usize, channel: usize, to: &mut [f32]) {
        self.by.some(&self.x[at..], channel, self.bounds, to);
    }
}

struct Summed<'a> {
    x: &'a [f32],
    by: &'a Normalization,
    around: &'a [f32],
    bounds: [f32; 2],
}

impl Each for Summed<'_> {
    #[inline(always)]
    fn array<const N: usize>(&self, at: usize, channel: usize, to: &mut [f32; N]) {
        if let (Some(x), Some(around)) = (self.x[at..].first_chunk(), self.around[at..].first_chunk()) {
            self.by.sum_array(x, around, channel, self.bounds, to);
        }
    }

    #[inline(always)]
    fn some(&self, at: usize, channel: usize, to: &mut [f32]) {
        self.by.sum_some(&self.x[at..], &self.around[at..], channel, self.bounds, to);
    }
}

struct Backward<'a> {
    d: &'a [f32],
    x: &'a [f32],
    by: &'a Gradient,
}

impl Each for Backward<'_> {
    #[inline(always)]
    fn array<const N: usize>(&self, at: usize, channel: usize, to: &mut [f32; N]) {
        if let (Some(d), Some(x)) = (self.d[at..].first_chunk(), self.x[at..].first_chunk()) {
            self.by.array(d, x, channel, to);
        }
    }

    #[inline(always)]
    fn some(&self, at: usize, channel: usize, to: &mut [f32]) {
        self.by.some(&self.d[at..], &self.x[at..], channel, to);
    }
}

/// Pixels to be made.
struct Pixels<'a, E> {
    strip: Strip,
    target: &'a mut [f32],
    each: E,
}

impl<E: Each> Kernel for Pixels<'_, E> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Pixels { strip, target, each } = self;
        if strip.is_flat() {
            let (sixteens, rest) = target.as_chunks_mut::<BLOCK>();
            let done = sixteens.len() * BLOCK;
            for (i, to) in sixteens.iter_mut().enumerate() {
                each.array(i * BLOCK, strip.channel, to);
            }
            each.some(done, strip.channel, rest);
        } else if strip.len == BLOCK {
            arrays::<BLOCK>(strip, target, &each);
        } else if strip.len == BLOCK / 2 {
            arrays::<{ BLOCK / 2 }>(strip, target, &each);
        } else {
            for (pixel, to) in target.chunks_mut(strip.to_every).enumerate() {
                // The last one may be a part of many that are read at once.
                let (channels, zeros) = to.split_at_mut(strip.len.min(to.len()));
                each.some(pixel * strip.every, strip.channel, channels);
                zeros[..strip.to_len - strip.len].fill(0.0);
            }
        }
    }
}

/// Pixels of N channels.
#[inline(always)]
fn arrays<const N: usize>(strip: Strip, target: &mut [f32], each: &impl Each) {
    for (pixel, to) in target.chunks_mut(strip.to_every).enumerate() {
        if let Some((channels, zeros)) = to.split_first_chunk_mut::<N>() {
            each.array(pixel * strip.every, strip.channel, channels);
            zeros[..strip.to_len - N].fill(0.0);
        }
    }
}
