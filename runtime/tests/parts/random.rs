//! Random streams: test vectors, and the statistics that training relies on.

use localgrad::random::Stream;

// The numbers of the first four tests were printed by:
//
//     import math
//     MASK, GOLDEN = (1 << 64) - 1, 0x9E3779B97F4A7C15
//
//     def mix(x):
//         x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
//         x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
//         return x ^ (x >> 31)
//
//     def stream(seed, domain, indices):
//         name = domain.encode()
//         words = [len(name)]
//         words += [int.from_bytes(name[i:i + 8], "little") for i in range(0, len(name), 8)]
//         words += [len(indices), *indices]
//         k0, k1 = mix(seed), mix(seed ^ MASK)
//         for word in words:
//             k0, k1 = mix(((k0 ^ word) + GOLDEN) & MASK), mix(((k1 ^ word) - GOLDEN) & MASK)
//         counter = 0
//         while True:
//             counter += 1
//             yield mix(k1 ^ mix((k0 + counter * GOLDEN) & MASK))
//
//     def uniform(s):
//         return (next(s) >> 11) / 2**53
//
//     def normal(s):
//         radius = math.sqrt(-2 * math.log(1 - uniform(s)))
//         return radius * math.cos(2 * math.pi * uniform(s))
//
//     def below(s, n):
//         while True:
//             product = next(s) * n
//             if product & MASK >= 2**64 % n:
//                 return product >> 64
//
//     def permutation(s, n):
//         order = list(range(n))
//         for i in range(n - 1, 0, -1):
//             j = below(s, i + 1)
//             order[i], order[j] = order[j], order[i]
//         return order
//
//     s = stream(42, "augmentation", [3, 50_000]); print([hex(next(s)) for _ in range(3)])
//     s = stream(0, "", []); print([hex(next(s)) for _ in range(3)])
//     s = stream(7, "init", [1]); print([uniform(s) for _ in range(3)])
//     s = stream(7, "init", [1]); print([(next(s) >> 40) / 2**24 for _ in range(3)])
//     s = stream(7, "init", [2]); print([normal(s) for _ in range(3)])
//     s = stream(7, "below", []); print([below(s, 10) for _ in range(12)], [below(s, 3 << 62) for _ in range(6)], hex(next(s)))
//     s = stream(7, "order", [0]); print(permutation(s, 12))

fn draw<T>(count: usize, mut next: impl FnMut() -> T) -> Vec<T> {
    (0..count).map(|_| next()).collect()
}

#[test]
fn bits_are_pinned() {
    let mut named = Stream::new(42, "augmentation", &[3, 50_000]);
    assert_eq!(draw(3, || named.next_u64()), [0x5aabd2c2d3dabd6d, 0x9c84575eed10f5bd, 0x92bf903927cef50d]);
    let mut bare = Stream::new(0, "", &[]);
    assert_eq!(draw(3, || bare.next_u64()), [0x630939e5eb9ac673, 0x37bcb33250560e11, 0x809cdf165e1da6e6]);
}

#[test]
fn uniform_numbers_are_pinned() {
    let mut stream = Stream::new(7, "init", &[1]);
    let expected = [0.17070068468535848, 0.9699873265266349, 0.21517826061494305];
    assert_eq!(draw(3, || stream.uniform_f64()), expected);
    let mut stream = Stream::new(7, "init", &[1]);
    let expected = [0.17070066928863525, 0.9699872732162476, 0.2151782512664795];
    assert_eq!(draw(3, || f64::from(stream.uniform_f32())), expected);
}

#[test]
fn normal_numbers_are_pinned() {
    let mut stream = Stream::new(7, "init", &[2]);
    // Not to the last bit: logarithm and cosine are the platform's.
    for expected in [-0.9531492237687312, 1.532817227195007, 0.7515141537474991] {
        let actual = stream.normal();
        assert!((actual - expected).abs() < 1e-14, "{actual}, expected {expected}");
    }
}

#[test]
fn whole_numbers_are_pinned() {
    let mut stream = Stream::new(7, "below", &[]);
    assert_eq!(draw(12, || stream.below(10)), [9, 1, 5, 2, 9, 2, 8, 8, 9, 8, 3, 4]);
    // A quarter of all draws is drawn again here.
    let large = [
        9355775689187205098,
        8201782999844610873,
        2791407939097875730,
        8985563712672815072,
        4629094325174444269,
        9345335625965945892,
    ];
    assert_eq!(draw(6, || stream.below(3 << 62)), large);
    assert_eq!(stream.next_u64(), 0xc4653cef07983ed3);
    let order = Stream::new(7, "order", &[0]).permutation(12);
    assert_eq!(order, [0, 10, 2, 4, 3, 8, 6, 1, 9, 5, 7, 11]);
}

#[test]
fn the_smallest_ranges() {
    let mut stream = Stream::new(1, "small", &[]);
    assert_eq!((stream.below(0), stream.below(1)), (0, 0));
    assert!(stream.below(u64::MAX) < u64::MAX);
    assert!(stream.permutation(0).is_empty());
    assert_eq!(stream.permutation(1), [0]);
}

#[test]
fn names_do_not_run_into_each_other() {
    let names: [(u64, &str, &[u64]); 10] = [
        (1, "a", &[]),
        (2, "a", &[]),
        (1, "b", &[]),
        (1, "a\0", &[]),
        (1, "a", &[0]),
        (1, "a", &[0, 0]),
        (1, "a", &[0, 1]),
        (1, "a", &[1, 0]),
        (1, "", &[u64::from(b'a')]),
        (!1, "a", &[]),
    ];
    let mut firsts: Vec<u64> = names.iter().map(|(s, d, i)| Stream::new(*s, d, i).next_u64()).collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), names.len());
}

/// Every output bit is set half of the time: along one stream, and across the first draws of neighbouring streams.
#[test]
fn bits_are_balanced() {
    const DRAWS: u64 = 20_000;
    let mut one = Stream::new(3, "bits", &[]);
    let along: Vec<u64> = (0..DRAWS).map(|_| one.next_u64()).collect();
    let across: Vec<u64> = (0..DRAWS).map(|i| Stream::new(3, "bits", &[i]).next_u64()).collect();
    for draws in [&along, &across] {
        // Neighbours must differ in half of their bits, too.
        let changes: Vec<u64> = draws.windows(2).map(|w| w[0] ^ w[1]).collect();
        for bits in [draws, &changes] {
            for bit in 0..64 {
                let set = bits.iter().filter(|&&x| x >> bit & 1 == 1).count() as f64;
                let sigmas = (set - bits.len() as f64 / 2.0) / (bits.len() as f64 / 4.0).sqrt();
                assert!(sigmas.abs() < 5.0, "bit {bit} is set {set} times in {}", bits.len());
            }
        }
    }
}

#[test]
fn normal_numbers_have_the_moments_of_the_normal_law() {
    const DRAWS: usize = 200_000;
    let mut stream = Stream::new(5, "moments", &[]);
    let numbers: Vec<f64> = (0..DRAWS).map(|_| stream.normal()).collect();
    // Each moment with the standard deviation of one draw's power: E x²ᵏ - (E xᵏ)².
    for (power, expected, deviation) in [(1, 0.0, 1.0), (2, 1.0, 2f64), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let mean = numbers.iter().map(|x| x.powi(power)).sum::<f64>() / DRAWS as f64;
        let sigmas = (mean - expected) / (deviation.sqrt() / (DRAWS as f64).sqrt());
        assert!(sigmas.abs() < 5.0, "moment {power} is {mean}");
    }
    let within = numbers.iter().filter(|x| x.abs() < 1.0).count() as f64 / DRAWS as f64;
    assert!((within - 0.6827).abs() < 0.006, "{within} within one deviation");
}

/// Pearson's statistic of counts that should be equal.
fn chi_squared(counts: &[usize]) -> f64 {
    let expected = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    counts.iter().map(|&c| (c as f64 - expected).powi(2) / expected).sum()
}

#[test]
fn permutations_are_equally_likely() {
    let mut counts = [0usize; 120];
    for sample in 0..60_000 {
        let order = Stream::new(9, "order", &[sample]).permutation(5);
        let mut seen = order.clone();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        // Rank of the order among all, in the factorial number system.
        let smaller = |i: usize| order[i + 1..].iter().filter(|&&o| o < order[i]).count();
        counts[24 * smaller(0) + 6 * smaller(1) + 2 * smaller(2) + smaller(3)] += 1;
    }
    // 119 degrees of freedom: mean 119, deviation 15.4.
    let statistic = chi_squared(&counts);
    assert!((60.0..200.0).contains(&statistic), "chi-squared {statistic}");
}

#[test]
fn whole_numbers_are_equally_likely() {
    let (mut stream, mut counts) = (Stream::new(2, "dice", &[]), [0usize; 100]);
    for _ in 0..100_000 {
        counts[stream.below(100) as usize] += 1;
    }
    let statistic = chi_squared(&counts);
    assert!((50.0..170.0).contains(&statistic), "chi-squared {statistic}");
}
