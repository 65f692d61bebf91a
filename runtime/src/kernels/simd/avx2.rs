//! AVX2 with FMA: eight lanes, sixteen registers.

use super::{Kernel, Simd};
use std::arch::x86_64::*;

/// Vectors of eight f32.
#[derive(Clone, Copy)]
pub(super) struct Avx2;

/// Whether this CPU, under this operating system, has everything that [`run`] is compiled for.
pub(super) fn detected() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
}

/// Runs `kernel` compiled for AVX2 and FMA.
// Not inlined: a kernel's registers are assigned best when nothing else competes for them.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(kernel: impl Kernel) {
    // SAFETY: this function is compiled for the features, and whoever calls it has checked them.
    unsafe { kernel.run::<Avx2>() }
}

// SAFETY: the methods read and write no more than LANES f32 at the pointers they are given.
unsafe impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        // SAFETY: the caller runs on a CPU with AVX2 and FMA; so in every method.
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        // SAFETY: see `zero`.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> __m256 {
        // SAFETY: see `zero`; the caller's pointer is good for all lanes.
        unsafe { _mm256_loadu_ps(p) }
    }

    #[inline(always)]
    unsafe fn fetch(p: *const f32) {
        // SAFETY: see `zero`; nothing is read.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(p.cast()) }
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, v: __m256) {
        // SAFETY: see `load`.
        unsafe { _mm256_storeu_ps(p, v) }
    }

    #[inline(always)]
    unsafe fn store_first(p: *mut f32, v: __m256, n: usize) {
        let mut all = [0f32; 8];
        // SAFETY: see `zero`; `all` holds every lane, and the caller's pointer is good for the first `n`.
        unsafe {
            _mm256_storeu_ps(all.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(all.as_ptr(), p, n);
        }
    }

    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see `zero`.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see `zero`.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn sub(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see `zero`.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn mul(a: __m256, b: __m256) -> __m256 {
        // SAFETY: see `zero`.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    unsafe fn between(v: __m256, low: __m256, high: __m256) -> u32 {
        // SAFETY: see `zero`.
        unsafe {
            let above = _mm256_cmp_ps::<_CMP_LT_OQ>(low, v);
            _mm256_movemask_ps(_mm256_and_ps(above, _mm256_cmp_ps::<_CMP_LT_OQ>(v, high))) as u32
        }
    }

    #[inline(always)]
    unsafe fn keep(v: __m256, bits: u32) -> __m256 {
        // SAFETY: see `zero`.
        unsafe {
            let lanes = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(bits as i32), lanes), lanes);
            _mm256_and_ps(v, _mm256_castsi256_ps(set))
        }
    }
}
