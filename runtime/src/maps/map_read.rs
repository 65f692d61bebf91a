//! How maps and gradients are read that are not in memory: a map through the batch norm after it, a gradient through that of
//! the batch norm after it.

use super::activation::Activation;
use super::batch_norm;
use super::elementwise::{check_apart, combine_with};
use super::norm::{Norm, NormGradient};
use super::place::read;
use super::slices::{Elements, elements};
use super::{Map, Place};
use crate::error::{Error, Result};
use crate::kernels::batch_norm as kernels;
use crate::kernels::conv::ReadThrough;
use crate::kernels::simd::Isa;

/// Whether an activation does nothing, or keeps numbers between bounds.
pub fn is_clamp(activation: Option<Activation>) -> bool {
    kernels::clamp(activation).is_some()
}

/// Whether a map at `place` may be read through a batch norm with this activation: a device's kernels read through clamps
/// alone.
pub fn is_readable(activation: Option<Activation>, place: &Place) -> bool {
    is_clamp(activation) || (place.is_host() && kernels::is_readable(activation))
}

/// A map `[N, H, W, C]` that may still have to be made by whoever reads it.
#[derive(Clone, Debug)]
pub enum MapRead {
    /// A map as it is.
    Plain(Map),
    /// A map, and what is to become of it; its activation is one that [`is_readable`].
    Normalized(Map, Norm),
    /// A residual sum, and what it can be made from again, so that who needs it later need not keep it.
    Sum(Map, Summands),
}

/// What a residual sum is made from, on its way into a convolution's weight gradient.
#[derive(Clone, Debug)]
pub struct Summands {
    /// The main branch before its last normalization.
    pub main: Map,
    /// That normalization; its activation does not count.
    pub by: Norm,
    /// What comes round the shortcut.
    pub around: Map,
    /// Of the sum: none, or a clamp.
    pub activation: Option<Activation>,
}

impl From<Map> for MapRead {
    fn from(x: Map) -> Self {
        Self::Plain(x)
    }
}

impl MapRead {
    /// The map itself, normalized now if need be.
    pub fn resolve(self) -> Result<Map> {
        match self {
            Self::Plain(x) | Self::Sum(x, _) => Ok(x),
            Self::Normalized(x, by) => batch_norm::apply(&x, &by),
        }
    }

    /// The same, normalized now if need be.
    pub fn without_normalization(self) -> Result<Self> {
        match self {
            Self::Normalized(..) => Ok(Self::Plain(self.resolve()?)),
            x => Ok(x),
        }
    }

    /// The map in memory.
    pub fn stored(&self) -> &Map {
        match self {
            Self::Plain(x) | Self::Normalized(x, _) | Self::Sum(x, _) => x,
        }
    }

    pub(super) fn source<'a>(&'a self, elements: &'a Elements<'_>) -> Result<ReadThrough<'a>> {
        Ok(match self {
            Self::Plain(_) | Self::Sum(..) => ReadThrough::Plain(elements),
            Self::Normalized(_, by) => ReadThrough::Normalized(elements, by.host()?),
        })
    }
}

/// What a convolution read, as far as its backward pass needs it.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Nothing but the shape: the weight is not trained.
    Shape(&'a [usize]),
    /// A map.
    Plain(&'a Map),
    /// A map through a normalization.
    Normalized(&'a Map, &'a Norm),
    /// A residual sum.
    Sum(&'a Summands),
}

/// The borrowed elements of an [`Input`].
pub(super) enum InputElements<'a> {
    None,
    Plain(Elements<'a>),
    Normalized(Elements<'a>, &'a kernels::Normalization),
    Sum { main: Elements<'a>, by: &'a kernels::Normalization, around: Elements<'a>, bounds: [f32; 2] },
}

impl<'a> Input<'a> {
    pub(super) fn dims(&self) -> &[usize] {
        match self {
            Self::Shape(shape) => shape,
            Self::Plain(x) | Self::Normalized(x, _) => x.dims(),
            Self::Sum(sum) => sum.main.dims(),
        }
    }

    pub(super) fn elements(self) -> Result<InputElements<'a>> {
        Ok(match self {
            Self::Shape(_) => InputElements::None,
            Self::Plain(x) => InputElements::Plain(elements(x)?),
            Self::Normalized(x, by) => InputElements::Normalized(elements(x)?, by.host()?),
            Self::Sum(Summands { main, by, around, activation }) => {
                let bounds = kernels::clamp(*activation)
                    .ok_or_else(|| Error::internal(format!("a sum with {activation:?} was not kept")))?;
                InputElements::Sum {
                    main: elements(main)?,
                    by: by.host()?,
                    around: elements(around)?,
                    bounds,
                }
            }
        })
    }
}

impl InputElements<'_> {
    pub(super) fn source(&self) -> Option<ReadThrough<'_>> {
        match self {
            Self::None => None,
            Self::Plain(x) => Some(ReadThrough::Plain(x)),
            Self::Normalized(x, by) => Some(ReadThrough::Normalized(x, by)),
            Self::Sum { main, by, around, bounds } => {
                Some(ReadThrough::Sum { x: main, by, around, bounds: *bounds })
            }
        }
    }
}

/// The gradient of a convolution's output.
#[derive(Clone, Copy, Debug)]
pub enum GradRead<'a> {
    /// In memory.
    Plain(&'a Map),
    /// Through the normalization that follows.
    Through(Through<'a>),
}

/// The gradient of the input `z` of a normalization, as what it is made from.
#[derive(Clone, Copy, Debug)]
pub struct Through<'a> {
    /// The gradient of the output.
    pub d: &'a Map,
    /// The input.
    pub z: &'a Map,
    /// How to get from one to the other; `None` where the gradient has taken the place of `z`.
    pub by: Option<&'a NormGradient>,
    /// Whether nobody reads `z` once the gradients of the convolution before it exist, so that they may take its
    /// place in memory.
    pub last_use: bool,
}

impl<'a> From<&'a Map> for GradRead<'a> {
    fn from(d: &'a Map) -> Self {
        Self::Plain(d)
    }
}

impl<'a> From<Through<'a>> for GradRead<'a> {
    fn from(gradient: Through<'a>) -> Self {
        Self::Through(gradient)
    }
}

impl Through<'_> {
    /// The same, made now in the place of `z`, whose last use it must be.
    ///
    /// # Errors
    /// `Shape` when the shapes do not fit.
    pub fn settled(self) -> Result<Self> {
        #[cfg(feature = "device")]
        if let Map::Device(_) = self.z {
            // A device reads through it at no cost, and would have to write it.
            return Ok(self);
        }
        if let Some(by) = self.by {
            check_apart(self.z, self.d)?;
            read(
                self.z,
                || {
                    let by = by.host()?;
                    combine_with(self.z, self.d, |z, d| kernels::d_input_over(Isa::best(), d, z, by))
                },
                |counter| counter.sweep(3 * self.z.elem_count()),
            )?;
        }
        Ok(Self { by: None, ..self })
    }

    pub(super) fn source<'s>(&self, d: &'s [f32], z: &'s [f32]) -> Result<ReadThrough<'s>>
    where
        Self: 's,
    {
        Ok(match self.by {
            Some(by) => ReadThrough::Gradient { d, x: z, by: by.host()? },
            None => ReadThrough::Plain(z),
        })
    }
}

/// The borrowed elements of a [`GradRead`].
pub(super) enum GradientElements<'a> {
    Plain(Elements<'a>),
    Through { d: Elements<'a>, z: Elements<'a>, by: &'a kernels::Gradient },
}

impl<'a> GradRead<'a> {
    pub(super) fn elements(self) -> Result<GradientElements<'a>> {
        Ok(match self {
            Self::Plain(d) => GradientElements::Plain(elements(d)?),
            Self::Through(Through { z, by: None, .. }) => GradientElements::Plain(elements(z)?),
            Self::Through(Through { d, z, by: Some(by), .. }) => {
                GradientElements::Through { d: elements(d)?, z: elements(z)?, by: by.host()? }
            }
        })
    }

    /// A map that is there.
    pub(super) fn stored(&self) -> &'a Map {
        match self {
            Self::Plain(d) => d,
            Self::Through(through) => through.z,
        }
    }
}

impl GradientElements<'_> {
    pub(super) fn source(&self) -> ReadThrough<'_> {
        match self {
            Self::Plain(d) => ReadThrough::Plain(d),
            Self::Through { d, z, by } => ReadThrough::Gradient { d, x: z, by },
        }
    }
}
