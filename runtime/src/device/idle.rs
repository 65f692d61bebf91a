//! A device that does nothing, so that what a step launches can be counted: all that is read off it is 0.

use super::driver::{Driver, Graphs, Node, Piece};
use super::launch::Launch;
use super::table::body::Element;
use crate::error::Result;
use std::cell::Cell;

/// The driver of such a device. Its memory takes none.
#[derive(Clone, Debug)]
pub struct Idle {
    /// As the device whose launches are counted.
    pub shows_writes: bool,
    /// Blocks that were given: each is at an address of its own, as on a device.
    pub blocks: Cell<u64>,
}

impl Default for Idle {
    fn default() -> Self {
        Self { shows_writes: true, blocks: Cell::new(0) }
    }
}

impl Driver for Idle {
    type Memory = u64;

    fn allocate(&self, _: Element, _: usize) -> Result<u64> {
        self.blocks.update(|blocks| blocks + 1);
        Ok(self.blocks.get())
    }

    fn upload(&self, _: &u64, _: usize, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn download(&self, _: &u64, _: usize, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(0);
        Ok(())
    }

    fn copy(&self, _: &u64, _: usize, _: &u64, _: usize, _: usize) -> Result<()> {
        Ok(())
    }

    fn address(&self, block: &u64) -> u64 {
        *block
    }

    fn shows_writes(&self) -> bool {
        self.shows_writes
    }

    fn launch(&self, _: &Launch, _: &[Option<Piece<'_, u64>>]) -> Result<()> {
        Ok(())
    }

    fn graphs(&self) -> Option<&dyn Graphs> {
        Some(self)
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }
}

impl Graphs for Idle {
    fn launch_node(&self, _: &Node) -> Result<()> {
        Ok(())
    }

    fn make_graph(&self, _: &[Node]) -> Result<u64> {
        Ok(0)
    }

    fn update_graph(&self, _: u64, _: usize, _: &Node) -> Result<()> {
        Ok(())
    }

    fn begin_graph(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn free_graph(&self, _: u64) {}
}
