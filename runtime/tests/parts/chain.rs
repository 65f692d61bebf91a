//! Chains of convolutions and batch norms against the same layers one by one.

use crate::common::{Random, map, numbers, places, with_threads};
use localgrad::Result;
use localgrad::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, named, unnamed};
use localgrad::layers::{
    Draw, GradientSink, Initializer, Layer, Mode, Need, Sequential, Trains, Variable, build,
};
use localgrad::maps::activation::Activation;
use localgrad::maps::batch_norm::Statistics;
use localgrad::maps::conv::ConvConfig;
use localgrad::maps::conv_norm;
use localgrad::maps::counted::ledger::Part;
use localgrad::maps::elementwise;
use localgrad::maps::map_read::{Input, Through};
use localgrad::maps::norm::{self, Norm};
use localgrad::maps::{Map, Place};
use localgrad::parameter::Parameter;
use localgrad::tape::Tape;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Rounding of sums of a few hundred products, relative to the largest number.
const TOLERANCE: f32 = 2e-4;

/// Keeps gradients by the shape of their weight, in the order in which they came.
#[derive(Default)]
struct Keep(Vec<(Vec<usize>, Vec<f32>)>);

impl GradientSink for Keep {
    fn take(&mut self, _: &mut Parameter, d_value: Map) -> Result<()> {
        self.0.push((d_value.dims().to_vec(), numbers(&d_value)));
        Ok(())
    }
}

fn initializer() -> Initializer {
    Initializer { seed: 7, draws: true, place: Place::Host, part: Part::Weights, trains: Trains::ALL }
}

/// One link: a convolution that keeps the size up to its stride, and its batch norm.
fn link(
    number: usize,
    channels: [usize; 2],
    config: ConvConfig,
    activation: Option<Activation>,
) -> Vec<NamedLayer> {
    let conv = LayerSpec::Conv { inputs: channels[0], outputs: channels[1], config, bias: number == 1 };
    vec![
        named(format!("conv{number}"), conv),
        named(format!("bn{number}"), LayerSpec::batch_norm(channels[1], activation)),
    ]
}

/// The layers one by one, none of them joined with another.
struct OneByOne(Vec<(String, Box<dyn Layer>)>);

impl OneByOne {
    fn new(specs: &[NamedLayer]) -> Self {
        let layer =
            |spec: &NamedLayer| (spec.name.clone(), build(&spec.layer, &spec.name, &initializer()).unwrap());
        Self(specs.iter().map(layer).collect())
    }

    fn forward(&mut self, x: Map, mode: Mode, tape: &mut Tape) -> Map {
        self.0
            .iter_mut()
            .fold(x, |x, (_, layer)| layer.forward(x.into(), mode, tape).unwrap().resolve().unwrap())
    }

    fn backward(&mut self, d_y: Map, tape: &mut Tape, sink: &mut Keep) -> Map {
        let layers = self.0.iter_mut().rev();
        layers.fold(d_y, |d, (_, layer)| layer.backward(d.into(), tape, sink, Need::Input).unwrap().unwrap())
    }
}

fn close(what: &str, found: &[f32], expected: &[f32], smallest_scale: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(smallest_scale, |largest, v| largest.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= TOLERANCE * scale, "{what}[{i}]: {a}, not {b} (scale {scale})");
    }
}

/// Weights and gradients differ in order between the two, not in shape and number.
fn sorted(mut gradients: Vec<(Vec<usize>, Vec<f32>)>) -> Vec<(Vec<usize>, Vec<f32>)> {
    gradients.sort_by(|a, b| a.0.cmp(&b.0));
    gradients
}

fn random(shape: &[usize], seed: u64) -> Map {
    map(&Random::new(seed).numbers(shape.iter().product()), shape, &Place::Host)
}

fn statistics(layer: &mut dyn Layer) -> Vec<f32> {
    let mut all = Vec::new();
    let visit = &mut |_: &str, variable: Variable<'_>| {
        if let Variable::Statistic(statistic) = variable {
            statistic.settle()?;
            all.extend(numbers(&statistic.value));
        }
        Ok(())
    };
    layer.visit("", visit).unwrap();
    all
}

/// Holds the chain at every place that has some to its layers on the host.
fn hold(specs: &[NamedLayer], shape: [usize; 4], seed: u64) {
    places().iter().for_each(|place| hold_at(place, specs, shape, seed));
}

fn at(place: &Place) -> Initializer {
    Initializer { place: place.clone(), ..initializer() }
}

fn hold_at(place: &Place, specs: &[NamedLayer], shape: [usize; 4], seed: u64) {
    let (mut chain, mut layers) = (Sequential::new(specs, "", &at(place)).unwrap(), OneByOne::new(specs));
    let x = random(&shape, seed);
    let (mut tapes, mode) = ([Tape::new(), Tape::new()], Mode::Train { draw: Draw::default() });
    let found = chain.pass(x.to(place).unwrap(), mode, &mut tapes[0]).unwrap();
    let expected = layers.forward(x.clone(), mode, &mut tapes[1]);
    close("y", &numbers(&found), &numbers(&expected), 1.0);

    let d_y = random(found.dims(), seed + 1);
    let (mut gradients, mut expected) = (Keep::default(), Keep::default());
    let d_there = d_y.copy().unwrap().to(place).unwrap();
    let d_x = chain.backward_to_input(d_there, &mut tapes[0], &mut gradients).unwrap();
    let expected_d_x = layers.backward(d_y.copy().unwrap(), &mut tapes[1], &mut expected);
    assert!(tapes[0].is_empty() && tapes[1].is_empty());
    // A convolution's bias before batch norm has no gradient but rounding: the scale is that of the sums.
    let scale = (d_y.elem_count() as f32).sqrt();
    close("d_x", &numbers(&d_x), &numbers(&expected_d_x), 1.0);
    for (found, expected) in sorted(gradients.0).iter().zip(&sorted(expected.0)) {
        assert_eq!(found.0, expected.0);
        close("gradient", &found.1, &expected.1, scale);
    }
    let expected: Vec<f32> = layers.0.iter_mut().flat_map(|(_, layer)| statistics(layer.as_mut())).collect();
    close("statistics", &statistics(&mut chain), &expected, 1.0);

    let found = chain.pass(x.to(place).unwrap(), Mode::Evaluate, &mut tapes[0]).unwrap();
    let expected = layers.forward(x, Mode::Evaluate, &mut tapes[1]);
    assert!(tapes[0].is_empty());
    close("evaluated y", &numbers(&found), &numbers(&expected), 1.0);
}

const CLAMPS: [Option<Activation>; 3] = [None, Some(Activation::Relu), Some(Activation::Relu6)];

fn config(kernel: usize, stride: usize, groups: usize) -> ConvConfig {
    ConvConfig {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [kernel / 2; 2],
        groups,
        ..ConvConfig::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40, rng_seed: RngSeed::Fixed(3), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn a_chain_equals_its_layers(
        n in 2usize..5, h in 4usize..12, w in 4usize..12, links in 1usize..4,
        channels in prop::array::uniform4(1usize..36), kernels in prop::array::uniform3(0usize..2),
        strides in prop::array::uniform3(1usize..3), clamps in prop::array::uniform3(0usize..2), seed in 0u64..1000,
    ) {
        let specs: Vec<NamedLayer> = (0..links)
            .flat_map(|i| {
                let config = config(1 + 2 * kernels[i], strides[i], 1);
                // ReLU6 has corners that rounding may cross on either side; ReLU's are few.
                link(i, [channels[i], channels[i + 1]], config, CLAMPS[clamps[i]])
            })
            .collect();
        hold(&specs, [n, h, w, channels[0]], seed);
    }
}

#[test]
fn channels_of_every_rhythm_equal_their_layers() {
    for channels in [1, 2, 3, 4, 8, 15, 16, 17, 24, 32, 48, 64, 80] {
        let specs = [
            link(0, [channels, channels], config(3, 1, 1), Some(Activation::Relu)),
            link(1, [channels, channels], config(3, 1, channels), Some(Activation::Relu6)),
            link(2, [channels, 5], config(1, 1, 1), None),
        ];
        hold(&specs.concat(), [3, 9, 10, channels], 11);
    }
}

/// Expand, depthwise, project, as mobile networks have them; the last of each ends in an activation, too.
#[test]
fn chains_through_swishes_equal_their_layers() {
    for activation in [Activation::HardSwish, Activation::Silu].map(Some) {
        for (images, size, channels, kernel, stride) in
            [(3, [9, 10], 5, 3, 1), (8, [14, 15], 17, 5, 2), (8, [32, 32], 24, 3, 1), (2, [7, 7], 96, 5, 2)]
        {
            let wide = 3 * channels;
            let specs = [
                link(0, [channels, wide], config(1, 1, 1), activation),
                link(1, [wide, wide], config(kernel, stride, wide), activation),
                link(2, [wide, channels], config(1, 1, 1), None),
                link(3, [channels, 16], config(3, 1, 1), activation),
                link(4, [16, 16], config(3, 1, 1), activation),
            ];
            hold(&specs.concat(), [images, size[0], size[1], channels], 11);
            hold(&specs[..2].concat(), [images, size[0], size[1], channels], 12);
        }
    }
}

/// A gate whose means, and whose products, are made of what a batch norm makes of a map as it is read.
#[test]
fn gates_behind_chains_equal_their_layers() {
    let product = |convolves: bool, inputs, outputs| match convolves {
        true => LayerSpec::Conv { inputs, outputs, config: ConvConfig::default(), bias: true },
        false => LayerSpec::Linear { inputs, outputs, bias: true },
    };
    for (convolves, activation) in
        [(true, Activation::Silu), (false, Activation::HardSwish), (true, Activation::Relu)]
    {
        for (images, size, channels) in
            [(3, [9, 10], 5), (8, [14, 15], 72), (2, [40, 41], 33), (1, [6, 5], 4)]
        {
            let pool =
                if convolves { LayerSpec::AdaptiveAveragePool([1, 1]) } else { LayerSpec::GlobalAveragePool };
            let gate = vec![
                unnamed(pool),
                named("fc1", product(convolves, channels, 3)),
                unnamed(LayerSpec::Activation(Activation::Silu)),
                named("fc2", product(convolves, 3, channels)),
                unnamed(LayerSpec::Activation(Activation::Sigmoid)),
            ];
            let specs = [
                link(0, [6, channels], config(1, 1, 1), Some(activation)),
                link(1, [channels, channels], config(3, 1, channels), Some(activation)),
                vec![named("gate", LayerSpec::Excite { gate })],
                link(2, [channels, 7], config(1, 1, 1), None),
            ];
            hold(&specs.concat(), [images, size[0], size[1], 6], 13);
        }
    }
}

/// The gradient of a sum's main branch is the shortcut's, too: an activation that writes into it takes a copy.
#[test]
fn a_swish_before_a_residual_sum_leaves_the_shortcuts_gradient_alone() {
    let link = link(0, [6, 6], config(3, 1, 1), Some(Activation::HardSwish));
    let residual =
        LayerSpec::Residual { main: link.clone(), shortcut: ShortcutSpec::Identity, activation: None };
    let mut unit = Sequential::new(&[unnamed(residual)], "", &initializer()).unwrap();
    let mut main = OneByOne::new(&link);
    let (x, mode) = (random(&[3, 9, 7, 6], 4), Mode::Train { draw: Draw::default() });
    let (mut tapes, mut sinks) = ([Tape::new(), Tape::new()], [Keep::default(), Keep::default()]);
    unit.pass(x.clone(), mode, &mut tapes[0]).unwrap();
    main.forward(x, mode, &mut tapes[1]);
    let d_y = random(&[3, 9, 7, 6], 5);
    let d_x = unit.backward_to_input(d_y.copy().unwrap(), &mut tapes[0], &mut sinks[0]).unwrap();
    let d_main = main.backward(d_y.copy().unwrap(), &mut tapes[1], &mut sinks[1]);
    close("d_x", &numbers(&d_x), &numbers(&elementwise::add(d_main, &d_y).unwrap()), 1.0);
}

#[test]
fn a_frozen_chain_passes_gradients_and_keeps_no_input() {
    let specs =
        [link(0, [6, 8], config(3, 1, 1), CLAMPS[1]), link(2, [8, 6], config(3, 1, 1), CLAMPS[0])].concat();
    let gradient_of_x = |trainable: bool| {
        let mut chain = Sequential::new(&specs, "", &initializer()).unwrap();
        let freeze = &mut |_: &str, variable: Variable<'_>| {
            if let Variable::Parameter(parameter) = variable {
                parameter.trainable = trainable;
            }
            Ok(())
        };
        chain.visit("", freeze).unwrap();
        let (mut tape, mut sink) = (Tape::new(), Keep::default());
        let x = random(&[2, 7, 7, 6], 1);
        chain.pass(x, Mode::Train { draw: Draw::default() }, &mut tape).unwrap();
        let d_x = chain.backward_to_input(random(&[2, 7, 7, 6], 2), &mut tape, &mut sink).unwrap();
        assert!(tape.is_empty());
        assert_eq!(sink.0.is_empty(), !trainable);
        numbers(&d_x)
    };
    assert_eq!(gradient_of_x(true), gradient_of_x(false));
}

#[test]
fn a_residual_sum_equals_its_branches() {
    places().iter().for_each(residual_sum_equals_its_branches);
}

fn residual_sum_equals_its_branches(place: &Place) {
    let main =
        [link(0, [6, 10], config(3, 2, 1), CLAMPS[1]), link(2, [10, 10], config(3, 1, 1), None)].concat();
    let around = link(3, [6, 10], config(1, 2, 1), None);
    let residual = LayerSpec::Residual {
        main: main.clone(),
        shortcut: ShortcutSpec::Projection(around.clone()),
        activation: Some(Activation::Relu),
    };
    let mut unit = Sequential::new(&[unnamed(residual)], "", &at(place)).unwrap();
    let (mut main, mut around) = (OneByOne::new(&main), OneByOne::new(&around));
    let x = random(&[3, 9, 7, 6], 4);
    let (mut tape, mode) = (Tape::new(), Mode::Train { draw: Draw::default() });
    let y = unit.pass(x.to(place).unwrap(), mode, &mut tape).unwrap();
    let mut tapes = [Tape::new(), Tape::new()];
    let branches = [main.forward(x.clone(), mode, &mut tapes[0]), around.forward(x, mode, &mut tapes[1])];
    let [a, b] = branches;
    let expected = elementwise::add_activate(a, &b, Some(Activation::Relu)).unwrap();
    close("y", &numbers(&y), &numbers(&expected), 1.0);

    let d_y = random(y.dims(), 5);
    let (mut found, mut sink) = (Keep::default(), Keep::default());
    let d_there = d_y.copy().unwrap().to(place).unwrap();
    let d_x = unit.backward_to_input(d_there, &mut tape, &mut found).unwrap();
    let open: Vec<f32> =
        numbers(&expected).iter().zip(numbers(&d_y)).map(|(&y, d)| if y > 0.0 { d } else { 0.0 }).collect();
    let d_sum = || Map::new(open.clone(), d_y.dims()).unwrap();
    let d_main = main.backward(d_sum(), &mut tapes[0], &mut sink);
    let d_around = around.backward(d_sum(), &mut tapes[1], &mut sink);
    let expected = elementwise::add(d_main, &d_around).unwrap();
    close("d_x", &numbers(&d_x), &numbers(&expected), 1.0);
    assert_eq!(found.0.len(), sink.0.len());
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let specs = [link(0, [3, 16], config(3, 1, 1), CLAMPS[1]), link(2, [16, 40], config(3, 1, 1), CLAMPS[2])]
        .concat();
    let run = || {
        let mut chain = Sequential::new(&specs, "", &initializer()).unwrap();
        let (mut tape, mut sink) = (Tape::new(), Keep::default());
        let y =
            chain.pass(random(&[5, 33, 29, 3], 1), Mode::Train { draw: Draw::default() }, &mut tape).unwrap();
        let d_x = chain.backward_to_input(random(y.dims(), 2), &mut tape, &mut sink).unwrap();
        let mut all = numbers(&y);
        all.extend(numbers(&d_x));
        all.extend(sink.0.into_iter().flat_map(|(_, d)| d));
        all.iter().map(|v| v.to_bits()).collect::<Vec<_>>()
    };
    let one = with_threads(1, run);
    assert_eq!(one, with_threads(2, run));
    assert_eq!(one, with_threads(3, run));
}

/// A large gradient takes the place of what it is made from, share by share, where it may.
#[test]
fn gradients_in_place_are_the_same_bits() {
    let mut random = Random::new(11);
    let shape = [33, 17, 16, 128];
    let mut draw = |shape: &[usize]| map(&random.numbers(shape.iter().product()), shape, &Place::Host);
    let (d, z, x, weight) = (draw(&shape), draw(&shape), draw(&shape), draw(&[128, 128, 3, 3]));
    let config = ConvConfig { kernel: [3, 3], padding: [1, 1], ..ConvConfig::default() };
    let ones = Place::Host.full(&[128], 1.0).unwrap();
    let statistics = Statistics::new(ones.clone(), ones.clone());
    let by = Norm::new(&statistics, &ones, &ones, 1e-5, Some(Activation::Relu)).unwrap();
    let sums = norm::sums(&d, &z, &by).unwrap();
    let gradient = by.gradient(Some(&sums), z.elem_count() / 128, &z).unwrap();
    let backward = |last_use: bool| {
        let z = z.copy().unwrap();
        let d_y = Through { d: &d, z: &z, by: Some(&gradient), last_use };
        let input = Input::Normalized(&x, &by);
        let gradients = conv_norm::backward(input, d_y, &weight, &config, true, true, None).unwrap();
        let all = [gradients.d_x.unwrap(), gradients.d_weight.unwrap(), z];
        all.map(|t| numbers(&t).iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    let ([d_x, d_weight, kept], [in_place, same, overwritten]) = (backward(false), backward(true));
    assert!(d_x == in_place && d_weight == same);
    assert!(overwritten == d_x && kept == numbers(&z).iter().map(|v| v.to_bits()).collect::<Vec<_>>());
}

#[test]
fn sums_that_are_made_again_change_no_bit() {
    // Both gradients in one pass; one after the other; the gradient of the weight last.
    for (shape, activation) in [
        ([32, 16, 16, 16], Some(Activation::Relu)),
        ([3, 7, 6, 5], Some(Activation::Relu6)),
        ([2, 3, 3, 20], None),
    ] {
        let [.., channels] = shape;
        let unit = |number: usize| {
            let main = [
                link(0, [channels; 2], config(3, 1, 1), CLAMPS[1]),
                link(2, [channels; 2], config(3, 1, 1), None),
            ];
            named(
                number.to_string(),
                LayerSpec::Residual { main: main.concat(), shortcut: ShortcutSpec::Identity, activation },
            )
        };
        let specs: Vec<NamedLayer> = (0..4).map(unit).collect();
        let (mut units, mut kept) =
            (Sequential::new(&specs, "", &initializer()).unwrap(), OneByOne::new(&specs));
        let x = random(&shape, 11);
        let (mut tapes, mode) = ([Tape::new(), Tape::new()], Mode::Train { draw: Draw::default() });
        let y = units.pass(x.clone(), mode, &mut tapes[0]).unwrap();
        assert_eq!(numbers(&y), numbers(&kept.forward(x, mode, &mut tapes[1])));
        let sums = tapes.each_ref().map(|tape| format!("{tape:?}").matches("Sum(").count());
        assert_eq!(sums, [2, 0], "every second sum is made again");

        let d_y = random(y.dims(), 12);
        let (mut found, mut expected) = (Keep::default(), Keep::default());
        let d_x = units.backward_to_input(d_y.copy().unwrap(), &mut tapes[0], &mut found).unwrap();
        assert_eq!(numbers(&d_x), numbers(&kept.backward(d_y, &mut tapes[1], &mut expected)));
        assert!(found.0 == expected.0, "gradients of weights");
    }
}
