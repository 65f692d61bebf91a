//! A device that does nothing, so that what a step launches can be counted: all that is read off it is 0.

use super::driver::{Driver, Piece};
use super::launch::Launch;
use super::table::body::Element;
use crate::error::Result;

/// The driver of such a device. Its memory takes none.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// As the device whose launches are counted.
    pub shows_writes: bool,
}

impl Default for Idle {
    fn default() -> Self {
        Self { shows_writes: true }
    }
}

impl Driver for Idle {
    type Memory = ();

    fn allocate(&self, _: Element, _: usize) -> Result<()> {
        Ok(())
    }

    fn upload(&self, (): &(), _: usize, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn download(&self, (): &(), _: usize, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(0);
        Ok(())
    }

    fn copy(&self, (): &(), _: usize, (): &(), _: usize, _: usize) -> Result<()> {
        Ok(())
    }

    fn address(&self, (): &()) -> u64 {
        0
    }

    fn shows_writes(&self) -> bool {
        self.shows_writes
    }

    fn launch(&self, _: &Launch, _: &[Option<Piece<'_, ()>>]) -> Result<()> {
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        Ok(())
    }
}
