//! A launch as data: which kernel, over which grid, told what, and what it costs.

use super::arguments::{Arguments, words};
use super::table::body::Body;
use super::table::kernel::Kernel;
use crate::error::{Error, Result};
use std::ops::AddAssign;

/// What a launch moves and computes, counted from shapes: each map once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Additions and multiplications.
    pub operations: u64,
}

impl Traffic {
    /// Of floats read and written, and operations.
    pub fn floats(read: usize, written: usize, operations: usize) -> Self {
        let bytes = |floats: usize| floats as u64 * size_of::<f32>() as u64;
        Self { bytes_read: bytes(read), bytes_written: bytes(written), operations: operations as u64 }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.operations += other.operations;
    }
}

/// One launch. Memory is given beside it, a piece a slot of the table's row.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The kernel.
    pub kernel: Kernel,
    /// Blocks along x, y and z; at most 65,535 along y and z.
    pub grid: [u32; 3],
    /// Its argument struct.
    pub arguments: Vec<u32>,
    /// What it costs.
    pub traffic: Traffic,
}

/// The most blocks along y and z.
const MOST_BLOCKS: u32 = 65_535;
/// Elements that a block of a kernel takes that has no shape of its own.
pub(super) const FLAT_ELEMENTS: usize = 1024;

impl Launch {
    /// A launch of `kernel`.
    ///
    /// # Errors
    /// `Internal` where the arguments are another kernel's, or the grid is none.
    pub fn new<T: Arguments>(
        kernel: Kernel,
        grid: [u32; 3],
        arguments: &T,
        traffic: Traffic,
    ) -> Result<Self> {
        let expected = kernel.row().arguments;
        if T::NAME != expected {
            return Err(Error::internal(format!("{} takes {expected}, not {}", kernel.name(), T::NAME)));
        }
        if grid.contains(&0) || grid[1].max(grid[2]) > MOST_BLOCKS {
            return Err(Error::internal(format!("{} cannot run on a grid of {grid:?}", kernel.name())));
        }
        Ok(Self { kernel, grid, arguments: words(arguments), traffic })
    }

    /// A launch of a body that is specialised for nothing, 1024 elements a block.
    ///
    /// # Errors
    /// Those of [`Launch::new`], and of more elements than a device counts.
    pub fn flat<T: Arguments>(body: Body, elements: usize, arguments: &T, traffic: Traffic) -> Result<Self> {
        let blocks = whole(elements.div_ceil(FLAT_ELEMENTS))?;
        Self::new(Kernel::of(body), [blocks, 1, 1], arguments, traffic)
    }
}

/// A number as kernels count: in 31 bits.
///
/// # Errors
/// `Config` for a larger one.
pub fn whole(number: usize) -> Result<u32> {
    u32::try_from(number).ok().filter(|&number| number < 1 << 31).ok_or_else(|| {
        Error::config(format!(
            "a device counts below 2147483648, and {number} was asked for; make the batch smaller"
        ))
    })
}

/// Two numbers, as [`whole`].
///
/// # Errors
/// Its own.
pub fn pair(numbers: [usize; 2]) -> Result<[u32; 2]> {
    Ok([whole(numbers[0])?, whole(numbers[1])?])
}
