//! Embeddings against plain loops in f64, with gradients against finite differences, at every place.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    GRADIENT_TOLERANCE, Random, assert_close, finite_difference, map, numbers, places, project, with_threads,
};
use localgrad::inputs::Tokens;
use localgrad::layers::spec::{Features, LayerSpec};
use localgrad::layers::{Draw, GradientSink, Initializer, Layer, Mode, Need, Sequential, Trains, Variable};
use localgrad::maps::counted::ledger::Part;
use localgrad::maps::{Map, Place, embedding as ops};
use localgrad::parameter::Parameter;
use localgrad::precision::Precision;
use localgrad::tape::Tape;
use localgrad::{ErrorKind, Result};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Tokens `[N, T]` of which many are alike.
fn tokens(count: usize, vocabulary: usize, random: &mut Random) -> Vec<f64> {
    (0..count).map(|_| (random.next_u64() % vocabulary as u64) as f64).collect()
}

fn twin(tokens: &[f64], weight: &[f64], channels: usize) -> Vec<f64> {
    let row = |&token: &f64| weight[token as usize * channels..][..channels].to_vec();
    tokens.iter().flat_map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 30, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn rows_are_those_of_their_tokens(
        n in 1usize..5, t in 1usize..40, vocabulary in 1usize..50, c in 1usize..9, seed in 0u64..1000,
    ) {
        let mut random = Random::new(seed);
        let x = tokens(n * t, vocabulary, &mut random);
        let (weight, d_y) = (random.numbers(vocabulary * c), random.numbers(n * t * c));
        let d_weight = finite_difference(|weight| project(&twin(&x, weight, c), &d_y), &weight);
        for place in places() {
            let x_map = map(&x, &[n, t], &place);
            let y = ops::forward(&x_map, &map(&weight, &[vocabulary, c], &place)).unwrap();
            prop_assert_eq!(y.dims(), [n, 1, t, c]);
            assert_close(&format!("y, {place:?}"), &y, &twin(&x, &weight, c), 0.0);
            let found = ops::d_weight(&x_map, &map(&d_y, &[n, 1, t, c], &place), vocabulary).unwrap();
            prop_assert_eq!(found.dims(), [vocabulary, c]);
            assert_close(&format!("d_weight, {place:?}"), &found, &d_weight, GRADIENT_TOLERANCE);
        }
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let (n, t, vocabulary, c) = (40, 60, 700, 24);
    let mut random = Random::new(3);
    let x = map(&tokens(n * t, vocabulary, &mut random), &[n, t], &Place::Host);
    let weight = map(&random.numbers(vocabulary * c), &[vocabulary, c], &Place::Host);
    let d_y = map(&random.numbers(n * t * c), &[n, 1, t, c], &Place::Host);
    let run = |threads| {
        with_threads(threads, || {
            let maps = [ops::forward(&x, &weight), ops::d_weight(&x, &d_y, vocabulary)];
            maps.map(|map| numbers(&map.unwrap()).iter().map(|v| v.to_bits()).collect::<Vec<_>>())
        })
    };
    let alone = run(1);
    assert!(alone == run(2) && alone == run(3));
}

#[test]
fn numbers_that_are_no_tokens_are_errors() {
    for place in places() {
        let weight = map(&[0.5; 6], &[3, 2], &place);
        let d_y = map(&[1.0; 8], &[2, 1, 2, 2], &place);
        for wrong in [3.0, -1.0, 0.5, f64::NAN, f64::INFINITY] {
            let x = map(&[0.0, 2.0, 1.0, wrong], &[2, 2], &place);
            for error in [
                ops::forward(&x, &weight).unwrap_err(),
                ops::d_weight(&x, &d_y, 3).unwrap_err(),
                ops::check_tokens(&x, 3).unwrap_err(),
            ] {
                let text = error.to_string();
                assert!(error.kind() == ErrorKind::Config && text.contains("token 1 of sample 1"), "{text}");
            }
        }
        let x = map(&[0.0, 2.0, 1.0, 1.0], &[2, 2], &place);
        ops::check_tokens(&x, 3).unwrap();
        for error in [
            ops::forward(&x.reshape((2, 2, 1)).unwrap(), &weight).unwrap_err(),
            ops::d_weight(&x, &d_y.reshape((2, 2, 2)).unwrap(), 3).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Shape);
        }
    }
}

/// Keeps the gradient.
struct Keep(Option<Map>);

impl GradientSink for Keep {
    fn take(&mut self, _: &mut Parameter, d_value: Map) -> Result<()> {
        self.0 = Some(d_value);
        Ok(())
    }
}

/// The gradient of a layer's weight, kept in this precision.
fn gradient(place: &Place, precision: Precision, trains: Trains) -> (Sequential, Keep) {
    let (vocabulary, channels) = (3000, 2);
    let spec = LayerSpec::Embedding { vocabulary, channels };
    let layers = [localgrad::layers::spec::named("words", spec)];
    let initializer = Initializer { seed: 1, draws: true, place: place.clone(), part: Part::Weights, trains };
    let mut layers = Sequential::new(&layers, "", &initializer).unwrap();
    let mut tape = Tape::in_precision(precision);
    let (mode, mut kept) = (Mode::Train { draw: Draw::default() }, Keep(None));
    // 2,049 is no number that f16 holds.
    let x = map(&[2049.0, 7.0, 2049.0, 2999.0], &[2, 2], place);
    let y = layers.pass(x, mode, &mut tape).unwrap();
    let d_y = map(&[1.0; 8], y.dims(), place);
    assert!(layers.backward(d_y.into(), &mut tape, &mut kept, Need::Nothing).unwrap().is_none());
    assert!(tape.is_empty());
    (layers, kept)
}

#[test]
fn a_layer_learns_its_tokens_rows_in_any_precision() {
    for place in places() {
        for precision in [Precision::F32, Precision::F16, Precision::Bf16] {
            let (mut layers, kept) = gradient(&place, precision, Trains::ALL);
            let found = numbers(&kept.0.unwrap());
            let rows: Vec<usize> = (0..3000).filter(|row| found[2 * row] != 0.0).collect();
            assert_eq!((rows, found[2 * 2049]), (vec![7, 2049, 2999], 2.0), "{place:?}, {precision:?}");
            let mut names = Vec::new();
            let see = &mut |name: &str, variable: Variable<'_>| {
                names.push((name.to_string(), variable.value().dims().to_vec()));
                Ok(())
            };
            layers.visit("", see).unwrap();
            assert_eq!(names, [("words.weight".to_string(), vec![3000, 2])]);
        }
        assert!(gradient(&place, Precision::F32, Trains::NONE).1.0.is_none());
    }
}

#[test]
fn only_an_embedding_takes_tokens() {
    let tokens = Features::Tokens(Tokens { length: 9, vocabulary: 30 });
    let embedding = LayerSpec::Embedding { vocabulary: 30, channels: 4 };
    assert_eq!(embedding.output(tokens).unwrap(), Features::Map { channels: 4, height: 1, width: 9 });
    let said = |layer: &LayerSpec, input| layer.output(input).unwrap_err().to_string();
    for layer in [LayerSpec::Flatten, LayerSpec::GlobalAveragePool, LayerSpec::batch_norm(1, None)] {
        assert!(said(&layer, tokens).contains("an embedding alone takes tokens"), "{layer:?}");
    }
    assert!(said(&embedding, Features::Flat(9)).contains("takes tokens, found 9"));
    let other = LayerSpec::Embedding { vocabulary: 31, channels: 4 };
    assert!(said(&other, tokens).contains("of 31 tokens"));
    assert!(said(&LayerSpec::Embedding { vocabulary: 30, channels: 0 }, tokens).contains("must give"));
}
