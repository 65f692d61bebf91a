//! The mask of inverted dropout: a pure function of the seed and the position, so nothing is kept.

use super::pieces::PIECE;
use crate::deal::all;

/// Multiplies `x`, whose elements stand at `first` and on, by its mask: 0 with the given probability, else
/// 1 / (1 - probability).
pub fn apply(x: &mut [f32], probability: f64, seed: u64, first: usize) {
    let mask = Mask::new(probability, seed);
    all(x.chunks_mut(PIECE).enumerate(), |(piece, x)| {
        for (i, x) in (first + piece * PIECE..).zip(x) {
            *x *= mask.at(i);
        }
    });
}

/// The mask itself, for devices that multiply by it.
pub fn mask(len: usize, probability: f64, seed: u64, first: usize) -> Vec<f32> {
    let mask = Mask::new(probability, seed);
    let mut numbers = vec![0.0; len];
    all(numbers.chunks_mut(PIECE).enumerate(), |(piece, numbers)| {
        for (i, number) in (first + piece * PIECE..).zip(numbers) {
            *number = mask.at(i);
        }
    });
    numbers
}

struct Mask {
    seed: u64,
    threshold: u64,
    kept: f32,
}

impl Mask {
    fn new(probability: f64, seed: u64) -> Self {
        let kept = if probability < 1.0 { (1.0 / (1.0 - probability)) as f32 } else { 0.0 };
        Self { seed: mix(seed), threshold: (probability * 4_294_967_296.0) as u64, kept }
    }

    #[inline(always)]
    fn at(&self, index: usize) -> f32 {
        let bits = mix(self.seed.wrapping_add((index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
        if bits >> 32 < self.threshold { 0.0 } else { self.kept }
    }
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// 2014).
#[inline(always)]
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
