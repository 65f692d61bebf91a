//! Binary cross-entropy with logits against a plain f64 twin and its finite differences.

use crate::common::{Random, device, finite_difference, numbers, tensor, with_threads};
use crate::loss::{assert_gradient, assert_value};
use localgrad::ops::binary_cross_entropy::sigmoid_binary_cross_entropy;
use localgrad::ops::loss::Loss;
use localgrad::{Device, ErrorKind, Result, Tensor, composed};
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

type Path = fn(&Tensor, &Tensor) -> Result<Loss>;

/// The path of the test's device, and the composed one.
const PATHS: [(&str, Path); 2] = [
    ("dispatched", sigmoid_binary_cross_entropy),
    ("composed", composed::binary_cross_entropy::sigmoid_binary_cross_entropy),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_twin(n in 1usize..4, h in 1usize..6, w in 1usize..6, c in 1usize..4, seed in 0u64..1 << 40) {
        let shape = [n, h, w, c];
        let (logits, targets) = sample(n * h * w * c, seed);
        let (z, t) = (tensor(&logits, &shape, &device()), tensor(&targets, &shape, &device()));
        let slopes = finite_difference(|z| twin(z, &targets), &logits);
        for (path, function) in PATHS {
            let loss = function(&z, &t).unwrap();
            assert_value(path, loss.value, twin(&logits, &targets));
            prop_assert_eq!(loss.d_input.dims(), &shape);
            assert_gradient(path, &loss.d_input, &slopes, 1e-3);
        }
    }
}

#[test]
fn large_logits_stay_finite() {
    let logits = tensor(&[100.0, 100.0, -100.0, -100.0], &[4], &device());
    let targets = tensor(&[0.0, 1.0, 0.0, 1.0], &[4], &device());
    for (path, function) in PATHS {
        let loss = function(&logits, &targets).unwrap();
        assert_value(path, loss.value, 50.0);
        assert_gradient(path, &loss.d_input, &[0.25, 0.0, 0.0, -0.25], 1e-3);
    }
}

#[test]
fn a_nan_shows_in_the_value() {
    let (x, t) = (tensor(&[f64::NAN, 0.0], &[2], &device()), tensor(&[0.5, 0.5], &[2], &device()));
    for (path, function) in PATHS {
        assert!(function(&x, &t).unwrap().value.is_nan(), "{path}");
    }
}

#[test]
fn strided_inputs_are_read_in_order() {
    let (logits, targets) = sample(12, 3);
    let (z, t) = (tensor(&logits, &[3, 4], &device()), tensor(&targets, &[3, 4], &device()));
    let whole = sigmoid_binary_cross_entropy(&z, &t).unwrap();
    let flipped = sigmoid_binary_cross_entropy(&z.t().unwrap(), &t.t().unwrap()).unwrap();
    assert_value("loss", flipped.value, whole.value);
    assert_eq!(numbers(&flipped.d_input.t().unwrap()), numbers(&whole.d_input));
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (logits, targets) = sample(50_001, 7);
    let (z, t) = (tensor(&logits, &[50_001], &Device::Cpu), tensor(&targets, &[50_001], &Device::Cpu));
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
    let (x, t) = (tensor(&[0.0; 6], &[2, 3], &Device::Cpu), tensor(&[0.0; 6], &[3, 2], &Device::Cpu));
    assert_eq!(sigmoid_binary_cross_entropy(&x, &t).unwrap_err().kind(), ErrorKind::Shape);
}
