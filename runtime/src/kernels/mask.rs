//! A bit an element: which outputs of a clamp lie inside it.

use super::simd::{Isa, Kernel, Simd};
use crate::deal::pairs;

/// Elements to a task, whole bytes of bits.
const PIECE: usize = 1 << 15;
/// Elements of a byte of bits.
const BYTE: usize = 8;
/// Elements that every instruction set handles as whole vectors and whole bytes.
const GROUP: usize = 16;

/// Bit `i % 8` of byte `i / 8` says whether `0 < y[i] < upper`.
pub fn pack(isa: Isa, y: &[f32], upper: f32) -> Vec<u8> {
    let mut bits = vec![0u8; y.len().div_ceil(BYTE)];
    pairs((&mut bits, PIECE / BYTE), (y, PIECE), &|bits, y| isa.run(Pack { y, upper, bits }));
    bits
}

/// Elements to be packed.
pub(super) struct Pack<'a> {
    pub(super) y: &'a [f32],
    pub(super) upper: f32,
    pub(super) bits: &'a mut [u8],
}

impl Kernel for Pack<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let groups = self.y.as_chunks::<GROUP>();
        let done = groups.0.len() * GROUP;
        for (y, bits) in groups.0.iter().zip(self.bits.as_chunks_mut::<{ GROUP / BYTE }>().0) {
            let mut word = 0;
            for lane in (0..GROUP).step_by(S::LANES) {
                // SAFETY: the CPU has `S`, and a group is whole vectors.
                let inside = unsafe {
                    let v = S::load(y.as_ptr().add(lane));
                    S::between(v, S::zero(), S::splat(self.upper))
                };
                word |= inside << lane;
            }
            *bits = (word as u16).to_le_bytes();
        }
        for (byte, y) in self.bits[done / BYTE..].iter_mut().zip(self.y[done..].chunks(BYTE)) {
            let bit = |(i, &y): (usize, &f32)| u8::from(y > 0.0 && y < self.upper) << i;
            *byte = y.iter().enumerate().map(bit).sum();
        }
    }
}

/// Sets `d` to 0 wherever its bit is not set.
pub fn apply(isa: Isa, d: &mut [f32], bits: &[u8]) {
    pairs((d, PIECE), (bits, PIECE / BYTE), &|d, bits| isa.run(Apply { d, bits }));
}

/// Elements to be kept or not.
struct Apply<'a> {
    d: &'a mut [f32],
    bits: &'a [u8],
}

impl Kernel for Apply<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let (groups, rest) = self.d.as_chunks_mut::<GROUP>();
        let words = self.bits.as_chunks::<{ GROUP / BYTE }>().0;
        let rest_bits = &self.bits[groups.len() * GROUP / BYTE..];
        for (d, &word) in groups.iter_mut().zip(words) {
            let word = u32::from(u16::from_le_bytes(word));
            for lane in (0..GROUP).step_by(S::LANES) {
                // SAFETY: the CPU has `S`, and a group is whole vectors.
                unsafe {
                    let p = d.as_mut_ptr().add(lane);
                    S::store(p, S::keep(S::load(p), word >> lane));
                }
            }
        }
        for (d, &byte) in rest.chunks_mut(BYTE).zip(rest_bits) {
            for (i, d) in d.iter_mut().enumerate() {
                *d = if byte >> i & 1 == 1 { *d } else { 0.0 };
            }
        }
    }
}
