//! The most memory that a place had in use: one number, counted the same way for whoever asks.
//!
//! - On the CPU all that Rust code of this process had allocated, as [`crate::memory`] counts it.
//! - On a device with kernels of our own the blocks that its pool had from the driver, in use or kept for the next step.
//! - On Metal what this process had allocated on the device, buffers that are kept for later included, at the moments
//!   when somebody looks.

use super::place::Place;
use crate::device;
use crate::memory;

/// Watches one place.
#[derive(Debug)]
pub struct PeakMemory {
    place: Place,
    /// The most that was seen at a look.
    seen_bytes: usize,
}

impl PeakMemory {
    /// Begins to watch `place`. Where it remembers its most by itself, that is from [`reset_peak`] on, or from when the
    /// program began.
    pub fn watch(place: &Place) -> Self {
        Self { place: place.clone(), seen_bytes: used_bytes(place).unwrap_or(0) }
    }

    /// Looks how much is in use now. To be called where much is: some devices remember no peak.
    pub fn look(&mut self) {
        self.seen_bytes = self.seen_bytes.max(used_bytes(&self.place).unwrap_or(0));
    }

    /// The most bytes so far.
    pub fn bytes(&self) -> usize {
        used_bytes(&self.place).map_or_else(memory::peak, |bytes| bytes.max(self.seen_bytes))
    }
}

/// Lets the most that the CPU and `place` remember begin again at what is in use now, for the whole process.
pub fn reset_peak(place: &Place) {
    memory::reset_peak();
    match place {
        #[cfg(feature = "device")]
        Place::Device(engine) => engine.reset_peak(),
        Place::Host | Place::Composed(_) | Place::Counted(_) => {}
    }
}

/// Bytes in use on a device now, or the most where it remembers it; none where memory is the process's.
fn used_bytes(place: &Place) -> Option<usize> {
    match place {
        Place::Composed(device) if !device.is_cpu() => Some(device::used_bytes(device)),
        #[cfg(feature = "device")]
        Place::Device(engine) => Some(engine.usage().held_bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu_it_is_the_allocators_count() {
        let mut peak = PeakMemory::watch(&Place::Host);
        peak.look();
        // This program has not chosen the allocator that counts.
        assert_eq!(peak.bytes(), memory::peak());
    }
}
