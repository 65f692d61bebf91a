//! SGD and AdamW against f64 twins over several updates, at every place.

use crate::common::{Random, assert_close, map, numbers, places, transposed, with_threads};
use localgrad::ErrorKind;
use localgrad::maps::Place;
use localgrad::optimizer::{OptimizerConfig, accumulate, update, update_accumulated};
use localgrad::parameter::Parameter;
use proptest::prelude::*;

/// PyTorch's definitions, one number at a time.
#[derive(Default)]
struct Twin {
    momentum: Option<f64>,
    mean: f64,
    square: f64,
    updates: i32,
}

impl Twin {
    fn update(&mut self, p: f64, g: f64, config: &OptimizerConfig, rate: f64) -> f64 {
        self.updates += 1;
        match *config {
            OptimizerConfig::Sgd { momentum, nesterov, weight_decay } => {
                let g = g + weight_decay * p;
                if momentum == 0.0 {
                    return p - rate * g;
                }
                let buffer = self.momentum.map_or(g, |b| momentum * b + g);
                self.momentum = Some(buffer);
                p - rate * if nesterov { g + momentum * buffer } else { buffer }
            }
            OptimizerConfig::AdamW { beta1, beta2, epsilon, weight_decay } => {
                let p = p - rate * weight_decay * p;
                self.mean = beta1 * self.mean + (1.0 - beta1) * g;
                self.square = beta2 * self.square + (1.0 - beta2) * g * g;
                let mean = self.mean / (1.0 - beta1.powi(self.updates));
                let square = self.square / (1.0 - beta2.powi(self.updates));
                p - rate * mean / (square.sqrt() + epsilon)
            }
        }
    }
}

fn configs() -> impl Strategy<Value = OptimizerConfig> {
    let sgd =
        (0u32..3, any::<bool>(), 0u32..2).prop_map(|(momentum, nesterov, decay)| OptimizerConfig::Sgd {
            momentum: [0.0, 0.5, 0.9][momentum as usize],
            nesterov: nesterov && momentum > 0,
            weight_decay: f64::from(decay) * 0.1,
        });
    let adamw = (0u32..2, 0u32..2).prop_map(|(epsilon, decay)| OptimizerConfig::AdamW {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: [1e-8, 0.1][epsilon as usize],
        weight_decay: f64::from(decay) * 0.1,
    });
    prop_oneof![sgd, adamw]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_twin(
        config in configs(), shape in proptest::collection::vec(1usize..6, 0..4), seed in 0u64..1 << 40,
    ) {
        let (len, mut random) = (shape.iter().product(), Random::new(seed));
        let mut expected = random.numbers(len);
        let mut twins: Vec<Twin> = (0..len).map(|_| Twin::default()).collect();
        let mut parameters: Vec<Parameter> =
            places().iter().map(|place| Parameter::new(map(&expected, &shape, place))).collect();
        for number in 0..6u64 {
            let rate = 0.2 / (1 + number) as f64;
            let gradient = random.numbers(len);
            for ((p, g), twin) in expected.iter_mut().zip(&gradient).zip(&mut twins) {
                *p = twin.update(*p, *g, &config, rate);
            }
            let states: Vec<Vec<f64>> = match config {
                OptimizerConfig::Sgd { momentum: 0.0, .. } => Vec::new(),
                OptimizerConfig::Sgd { .. } => vec![twins.iter().filter_map(|t| t.momentum).collect()],
                OptimizerConfig::AdamW { .. } => {
                    vec![twins.iter().map(|t| t.mean).collect(), twins.iter().map(|t| t.square).collect()]
                }
            };
            for parameter in &mut parameters {
                let place = parameter.value.place();
                update(parameter, &map(&gradient, &shape, &place), &config, rate).unwrap();
                prop_assert_eq!(parameter.updates, number + 1);
                assert_close(&format!("value, {place:?}"), &parameter.value, &expected, 2e-5);
                prop_assert_eq!(parameter.state.len(), states.len());
                for (state, twin) in parameter.state.iter().zip(&states) {
                    assert_close(&format!("state, {place:?}"), state, twin, 1e-6);
                }
            }
        }
    }
}

/// A value of 1 under a gradient of 1, worked out by hand.
#[test]
fn nesterov_by_hand() {
    let config = OptimizerConfig::Sgd { momentum: 0.9, nesterov: true, weight_decay: 0.0 };
    for place in places() {
        let mut parameter = Parameter::new(map(&[1.0], &[1], &place));
        let d_value = map(&[1.0], &[1], &place);
        // Momentum 1, 1.9, 2.71; directions 1.9, 2.71, 3.439.
        for expected in [0.81, 0.539, 0.1951] {
            update(&mut parameter, &d_value, &config, 0.1).unwrap();
            assert_close("value", &parameter.value, &[expected], 1e-6);
        }
    }
}

/// AdamW's first step is the rate times the gradient's sign, whatever the gradient's size.
#[test]
fn adamw_starts_with_full_steps() {
    let config = OptimizerConfig::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.5 };
    for place in places() {
        let mut parameter = Parameter::new(map(&[1.0, 1.0], &[2], &place));
        update(&mut parameter, &map(&[3.0, -0.01], &[2], &place), &config, 0.1).unwrap();
        assert_close("value", &parameter.value, &[0.95 - 0.1, 0.95 + 0.1], 1e-6);
    }
}

#[test]
fn updates_write_into_the_same_storage() {
    for place in places() {
        for config in [OptimizerConfig::sgd(), OptimizerConfig::adamw()] {
            let mut parameter = Parameter::new(map(&[1.0, 2.0], &[2], &place));
            let d_value = map(&[0.5, 0.5], &[2], &place);
            update(&mut parameter, &d_value, &config, 0.1).unwrap();
            let (value, state) = (parameter.value.clone(), parameter.state.clone());
            update(&mut parameter, &d_value, &config, 0.1).unwrap();
            assert_eq!(numbers(&value), numbers(&parameter.value));
            assert_ne!(numbers(&value), [1.0, 2.0]);
            assert!(state.iter().zip(&parameter.state).all(|(old, new)| numbers(old) == numbers(new)));
        }
    }
}

#[test]
fn what_is_not_trained_stays() {
    for place in places() {
        let mut frozen = Parameter::new(map(&[1.0], &[1], &place));
        frozen.trainable = false;
        let d_value = map(&[1.0], &[1], &place);
        update(&mut frozen, &d_value, &OptimizerConfig::sgd(), 0.1).unwrap();
        accumulate(&mut frozen, d_value.clone(), 1.0).unwrap();
        assert_eq!(numbers(&frozen.value), [1.0]);
        assert_eq!((frozen.updates, frozen.state.len(), frozen.accumulated.is_none()), (0, 0, true));
    }
}

#[test]
fn micro_batches_add_up() {
    places().iter().for_each(add_up);
}

fn add_up(place: &Place) {
    let config = OptimizerConfig::sgd();
    let parts = [[1.0, -2.0, 0.5], [3.0, 0.25, -1.0], [0.0, 1.0, 2.0]];
    let factors = [0.5, 0.25, 0.25];
    let mut parameter = Parameter::new(map(&[1.0, 2.0, 3.0], &[3], place));
    let first = map(&parts[0], &[3], place);
    accumulate(&mut parameter, first.clone(), factors[0]).unwrap();
    for (part, factor) in parts.iter().zip(factors).skip(1) {
        accumulate(&mut parameter, map(part, &[3], place), factor).unwrap();
    }
    let sum: Vec<f64> = (0..3).map(|i| (0..3).map(|p| factors[p] * parts[p][i]).sum()).collect();
    assert_close("accumulated", parameter.accumulated.as_ref().unwrap(), &sum, 1e-6);
    assert_eq!(numbers(&first), [1.0, -2.0, 0.5], "the micro-batch's own gradient");

    let mut whole = Parameter::new(map(&[1.0, 2.0, 3.0], &[3], place));
    update(&mut whole, &map(&sum, &[3], place), &config, 0.1).unwrap();
    update_accumulated(&mut parameter, &config, 0.1).unwrap();
    assert_eq!(numbers(&parameter.value), numbers(&whole.value));
    assert!(parameter.accumulated.is_none());
    update_accumulated(&mut parameter, &config, 0.1).unwrap();
    assert_eq!(parameter.updates, 1, "nothing collected, nothing updated");
}

#[test]
fn the_first_gradient_is_kept_without_a_copy() {
    for place in places() {
        let (first, second) = (map(&[1.0, 2.0], &[2], &place), map(&[3.0, 5.0], &[2], &place));
        let mut parameter = Parameter::new(map(&[0.0; 2], &[2], &place));
        accumulate(&mut parameter, first.clone(), 1.0).unwrap();
        assert!(first.shares_memory(parameter.accumulated.as_ref().unwrap()));
        accumulate(&mut parameter, second, 1.0).unwrap();
        assert_eq!(numbers(parameter.accumulated.as_ref().unwrap()), [4.0, 7.0]);
    }
}

#[test]
fn strided_gradients_are_read_in_order() {
    for place in places() {
        let mut parameter = Parameter::new(map(&[0.0; 6], &[2, 3], &place));
        let d_value = transposed(&map(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], &[3, 2], &place));
        let config = OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        update(&mut parameter, &d_value, &config, 1.0).unwrap();
        assert_eq!(numbers(&parameter.value), [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0]);
        accumulate(&mut parameter, d_value.clone(), 2.0).unwrap();
        accumulate(&mut parameter, d_value, 1.0).unwrap();
        assert_eq!(numbers(parameter.accumulated.as_ref().unwrap()), [3.0, 6.0, 9.0, 12.0, 15.0, 18.0]);
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let (len, mut random) = (50_001, Random::new(8));
    let (value, gradient) = (random.numbers(len), random.numbers(len));
    for config in [OptimizerConfig::sgd(), OptimizerConfig::adamw()] {
        let run = |threads| {
            let mut parameter = Parameter::new(map(&value, &[len], &Place::Host));
            let d_value = map(&gradient, &[len], &Place::Host);
            with_threads(threads, || {
                update(&mut parameter, &d_value, &config, 0.1).unwrap();
                update(&mut parameter, &d_value, &config, 0.1).unwrap();
            });
            (numbers(&parameter.value), parameter.state.iter().map(numbers).collect::<Vec<_>>())
        };
        assert_eq!(run(1), run(2));
        assert_eq!(run(1), run(3));
    }
}

#[test]
fn refuses_what_does_not_fit() {
    for place in places() {
        let mut parameter = Parameter::new(map(&[1.0, 2.0], &[2], &place));
        let d_value = map(&[1.0, 1.0], &[2], &place);
        let wrong = map(&[1.0, 1.0], &[1, 2], &place);
        let sgd = OptimizerConfig::sgd();
        assert_eq!(update(&mut parameter, &wrong, &sgd, 0.1).unwrap_err().kind(), ErrorKind::Shape);
        assert_eq!(accumulate(&mut parameter, wrong, 1.0).unwrap_err().kind(), ErrorKind::Shape);
        update(&mut parameter, &d_value, &sgd, 0.1).unwrap();
        let before = numbers(&parameter.value);
        let refused = update(&mut parameter, &d_value, &OptimizerConfig::adamw(), 0.1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config);
        assert_eq!((numbers(&parameter.value), parameter.updates), (before, 1));
    }
}

#[test]
fn validates_its_ranges() {
    assert!(OptimizerConfig::default().validate().is_ok());
    assert!(OptimizerConfig::adamw().validate().is_ok());
    let sgd = |momentum, nesterov, weight_decay| OptimizerConfig::Sgd { momentum, nesterov, weight_decay };
    let adamw = |beta1, beta2, epsilon| OptimizerConfig::AdamW { beta1, beta2, epsilon, weight_decay: 0.0 };
    assert!(sgd(0.0, false, 0.0).validate().is_ok());
    for (bad, word) in [
        (sgd(0.0, true, 0.0), "nesterov"),
        (sgd(1.0, true, 0.0), "momentum"),
        (sgd(-0.1, false, 0.0), "momentum"),
        (sgd(f64::NAN, false, 0.0), "momentum"),
        (sgd(0.9, true, -1.0), "weight_decay"),
        (sgd(0.9, true, f64::INFINITY), "weight_decay"),
        (adamw(1.0, 0.9, 1e-8), "beta1"),
        (adamw(0.9, 1.5, 1e-8), "beta2"),
        (adamw(0.9, 0.999, -1e-8), "epsilon"),
    ] {
        let refused = bad.validate().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config);
        assert!(refused.to_string().starts_with(word), "{refused}");
    }
}

#[test]
fn reads_and_writes_json() {
    let text = r#"{"sgd":{"momentum":0.9,"nesterov":true,"weight_decay":0.0001}}"#;
    assert_eq!(serde_json::to_string(&OptimizerConfig::default()).unwrap(), text);
    assert_eq!(serde_json::from_str::<OptimizerConfig>(text).unwrap(), OptimizerConfig::sgd());
    let adamw = serde_json::to_string(&OptimizerConfig::adamw()).unwrap();
    assert_eq!(serde_json::from_str::<OptimizerConfig>(&adamw).unwrap(), OptimizerConfig::adamw());
    assert!(serde_json::from_str::<OptimizerConfig>(&text.replace("nesterov", "nestorov")).is_err());
}
