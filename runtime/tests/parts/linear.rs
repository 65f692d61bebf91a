//! The linear layer and its gradients against f64.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    GRADIENT_TOLERANCE, Random, TOLERANCE, assert_close, finite_difference, map, numbers, places, project,
    with_threads,
};
use localgrad::ErrorKind;
use localgrad::maps::{Map, Place};
use localgrad::maps::{elementwise, linear as ops};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A layer's sizes and numbers.
struct Case {
    samples: usize,
    inputs: usize,
    outputs: usize,
    x: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    d_y: Vec<f64>,
}

impl Case {
    fn new(samples: usize, inputs: usize, outputs: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            samples,
            inputs,
            outputs,
            x: random.numbers(samples * inputs),
            weight: random.numbers(outputs * inputs),
            bias: random.numbers(outputs),
            d_y: random.numbers(samples * outputs),
        }
    }

    fn twin(&self, x: &[f64], weight: &[f64], bias: Option<&[f64]>) -> Vec<f64> {
        let mut y = Vec::new();
        for n in 0..self.samples {
            for o in 0..self.outputs {
                let mut sum = bias.map_or(0.0, |bias| bias[o]);
                for i in 0..self.inputs {
                    sum += x[n * self.inputs + i] * weight[o * self.inputs + i];
                }
                y.push(sum);
            }
        }
        y
    }

    /// x, weight, bias and d_y.
    fn maps(&self, place: &Place) -> [Map; 4] {
        [
            map(&self.x, &[self.samples, self.inputs], place),
            map(&self.weight, &[self.outputs, self.inputs], place),
            map(&self.bias, &[self.outputs], place),
            map(&self.d_y, &[self.samples, self.outputs], place),
        ]
    }

    fn check_forward(&self) {
        for with_bias in [false, true] {
            let expected = self.twin(&self.x, &self.weight, with_bias.then_some(&self.bias));
            for place in places() {
                let [x, weight, bias, _] = self.maps(&place);
                let y = ops::forward(&x, &weight, with_bias.then_some(&bias)).unwrap();
                assert_eq!(y.dims(), [self.samples, self.outputs]);
                assert_close(&format!("{place:?}"), &y, &expected, TOLERANCE);
            }
        }
    }

    fn check_gradients(&self) {
        let d_x = finite_difference(|x| project(&self.twin(x, &self.weight, None), &self.d_y), &self.x);
        let d_weight = finite_difference(|w| project(&self.twin(&self.x, w, None), &self.d_y), &self.weight);
        let d_bias =
            finite_difference(|b| project(&self.twin(&self.x, &self.weight, Some(b)), &self.d_y), &self.bias);
        for place in places() {
            let [x, weight, _, d_y] = self.maps(&place);
            let close = |what: &str, gradient: Map, expected: &[f64]| {
                assert_close(&format!("{what}, {place:?}"), &gradient, expected, GRADIENT_TOLERANCE);
            };
            close("d_x", ops::d_input(&d_y, &weight).unwrap(), &d_x);
            close("d_weight", ops::d_weight(&x, &d_y).unwrap(), &d_weight);
            close("d_bias", elementwise::sum_rows(&d_y).unwrap(), &d_bias);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 30, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn forward_agrees_with_the_twin(n in 1usize..70, i in 1usize..70, o in 1usize..70, seed in 0u64..1000) {
        Case::new(n, i, o, seed).check_forward();
    }

    #[test]
    fn gradients_agree_with_differences(n in 1usize..6, i in 1usize..8, o in 1usize..8, seed in 0u64..1000) {
        Case::new(n, i, o, seed).check_gradients();
    }
}

#[test]
fn products_of_several_pieces_agree_with_the_twin() {
    // Cut by rows, by columns, and with one sample.
    for (n, i, o) in [(700, 97, 33), (33, 97, 700), (1, 900, 1300)] {
        Case::new(n, i, o, 7).check_forward();
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    for (n, i, o) in [(700, 97, 33), (33, 97, 700)] {
        let case = Case::new(n, i, o, 8);
        let run = || {
            let [x, weight, bias, d_y] = case.maps(&Place::Host);
            let y = ops::forward(&x, &weight, Some(&bias)).unwrap();
            let results = [y, ops::d_input(&d_y, &weight).unwrap(), ops::d_weight(&x, &d_y).unwrap()];
            results.map(|t| numbers(&t).iter().map(|v| v.to_bits()).collect::<Vec<_>>())
        };
        let one = with_threads(1, run);
        assert_eq!(one, with_threads(2, run));
        assert_eq!(one, with_threads(3, run));
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    for place in places() {
        let zeros = |dims: &[usize]| place.full(dims, 0.0).unwrap();
        let fails = |result: localgrad::Result<Map>| assert_eq!(result.unwrap_err().kind(), ErrorKind::Shape);
        fails(ops::forward(&zeros(&[2, 3]), &zeros(&[4, 5]), None));
        fails(ops::forward(&zeros(&[2, 3]), &zeros(&[4, 3]), Some(&zeros(&[3]))));
        fails(ops::forward(&zeros(&[2, 1, 3]), &zeros(&[4, 3]), None));
        fails(ops::forward(&zeros(&[0, 3]), &zeros(&[4, 3]), None));
        fails(ops::d_input(&zeros(&[2, 3]), &zeros(&[4, 3])));
        fails(ops::d_weight(&zeros(&[2, 3]), &zeros(&[3, 3])));
    }
}
