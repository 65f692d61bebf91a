//! The order of the samples in an epoch, computed place by place rather than stored.

use super::mix::{Purpose, key, mix};

const ROUNDS: u64 = 8;
/// Sets smaller than 256 samples are shuffled within that many places, for the sake of the mixing.
const MIN_HALF_BITS: u32 = 4;

/// A permutation of `0..len` that is a function of seed and epoch: a Feistel network on the next
/// power of four, walked until it lands inside (Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains").
pub(super) struct Order {
    len: u64,
    half_bits: u32,
    key: u64,
}

impl Order {
    pub(super) fn new(len: usize, seed: u64, epoch: u64) -> Self {
        let bits = u64::BITS - (len as u64).saturating_sub(1).leading_zeros();
        Self {
            len: len as u64,
            half_bits: bits.div_ceil(2).max(MIN_HALF_BITS),
            key: key(Purpose::Order, &[seed, epoch]),
        }
    }

    /// The sample at `place`, which must be below the length.
    pub(super) fn sample(&self, place: usize) -> usize {
        // A permutation leads every place inside back inside, at the latest to itself.
        let mut number = self.scramble(place as u64);
        while number >= self.len {
            number = self.scramble(number);
        }
        number as usize
    }

    fn scramble(&self, number: u64) -> u64 {
        let mask = u64::MAX >> (u64::BITS - self.half_bits);
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        for round in 0..ROUNDS {
            let noise = mix(self.key ^ (round << self.half_bits | right).wrapping_mul(0xd6e8_feb8_6659_fd93));
            (left, right) = (right, left ^ (noise & mask));
        }
        left << self.half_bits | right
    }
}
