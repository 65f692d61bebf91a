//! AVX-512: sixteen lanes, thirty-two registers.

use super::{Kernel, Simd};
use std::arch::x86_64::*;

/// Vectors of sixteen f32.
#[derive(Clone, Copy)]
pub(super) struct Avx512;

/// Whether this CPU, under this operating system, has everything that [`run`] is compiled for.
pub(super) fn detected() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
}

/// Runs `kernel` compiled for AVX-512.
// Not inlined: a kernel's registers are assigned best when nothing else competes for them.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
pub(super) fn run(kernel: impl Kernel) {
    // SAFETY: this function is compiled for the features, and whoever calls it has checked them.
    unsafe { kernel.run::<Avx512>() }
}

// SAFETY: the methods read and write no more than LANES f32 at the pointers they are given.
unsafe impl Simd for Avx512 {
    type V = __m512;
    const LANES: usize = 16;
    const REGISTERS: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> __m512 {
        // SAFETY: the caller runs on a CPU with AVX-512; so in every method.
        unsafe { _mm512_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: see `zero`.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m512 {
        // SAFETY: see `zero`; the caller's pointer is good for all lanes.
        unsafe { _mm512_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn fetch(p: *const f32) {
        // SAFETY: see `zero`; nothing is read.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m512) {
        // SAFETY: see `load`.
        unsafe { _mm512_storeu_ps(p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: __m512, n: usize) {
        let mask = ((1u32 << n) - 1) as __mmask16;
        // SAFETY: see `zero`; lanes outside the mask are not written.
        unsafe { _mm512_mask_storeu_ps(p, mask, v) }
    }

    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see `zero`.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `zero`.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `zero`.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m512, b: __m512) -> __m512 {
        // SAFETY: see `zero`.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn between(v: __m512, low: __m512, high: __m512) -> u32 {
        // SAFETY: see `zero`.
        unsafe {
            let above = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(low, v);
            u32::from(_mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(above, v, high))
        }
    }

    #[inline(always)]
    unsafe fn keep(v: __m512, bits: u32) -> __m512 {
        // SAFETY: see `zero`.
        unsafe { _mm512_maskz_mov_ps(bits as u16, v) }
    }
}
