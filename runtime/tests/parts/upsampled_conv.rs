//! Convolution of up-sampled images, whose up-sampled map is never made, against f64 and against its two ops apart.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    GRADIENT_TOLERANCE, Random, TOLERANCE, assert_close, finite_difference, map, numbers, places, project,
    with_threads,
};
use localgrad::layers::spec::named;
use localgrad::layers::{
    Draw, GradientSink, Initializer, Layer, LayerSpec, Mode, NamedLayer, Need, Sequential, Trains, Variable,
    build,
};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::{self, ConvConfig};
use localgrad::maps::counted::ledger::Part;
use localgrad::maps::map_read::Through;
use localgrad::maps::norm::{self, Norm};
use localgrad::maps::upsample::{Resize, bilinear_backward, bilinear_forward};
use localgrad::maps::{Map, Place};
use localgrad::maps::{batch_norm, upsampled_conv as ops};
use localgrad::parameter::Parameter;
use localgrad::tape::Tape;
use localgrad::{ErrorKind, Result};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// One case: x `[n, h, w, i]`, resized, weight `[o, i, kh, kw]`.
#[derive(Clone, Copy, Debug)]
struct Case {
    x: [usize; 4],
    resize: Resize,
    outputs: usize,
    config: ConvConfig,
}

impl Case {
    fn weight(&self) -> [usize; 4] {
        [self.outputs, self.x[3], self.config.kernel[0], self.config.kernel[1]]
    }

    fn y(&self) -> [usize; 4] {
        let [rows, cols] = self.config.output_size(self.resize.size[0], self.resize.size[1]).unwrap();
        [self.x[0], rows, cols, self.outputs]
    }

    /// The up-sampled image at a pixel: PyTorch's convention, as a hat function over all pixels.
    fn upsampled(&self, x: &[f64], n: usize, at: [isize; 2], channel: usize) -> f64 {
        let [_, h, w, c] = self.x;
        let hat = |axis: usize, inputs: usize| -> Vec<f64> {
            let (i, inputs, outputs) = (at[axis] as f64, inputs as f64, self.resize.size[axis] as f64);
            let position = match self.resize.align_corners {
                true if outputs == 1.0 => 0.0,
                true => i * (inputs - 1.0) / (outputs - 1.0),
                false => (i + 0.5) / outputs * inputs - 0.5,
            };
            let position = position.clamp(0.0, inputs - 1.0);
            (0..inputs as usize).map(|pixel| (1.0 - (position - pixel as f64).abs()).max(0.0)).collect()
        };
        if at[0] < 0
            || at[1] < 0
            || at[0] >= self.resize.size[0] as isize
            || at[1] >= self.resize.size[1] as isize
        {
            return 0.0;
        }
        let (rows, cols) = (hat(0, h), hat(1, w));
        let mut sum = 0.0;
        for r in 0..h {
            for k in 0..w {
                sum += rows[r] * cols[k] * x[((n * h + r) * w + k) * c + channel];
            }
        }
        sum
    }

    fn twin(&self, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let ([n, rows, cols, outputs], [_, inputs, kh, kw]) = (self.y(), self.weight());
        let ConvConfig { stride, padding, dilation, .. } = self.config;
        let mut y = Vec::new();
        for at in 0..n * rows * cols * outputs {
            let (image, row, col, o) = (
                at / (rows * cols * outputs),
                at / (cols * outputs) % rows,
                at / outputs % cols,
                at % outputs,
            );
            let mut sum = bias[o];
            for tap in 0..inputs * kh * kw {
                let (i, a, b) = (tap / (kh * kw), tap / kw % kh, tap % kw);
                let pixel = [
                    (row * stride[0] + a * dilation[0]) as isize - padding[0] as isize,
                    (col * stride[1] + b * dilation[1]) as isize - padding[1] as isize,
                ];
                sum += weight[o * inputs * kh * kw + tap] * self.upsampled(x, image, pixel, i);
            }
            y.push(sum);
        }
        y
    }
}

fn pair(from: std::ops::Range<usize>) -> impl Strategy<Value = [usize; 2]> {
    prop::array::uniform2(from)
}

fn cases() -> impl Strategy<Value = Case> {
    let shapes = (1usize..4, pair(1..6), 1usize..5, pair(1..11), any::<bool>(), 1usize..19);
    let configs = (pair(1..4), pair(1..3), pair(0..3), pair(1..3));
    (shapes, configs).prop_filter_map("the kernel must fit", |(shape, config)| {
        let (n, [h, w], inputs, size, align_corners, outputs) = shape;
        let (kernel, stride, padding, dilation) = config;
        let config = ConvConfig { kernel, stride, padding, dilation, groups: 1 };
        config.output_size(size[0], size[1]).ok()?;
        Some(Case { x: [n, h, w, inputs], resize: Resize { size, align_corners }, outputs, config })
    })
}

fn count(shape: [usize; 4]) -> usize {
    shape.into_iter().product()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 30, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn both_passes_agree_with_the_twin(case in cases(), seed in 0u64..1000) {
        let mut random = Random::new(seed);
        let (x, weight) = (random.numbers(count(case.x)), random.numbers(count(case.weight())));
        let (bias, d_y) = (random.numbers(case.outputs), random.numbers(count(case.y())));
        for place in places() {
            let here = |numbers: &[f64], shape: &[usize]| map(numbers, shape, &place);
            let (x_, weight_) = (here(&x, &case.x), here(&weight, &case.weight()));
            let (bias_, d_y_) = (here(&bias, &[case.outputs]), here(&d_y, &case.y()));

            let y = ops::forward(&x_, case.resize, &weight_, Some(&bias_), &case.config).unwrap();
            prop_assert_eq!(y.dims(), case.y());
            assert_close("y", &y, &case.twin(&x, &weight, &bias), TOLERANCE);

            let how = (case.resize, &case.config);
            let gradients = ops::backward(Some(&x_), &d_y_, &weight_, &case.x, how, true).unwrap();
            let d_weight = finite_difference(|weight| project(&case.twin(&x, weight, &bias), &d_y), &weight);
            assert_close("d_weight", &gradients.d_weight.unwrap(), &d_weight, GRADIENT_TOLERANCE);
            let d_x = finite_difference(|x| project(&case.twin(x, &weight, &bias), &d_y), &x);
            assert_close("d_x", &gradients.d_x.unwrap(), &d_x, GRADIENT_TOLERANCE);

            let none = ops::backward(None, &d_y_, &weight_, &case.x, how, false).unwrap();
            prop_assert!(none.d_weight.is_none() && none.d_x.is_none());
        }
    }
}

/// The decoder's shapes, at which bands and whole vectors matter.
fn decoder_case() -> Case {
    let config = ConvConfig { kernel: [3, 3], padding: [1, 1], ..ConvConfig::default() };
    let resize = Resize { size: [32, 31], align_corners: true };
    Case { x: [11, 17, 19, 24], resize, outputs: 12, config }
}

#[test]
fn one_op_agrees_with_the_two_apart() {
    let (case, mut random) = (decoder_case(), Random::new(5));
    let mut draw = |shape: &[usize]| map(&random.numbers(shape.iter().product()), shape, &Place::Host);
    let (x, weight, d, z) = (draw(&case.x), draw(&case.weight()), draw(&case.y()), draw(&case.y()));
    let upsampled = bilinear_forward(&x, case.resize.size, true).unwrap();
    let close = |what: &str, a: &Map, b: &Map| {
        let expected: Vec<f64> = numbers(b).into_iter().map(f64::from).collect();
        assert_close(what, a, &expected, TOLERANCE);
    };
    let y = ops::forward(&x, case.resize, &weight, None, &case.config).unwrap();
    close("y", &y, &conv::forward(&upsampled, &weight, None, &case.config).unwrap());

    // Through a batch norm with ReLU, whose gradient is made on the way.
    let one = Place::Host.full(&[12], 1.0).unwrap();
    let statistics = batch_norm::statistics(&z).unwrap();
    let relu = Some(Activation::Relu);
    let by = Norm::new(&statistics, &one, &one, 1e-5, relu).unwrap();
    let sums = norm::sums(&d, &z, &by).unwrap();
    let gradient = by.gradient(Some(&sums), z.elem_count() / 12, &z).unwrap();
    let separate = batch_norm::backward(
        d.copy().unwrap(),
        &z,
        &statistics,
        &one,
        &one,
        1e-5,
        relu,
        Some(&mut batch_norm::own_sums),
        true,
    );
    let d_z = separate.unwrap().d_x.unwrap();
    let d_upsampled = conv::d_input(&d_z, &weight, upsampled.dims(), &case.config).unwrap();

    let through = Through { d: &d, z: &z, by: Some(&gradient), last_use: false };
    let how = (case.resize, &case.config);
    let fused = ops::backward(Some(&x), through, &weight, &case.x, how, true).unwrap();
    close("d_x", &fused.d_x.unwrap(), &bilinear_backward(&d_upsampled, &case.x, true).unwrap());
    let d_weight = conv::d_weight(&upsampled, &d_z, weight.dims(), &case.config).unwrap();
    close("d_weight", &fused.d_weight.unwrap(), &d_weight);
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let (case, mut random) = (decoder_case(), Random::new(6));
    let mut draw = |shape: &[usize]| map(&random.numbers(shape.iter().product()), shape, &Place::Host);
    let (x, weight, d_y) = (draw(&case.x), draw(&case.weight()), draw(&case.y()));
    let run = || {
        let y = ops::forward(&x, case.resize, &weight, None, &case.config).unwrap();
        let how = (case.resize, &case.config);
        let gradients = ops::backward(Some(&x), &d_y, &weight, &case.x, how, true).unwrap();
        [y, gradients.d_x.unwrap(), gradients.d_weight.unwrap()]
            .map(|t| numbers(&t).iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    let one = with_threads(1, run);
    assert_eq!(one, with_threads(2, run));
    assert_eq!(one, with_threads(3, run));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let case = decoder_case();
    let zeros = |shape: &[usize]| Place::Host.full(shape, 0.0).unwrap();
    let (x, weight) = (zeros(&case.x), zeros(&case.weight()));
    let kind = |result: Result<Map>| result.unwrap_err().kind();
    let to = |size| Resize { size, align_corners: false };
    assert_eq!(kind(ops::forward(&x, to([0, 4]), &weight, None, &case.config)), ErrorKind::Config);
    assert_eq!(kind(ops::forward(&weight, case.resize, &weight, None, &case.config)), ErrorKind::Shape);
    assert_eq!(
        kind(ops::forward(&x, case.resize, &weight, Some(&zeros(&[3])), &case.config)),
        ErrorKind::Shape
    );
    let groups = ConvConfig { groups: 2, ..case.config };
    let grouped = zeros(&[12, 12, 3, 3]);
    assert_eq!(kind(ops::forward(&x, case.resize, &grouped, None, &groups)), ErrorKind::Config);
    let how = (case.resize, &case.config);
    let short = ops::backward(Some(&x), &zeros(&[11, 32, 30, 12]), &weight, &case.x, how, true);
    assert!(short.is_err());
}

/// Keeps the gradients that it is given.
#[derive(Default)]
struct Kept(Vec<Map>);

impl GradientSink for Kept {
    fn take(&mut self, _: &mut Parameter, d_value: Map) -> Result<()> {
        self.0.push(d_value);
        Ok(())
    }
}

/// InfoPro's decoder from `inputs` channels.
fn decoder(inputs: usize, size: [usize; 2]) -> Vec<NamedLayer> {
    let config = ConvConfig { kernel: [3, 3], padding: [1, 1], ..ConvConfig::default() };
    vec![
        named("", LayerSpec::Upsample { size, align_corners: true }),
        named("0", LayerSpec::Conv { inputs, outputs: 12, config, bias: true }),
        named("1", LayerSpec::batch_norm(12, Some(Activation::Relu))),
        named("3", LayerSpec::Conv { inputs: 12, outputs: 3, config, bias: true }),
    ]
}

/// The decoder's layers at once as `Sequential` builds them, and each on its own, agree in everything.
#[test]
fn a_decoder_agrees_with_its_layers_apart() {
    for (height, trainable) in [(9, true), (16, true), (9, false)] {
        let specs = decoder(20, [16, 17]);
        let initializer = Initializer {
            seed: 3,
            draws: true,
            place: Place::Host,
            part: Part::Weights,
            trains: Trains::ALL,
        };
        let mut fused = Sequential::new(&specs, "decoder", &initializer).unwrap();
        let mut apart: Vec<Box<dyn Layer>> = specs
            .iter()
            .map(|s| {
                build(&s.layer, &localgrad::layers::spec::join("decoder", &s.name), &initializer).unwrap()
            })
            .collect();
        let freeze = &mut |_: &str, variable: Variable<'_>| {
            if let Variable::Parameter(parameter) = variable {
                parameter.trainable = trainable;
            }
            Ok(())
        };
        fused.visit("", freeze).unwrap();
        apart.iter_mut().for_each(|layer| layer.visit("", freeze).unwrap());

        let mut random = Random::new(9);
        let mut draw = |shape: &[usize]| map(&random.numbers(shape.iter().product()), shape, &Place::Host);
        let (x, d_y) = (draw(&[3, height, 17, 20]), draw(&[3, 16, 17, 3]));
        let mode = Mode::Train { draw: Draw::default() };
        let (mut tape, mut sink) = (Tape::new(), Kept::default());
        let y = fused.pass(x.clone(), mode, &mut tape).unwrap();
        let d_x = fused.backward_to_input(d_y.copy().unwrap(), &mut tape, &mut sink).unwrap();
        assert!(tape.is_empty());

        let mut expected = Kept::default();
        let y_apart = apart
            .iter_mut()
            .fold(x, |x, layer| layer.forward(x.into(), mode, &mut tape).unwrap().resolve().unwrap());
        let d_x_apart = apart.iter_mut().rev().fold(d_y, |d, layer| {
            layer.backward(d.into(), &mut tape, &mut expected, Need::Input).unwrap().unwrap()
        });
        assert_eq!(sink.0.len(), if trainable { 6 } else { 0 });
        assert_eq!(sink.0.len(), expected.0.len());
        let sorted = |mut maps: Vec<Map>| {
            maps.sort_by_key(|x| (x.elem_count(), x.rank()));
            maps
        };
        // The convolution's bias before a batch norm has no gradient but rounding.
        let pairs = sorted(sink.0).into_iter().zip(sorted(expected.0)).collect::<Vec<_>>();
        let pairs = pairs.into_iter().chain([(y, y_apart), (d_x, d_x_apart)]);
        for (a, b) in pairs {
            let expected: Vec<f64> = numbers(&b).into_iter().map(f64::from).collect();
            assert_eq!(a.dims(), b.dims());
            assert_close("a decoder", &a, &expected, 1e-4);
        }
    }
}
