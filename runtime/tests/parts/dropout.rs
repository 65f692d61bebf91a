//! Dropout: how many it zeroes, how it scales, and that its mask is one function of seed and position.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{Random, assert_close, map, numbers, places, with_threads};
use localgrad::ErrorKind;
use localgrad::maps::dropout as ops;
use localgrad::maps::{Map, Place};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn mask(probability: f64, seed: u64) -> ops::Mask {
    ops::Mask { probability, seed, first: 0 }
}

fn ones(len: usize) -> Map {
    Place::Host.full(&[len], 1.0).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 30, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn elements_are_zeroed_or_scaled(len in 1usize..500, probability in 0.0f64..0.95, seed in any::<u64>()) {
        let x = Random::new(seed).numbers(len);
        let factors = numbers(&ops::forward(ones(len), mask(probability, seed)).unwrap());
        let kept = (1.0 / (1.0 - probability)) as f32;
        prop_assert!(factors.iter().all(|&m| m == 0.0 || m == kept));
        let expected: Vec<f64> = x.iter().zip(&factors).map(|(x, &m)| x * f64::from(m)).collect();
        let on_host = numbers(&ops::forward(map(&x, &[len], &Place::Host), mask(probability, seed)).unwrap());
        for place in places() {
            let y = ops::forward(map(&x, &[len], &place), mask(probability, seed)).unwrap();
            assert_close(&format!("{place:?}"), &y, &expected, 1e-6);
            prop_assert_eq!(numbers(&y), on_host.clone());
            // The map is linear, with the mask as its slope: the gradient is d_y times the same mask.
            let d_x = ops::backward(map(&x, &[len], &place), mask(probability, seed)).unwrap();
            assert_close("backward", &d_x, &expected, 1e-6);
        }
    }
}

#[test]
fn the_share_of_zeros_is_the_probability() {
    const LEN: usize = 100_000;
    for probability in [0.1, 0.5, 0.8] {
        for seed in [0, 1, u64::MAX] {
            let y = numbers(&ops::forward(ones(LEN), mask(probability, seed)).unwrap());
            let zeros = y.iter().filter(|&&v| v == 0.0).count() as f64;
            let deviation = (LEN as f64 * probability * (1.0 - probability)).sqrt();
            let distance = (zeros - LEN as f64 * probability).abs() / deviation;
            assert!(distance < 4.5, "{distance} deviations at probability {probability}, seed {seed}");
        }
    }
}

#[test]
fn masks_of_neighbouring_seeds_and_positions_are_unrelated() {
    const LEN: usize = 40_000;
    let drawn = |seed| numbers(&ops::forward(ones(LEN), mask(0.5, seed)).unwrap());
    let (a, b) = (drawn(5), drawn(6));
    let share =
        |pairs: &mut dyn Iterator<Item = bool>| pairs.filter(|&same| same).count() as f64 / LEN as f64;
    // 0.5 and a deviation of 0.0025 for unrelated bits.
    for shift in [1, 2, 3, 64] {
        let same = share(&mut a.iter().zip(a.iter().cycle().skip(shift)).map(|(x, y)| x == y));
        assert!((same - 0.5).abs() < 0.012, "shifted by {shift}: {same}");
    }
    let same = share(&mut a.iter().zip(&b).map(|(x, y)| x == y));
    assert!((same - 0.5).abs() < 0.012, "another seed: {same}");
}

#[test]
fn a_part_has_that_part_of_the_mask() {
    const LEN: usize = 70_001;
    let whole = numbers(&ops::forward(ones(LEN), mask(0.4, 9)).unwrap());
    for (first, len) in [(0, 5), (1, 40_000), (33_333, LEN - 33_333)] {
        let part = ops::Mask { first, ..mask(0.4, 9) };
        for place in places() {
            let ones = place.full(&[len], 1.0).unwrap();
            assert_eq!(numbers(&ops::forward(ones, part).unwrap()), whole[first..first + len]);
        }
    }
}

#[test]
fn the_ends_of_the_range_work_and_the_rest_is_an_error() {
    for place in places() {
        let masked = |probability| ops::forward(place.full(&[9], 1.0).unwrap(), mask(probability, 1));
        assert_eq!(numbers(&masked(0.0).unwrap()), [1.0; 9]);
        assert_eq!(numbers(&masked(1.0).unwrap()), [0.0; 9]);
        for probability in [-0.1, 1.1, f64::NAN] {
            assert_eq!(masked(probability).unwrap_err().kind(), ErrorKind::Config);
        }
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let run = || numbers(&ops::forward(ones(70_001), mask(0.3, 11)).unwrap());
    let one = with_threads(1, run);
    assert_eq!(one, with_threads(2, run));
    assert_eq!(one, with_threads(3, run));
}
