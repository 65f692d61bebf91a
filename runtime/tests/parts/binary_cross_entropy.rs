//! Binary cross-entropy with logits against a plain f64 twin and its finite differences.

use crate::common::{Random, finite_difference, map, numbers, places, transposed, with_threads};
use crate::loss::{assert_gradient, assert_value};
use localgrad::ErrorKind;
use localgrad::maps::Place;
use localgrad::maps::binary_cross_entropy::sigmoid_binary_cross_entropy;
use localgrad::maps::loss::Loss;
use proptest::prelude::*;

/// A sigmoid, then binary cross-entropy, as two steps.
fn twin(logits: &[f64], targets: &[f64]) -> f64 {
    let mut total = 0.0;
    for (z, t) in logits.iter().zip(targets) {
        let s = 1.0 / (1.0 + (-z).exp());
        total -= t * s.ln() + (1.0 - t) * (1.0 - s).ln();
    }
    total / logits.len() as f64
}

fn sample(len: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
    let mut random = Random::new(seed);
    let logits = random.numbers(len).iter().map(|z| z * 6.0).collect();
    (logits, random.numbers(len).iter().map(|t| f64::from((0.5 * (t + 1.0)) as f32)).collect())
}

fn of(logits: &[f64], targets: &[f64], shape: &[usize], place: &Place) -> Loss {
    sigmoid_binary_cross_entropy(&map(logits, shape, place), &map(targets, shape, place)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_twin(n in 1usize..4, h in 1usize..6, w in 1usize..6, c in 1usize..4, seed in 0u64..1 << 40) {
        let shape = [n, h, w, c];
        let (logits, targets) = sample(n * h * w * c, seed);
        let slopes = finite_difference(|z| twin(z, &targets), &logits);
        for place in places() {
            let loss = of(&logits, &targets, &shape, &place);
            assert_value(&format!("{place:?}"), loss.value, twin(&logits, &targets));
            prop_assert_eq!(loss.d_input.dims(), &shape);
            assert_gradient(&format!("{place:?}"), &loss.d_input, &slopes, 1e-3);
        }
    }
}

#[test]
fn large_logits_stay_finite() {
    for place in places() {
        let loss = of(&[100.0, 100.0, -100.0, -100.0], &[0.0, 1.0, 0.0, 1.0], &[4], &place);
        assert_value(&format!("{place:?}"), loss.value, 50.0);
        assert_gradient(&format!("{place:?}"), &loss.d_input, &[0.25, 0.0, 0.0, -0.25], 1e-3);
    }
}

#[test]
fn a_nan_shows_in_the_value() {
    for place in places() {
        assert!(of(&[f64::NAN, 0.0], &[0.5, 0.5], &[2], &place).value.is_nan(), "{place:?}");
    }
}

#[test]
fn strided_inputs_are_read_in_order() {
    let (logits, targets) = sample(12, 3);
    for place in places() {
        let (z, t) = (map(&logits, &[3, 4], &place), map(&targets, &[3, 4], &place));
        let whole = sigmoid_binary_cross_entropy(&z, &t).unwrap();
        let flipped = sigmoid_binary_cross_entropy(&transposed(&z), &transposed(&t)).unwrap();
        assert_value("loss", flipped.value, whole.value);
        assert_eq!(numbers(&transposed(&flipped.d_input)), numbers(&whole.d_input));
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (logits, targets) = sample(50_001, 7);
    let (z, t) = (map(&logits, &[50_001], &Place::Host), map(&targets, &[50_001], &Place::Host));
    let run = |threads| {
        let loss = with_threads(threads, || sigmoid_binary_cross_entropy(&z, &t).unwrap());
        (loss.value.to_bits(), numbers(&loss.d_input))
    };
    assert_value("loss", f64::from_bits(run(1).0), twin(&logits, &targets));
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}

#[test]
fn refuses_shapes_that_differ() {
    let (x, t) = (map(&[0.0; 6], &[2, 3], &Place::Host), map(&[0.0; 6], &[3, 2], &Place::Host));
    assert_eq!(sigmoid_binary_cross_entropy(&x, &t).unwrap_err().kind(), ErrorKind::Shape);
}
