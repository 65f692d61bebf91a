//! Pools and the strided slice against f64.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    GRADIENT_TOLERANCE, Random, TOLERANCE, assert_close, finite_difference, host, map, numbers, places,
    project, with_threads,
};
use localgrad::ErrorKind;
use localgrad::maps::pool::{self as ops, PoolConfig};
use localgrad::maps::{Map, Place};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default() }
}

/// Images `[N, H, W, C]` in f64, for the twins.
#[derive(Clone)]
struct Images {
    dims: [usize; 4],
    numbers: Vec<f64>,
}

impl Images {
    fn random(dims: [usize; 4], random: &mut Random) -> Self {
        Self { dims, numbers: random.numbers(dims.iter().product()) }
    }

    /// All different, at least 0.01 apart, in random order: no step of a difference changes which is largest.
    fn distinct(dims: [usize; 4], random: &mut Random) -> Self {
        let mut numbers: Vec<f64> =
            (0..dims.iter().product()).map(|i: usize| 0.01 * i as f64 - 1.0).collect();
        for i in (1..numbers.len()).rev() {
            numbers.swap(i, (random.next_u64() % (i as u64 + 1)) as usize);
        }
        Self { dims, numbers: numbers.iter().map(|&v| f64::from(v as f32)).collect() }
    }

    fn pixel(&self, n: usize, y: usize, x: usize, c: usize) -> f64 {
        let [_, h, w, channels] = self.dims;
        assert!(y < h && x < w);
        self.numbers[((n * h + y) * w + x) * channels + c]
    }

    /// `of(n, row, column, channel)` for each element of a tensor of the shape `dims`.
    fn from_fn(dims: [usize; 4], of: impl Fn(usize, usize, usize, usize) -> f64) -> Self {
        let [n, h, w, c] = dims;
        let mut numbers = Vec::new();
        for i in 0..n * h * w * c {
            numbers.push(of(i / (h * w * c), i / (w * c) % h, i / c % w, i % c));
        }
        Self { dims, numbers }
    }

    fn with(&self, numbers: &[f64]) -> Self {
        Self { dims: self.dims, numbers: numbers.to_vec() }
    }

    fn at(&self, place: &Place) -> Map {
        map(&self.numbers, &self.dims, place)
    }
}

/// The numbers of each window, by its output position.
fn windows(x: &Images, config: &PoolConfig, of: impl Fn(&[f64], [usize; 2]) -> f64) -> Images {
    let [n, h, w, c] = x.dims;
    let size = |i: usize, axis: usize| {
        let [kernel, stride, padding] = [config.kernel, config.stride, config.padding].map(|pair| pair[axis]);
        let fits = |window: usize| match config.round_up {
            // It begins on the image or before, and the one before it left something.
            true => window * stride < i + padding && (window * stride + kernel < i + 2 * padding + stride),
            false => window * stride + kernel <= i + 2 * padding,
        };
        (0..).take_while(|&window| fits(window)).count()
    };
    // Pixels of a window, padding among them.
    let counted = |i: usize, axis: usize, window: usize| {
        let begin = window * config.stride[axis];
        (begin + config.kernel[axis]).min(i + 2 * config.padding[axis]) - begin
    };
    Images::from_fn([n, size(h, 0), size(w, 1), c], |n, row, column, channel| {
        let mut window = Vec::new();
        for i in 0..config.kernel[0] {
            for j in 0..config.kernel[1] {
                let y = (row * config.stride[0] + i).checked_sub(config.padding[0]).filter(|&y| y < h);
                let x_ = (column * config.stride[1] + j).checked_sub(config.padding[1]).filter(|&x| x < w);
                if let (Some(y), Some(x_)) = (y, x_) {
                    window.push(x.pixel(n, y, x_, channel));
                }
            }
        }
        of(&window, [counted(h, 0, row), counted(w, 1, column)])
    })
}

fn max_twin(x: &Images, config: &PoolConfig) -> Images {
    windows(x, config, |window, _| window.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

fn average_twin(x: &Images, config: &PoolConfig) -> Images {
    windows(x, config, |window, [rows, columns]| window.iter().sum::<f64>() / (rows * columns) as f64)
}

fn adaptive_twin(x: &Images, output: [usize; 2]) -> Images {
    let [n, h, w, c] = x.dims;
    let end = |i: usize, size: usize, outputs: usize| {
        ((i + 1) as f64 * size as f64 / outputs as f64).ceil() as usize
    };
    Images::from_fn([n, output[0], output[1], c], |n, row, column, channel| {
        let (mut sum, mut count) = (0.0, 0.0);
        for y in row * h / output[0]..end(row, h, output[0]) {
            for x_ in column * w / output[1]..end(column, w, output[1]) {
                sum += x.pixel(n, y, x_, channel);
                count += 1.0;
            }
        }
        sum / count
    })
}

fn subsample_twin(x: &Images, stride: [usize; 2], channels: usize) -> Images {
    let [n, h, w, c] = x.dims;
    let before = (channels - c) / 2;
    let dims = [n, h.div_ceil(stride[0]), w.div_ceil(stride[1]), channels];
    Images::from_fn(dims, |n, row, column, channel| match channel.checked_sub(before) {
        Some(channel) if channel < c => x.pixel(n, row * stride[0], column * stride[1], channel),
        _ => 0.0,
    })
}

/// Holds a result to a twin's.
fn same(what: &str, actual: &Map, expected: &Images, tolerance: f64) {
    assert_eq!(actual.dims(), expected.dims, "{what}");
    assert_close(what, actual, &expected.numbers, tolerance);
}

/// Holds the gradients that `of` makes of `d_y` at every place to differences of a twin.
fn check_gradients(x: &Images, d_y: &Images, twin: impl Fn(&Images) -> Images, of: impl Fn(&Map) -> Map) {
    let expected = finite_difference(|at| project(&twin(&x.with(at)).numbers, &d_y.numbers), &x.numbers);
    for place in places() {
        same(&format!("d_x, {place:?}"), &of(&d_y.at(&place)), &x.with(&expected), GRADIENT_TOLERANCE);
    }
}

fn bytes(positions: &Map) -> Vec<u8> {
    host(positions).tensor().unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Images with one odd size after another, and windows that fit them.
fn pools() -> impl Strategy<Value = ([usize; 4], PoolConfig)> {
    let axis = || {
        (1usize..5, 1usize..5, 0usize..8).prop_flat_map(|(kernel, stride, more)| {
            (0..=kernel / 2).prop_map(move |padding| {
                let fits = kernel.saturating_sub(2 * padding).max(1);
                (fits + more, kernel, stride, padding)
            })
        })
    };
    let sizes = (1usize..4, axis(), axis(), 1usize..13, any::<bool>());
    sizes.prop_map(|(n, (h, kh, sh, ph), (w, kw, sw, pw), c, round_up)| {
        ([n, h, w, c], PoolConfig { kernel: [kh, kw], stride: [sh, sw], padding: [ph, pw], round_up })
    })
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn max_pools_agree_with_the_twin((dims, config) in pools(), seed in 0u64..1000) {
        let mut random = Random::new(seed);
        let x = Images::distinct(dims, &mut random);
        let expected = max_twin(&x, &config);
        let on_host = bytes(&ops::max_forward(&x.at(&Place::Host), &config).unwrap().1);
        for place in places() {
            let (y, positions) = ops::max_forward(&x.at(&place), &config).unwrap();
            same(&format!("{place:?}"), &y, &expected, 0.0);
            prop_assert_eq!(positions.dims(), y.dims());
            prop_assert_eq!(bytes(&positions), on_host.clone());
        }
        let d_y = Images::random(expected.dims, &mut random);
        check_gradients(&x, &d_y, |x| max_twin(x, &config), |d_y| {
            let (_, positions) = ops::max_forward(&x.at(&d_y.place()), &config).unwrap();
            ops::max_backward(d_y, &positions, &dims, &config).unwrap()
        });
    }

    #[test]
    fn average_pools_agree_with_the_twin((dims, config) in pools(), seed in 0u64..1000) {
        let mut random = Random::new(seed);
        let x = Images::random(dims, &mut random);
        let expected = average_twin(&x, &config);
        for place in places() {
            same("average", &ops::average_forward(&x.at(&place), &config).unwrap(), &expected, TOLERANCE);
        }
        let d_y = Images::random(expected.dims, &mut random);
        check_gradients(&x, &d_y, |x| average_twin(x, &config), |d_y| {
            ops::average_backward(d_y, &dims, &config).unwrap()
        });
    }

    #[test]
    fn adaptive_pools_agree_with_the_twin(
        n in 1usize..4, h in 1usize..9, w in 1usize..9, c in 1usize..12,
        oh in 1usize..11, ow in 1usize..11, seed in 0u64..1000,
    ) {
        let mut random = Random::new(seed);
        let x = Images::random([n, h, w, c], &mut random);
        let expected = adaptive_twin(&x, [oh, ow]);
        for place in places() {
            let y = ops::adaptive_average_forward(&x.at(&place), [oh, ow]).unwrap();
            same("adaptive", &y, &expected, TOLERANCE);
            let means = ops::global_average_forward(&x.at(&place)).unwrap();
            prop_assert_eq!(means.dims(), [n, c]);
            assert_close("global", &means, &adaptive_twin(&x, [1, 1]).numbers, TOLERANCE);
        }
        let d_y = Images::random(expected.dims, &mut random);
        check_gradients(&x, &d_y, |x| adaptive_twin(x, [oh, ow]), |d_y| {
            ops::adaptive_average_backward(d_y, &x.dims).unwrap()
        });
        let d_y = Images::random([n, 1, 1, c], &mut random);
        check_gradients(&x, &d_y, |x| adaptive_twin(x, [1, 1]), |d_y| {
            ops::global_average_backward(&d_y.reshape((n, c)).unwrap(), &x.dims).unwrap()
        });
    }

    #[test]
    fn strided_slices_agree_with_the_twin(
        n in 1usize..4, h in 1usize..9, w in 1usize..9, c in 1usize..7,
        rows in 1usize..5, columns in 1usize..5, more in 0usize..6, seed in 0u64..1000,
    ) {
        let (mut random, stride) = (Random::new(seed), [rows, columns]);
        let x = Images::random([n, h, w, c], &mut random);
        let expected = subsample_twin(&x, stride, c + more);
        for place in places() {
            let y = ops::subsample_forward(&x.at(&place), stride, c + more).unwrap();
            same(&format!("{place:?}"), &y, &expected, 0.0);
        }
        let d_y = Images::random(expected.dims, &mut random);
        check_gradients(&x, &d_y, |x| subsample_twin(x, stride, c + more), |d_y| {
            ops::subsample_backward(d_y, &x.dims, stride).unwrap()
        });
    }
}

#[test]
fn of_equal_pixels_the_first_wins() {
    let x = Images { dims: [1, 3, 3, 1], numbers: vec![1.0; 9] };
    let config = PoolConfig { kernel: [3, 3], stride: [2, 2], padding: [1, 1], ..PoolConfig::default() };
    for place in places() {
        let (y, positions) = ops::max_forward(&x.at(&place), &config).unwrap();
        assert_eq!(numbers(&y), [1.0; 4]);
        // The first place on the image of the windows at the four corners.
        assert_eq!(bytes(&positions), [4, 3, 1, 0]);
        let d_y = Images { dims: [1, 2, 2, 1], numbers: vec![1.0, 2.0, 3.0, 4.0] };
        let d_x = ops::max_backward(&d_y.at(&place), &positions, &x.dims, &config).unwrap();
        assert_eq!(numbers(&d_x), [1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    }
}

/// `torch.nn.functional.max_pool2d(torch.zeros(1, 1, n, n), k, s, p, ceil_mode=True).shape`.
#[test]
fn sizes_rounded_up_are_torchs() {
    let size = |input: usize, kernel, stride, padding| {
        let config =
            PoolConfig { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], round_up: true };
        config.output_size([input; 2]).map(|[rows, _]| rows).ok()
    };
    assert_eq!([size(109, 3, 2, 0), size(54, 3, 2, 0), size(27, 3, 2, 0)], [Some(54), Some(27), Some(13)]);
    assert_eq!([size(7, 2, 2, 0), size(8, 2, 2, 0), size(32, 3, 2, 0)], [Some(4), Some(4), Some(16)]);
    // A window in the padding alone is none, and one of less than the kernel is one if it leaves less than the stride.
    assert_eq!([size(5, 2, 2, 1), size(2, 3, 2, 0), size(1, 3, 2, 0)], [Some(3), Some(1), None]);
}

/// What is written of a pool is what it was before pools could round up.
#[test]
fn the_usual_rounding_is_not_written() {
    let text = r#"{"kernel":[2,2],"stride":[2,2],"padding":[0,0]}"#;
    assert_eq!(serde_json::to_string(&PoolConfig::default()).unwrap(), text);
    assert_eq!(serde_json::from_str::<PoolConfig>(text).unwrap(), PoolConfig::default());
    let config = PoolConfig { round_up: true, ..PoolConfig::default() };
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<PoolConfig>(&text).unwrap(), config);
}

#[test]
fn infinities_and_what_is_not_a_number_pass_through() {
    let config = PoolConfig { kernel: [1, 3], stride: [1, 3], padding: [0, 1], ..PoolConfig::default() };
    let (nan, low) = (f64::NAN, f64::NEG_INFINITY);
    let x = Images { dims: [1, 1, 8, 1], numbers: vec![low, low, nan, 5.0, nan, 1.0, nan, 7.0] };
    for place in places() {
        let (y, positions) = ops::max_forward(&x.at(&place), &config).unwrap();
        let y = numbers(&y);
        assert_eq!(y[0], f32::NEG_INFINITY);
        assert!(y[1].is_nan() && y[2].is_nan());
        assert_eq!(bytes(&positions), [1, 2, 1]);
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let mut random = Random::new(9);
    let x = Images::random([3, 37, 29, 19], &mut random);
    let config = PoolConfig { kernel: [3, 3], stride: [2, 2], padding: [1, 1], ..PoolConfig::default() };
    let run = || {
        let here = x.at(&Place::Host);
        let (max, positions) = ops::max_forward(&here, &config).unwrap();
        let average = ops::average_forward(&here, &config).unwrap();
        let adaptive = ops::adaptive_average_forward(&here, [7, 7]).unwrap();
        let slice = ops::subsample_forward(&here, [2, 3], 38).unwrap();
        [
            ops::max_backward(&max, &positions, &x.dims, &config).unwrap(),
            ops::average_backward(&average, &x.dims, &config).unwrap(),
            ops::adaptive_average_backward(&adaptive, &x.dims).unwrap(),
            ops::subsample_backward(&slice, &x.dims, [2, 3]).unwrap(),
            ops::global_average_forward(&here).unwrap(),
        ]
        .map(|t| numbers(&t).iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    let one = with_threads(1, run);
    assert_eq!(one, with_threads(2, run));
    assert_eq!(one, with_threads(3, run));
}

#[test]
fn what_cannot_be_pooled_is_an_error() {
    places().iter().for_each(refuses);
}

fn refuses(place: &Place) {
    let zeros = |dims: &[usize]| place.full(dims, 0.0).unwrap();
    let pool = |kernel, stride, padding| PoolConfig {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        ..PoolConfig::default()
    };
    let kind = |result: localgrad::Result<Map>| result.unwrap_err().kind();
    let x = zeros(&[1, 4, 4, 2]);
    for config in [pool(0, 1, 0), pool(2, 0, 0), pool(3, 1, 2), pool(5, 1, 0)] {
        assert_eq!(kind(ops::max_forward(&x, &config).map(|(y, _)| y)), ErrorKind::Config);
        assert_eq!(kind(ops::average_forward(&x, &config)), ErrorKind::Config);
    }
    let large = zeros(&[1, 17, 17, 1]);
    assert_eq!(kind(ops::max_forward(&large, &pool(17, 1, 0)).map(|(y, _)| y)), ErrorKind::Config);
    let (y, positions) = ops::max_forward(&x, &pool(2, 2, 0)).unwrap();
    assert_eq!(kind(ops::max_backward(&y, &positions, &[1, 8, 8, 2], &pool(2, 2, 0))), ErrorKind::Shape);
    assert_eq!(kind(ops::max_backward(&y, &y, &[1, 4, 4, 2], &pool(2, 2, 0))), ErrorKind::Shape);
    assert_eq!(kind(ops::average_forward(&zeros(&[4, 4]), &pool(2, 2, 0))), ErrorKind::Shape);
    assert_eq!(kind(ops::average_backward(&y, &[1, 4, 4, 3], &pool(2, 2, 0))), ErrorKind::Shape);
    assert_eq!(kind(ops::adaptive_average_forward(&x, [0, 1])), ErrorKind::Config);
    assert_eq!(kind(ops::global_average_backward(&zeros(&[1, 3]), &[1, 4, 4, 2])), ErrorKind::Shape);
    assert_eq!(kind(ops::subsample_forward(&x, [1, 0], 2)), ErrorKind::Config);
    assert_eq!(kind(ops::subsample_forward(&x, [2, 2], 1)), ErrorKind::Config);
    assert_eq!(kind(ops::subsample_backward(&zeros(&[1, 3, 2, 2]), &[1, 4, 4, 2], [2, 2])), ErrorKind::Shape);
}
