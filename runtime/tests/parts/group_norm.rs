//! Layer norm and group norm against f64.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    GRADIENT_TOLERANCE, Random, TOLERANCE, assert_close, finite_difference, map, numbers, places, project,
    with_threads,
};
use localgrad::ErrorKind;
use localgrad::maps::Place;
use localgrad::maps::group_norm::{self as ops, Extent};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const EPSILON: f64 = 1e-3;

/// The elements that have one mean, by their places in `[N, positions, C]`.
fn members([n, positions, c]: [usize; 3], extent: Extent) -> Vec<Vec<usize>> {
    let sample = positions * c;
    match extent {
        Extent::Position => (0..n * positions).map(|p| (p * c..(p + 1) * c).collect()).collect(),
        Extent::Group(groups) => (0..n * groups)
            .map(|group| {
                let of_group = |i: &usize| i % c / (c / groups) == group % groups;
                (group / groups * sample..(group / groups + 1) * sample).filter(of_group).collect()
            })
            .collect(),
    }
}

fn twin(x: &[f64], weight: &[f64], bias: &[f64], shape: [usize; 3], extent: Extent) -> Vec<f64> {
    let mut y = vec![0.0; x.len()];
    for places in members(shape, extent) {
        let mean_of =
            |f: &dyn Fn(f64) -> f64| places.iter().map(|&i| f(x[i])).sum::<f64>() / places.len() as f64;
        let mean = mean_of(&|x| x);
        let variance = mean_of(&|x| (x - mean).powi(2));
        for i in places.iter().copied() {
            let c = i % weight.len();
            y[i] = weight[c] * (x[i] - mean) / (variance + EPSILON).sqrt() + bias[c];
        }
    }
    y
}

fn hold(dims: &[usize], extent: Extent, seed: u64) {
    let mut random = Random::new(seed);
    let (c, len) = (dims[dims.len() - 1], dims.iter().product());
    let shape = [dims[0], len / dims[0] / c, c];
    let x: Vec<f64> = random.numbers(len).iter().map(|x| 2.0 * x + 0.5).collect();
    let (weight, bias, d_y) = (random.numbers(c), random.numbers(c), random.numbers(len));
    let expected = twin(&x, &weight, &bias, shape, extent);
    let d_x = finite_difference(|x| project(&twin(x, &weight, &bias, shape, extent), &d_y), &x);
    let d_weight = finite_difference(|w| project(&twin(&x, w, &bias, shape, extent), &d_y), &weight);
    let d_bias = finite_difference(|b| project(&twin(&x, &weight, b, shape, extent), &d_y), &bias);
    for place in places() {
        let here = |numbers: &[f64]| map(numbers, dims, &place);
        let (w, b) = (map(&weight, &[c], &place), map(&bias, &[c], &place));
        let y = ops::forward(&here(&x), &w, &b, extent, EPSILON).unwrap();
        assert_close(&format!("y, {extent:?}, {place:?}"), &y, &expected, TOLERANCE);
        let found = ops::backward(here(&d_y), &here(&x), &w, extent, EPSILON).unwrap();
        assert_eq!(found.d_x.dims(), dims);
        let close = |what, found, expected: &[f64]| {
            assert_close(&format!("{what}, {extent:?}, {place:?}"), found, expected, GRADIENT_TOLERANCE);
        };
        close("d_x", &found.d_x, &d_x);
        close("d_weight", &found.d_weight, &d_weight);
        close("d_bias", &found.d_bias, &d_bias);
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 30, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn agree_with_the_twin_and_with_differences(
        n in 1usize..4, h in 1usize..6, w in 1usize..4, groups in 1usize..4, width in 1usize..20,
        which in 0usize..3, seed in 0u64..1000,
    ) {
        let c = groups * width;
        match which {
            0 => hold(&[n, h, w, c], Extent::Position, seed),
            1 => hold(&[n, h, w, c], Extent::Group(groups), seed),
            _ => hold(&[n, c], [Extent::Position, Extent::Group(groups)][h % 2], seed),
        }
    }
}

#[test]
fn a_large_mean_costs_no_digits() {
    let x: Vec<f64> = Random::new(4).numbers(5 * 90).iter().map(|x| f64::from((3000.0 + x) as f32)).collect();
    let (weight, bias) = (vec![1.0; 90], vec![0.0; 90]);
    for extent in [Extent::Position, Extent::Group(3)] {
        let expected = twin(&x, &weight, &bias, [1, 5, 90], extent);
        let (w, b) = (map(&weight, &[90], &Place::Host), map(&bias, &[90], &Place::Host));
        let y = ops::forward(&map(&x, &[1, 5, 1, 90], &Place::Host), &w, &b, extent, EPSILON).unwrap();
        // The mean itself is a number of f32.
        assert_close("y", &y, &expected, 2e-4);
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let mut random = Random::new(6);
    let (dims, len) = ([3, 67, 31, 24], 3 * 67 * 31 * 24);
    let (x, d_y, weight) = (random.numbers(len), random.numbers(len), random.numbers(24));
    let run = || {
        let here = |numbers: &[f64]| map(numbers, &dims, &Place::Host);
        let weight = map(&weight, &[24], &Place::Host);
        let mut bits = Vec::new();
        for extent in [Extent::Position, Extent::Group(4)] {
            let y = ops::forward(&here(&x), &weight, &weight, extent, EPSILON).unwrap();
            let found = ops::backward(here(&d_y), &here(&x), &weight, extent, EPSILON).unwrap();
            let made = [y, found.d_x, found.d_weight, found.d_bias];
            bits.extend(made.iter().flat_map(numbers).map(f32::to_bits));
        }
        bits
    };
    let one = with_threads(1, run);
    assert_eq!(one, with_threads(2, run));
    assert_eq!(one, with_threads(3, run));
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    for place in places() {
        let zeros = |dims: &[usize]| place.full(dims, 0.0).unwrap();
        let forward = |x: &[usize], weight: &[usize], extent| {
            ops::forward(&zeros(x), &zeros(weight), &zeros(&[4]), extent, EPSILON).map(drop)
        };
        forward(&[2, 3, 3, 4], &[4], Extent::Group(2)).unwrap();
        for (x, weight, extent) in [
            (&[2, 3, 3, 4][..], &[4], Extent::Group(3)),
            (&[2, 3, 3, 4], &[4], Extent::Group(0)),
            (&[2, 3, 3, 4], &[3], Extent::Position),
            (&[2, 3], &[4], Extent::Position),
            (&[0, 4], &[4], Extent::Position),
        ] {
            assert_eq!(forward(x, weight, extent).unwrap_err().kind(), ErrorKind::Shape, "{x:?} {extent:?}");
        }
    }
}
