//! Softmax cross-entropy with shares of classes against a plain f64 twin and its finite differences.

use crate::common::{Random, finite_difference, map, numbers, places, with_threads};
use crate::loss::{assert_gradient, assert_value};
use localgrad::ErrorKind;
use localgrad::maps::Place;
use localgrad::maps::cross_entropy::weighted_softmax_cross_entropy;
use localgrad::maps::soft_cross_entropy::{soft_cross_entropy, soft_hits};
use proptest::prelude::*;

/// -Σ weight·target·ln(softmax), term by term, divided by Σ weight·share.
fn twin(logits: &[f64], shares: &[f32], weights: &[f64], smoothing: f64) -> f64 {
    let classes = weights.len();
    let (mut total, mut divisor) = (0.0, 0.0);
    for (row, shares) in logits.chunks(classes).zip(shares.chunks(classes)) {
        let sum: f64 = row.iter().map(|z| z.exp()).sum();
        for (class, z) in row.iter().enumerate() {
            let share = f64::from(shares[class]);
            let target = (1.0 - smoothing) * share + smoothing / classes as f64;
            total -= weights[class] * target * (z.exp() / sum).ln();
            divisor += weights[class] * share;
        }
    }
    total / divisor
}

fn sample(n: usize, k: usize, seed: u64) -> (Vec<f64>, Vec<f32>) {
    let mut random = Random::new(seed);
    let logits = random.numbers(n * k).iter().map(|z| z * 4.0).collect();
    let mut shares: Vec<f32> = random.numbers(n * k).iter().map(|share| share.abs() as f32 + 0.01).collect();
    for row in shares.chunks_mut(k) {
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|share| *share /= sum);
    }
    (logits, shares)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_twin(
        n in 1usize..20, k in 1usize..12, smooth in 0u32..4, weighted: bool, seed in 0u64..1 << 40,
    ) {
        let smoothing = f64::from(smooth) / 3.0;
        let (logits, shares) = sample(n, k, seed);
        let drawn: Vec<f32> = Random::new(!seed).numbers(k).iter().map(|w| (w.abs() * 3.0 + 0.1) as f32).collect();
        let exact: Vec<f64> = drawn.iter().map(|&weight| if weighted { f64::from(weight) } else { 1.0 }).collect();
        let weights = if weighted { &drawn[..] } else { &[] };
        let slopes = finite_difference(|z| twin(z, &shares, &exact, smoothing), &logits);
        for place in places() {
            let loss = soft_cross_entropy(&map(&logits, &[n, k], &place), &shares, smoothing, weights).unwrap();
            assert_value("loss", loss.value, twin(&logits, &shares, &exact, smoothing));
            prop_assert_eq!(loss.d_input.dims(), &[n, k]);
            assert_gradient("d_logits", &loss.d_input, &slopes, 1e-3);
        }
    }
}

#[test]
fn shares_that_are_labels_are_labels() {
    let logits = [0.5, -1.0, 2.0, 1.5, 0.25, -0.5];
    for place in places() {
        let x = map(&logits, &[2, 3], &place);
        for (smoothing, weights) in [(0.0, &[][..]), (0.2, &[]), (0.1, &[1.0, 2.5, 0.5])] {
            let hard = weighted_softmax_cross_entropy(&x, &[2, 0], smoothing, weights).unwrap();
            let soft = soft_cross_entropy(&x, &[0.0, 0.0, 1.0, 1.0, 0.0, 0.0], smoothing, weights).unwrap();
            assert_value("loss", soft.value, hard.value);
            let gradient: Vec<f64> = numbers(&hard.d_input).into_iter().map(f64::from).collect();
            assert_gradient("d_logits", &soft.d_input, &gradient, 1e-5);
        }
    }
}

#[test]
fn a_masked_class_costs_nothing_and_a_nan_shows() {
    for place in places() {
        let masked = map(&[0.0, f64::NEG_INFINITY, 0.0], &[1, 3], &place);
        let loss = soft_cross_entropy(&masked, &[0.5, 0.0, 0.5], 0.0, &[]).unwrap();
        assert_value("loss", loss.value, 2f64.ln());
        assert_eq!(numbers(&loss.d_input), [0.0, 0.0, 0.0]);
        let spoiled = map(&[0.0, f64::NAN], &[1, 2], &place);
        assert!(soft_cross_entropy(&spoiled, &[1.0, 0.0], 0.0, &[]).unwrap().value.is_nan());
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (logits, shares) = sample(203, 37, 5);
    let x = map(&logits, &[203, 37], &Place::Host);
    let run = |threads| {
        let loss = with_threads(threads, || soft_cross_entropy(&x, &shares, 0.1, &[]).unwrap());
        (loss.value.to_bits(), numbers(&loss.d_input))
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}

#[test]
fn the_largest_share_is_to_be_found() {
    let rows = [1.0, 3.0, 2.0, 5.0, 5.0, 0.0, f64::NAN, 9.0, 0.0];
    let shares = [0.1, 0.7, 0.2, 0.2, 0.5, 0.3, 0.0, 1.0, 0.0];
    for place in places() {
        assert_eq!(soft_hits(&map(&rows, &[3, 3], &place), &shares).unwrap(), [true, false, false]);
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let x = map(&[0.0; 6], &[2, 3], &Place::Host);
    let kind = |shares: &[f32], smoothing, weights: &[f32]| {
        soft_cross_entropy(&x, shares, smoothing, weights).unwrap_err().kind()
    };
    assert_eq!(kind(&[1.0, 0.0, 0.0], 0.0, &[]), ErrorKind::Shape);
    assert_eq!(kind(&[0.5; 6], 1.5, &[]), ErrorKind::Config);
    assert_eq!(kind(&[0.5; 6], 0.0, &[1.0, 2.0]), ErrorKind::Config);
    assert!(soft_hits(&x, &[1.0; 4]).is_err());
}
