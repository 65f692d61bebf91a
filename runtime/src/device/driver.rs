//! What the rest needs of a device: memory, launches, and one wait. Each back end is one file that gives it.

use super::launch::Launch;
use super::table::body::Element;
use crate::error::{Error, ErrorKind, Result};

/// A device that is open. Its memory and its launches are one thread's at a time.
pub trait Driver: Send + 'static {
    /// A block of its memory, given back when it is dropped.
    type Memory: Send;

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

    /// Copies `len` elements from those of `from` that begin at `from_first` to those of `to` that begin at `first`, behind the
    /// launches before. The two hold elements of one size, and are not the same block.
    ///
    /// # Errors
    /// `Internal` for what does not fit, and those of the device.
    fn copy(
        &self,
        to: &Self::Memory,
        first: usize,
        from: &Self::Memory,
        from_first: usize,
        len: usize,
    ) -> Result<()>;

    /// Where a block is, as kernels read it of a table of addresses.
    fn address(&self, memory: &Self::Memory) -> u64;

    /// Told when a block serves somebody else: what is in it is unknown again.
    fn renew(&self, _memory: &Self::Memory) {}

    /// Bytes of its memory that nobody has, where that can be told.
    fn free_bytes(&self) -> Option<usize> {
        None
    }

    /// How hot it is, in degrees Celsius.
    ///
    /// # Errors
    /// `Device`, with the reason, where that is not told.
    fn celsius(&self) -> Result<f64> {
        Err(Error::new(ErrorKind::Device, "it tells no temperature"))
    }

    /// Whether a block of a launch can know that others have written, and then sees it (`kernels/finish.h`).
    fn shows_writes(&self) -> bool {
        true
    }

    /// Begins a launch, behind those before it. `memory` is a piece for each slot of the kernel, or none where its flags
    /// say that it is not looked at.
    ///
    /// # Errors
    /// `Internal` where the pieces do not fit the kernel's slots, and those of the device.
    fn launch(&self, launch: &Launch, memory: &[Option<Piece<'_, Self::Memory>>]) -> Result<()>;

    /// Launches that are begun as one, where it has that: it is then given all its launches there.
    fn graphs(&self) -> Option<&dyn Graphs> {
        None
    }

    /// Waits for all launches.
    ///
    /// # Errors
    /// Those of the device.
    fn wait(&self) -> Result<()>;
}

/// Launches that are begun as one: a graph of them, each behind the one before. A graph is a number.
pub trait Graphs {
    /// Begins a launch that is in no graph, behind those before it.
    ///
    /// # Errors
    /// Those of the device.
    fn launch_node(&self, node: &Node) -> Result<()>;

    /// Makes a graph.
    ///
    /// # Errors
    /// Those of the device.
    fn make_graph(&self, nodes: &[Node]) -> Result<u64>;

    /// Gives the launch of this number in a graph what `node` is given, which is [like](Node::is_like) it.
    ///
    /// # Errors
    /// `Internal` where there is none, and those of the device.
    fn update_graph(&self, graph: u64, number: usize, node: &Node) -> Result<()>;

    /// Begins all launches of a graph, behind those before them.
    ///
    /// # Errors
    /// `Internal` where there is none, and those of the device.
    fn begin_graph(&self, graph: u64) -> Result<()>;

    /// Gives a graph back, which may still be at work.
    fn free_graph(&self, graph: u64);
}

/// A launch, and what each slot of its kernel is given: none where its flags say that it is not looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The launch.
    pub launch: Launch,
    /// Elements that a block has, of the slot's kind.
    pub sites: Vec<Option<Site>>,
}

impl Node {
    /// Whether both launch one kernel over one grid, whatever it is given.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.launch.kernel, self.launch.grid) == (other.launch.kernel, other.launch.grid)
    }
}

/// Some elements of a block, by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// What [`Driver::address`] told of the block.
    pub address: u64,
    /// The first element.
    pub first: usize,
    /// Elements.
    pub len: usize,
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
