//! Optimizer state in 8 bits: the levels and the rounding against their definition in f64, and updates against twins that round
//! the same way.

use crate::common::{Random, map, numbers as numbers_of, with_threads};
use localgrad::kernels::eight_bit::{BLOCK, Levels, SIGNED, UNSIGNED, narrow, scales, widen};
use localgrad::kernels::simd::Isa;
use localgrad::maps::Place;
use localgrad::optimizer::{OptimizerConfig, update};
use localgrad::parameter::Parameter;
use proptest::prelude::*;

/// All levels in order, as the paper's code makes them: in each decade the middles of equal parts.
fn levels(signed: bool) -> Vec<f64> {
    let mut all = vec![0.0, 1.0];
    for decade in 0..7 {
        let parts = if signed { 1 << decade } else { 2 << decade };
        let edge = |part: i32| 0.1 + 0.9 * f64::from(part) / f64::from(parts);
        for part in 0..parts {
            let level = 10f64.powi(decade - 6) * (edge(part) + edge(part + 1)) / 2.0;
            all.push(level);
            if signed {
                all.push(-level);
            }
        }
    }
    all.sort_by(f64::total_cmp);
    all
}

/// The numbers of a block after they were rounded, one at a time: to the nearest level, of two the one nearer 0. A square that is
/// not 0 stays so.
fn rounded(numbers: &[f64], signed: bool) -> Vec<f64> {
    let (levels, scale) = (levels(signed), numbers.iter().fold(0.0, |most: f64, x| most.max(x.abs())));
    let nearest = |x: f64| {
        let far = |level: &f64| ((level - x).abs(), level.abs());
        let may = |level: &&f64| signed || x == 0.0 || **level > 0.0;
        let found = levels.iter().filter(may).min_by(|a, b| far(a).partial_cmp(&far(b)).unwrap());
        found.copied().unwrap()
    };
    numbers.iter().map(|x| if scale > 0.0 { nearest(x / scale) * scale } else { 0.0 }).collect()
}

fn through(numbers: &[f32], levels: &Levels) -> (Vec<f32>, Vec<u8>, f32) {
    let (mut codes, mut back) = (vec![0; numbers.len()], vec![0.0; numbers.len()]);
    let scale = narrow(Isa::best(), numbers, levels, &mut codes);
    widen(&codes, scale, levels, &mut back);
    (back, codes, scale)
}

#[test]
fn there_are_256_levels_and_each_becomes_itself() {
    for (signed, found) in [(true, &SIGNED), (false, &UNSIGNED)] {
        let levels = levels(signed);
        assert_eq!(levels.len(), 256);
        let codes: Vec<u8> = (0..=255).collect();
        let mut numbers = vec![0.0; 256];
        widen(&codes, 1.0, found, &mut numbers);
        for (number, level) in numbers.iter().zip(&levels) {
            assert!((f64::from(*number) - level).abs() <= 1e-7 * level.abs(), "{number} {level}");
        }
        let (back, again, scale) = through(&numbers, found);
        assert!(scale == 1.0 && again == codes && back == numbers);
    }
}

/// Numbers of all sizes, close to middles between levels, too.
fn of_all_sizes(random: &mut Random, count: usize, signed: bool) -> Vec<f32> {
    let levels = levels(signed);
    let number = |draw: f64| {
        let (place, kind) = ((draw.abs() * 1e4).fract(), (draw.abs() * 1e8).fract());
        let at = (place * 254.0) as usize;
        let x = match kind {
            ..0.3 => (levels[at] + levels[at + 1]) / 2.0 * (1.0 + 1e-5 * draw),
            ..0.6 => 10f64.powf(-9.0 * place),
            ..0.7 => 0.0,
            _ => draw,
        };
        (if signed { x } else { x.abs() }) as f32
    };
    random.numbers(count).into_iter().map(number).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rounds_to_the_nearest_level(seed in 0u64..1 << 40, count in 1..BLOCK + 1, signed: bool, size in -30i32..30) {
        let size = 2f32.powi(size);
        let numbers: Vec<f32> =
            of_all_sizes(&mut Random::new(seed), count, signed).into_iter().map(|x| x * size).collect();
        let (back, _, scale) = through(&numbers, if signed { &SIGNED } else { &UNSIGNED });
        let wide: Vec<f64> = numbers.iter().map(|&x| x.into()).collect();
        for ((&found, &x), expected) in back.iter().zip(&wide).zip(rounded(&wide, signed)) {
            let (found, scale) = (f64::from(found), f64::from(scale));
            // Where two levels are all but equally near, either will do.
            let [off, least] = [found, expected].map(|level| (level - x).abs());
            prop_assert!(off <= least + 1e-6 * x.abs() + 1e-12 * scale, "{x} became {found}, not {expected}");
            // Half the widest step of a decade, and of the widest of all.
            let widest = if signed { 0.9 / 64.0 } else { 0.9 / 128.0 };
            prop_assert!(off <= 0.51 * widest * scale);
            prop_assert!(signed || x == 0.0 || found > 0.0);
        }
    }
}

/// The code of a share of the scale, by a search among the middles between levels, rounded to f32 as the table's are.
fn searched(share: f32, levels: &[f64], signed: bool) -> u8 {
    let above: Vec<f64> = levels.iter().copied().filter(|level| *level >= 0.0).collect();
    let zero = levels.len() - above.len();
    let middles = above.windows(2).map(|pair| ((pair[0] + pair[1]) / 2.0) as f32);
    let level = middles.take_while(|middle| share.abs() > *middle).count();
    let code = match (signed, share < 0.0) {
        (true, true) => zero - level.min(zero),
        (true, false) => zero + level,
        (false, _) => level.max(usize::from(share > 0.0)),
    };
    u8::try_from(code).unwrap()
}

/// All neighbours of all middles and of all that have equal upper bits, on every instruction set.
#[test]
fn codes_are_those_of_a_search_at_every_boundary() {
    for (signed, found) in [(true, &SIGNED), (false, &UNSIGNED)] {
        let levels = levels(signed);
        let middles = levels.windows(2).map(|pair| (((pair[0] + pair[1]) / 2.0) as f32).abs().to_bits());
        let edges = (0..=1.0f32.to_bits() >> 14).map(|upper| upper << 14);
        let mut shares: Vec<f32> = middles
            .chain(edges)
            .flat_map(|bits| (bits.saturating_sub(2)..=bits + 2).map(f32::from_bits))
            .filter(|share| *share <= 1.0)
            .flat_map(|share| if signed { vec![share, -share] } else { vec![share] })
            .collect();
        shares.sort_by(f32::total_cmp);
        shares.dedup();
        // A 1 in each block makes numbers and shares the same.
        for block in shares.chunks(BLOCK - 1) {
            let numbers = [block, &[1.0]].concat();
            let expected: Vec<u8> = numbers.iter().map(|&share| searched(share, &levels, signed)).collect();
            for isa in Isa::available() {
                let mut codes = vec![0; numbers.len()];
                assert_eq!(narrow(isa, &numbers, found, &mut codes), 1.0);
                assert_eq!(codes, expected, "{isa:?} {numbers:?}");
            }
        }
    }
}

#[test]
fn what_is_not_finite_stays_so() {
    for spoiled in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for levels in [&SIGNED, &UNSIGNED] {
            let (back, _, scale) = through(&[1.0, spoiled, 2.0], levels);
            assert!(scale.is_nan() && back.iter().all(|x| x.is_nan()));
        }
    }
    assert_eq!(through(&[0.0, -0.0], &SIGNED).0, [0.0, 0.0]);
    let tiny = f32::from_bits(1);
    assert_eq!(through(&[tiny, -tiny, 0.0], &SIGNED).0, [tiny, -tiny, 0.0]);
}

/// A parameter that keeps its state in 8 bits, as a trainer makes it.
fn coded(numbers: &[f64]) -> Parameter {
    let mut parameter = Parameter::new(map(numbers, &[numbers.len()], &Place::Host));
    parameter.eight_bit = true;
    parameter
}

/// One update of all numbers in f64, with a state that is rounded block by block after it.
fn twin(
    p: &mut [f64],
    g: &[f64],
    state: &mut [Vec<f64>],
    config: &OptimizerConfig,
    (rate, number): (f64, i32),
) {
    for (at, (p, g)) in p.iter_mut().zip(g).enumerate() {
        match *config {
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay } => {
                let d = g + weight_decay * *p;
                state[0][at] = momentum * state[0][at] + d;
                *p -= rate * if nesterov { d + momentum * state[0][at] } else { state[0][at] };
            }
            OptimizerConfig::AdamW { beta1, beta2, epsilon, weight_decay } => {
                state[0][at] = beta1 * state[0][at] + (1.0 - beta1) * g;
                state[1][at] = beta2 * state[1][at] + (1.0 - beta2) * g * g;
                let mean = state[0][at] / (1.0 - beta1.powi(number));
                let root = (state[1][at] / (1.0 - beta2.powi(number))).sqrt();
                *p = *p * (1.0 - rate * weight_decay) - rate * mean / (root + epsilon);
            }
        }
    }
    for (kind, state) in state.iter_mut().enumerate() {
        *state = state.chunks(BLOCK).flat_map(|block| rounded(block, kind == 0)).collect();
    }
}

#[test]
fn updates_are_those_of_a_twin_that_rounds() {
    let sgd = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.01 };
    for (config, tolerance) in [(sgd, 1e-3), (OptimizerConfig::adamw(), 2e-2)] {
        // The last block is not whole.
        let (count, mut random) = (4096 + 100, Random::new(3));
        let mut expected = random.numbers(count);
        let mut state = vec![vec![0.0; count]; config.state_tensors()];
        let mut parameter = coded(&expected);
        let (mut off, mut moved) = (0.0, 0.0);
        for number in 1..=5 {
            let gradient = random.numbers(count);
            let before = expected.clone();
            twin(&mut expected, &gradient, &mut state, &config, (0.01, number));
            update(&mut parameter, &map(&gradient, &[count], &Place::Host), &config, 0.01).unwrap();
            // A number between two levels may round to the other one here, so that it is the sum that is bounded.
            let found = parameter.value.numbers().unwrap();
            off += found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).sum::<f64>();
            moved += before.iter().zip(&expected).map(|(a, b)| (a - b).abs()).sum::<f64>();
        }
        assert!(off < tolerance * moved, "{off} of {moved}");
        assert!(parameter.state.is_empty() && parameter.coded.len() == state.len());
        assert_eq!(parameter.coded[0].bytes(), count + 4 * scales(count));
    }
}

#[test]
fn small_weights_keep_f32() {
    let numbers = Random::new(1).numbers(4095);
    let (mut plain, mut small) = (Parameter::new(map(&numbers, &[4095], &Place::Host)), coded(&numbers));
    for parameter in [&mut plain, &mut small] {
        let gradient = map(&numbers, &[4095], &Place::Host);
        update(parameter, &gradient, &OptimizerConfig::adamw(), 0.1).unwrap();
    }
    assert!(small.coded.is_empty() && small.state.len() == 2);
    assert_eq!(numbers_of(&small.value), numbers_of(&plain.value));
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let count = 3 * 65_536 + 777;
    let numbers = Random::new(9).numbers(count);
    for config in [OptimizerConfig::sgd(), OptimizerConfig::adamw()] {
        let run = |threads| {
            with_threads(threads, || {
                let mut parameter = coded(&numbers);
                for _ in 0..2 {
                    let gradient = map(&numbers, &[count], &Place::Host);
                    update(&mut parameter, &gradient, &config, 0.1).unwrap();
                }
                let bits: Vec<u32> = parameter.value.numbers().unwrap().iter().map(|x| x.to_bits()).collect();
                (bits, parameter.coded.iter().map(|coded| coded.codes.clone()).collect::<Vec<_>>())
            })
        };
        let one = run(1);
        assert!(run(2) == one && run(3) == one);
    }
}
