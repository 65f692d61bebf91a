//! The parametric ReLU against f64.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    GRADIENT_TOLERANCE, Random, TOLERANCE, assert_close, finite_difference, map, near_kink, numbers, places,
    project,
};
use localgrad::ErrorKind;
use localgrad::maps::prelu as ops;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn twin(x: &[f64], slopes: &[f64]) -> Vec<f64> {
    x.iter().enumerate().map(|(i, x)| if *x > 0.0 { *x } else { slopes[i % slopes.len()] * x }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 30, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn agrees_with_the_twin_and_with_differences(
        n in 1usize..4, h in 1usize..5, w in 1usize..5, c in 1usize..19, one in any::<bool>(),
        seed in 0u64..1000,
    ) {
        let mut random = Random::new(seed);
        let (dims, len) = ([n, h, w, c], n * h * w * c);
        let clear = |x: f64| if near_kink(x, 0.01) { 0.5 } else { x };
        let x: Vec<f64> = random.numbers(len).into_iter().map(clear).collect();
        let (d_y, slopes) = (random.numbers(len), random.numbers(if one { 1 } else { c }));
        let expected = twin(&x, &slopes);
        let d_x = finite_difference(|x| project(&twin(x, &slopes), &d_y), &x);
        let d_slopes = finite_difference(|slopes| project(&twin(&x, slopes), &d_y), &slopes);
        for place in places() {
            let here = |x: &[f64]| map(x, &dims, &place);
            let by = map(&slopes, &[slopes.len()], &place);
            assert_close(&format!("{place:?}"), &ops::forward(&here(&x), &by).unwrap(), &expected, TOLERANCE);
            let found = ops::backward(here(&d_y), &here(&x), &by).unwrap();
            assert_close(&format!("d_x, {place:?}"), &found.d_x, &d_x, GRADIENT_TOLERANCE);
            assert_close(&format!("d_slopes, {place:?}"), &found.d_slopes, &d_slopes, GRADIENT_TOLERANCE);
        }
    }
}

#[test]
fn zeros_nans_and_misfits() {
    for place in places() {
        let (x, slopes) = (map(&[0.0, f64::NAN, -2.0], &[1, 3], &place), map(&[0.5], &[1], &place));
        let y = numbers(&ops::forward(&x, &slopes).unwrap());
        assert!(y[0] == 0.0 && y[1].is_nan() && y[2] == -1.0, "{y:?}");
        let d_y = map(&[1.0, 0.0, 1.0], &[1, 3], &place);
        let d_x = numbers(&ops::backward(d_y, &x, &slopes).unwrap().d_x);
        assert_eq!([d_x[0], d_x[2]], [0.5, 0.5]);
        let two = map(&[0.5, 0.5], &[2], &place);
        assert_eq!(ops::forward(&x, &two).unwrap_err().kind(), ErrorKind::Shape);
    }
}
