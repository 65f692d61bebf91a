//! The memory of a place that has some of its own: how much a run may take, and how much it would; and how hot it is.

use super::{Map, Place};
#[cfg(feature = "cuda")]
use crate::device;
#[cfg(feature = "device")]
use crate::device::{array::Array, engine::Engine, table::body::Element};
#[cfg(feature = "cuda")]
use crate::device::{idle::Idle, table::all::Class};
use crate::error::Result;
use crate::precision::ProductPrecision;

/// What was taken of a place's memory since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The most that was in use at once.
    pub used_bytes: usize,
    /// The same with what was kept for the next step.
    pub held_bytes: usize,
}

impl Place {
    #[cfg(feature = "device")]
    fn engine(&self) -> Option<&Engine> {
        match self {
            Self::Device(engine) => Some(engine),
            _ => None,
        }
    }

    /// A place like this where nothing is done and all numbers are 0, but each map takes what it would take here; none where
    /// memory is the process's.
    pub fn rehearsal(&self) -> Option<Self> {
        #[cfg(feature = "device")]
        return self.engine().map(|engine| Self::Device(engine.rehearsal()));
        #[cfg(not(feature = "device"))]
        None
    }

    /// A card of that name that is not here, for plans: one with tensor cores, by which products are of this precision, where nothing
    /// is done. None for names of no card, and in builds without CUDA.
    pub fn imagined(name: &str, products: ProductPrecision) -> Option<Self> {
        #[cfg(feature = "cuda")]
        if let Ok(("cuda", _)) = device::kind_and_number(name) {
            let class = Class::TensorCores { passes: 3 }.with_products(products, name).ok()?;
            return Some(Self::Device(Engine::new(name, Idle::default(), class)));
        }
        #[cfg(not(feature = "cuda"))]
        let _ = (name, products);
        None
    }

    /// What was taken of its memory, where there is a rehearsal of it.
    pub fn taken(&self) -> Taken {
        #[cfg(feature = "device")]
        if let Some(engine) = self.engine() {
            let usage = engine.usage();
            return Taken { used_bytes: usage.peak_bytes, held_bytes: usage.held_bytes };
        }
        Taken::default()
    }

    /// So many bytes of its memory, which are taken until the map is dropped; none where memory is the process's.
    ///
    /// # Errors
    /// `Memory` where there is no room.
    pub(crate) fn claim(&self, bytes: usize) -> Result<Option<Map>> {
        #[cfg(feature = "device")]
        if let Some(engine) = self.engine().filter(|_| bytes > 0) {
            return Ok(Some(Map::Device(Array::empty(engine, Element::U8, &[bytes])?)));
        }
        let _ = bytes;
        Ok(None)
    }

    /// Bytes of its memory that are free for a run, where that can be told and it is no memory of the process.
    pub fn free_bytes(&self) -> Option<usize> {
        #[cfg(feature = "device")]
        return self.engine().and_then(Engine::free_bytes);
        #[cfg(not(feature = "device"))]
        None
    }

    /// How hot the device is, in degrees Celsius; none where it is the processor.
    ///
    /// # Errors
    /// `Device`, with the reason, where that is not told.
    pub fn celsius(&self) -> Result<Option<f64>> {
        #[cfg(feature = "device")]
        return self.engine().map(Engine::celsius).transpose();
        #[cfg(not(feature = "device"))]
        Ok(None)
    }

    /// Lets what was taken begin again at what is.
    pub fn take_again(&self) {
        #[cfg(feature = "device")]
        if let Some(engine) = self.engine() {
            engine.reset_peak();
        }
    }

    /// Has a run keep to `limit_bytes` of its memory, past which it fails, and keep at most `kept_bytes` for the next step.
    ///
    /// # Errors
    /// Those of the device.
    pub fn allow(&self, limit_bytes: Option<usize>, kept_bytes: Option<usize>) -> Result<()> {
        #[cfg(feature = "device")]
        if let Some(engine) = self.engine() {
            engine.limit(limit_bytes.unwrap_or(usize::MAX))?;
            engine.keep(kept_bytes.unwrap_or(usize::MAX))?;
        }
        #[cfg(not(feature = "device"))]
        let _ = (limit_bytes, kept_bytes);
        Ok(())
    }
}
