//! Residual sums of every kind against twins in f64: any activation, any shortcut, branches without layers.

use crate::common::{
    ACTIVATIONS, GRADIENT_TOLERANCE, Random, TOLERANCE, activated, assert_close, finite_difference, map,
    numbers, places, project,
};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, named, unnamed};
use localgrad::layers::{Draw, GradientSink, Initializer, Layer, Mode, Need, Sequential, Trains, Variable};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::maps::counted::ledger::Part;
use localgrad::maps::pool::PoolConfig;
use localgrad::maps::{Map, Place};
use localgrad::parameter::Parameter;
use localgrad::tape::Tape;

const TRAIN: Mode = Mode::Train { draw: Draw { pass: 0, first: 0 } };

/// Keeps gradients by the shape of their weight.
#[derive(Default)]
struct Keep(Vec<(Vec<usize>, Vec<f32>)>);

impl GradientSink for Keep {
    fn take(&mut self, parameter: &mut Parameter, d_value: Map) -> Result<()> {
        assert_eq!(parameter.value.dims(), d_value.dims());
        self.0.push((d_value.dims().to_vec(), numbers(&d_value)));
        Ok(())
    }
}

fn sequential(layers: &[NamedLayer], place: &Place) -> Sequential {
    let place = place.clone();
    let initializer = Initializer { seed: 3, draws: true, place, part: Part::Weights, trains: Trains::ALL };
    Sequential::new(layers, "", &initializer).unwrap()
}

/// The values of all weights, by name.
fn weights(layers: &mut Sequential) -> Vec<(String, Vec<f64>)> {
    let mut found = Vec::new();
    let keep = &mut |name: &str, variable: Variable<'_>| {
        found.push((name.to_string(), numbers(variable.value()).iter().map(|v| f64::from(*v)).collect()));
        Ok(())
    };
    layers.visit("", keep).unwrap();
    found
}

fn weight(layers: &mut Sequential, name: &str) -> Vec<f64> {
    weights(layers).into_iter().find(|(found, _)| found == name).unwrap().1
}

const ROWS: usize = 3;
const WIDTH: usize = 4;

/// activation(W·x + x), row by row; without `w` activation(x + x).
fn twin(x: &[f64], w: Option<&[f64]>, activation: Option<Activation>) -> Vec<f64> {
    let row = |x: &[f64]| -> Vec<f64> {
        let product = |out: usize| match w {
            Some(w) => (0..WIDTH).map(|i| w[out * WIDTH + i] * x[i]).sum::<f64>(),
            None => x[out],
        };
        (0..WIDTH).map(|out| activated(product(out) + x[out], activation)).collect()
    };
    x.chunks(WIDTH).flat_map(row).collect()
}

/// Holds a sum of `x` and a linear layer of it (or of `x` twice) against the twin.
fn hold(layer: LayerSpec, activation: Option<Activation>) {
    places().iter().for_each(|place| hold_at(place, layer.clone(), activation));
}

fn hold_at(place: &Place, layer: LayerSpec, activation: Option<Activation>) {
    let what = format!("{layer:?}, {place:?}");
    let mut layers = sequential(&[unnamed(layer)], place);
    let w = weights(&mut layers).pop().map(|(_, w)| w);
    let mut random = Random::new(9);
    let (x, d_y) = (random.numbers(ROWS * WIDTH), random.numbers(ROWS * WIDTH));
    let input = map(&x, &[ROWS, WIDTH], place);
    let expected = twin(&x, w.as_deref(), activation);
    let (mut tape, mut sink) = (Tape::new(), Keep::default());
    let y = layers.pass(input.clone(), TRAIN, &mut tape).unwrap();
    assert_close(&format!("y of {what}"), &y, &expected, TOLERANCE);
    assert_close("the input", &input, &x, 0.0);
    let gradient = || map(&d_y, &[ROWS, WIDTH], place);
    let d_x = layers.backward_to_input(gradient(), &mut tape, &mut sink).unwrap();
    assert!(tape.is_empty());
    let d_x_twin = finite_difference(|x| project(&twin(x, w.as_deref(), activation), &d_y), &x);
    assert_close(&format!("d_x of {what}"), &d_x, &d_x_twin, GRADIENT_TOLERANCE);
    if let Some(w) = &w {
        let d_w = finite_difference(|w| project(&twin(&x, Some(w), activation), &d_y), w);
        assert_close("d_w", &map_of(&sink.0[0]), &d_w, GRADIENT_TOLERANCE);
    }
    // A pass that is repeated for its tape alone leaves what that needs.
    let mut again = Keep::default();
    layers.forward(input.clone().into(), TRAIN.without_answer(), &mut tape).unwrap();
    let repeated = layers.backward_to_input(gradient(), &mut tape, &mut again).unwrap();
    assert_eq!((numbers(&repeated), again.0), (numbers(&d_x), sink.0));
    let evaluated = layers.pass(input.clone(), Mode::Evaluate, &mut tape).unwrap();
    assert_close(&format!("evaluated y of {what}"), &evaluated, &expected, TOLERANCE);
    assert_close("the input", &input, &x, 0.0);
}

fn map_of((dims, values): &(Vec<usize>, Vec<f32>)) -> Map {
    Map::new(values.clone(), &dims[..]).unwrap()
}

fn linear() -> Vec<NamedLayer> {
    vec![named("fc", LayerSpec::Linear { inputs: WIDTH, outputs: WIDTH, bias: false })]
}

#[test]
fn every_activation_after_a_sum() {
    for activation in [None].into_iter().chain(ACTIVATIONS.map(Some)) {
        let shortcut = ShortcutSpec::Identity;
        hold(LayerSpec::Residual { main: linear(), shortcut, activation }, activation);
    }
}

#[test]
fn branches_that_give_their_input() {
    // None of them may let the sum take the place of what others read.
    let dropout = LayerSpec::Dropout { probability: 0.0 };
    for main in [vec![], vec![unnamed(LayerSpec::Flatten)], vec![unnamed(dropout)]] {
        for activation in [None, Some(Activation::Relu), Some(Activation::Silu)] {
            for shortcut in [ShortcutSpec::Identity, ShortcutSpec::Projection(linear())] {
                hold(LayerSpec::Residual { main: main.clone(), shortcut, activation }, activation);
            }
        }
    }
}

const CHANNELS: [usize; 2] = [3, 5];
const SIDE: usize = 4;

fn conv(name: &str, kernel: usize) -> NamedLayer {
    let config = ConvConfig { kernel: [kernel; 2], stride: [kernel; 2], ..ConvConfig::default() };
    named(name, LayerSpec::Conv { inputs: CHANNELS[0], outputs: CHANNELS[1], config, bias: false })
}

/// The shortcut of ResNet-D (He et al. 2019): means of 2x2 pixels, then a 1x1 convolution.
fn resnet_d(norm: bool) -> LayerSpec {
    let norm_of = |name: &str| {
        let norm_layer = LayerSpec::batch_norm(CHANNELS[1], None);
        norm.then(|| named(name, norm_layer))
    };
    let pool = PoolConfig { kernel: [2, 2], stride: [2, 2], padding: [0, 0], ..PoolConfig::default() };
    let main = std::iter::once(conv("main", 2)).chain(norm_of("main_norm")).collect();
    let around =
        [unnamed(LayerSpec::AveragePool(pool)), conv("around", 1)].into_iter().chain(norm_of("norm"));
    let shortcut = ShortcutSpec::Projection(around.collect());
    LayerSpec::Residual { main, shortcut, activation: Some(Activation::Relu) }
}

/// A convolution and a batch norm with an activation of its own, and what evaluation passes by.
fn activated_branch(name: &str) -> Vec<NamedLayer> {
    let norm = LayerSpec::batch_norm(CHANNELS[1], Some(Activation::Relu));
    vec![
        conv(name, 2),
        named(format!("{name}_norm"), norm),
        unnamed(LayerSpec::DropPath { probability: 0.0 }),
    ]
}

#[test]
fn branches_that_end_in_an_activation_of_their_own() {
    places().iter().for_each(branches_with_activations);
}

/// The sum and its gradient are those of both branches, each alone.
fn branches_with_activations(place: &Place) {
    let mut random = Random::new(11);
    let (shape, out) = ([3, SIDE, SIDE, CHANNELS[0]], [3, SIDE / 2, SIDE / 2, CHANNELS[1]]);
    let (x, d_y) = (random.numbers(shape.iter().product()), random.numbers(out.iter().product()));
    let run = |layers: &[NamedLayer], mode: Mode| {
        let (mut layers, mut tape) = (sequential(layers, place), Tape::new());
        let y = layers.pass(map(&x, &shape, place), mode, &mut tape).unwrap();
        let d_y = map(&d_y, &out, place);
        let d_x = mode
            .is_training()
            .then(|| numbers(&layers.backward_to_input(d_y, &mut tape, &mut Keep::default()).unwrap()));
        (numbers(&y), d_x.unwrap_or_default())
    };
    let plain = |name: &str| {
        vec![conv(name, 2), named(format!("{name}_norm"), LayerSpec::batch_norm(CHANNELS[1], None))]
    };
    for (main, around) in [
        (activated_branch("a"), activated_branch("b")),
        (activated_branch("a"), plain("b")),
        (plain("a"), activated_branch("b")),
    ] {
        for mode in [TRAIN, Mode::Evaluate] {
            let shortcut = ShortcutSpec::Projection(around.clone());
            let both = unnamed(LayerSpec::Residual { main: main.clone(), shortcut, activation: None });
            let (found, alone) = (run(&[both], mode), [run(&main, mode), run(&around, mode)]);
            let sum = |a: &[f32], b: &[f32]| -> Vec<f64> {
                a.iter().zip(b).map(|(a, b)| f64::from(a + b)).collect()
            };
            assert_close("y", &map_of(&(out.to_vec(), found.0)), &sum(&alone[0].0, &alone[1].0), TOLERANCE);
            if mode.is_training() {
                assert_close(
                    "d_x",
                    &map_of(&(shape.to_vec(), found.1)),
                    &sum(&alone[0].1, &alone[1].1),
                    TOLERANCE,
                );
            }
        }
    }
}

/// relu of the 2x2 convolution by `main: [O, I, 2, 2]` and the 1x1 one by `around: [O, I, 1, 1]` of the means.
fn resnet_d_twin(x: &[f64], main: &[f64], around: &[f64]) -> Vec<f64> {
    let [inputs, outputs] = CHANNELS;
    let mut y = Vec::new();
    for image in x.chunks(SIDE * SIDE * inputs) {
        for place in 0..SIDE * SIDE / 4 {
            let (row, column) = (2 * (place / (SIDE / 2)), 2 * (place % (SIDE / 2)));
            for o in 0..outputs {
                let mut sum = 0.0;
                for (i, tap) in (0..inputs).flat_map(|i| (0..4).map(move |tap| (i, tap))) {
                    let pixel = image[((row + tap / 2) * SIDE + column + tap % 2) * inputs + i];
                    sum += pixel * (main[(o * inputs + i) * 4 + tap] + around[o * inputs + i] / 4.0);
                }
                y.push(sum.max(0.0));
            }
        }
    }
    y
}

#[test]
fn a_shortcut_that_begins_without_weights_as_first_of_a_block() {
    places().iter().for_each(shortcut_that_begins_without_weights);
}

fn shortcut_that_begins_without_weights(place: &Place) {
    let mut random = Random::new(4);
    let (shape, out) = ([2, SIDE, SIDE, CHANNELS[0]], [2, SIDE / 2, SIDE / 2, CHANNELS[1]]);
    let x = random.numbers(shape.iter().product());
    let d_y = random.numbers(out.iter().product());
    let run = |layers: &mut Sequential, need_input: bool| {
        let (mut tape, mut sink) = (Tape::new(), Keep::default());
        // What a unit before it would have left there.
        tape.push(&map(&[7.0], &[1], place)).unwrap();
        let y = layers.pass(map(&x, &shape, place), TRAIN, &mut tape).unwrap();
        let need = if need_input { Need::Input } else { Need::Nothing };
        let d_y = map(&d_y, &out, place).into();
        let d_x = layers.backward(d_y, &mut tape, &mut sink, need).unwrap();
        assert_eq!(d_x.is_some(), need_input);
        assert_eq!(numbers(&tape.pop().unwrap()), [7.0]);
        assert!(tape.is_empty());
        (y, sink.0)
    };
    for norm in [false, true] {
        let mut layers = sequential(&[unnamed(resnet_d(norm))], place);
        let (y, gradients) = run(&mut layers, false);
        let (_, with_input) = run(&mut layers, true);
        assert!(gradients == with_input && gradients.len() == if norm { 6 } else { 2 });
        if norm {
            continue;
        }
        let (main, around) = (weight(&mut layers, "main.weight"), weight(&mut layers, "around.weight"));
        assert_close("y", &y, &resnet_d_twin(&x, &main, &around), TOLERANCE);
        let of = |kernel: usize| map_of(gradients.iter().find(|(dims, _)| dims[3] == kernel).unwrap());
        let d_main = finite_difference(|main| project(&resnet_d_twin(&x, main, &around), &d_y), &main);
        assert_close("d_main", &of(2), &d_main, GRADIENT_TOLERANCE);
        let d_around = finite_difference(|around| project(&resnet_d_twin(&x, &main, around), &d_y), &around);
        assert_close("d_around", &of(1), &d_around, GRADIENT_TOLERANCE);
    }
}
