//! Numbers in 8 bits: of each the nearest level of a dynamic map, and of each block of them its largest magnitude, which the
//! levels are shares of (Dettmers et al. 2022, "8-bit Optimizers via Block-wise Quantization").
//!
//! The levels lie in seven decades below 1, twice as many in each as in the one below, so that small numbers have few of them
//! and large ones many, beside 0 and 1. Signed numbers have the levels of both signs; those that are never negative have twice
//! as many.

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
const FIRST: u32 = (1.0f32 / (1 << 23) as f32).to_bits() >> SHIFT;
const BUCKETS: usize = ((1.0f32.to_bits() >> SHIFT) - FIRST) as usize + 1;

/// How numbers become codes and codes numbers.
#[derive(Debug)]
pub struct Levels {
    /// The share of the scale that each code stands for.
    by_code: [f32; LEVELS],
    /// Of each level above 0, from below: the middle between it and the next.
    middle: [f32; LEVELS],
    /// The level of the least magnitude in each bucket.
    least: [u8; BUCKETS],
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
        let mut levels =
            Self { by_code: [0.0; LEVELS], middle: [f32::INFINITY; LEVELS], least: [0; BUCKETS], signed };
        let mut level = 0;
        while level < count {
            let zero = if signed { SIGNED_ZERO } else { 0 };
            levels.by_code[zero + level] = magnitudes[level] as f32;
            if signed && level > 0 && level <= SIGNED_ZERO {
                levels.by_code[zero - level] = -(magnitudes[level] as f32);
            }
            if level + 1 < count {
                levels.middle[level] = ((magnitudes[level] + magnitudes[level + 1]) / 2.0) as f32;
            }
            level += 1;
        }
        let (mut bucket, mut level) = (0, 0);
        while bucket < BUCKETS {
            let least = f32::from_bits((FIRST + bucket as u32) << SHIFT);
            while least > levels.middle[level] {
                level += 1;
            }
            levels.least[bucket] = level as u8;
            bucket += 1;
        }
        levels
    }

    /// The level of a magnitude from 0 to 1.
    fn level(&self, magnitude: f32) -> usize {
        let bucket = (magnitude.to_bits() >> SHIFT).saturating_sub(FIRST) as usize;
        let level = usize::from(self.least[bucket.min(BUCKETS - 1)]);
        level + usize::from(magnitude > self.middle[level])
    }

    /// The code of a share of the scale, from -1 to 1.
    fn code(&self, share: f32) -> u8 {
        let level = self.level(share.abs());
        let code = match (self.signed, share < 0.0) {
            (true, true) => SIGNED_ZERO - level.min(SIGNED_ZERO),
            (true, false) => SIGNED_ZERO + level,
            (false, _) => level.max(usize::from(share > 0.0)),
        };
        // There are 256 codes.
        code as u8
    }
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
pub fn narrow(numbers: &[f32], levels: &Levels, codes: &mut [u8]) -> f32 {
    let (mut scale, mut finite) = (0.0f32, true);
    for &number in numbers {
        let magnitude = number.abs();
        scale = if magnitude > scale { magnitude } else { scale };
        finite &= number.is_finite();
    }
    if !finite {
        codes.fill(0);
        return f32::NAN;
    }
    // Where all are 0 any divisor will do.
    let divisor = if scale > 0.0 { scale } else { 1.0 };
    for (code, &number) in codes.iter_mut().zip(numbers) {
        *code = levels.code(number / divisor);
    }
    scale
}

/// How many scales so many numbers have.
pub fn scales(count: usize) -> usize {
    count.div_ceil(BLOCK)
}

/// The code of 0.
pub fn zero(levels: &Levels) -> u8 {
    levels.code(0.0)
}
