//! NEON: four lanes, thirty-two registers.

use super::{Kernel, Simd};
use std::arch::aarch64::*;
use std::arch::asm;

/// Vectors of four f32.
#[derive(Clone, Copy)]
pub(super) struct Neon;

/// Whether this CPU, under this operating system, has everything that [`run`] is compiled for.
pub(super) fn detected() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

/// Runs `kernel` compiled for NEON.
// Not inlined: a kernel's registers are assigned best when nothing else competes for them.
#[inline(never)]
#[target_feature(enable = "neon")]
pub(super) fn run(kernel: impl Kernel) {
    // SAFETY: this function is compiled for NEON, and whoever calls it has checked for it.
    unsafe { kernel.run::<Neon>() }
}

// SAFETY: the methods read and write no more than LANES f32 at the pointers they are given.
unsafe impl Simd for Neon {
    type V = float32x4_t;
    const LANES: usize = 4;
    const REGISTERS: usize = 32;
    const FEW: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> float32x4_t {
        // SAFETY: the caller runs on a CPU with NEON; so in every method.
        unsafe { vdupq_n_f32(0.0) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> float32x4_t {
        // SAFETY: see `zero`.
        unsafe { vdupq_n_f32(x) }
    }

    #[inline(always)]
    unsafe fn few(p: *const f32) -> float32x4_t {
        // SAFETY: see `load`.
        unsafe { vld1q_f32(p) }
    }

    // Becomes a part of the multiplication: `fmla` by element.
    #[inline(always)]
    unsafe fn pick(few: float32x4_t, i: usize) -> float32x4_t {
        // SAFETY: see `zero`.
        unsafe {
            match i {
                0 => vdupq_laneq_f32::<0>(few),
                1 => vdupq_laneq_f32::<1>(few),
                2 => vdupq_laneq_f32::<2>(few),
                _ => vdupq_laneq_f32::<3>(few),
            }
        }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> float32x4_t {
        // SAFETY: see `zero`; the caller's pointer is good for all lanes.
        unsafe { vld1q_f32(p) }
    }

    #[inline(always)]
    unsafe fn fetch(p: *const f32) {
        // SAFETY: a hint: nothing is read, and no address is wrong.
        unsafe { asm!("prfm pldl2keep, [{p}]", p = in(reg) p, options(nostack, preserves_flags, readonly)) }
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, v: float32x4_t) {
        // SAFETY: see `load`.
        unsafe { vst1q_f32(p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: float32x4_t, n: usize) {
        let mut all = [0f32; 4];
        // SAFETY: see `zero`; `all` holds every lane, and the caller's pointer is good for the first `n`.
        unsafe {
            vst1q_f32(all.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(all.as_ptr(), p, n);
        }
    }

    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see `zero`.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    unsafe fn add(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see `zero`.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see `zero`.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see `zero`.
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    unsafe fn between(v: float32x4_t, low: float32x4_t, high: float32x4_t) -> u32 {
        // SAFETY: see `zero`; the array holds four lanes.
        unsafe {
            let lanes = vld1q_u32([1, 2, 4, 8].as_ptr());
            vaddvq_u32(vandq_u32(vandq_u32(vcltq_f32(low, v), vcltq_f32(v, high)), lanes))
        }
    }

    #[inline(always)]
    unsafe fn keep(v: float32x4_t, bits: u32) -> float32x4_t {
        // SAFETY: see `between`.
        unsafe {
            let set = vtstq_u32(vdupq_n_u32(bits), vld1q_u32([1, 2, 4, 8].as_ptr()));
            vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), set))
        }
    }
}
