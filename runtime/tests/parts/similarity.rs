//! Similarity matching (predsim) against a plain f64 twin and its finite differences.

use crate::common::{Random, finite_difference, map, numbers, places, with_threads};
use crate::loss::{assert_gradient, assert_value};
use localgrad::ErrorKind;
use localgrad::maps::Place;
use localgrad::maps::similarity::predsim;
use proptest::prelude::*;

/// A row less its mean, and the L2 norm of that.
fn centred(row: &[f64]) -> (Vec<f64>, f64) {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    let norm = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>().sqrt();
    (row.iter().map(|x| x - mean).collect(), norm)
}

/// Similarities of all pairs of rows.
fn similarities(rows: &[Vec<f64>]) -> Vec<f64> {
    let unit = |row: &Vec<f64>| {
        let (row, norm) = centred(row);
        row.iter().map(|x| x / (1e-8 + norm)).collect()
    };
    let units: Vec<Vec<f64>> = rows.iter().map(unit).collect();
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>().clamp(-1.0, 1.0);
    units.iter().flat_map(|a| units.iter().map(|b| product(a, b)).collect::<Vec<_>>()).collect()
}

/// One row a sample: the unbiased deviation over space of each channel, or the elements themselves where there are
/// at most three channels or one row of positions.
fn deviations(features: &[f64], [n, h, w, c]: [usize; 4]) -> Vec<Vec<f64>> {
    if c <= 3 || h == 1 {
        return features.chunks(h * w * c).map(<[f64]>::to_vec).collect();
    }
    let positions = h * w;
    let deviation = |sample: usize, channel: usize| {
        let x: Vec<f64> = (0..positions).map(|p| features[(sample * positions + p) * c + channel]).collect();
        centred(&x).1 / ((positions - 1) as f64).sqrt()
    };
    (0..n).map(|s| (0..c).map(|channel| deviation(s, channel)).collect()).collect()
}

fn twin(features: &[f64], shape: [usize; 4], labels: &[u32], classes: usize) -> f64 {
    let one_hot = |label: &u32| (0..classes).map(|k| f64::from(u8::from(k == *label as usize))).collect();
    let targets: Vec<Vec<f64>> = labels.iter().map(one_hot).collect();
    let pairs = similarities(&deviations(features, shape)).into_iter().zip(similarities(&targets));
    pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / (labels.len() * labels.len()) as f64
}

fn sample([n, h, w, c]: [usize; 4], classes: usize, seed: u64) -> (Vec<f64>, Vec<u32>) {
    let mut random = Random::new(seed);
    (random.numbers(n * h * w * c), (0..n).map(|_| (random.next_u64() % classes as u64) as u32).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_twin(n in 1usize..6, h in 1usize..4, w in 1usize..4, c in 1usize..7, classes in 1usize..5, seed in 0u64..1 << 40) {
        let shape = [n, h, w, c];
        let (features, labels) = sample(shape, classes, seed);
        // Where deviations, or a row's differences between them, come near 0, differences of 1e-5 are too coarse.
        let rows = deviations(&features, shape);
        let norm = rows.iter().map(|row| centred(row).1).fold(f64::INFINITY, f64::min);
        prop_assume!(c <= 3 || h == 1 || rows.iter().flatten().all(|&deviation| deviation > 0.02));
        prop_assume!(rows[0].len() == 1 || norm > 0.02);
        let slopes = finite_difference(|x| twin(x, shape, &labels, classes), &features);
        for place in places() {
            let loss = predsim(&map(&features, &shape, &place), &labels, classes).unwrap();
            assert_value(&format!("{place:?}"), loss.value, twin(&features, shape, &labels, classes));
            prop_assert_eq!(loss.d_input.dims(), &shape);
            // Unit rows are rounded to f32, and gradients divide that by the norm.
            assert_gradient(&format!("{place:?}"), &loss.d_input, &slopes, 0.01 / norm.max(0.02));
        }
    }
}

#[test]
fn a_constant_channel_gets_no_gradient() {
    let shape = [3, 2, 3, 4];
    let (mut features, labels) = sample(shape, 2, 9);
    features.iter_mut().skip(1).step_by(4).for_each(|x| *x = 0.25);
    let slopes = finite_difference(|x| twin(x, shape, &labels, 2), &features);
    for place in places() {
        let d_features = predsim(&map(&features, &shape, &place), &labels, 2).unwrap().d_input;
        assert!(numbers(&d_features).iter().skip(1).step_by(4).all(|&d| d == 0.0), "{place:?}");
        assert_gradient(&format!("{place:?}"), &d_features, &slopes, 1e-3);
    }
}

#[test]
fn a_dead_sample_stays_finite() {
    for channels in [3, 4] {
        let shape = [2, 2, 2, channels];
        let (mut features, _) = sample(shape, 1, 4);
        features[..4 * channels].fill(0.0);
        for place in places() {
            let loss = predsim(&map(&features, &shape, &place), &[0, 1], 2).unwrap();
            assert_value(&format!("{place:?}"), loss.value, twin(&features, shape, &[0, 1], 2));
            assert!(numbers(&loss.d_input).iter().all(|d| d.is_finite()), "{place:?}");
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let shape = [130, 5, 3, 7];
    let (features, labels) = sample(shape, 10, 6);
    let x = map(&features, &shape, &Place::Host);
    let run = |threads| {
        let loss = with_threads(threads, || predsim(&x, &labels, 10).unwrap());
        (loss.value.to_bits(), numbers(&loss.d_input))
    };
    assert_value("loss", f64::from_bits(run(1).0), twin(&features, shape, &labels, 10));
    assert_eq!(run(1), run(2));
    assert_eq!(run(1), run(3));
}

#[test]
fn refuses_what_does_not_fit() {
    let x = map(&[0.0; 12], &[2, 1, 2, 3], &Place::Host);
    let kind = |labels: &[u32], classes| predsim(&x, labels, classes).unwrap_err().kind();
    assert_eq!(kind(&[0], 2), ErrorKind::Shape);
    assert_eq!(kind(&[0, 2], 2), ErrorKind::Config);
    assert_eq!(predsim(&x.reshape(12).unwrap(), &[0], 2).unwrap_err().kind(), ErrorKind::Shape);
}
