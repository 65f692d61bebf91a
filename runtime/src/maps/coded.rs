//! What an optimizer remembers of a weight, in 8 bits a number.

use super::Map;
use super::counted::ledger::Part;
use super::place::{Place, Room};
use crate::error::{Error, Result};
use crate::kernels::eight_bit::{BLOCK, widen, zero};
pub use crate::kernels::eight_bit::{Levels, SIGNED, UNSIGNED, scales};
use crate::kernels::optimizer::CodedSlices;

/// The bytes of a block of numbers beside their codes.
const SCALE_BYTES: usize = size_of::<f32>();

/// Numbers in 8 bits: a code for each, and a scale for each block of them (see [`crate::kernels::eight_bit`]).
#[derive(Clone, Debug)]
pub struct Coded {
    /// The codes; none where they are only counted.
    pub codes: Vec<u8>,
    /// The scales.
    pub scales: Vec<f32>,
    count: usize,
    _room: Room,
}

impl Coded {
    /// As many zeros as `like` has numbers, where it is.
    ///
    /// # Errors
    /// `Config` on a device.
    pub fn zeros(like: &Map, levels: &Levels) -> Result<Self> {
        let count = like.elem_count();
        match like.place() {
            Place::Host => {
                let (codes, scales) = (vec![zero(levels); count], vec![0.0; scales(count)]);
                Ok(Self { codes, scales, count, _room: Room::default() })
            }
            place @ Place::Counted(_) => {
                let _room = place.room(Part::Optimizer, bytes(count));
                Ok(Self { codes: Vec::new(), scales: Vec::new(), count, _room })
            }
            #[cfg(feature = "device")]
            Place::Device(_) => Err(on_the_cpu_only()),
        }
    }

    /// On the host, from its parts.
    ///
    /// # Errors
    /// `Format` where they do not belong together.
    pub fn new(codes: Vec<u8>, scales: Vec<f32>) -> Result<Self> {
        let count = codes.len();
        if scales.len() != self::scales(count) {
            let found = scales.len();
            return Err(Error::format(format!("{count} numbers in 8 bits have {found} scales")));
        }
        Ok(Self { codes, scales, count, _room: Room::default() })
    }

    /// How many numbers they are.
    pub fn elem_count(&self) -> usize {
        self.count
    }

    /// Codes and scales, to be changed.
    pub(crate) fn slices(&mut self) -> CodedSlices<'_> {
        (&mut self.codes, &mut self.scales)
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        bytes(self.count)
    }

    /// The numbers, of what is on the host.
    pub fn numbers(&self, levels: &Levels) -> Vec<f32> {
        let mut numbers = vec![0.0; self.codes.len()];
        let blocks = self.codes.chunks(BLOCK).zip(&self.scales).zip(numbers.chunks_mut(BLOCK));
        blocks.for_each(|((codes, &scale), numbers)| widen(codes, scale, levels, numbers));
        numbers
    }
}

fn bytes(count: usize) -> usize {
    count + SCALE_BYTES * scales(count)
}

/// The refusal of a device.
pub(crate) fn on_the_cpu_only() -> Error {
    Error::config("optimizer state in 8 bits is there on the CPU only; leave it in f32 on a device")
}
