//! Holds layers against twins in f64: outputs, and all gradients against differences, wherever they can be.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    GRADIENT_TOLERANCE, Random, TOLERANCE, assert_close, finite_difference, map, numbers, places, project,
};
use localgrad::Result;
use localgrad::layers::spec::NamedLayer;
use localgrad::layers::{Draw, GradientSink, Initializer, Layer, Mode, Need, Sequential, Trains, Variable};
use localgrad::maps::counted::ledger::Part;
use localgrad::maps::{Map, Place};
use localgrad::parameter::Parameter;
use localgrad::tape::Tape;
use std::collections::BTreeMap;

/// The values of all weights, by name.
pub type Weights = BTreeMap<String, Vec<f64>>;
/// The output of layers as a function of their input and weights.
pub type Twin<'a> = dyn Fn(&[f64], &Weights) -> Vec<f64> + 'a;

/// Leaves each gradient at its parameter.
struct Leave;

impl GradientSink for Leave {
    fn take(&mut self, parameter: &mut Parameter, d_value: Map) -> Result<()> {
        assert_eq!(parameter.value.dims(), d_value.dims());
        assert!(parameter.accumulated.replace(d_value).is_none(), "two gradients of one weight");
        Ok(())
    }
}

/// The gradients that were left, which are taken.
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

/// The layers at `place` with weights drawn from `seed`, and these.
fn built(layers: &[NamedLayer], place: &Place, seed: u64) -> (Sequential, Weights) {
    let initializer =
        Initializer { seed, draws: true, place: place.clone(), part: Part::Weights, trains: Trains::ALL };
    let mut layers = Sequential::new(layers, "", &initializer).unwrap();
    let (mut random, mut weights) = (Random::new(seed), Weights::new());
    let draw = &mut |name: &str, mut variable: Variable<'_>| {
        let dims = variable.value().dims().to_vec();
        let drawn = random.numbers(dims.iter().product());
        variable.set(map(&drawn, &dims, place));
        weights.insert(name.into(), drawn);
        Ok(())
    };
    layers.visit("", draw).unwrap();
    (layers, weights)
}

/// Holds `layers` of an input `x` of shape `dims` against their twin.
pub fn hold(layers: &[NamedLayer], x: &[f64], dims: &[usize], twin: &Twin<'_>) {
    let mode = Mode::Train { draw: Draw::default() };
    for place in places() {
        let (mut layers, weights) = built(layers, &place, 7);
        let expected = twin(x, &weights);
        let d_y = Random::new(8).numbers(expected.len());
        let input = map(x, dims, &place);
        let mut tape = Tape::new();
        let y = layers.pass(input.clone(), mode, &mut tape).unwrap();
        assert_close(&format!("y, {place:?}"), &y, &expected, TOLERANCE);
        assert_close("the input", &input, x, 0.0);
        let gradient = || map(&d_y, y.dims(), &place);
        let d_x = layers.backward_to_input(gradient(), &mut tape, &mut Leave).unwrap();
        assert!(tape.is_empty());
        let d_x_twin = finite_difference(|x| project(&twin(x, &weights), &d_y), x);
        assert_eq!(d_x.dims(), dims);
        assert_close(&format!("d_x, {place:?}"), &d_x, &d_x_twin, GRADIENT_TOLERANCE);
        let found = gradients(&mut layers);
        for (name, weight) in &weights {
            let with = |weight: &[f64]| {
                let changed = weights.clone().into_iter().chain([(name.clone(), weight.to_vec())]).collect();
                project(&twin(x, &changed), &d_y)
            };
            let what = format!("d_{name}, {place:?}");
            assert_close(&what, &found[name], &finite_difference(with, weight), GRADIENT_TOLERANCE);
        }
        // A pass that is repeated for its tape alone leaves what backward needs; without the input's gradient the others
        // are the same.
        layers.forward(input.clone().into(), mode.without_answer(), &mut tape).unwrap();
        assert!(layers.backward(gradient().into(), &mut tape, &mut Leave, Need::Nothing).unwrap().is_none());
        assert!(tape.is_empty());
        let again = gradients(&mut layers);
        assert_eq!(again.len(), found.len());
        for (name, d_value) in &found {
            assert_eq!(numbers(&again[name]), numbers(d_value), "d_{name}, {place:?}");
        }
        let evaluated = layers.pass(input.clone(), Mode::Evaluate, &mut tape).unwrap();
        assert_close(&format!("evaluated, {place:?}"), &evaluated, &expected, TOLERANCE);
        assert!(tape.is_empty());
        assert_close("the input", &input, x, 0.0);
    }
}
