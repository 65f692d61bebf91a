//! Tensors without their elements: a shape and the memory that it takes.

use super::ledger::{Held, Part};
use std::rc::Rc;

/// A tensor's shape and its memory. Clones share the memory, as those of tensors do.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    dims: Vec<usize>,
    held: Rc<Held>,
    bytes: bool,
}

impl Outline {
    /// A tensor of this shape in this memory.
    pub(super) fn new(dims: Vec<usize>, held: Held) -> Self {
        Self { dims, held: Rc::new(held), bytes: false }
    }

    /// A tensor of bytes rather than of floats.
    pub(super) fn of_bytes(dims: Vec<usize>, held: Held) -> Self {
        Self { bytes: true, ..Self::new(dims, held) }
    }

    /// Whether its elements are bytes.
    pub(super) fn is_bytes(&self) -> bool {
        self.bytes
    }

    /// Its shape.
    pub(super) fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Number of elements.
    pub(super) fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// The last dimension.
    pub(super) fn channels(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    /// The same memory in another shape.
    pub(super) fn reshaped(self, dims: Vec<usize>) -> Self {
        Self { dims, ..self }
    }

    /// `slices::share_storage`
    pub(super) fn shares(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.held, &other.held)
    }

    /// Its memory waits for other gradients.
    pub(super) fn gather(&self) {
        self.held.become_part(Part::Gathered);
    }

    /// Its memory is kept for a backward pass, if it was on its way.
    pub(super) fn keep(&self) {
        self.held.keep();
    }
}

/// A map that may still have to be normalized by whoever reads it.
#[derive(Clone, Debug)]
pub(super) enum Lazy {
    /// A map as it is.
    Plain(Outline),
    /// A map, and the numbers that normalize it.
    Normalized(Outline, Rc<Held>),
    /// A residual sum, and what it can be made from again.
    Sum(Outline, Summands),
}

/// `conv_norm::Summands`
#[derive(Clone, Debug)]
pub(super) struct Summands {
    pub(super) main: Outline,
    pub(super) _by: Rc<Held>,
    pub(super) around: Outline,
}

impl Lazy {
    /// The tensor in memory.
    pub(super) fn stored(&self) -> &Outline {
        match self {
            Self::Plain(x) | Self::Normalized(x, _) | Self::Sum(x, _) => x,
        }
    }
}
