//! Activations, sums of two tensors and sums over one, against f64.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    ACTIVATIONS, GRADIENT_TOLERANCE, Random, TOLERANCE, activated, assert_close, finite_difference, map,
    near_kink, numbers, places, project, with_threads,
};
use localgrad::ErrorKind;
use localgrad::kernels::elementwise::activate_piece;
use localgrad::kernels::simd::Isa;
use localgrad::maps::Place;
use localgrad::maps::activation::Activation;
use localgrad::maps::elementwise as ops;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn twins(x: &[f64], activation: Option<Activation>) -> Vec<f64> {
    x.iter().map(|&x| activated(x, activation)).collect()
}

/// Numbers in [-8, 8) that keep away from kinks.
fn away_from_kinks(random: &mut Random, len: usize) -> Vec<f64> {
    let clear = |x: f64| if near_kink(x, 0.01) { 1.5 } else { x };
    random.numbers(len).into_iter().map(|x| clear(8.0 * x)).collect()
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default() }
}

#[test]
fn activations_agree_with_the_twin() {
    let x = away_from_kinks(&mut Random::new(1), 2 * 3 * 5 * 7);
    for place in places() {
        for activation in ACTIVATIONS {
            let y = ops::activate(&map(&x, &[2, 3, 5, 7], &place), activation).unwrap();
            assert_eq!(y.dims(), [2, 3, 5, 7]);
            assert_close(&format!("{place:?}"), &y, &twins(&x, Some(activation)), TOLERANCE);
        }
    }
}

#[test]
fn gradients_of_activations_agree_with_differences() {
    let mut random = Random::new(2);
    let (x, d_y) = (away_from_kinks(&mut random, 33), random.numbers(33));
    for activation in ACTIVATIONS {
        let expected = finite_difference(|x| project(&twins(x, Some(activation)), &d_y), &x);
        for place in places() {
            let (d, x) = (map(&d_y, &[3, 11], &place), map(&x, &[3, 11], &place));
            let d_x = ops::activate_backward(d, &x, activation).unwrap();
            assert_close(&format!("{place:?}"), &d_x, &expected, GRADIENT_TOLERANCE);
        }
    }
}

#[test]
fn slopes_at_the_kinks_are_those_of_one_side() {
    for place in places() {
        let x = map(&[0.0, 6.0, -0.0, -3.0, 3.0], &[5], &place);
        for (activation, expected) in [
            (Activation::Relu, [0.0, 1.0, 0.0, 0.0, 1.0]),
            (Activation::Relu6, [0.0, 0.0, 0.0, 0.0, 1.0]),
            (Activation::HardSwish, [0.5, 1.0, 0.5, 0.0, 1.0]),
            (Activation::HardSigmoid, [1.0 / 6.0, 0.0, 1.0 / 6.0, 0.0, 0.0]),
            (Activation::LeakyRelu { slope: 0.25 }, [0.25, 1.0, 0.25, 0.25, 1.0]),
        ] {
            let d = map(&[1.0; 5], &[5], &place);
            assert_eq!(numbers(&ops::activate_backward(d, &x, activation).unwrap()), expected);
        }
    }
}

#[test]
fn a_nan_stays_a_nan() {
    for place in places() {
        let x = map(&[f64::NAN, 1.0], &[2], &place);
        for activation in ACTIVATIONS {
            let zeros = map(&[0.0, 0.0], &[2], &place);
            let sum = ops::add_activate(zeros, &x, Some(activation));
            for (what, y) in [("alone", ops::activate(&x, activation)), ("of a sum", sum)] {
                let y = numbers(&y.unwrap());
                assert!(y[0].is_nan() && y[1].is_finite(), "{what}, {place:?}, {activation:?}: {y:?}");
            }
        }
    }
}

#[test]
fn large_inputs_stay_finite() {
    for place in places() {
        let x = map(&[-200.0, 200.0], &[2], &place);
        for activation in ACTIVATIONS {
            let expected = twins(&[-200.0, 200.0], Some(activation));
            let y = ops::activate(&x, activation).unwrap();
            assert_close(&format!("{place:?}"), &y, &expected, TOLERANCE);
            let slope = |x: f64| {
                (activated(x + 1e-3, Some(activation)) - activated(x - 1e-3, Some(activation))) / 2e-3
            };
            let d = map(&[1.0, 1.0], &[2], &place);
            let d_x = ops::activate_backward(d, &x, activation).unwrap();
            assert_close(&format!("slope, {place:?}"), &d_x, &[slope(-200.0), slope(200.0)], TOLERANCE);
        }
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn sums_of_two_agree_with_the_twin(rows in 1usize..40, channels in 1usize..40, seed in 0u64..1000) {
        let mut random = Random::new(seed);
        let (a, b) = (random.numbers(rows * channels), random.numbers(rows * channels));
        let sum: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a + b).collect();
        for place in places() {
            let here = |x: &[f64]| map(x, &[rows, channels], &place);
            assert_close("add", &ops::add(here(&a), &here(&b)).unwrap(), &sum, TOLERANCE);
            for activation in ACTIVATIONS.map(Some).into_iter().chain([None]) {
                let y = ops::add_activate(here(&a), &here(&b), activation).unwrap();
                assert_close(&format!("add and activate, {place:?}"), &y, &twins(&sum, activation), TOLERANCE);
            }
            let expected: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - 0.3 * b).collect();
            let y = ops::add_scaled(here(&a), &here(&b), -0.3).unwrap();
            assert_close(&format!("add scaled, {place:?}"), &y, &expected, TOLERANCE);
            let expected: Vec<f64> = a.iter().map(|a| 0.7 * a).collect();
            assert_close("scale", &ops::scale(here(&a), 0.7).unwrap(), &expected, TOLERANCE);
        }
    }

    #[test]
    fn sums_over_one_agree_with_the_twin(rows in 1usize..90, channels in 1usize..40, seed in 0u64..1000) {
        let mut random = Random::new(seed);
        let (a, b) = (random.numbers(rows * channels), random.numbers(rows * channels));
        let sum = |c: usize| a.iter().skip(c).step_by(channels).sum();
        let expected: Vec<f64> = (0..channels).map(sum).collect();
        let (products, squares) = (project(&a, &b), project(&a, &a));
        for place in places() {
            let here = |x: &[f64]| map(x, &[rows, 1, channels], &place);
            let (x, y) = (here(&a), here(&b));
            let sums = ops::sum_rows(&x).unwrap();
            prop_assert_eq!(sums.dims(), [channels]);
            assert_close(&format!("sum over rows, {place:?}"), &sums, &expected, TOLERANCE);
            let near = |sum: f64, expected: f64| (sum - expected).abs() < TOLERANCE * expected.abs().max(1.0);
            prop_assert!(near(ops::sum_of_products(&x, &y).unwrap(), products));
            prop_assert!(near(ops::sum_of_squares(&x).unwrap(), squares));
        }
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let mut random = Random::new(3);
    let shape = [1531, 37];
    let (a, b) = (random.numbers(1531 * 37), random.numbers(1531 * 37));
    let run = || {
        let (x, y) = (map(&a, &shape, &Place::Host), map(&b, &shape, &Place::Host));
        let mut bits: Vec<u64> = [ops::sum_of_products(&x, &y).unwrap(), ops::sum_of_squares(&x).unwrap()]
            .map(f64::to_bits)
            .to_vec();
        let sums = ops::sum_rows(&x).unwrap();
        let y = ops::add_activate(y, &x, Some(Activation::Gelu)).unwrap();
        for t in [sums, y] {
            bits.extend(numbers(&t).iter().map(|v| u64::from(v.to_bits())));
        }
        bits
    };
    let one = with_threads(1, run);
    assert_eq!(one, with_threads(2, run));
    assert_eq!(one, with_threads(3, run));
}

#[test]
fn misuse_is_an_error() {
    for place in places() {
        let shape = |dims: &[usize]| place.full(dims, 0.0).unwrap();
        let a = shape(&[2, 3]);
        let shape_error = |error: localgrad::Error| assert_eq!(error.kind(), ErrorKind::Shape);
        shape_error(ops::add(a.clone(), &shape(&[3, 2])).unwrap_err());
        shape_error(ops::sum_of_products(&a, &shape(&[6])).unwrap_err());
        shape_error(ops::sum_rows(&shape(&[])).unwrap_err());
        shape_error(ops::sum_rows(&shape(&[0, 4])).unwrap_err());
    }
}

#[test]
fn silu_on_every_instruction_set_agrees_with_its_twin() {
    let numbers: Vec<f32> = (-86_900..=86_900).map(|i| i as f32 * 1e-3).chain([-1e30, f32::NAN]).collect();
    for isa in Isa::available() {
        let mut found = numbers.clone();
        activate_piece(isa, &mut found, Activation::Silu);
        for (&x, &found) in numbers.iter().zip(&found) {
            let x = f64::from(x);
            let expected = x / (1.0 + (-x).exp());
            let allowed = 6e-7 * expected.abs() + 1e-36;
            assert!((f64::from(found) - expected).abs() <= allowed || (x.is_nan() && found.is_nan()), "{x}");
        }
    }
}
