//! Maps that only count: a shape, and the memory that it stands for.

pub mod counter;
pub mod ledger;

pub use counter::Counter;
pub(crate) use counter::Workspaces;
use ledger::{Held, Part};
use std::sync::Arc;

/// Sizes of a map, the last one its channels.
pub(crate) type Dims = heapless::Vec<usize, 4>;

/// A map without its elements. Views of it share its memory.
#[derive(Debug)]
pub struct Outline {
    pub(super) dims: Dims,
    /// Whether its elements are bytes rather than floats.
    pub(super) bytes: bool,
    pub(super) memory: Memory,
    pub(crate) counter: Arc<Counter>,
}

/// Where the memory of an outline is counted.
#[derive(Debug)]
pub(super) enum Memory {
    /// With itself.
    Own(Held),
    /// With another, of which it is a view.
    Of(Arc<Outline>),
}

impl Outline {
    /// The piece of memory that it lies in.
    pub(super) fn held(&self) -> &Held {
        match &self.memory {
            Memory::Own(held) => held,
            Memory::Of(other) => other.held(),
        }
    }

    /// Number of elements.
    pub(super) fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// The same memory, or a part of it, in another shape.
    pub(super) fn view(self: &Arc<Self>, dims: Dims) -> Self {
        let owner = match &self.memory {
            Memory::Own(_) => self.clone(),
            Memory::Of(owner) => owner.clone(),
        };
        Self { dims, bytes: self.bytes, memory: Memory::Of(owner), counter: self.counter.clone() }
    }

    /// From now on its memory is for `part`.
    pub(super) fn label(&self, part: Part) {
        match part {
            Part::Kept => self.held().keep(),
            part => self.held().become_part(part),
        }
    }
}
