//! What the rest needs of a device: memory, launches, and one wait. Each back end is one file that gives it.

use super::launch::Launch;
use super::table::body::Element;
use crate::error::Result;

/// A device that is open.
pub trait Driver {
    /// A block of its memory, given back when it is dropped.
    type Memory;

    /// A block for `len` elements; what is in it is unknown.
    ///
    /// # Errors
    /// `Memory` where there is no room.
    fn allocate(&self, element: Element, len: usize) -> Result<Self::Memory>;

    /// Copies `bytes` to the elements from `first` on.
    ///
    /// # Errors
    /// `Internal` for what does not fit, and those of the device.
    fn upload(&self, to: &Self::Memory, first: usize, bytes: &[u8]) -> Result<()>;

    /// Copies the elements from `first` on to `bytes`, when all launches before have ended.
    ///
    /// # Errors
    /// Those of [`Driver::upload`].
    fn download(&self, from: &Self::Memory, first: usize, bytes: &mut [u8]) -> Result<()>;

    /// Begins a launch, behind those before it. `memory` is a piece for each slot of the kernel, or none where its flags
    /// say that it is not looked at.
    ///
    /// # Errors
    /// `Internal` where the pieces do not fit the kernel's slots, and those of the device.
    fn launch(&self, launch: &Launch, memory: &[Option<Piece<'_, Self::Memory>>]) -> Result<()>;

    /// Waits for all launches.
    ///
    /// # Errors
    /// Those of the device.
    fn wait(&self) -> Result<()>;
}

/// Some elements of a block.
#[derive(Debug)]
pub struct Piece<'a, M> {
    /// The block.
    pub memory: &'a M,
    /// The first element.
    pub first: usize,
    /// Elements.
    pub len: usize,
}
