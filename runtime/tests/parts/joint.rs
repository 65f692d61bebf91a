//! Both gradients of a convolution in one pass against the same two one after the other, which have twins of their own.

use crate::common::{Random, with_threads};
use localgrad::kernels::batch_norm::{self, Gradient, Normalization, Sums};
use localgrad::kernels::conv::{self as kernels, Algorithm, Geometry, Given, Path, ReadThrough};
use localgrad::kernels::simd::Isa;
use localgrad::kernels::unwritten::unwritten;
use localgrad::maps::activation::Activation;
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
        let (kernel, stride, padding, dilation) = ([3; 2], [1; 2], [1; 2], [1; 2]);
        let (in_channels, out_channels, input, output) = (channels, channels, size, size);
        let g = Geometry {
            images,
            input,
            output,
            in_channels,
            out_channels,
            kernel,
            stride,
            padding,
            dilation,
            groups: 1,
        };
        let mut random = Random::new(seed);
        let mut draw = |len: usize| random.numbers(len).into_iter().map(|v| v as f32).collect::<Vec<f32>>();
        let [d, y, x, beside] = [(); 4].map(|()| draw(g.x_len()));
        let weight = draw(g.weight_len());
        let mut norm = || {
            let [mean, variance, scale, bias] = [(); 4].map(|()| draw(channels));
            let variance: Vec<f32> = variance.iter().map(|v| v.abs() + 0.5).collect();
            Normalization::new(&mean, &variance, &scale, &bias, 1e-5, Some(Activation::Relu))
        };
        let (by, after) = (norm(), norm());
        let sums = batch_norm::sums(Isa::best(), &d, &y, &after);
        let gradient = Gradient::new(&after, Some(&sums), d.len() / channels);
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
        let (mut d_x, mut d_weight) = (self.y.clone(), vec![f32::NAN; self.weight.len()]);
        let sums = kernels::backward(path, &self.g, given, &mut d_x, Some(&mut d_weight)).unwrap();
        Results { d_x, d_weight, sums: sums.unwrap() }
    }

    fn one_by_one(&self, path: Path) -> Results {
        let d_y = ReadThrough::Gradient { d: &self.d, x: &self.y, by: &self.gradient };
        let (mut d_x, mut d_weight) = (vec![f32::NAN; self.x.len()], vec![f32::NAN; self.weight.len()]);
        kernels::d_input(path, &self.g, d_y, &self.weight, unwritten(&mut d_x)).unwrap();
        kernels::d_weight(path, &self.g, ReadThrough::Normalized(&self.x, &self.by), d_y, &mut d_weight)
            .unwrap();
        d_x.iter_mut().zip(&self.beside).for_each(|(d, beside)| *d += beside);
        let sums = batch_norm::sums(path.isa, &d_x, &self.x, &self.by);
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
}
