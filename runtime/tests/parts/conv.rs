//! Convolution: kernels of every instruction set, and the operation at every place, against a naive f64 twin.

use crate::common::{
    self, GRADIENT_TOLERANCE, Random, TOLERANCE, assert_close, map, numbers, places, project,
};
use localgrad::ErrorKind;
use localgrad::kernels::batch_norm;
use localgrad::kernels::conv as kernels;
use localgrad::kernels::conv::{Algorithm, Geometry, Path};
use localgrad::kernels::simd::Isa;
use localgrad::kernels::unwritten::unwritten;
use localgrad::maps::conv::{self, ConvConfig};
use localgrad::maps::{Map, Place};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// A convolution with its input, in f64.
#[derive(Clone, Debug)]
struct Case {
    x_shape: [usize; 4],
    weight_shape: [usize; 4],
    config: ConvConfig,
    x: Vec<f64>,
    weight: Vec<f64>,
    bias: Vec<f64>,
    d_y: Vec<f64>,
}

impl Case {
    fn new(x_shape: [usize; 4], out_channels: usize, config: ConvConfig, seed: u64) -> Self {
        let [kernel_rows, kernel_cols] = config.kernel;
        let weight_shape = [out_channels, x_shape[3] / config.groups, kernel_rows, kernel_cols];
        let mut random = Random::new(seed);
        let mut case = Self {
            x_shape,
            weight_shape,
            config,
            x: random.numbers(x_shape.iter().product()),
            weight: random.numbers(weight_shape.iter().product()),
            bias: random.numbers(out_channels),
            d_y: Vec::new(),
        };
        case.d_y = random.numbers(case.y_shape().iter().product());
        case
    }

    fn geometry(&self) -> Geometry {
        self.config.geometry(&self.x_shape, &self.weight_shape).unwrap()
    }

    fn y_shape(&self) -> [usize; 4] {
        let [rows, cols] = self.config.output_size(self.x_shape[1], self.x_shape[2]).unwrap();
        [self.x_shape[0], rows, cols, self.weight_shape[0]]
    }

    /// Calls `f(index of y, index of x, index of weight)` for every product of the convolution.
    fn products(&self, mut f: impl FnMut(usize, usize, usize)) {
        let [images, height, width, in_channels] = self.x_shape;
        let [out_channels, group_in, kernel_rows, kernel_cols] = self.weight_shape;
        let [_, rows, cols, _] = self.y_shape();
        let ConvConfig { stride, padding, dilation, groups, .. } = self.config;
        let group_out = out_channels / groups;
        for n in 0..images {
            for (r, c) in (0..rows).flat_map(|r| (0..cols).map(move |c| (r, c))) {
                for (kr, kc) in (0..kernel_rows).flat_map(|r| (0..kernel_cols).map(move |c| (r, c))) {
                    let h = (r * stride[0] + kr * dilation[0]) as isize - padding[0] as isize;
                    let w = (c * stride[1] + kc * dilation[1]) as isize - padding[1] as isize;
                    if h < 0 || w < 0 || h >= height as isize || w >= width as isize {
                        continue;
                    }
                    for o in 0..out_channels {
                        for i in 0..group_in {
                            let channel = o / group_out * group_in + i;
                            f(
                                ((n * rows + r) * cols + c) * out_channels + o,
                                ((n * height + h as usize) * width + w as usize) * in_channels + channel,
                                ((o * group_in + i) * kernel_rows + kr) * kernel_cols + kc,
                            );
                        }
                    }
                }
            }
        }
    }

    fn forward(&self, x: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
        let len: usize = self.y_shape().iter().product();
        let mut y: Vec<f64> = (0..len).map(|i| bias[i % bias.len()]).collect();
        self.products(|at_y, at_x, at_weight| y[at_y] += x[at_x] * weight[at_weight]);
        y
    }

    fn d_input(&self) -> Vec<f64> {
        let mut d_x = vec![0.0; self.x.len()];
        self.products(|y, x, weight| d_x[x] += self.d_y[y] * self.weight[weight]);
        d_x
    }

    fn d_weight(&self) -> Vec<f64> {
        let mut d_weight = vec![0.0; self.weight.len()];
        self.products(|y, x, weight| d_weight[weight] += self.d_y[y] * self.x[x]);
        d_weight
    }

    fn d_bias(&self) -> Vec<f64> {
        let mut d_bias = vec![0.0; self.bias.len()];
        self.d_y.iter().enumerate().for_each(|(i, d)| d_bias[i % self.bias.len()] += d);
        d_bias
    }

    /// x, weight, bias and d_y.
    fn maps(&self, place: &Place) -> [Map; 4] {
        [
            map(&self.x, &self.x_shape, place),
            map(&self.weight, &self.weight_shape, place),
            map(&self.bias, &[self.bias.len()], place),
            map(&self.d_y, &self.y_shape(), place),
        ]
    }
}

/// y, d_x, d_weight and d_bias of one path.
struct Results {
    path: String,
    all: [Map; 4],
}

fn at(case: &Case, place: &Place) -> Results {
    let [x, weight, bias, d_y] = case.maps(place);
    let all = [
        conv::forward(&x, &weight, Some(&bias), &case.config).unwrap(),
        conv::d_input(&d_y, &weight, &case.x_shape, &case.config).unwrap(),
        conv::d_weight(&x, &d_y, &case.weight_shape, &case.config).unwrap(),
        conv::d_bias(&d_y).unwrap(),
    ];
    Results { path: format!("{place:?}"), all }
}

fn by_kernels(case: &Case, path: Path) -> Results {
    let [x, weight, bias, d_y] = case.maps(&Place::Host).map(|t| numbers(&t));
    let geometry = case.geometry();
    // Whatever is not written stays NaN.
    let (mut y, mut d_x) = (vec![f32::NAN; d_y.len()], vec![f32::NAN; x.len()]);
    let (mut d_weight, mut d_bias) = (vec![f32::NAN; weight.len()], vec![f32::NAN; bias.len()]);
    kernels::forward(path, &geometry, &x, &weight, Some(&bias), unwritten(&mut y)).unwrap();
    kernels::d_input(path, &geometry, &d_y, &weight, unwritten(&mut d_x)).unwrap();
    kernels::d_weight(path, &geometry, &x, &d_y, unwritten(&mut d_weight)).unwrap();
    kernels::d_bias(&d_y, &mut d_bias);
    let host = |data: Vec<f32>, shape: &[usize]| Map::new(data, shape).unwrap();
    let all = [
        host(y, &case.y_shape()),
        host(d_x, &case.x_shape),
        host(d_weight, &case.weight_shape),
        host(d_bias, &[case.bias.len()]),
    ];
    Results { path: format!("{path:?}"), all }
}

/// Every instruction set with every method.
fn kernel_paths() -> Vec<Path> {
    let methods = [Algorithm::Direct, Algorithm::Winograd, Algorithm::SquareWinograd];
    Isa::available().into_iter().flat_map(|isa| methods.map(|method| Path { isa, method })).collect()
}

/// Every path that the places have, and where one is this machine all that it has.
fn all_paths(case: &Case) -> Vec<Results> {
    let places = places();
    let mut results: Vec<_> = places.iter().map(|place| at(case, place)).collect();
    if places.iter().any(Place::is_host) {
        results.extend(kernel_paths().into_iter().map(|path| by_kernels(case, path)));
    }
    results
}

fn hold_to_twin(case: &Case) {
    let twin =
        [case.forward(&case.x, &case.weight, &case.bias), case.d_input(), case.d_weight(), case.d_bias()];
    let shapes = [&case.y_shape()[..], &case.x_shape[..], &case.weight_shape[..], &case.weight_shape[..1]];
    for Results { path, all } in all_paths(case) {
        for (i, name) in ["y", "d_x", "d_weight", "d_bias"].iter().enumerate() {
            assert_eq!(all[i].dims(), shapes[i], "{path} {name}");
            assert_close(&format!("{path} {name}"), &all[i], &twin[i], TOLERANCE);
        }
    }
}

/// Any convolution that fits: sizes of one axis first, then channels.
fn cases() -> impl Strategy<Value = Case> {
    let axis = || {
        (1usize..5, 1usize..5, 0usize..4, 1usize..4, 0usize..14).prop_map(
            |(kernel, stride, padding, dilation, extra)| {
                let reach = (kernel - 1) * dilation + 1;
                (kernel, stride, padding, dilation, reach.saturating_sub(2 * padding).max(1) + extra)
            },
        )
    };
    let sizes = prop_oneof![1usize..6, 7usize..20, 30usize..36];
    let channels = prop_oneof![
        3 => (Just(1usize), sizes.clone(), sizes.clone()),
        1 => (2usize..4, 1usize..18, 1usize..18),
        1 => (1usize..40, Just(1usize), Just(1usize)),
        1 => (1usize..5, Just(1usize), 1usize..4),
    ];
    (axis(), axis(), channels, 1usize..4, any::<u64>()).prop_map(|(rows, cols, channels, images, seed)| {
        let (groups, group_in, group_out) = channels;
        let config = ConvConfig {
            kernel: [rows.0, cols.0],
            stride: [rows.1, cols.1],
            padding: [rows.2, cols.2],
            dilation: [rows.3, cols.3],
            groups,
        };
        Case::new([images, rows.4, cols.4, groups * group_in], groups * group_out, config, seed)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_convolution_equals_its_twin(case in cases()) {
        hold_to_twin(&case);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, rng_seed: RngSeed::Fixed(2), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_convolution_of_three_by_three_equals_its_twin(
        images in 1usize..6,
        size in [1usize..14, 1usize..14],
        padding in [0usize..4, 0usize..4],
        channels in [1usize..40, 1usize..40],
        seed in any::<u64>(),
    ) {
        let size = [0, 1].map(|i| size[i].max(3usize.saturating_sub(2 * padding[i])));
        let config = ConvConfig { padding, ..square(3, 1, 0) };
        hold_to_twin(&Case::new([images, size[0], size[1], channels[0]], channels[1], config, seed));
    }
}

fn square(kernel: usize, stride: usize, padding: usize) -> ConvConfig {
    let both = |v| [v, v];
    ConvConfig { kernel: both(kernel), stride: both(stride), padding: both(padding), ..ConvConfig::default() }
}

#[test]
fn shapes_of_residual_networks_equal_their_twin() {
    let shapes = [
        ([2, 32, 32, 3], 16, square(3, 1, 1)),
        ([2, 32, 32, 16], 16, square(3, 1, 1)),
        ([2, 32, 32, 16], 32, square(3, 2, 1)),
        ([3, 16, 16, 16], 32, square(1, 2, 0)),
        ([17, 8, 8, 32], 48, square(3, 1, 1)),
        ([20, 4, 4, 70], 33, square(3, 1, 1)),
        ([2, 12, 10, 64], 64, square(3, 1, 1)),
        ([1, 40, 30, 33], 34, square(3, 1, 0)),
        ([3, 9, 9, 32], 32, square(3, 1, 2)),
        // On four lanes: channel blocks of three widths.
        ([1, 3, 3, 1], 25, square(3, 1, 0)),
        ([1, 56, 48, 64], 40, square(1, 1, 0)),
        ([1, 64, 61, 3], 24, square(7, 2, 3)),
        ([1, 300, 70, 16], 5, square(3, 1, 1)),
        ([33, 1, 1, 20], 10, square(1, 1, 0)),
        // More channels than are summed at once, and pixels and channels that fill no tile.
        ([2, 7, 5, 530], 67, square(1, 1, 0)),
        ([3, 9, 10, 300], 70, square(1, 2, 0)),
        ([20, 4, 4, 300], 230, square(1, 1, 0)),
        ([2, 14, 14, 72], 72, ConvConfig { groups: 72, ..square(5, 2, 2) }),
        ([2, 28, 28, 48], 96, ConvConfig { groups: 2, ..square(3, 1, 1) }),
    ];
    for (seed, (x_shape, out_channels, config)) in shapes.into_iter().enumerate() {
        hold_to_twin(&Case::new(x_shape, out_channels, config, seed as u64));
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let config =
        |kernel, stride, padding, dilation, groups| ConvConfig { kernel, stride, padding, dilation, groups };
    let cases = [
        Case::new([2, 4, 5, 3], 2, config([3, 2], [1, 2], [1, 0], [1, 2], 1), 1),
        Case::new([1, 5, 4, 4], 6, config([2, 2], [3, 1], [2, 1], [2, 1], 2), 2),
        Case::new([2, 4, 4, 3], 3, config([3, 3], [2, 2], [1, 1], [1, 1], 3), 3),
        Case::new([1, 1, 1, 1], 1, config([1, 1], [1, 1], [0, 0], [1, 1], 1), 4),
        Case::new([1, 6, 6, 2], 2, config([3, 3], [1, 1], [1, 1], [1, 1], 1), 5),
    ];
    for case in cases {
        let loss = |x: &[f64], w: &[f64], b: &[f64]| project(&case.forward(x, w, b), &case.d_y);
        let expected = [
            common::finite_difference(|x| loss(x, &case.weight, &case.bias), &case.x),
            common::finite_difference(|w| loss(&case.x, w, &case.bias), &case.weight),
            common::finite_difference(|b| loss(&case.x, &case.weight, b), &case.bias),
        ];
        for Results { path, all } in all_paths(&case) {
            for (i, name) in ["d_x", "d_weight", "d_bias"].iter().enumerate() {
                assert_close(&format!("{path} {name}"), &all[i + 1], &expected[i], GRADIENT_TOLERANCE);
            }
        }
    }
}

/// The bound on the difference between an instruction set or method and the portable direct kernels: they round
/// differently, and the portable ones round products too.
#[test]
fn instruction_sets_and_methods_agree_within_one_in_a_hundred_thousand() {
    for (groups, channels, size) in [(1, 37, 13), (2, 24, 13), (40, 40, 13), (1, 64, 16), (1, 130, 8)] {
        let config = ConvConfig { groups, ..square(3, 1, 1) };
        let case = Case::new([4, size, size - 1, channels], channels, config, 7);
        let twin = by_kernels(&case, Path { isa: Isa::available()[0], method: Algorithm::Direct });
        for path in kernel_paths() {
            let Results { path, all } = by_kernels(&case, path);
            for (found, expected) in all.iter().zip(&twin.all) {
                let expected: Vec<f64> = numbers(expected).into_iter().map(f64::from).collect();
                assert_close(&path, found, &expected, 1e-5);
            }
        }
    }
}

/// Maps that fill units and tiles, and ones that do not.
fn winograd_cases() -> [Case; 4] {
    [
        Case::new([3, 16, 16, 64], 64, square(3, 1, 1), 21),
        Case::new([2, 27, 30, 35], 66, square(3, 1, 1), 22),
        Case::new([13, 7, 9, 96], 40, square(3, 1, 2), 23),
        Case::new([40, 5, 3, 33], 50, square(3, 1, 1), 24),
    ]
}

/// The errors that the kernels' documentation states, of the largest result.
#[test]
fn winograd_is_as_exact_as_it_says() {
    for case in winograd_cases() {
        let twin = [case.forward(&case.x, &case.weight, &case.bias), case.d_input(), case.d_weight()];
        for path in kernel_paths() {
            let Results { path, all } = by_kernels(&case, path);
            for (found, expected) in all.iter().zip(&twin) {
                assert_close(&path, found, expected, 5e-6);
            }
        }
    }
}

#[test]
fn moments_are_those_of_the_result() {
    for case in winograd_cases() {
        let [x, weight, bias, _] = case.maps(&Place::Host).map(|t| numbers(&t));
        let (geometry, channels) = (case.geometry(), case.bias.len());
        for path in kernel_paths() {
            let mut y = vec![f32::NAN; case.d_y.len()];
            let to = unwritten(&mut y);
            let found = kernels::forward_with_moments(path, &geometry, &x, &weight, Some(&bias), to).unwrap();
            let expected = batch_norm::moments(path.isa, &y, channels);
            let host = |v: Vec<f32>| Map::new(v, channels).unwrap();
            for (found, expected) in [(found.mean, expected.mean), (found.variance, expected.variance)] {
                let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
                assert_close(&format!("{path:?}"), &host(found), &expected, 1e-6);
            }
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let cases = [
        Case::new([19, 12, 12, 16], 20, square(3, 1, 1), 1),
        Case::new([5, 40, 33, 3], 70, square(3, 2, 1), 2),
        Case::new([13, 14, 14, 40], 36, square(3, 1, 1), 5),
        Case::new([70, 4, 4, 130], 96, square(3, 1, 1), 6),
        Case::new([1, 9, 9, 80], 90, square(1, 1, 0), 3),
        Case::new([5, 5, 6, 300], 280, square(1, 1, 0), 7),
        Case::new([9, 9, 8, 290], 270, square(1, 2, 0), 8),
        Case::new([7, 11, 10, 50], 50, ConvConfig { groups: 50, ..square(3, 1, 1) }, 4),
    ];
    for case in cases {
        let bits = |threads: usize| {
            let results = common::with_threads(threads, || at(&case, &Place::Host));
            let moments = common::with_threads(threads, || {
                let [x, weight, bias, _] = case.maps(&Place::Host).map(|t| numbers(&t));
                let (geometry, mut y) = (case.geometry(), vec![f32::NAN; case.d_y.len()]);
                let to = unwritten(&mut y);
                kernels::forward_with_moments(Path::best(), &geometry, &x, &weight, Some(&bias), to).unwrap()
            });
            let bits = |all: Vec<f32>| all.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let moments = [bits(moments.mean), bits(moments.variance)];
            (results.all.map(|t| bits(numbers(&t))), moments)
        };
        let one = bits(1);
        assert_eq!(one, bits(2), "two threads: {:?}", case.config);
        assert_eq!(one, bits(3), "three threads: {:?}", case.config);
    }
}

#[test]
fn strided_maps_are_made_contiguous() {
    let case = Case::new([2, 6, 7, 5], 4, square(3, 2, 1), 11);
    for place in places() {
        let [x, weight, bias, d_y] = case.maps(&place);
        let strided = |x: &Map| {
            let x = common::host(x);
            let x = x.tensor().unwrap().transpose(1, 2).unwrap().contiguous().unwrap();
            let x = x.transpose(1, 2).unwrap();
            assert!(!x.is_contiguous());
            place.map(x).unwrap()
        };
        let all = [
            conv::forward(&strided(&x), &strided(&weight), Some(&bias), &case.config).unwrap(),
            conv::d_input(&strided(&d_y), &strided(&weight), &case.x_shape, &case.config).unwrap(),
            conv::d_weight(&strided(&x), &strided(&d_y), &case.weight_shape, &case.config).unwrap(),
            conv::d_bias(&strided(&d_y)).unwrap(),
        ];
        for (found, expected) in all.iter().zip(&at(&case, &place).all) {
            assert_eq!(numbers(found), numbers(expected));
        }
    }
}

#[test]
fn forward_without_bias_adds_nothing() {
    let mut case = Case::new([2, 5, 5, 3], 18, square(3, 1, 1), 12);
    case.bias.fill(0.0);
    for place in places() {
        let [x, weight, ..] = case.maps(&place);
        let y = conv::forward(&x, &weight, None, &case.config).unwrap();
        assert_close("y", &y, &case.forward(&case.x, &case.weight, &case.bias), TOLERANCE);
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused_with_both_shapes() {
    places().iter().for_each(misfits_are_refused);
}

fn misfits_are_refused(place: &Place) {
    let zeros = |shape: &[usize]| place.full(shape, 0.0).unwrap();
    let (x, weight) = (zeros(&[1, 4, 4, 6]), zeros(&[4, 6, 3, 3]));
    let config = square(3, 1, 1);
    let refused = |result: localgrad::Result<Map>, said: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shape, "{error}");
        assert!(error.to_string().contains(said), "{error}");
    };
    refused(conv::forward(&zeros(&[4, 4, 6]), &weight, None, &config), "[4, 4, 6]");
    refused(conv::forward(&zeros(&[1, 4, 4, 5]), &weight, None, &config), "[1, 4, 4, 5]");
    refused(conv::forward(&x, &zeros(&[4, 6, 3, 1]), None, &config), "[4, 6, 3, 1]");
    refused(conv::forward(&x, &weight, Some(&zeros(&[5])), &config), "[5]");
    refused(conv::forward(&x, &weight, None, &ConvConfig { groups: 4, ..config }), "4 groups");
    refused(
        conv::forward(&x, &zeros(&[3, 3, 3, 3]), None, &ConvConfig { groups: 2, ..config }),
        "[3, 3, 3, 3]",
    );
    refused(conv::forward(&x, &weight, None, &ConvConfig { stride: [0, 1], ..config }), "above 0");
    refused(conv::forward(&x, &weight, None, &ConvConfig { dilation: [9, 9], ..config }), "does not fit");
    refused(conv::d_input(&zeros(&[1, 4, 5, 4]), &weight, &[1, 4, 4, 6], &config), "[1, 4, 5, 4]");
    refused(conv::d_weight(&x, &zeros(&[1, 4, 5, 4]), &[4, 6, 3, 3], &config), "[1, 4, 4, 4]");
    refused(conv::d_bias(&zeros(&[4, 4])), "[4, 4]");
}

#[test]
fn output_size_follows_its_formula() {
    assert_eq!(square(3, 1, 1).output_size(32, 31).unwrap(), [32, 31]);
    assert_eq!(square(7, 2, 3).output_size(224, 224).unwrap(), [112, 112]);
    let config = ConvConfig { dilation: [2, 3], ..square(3, 2, 0) };
    assert_eq!(config.output_size(9, 7).unwrap(), [3, 1]);
    for config in [
        square(4, 1, 1),
        square(0, 1, 0),
        square(1, 0, 0),
        square(usize::MAX, 2, 0),
        square(1, 1, usize::MAX),
    ] {
        assert_eq!(config.output_size(1, 1).unwrap_err().kind(), ErrorKind::Shape, "{config:?}");
    }
}

#[test]
fn kernels_refuse_slices_of_other_sizes() {
    let case = Case::new([1, 3, 3, 2], 2, square(3, 1, 1), 1);
    let mut y = vec![0.0; 18];
    let result =
        kernels::forward(Path::best(), &case.geometry(), &[0.0; 17][..], &[0.0; 36], None, unwritten(&mut y));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Internal);
    let wrong = Geometry { output: [4, 4], ..case.geometry() };
    let result = kernels::d_input(Path::best(), &wrong, &[0.0; 32][..], &[0.0; 36], unwritten(&mut y));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Internal);
}
