//! Random numbers as a function of counters, so that they depend on no order of events.

/// What a number is drawn for; draws for different purposes are unrelated.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Order = 1,
    Augment = 2,
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood 2014): a bijection that scatters its input.
pub(super) fn mix(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// One number for a purpose and its counters.
pub(super) fn key(purpose: Purpose, counters: &[u64]) -> u64 {
    counters.iter().fold(mix(purpose as u64), |hash, &counter| mix(hash ^ counter))
}

/// A number below `bound` out of a random one; its bias is below `bound` / 2^64.
pub(super) fn below(random: u64, bound: u64) -> u64 {
    ((u128::from(random) * u128::from(bound)) >> 64) as u64
}
