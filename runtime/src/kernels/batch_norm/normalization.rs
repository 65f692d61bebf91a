//! The normalization of a channel and the activation after it.

use super::cyclic::{cyclic, cyclic_len, width};
use crate::deal::pairs;
use crate::kernels::activation::{Activation, silu};
use crate::kernels::pieces::PIECE;
use crate::kernels::simd::{Isa, Kernel, Simd};
use crate::kernels::unwritten::unwritten;
use std::mem::MaybeUninit;

/// What becomes of a channel: activation((x - mean) · scale + bias). The vectors repeat their channels.
#[derive(Clone, Debug)]
pub struct Normalization {
    pub(super) channels: usize,
    pub(super) mean: Vec<f32>,
    pub(super) bias: Vec<f32>,
    /// weight / sqrt(variance + epsilon)
    pub(super) scale: Vec<f32>,
    /// 1 / sqrt(variance + epsilon), one a channel.
    pub(super) inverse: Vec<f32>,
    pub(super) activation: Option<Activation>,
}

impl Normalization {
    /// From statistics and parameters, one a channel each.
    pub fn new(
        mean: &[f32],
        variance: &[f32],
        weight: &[f32],
        bias: &[f32],
        epsilon: f64,
        activation: Option<Activation>,
    ) -> Self {
        let channels = mean.len();
        let inverse = |v: f32| 1.0 / (f64::from(v) + epsilon).sqrt();
        let scale = variance.iter().zip(weight).map(|(&v, &w)| (f64::from(w) * inverse(v)) as f32);
        Self {
            channels,
            mean: cyclic(mean.iter().copied(), channels),
            bias: cyclic(bias.iter().copied(), channels),
            scale: cyclic(scale, channels),
            inverse: variance.iter().map(|&v| inverse(v) as f32).collect(),
            activation,
        }
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Elements of a loop over whole rows.
    pub fn width(&self) -> usize {
        width(self.channels)
    }

    /// Mean, scale and bias of the first `len` elements of a row that repeats its channels up to the width.
    #[inline(always)]
    pub fn row(&self, len: usize) -> [&[f32]; 3] {
        [&self.mean[..len], &self.scale[..len], &self.bias[..len]]
    }

    /// The bounds between which the activation changes nothing, if that is all it does.
    pub fn clamp(&self) -> Option<[f32; 2]> {
        clamp(self.activation)
    }

    /// The activation, if it is none that bounds say.
    pub fn unbounded(&self) -> Option<Activation> {
        self.activation.filter(|_| self.clamp().is_none())
    }

    /// The same without its activation.
    #[must_use]
    pub fn without_activation(&self) -> Self {
        Self { activation: None, ..self.clone() }
    }

    /// N elements, at most sixteen, the first of which belongs to channel `channel`, between bounds instead of the activation.
    #[inline(always)]
    pub fn array<const N: usize>(&self, x: &[f32; N], channel: usize, bounds: [f32; 2], y: &mut [f32; N]) {
        let part = |v: &[f32]| v[channel..].first_chunk::<N>().copied().unwrap_or([0.0; N]);
        let (mean, scale, bias) = (part(&self.mean), part(&self.scale), part(&self.bias));
        for i in 0..N {
            y[i] = clamped((x[i] - mean[i]) * scale[i] + bias[i], bounds);
        }
    }

    /// [`Self::array`] without the activation, plus `around`, between bounds.
    #[inline(always)]
    pub fn sum_array<const N: usize>(
        &self,
        x: &[f32; N],
        around: &[f32; N],
        channel: usize,
        bounds: [f32; 2],
        y: &mut [f32; N],
    ) {
        let part = |v: &[f32]| v[channel..].first_chunk::<N>().copied().unwrap_or([0.0; N]);
        let (mean, scale, bias) = (part(&self.mean), part(&self.scale), part(&self.bias));
        for i in 0..N {
            y[i] = clamped((x[i] - mean[i]) * scale[i] + bias[i] + around[i], bounds);
        }
    }

    /// As many elements as `y` has; see [`Self::sum_array`].
    #[inline(always)]
    pub fn sum_some(&self, x: &[f32], around: &[f32], channel: usize, bounds: [f32; 2], y: &mut [f32]) {
        let n = x.len().min(around.len()).min(y.len());
        let (mean, scale, bias) =
            (&self.mean[channel..][..n], &self.scale[channel..][..n], &self.bias[channel..][..n]);
        for i in 0..n {
            y[i] = clamped((x[i] - mean[i]) * scale[i] + bias[i] + around[i], bounds);
        }
    }

    /// As many elements as `x` has; see [`Self::array`].
    #[inline(always)]
    pub fn some(&self, x: &[f32], channel: usize, bounds: [f32; 2], y: &mut [f32]) {
        let n = x.len().min(y.len());
        let (mean, scale, bias) =
            (&self.mean[channel..][..n], &self.scale[channel..][..n], &self.bias[channel..][..n]);
        for i in 0..n {
            y[i] = clamped((x[i] - mean[i]) * scale[i] + bias[i], bounds);
        }
    }
}

/// Bytes of a normalization of so many channels, and of its gradient besides at most as many again.
pub fn normalization_bytes(channels: usize) -> usize {
    (3 * cyclic_len(channels) + channels) * size_of::<f32>()
}

/// The bounds between which an activation changes nothing, if that is all it does.
pub fn clamp(activation: Option<Activation>) -> Option<[f32; 2]> {
    match activation {
        None => Some([f32::NEG_INFINITY, f32::INFINITY]),
        Some(Activation::Relu) => Some([0.0, f32::INFINITY]),
        Some(Activation::Relu6) => Some([0.0, 6.0]),
        Some(
            Activation::Silu
            | Activation::Sigmoid
            | Activation::Gelu
            | Activation::HardSwish
            | Activation::HardSigmoid
            | Activation::LeakyRelu { .. },
        ) => None,
    }
}

/// Whether a map may be read through a normalization with this activation: through one that leaves zeros as they are, so that
/// what is filled up with zeros may go through it, too.
pub fn is_readable(activation: Option<Activation>) -> bool {
    clamp(activation).is_some() || matches!(activation, Some(Activation::Silu | Activation::HardSwish))
}

/// `v` between the bounds; a NaN stays one.
#[inline(always)]
pub fn clamped(v: f32, [low, high]: [f32; 2]) -> f32 {
    let v = if v < low { low } else { v };
    if v > high { high } else { v }
}

/// y = activation((x - mean) · scale + bias); writes every element of y, which has the length of x.
pub fn forward(isa: Isa, x: &[f32], by: &Normalization, y: &mut [MaybeUninit<f32>]) {
    assert_eq!(x.len(), y.len(), "x and y have one length");
    let width = by.width();
    let piece = PIECE.div_ceil(width) * width;
    pairs((y, piece), (x, piece), &|y, x| isa.run(NormalizedRows { x, y, by, width }));
}

/// [`forward`] of some whole rows, on this thread.
pub fn normalized_rows(isa: Isa, x: &[f32], by: &Normalization, y: &mut [f32]) {
    // SAFETY: the kernel stores nothing but numbers.
    let y = unsafe { unwritten(y).room() };
    isa.run(NormalizedRows { x, y, by, width: by.width() });
}

/// Some rows to normalize.
struct NormalizedRows<'a> {
    x: &'a [f32],
    y: &'a mut [MaybeUninit<f32>],
    by: &'a Normalization,
    width: usize,
}

impl Kernel for NormalizedRows<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        match self.by.activation {
            None => self.each(|v| v),
            Some(Activation::Relu) => self.each(|v| Activation::Relu.apply(v)),
            Some(Activation::Relu6) => self.each(|v| Activation::Relu6.apply(v)),
            Some(Activation::Silu) => self.each(|v| silu::<S>(v)),
            Some(Activation::Sigmoid) => self.each(|v| Activation::Sigmoid.apply(v)),
            Some(Activation::Gelu) => self.each(|v| Activation::Gelu.apply(v)),
            Some(Activation::HardSwish) => self.each(|v| Activation::HardSwish.apply(v)),
            Some(Activation::HardSigmoid) => self.each(|v| Activation::HardSigmoid.apply(v)),
            Some(Activation::LeakyRelu { slope }) => {
                self.each(|v| Activation::LeakyRelu { slope }.apply(v));
            }
        }
    }
}

impl NormalizedRows<'_> {
    #[inline(always)]
    fn each(self, activation: impl Fn(f32) -> f32) {
        for (y, x) in self.y.chunks_mut(self.width).zip(self.x.chunks(self.width)) {
            let n = x.len();
            let y = &mut y[..n];
            let (mean, scale, bias) = (&self.by.mean[..n], &self.by.scale[..n], &self.by.bias[..n]);
            for i in 0..n {
                y[i].write(activation((x[i] - mean[i]) * scale[i] + bias[i]));
            }
        }
    }
}
