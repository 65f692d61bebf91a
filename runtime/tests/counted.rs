//! Operations on counted maps: they give maps of the shapes that operations on the host give, and what they claim is what
//! these allocate.
#![allow(clippy::unwrap_used)] // the helpers of tests may fail as tests do

mod common;
#[path = "common/counting.rs"]
mod counting;

use common::{Random, with_threads};
use counting::{NOW, PEAK};
use localgrad::maps::activation::Activation;
use localgrad::maps::batch_norm::{self, Statistics};
use localgrad::maps::conv::{self, ConvConfig};
use localgrad::maps::counted::Counter;
use localgrad::maps::counted::ledger::Moment;
use localgrad::maps::group_norm::{self, Extent};
use localgrad::maps::map_read::{Input, MapRead, Through};
use localgrad::maps::norm::{self, Norm, NormParameters};
use localgrad::maps::packed::Packed;
use localgrad::maps::pool::{self, PoolConfig};
use localgrad::maps::upsample::{self, Resize};
use localgrad::maps::{
    Map, Place, binary_cross_entropy, channels, contrastive, conv_norm, cross_entropy, dropout, elementwise,
    errors, excite, flatten, linear, mask, per_channel, prelu, residual_sum, response_norm, similarity,
    soft_cross_entropy, upsampled_conv,
};
use localgrad::optimizer::{self, OptimizerConfig};
use localgrad::parameter::Parameter;
use localgrad::precision::Precision;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// Small lists of an operation and its tasks, which no claim has one by one.
const SLACK: usize = 16 << 10;
/// A thread's scratch, of which a small convolution does not use all.
const UNUSED: usize = 32 << 10;
/// How much larger a claim may be where one thread does all, so that nothing depends on who is quicker.
const ALLOWED: f64 = 1.05;

/// An operation with its inputs; it gives all maps that are left.
type Run = Box<dyn FnOnce() -> Vec<Map>>;

/// Runs the operation that `prepare` makes on the host and counted, and compares shapes and memory.
fn hold(what: &str, prepare: impl Fn(&Place) -> Run + Sync) {
    hold_within(ALLOWED, what, prepare);
}

/// The same where the claim may be `allowed` times what is allocated.
fn hold_within(allowed: f64, what: &str, prepare: impl Fn(&Place) -> Run + Sync) {
    let measure = || {
        let run = prepare(&Place::Host);
        let before = NOW.load(SeqCst);
        PEAK.store(before, SeqCst);
        let made = run();
        (PEAK.load(SeqCst) - before, made.iter().map(described).collect::<Vec<_>>())
    };
    for threads in [1, 2] {
        let (measured, made) = with_threads(threads, measure_twice(&measure));
        let counter = Arc::new(Counter::new(threads));
        let run = prepare(&Place::Counted(counter.clone()));
        let before = counter.ledger.live_bytes();
        counter.ledger.enter(Moment::Load);
        let outlines: Vec<_> = run().iter().map(described).collect();
        let counted = counter.ledger.moments()[0].bytes - before;
        assert_eq!(outlines, made, "{what}");
        let told = format!("{what}, {threads} threads: {measured} bytes were allocated, {counted} counted");
        assert!(measured <= counted + SLACK, "{told}");
        assert!(threads > 1 || counted <= (allowed * measured as f64) as usize + UNUSED, "{told}");
    }
}

/// The second of two measurements: what is allocated once a thread is no operation's.
fn measure_twice<T>(measure: &(dyn Fn() -> T + Sync)) -> impl FnOnce() -> T + Send {
    move || {
        measure();
        measure()
    }
}

fn described(map: &Map) -> (Vec<usize>, bool) {
    (map.dims().to_vec(), map.is_bytes())
}

/// A map of numbers between -1 and 1.
fn input(place: &Place, dims: &[usize]) -> Map {
    let numbers = || Random::new(1).numbers(dims.iter().product()).iter().map(|&x| x as f32).collect();
    place.made(dims, || Map::new(numbers(), dims)).unwrap()
}

fn norm_of(place: &Place, channels: usize, activation: Option<Activation>) -> Norm {
    let ones = place.full(&[channels], 1.0).unwrap();
    let statistics = Statistics::new(ones.clone(), ones.clone());
    Norm::new(&statistics, &ones, &ones, 1e-5, activation).unwrap()
}

/// Images of 16 channels, with some that fill no vector.
const IMAGES: [usize; 4] = [6, 33, 30, 18];
const RELU: Option<Activation> = Some(Activation::Relu);

#[test]
fn claims_are_what_operations_allocate() {
    elementwise_operations();
    numbers_of_channels();
    layers_without_images();
    convolutions();
    convolutions_between_batch_norms();
    batch_norms();
    gates_behind_batch_norms();
    norms_of_samples();
    pools();
    losses();
    maps_themselves();
    updates();
}

fn elementwise_operations() {
    let two = |place: &Place| (input(place, &IMAGES), input(place, &IMAGES));
    hold("activate", |place| {
        let x = input(place, &IMAGES);
        Box::new(move || vec![elementwise::activate(&x, Activation::Silu).unwrap()])
    });
    hold("activate_backward", move |place| {
        let (d, x) = two(place);
        Box::new(move || vec![elementwise::activate_backward(d, &x, Activation::Silu).unwrap()])
    });
    hold("add_activate", move |place| {
        let (a, b) = two(place);
        Box::new(move || vec![elementwise::add_activate(a, &b, RELU).unwrap()])
    });
    hold("add_scaled and scale", move |place| {
        let (a, b) = two(place);
        Box::new(move || vec![elementwise::scale(elementwise::add_scaled(a, &b, 0.5).unwrap(), 2.0).unwrap()])
    });
    hold("sums", move |place| {
        let (a, b) = two(place);
        Box::new(move || {
            elementwise::sum_of_products(&a, &b).unwrap();
            vec![elementwise::sum_rows(&a).unwrap()]
        })
    });
    hold("dropout", |place| {
        let x = input(place, &IMAGES);
        let mask = dropout::Mask { probability: 0.3, seed: 1, first: 0 };
        Box::new(move || vec![dropout::forward(x, mask).unwrap()])
    });
    hold("mask", |place| {
        let x = input(place, &IMAGES);
        Box::new(move || {
            let mask = mask::of_output(&x, Activation::Relu).unwrap();
            vec![mask::apply(x, &mask).unwrap(), mask]
        })
    });
}

fn numbers_of_channels() {
    let two = |place: &Place| (input(place, &IMAGES), input(place, &IMAGES));
    for factors in [&[IMAGES[3]][..], &[IMAGES[0], IMAGES[3]]] {
        hold("products with numbers of a channel", move |place| {
            let (d, x) = two(place);
            let factors = input(place, factors);
            Box::new(move || {
                let sums = per_channel::d_factors(&d, &x, &factors).unwrap();
                vec![per_channel::multiply(&x, &factors).unwrap(), sums]
            })
        });
    }
    for slopes in [1, IMAGES[3]] {
        hold("parametric ReLU", move |place| {
            let (d, x) = two(place);
            let slopes = input(place, &[slopes]);
            Box::new(move || {
                let made = prelu::backward(d, &x, &slopes).unwrap();
                vec![prelu::forward(&x, &slopes).unwrap(), made.d_x, made.d_slopes]
            })
        });
    }
}

fn layers_without_images() {
    hold("linear", |place| {
        let (x, weight, d_y) =
            (input(place, &[96, 300]), input(place, &[200, 300]), input(place, &[96, 200]));
        let bias = input(place, &[200]);
        Box::new(move || {
            vec![
                linear::forward(&x, &weight, Some(&bias)).unwrap(),
                linear::d_input(&d_y, &weight).unwrap(),
                linear::d_weight(&x, &d_y).unwrap(),
            ]
        })
    });
    for dims in [IMAGES, [96, 1, 1, 300]] {
        hold("flatten", move |place| {
            let x = input(place, &dims);
            Box::new(move || {
                let y = flatten::forward(x).unwrap();
                vec![flatten::backward(y.clone(), &dims).unwrap(), y]
            })
        });
    }
}

fn square(kernel: usize, stride: usize, groups: usize) -> ConvConfig {
    ConvConfig {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [kernel / 2; 2],
        groups,
        ..ConvConfig::default()
    }
}

fn convolutions() {
    for (outputs, config) in
        [(24, square(3, 1, 1)), (64, square(1, 1, 1)), (18, square(3, 2, 18)), (20, square(3, 2, 1))]
    {
        let weight_dims = [outputs, IMAGES[3] / config.groups, config.kernel[0], config.kernel[1]];
        let [rows, columns] = config.output_size(IMAGES[1], IMAGES[2]).unwrap();
        let y_dims = [IMAGES[0], rows, columns, outputs];
        let inputs = move |place: &Place| [&IMAGES[..], &weight_dims, &y_dims].map(|dims| input(place, dims));
        hold(&format!("convolution {config:?}, forward"), move |place| {
            let [x, weight, _] = inputs(place);
            Box::new(move || vec![conv::forward(&x, &weight, None, &config).unwrap()])
        });
        hold(&format!("convolution {config:?}, d_input"), move |place| {
            let [_, weight, d_y] = inputs(place);
            Box::new(move || vec![conv::d_input(&d_y, &weight, &IMAGES, &config).unwrap()])
        });
        hold(&format!("convolution {config:?}, d_weight"), move |place| {
            let [x, _, d_y] = inputs(place);
            Box::new(move || {
                vec![conv::d_weight(&x, &d_y, &weight_dims, &config).unwrap(), conv::d_bias(&d_y).unwrap()]
            })
        });
    }
    let (resize, config) = (Resize { size: [35, 37], align_corners: true }, square(3, 1, 1));
    for backward in [false, true] {
        // Of its bands a kernel is claimed the largest.
        hold_within(1.5, &format!("up-sampled convolution, backward {backward}"), move |place| {
            let (x, weight) = (input(place, &[11, 17, 19, 24]), input(place, &[12, 24, 3, 3]));
            let d_y = input(place, &[11, 35, 37, 12]);
            Box::new(move || {
                if !backward {
                    return vec![upsampled_conv::forward(&x, resize, &weight, None, &config).unwrap()];
                }
                let how = (resize, &config);
                let made = upsampled_conv::backward(Some(&x), &d_y, &weight, x.dims(), how, true).unwrap();
                vec![made.d_x.unwrap(), made.d_weight.unwrap()]
            })
        });
    }
}

/// Both gradients in one pass, one after the other, and in shares that take the place of what they are made from.
fn convolutions_between_batch_norms() {
    for (dims, outputs) in [([32, 16, 16, 16], 16), ([6, 11, 9, 40], 24), ([33, 17, 16, 128], 128)] {
        let config = square(3, 1, 1);
        let y_dims = [dims[0], dims[1], dims[2], outputs];
        let weight_dims = [outputs, dims[3], 3, 3];
        hold(&format!("convolution of normalized {dims:?}"), move |place| {
            let (x, weight) = (input(place, &dims), input(place, &weight_dims));
            let read = MapRead::Normalized(x, norm_of(place, dims[3], RELU));
            let ones = input(place, &[outputs]);
            Box::new(move || {
                let behind = NormParameters { weight: &ones, bias: &ones, epsilon: 1e-5, activation: RELU };
                let (y, statistics) =
                    conv_norm::forward(&read, &weight, None, &config, Some(&behind)).unwrap();
                let Statistics { mean, variance, .. } = statistics.unwrap();
                vec![y, mean, variance]
            })
        });
        hold(&format!("its gradients, {dims:?}"), move |place| {
            let (x, weight) = (input(place, &dims), input(place, &weight_dims));
            let (d, z) = (input(place, &y_dims), input(place, &y_dims));
            let (before, after) = (norm_of(place, dims[3], RELU), norm_of(place, outputs, RELU));
            let sums = norm::sums(&d, &z, &after).unwrap();
            let gradient = after.gradient(Some(&sums), z.elem_count() / outputs, &z).unwrap();
            Box::new(move || {
                let d_y = Through { d: &d, z: &z, by: Some(&gradient), last_use: true };
                let read = Input::Normalized(&x, &before);
                let made = conv_norm::backward(read, d_y, &weight, &config, true, true, None).unwrap();
                vec![made.d_x.unwrap(), made.d_weight.unwrap()]
            })
        });
    }
    hold("residual sum", |place| {
        let (main, around) = (input(place, &[6, 16, 16, 24]), input(place, &[6, 16, 16, 24]));
        let main = MapRead::Normalized(main, norm_of(place, 24, None));
        Box::new(move || {
            let (y, mask) = residual_sum::add_activate(main, MapRead::Plain(around), RELU, true).unwrap();
            vec![y, mask.unwrap()]
        })
    });
    hold("residual sum's mask", |place| {
        let (main, around) = (input(place, &[6, 16, 16, 24]), input(place, &[6, 16, 16, 24]));
        let main = MapRead::Normalized(main, norm_of(place, 24, None));
        Box::new(move || vec![residual_sum::sum_mask(main, MapRead::Plain(around), RELU).unwrap().unwrap()])
    });
}

fn gates_behind_batch_norms() {
    for activation in [RELU, Some(Activation::Silu)] {
        hold("gate", move |place| {
            let (z, gate) = (input(place, &IMAGES), input(place, &[IMAGES[0], 1, 1, IMAGES[3]]));
            let (d_y, by) = (input(place, &IMAGES), norm_of(place, IMAGES[3], activation));
            Box::new(move || {
                let y = excite::multiply(&z, &by, &gate).unwrap();
                let (means, d_gate) = (excite::means(&z, &by).unwrap(), excite::d_gate(&d_y, &z, &by, &gate));
                let d_x = excite::d_input(d_y, &gate, &means).unwrap();
                vec![y, means, d_gate.unwrap(), d_x]
            })
        });
    }
}

fn batch_norms() {
    for activation in [RELU, Some(Activation::Silu)] {
        hold("batch norm", move |place| {
            let (x, weight) = (input(place, &IMAGES), place.full(&[IMAGES[3]], 1.0).unwrap());
            Box::new(move || {
                let statistics = batch_norm::statistics(&x).unwrap();
                let y = batch_norm::forward(&x, &statistics, &weight, &weight, 1e-5, activation).unwrap();
                let running = batch_norm::update_running(&weight, &statistics.mean, None, 0.1).unwrap();
                let unbiased = batch_norm::unbiased(&statistics.variance, 7).unwrap();
                vec![y, running, unbiased]
            })
        });
        hold("batch norm's gradients", move |place| {
            let (x, d_y) = (input(place, &IMAGES), input(place, &IMAGES));
            let weight = place.full(&[IMAGES[3]], 1.0).unwrap();
            let statistics = Statistics::new(weight.clone(), weight.clone());
            Box::new(move || {
                let mut whole = batch_norm::own_sums;
                let whole: Option<&mut batch_norm::WholeSums<'_>> = Some(&mut whole);
                let (w, b) = (&weight, &weight);
                let made =
                    batch_norm::backward(d_y, &x, &statistics, w, b, 1e-5, activation, whole, true).unwrap();
                vec![made.d_x.unwrap(), made.d_weight, made.d_bias]
            })
        });
    }
}

fn norms_of_samples() {
    hold("global response norm", |place| {
        let (x, d_y) = (input(place, &IMAGES), input(place, &IMAGES));
        let weight = place.full(&[IMAGES[3]], 1.0).unwrap();
        Box::new(move || {
            let y = response_norm::forward(&x, &weight, &weight).unwrap();
            let made = response_norm::backward(d_y, &x, &weight).unwrap();
            vec![y, made.d_x, made.d_weight, made.d_bias]
        })
    });
    for extent in [Extent::Position, Extent::Group(6)] {
        hold("norm of samples", move |place| {
            let (x, d_y) = (input(place, &IMAGES), input(place, &IMAGES));
            let weight = place.full(&[IMAGES[3]], 1.0).unwrap();
            Box::new(move || {
                let y = group_norm::forward(&x, &weight, &weight, extent, 1e-5).unwrap();
                let made = group_norm::backward(d_y, &x, &weight, extent, 1e-5).unwrap();
                vec![y, made.d_x, made.d_weight, made.d_bias]
            })
        });
    }
}

fn pools() {
    let config = PoolConfig { kernel: [3, 3], stride: [2, 2], padding: [1, 1], ..PoolConfig::default() };
    hold("max pool", move |place| {
        let x = input(place, &IMAGES);
        Box::new(move || {
            let (y, positions) = pool::max_forward(&x, &config).unwrap();
            vec![pool::max_backward(&y, &positions, &IMAGES, &config).unwrap(), y, positions]
        })
    });
    hold("average pools", move |place| {
        let x = input(place, &IMAGES);
        Box::new(move || {
            let y = pool::average_forward(&x, &config).unwrap();
            let small = pool::adaptive_average_forward(&x, [5, 4]).unwrap();
            let means = pool::global_average_forward(&x).unwrap();
            vec![
                pool::average_backward(&y, &IMAGES, &config).unwrap(),
                pool::adaptive_average_backward(&small, &IMAGES).unwrap(),
                pool::global_average_backward(&means, &IMAGES).unwrap(),
            ]
        })
    });
    hold("channels", |place| {
        let x = input(place, &IMAGES);
        Box::new(move || {
            let some = channels::slice(&x, 3, 7).unwrap();
            let back = channels::slice_backward(&some, 3, IMAGES[3]).unwrap();
            let all = channels::concat(&[x.clone(), some.clone()]).unwrap();
            vec![channels::shuffle(&all, 5).unwrap(), some, back, all]
        })
    });
    hold("strided slice", |place| {
        let x = input(place, &IMAGES);
        Box::new(move || {
            let y = pool::subsample_forward(&x, [2, 1], 30).unwrap();
            vec![pool::subsample_backward(&y, &IMAGES, [2, 1]).unwrap(), y]
        })
    });
    hold("up-sampling", |place| {
        let x = input(place, &IMAGES);
        Box::new(move || {
            let y = upsample::bilinear_forward(&x, [50, 40], true).unwrap();
            vec![upsample::bilinear_backward(&y, &IMAGES, true).unwrap(), y]
        })
    });
}

fn losses() {
    let labels: Vec<u32> = (0..200).map(|i| i % 10).collect();
    let of = labels.clone();
    hold("softmax cross-entropy", move |place| {
        let (x, labels) = (input(place, &[200, 10]), of.clone());
        Box::new(move || vec![cross_entropy::softmax_cross_entropy(&x, &labels, 0.1).unwrap().d_input])
    });
    hold("cross-entropy of shares", |place| {
        let (x, shares) = (input(place, &[200, 10]), vec![0.1; 2000]);
        Box::new(move || vec![soft_cross_entropy::soft_cross_entropy(&x, &shares, 0.1, &[]).unwrap().d_input])
    });
    hold("errors of values", |place| {
        let (x, values) = (input(place, &[200, 10]), vec![0.1; 2000]);
        Box::new(move || {
            let squared = errors::squared_error(&x, &values).unwrap().d_input;
            vec![squared, errors::huber(&x, &values, 0.5).unwrap().d_input]
        })
    });
    hold("binary cross-entropy", |place| {
        let (x, targets) = (input(place, &IMAGES), place.full(&IMAGES, 0.5).unwrap());
        Box::new(move || {
            vec![binary_cross_entropy::sigmoid_binary_cross_entropy(&x, &targets).unwrap().d_input]
        })
    });
    let of = labels.clone();
    hold("contrastive loss", move |place| {
        let (x, labels) = (input(place, &[200, 64]), of.clone());
        Box::new(move || vec![contrastive::supervised_contrastive(&x, &labels, 0.1).unwrap().d_input])
    });
    for dims in [[200, 5, 4, 40], [200, 1, 1, 64]] {
        let of = labels.clone();
        // Lists that grow are counted as if they were full.
        hold_within(1.4, "similarity", move |place| {
            let (x, labels) = (input(place, &dims), of.clone());
            Box::new(move || vec![similarity::predsim(&x, &labels, 10).unwrap().d_input])
        });
    }
}

fn maps_themselves() {
    hold("views and copies", |place| {
        let x = input(place, &IMAGES);
        Box::new(move || {
            let some = x.samples(1, 3).unwrap();
            let flat = x.reshape((IMAGES[0], x.elem_count() / IMAGES[0])).unwrap();
            vec![Map::cat(&[some.clone(), some]).unwrap(), flat.copy().unwrap(), flat]
        })
    });
    for precision in [Precision::F16, Precision::Bf16] {
        hold("fewer bits", move |place| {
            let x = input(place, &IMAGES);
            Box::new(move || vec![Packed::new(&x, precision).unwrap().unpack().unwrap()])
        });
    }
}

fn updates() {
    for config in [OptimizerConfig::sgd(), OptimizerConfig::adamw()] {
        hold("update", move |place| {
            let mut parameter = Parameter::new(input(place, &[200, 300]));
            let [first, second] = [input(place, &[200, 300]), input(place, &[200, 300])];
            let config = config.clone();
            Box::new(move || {
                optimizer::accumulate(&mut parameter, first, 0.5).unwrap();
                optimizer::accumulate(&mut parameter, second, 0.5).unwrap();
                optimizer::update_accumulated(&mut parameter, &config, 0.1).unwrap();
                [vec![parameter.value], parameter.state].concat()
            })
        });
    }
}
