//! Both gradients of a convolution in one pass against the same two one after the other, which have twins of their own.

use crate::common::{Random, with_threads};
use localgrad::kernels::batch_norm::{self, Gradient, Normalization, Sums};
use localgrad::kernels::conv::{self as kernels, Algorithm, Geometry, Given, Path, ReadThrough};
use localgrad::kernels::simd::Isa;
use localgrad::kernels::unwritten::unwritten;
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use proptest::prelude::*;

/// Rounding of sums of a few thousand products in another order, relative to the largest.
const TOLERANCE: f64 = 2e-5;

/// What a case is made of.
struct Case {
    g: Geometry,
    d: Vec<f32>,
    y: Vec<f32>,
    x: Vec<f32>,
    beside: Vec<f32>,
    weight: Vec<f32>,
    by: Normalization,
    gradient: Gradient,
}

/// All that is asked for.
struct Results {
    d_x: Vec<f32>,
    d_weight: Vec<f32>,
    sums: Sums,
}

impl Case {
    fn new(images: usize, size: [usize; 2], channels: usize, seed: u64) -> Self {
        let config = ConvConfig { kernel: [3; 2], padding: [1; 2], ..ConvConfig::default() };
        Self::of(images, size, [channels; 2], config, seed)
    }

    fn of(
        images: usize,
        size: [usize; 2],
        [inputs, outputs]: [usize; 2],
        config: ConvConfig,
        seed: u64,
    ) -> Self {
        let [rows, cols] = config.kernel;
        let weight_shape = [outputs, inputs / config.groups, rows, cols];
        let g = config.geometry(&[images, size[0], size[1], inputs], &weight_shape).unwrap();
        let mut random = Random::new(seed);
        let mut draw = |len: usize| random.numbers(len).into_iter().map(|v| v as f32).collect::<Vec<f32>>();
        let [d, y] = [(); 2].map(|()| draw(g.y_len()));
        let [x, beside] = [(); 2].map(|()| draw(g.x_len()));
        let weight = draw(g.weight_len());
        let mut norm = |channels: usize, activation: Activation| {
            let [mean, variance, scale, bias] = [(); 4].map(|()| draw(channels));
            let variance: Vec<f32> = variance.iter().map(|v| v.abs() + 0.5).collect();
            Normalization::new(&mean, &variance, &scale, &bias, 1e-5, Some(activation))
        };
        let before = [Activation::Relu, Activation::Silu, Activation::HardSwish][seed as usize % 3];
        let (by, after) = (norm(inputs, before), norm(outputs, Activation::Relu));
        let sums = batch_norm::sums(Isa::best(), &d, &y, &after);
        let gradient = Gradient::new(&after, Some(&sums), d.len() / outputs);
        Self { g, d, y, x, beside, weight, by, gradient }
    }

    fn jointly(&self, path: Path) -> Results {
        let given = Given {
            x: Some(ReadThrough::Normalized(&self.x, &self.by)),
            d: &self.d,
            by: &self.gradient,
            weight: &self.weight,
            beside: Some(&self.beside),
        };
        let mut d_weight = vec![f32::NAN; self.weight.len()];
        let (d_x, sums) = if kernels::joint_applies(path, &self.g) {
            let mut d_x = self.y.clone();
            let sums = kernels::backward(path, &self.g, given, &mut d_x, Some(&mut d_weight)).unwrap();
            (d_x, sums)
        } else {
            let mut d_x = vec![f32::NAN; self.x.len()];
            let room = unwritten(&mut d_x);
            let sums =
                kernels::backward_apart(path, &self.g, given, &self.y, room, Some(&mut d_weight)).unwrap();
            (d_x, sums)
        };
        Results { d_x, d_weight, sums: sums.unwrap() }
    }

    fn one_by_one(&self, path: Path) -> Results {
        let d_y = ReadThrough::Gradient { d: &self.d, x: &self.y, by: &self.gradient };
        let (mut d_x, mut d_weight) = (vec![f32::NAN; self.x.len()], vec![f32::NAN; self.weight.len()]);
        kernels::d_input(path, &self.g, d_y, &self.weight, unwritten(&mut d_x)).unwrap();
        let x = ReadThrough::Normalized(&self.x, &self.by);
        kernels::d_weight(path, &self.g, x, d_y, unwritten(&mut d_weight)).unwrap();
        d_x.iter_mut().zip(&self.beside).for_each(|(d, beside)| *d += beside);
        let sums = batch_norm::pre_activation_sums(path.isa, &mut d_x, &self.x, &self.by);
        Results { d_x, d_weight, sums }
    }
}

fn close(what: &str, found: impl Iterator<Item = f64> + Clone, expected: impl Iterator<Item = f64> + Clone) {
    let scale = expected.clone().fold(1.0f64, |most, v| most.max(v.abs()));
    for (i, (a, b)) in found.zip(expected).enumerate() {
        assert!((a - b).abs() <= TOLERANCE * scale, "{what} {i}: {a}, expected {b}");
    }
}

fn hold(case: &Case, path: Path) {
    let (found, expected) = (case.jointly(path), case.one_by_one(path));
    let wide = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let of = |r: &Results| {
        let sums = [&r.sums.gradient, &r.sums.gradient_times_normalized].map(Clone::clone);
        [vec![wide(&r.d_x), wide(&r.d_weight)], sums.to_vec()].concat()
    };
    for ((name, a), b) in
        ["d_x", "d_weight", "sums", "sums of products"].iter().zip(of(&found)).zip(of(&expected))
    {
        close(&format!("{path:?} {:?} {name}", case.g), a.into_iter(), b.into_iter());
    }
}

fn paths() -> impl Iterator<Item = Path> {
    let methods = [Algorithm::Winograd, Algorithm::SquareWinograd];
    Isa::available().into_iter().flat_map(move |isa| methods.map(|method| Path { isa, method }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_same_as_one_by_one(
        images in 16usize..72,
        height in 4usize..33,
        width in 4usize..33,
        channels in prop_oneof![1usize..9, Just(16), 17usize..34],
        seed in any::<u64>(),
    ) {
        let case = Case::new(images, [height, width], channels, seed);
        for path in paths().filter(|&path| kernels::joint_applies(path, &case.g)) {
            hold(&case, path);
        }
    }
}

/// A direct convolution on every instruction set, and the same bytes from any number of threads. Each d_x is that of the pass
/// alone, bit for bit.
fn hold_direct(case: &Case) {
    for path in Isa::available().into_iter().map(|isa| Path { isa, method: Algorithm::Fastest }) {
        assert!(
            kernels::joint_applies(path, &case.g) || kernels::apart_applies(path, &case.g),
            "{:?}",
            case.g
        );
        hold(case, path);
        let bits = |r: &Results| r.d_x.iter().chain(&r.d_weight).map(|v| v.to_bits()).collect::<Vec<_>>();
        let found = bits(&case.jointly(path));
        assert!(found == with_threads(3, || bits(&case.jointly(path))), "{:?}", case.g);
        let alone = case.one_by_one(path);
        assert!(found.iter().zip(&alone.d_x).all(|(bits, d)| *bits == d.to_bits()), "{:?}", case.g);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn depthwise_the_same_as_one_by_one(
        images in 4usize..20,
        size in [1usize..12, 1usize..12],
        channels in prop_oneof![2usize..9, Just(16), 17usize..70],
        kernel in [1usize..6, 1usize..6],
        stride in [1usize..4, 1usize..4],
        dilation in [1usize..3, 1usize..3],
        padding in [0usize..6, 0usize..6],
        seed in any::<u64>(),
    ) {
        let reach = [0, 1].map(|i| (kernel[i] - 1) * dilation[i]);
        let padding = [0, 1].map(|i| padding[i].min(reach[i]));
        prop_assume!((0..2).all(|i| size[i] + 2 * padding[i] > reach[i]));
        let config = ConvConfig { kernel, stride, padding, dilation, groups: channels };
        hold_direct(&Case::of(images, size, [channels; 2], config, seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn kernels_of_one_pixel_the_same_as_one_by_one(
        more in 0usize..700,
        inputs in prop_oneof![1usize..9, Just(16), 17usize..70],
        outputs in prop_oneof![1usize..9, Just(16), 17usize..70],
        seed in any::<u64>(),
    ) {
        // A turn takes 64 pixels or more, whose channels fill 256 KiB.
        let least = 8 * (1 << 16) / inputs.max(outputs) / 64 * 64;
        let pixels = least.min(40_000) + more;
        let case = Case::of(1, [1, pixels], [inputs, outputs], ConvConfig::default(), seed);
        if kernels::joint_applies(Path::best(), &case.g) || kernels::apart_applies(Path::best(), &case.g) {
            hold_direct(&case);
        }
    }
}

#[test]
fn bottlenecks_of_networks_are_done_jointly() {
    for (size, channels) in [(28, [24, 144]), (28, [144, 24]), (56, [64, 64]), (14, [96, 576])] {
        (3..6).for_each(|seed| hold_direct(&Case::of(8, [size; 2], channels, ConvConfig::default(), seed)));
    }
}

#[test]
fn depthwise_convolutions_of_networks_are_done_jointly() {
    for (size, kernel, stride) in [(14, 3, 1), (14, 3, 2), (7, 5, 1), (7, 5, 2), (1, 3, 1), (2, 3, 2)] {
        let (padding, groups) = ([kernel / 2; 2], 24);
        let config =
            ConvConfig { kernel: [kernel; 2], stride: [stride; 2], padding, groups, ..ConvConfig::default() };
        (3..6).for_each(|seed| hold_direct(&Case::of(9, [size; 2], [24; 2], config, seed)));
    }
}

#[test]
fn what_networks_have_is_done_jointly() {
    for (images, size, channels) in [(64, 32, 16), (33, 16, 32), (17, 32, 16)] {
        let case = Case::new(images, [size; 2], channels, 3);
        let path = Path::best();
        assert!(kernels::joint_applies(path, &case.g), "{:?}", case.g);
        hold(&case, path);
        let run = || {
            let Results { d_x, d_weight, sums } = case.jointly(path);
            let bits = d_x.iter().chain(&d_weight).map(|v| v.to_bits()).collect::<Vec<_>>();
            (bits, sums.gradient, sums.gradient_times_normalized)
        };
        let one = with_threads(1, run);
        assert!(one == with_threads(2, run) && one == with_threads(3, run));
    }
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let case = Case::new(64, [16; 2], 16, 1);
    let path = Path { isa: Isa::best(), method: Algorithm::Winograd };
    let given = Given { x: None, d: &case.d, by: &case.gradient, weight: &case.weight, beside: None };
    let mut y = case.y.clone();
    kernels::backward(path, &case.g, given, &mut y, None).unwrap();
    let short = &case.d[1..];
    for wrong in [Given { d: short, ..given }, Given { beside: Some(short), ..given }] {
        kernels::backward(path, &case.g, wrong, &mut y, None).unwrap_err();
    }
    let strided = Geometry { stride: [2; 2], output: [8; 2], ..case.g };
    kernels::backward(path, &strided, given, &mut y, None).unwrap_err();
    let mut d_x = case.x.clone();
    kernels::backward_apart(path, &case.g, given, &y, unwritten(&mut d_x), None).unwrap_err();
}
