//! Plain arrays of four lanes, for every CPU and as the twin that the other vectors are tested against.

use super::Simd;

/// Vectors of four f32 in an array.
#[derive(Clone, Copy)]
pub(super) struct Portable;

// SAFETY: the methods read and write no more than LANES f32 at the pointers they are given.
unsafe impl Simd for Portable {
    type V = [f32; 4];
    const LANES: usize = 4;
    const REGISTERS: usize = 16;
    const FUSES: bool = false;

    #[inline(always)]
    unsafe fn zero() -> [f32; 4] {
        [0.0; 4]
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 4] {
        [x; 4]
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 4] {
        // SAFETY: the caller's pointer is good for all lanes, and an f32's bytes need no more alignment.
        unsafe { p.cast::<[f32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; 4]) {
        // SAFETY: see `load`.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(v) }
    }

    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: [f32; 4], n: usize) {
        for (i, lane) in v.into_iter().enumerate().take(n) {
            // SAFETY: the caller's pointer is good for the first `n` lanes.
            unsafe { p.add(i).write(lane) }
        }
    }

    #[inline(always)]
    unsafe fn fma(a: [f32; 4], b: [f32; 4], c: [f32; 4]) -> [f32; 4] {
        // Two roundings: without an FMA instruction `mul_add` would be a slow call.
        [a[0] * b[0] + c[0], a[1] * b[1] + c[1], a[2] * b[2] + c[2], a[3] * b[3] + c[3]]
    }

    #[inline(always)]
    unsafe fn add(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3]]
    }

    #[inline(always)]
    unsafe fn sub(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3]]
    }

    #[inline(always)]
    unsafe fn mul(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
        [a[0] * b[0], a[1] * b[1], a[2] * b[2], a[3] * b[3]]
    }

    #[inline(always)]
    unsafe fn between(v: [f32; 4], low: [f32; 4], high: [f32; 4]) -> u32 {
        let inside = |i: usize| u32::from(low[i] < v[i] && v[i] < high[i]) << i;
        inside(0) | inside(1) | inside(2) | inside(3)
    }

    #[inline(always)]
    unsafe fn keep(v: [f32; 4], bits: u32) -> [f32; 4] {
        let kept = |i: usize| if bits >> i & 1 == 1 { v[i] } else { 0.0 };
        [kept(0), kept(1), kept(2), kept(3)]
    }
}
