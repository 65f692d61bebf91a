//! Numbers in 8 bits: of each the nearest level of a dynamic map, and of each block of them its largest magnitude, which the
//! levels are shares of (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization").
//!
//! The levels lie in seven decades below 1, twice as many in each as in the one below, so that small numbers have few of them
//! and large ones many, beside 0 and 1. Signed numbers have the levels of both signs; those that are never negative have twice
//! as many.

use super::simd::{Isa, Kernel, Simd};

/// Numbers that share a scale. The last block may have fewer.
pub const BLOCK: usize = 256;

/// Levels, or codes, of either map.
const LEVELS: usize = 256;
/// The code of 0 where numbers have signs: that of the n-th level above 0 is n more, and that below n less.
const SIGNED_ZERO: usize = 127;
const DECADES: usize = 7;
/// Magnitudes with equal upper 16 bits are looked up together: so few lie in one that no more than one middle between two
/// levels does. All below the first of them are nearest to 0.
const SHIFT: u32 = 16;
/// The lower bits, and no less than any of them.
const LOWER: u32 = (1 << SHIFT) - 1;
const SIGN: u32 = 1 << 31;
const FIRST: u32 = (1.0f32 / (1 << 23) as f32).to_bits() >> SHIFT;
const BUCKETS: usize = ((1.0f32.to_bits() >> SHIFT) - FIRST) as usize + 1;

/// How numbers become codes and codes numbers.
#[derive(Debug)]
pub struct Levels {
    /// The share of the scale that each code stands for.
    by_code: [f32; LEVELS],
    /// Of each bucket the level of its least magnitude, and above that in 16 bits the lower bits of the middle between it and
    /// the next: magnitudes above them have the next.
    buckets: [u32; BUCKETS],
    /// Whether numbers have signs.
    signed: bool,
}

/// Of numbers with signs, such as a mean of gradients.
pub static SIGNED: Levels = Levels::new(true);
/// Of numbers that are never negative, such as a mean of squares. One that is not 0 does not become 0, because updates
/// divide by its root.
pub static UNSIGNED: Levels = Levels::new(false);

impl Levels {
    const fn new(signed: bool) -> Self {
        let (magnitudes, count) = magnitudes(signed);
        let mut levels = Self { by_code: [0.0; LEVELS], buckets: [0; BUCKETS], signed };
        let mut level = 0;
        while level < count {
            let zero = if signed { SIGNED_ZERO } else { 0 };
            levels.by_code[zero + level] = magnitudes[level] as f32;
            if signed && level > 0 && level <= SIGNED_ZERO {
                levels.by_code[zero - level] = -(magnitudes[level] as f32);
            }
            level += 1;
        }
        let (mut bucket, mut level) = (0, 0);
        while bucket < BUCKETS {
            let upper = FIRST + bucket as u32;
            while level + 1 < count && upper << SHIFT > middle(&magnitudes, level) {
                level += 1;
            }
            let middle = if level + 1 < count { middle(&magnitudes, level) } else { u32::MAX };
            let lower = if middle >> SHIFT == upper { middle & LOWER } else { LOWER };
            levels.buckets[bucket] = lower << 8 | level as u32;
            bucket += 1;
        }
        levels
    }

    /// The code of a share of the scale, from -1 to 1. Without branches, so that loops over it fill vectors.
    #[inline(always)]
    fn code(&self, share: f32, signed: bool) -> u8 {
        let bits = share.to_bits();
        let magnitude = bits & !SIGN;
        let bucket = (magnitude >> SHIFT).max(FIRST) - FIRST;
        let bucket = self.buckets[(bucket as usize).min(BUCKETS - 1)];
        let level = (bucket & 0xff) + u32::from(magnitude & LOWER > bucket >> 8);
        // There are 256 codes.
        if signed {
            // Below 0 there is a level less.
            let negative = bits >> 31;
            let level = level.min(SIGNED_ZERO as u32 + 1 - negative);
            (if negative == 0 { SIGNED_ZERO as u32 + level } else { SIGNED_ZERO as u32 - level }) as u8
        } else {
            level.max(u32::from(share > 0.0)) as u8
        }
    }
}

/// The bits of the middle between a level from 0 up and the next.
const fn middle(magnitudes: &[f64; LEVELS], level: usize) -> u32 {
    (((magnitudes[level] + magnitudes[level + 1]) / 2.0) as f32).to_bits()
}

/// The levels from 0 to 1, and how many they are.
const fn magnitudes(signed: bool) -> ([f64; LEVELS], usize) {
    let mut found = [0.0; LEVELS];
    let (mut count, mut decade, mut largest) = (1, 0, 1e-6);
    let mut parts = if signed { 1 } else { 2 };
    while decade < DECADES {
        let mut part = 0;
        while part < parts {
            // The middle of each of so many equal parts of the decade.
            let share = 0.1 + 0.9 * (part as f64 + 0.5) / parts as f64;
            found[count] = share * largest;
            count += 1;
            part += 1;
        }
        parts *= 2;
        largest *= 10.0;
        decade += 1;
    }
    found[count] = 1.0;
    (found, count + 1)
}

/// The numbers of a block.
pub fn widen(codes: &[u8], scale: f32, levels: &Levels, numbers: &mut [f32]) {
    for (number, &code) in numbers.iter_mut().zip(codes) {
        *number = levels.by_code[usize::from(code)] * scale;
    }
}

/// The codes of a block; its scale, which is NaN where a number is not finite.
pub fn narrow(isa: Isa, numbers: &[f32], levels: &Levels, codes: &mut [u8]) -> f32 {
    let mut scale = f32::NAN;
    isa.run(Narrow { numbers, levels, codes, scale: &mut scale });
    scale
}

/// A block to be narrowed.
struct Narrow<'a> {
    numbers: &'a [f32],
    levels: &'a Levels,
    codes: &'a mut [u8],
    scale: &'a mut f32,
}

impl Kernel for Narrow<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(self) {
        let Self { numbers, levels, codes, scale } = self;
        // Magnitudes are in the order of their bits, and none that is not finite is below another.
        let largest = numbers.iter().fold(0, |largest, number| (number.to_bits() & !SIGN).max(largest));
        let largest = f32::from_bits(largest);
        if !largest.is_finite() {
            codes.fill(0);
            return;
        }
        *scale = largest;
        // Where all are 0 any divisor will do.
        let divisor = if largest > 0.0 { largest } else { 1.0 };
        let pairs = codes.iter_mut().zip(numbers);
        // Each of the two loops knows which it is.
        if levels.signed {
            pairs.for_each(|(code, &number)| *code = levels.code(number / divisor, true));
        } else {
            pairs.for_each(|(code, &number)| *code = levels.code(number / divisor, false));
        }
    }
}

/// How many scales so many numbers have.
pub fn scales(count: usize) -> usize {
    count.div_ceil(BLOCK)
}

/// The code of 0.
pub fn zero(levels: &Levels) -> u8 {
    levels.code(0.0, levels.signed)
}
