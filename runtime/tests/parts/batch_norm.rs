//! Batch normalization against f64, with and without its activation, in training and in evaluation.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    ACTIVATIONS, GRADIENT_TOLERANCE, Random, TOLERANCE, activated, assert_close, finite_difference, map,
    near_kink, numbers, places, project, with_threads,
};
use localgrad::ErrorKind;
use localgrad::layers::spec::{LayerSpec, named, unnamed};
use localgrad::layers::{Draw, Initializer, Layer, Mode, Sequential, Trains, Variable};
use localgrad::maps::activation::Activation;
use localgrad::maps::batch_norm::{self as ops, BatchNormGradients, Statistics};
use localgrad::maps::conv::ConvConfig;
use localgrad::maps::counted::ledger::Part;
use localgrad::maps::{Map, Place};
use localgrad::tape::Tape;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

const EPSILON: f64 = 1e-5;

/// None, and each activation.
fn activations() -> Vec<Option<Activation>> {
    [None].into_iter().chain(ACTIVATIONS.map(Some)).collect()
}

fn moments(x: &[f64], channels: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = x.len() / channels;
    let column = |c: usize| x.iter().skip(c).step_by(channels);
    (0..channels)
        .map(|c| {
            let mean = column(c).sum::<f64>() / rows as f64;
            (mean, column(c).map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64)
        })
        .unzip()
}

/// One batch and its parameters; with `running`, statistics that are constants.
struct Case {
    shape: Vec<usize>,
    x: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    d_y: Vec<f64>,
    running: Option<(Vec<f64>, Vec<f64>)>,
    activation: Option<Activation>,
}

impl Case {
    fn new(shape: &[usize], activation: Option<Activation>, evaluation: bool, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (len, channels) = (shape.iter().product(), shape[shape.len() - 1]);
        let mut case = Self {
            shape: shape.to_vec(),
            x: random.numbers(len).iter().map(|x| 2.0 * x + 0.5).collect(),
            weight: random.numbers(channels).iter().map(|w| f64::from((1.0 + 0.5 * w) as f32)).collect(),
            bias: random.numbers(channels),
            d_y: random.numbers(len),
            running: None,
            activation,
        };
        if evaluation {
            let variance = random.numbers(channels).iter().map(|v| f64::from((1.5 + v) as f32)).collect();
            case.running = Some((random.numbers(channels), variance));
        }
        case
    }

    fn pre_activation(&self, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let channels = weight.len();
        let (mean, variance) = self.running.clone().unwrap_or_else(|| moments(x, channels));
        x.iter()
            .enumerate()
            .map(|(i, x)| (i % channels, x))
            .map(|(c, x)| weight[c] * (x - mean[c]) / (variance[c] + EPSILON).sqrt() + bias[c])
            .collect()
    }

    fn twin(&self, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        self.pre_activation(x, weight, bias).into_iter().map(|x| activated(x, self.activation)).collect()
    }

    /// Whether differences mean anything: no pre-activation within reach of a kink.
    fn is_smooth(&self) -> bool {
        let y = self.pre_activation(&self.x, &self.weight, &self.bias);
        y.iter().all(|y| !near_kink(*y, 1e-3))
    }

    fn x(&self, place: &Place) -> Map {
        map(&self.x, &self.shape, place)
    }

    fn statistics(&self, place: &Place) -> Statistics {
        match &self.running {
            None => ops::statistics(&self.x(place)).unwrap(),
            Some((mean, variance)) => Statistics::new(vector(mean, place), vector(variance, place)),
        }
    }

    fn forward(&self, place: &Place) -> Map {
        let (x, statistics) = (self.x(place), self.statistics(place));
        let (weight, bias) = (vector(&self.weight, place), vector(&self.bias, place));
        ops::forward(&x, &statistics, &weight, &bias, EPSILON, self.activation).unwrap()
    }

    fn backward(&self, place: &Place, need_input: bool) -> BatchNormGradients {
        let (x, statistics) = (self.x(place), self.statistics(place));
        let (weight, bias) = (vector(&self.weight, place), vector(&self.bias, place));
        let d_y = map(&self.d_y, &self.shape, place);
        let (batch, activation) = (self.running.is_none(), self.activation);
        let mut own = ops::own_sums;
        let whole: Option<&mut ops::WholeSums<'_>> = if batch { Some(&mut own) } else { None };
        ops::backward(d_y, &x, &statistics, &weight, &bias, EPSILON, activation, whole, need_input).unwrap()
    }

    fn check_forward(&self) {
        let expected = self.twin(&self.x, &self.weight, &self.bias);
        for place in places() {
            let y = self.forward(&place);
            assert_eq!(y.dims(), self.shape);
            assert_close(&format!("forward, {place:?}"), &y, &expected, TOLERANCE);
        }
    }

    fn check_gradients(&self) {
        let (x, w, b) = (&self.x, &self.weight, &self.bias);
        let d_x = finite_difference(|x| project(&self.twin(x, w, b), &self.d_y), x);
        let d_weight = finite_difference(|w| project(&self.twin(x, w, b), &self.d_y), w);
        let d_bias = finite_difference(|b| project(&self.twin(x, w, b), &self.d_y), b);
        for place in places() {
            let gradients = self.backward(&place, true);
            let close = |what: &str, actual: &Map, expected: &[f64]| {
                assert_close(&format!("{what}, {place:?}"), actual, expected, GRADIENT_TOLERANCE);
            };
            let input = gradients.d_x.unwrap();
            assert_eq!(input.dims(), self.shape);
            close("d_x", &input, &d_x);
            close("d_weight", &gradients.d_weight, &d_weight);
            close("d_bias", &gradients.d_bias, &d_bias);
            let gradients = self.backward(&place, false);
            assert!(gradients.d_x.is_none());
            close("d_weight alone", &gradients.d_weight, &d_weight);
            close("d_bias alone", &gradients.d_bias, &d_bias);
        }
    }
}

fn vector(numbers: &[f64], place: &Place) -> Map {
    map(numbers, &[numbers.len()], place)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn statistics_agree_with_the_twin(rows in 1usize..150, channels in 1usize..30, seed in 0u64..1000) {
        let x = Random::new(seed).numbers(rows * channels);
        let (mean, variance) = moments(&x, channels);
        for place in places() {
            let statistics = ops::statistics(&map(&x, &[rows, channels], &place)).unwrap();
            assert_close("mean", &statistics.mean, &mean, TOLERANCE);
            assert_close("variance", &statistics.variance, &variance, TOLERANCE);
        }
    }

    #[test]
    fn forward_agrees_with_the_twin(
        n in 1usize..5, h in 1usize..9, w in 1usize..9, c in 1usize..20,
        which in 0usize..9, evaluation in any::<bool>(), seed in 0u64..1000,
    ) {
        // A variance of nothing but rounding is divided by; three rows and more have a real one.
        prop_assume!(evaluation || n * h * w > 2);
        Case::new(&[n, h, w, c], activations()[which], evaluation, seed).check_forward();
    }

    #[test]
    fn gradients_agree_with_differences(
        rows in 5usize..40, channels in 1usize..11,
        which in 0usize..9, evaluation in any::<bool>(), seed in 0u64..1000,
    ) {
        let case = Case::new(&[rows, channels], activations()[which], evaluation, seed);
        prop_assume!(case.is_smooth());
        case.check_gradients();
    }
}

#[test]
fn gradients_of_images_agree_with_differences() {
    for activation in activations() {
        for evaluation in [false, true] {
            let case = (0..).map(|seed| Case::new(&[2, 3, 5, 9], activation, evaluation, seed));
            case.into_iter().find(Case::is_smooth).unwrap().check_gradients();
        }
    }
}

#[test]
fn a_large_mean_costs_no_digits() {
    let mut random = Random::new(4);
    let x: Vec<f64> = random.numbers(5000 * 9).iter().map(|x| f64::from((3000.0 + x) as f32)).collect();
    let (mean, variance) = moments(&x, 9);
    for place in places() {
        let statistics = ops::statistics(&map(&x, &[5000, 9], &place)).unwrap();
        // Compositions and devices sum in f32.
        let [of_mean, of_variance] = if place.is_host() { [1e-6, 1e-5] } else { [1e-4, 1e-3] };
        assert_close("mean", &statistics.mean, &mean, of_mean);
        assert_close("variance", &statistics.variance, &variance, of_variance);
    }
}

#[test]
fn one_row_gives_the_bias_and_no_gradient_of_the_input() {
    let case = Case::new(&[1, 4], None, false, 5);
    for place in places() {
        assert_close("forward", &case.forward(&place), &case.bias, TOLERANCE);
        let gradients = case.backward(&place, true);
        assert_close("d_x", &gradients.d_x.unwrap(), &[0.0; 4], 1e-6);
        assert_close("d_weight", &gradients.d_weight, &[0.0; 4], 1e-6);
        assert_close("d_bias", &gradients.d_bias, &case.d_y, 1e-6);
    }
}

#[test]
fn running_statistics_move_by_the_momentum() {
    for place in places() {
        let (running, observed) = (vector(&[1.0, -2.0], &place), vector(&[3.0, 4.0], &place));
        let updated = ops::update_running(&running, &observed, None, 0.1).unwrap();
        assert_close("running", &updated, &[1.2, -1.4], TOLERANCE);
        let variance = vector(&[0.5, 2.0], &place);
        assert_close("unbiased", &ops::unbiased(&variance, 5).unwrap(), &[0.625, 2.5], TOLERANCE);
        assert_eq!(numbers(&ops::unbiased(&variance, 1).unwrap()), [0.5, 2.0]);
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let case = Case::new(&[3, 31, 29, 21], Some(Activation::Silu), false, 6);
    let run = || {
        let statistics = case.statistics(&Place::Host);
        let y = case.forward(&Place::Host);
        let gradients = case.backward(&Place::Host, true);
        let d_x = gradients.d_x.unwrap();
        [statistics.mean, statistics.variance, y, d_x, gradients.d_weight, gradients.d_bias]
            .map(|t| numbers(&t).iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    let one = with_threads(1, run);
    assert_eq!(one, with_threads(2, run));
    assert_eq!(one, with_threads(3, run));
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    for place in places() {
        let zeros = |dims: &[usize]| place.full(dims, 0.0).unwrap();
        assert_eq!(ops::statistics(&zeros(&[0, 3])).unwrap_err().kind(), ErrorKind::Shape);
        assert_eq!(ops::statistics(&zeros(&[])).unwrap_err().kind(), ErrorKind::Shape);
        let statistics = Statistics::new(zeros(&[3]), zeros(&[3]));
        let forward = |x: &[usize], weight: &[usize]| {
            ops::forward(&zeros(x), &statistics, &zeros(weight), &zeros(&[3]), EPSILON, None)
        };
        assert!(forward(&[2, 3], &[3]).is_ok());
        assert_eq!(forward(&[2, 4], &[3]).unwrap_err().kind(), ErrorKind::Shape);
        assert_eq!(forward(&[2, 3], &[1]).unwrap_err().kind(), ErrorKind::Shape);
        let moved = ops::update_running(&zeros(&[3]), &zeros(&[2]), None, 0.1);
        assert_eq!(moved.unwrap_err().kind(), ErrorKind::Shape);
    }
}

/// The layer with an epsilon and a momentum that are not the usual ones, alone and joined to a convolution.
#[test]
fn epsilon_and_momentum_are_the_specs() {
    let (epsilon, momentum) = (0.05, 0.25);
    let norm = |activation| LayerSpec::BatchNorm { channels: 3, activation, epsilon, momentum };
    let config = ConvConfig { groups: 3, ..ConvConfig::default() };
    let conv = LayerSpec::Conv { inputs: 3, outputs: 3, config, bias: false };
    let x = Random::new(9).numbers(2 * 2 * 2 * 3);
    let (mean, variance) = moments(&x, 3);
    for layers in [vec![unnamed(norm(None))], vec![named("c", conv), named("n", norm(None))]] {
        for place in places() {
            let initializer = Initializer {
                seed: 1,
                draws: true,
                place: place.clone(),
                part: Part::Weights,
                trains: Trains::ALL,
            };
            let mut layers = Sequential::new(&layers, "", &initializer).unwrap();
            let ones = &mut |name: &str, mut variable: Variable<'_>| {
                if name == "c.weight" {
                    variable.set(place.full(variable.value().dims(), 1.0)?);
                }
                Ok(())
            };
            layers.visit("", ones).unwrap();
            let mode = Mode::Train { draw: Draw::default() };
            let y = layers.pass(map(&x, &[2, 2, 2, 3], &place), mode, &mut Tape::new()).unwrap();
            let normalized = |(i, x): (usize, &f64)| (x - mean[i % 3]) / (variance[i % 3] + epsilon).sqrt();
            let expected: Vec<f64> = x.iter().enumerate().map(normalized).collect();
            assert_close(&format!("y, {place:?}"), &y, &expected, TOLERANCE);
            let mut running = Vec::new();
            let settle = &mut |name: &str, variable: Variable<'_>| {
                if let Variable::Statistic(statistic) = variable {
                    statistic.settle()?;
                    running.push((name.to_string(), statistic.value.clone()));
                }
                Ok(())
            };
            layers.visit("", settle).unwrap();
            let moved: Vec<f64> = mean.iter().map(|mean| momentum * mean).collect();
            assert_close(&running[0].0, &running[0].1, &moved, TOLERANCE);
            let moved: Vec<f64> =
                variance.iter().map(|v| 1.0 - momentum + momentum * v * 8.0 / 7.0).collect();
            assert_close(&running[1].0, &running[1].1, &moved, TOLERANCE);
        }
    }
}
