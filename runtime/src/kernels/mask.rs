//! A bit an element: which outputs of a clamp lie inside it.

use rayon::prelude::*;

/// Elements to a task, whole bytes of bits.
const PIECE: usize = 1 << 15;

/// Bit `i % 8` of byte `i / 8` says whether `0 < y[i] < upper`.
pub fn pack(y: &[f32], upper: f32) -> Vec<u8> {
    let mut bits = vec![0u8; y.len().div_ceil(8)];
    bits.par_chunks_mut(PIECE / 8).zip(y.par_chunks(PIECE)).for_each(|(bits, y)| {
        let mut open = [0u8; 8];
        for (byte, y) in bits.iter_mut().zip(y.chunks(8)) {
            open.fill(0);
            for (open, &y) in open.iter_mut().zip(y) {
                *open = u8::from((y > 0.0) & (y < upper));
            }
            *byte = gather_lowest_bits(u64::from_le_bytes(open));
        }
    });
    bits
}

/// Bit 8·i of `bytes` becomes bit i: the product moves each to its place in the top byte, and none collide.
fn gather_lowest_bits(bytes: u64) -> u8 {
    (bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8
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
