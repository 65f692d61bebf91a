//! Global response norm against f64.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    GRADIENT_TOLERANCE, Random, TOLERANCE, assert_close, finite_difference, map, numbers, places, project,
};
use localgrad::ErrorKind;
use localgrad::maps::response_norm as ops;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn twin(x: &[f64], weight: &[f64], bias: &[f64], samples: usize) -> Vec<f64> {
    let c = weight.len();
    let of_sample = |x: &[f64]| -> Vec<f64> {
        let norm = |channel| x.iter().skip(channel).step_by(c).map(|x| x * x).sum::<f64>().sqrt();
        let norms: Vec<f64> = (0..c).map(norm).collect();
        let mean = norms.iter().sum::<f64>() / c as f64;
        let y = |(i, x): (usize, &f64)| weight[i % c] * x * norms[i % c] / (mean + 1e-6) + bias[i % c] + x;
        x.iter().enumerate().map(y).collect()
    };
    x.chunks(x.len() / samples).flat_map(of_sample).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 30, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn agrees_with_the_twin_and_with_differences(
        n in 1usize..4, h in 1usize..5, w in 1usize..5, c in 1usize..19, flat in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let dims = if flat { vec![n, c] } else { vec![n, h, w, c] };
        let len = dims.iter().product();
        let mut random = Random::new(seed);
        let (x, d_y) = (random.numbers(len), random.numbers(len));
        // A norm of one number bends where that is 0.
        let x: Vec<f64> = x.iter().map(|x| if x.abs() < 0.01 { 0.5 } else { *x }).collect();
        let (weight, bias) = (random.numbers(c), random.numbers(c));
        let expected = twin(&x, &weight, &bias, n);
        let d_x = finite_difference(|x| project(&twin(x, &weight, &bias, n), &d_y), &x);
        let d_weight = finite_difference(|w| project(&twin(&x, w, &bias, n), &d_y), &weight);
        let d_bias = finite_difference(|b| project(&twin(&x, &weight, b, n), &d_y), &bias);
        for place in places() {
            let here = |numbers: &[f64]| map(numbers, &dims, &place);
            let (w, b) = (map(&weight, &[c], &place), map(&bias, &[c], &place));
            let y = ops::forward(&here(&x), &w, &b).unwrap();
            assert_close(&format!("y, {place:?}"), &y, &expected, TOLERANCE);
            let found = ops::backward(here(&d_y), &here(&x), &w).unwrap();
            assert_close(&format!("d_x, {place:?}"), &found.d_x, &d_x, GRADIENT_TOLERANCE);
            assert_close(&format!("d_weight, {place:?}"), &found.d_weight, &d_weight, GRADIENT_TOLERANCE);
            assert_close(&format!("d_bias, {place:?}"), &found.d_bias, &d_bias, GRADIENT_TOLERANCE);
        }
    }
}

#[test]
fn channels_of_zeros_and_misfits() {
    for place in places() {
        let zeros = |dims: &[usize]| place.full(dims, 0.0).unwrap();
        let (x, ones) = (map(&[0.0, 2.0, 0.0, -1.0], &[1, 1, 2, 2], &place), place.full(&[2], 1.0).unwrap());
        let found = ops::backward(place.full(&[1, 1, 2, 2], 1.0).unwrap(), &x, &ones).unwrap();
        assert!(numbers(&found.d_x).iter().all(|v| v.is_finite()));
        let nothing = ops::backward(place.full(&[1, 2], 1.0).unwrap(), &zeros(&[1, 2]), &ones).unwrap();
        assert_eq!(numbers(&nothing.d_x), [1.0; 2]);
        assert_eq!(ops::forward(&x, &zeros(&[3]), &zeros(&[2])).unwrap_err().kind(), ErrorKind::Shape);
    }
}
