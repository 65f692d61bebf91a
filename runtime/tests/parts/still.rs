//! Layers of which only some weights are trained: batch norms go by their running statistics where they are not, and the
//! gradients of all that is are those of a twin in f64.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{GRADIENT_TOLERANCE, TOLERANCE};
use crate::common::{Random, assert_close, finite_difference, map, places, project};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, named};
use localgrad::layers::{Draw, GradientSink, Initializer, Layer, Mode, Need, Sequential, Trains, Variable};
use localgrad::maps::Map;
use localgrad::maps::Place;
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::maps::counted::ledger::Part;
use localgrad::parameter::Parameter;
use localgrad::tape::Tape;
use std::collections::BTreeMap;

const DIMS: [usize; 4] = [2, 3, 3, 4];
const EPSILON: f64 = 1e-5;

type Weights = BTreeMap<String, Vec<f64>>;

#[derive(Default)]
struct Leave;

impl GradientSink for Leave {
    fn take(&mut self, parameter: &mut Parameter, d_value: Map) -> Result<()> {
        assert!(parameter.trainable && parameter.accumulated.replace(d_value).is_none());
        Ok(())
    }
}

/// 1x1 convolutions and batch norms in turn; `bias` says whether the convolutions have one.
fn layers(bias: bool) -> Vec<NamedLayer> {
    let conv = |inputs, outputs| LayerSpec::Conv { inputs, outputs, config: ConvConfig::default(), bias };
    vec![
        named("conv1", conv(4, 6)),
        named("bn1", LayerSpec::batch_norm(6, Some(Activation::Relu))),
        named("conv2", conv(6, 5)),
        named("bn2", LayerSpec::batch_norm(5, None)),
    ]
}

/// What they make of `x` by running statistics.
fn twin(x: &[f64], weights: &Weights) -> Vec<f64> {
    let mut y = x.to_vec();
    for (conv, norm) in [("conv1", "bn1"), ("conv2", "bn2")] {
        let of = |layer: &str, own: &str| weights.get(&format!("{layer}.{own}"));
        let (scale, shift) = (of(norm, "weight").unwrap(), of(norm, "bias").unwrap());
        let (mean, variance) = (of(norm, "running_mean").unwrap(), of(norm, "running_var").unwrap());
        let (weight, outputs) = (of(conv, "weight").unwrap(), scale.len());
        let inputs = weight.len() / outputs;
        let convolved = |row: &[f64], o: usize| -> f64 {
            let sum: f64 = row.iter().zip(&weight[o * inputs..]).map(|(x, w)| x * w).sum();
            sum + of(conv, "bias").map_or(0.0, |bias| bias[o])
        };
        let normalized = |z: f64, o: usize| {
            let y = (z - mean[o]) / (variance[o] + EPSILON).sqrt() * scale[o] + shift[o];
            if norm == "bn1" { y.max(0.0) } else { y }
        };
        let rows = y.chunks(inputs).flat_map(|row| (0..outputs).map(|o| normalized(convolved(row, o), o)));
        y = rows.collect();
    }
    y
}

fn built(bias: bool, trains: Trains, place: &Place) -> (Sequential, Weights) {
    let initializer = Initializer { seed: 7, draws: true, place: place.clone(), part: Part::Weights, trains };
    let mut layers = Sequential::new(&layers(bias), "", &initializer).unwrap();
    let (mut random, mut weights) = (Random::new(7), Weights::new());
    let draw = &mut |name: &str, mut variable: Variable<'_>| {
        let dims = variable.value().dims().to_vec();
        let mut drawn = random.numbers(dims.iter().product());
        if name.ends_with("running_var") {
            drawn.iter_mut().for_each(|x| *x = f64::from((0.5 + x.abs()) as f32));
        }
        variable.set(map(&drawn, &dims, place));
        weights.insert(name.into(), drawn);
        Ok(())
    };
    layers.visit("", draw).unwrap();
    (layers, weights)
}

fn gradients(layers: &mut Sequential) -> BTreeMap<String, Map> {
    let mut found = BTreeMap::new();
    let take = &mut |name: &str, variable: Variable<'_>| {
        if let Variable::Parameter(parameter) = variable {
            found.extend(parameter.accumulated.take().map(|d_value| (name.to_string(), d_value)));
        }
        Ok(())
    };
    layers.visit("", take).unwrap();
    found
}

#[test]
fn biases_between_running_statistics_have_the_gradients_of_the_twin() {
    let x = Random::new(3).numbers(DIMS.iter().product());
    let trains = Trains { biases: true, ..Trains::NONE };
    for place in places() {
        for bias in [false, true] {
            let (mut layers, weights) = built(bias, trains, &place);
            let mut wanted = vec!["bn1.bias", "bn2.bias"];
            if bias {
                wanted.extend(["conv1.bias", "conv2.bias"]);
            }
            let expected = twin(&x, &weights);
            let d_y = Random::new(8).numbers(expected.len());
            let (input, mut tape) = (map(&x, &DIMS, &place), Tape::new());
            let mode = Mode::Train { draw: Draw::default() };
            let y = layers.pass(input.clone(), mode, &mut tape).unwrap();
            assert_close(&format!("y, {place:?}"), &y, &expected, TOLERANCE);
            let gradient = || map(&d_y, y.dims(), &place);
            let d_x = layers.backward_to_input(gradient(), &mut tape, &mut Leave).unwrap();
            assert!(tape.is_empty());
            let of_x = finite_difference(|x| project(&twin(x, &weights), &d_y), &x);
            assert_close(&format!("d_x, {place:?}"), &d_x, &of_x, GRADIENT_TOLERANCE);
            let found = gradients(&mut layers);
            wanted.sort_unstable();
            assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), wanted, "{place:?}");
            for (name, d_value) in &found {
                let with = |bias: &[f64]| {
                    let changed =
                        weights.clone().into_iter().chain([(name.clone(), bias.to_vec())]).collect();
                    project(&twin(&x, &changed), &d_y)
                };
                let of_bias = finite_difference(with, &weights[name]);
                assert_close(&format!("d_{name}, {place:?}"), d_value, &of_bias, GRADIENT_TOLERANCE);
            }
            // Without the input's gradient they are the same; statistics have seen nothing.
            layers.pass(input.clone(), mode, &mut tape).unwrap();
            assert!(
                layers.backward(gradient().into(), &mut tape, &mut Leave, Need::Nothing).unwrap().is_none()
            );
            assert!(tape.is_empty());
            for (name, d_value) in gradients(&mut layers) {
                assert_eq!(d_value.numbers().unwrap(), found[&name].numbers().unwrap(), "{name}");
            }
            let settle = &mut |name: &str, variable: Variable<'_>| {
                if let Variable::Statistic(statistic) = variable {
                    statistic.settle()?;
                    assert_close(name, &statistic.value, &weights[name], 0.0);
                }
                Ok(())
            };
            layers.visit("", settle).unwrap();
        }
    }
}

#[test]
fn gradients_stop_at_the_first_weight_that_is_trained() {
    struct Names(usize);
    impl GradientSink for Names {
        fn take(&mut self, parameter: &mut Parameter, _: Map) -> Result<()> {
            assert!(parameter.trainable);
            self.0 += 1;
            Ok(())
        }
    }
    for place in places() {
        let x = map(&Random::new(3).numbers(DIMS.iter().product()), &DIMS, &place);
        for (trains, count) in [
            (Trains::ALL, 6),
            (Trains { norms: true, ..Trains::NONE }, 4),
            (Trains { biases: true, ..Trains::NONE }, 2),
            (Trains::NONE, 0),
        ] {
            let (mut layers, _) = built(false, trains, &place);
            let (mut tape, mut sink) = (Tape::new(), Names(0));
            let y = layers.pass(x.clone(), Mode::Train { draw: Draw::default() }, &mut tape).unwrap();
            assert!(layers.backward(y.into(), &mut tape, &mut sink, Need::Nothing).unwrap().is_none());
            assert!(tape.is_empty());
            assert_eq!(sink.0, count, "{trains:?}, {place:?}");
        }
    }
}
