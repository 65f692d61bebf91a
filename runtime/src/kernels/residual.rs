//! The residual sum of maps that are normalized as they are read, and the mask of its activation.

use super::batch_norm::{Normalization, clamped};
use super::mask;
use super::pieces::PIECE;
use super::simd::{Isa, Kernel, Simd};
use super::unwritten::written;
use crate::deal::all;
use std::mem::MaybeUninit;

/// A summand `[rows, channels]`.
#[derive(Clone, Copy)]
pub enum Summand<'a> {
    /// As it is.
    Plain(&'a [f32]),
    /// Through a normalization.
    Normalized(&'a [f32], &'a Normalization),
}

impl Summand<'_> {
    /// Elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(x) | Self::Normalized(x, _) => x.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(self, start: usize, len: usize) -> Self {
        match self {
            Self::Plain(x) => Self::Plain(&x[start..start + len]),
            Self::Normalized(x, by) => Self::Normalized(&x[start..start + len], by),
        }
    }
}

/// y = x + around between the bounds, `x` normalized by `by` (without its activation), and, if asked for, the mask
/// of where y lies inside the bounds (see [`mask`]). Writes all of y, which has the length of both, and of its mask.
pub fn sum(
    isa: Isa,
    x: &[f32],
    by: &Normalization,
    around: Summand<'_>,
    bounds: [f32; 2],
    y: &mut [MaybeUninit<f32>],
    with_mask: bool,
) -> Vec<u8> {
    assert!(x.len() == y.len() && around.len() == y.len(), "summands and sum have one length");
    let mut bits = vec![0; y.len().div_ceil(BITS)];
    // Whole rows and whole bytes.
    let step = by.width() * BITS;
    let piece = PIECE.div_ceil(step) * step;
    let pieces = y.chunks_mut(piece).zip(x.chunks(piece)).zip(bits.chunks_mut(piece / BITS));
    all(pieces.enumerate(), |(index, ((y, x), bits))| {
        let around = around.part(index * piece, x.len());
        isa.run(SumRows { x, by, around, bounds, y });
        if with_mask {
            // SAFETY: the rows have just been written, every element.
            isa.run(mask::Pack { y: unsafe { written(y) }, upper: bounds[1], bits });
        }
    });
    bits
}

/// Elements of a byte of the mask.
const BITS: usize = 8;

/// Some rows of a sum.
struct SumRows<'a> {
    x: &'a [f32],
    by: &'a Normalization,
    around: Summand<'a>,
    bounds: [f32; 2],
    y: &'a mut [MaybeUninit<f32>],
}

impl Kernel for SumRows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let SumRows { x, by, around, bounds, y } = self;
        let width = by.width();
        match around {
            Summand::Plain(around) => {
                for ((y, x), around) in y.chunks_mut(width).zip(x.chunks(width)).zip(around.chunks(width)) {
                    let n = y.len();
                    let (x, around, [mean, scale, bias]) = (&x[..n], &around[..n], by.row(n));
                    for i in 0..n {
                        y[i].write(clamped((x[i] - mean[i]) * scale[i] + bias[i] + around[i], bounds));
                    }
                }
            }
            Summand::Normalized(around, by_around) => {
                for ((y, x), around) in y.chunks_mut(width).zip(x.chunks(width)).zip(around.chunks(width)) {
                    let n = y.len();
                    let (x, around, [mean, scale, bias]) = (&x[..n], &around[..n], by.row(n));
                    let [mean_around, scale_around, bias_around] = by_around.row(n);
                    for i in 0..n {
                        let around = (around[i] - mean_around[i]) * scale_around[i] + bias_around[i];
                        y[i].write(clamped((x[i] - mean[i]) * scale[i] + bias[i] + around, bounds));
                    }
                }
            }
        }
    }
}
