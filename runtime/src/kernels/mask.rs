//! A bit an element: which outputs of a clamp lie inside it.

use rayon::prelude::*;

/// Elements to a task, whole bytes of bits.
const PIECE: usize = 1 << 15;

/// Bit `i % 8` of byte `i / 8` says whether 0 < y[i] < `upper`.
pub fn pack(y: &[f32], upper: f32) -> Vec<u8> {
    let mut bits = vec![0u8; y.len().div_ceil(8)];
    bits.par_chunks_mut(PIECE / 8).zip(y.par_chunks(PIECE)).for_each(|(bits, y)| {
        for (byte, y) in bits.iter_mut().zip(y.chunks(8)) {
            for (i, &y) in y.iter().enumerate() {
                *byte |= u8::from(y > 0.0 && y < upper) << i;
            }
        }
    });
    bits
}

/// Sets `d` to 0 wherever its bit is not set.
pub fn apply(d: &mut [f32], bits: &[u8]) {
    d.par_chunks_mut(PIECE).zip(bits.par_chunks(PIECE / 8)).for_each(|(d, bits)| {
        for (d, &byte) in d.chunks_mut(8).zip(bits) {
            for (i, d) in d.iter_mut().enumerate() {
                // All ones or all zeros: a select that vectorises.
                let keep = 0u32.wrapping_sub(u32::from(byte >> i & 1));
                *d = f32::from_bits(d.to_bits() & keep);
            }
        }
    });
}
