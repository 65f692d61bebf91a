//! Squared error and Huber's loss against plain f64 twins and their finite differences.

use crate::common::{Random, finite_difference, map, numbers, places};
use crate::loss::{assert_gradient, assert_value};
use localgrad::ErrorKind;
use localgrad::maps::Place;
use localgrad::maps::errors::{huber, squared_error, sums};
use proptest::prelude::*;

fn squared_twin(outputs: &[f64], targets: &[f32]) -> f64 {
    let errors = outputs.iter().zip(targets).map(|(output, &target)| output - f64::from(target));
    errors.map(|error| error.powi(2)).sum::<f64>() / outputs.len() as f64
}

fn huber_twin(outputs: &[f64], targets: &[f32], delta: f64) -> f64 {
    let mut total = 0.0;
    for (output, &target) in outputs.iter().zip(targets) {
        let error = (output - f64::from(target)).abs();
        total += if error < delta { error * error / 2.0 } else { delta * error - delta * delta / 2.0 };
    }
    total / outputs.len() as f64
}

fn sample(len: usize, seed: u64) -> (Vec<f64>, Vec<f32>) {
    let mut random = Random::new(seed);
    let outputs = random.numbers(len).iter().map(|output| f64::from((output * 4.0) as f32)).collect();
    (outputs, random.numbers(len).iter().map(|target| (target * 3.0) as f32).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agree_with_their_twins(n in 1usize..20, k in 1usize..8, wide in 1u32..20, seed in 0u64..1 << 40) {
        let delta = f64::from(wide) / 5.0;
        let (outputs, targets) = sample(n * k, seed);
        let squared_slopes = finite_difference(|x| squared_twin(x, &targets), &outputs);
        let huber_slopes = finite_difference(|x| huber_twin(x, &targets, delta), &outputs);
        for place in places() {
            let x = map(&outputs, &[n, k], &place);
            let squared = squared_error(&x, &targets).unwrap();
            assert_value("squared", squared.value, squared_twin(&outputs, &targets));
            assert_gradient("squared", &squared.d_input, &squared_slopes, 1e-3);
            let found = huber(&x, &targets, delta).unwrap();
            assert_value("huber", found.value, huber_twin(&outputs, &targets, delta));
            prop_assert_eq!(found.d_input.dims(), &[n, k]);
            assert_gradient("huber", &found.d_input, &huber_slopes, 1e-3);
            let [absolute, of_squares] = sums(&x, &targets).unwrap();
            assert_value("sum", of_squares / (n * k) as f64, squared.value);
            let far = huber(&x, &targets, 1e-6).unwrap().value;
            prop_assert!((absolute / (n * k) as f64 - far / 1e-6).abs() < 1e-5);
        }
    }
}

// import torch
// x, y = torch.tensor([[0.5, -1.0], [2.0, 4.0]]), torch.tensor([[0.0, 1.0], [2.5, -4.0]])
// print(torch.nn.MSELoss()(x, y).item(), torch.nn.HuberLoss(delta=1.5)(x, y).item())
#[test]
fn losses_of_known_errors() {
    for place in places() {
        let x = map(&[0.5, -1.0, 2.0, 4.0], &[2, 2], &place);
        let targets = [0.0, 1.0, 2.5, -4.0];
        assert_value("squared", squared_error(&x, &targets).unwrap().value, 17.125);
        // Of the errors ½, -2, -½ and 8: 0.125, 1.5·(2 - 0.75), 0.125 and 1.5·(8 - 0.75).
        let loss = huber(&x, &targets, 1.5).unwrap();
        assert_value("huber", loss.value, (0.125 + 1.875 + 0.125 + 10.875) / 4.0);
        assert_eq!(numbers(&loss.d_input), [0.125, -0.375, -0.125, 0.375]);
    }
}

#[test]
fn no_number_shows_in_the_value() {
    for place in places() {
        let x = map(&[f64::NAN, 0.0], &[1, 2], &place);
        assert!(squared_error(&x, &[0.0, 0.0]).unwrap().value.is_nan());
        assert!(huber(&x, &[0.0, 0.0], 1.0).unwrap().value.is_nan());
    }
}

#[test]
fn refuses_what_does_not_fit() {
    let x = map(&[0.0; 6], &[2, 3], &Place::Host);
    assert_eq!(squared_error(&x, &[0.0; 5]).unwrap_err().kind(), ErrorKind::Shape);
    for delta in [0.0, -1.0, f64::NAN] {
        assert_eq!(huber(&x, &[0.0; 6], delta).unwrap_err().kind(), ErrorKind::Config);
    }
    assert!(sums(&x, &[0.0; 7]).is_err());
}
