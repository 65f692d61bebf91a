//! Vectors of f32 on whatever the CPU has: AVX-512, AVX2 with FMA, NEON or plain arrays, chosen at run time.
//!
//! Libraries for Android have no AVX-512: it runs on x86 in emulators and on small processors, and every package would be
//! larger for it.
//!
//! A kernel is written once over [`Simd`] as a [`Kernel`], and [`Isa::run`] compiles it for every instruction
//! set. Everything below [`Kernel::run`] must be `#[inline(always)]`: a function that is not inlined would be
//! compiled without the instruction set's registers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(all(target_arch = "x86_64", not(target_os = "android")))]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

/// Arithmetic on vectors of [`Simd::LANES`] f32.
///
/// # Safety
/// An implementation may rely on what every method asks of its caller: the CPU has the instruction set (true
/// inside [`Kernel::run`]), and pointers are good for the lanes that are read or written.
#[allow(clippy::missing_safety_doc)] // said once, above
pub unsafe trait Simd: Copy {
    /// One vector.
    type V: Copy;
    /// f32 in a vector.
    const LANES: usize;
    /// Vector registers, which decide how large a tile of sums may be.
    const REGISTERS: usize;
    /// Whether `f32::mul_add` is an instruction; elsewhere it is a slow call.
    const FUSES: bool = true;
    /// Neighbouring f32 that [`Simd::few`] reads: a vector where an instruction multiplies by one of its lanes, which
    /// spares reading each of them by itself, else one.
    const FEW: usize = 1;

    /// All lanes zero.
    unsafe fn zero() -> Self::V;
    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self::V;
    /// Reads [`Simd::FEW`] f32 for [`Simd::pick`]; `p` need not be aligned.
    #[inline(always)]
    unsafe fn few(p: *const f32) -> Self::V {
        // SAFETY: the caller's pointer is good for one f32.
        unsafe { Self::splat(*p) }
    }
    /// All lanes the `i`-th of a few, where the compiler can tell `i`.
    #[inline(always)]
    unsafe fn pick(few: Self::V, _i: usize) -> Self::V {
        few
    }
    /// How many of `len` neighbouring f32 are read a few at a time; those behind them are read one by one.
    #[inline(always)]
    fn together(len: usize) -> usize {
        if Self::FEW > 1 { len - len % Self::FEW } else { 0 }
    }
    /// Reads all lanes; `p` need not be aligned.
    unsafe fn load(p: *const f32) -> Self::V;
    /// Has the cache line of `p`, whatever that points at, brought near. Does nothing where there is no such instruction.
    unsafe fn fetch(_p: *const f32) {}
    /// Writes all lanes; `p` need not be aligned.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// Writes the first `n` lanes, `n <= LANES`.
    unsafe fn store_first(p: *mut f32, v: Self::V, n: usize);
    /// `a * b + c`, rounded once where the CPU can.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `a + b`.
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// `a - b`.
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// `a * b`.
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// Bit i says whether `low < v[i] < high`.
    unsafe fn between(v: Self::V, low: Self::V, high: Self::V) -> u32;
    /// The lanes whose bit is set, and 0 in the others.
    unsafe fn keep(v: Self::V, bits: u32) -> Self::V;
}

/// Work that is the same on every instruction set.
pub trait Kernel {
    /// Does the work with the vectors of `S`. Implement it `#[inline(always)]`.
    ///
    /// # Safety
    /// The caller is compiled for the instruction set of `S`, and the CPU has it. [`Isa::run`] sees to both.
    unsafe fn run<S: Simd>(self);
}

/// An instruction set that this CPU has. There is no way to make one that it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa(Instructions);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Instructions {
    #[cfg(all(target_arch = "x86_64", not(target_os = "android")))]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

impl Isa {
    /// The widest instruction set of this CPU.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            #[cfg(not(target_os = "android"))]
            if avx512::detected() {
                return Self(Instructions::Avx512);
            }
            if avx2::detected() {
                return Self(Instructions::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if neon::detected() {
            return Self(Instructions::Neon);
        }
        Self(Instructions::Portable)
    }

    /// Every instruction set of this CPU, the portable one first.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut all = vec![Self(Instructions::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if avx2::detected() {
                all.push(Self(Instructions::Avx2));
            }
            #[cfg(not(target_os = "android"))]
            if avx512::detected() {
                all.push(Self(Instructions::Avx512));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if neon::detected() {
            all.push(Self(Instructions::Neon));
        }
        all
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(all(target_arch = "x86_64", not(target_os = "android")))]
            Instructions::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => "neon",
            Instructions::Portable => "portable",
        }
    }

    /// f32 in one vector.
    pub fn lanes(self) -> usize {
        match self.0 {
            #[cfg(all(target_arch = "x86_64", not(target_os = "android")))]
            Instructions::Avx512 => avx512::Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => avx2::Avx2::LANES,
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => neon::Neon::LANES,
            Instructions::Portable => portable::Portable::LANES,
        }
    }

    /// Vector registers.
    pub fn registers(self) -> usize {
        match self.0 {
            #[cfg(all(target_arch = "x86_64", not(target_os = "android")))]
            Instructions::Avx512 => avx512::Avx512::REGISTERS,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => avx2::Avx2::REGISTERS,
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => neon::Neon::REGISTERS,
            Instructions::Portable => portable::Portable::REGISTERS,
        }
    }

    /// Runs `kernel` compiled for this instruction set.
    pub fn run(self, kernel: impl Kernel) {
        match self.0 {
            // SAFETY: a value of this kind exists only where the CPU was found to have the instruction set.
            #[cfg(all(target_arch = "x86_64", not(target_os = "android")))]
            Instructions::Avx512 => unsafe { avx512::run(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { avx2::run(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "aarch64")]
            Instructions::Neon => unsafe { neon::run(kernel) },
            // SAFETY: the portable vectors need nothing of the CPU.
            Instructions::Portable => unsafe { kernel.run::<portable::Portable>() },
        }
    }
}
