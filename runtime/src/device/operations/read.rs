//! What kernels read that is not in memory: a map through the norm after it, a residual sum, an up-sampled map, and a gradient
//! through the norm after it.

use super::norm::Norm;
use crate::device::array::Array;
use crate::device::engine::Operand::{self, Floats, Nothing};
use crate::device::table::kernel::ReadKind;
use crate::error::{Error, Result};
use crate::kernels::activation::Activation;
use crate::kernels::batch_norm::clamp;

/// A map on its way into a kernel.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    /// As it is.
    Plain(&'a Array),
    /// Through a norm whose activation is a clamp.
    Normalized(&'a Array, &'a Norm),
    /// Through a norm, its activation aside, plus another map, and a clamp.
    Sum(&'a Array, &'a Norm, &'a Array, Option<Activation>),
    /// Between the pixels of a smaller one, `[N, h, w, C]`, as a table says.
    Upsampled(&'a Array, &'a [f32]),
}

impl<'a> Read<'a> {
    pub(super) fn source(self) -> ReadKind {
        match self {
            Self::Plain(_) => ReadKind::Plain,
            Self::Normalized(..) => ReadKind::Normalized,
            Self::Sum(..) => ReadKind::Sum,
            Self::Upsampled(..) => ReadKind::Upsampled,
        }
    }

    pub(super) fn stored(self) -> &'a Array {
        match self {
            Self::Plain(x) | Self::Normalized(x, _) | Self::Sum(x, ..) | Self::Upsampled(x, _) => x,
        }
    }

    pub(super) fn bounds(self) -> Result<[f32; 2]> {
        match self {
            Self::Plain(_) | Self::Upsampled(..) => bounds(None),
            Self::Normalized(_, by) => by.bounds(),
            Self::Sum(.., activation) => bounds(activation),
        }
    }

    /// Rows and columns of what is up-sampled.
    pub(super) fn small(self) -> [usize; 2] {
        match self {
            Self::Upsampled(x, _) => match *x.dims() {
                [_, height, width, _] => [height, width],
                _ => [0; 2],
            },
            _ => [0; 2],
        }
    }

    /// The slots `in`, `other` and `norm`.
    pub(super) fn operands(self) -> [Operand<'a>; 3] {
        match self {
            Self::Plain(x) => [x.into(), Nothing, Nothing],
            Self::Normalized(x, by) => [x.into(), Nothing, (&by.numbers).into()],
            Self::Sum(x, by, around, _) => [x.into(), around.into(), (&by.numbers).into()],
            Self::Upsampled(x, table) => [x.into(), Nothing, Floats(table)],
        }
    }
}

/// The gradient of a convolution's output on its way into a kernel.
#[derive(Clone, Copy, Debug)]
pub enum GradientRead<'a> {
    /// As it is.
    Plain(&'a Array),
    /// `d`, that of a norm's output, through the norm that read `z`.
    Through {
        /// The gradient of the output.
        d: &'a Array,
        /// What the norm read.
        z: &'a Array,
        /// The norm with its centre and slope.
        by: &'a Norm,
    },
}

impl<'a> GradientRead<'a> {
    pub(super) fn source(self) -> ReadKind {
        match self {
            Self::Plain(_) => ReadKind::Plain,
            Self::Through { .. } => ReadKind::Through,
        }
    }

    pub(super) fn bounds(self) -> Result<[f32; 2]> {
        match self {
            Self::Plain(_) => bounds(None),
            Self::Through { by, .. } => by.bounds(),
        }
    }

    /// The slots `in`, `other` and `norm` of what gathers it.
    pub(super) fn operands(self) -> [Operand<'a>; 3] {
        match self {
            Self::Plain(d) => [d.into(), Nothing, Nothing],
            Self::Through { d, z, by } => [z.into(), d.into(), (&by.numbers).into()],
        }
    }

    /// The slots `d`, `z` and `z_norm` of what sums over pixels.
    pub(super) fn d_z_norm(self) -> [Operand<'a>; 3] {
        let [first, other, norm] = self.operands();
        match self {
            Self::Plain(_) => [first, Nothing, Nothing],
            Self::Through { .. } => [other, first, norm],
        }
    }
}

impl Norm {
    /// The clamp behind it.
    pub(super) fn bounds(&self) -> Result<[f32; 2]> {
        bounds(self.activation)
    }
}

/// The clamp that an activation is.
fn bounds(activation: Option<Activation>) -> Result<[f32; 2]> {
    let why = || Error::internal(format!("a map is read through {activation:?}, which is no clamp"));
    clamp(activation).ok_or_else(why)
}
