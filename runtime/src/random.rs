//! Random numbers that depend on what they are for, never on who drew before.
//!
//! A [`Stream`] is named by a seed, a domain ("init", "augment", …) and indices (epoch, sample, …), and counts from
//! 0: there is no shared state, so threads, kills and resumes change nothing. Equal names give equal streams.
//! Not for secrets.

/// The golden ratio as a 64-bit fraction: the step between the mixer's inputs.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A sequence of random numbers, computed from a 128-bit key and a counter.
///
/// Number i is mix(k1 ^ mix(k0 + (i + 1)·GOLDEN)), where mix is the finaliser of SplitMix64 (Steele, Lea and Flood
/// 2014, "Fast splittable pseudorandom number generators"). The inner term alone is SplitMix64, whose streams are
/// windows of one cycle; the outer round with its own key keeps windows that overlap unlike each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u64; 2],
    drawn: u64,
}

impl Stream {
    /// The stream of this name, at its start.
    pub fn new(seed: u64, domain: &str, indices: &[u64]) -> Self {
        let mut stream = Self { key: [mix(seed), mix(!seed)], drawn: 0 };
        // Both lengths go in, so that no name continues another one.
        stream.absorb(domain.len() as u64);
        for bytes in domain.as_bytes().chunks(8) {
            stream.absorb(bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        }
        stream.absorb(indices.len() as u64);
        indices.iter().for_each(|&index| stream.absorb(index));
        stream
    }

    fn absorb(&mut self, word: u64) {
        let [k0, k1] = self.key;
        self.key = [mix((k0 ^ word).wrapping_add(GOLDEN)), mix((k1 ^ word).wrapping_sub(GOLDEN))];
    }

    /// Passes over `draws` draws at once.
    pub fn skip(&mut self, draws: u64) {
        self.drawn = self.drawn.wrapping_add(draws);
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.drawn = self.drawn.wrapping_add(1);
        let [k0, k1] = self.key;
        mix(k1 ^ mix(k0.wrapping_add(self.drawn.wrapping_mul(GOLDEN))))
    }

    /// A multiple of 2⁻²⁴, uniform in [0, 1). Takes one draw.
    pub fn uniform_f32(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u32 << 24) as f32
    }

    /// A multiple of 2⁻⁵³, uniform in [0, 1). Takes one draw.
    pub fn uniform_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A standard normal number (Box and Muller 1958). Takes two draws.
    pub fn normal(&mut self) -> f64 {
        // 1 - u lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.uniform_f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform_f64()).cos()
    }

    /// A whole number below `n`, each equally likely; 0 if `n` is 0. Takes one draw, rarely more.
    pub fn below(&mut self, n: u64) -> u64 {
        // Lemire 2019, "Fast random integer generation in an interval": the high word of draw·n, drawn again
        // where the low word falls in the 2⁶⁴ mod n values that some results would get too many of.
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        if (product as u64) < n {
            let surplus = n.wrapping_neg() % n;
            while (product as u64) < surplus {
                product = u128::from(self.next_u64()) * u128::from(n);
            }
        }
        (product >> 64) as u64
    }

    /// The numbers 0 to n - 1 in random order (Fisher-Yates).
    pub fn permutation(&mut self, n: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..order.len()).rev() {
            let j = self.below(i as u64 + 1) as usize;
            order.swap(i, j);
        }
        order
    }
}

/// A bijection of 64 bits in which every input bit moves about half of the output bits.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
