//! Products with numbers of a channel against f64: one for all samples, or each sample's own.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    GRADIENT_TOLERANCE, Random, TOLERANCE, assert_close, finite_difference, map, numbers, places, project,
    with_threads,
};
use localgrad::ErrorKind;
use localgrad::maps::Place;
use localgrad::maps::per_channel as ops;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn twin(x: &[f64], factors: &[f64], samples: usize, channels: usize) -> Vec<f64> {
    let sample = x.len() / samples;
    let own = |i: usize| if factors.len() == channels { 0 } else { i / sample * channels };
    (0..x.len()).map(|i| x[i] * factors[own(i) + i % channels]).collect()
}

/// Holds products of `[N, H, W, C]` with `factors`, and their gradients, against the twin.
fn hold([n, h, w, c]: [usize; 4], factor_dims: &[usize], seed: u64) {
    let mut random = Random::new(seed);
    let (x, d_y) = (random.numbers(n * h * w * c), random.numbers(n * h * w * c));
    let factors = random.numbers(factor_dims.iter().product());
    let expected = twin(&x, &factors, n, c);
    let d_x = finite_difference(|x| project(&twin(x, &factors, n, c), &d_y), &x);
    let d_factors = finite_difference(|f| project(&twin(&x, f, n, c), &d_y), &factors);
    for place in places() {
        let here = |x: &[f64]| map(x, &[n, h, w, c], &place);
        let by = map(&factors, factor_dims, &place);
        let what = |what: &str| format!("{what}, {place:?}, {factor_dims:?}");
        assert_close(&what("product"), &ops::multiply(&here(&x), &by).unwrap(), &expected, TOLERANCE);
        assert_close(&what("in place"), &ops::multiply_into(here(&x), &by).unwrap(), &expected, TOLERANCE);
        let found = ops::multiply_into(here(&d_y), &by).unwrap();
        assert_close(&what("d_x"), &found, &d_x, GRADIENT_TOLERANCE);
        let found = ops::d_factors(&here(&d_y), &here(&x), &by).unwrap();
        assert_eq!(found.dims(), factor_dims);
        assert_close(&what("d_factors"), &found, &d_factors, GRADIENT_TOLERANCE);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 30, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn products_agree_with_the_twin(
        n in 1usize..4, h in 1usize..5, w in 1usize..5, c in 1usize..19, which in 0usize..3, seed in 0u64..1000,
    ) {
        hold([n, h, w, c], [&[c][..], &[n, c], &[n, 1, 1, c]][which], seed);
    }
}

#[test]
fn sums_over_many_rows_agree_with_the_twin() {
    let mut random = Random::new(5);
    let (dims, len) = ([3, 67, 31, 22], 3 * 67 * 31 * 22);
    let (x, d_y) = (random.numbers(len), random.numbers(len));
    for (groups, factor_dims) in [(1, &[22][..]), (3, &[3, 22])] {
        let mut expected = vec![0.0; groups * 22];
        for (i, (x, d)) in x.iter().zip(&d_y).enumerate() {
            expected[i * groups / len * 22 + i % 22] += x * d;
        }
        for place in places() {
            let factors = place.full(factor_dims, 1.0).unwrap();
            let here = |x: &[f64]| map(x, &dims, &place);
            let found = ops::d_factors(&here(&d_y), &here(&x), &factors).unwrap();
            assert_close(&format!("{place:?}"), &found, &expected, TOLERANCE);
        }
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let mut random = Random::new(6);
    let (dims, len) = ([3, 67, 31, 22], 3 * 67 * 31 * 22);
    let (x, d_y) = (random.numbers(len), random.numbers(len));
    let run = || {
        let here = |x: &[f64]| map(x, &dims, &Place::Host);
        let mut bits = Vec::new();
        for factor_dims in [&[22][..], &[3, 22]] {
            let factors = map(&x[..factor_dims.iter().product()], factor_dims, &Place::Host);
            let sums = ops::d_factors(&here(&d_y), &here(&x), &factors).unwrap();
            let made = [ops::multiply(&here(&x), &factors).unwrap(), sums];
            bits.extend(made.iter().flat_map(numbers).map(f32::to_bits));
        }
        bits
    };
    let one = with_threads(1, run);
    assert_eq!(one, with_threads(2, run));
    assert_eq!(one, with_threads(3, run));
}

#[test]
fn numbers_that_do_not_fit_are_errors() {
    for place in places() {
        let zeros = |dims: &[usize]| place.full(dims, 0.0).unwrap();
        let x = zeros(&[2, 3, 3, 4]);
        for factors in [&[3][..], &[2], &[3, 4], &[2, 3], &[1, 1, 2, 4], &[2, 1, 1, 3]] {
            assert_eq!(ops::multiply(&x, &zeros(factors)).unwrap_err().kind(), ErrorKind::Shape);
        }
        let error = ops::d_factors(&zeros(&[2, 4]), &x, &zeros(&[4])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape);
    }
}
