//! The most memory that a place had in use: one number, counted the same way for whoever asks.
//!
//! - On the CPU all that Rust code of this process had allocated, as [`crate::memory`] counts it.
//! - On a device the blocks that its pool had from the driver, in use or kept for the next step.

use super::place::Place;
use crate::memory;

/// The most bytes of the memory of `place` that were in use, since the program began or [`reset_peak`].
pub fn peak_bytes(place: &Place) -> usize {
    match place {
        #[cfg(feature = "device")]
        Place::Device(engine) => engine.usage().held_bytes,
        Place::Host | Place::Counted(_) => memory::peak(),
    }
}

/// Lets the most that the CPU and `place` remember begin again at what is in use now, for the whole process.
pub fn reset_peak(place: &Place) {
    memory::reset_peak();
    match place {
        #[cfg(feature = "device")]
        Place::Device(engine) => engine.reset_peak(),
        Place::Host | Place::Counted(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_cpu_it_is_the_allocators_count() {
        // This program has not chosen the allocator that counts.
        assert_eq!(peak_bytes(&Place::Host), memory::peak());
    }
}
