//! The supervised contrastive loss against a plain f64 twin and its finite differences.

use crate::common::{Random, finite_difference, map, numbers, places, with_threads};
use crate::loss::{assert_gradient, assert_value};
use localgrad::ErrorKind;
use localgrad::maps::Place;
use localgrad::maps::contrastive::{DEFAULT_TEMPERATURE, supervised_contrastive};
use proptest::prelude::*;

/// The definition, pair by pair. The largest exponent, 1 / 0.07, is no trouble in f64.
fn twin(features: &[f64], labels: &[u32], temperature: f64) -> f64 {
    let n = labels.len();
    let rows: Vec<&[f64]> = features.chunks(features.len() / n).collect();
    let norm = |x: &[f64]| x.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    let similarity = |i: usize, j: usize| {
        let product: f64 = rows[i].iter().zip(rows[j]).map(|(a, b)| a * b).sum();
        product / (norm(rows[i]) * norm(rows[j])) / temperature
    };
    let (mut total, mut anchors) = (0.0, 0);
    for i in 0..n {
        let positives: Vec<usize> = (0..n).filter(|&p| p != i && labels[p] == labels[i]).collect();
        if positives.is_empty() {
            continue;
        }
        let all: f64 = (0..n).filter(|&a| a != i).map(|a| similarity(i, a).exp()).sum();
        let logs: f64 = positives.iter().map(|&p| similarity(i, p) - all.ln()).sum();
        total -= logs / positives.len() as f64;
        anchors += 1;
    }
    if anchors == 0 { 0.0 } else { total / f64::from(anchors) }
}

fn sample(n: usize, d: usize, classes: u64, seed: u64) -> (Vec<f64>, Vec<u32>) {
    let mut random = Random::new(seed);
    (random.numbers(n * d), (0..n).map(|_| (random.next_u64() % classes) as u32).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_twin(n in 1usize..9, d in 1usize..8, classes in 1u64..5, soft in any::<bool>(), seed in 0u64..1 << 40) {
        let temperature = if soft { 0.5 } else { DEFAULT_TEMPERATURE };
        let (features, labels) = sample(n, d, classes, seed);
        // Where a row comes near 0, differences of 1e-5 are too coarse.
        let norms = features.chunks(d).map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt());
        let norm = norms.fold(f64::INFINITY, f64::min);
        prop_assume!(norm > 0.02);
        let slopes = finite_difference(|x| twin(x, &labels, temperature), &features);
        for place in places() {
            let loss = supervised_contrastive(&map(&features, &[n, d], &place), &labels, temperature).unwrap();
            assert_value("loss", loss.value, twin(&features, &labels, temperature));
            prop_assert_eq!(loss.d_input.dims(), &[n, d]);
            // Unit rows are rounded to f32, and gradients divide that by the norm and the temperature.
            assert_gradient("d_features", &loss.d_input, &slopes, 0.01 / (norm * temperature));
        }
    }
}

#[test]
fn a_larger_batch_agrees_with_the_twin() {
    let (n, d) = (150, 33);
    let (features, labels) = sample(n, d, 7, 11);
    let x = map(&features, &[n, d], &Place::Host);
    let loss = supervised_contrastive(&x, &labels, DEFAULT_TEMPERATURE).unwrap();
    assert_value("loss", loss.value, twin(&features, &labels, DEFAULT_TEMPERATURE));
    // Along the gradient itself the loss must rise as fast as its norm says.
    let gradient = numbers(&loss.d_input);
    let norm = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
    let along = |t: f64| {
        let moved: Vec<f64> =
            features.iter().zip(&gradient).map(|(x, &g)| x + t * f64::from(g) / norm).collect();
        twin(&moved, &labels, DEFAULT_TEMPERATURE)
    };
    assert_value("slope", (along(1e-5) - along(-1e-5)) / 2e-5 / norm, 1.0);
}

#[test]
fn no_positives_cost_nothing() {
    let (features, _) = sample(4, 3, 1, 2);
    for place in places() {
        let x = map(&features, &[4, 3], &place);
        let loss = supervised_contrastive(&x, &[0, 1, 2, 3], 0.07).unwrap();
        assert_eq!(loss.value, 0.0);
        assert_eq!(numbers(&loss.d_input), [0.0; 12]);
    }
}

#[test]
fn a_row_of_zeros_stays_finite() {
    for place in places() {
        let x = map(&[0.0, 0.0, 1.0, 0.0, 0.0, 1.0], &[3, 2], &place);
        let loss = supervised_contrastive(&x, &[0, 0, 1], 0.5).unwrap();
        // Anchor 0 sees 0 and 0, anchor 1 likewise: ln 2 each.
        assert_value("loss", loss.value, 2f64.ln());
        assert!(numbers(&loss.d_input).iter().all(|d| d.is_finite()));
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (features, labels) = sample(150, 40, 10, 3);
    let x = map(&features, &[150, 40], &Place::Host);
    let run = |threads| {
        let loss = with_threads(threads, || supervised_contrastive(&x, &labels, 0.07).unwrap());
        (loss.value.to_bits(), numbers(&loss.d_input))
    };
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}

#[test]
fn refuses_what_does_not_fit() {
    let x = map(&[0.0; 6], &[2, 3], &Place::Host);
    let kind =
        |labels: &[u32], temperature| supervised_contrastive(&x, labels, temperature).unwrap_err().kind();
    assert_eq!(kind(&[0], 0.07), ErrorKind::Shape);
    assert_eq!(kind(&[0, 0], 0.0), ErrorKind::Config);
    assert_eq!(kind(&[0, 0], f64::NAN), ErrorKind::Config);
    let flat = x.reshape(6).unwrap();
    assert_eq!(supervised_contrastive(&flat, &[0], 0.07).unwrap_err().kind(), ErrorKind::Shape);
}
