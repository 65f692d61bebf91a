//! Layer scale against f64, and a branch that samples leave out.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{Random, map, numbers, places};
use crate::layered::hold;
use localgrad::layers::spec::{Features, LayerSpec, named, unnamed};
use localgrad::layers::{Draw, Initializer, Mode, Sequential, Trains};
use localgrad::maps::Place;
use localgrad::maps::counted::ledger::Part;
use localgrad::tape::Tape;

#[test]
fn scale_agrees_with_the_twin() {
    let x = Random::new(3).numbers(2 * 3 * 4 * 5);
    let scale = named("layer_scale", LayerSpec::Scale { channels: 5, start: 1e-6 });
    let product = |x: &[f64], factors: &[f64]| -> Vec<f64> {
        x.iter().enumerate().map(|(i, x)| x * factors[i % 5]).collect()
    };
    hold(&[scale], &x, &[2, 3, 4, 5], &|x, weights| product(x, &weights["layer_scale"]));
}

#[test]
fn factors_that_are_no_numbers_are_refused() {
    let output = |start| LayerSpec::Scale { channels: 5, start }.output(Features::Flat(5));
    output(1e-6).unwrap();
    for start in [f64::NAN, f64::INFINITY, 1e39] {
        assert!(output(start).unwrap_err().to_string().contains("start"), "{start}");
    }
}

const PROBABILITY: f64 = 0.25;

fn drop_path(place: &Place) -> Sequential {
    let layers = [named("drop", LayerSpec::DropPath { probability: PROBABILITY })];
    Sequential::new(
        &layers,
        "",
        &Initializer { seed: 5, draws: true, place: place.clone(), part: Part::Weights, trains: Trains::ALL },
    )
    .unwrap()
}

#[test]
fn a_sample_is_left_out_as_a_whole_or_scaled() {
    const SAMPLES: usize = 4000;
    let dims = [SAMPLES, 1, 2, 3];
    let x: Vec<f64> = Random::new(2).numbers(SAMPLES * 6).iter().map(|x| x + 2.0).collect();
    let kept = 1.0 / (1.0 - PROBABILITY);
    let mut first = None;
    for place in places() {
        let mut layers = drop_path(&place);
        let pass = |layers: &mut Sequential, pass, start, count| {
            let mode = Mode::Train { draw: Draw { pass, first: start } };
            let x = map(&x, &dims, &place).samples(start, count).unwrap().contiguous().unwrap();
            numbers(&layers.pass(x, mode, &mut Tape::new()).unwrap())
        };
        let y = pass(&mut layers, 3, 0, SAMPLES);
        let mut left_out = 0;
        for (y, x) in y.chunks(6).zip(x.chunks(6)) {
            left_out += usize::from(y[0] == 0.0);
            let factor = if y[0] == 0.0 { 0.0 } else { kept };
            for (y, x) in y.iter().zip(x) {
                assert!((f64::from(*y) - factor * x).abs() < 1e-5, "{y} of {x}");
            }
        }
        // Five deviations to each side.
        assert!((863..=1137).contains(&left_out), "{left_out}");
        assert_eq!(first.get_or_insert(y.clone()), &y, "{place:?}");
        // The gradient goes the same way.
        let d = layers.backward_to_input(map(&x, &dims, &place), &mut Tape::new(), &mut Nothing).unwrap();
        assert_eq!(numbers(&d), y);
        // A share of the batch is treated as within the whole; another pass, and evaluation, otherwise.
        assert_eq!(pass(&mut layers, 3, 100, 50), y[600..900]);
        assert_ne!(pass(&mut layers, 4, 0, SAMPLES), y);
        let evaluated = layers.pass(map(&x, &dims, &place), Mode::Evaluate, &mut Tape::new()).unwrap();
        assert_eq!(numbers(&evaluated), numbers(&map(&x, &dims, &place)));
    }
}

/// There are no weights.
struct Nothing;

impl localgrad::layers::GradientSink for Nothing {
    fn take(
        &mut self,
        _: &mut localgrad::parameter::Parameter,
        _: localgrad::maps::Map,
    ) -> localgrad::Result<()> {
        unreachable!("a layer without weights gave a gradient")
    }
}

#[test]
fn a_probability_of_all_is_refused() {
    let input = Features::Flat(3);
    for probability in [1.0, -0.5, f64::NAN] {
        assert!(unnamed(LayerSpec::DropPath { probability }).layer.output(input).is_err());
    }
}
