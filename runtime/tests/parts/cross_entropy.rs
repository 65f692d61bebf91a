//! Softmax cross-entropy against a plain f64 twin and its finite differences.

use crate::common::{Random, device, finite_difference, numbers, tensor, with_threads};
use crate::loss::{assert_gradient, assert_value};
use localgrad::ops::cross_entropy::{correct, softmax_cross_entropy};
use localgrad::{Device, ErrorKind};
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
        let x = tensor(&logits, &[n, k], &device());
        let loss = softmax_cross_entropy(&x, &labels, smoothing).unwrap();
        assert_value("loss", loss.value, twin(&logits, &labels, k, smoothing));
        let slopes = finite_difference(|z| twin(z, &labels, k, smoothing), &logits);
        prop_assert_eq!(loss.d_input.dims(), &[n, k]);
        assert_gradient("d_logits", &loss.d_input, &slopes, 1e-3);
    }
}

#[test]
fn equal_logits_cost_the_logarithm_of_the_classes() {
    let x = tensor(&[0.5; 30], &[3, 10], &device());
    for smoothing in [0.0, 0.1] {
        let loss = softmax_cross_entropy(&x, &[0, 4, 9], smoothing).unwrap();
        assert_value("loss", loss.value, 10f64.ln());
    }
}

#[test]
fn huge_logits_stay_finite() {
    let x = tensor(&[1e4, -1e4, 0.0, -1e4, 1e4, 0.0], &[2, 3], &device());
    let loss = softmax_cross_entropy(&x, &[0, 0], 0.0).unwrap();
    assert_value("loss", loss.value, 1e4);
    assert_eq!(numbers(&loss.d_input), [0.0, 0.0, 0.0, -0.5, 0.5, 0.0]);
}

#[test]
fn a_masked_class_costs_nothing_without_smoothing() {
    let x = tensor(&[0.0, f64::NEG_INFINITY, 0.0], &[1, 3], &Device::Cpu);
    let loss = softmax_cross_entropy(&x, &[2], 0.0).unwrap();
    assert_value("loss", loss.value, 2f64.ln());
    assert_eq!(numbers(&loss.d_input), [0.5, 0.0, -0.5]);
}

#[test]
fn a_nan_shows_in_the_value() {
    let x = tensor(&[0.0, f64::NAN], &[1, 2], &Device::Cpu);
    assert!(softmax_cross_entropy(&x, &[0], 0.0).unwrap().value.is_nan());
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (logits, labels) = sample(203, 37, 5);
    let x = tensor(&logits, &[203, 37], &Device::Cpu);
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
    let x = tensor(&rows, &[5, 3], &device());
    assert_eq!(correct(&x, &[1, 0, 1, 1, 2]).unwrap(), 3);
    assert_eq!(correct(&x, &[1, 1, 0, 2, 2]).unwrap(), 2);
}

#[test]
fn refuses_what_does_not_fit() {
    let x = tensor(&[0.0; 6], &[2, 3], &Device::Cpu);
    let kind = |labels: &[u32], smoothing| softmax_cross_entropy(&x, labels, smoothing).unwrap_err().kind();
    assert_eq!(kind(&[0, 3], 0.0), ErrorKind::Config);
    assert_eq!(kind(&[0], 0.0), ErrorKind::Shape);
    assert_eq!(kind(&[0, 1], 1.5), ErrorKind::Config);
    assert_eq!(kind(&[0, 1], f64::NAN), ErrorKind::Config);
    let flat = x.flatten_all().unwrap();
    assert_eq!(softmax_cross_entropy(&flat, &[0], 0.0).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(correct(&x, &[3, 0]).unwrap_err().kind(), ErrorKind::Config);
}
