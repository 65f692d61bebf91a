//! Softmax cross-entropy against a plain f64 twin and its finite differences.

use crate::common::{Random, finite_difference, map, numbers, places, with_threads};
use crate::loss::{assert_gradient, assert_value};
use localgrad::ErrorKind;
use localgrad::maps::cross_entropy::{
    correct, hits, softmax_cross_entropy, total_weight, weighted_softmax_cross_entropy,
};
use localgrad::maps::{Map, Place};
use proptest::prelude::*;

/// -Σ target·ln(softmax), averaged, term by term.
fn twin(logits: &[f64], labels: &[u32], classes: usize, smoothing: f64) -> f64 {
    let mut total = 0.0;
    for (row, &label) in logits.chunks(classes).zip(labels) {
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        for (class, z) in row.iter().enumerate() {
            let hard = if class == label as usize { 1.0 - smoothing } else { 0.0 };
            total -= (hard + smoothing / classes as f64) * (z.exp() / sum).ln();
        }
    }
    total / labels.len() as f64
}

/// The same with a weight for each class's terms, divided by the weights of the labels.
fn weighted_twin(logits: &[f64], labels: &[u32], weights: &[f64], smoothing: f64) -> f64 {
    let classes = weights.len();
    let (mut total, mut divisor) = (0.0, 0.0);
    for (row, &label) in logits.chunks(classes).zip(labels) {
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        for (class, z) in row.iter().enumerate() {
            let hard = if class == label as usize { 1.0 - smoothing } else { 0.0 };
            total -= weights[class] * (hard + smoothing / classes as f64) * (z.exp() / sum).ln();
        }
        divisor += weights[label as usize];
    }
    total / divisor
}

fn sample(n: usize, k: usize, seed: u64) -> (Vec<f64>, Vec<u32>) {
    let mut random = Random::new(seed);
    let logits = random.numbers(n * k).iter().map(|z| z * 4.0).collect();
    (logits, (0..n).map(|_| (random.next_u64() % k as u64) as u32).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_twin(n in 1usize..20, k in 1usize..12, smooth in 0u32..4, seed in 0u64..1 << 40) {
        let smoothing = f64::from(smooth) / 3.0;
        let (logits, labels) = sample(n, k, seed);
        let slopes = finite_difference(|z| twin(z, &labels, k, smoothing), &logits);
        for place in places() {
            let loss = softmax_cross_entropy(&map(&logits, &[n, k], &place), &labels, smoothing).unwrap();
            assert_value("loss", loss.value, twin(&logits, &labels, k, smoothing));
            prop_assert_eq!(loss.d_input.dims(), &[n, k]);
            assert_gradient("d_logits", &loss.d_input, &slopes, 1e-3);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn weighted_classes_agree_with_the_twin(n in 1usize..20, k in 1usize..12, smooth in 0u32..4, seed in 0u64..1 << 40) {
        let smoothing = f64::from(smooth) / 3.0;
        let (logits, labels) = sample(n, k, seed);
        let weights: Vec<f32> = Random::new(!seed).numbers(k).iter().map(|w| (w.abs() * 3.0 + 0.1) as f32).collect();
        let exact: Vec<f64> = weights.iter().map(|&weight| f64::from(weight)).collect();
        let slopes = finite_difference(|z| weighted_twin(z, &labels, &exact, smoothing), &logits);
        for place in places() {
            let x = map(&logits, &[n, k], &place);
            let loss = weighted_softmax_cross_entropy(&x, &labels, smoothing, &weights).unwrap();
            assert_value("loss", loss.value, weighted_twin(&logits, &labels, &exact, smoothing));
            assert_gradient("d_logits", &loss.d_input, &slopes, 1e-3);
        }
    }
}

// import torch
// logits = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.5], [-2.0, 1.0, 0.0], [0.0, 0.0, 3.0]])
// for smoothing in (0.0, 0.2):
//     loss = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.5, 0.5]), label_smoothing=smoothing)
//     print(loss(logits, torch.tensor([2, 0, 1, 1])).item())
#[test]
fn weights_and_smoothing_are_pytorchs() {
    let logits = [0.5, -1.0, 2.0, 1.5, 0.25, -0.5, -2.0, 1.0, 0.0, 0.0, 0.0, 3.0];
    for place in places() {
        let x = map(&logits, &[4, 3], &place);
        for (smoothing, expected) in [(0.0, 1.397299299), (0.2, 1.438596294)] {
            let loss =
                weighted_softmax_cross_entropy(&x, &[2, 0, 1, 1], smoothing, &[1.0, 2.5, 0.5]).unwrap();
            assert!((loss.value - expected).abs() < 1e-6, "{} with smoothing {smoothing}", loss.value);
        }
    }
}

#[test]
fn shares_of_a_batch_add_up_by_their_weights() {
    let (logits, labels) = sample(9, 4, 3);
    let weights = [0.5, 3.0, 1.0, 0.25];
    let total = total_weight(&labels, &weights);
    for place in places() {
        let whole = map(&logits, &[9, 4], &place);
        let loss =
            |x: &Map, labels: &[u32]| weighted_softmax_cross_entropy(x, labels, 0.1, &weights).unwrap();
        let all = loss(&whole, &labels);
        let (mut value, mut gradient) = (0.0, Vec::new());
        for (first, count) in [(0, 4), (4, 4), (8, 1)] {
            let labels = &labels[first..first + count];
            let share = total_weight(labels, &weights) / total;
            let found = loss(&whole.samples(first, count).unwrap(), labels);
            value += share * found.value;
            gradient.extend(numbers(&found.d_input).iter().map(|d| share * f64::from(*d)));
        }
        assert_value("loss", value, all.value);
        assert_gradient("d_logits", &all.d_input, &gradient, 1e-5);
    }
    assert_eq!(total_weight(&labels, &[]), 9.0);
}

#[test]
fn equal_logits_cost_the_logarithm_of_the_classes() {
    for place in places() {
        let x = map(&[0.5; 30], &[3, 10], &place);
        for smoothing in [0.0, 0.1] {
            let loss = softmax_cross_entropy(&x, &[0, 4, 9], smoothing).unwrap();
            assert_value("loss", loss.value, 10f64.ln());
        }
    }
}

#[test]
fn huge_logits_stay_finite() {
    for place in places() {
        let x = map(&[1e4, -1e4, 0.0, -1e4, 1e4, 0.0], &[2, 3], &place);
        let loss = softmax_cross_entropy(&x, &[0, 0], 0.0).unwrap();
        assert_value("loss", loss.value, 1e4);
        assert_eq!(numbers(&loss.d_input), [0.0, 0.0, 0.0, -0.5, 0.5, 0.0]);
    }
}

#[test]
fn a_masked_class_costs_nothing_without_smoothing() {
    let x = map(&[0.0, f64::NEG_INFINITY, 0.0], &[1, 3], &Place::Host);
    let loss = softmax_cross_entropy(&x, &[2], 0.0).unwrap();
    assert_value("loss", loss.value, 2f64.ln());
    assert_eq!(numbers(&loss.d_input), [0.5, 0.0, -0.5]);
}

#[test]
fn a_nan_shows_in_the_value() {
    let x = map(&[0.0, f64::NAN], &[1, 2], &Place::Host);
    assert!(softmax_cross_entropy(&x, &[0], 0.0).unwrap().value.is_nan());
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (logits, labels) = sample(203, 37, 5);
    let x = map(&logits, &[203, 37], &Place::Host);
    let run = |threads| {
        let loss = with_threads(threads, || softmax_cross_entropy(&x, &labels, 0.1).unwrap());
        (loss.value.to_bits(), numbers(&loss.d_input))
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}

#[test]
fn counts_first_maxima() {
    let nan = f64::NAN;
    let rows = [1.0, 3.0, 2.0, 5.0, 5.0, 0.0, nan, 9.0, 0.0, 0.0, 1.0, nan, -1.0, -2.0, -0.5];
    for place in places() {
        let x = map(&rows, &[5, 3], &place);
        assert_eq!(correct(&x, &[1, 0, 1, 1, 2]).unwrap(), 3);
        assert_eq!(correct(&x, &[1, 1, 0, 2, 2]).unwrap(), 2);
        assert_eq!(hits(&x, &[1, 1, 0, 2, 2]).unwrap(), [true, false, false, false, true]);
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let x = map(&[0.0; 6], &[2, 3], &Place::Host);
    let kind = |labels: &[u32], smoothing| softmax_cross_entropy(&x, labels, smoothing).unwrap_err().kind();
    assert_eq!(kind(&[0, 3], 0.0), ErrorKind::Config);
    assert_eq!(kind(&[0], 0.0), ErrorKind::Shape);
    assert_eq!(kind(&[0, 1], 1.5), ErrorKind::Config);
    assert_eq!(kind(&[0, 1], f64::NAN), ErrorKind::Config);
    let weighted = |weights: &[f32]| weighted_softmax_cross_entropy(&x, &[0, 1], 0.0, weights).unwrap_err();
    for (weights, word) in [
        (&[1.0, 2.0][..], "2 class weights were given for 3 classes"),
        (&[1.0, 0.0, 1.0], "class 1 is 0"),
        (&[1.0, 1.0, -2.0], "class 2 is -2"),
        (&[f32::NAN, 1.0, 1.0], "class 0 is NaN"),
        (&[1.0, f32::INFINITY, 1.0], "class 1 is inf"),
    ] {
        assert_eq!(weighted(weights).kind(), ErrorKind::Config);
        assert!(weighted(weights).to_string().contains(word), "{}", weighted(weights));
    }
    let flat = x.reshape(6).unwrap();
    assert_eq!(softmax_cross_entropy(&flat, &[0], 0.0).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(correct(&x, &[3, 0]).unwrap_err().kind(), ErrorKind::Config);
}
