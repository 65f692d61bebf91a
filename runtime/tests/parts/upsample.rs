//! Bilinear resizing, and the sums of pixels that it and the average pools are, against f64.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{
    GRADIENT_TOLERANCE, Random, TOLERANCE, assert_close, finite_difference, map, numbers, places, project,
    with_threads,
};
use localgrad::ErrorKind;
use localgrad::kernels::resample::Taps;
use localgrad::maps::resample::resample;
use localgrad::maps::upsample as ops;
use localgrad::maps::{Map, Place};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// The value of a line of pixels at the coordinate of output `i`: PyTorch's convention, written as a hat
/// function over all pixels.
fn hat(i: usize, inputs: usize, outputs: usize, align_corners: bool) -> Vec<f64> {
    let position = if align_corners {
        if outputs == 1 { 0.0 } else { i as f64 * (inputs as f64 - 1.0) / (outputs as f64 - 1.0) }
    } else {
        (i as f64 + 0.5) / outputs as f64 * inputs as f64 - 0.5
    };
    let position = position.clamp(0.0, inputs as f64 - 1.0);
    (0..inputs).map(|pixel| (1.0 - (position - pixel as f64).abs()).max(0.0)).collect()
}

fn twin(x: &[f64], [n, h, w, c]: [usize; 4], [oh, ow]: [usize; 2], align_corners: bool) -> Vec<f64> {
    let mut y = Vec::new();
    for image in 0..n {
        for row in 0..oh {
            for column in 0..ow {
                let (rows, columns) = (hat(row, h, oh, align_corners), hat(column, w, ow, align_corners));
                for channel in 0..c {
                    let mut sum = 0.0;
                    for i in 0..h {
                        for j in 0..w {
                            sum += rows[i] * columns[j] * x[((image * h + i) * w + j) * c + channel];
                        }
                    }
                    y.push(sum);
                }
            }
        }
    }
    y
}

/// The taps of one axis as the hat functions say.
fn taps(inputs: usize, outputs: usize, align_corners: bool) -> Taps {
    Taps::new(inputs, outputs, |i| {
        let weights = hat(i, inputs, outputs, align_corners).into_iter().enumerate();
        weights
            .filter(|&(_, weight)| weight > 0.0)
            .map(|(pixel, weight)| (pixel, weight as f32))
            .collect::<Vec<_>>()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 50, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn resizing_agrees_with_the_twin(
        n in 1usize..3, h in 1usize..7, w in 1usize..7, c in 1usize..11,
        oh in 1usize..13, ow in 1usize..13, align_corners in any::<bool>(), seed in 0u64..1000,
    ) {
        let mut random = Random::new(seed);
        let (dims, output) = ([n, h, w, c], [oh, ow]);
        let (x, d_y) = (random.numbers(n * h * w * c), random.numbers(n * oh * ow * c));
        let (rows, columns) = (taps(h, oh, align_corners), taps(w, ow, align_corners));
        let expected = twin(&x, dims, output, align_corners);
        let d_x_expected = finite_difference(|x| project(&twin(x, dims, output, align_corners), &d_y), &x);
        for place in places() {
            let (x, d_y) = (map(&x, &dims, &place), map(&d_y, &[n, oh, ow, c], &place));
            let y = ops::bilinear_forward(&x, output, align_corners).unwrap();
            for (what, y) in [("y", y), ("y by hats", resample(&x, &rows, &columns).unwrap())] {
                prop_assert_eq!(y.dims(), [n, oh, ow, c]);
                assert_close(&format!("{what}, {place:?}"), &y, &expected, TOLERANCE);
            }
            let d_x = ops::bilinear_backward(&d_y, &dims, align_corners).unwrap();
            let by_hats = resample(&d_y, &rows.transposed(), &columns.transposed()).unwrap();
            for (what, d_x) in [("d_x", d_x), ("d_x by hats", by_hats)] {
                prop_assert_eq!(d_x.dims(), dims);
                assert_close(&format!("{what}, {place:?}"), &d_x, &d_x_expected, GRADIENT_TOLERANCE);
            }
        }
    }

    #[test]
    fn any_sums_of_pixels_agree_with_the_twin(
        sizes in prop::array::uniform4(1usize..8), n in 1usize..4, c in 1usize..11, seed in 0u64..1000,
    ) {
        // Up to three taps at random for each output, as average pools and their gradients have; some have
        // none.
        let [h, w, oh, ow] = sizes;
        let mut random = Random::new(seed);
        let mut axis = |inputs: usize, outputs: usize| {
            let mut tap = || ((random.next_u64() % inputs as u64) as usize, random.uniform() as f32);
            let mut taps_of = |output: usize| (0..(output + inputs) % 4).map(|_| tap()).collect();
            let taps: Vec<Vec<_>> = (0..outputs).map(&mut taps_of).collect();
            Taps::new(inputs, outputs, |output| taps[output].clone())
        };
        let (rows, columns) = (axis(h, oh), axis(w, ow));
        let x = random.numbers(n * h * w * c);
        let mut expected = Vec::new();
        for i in 0..n * oh * ow * c {
            let (image, row, column, channel) = (i / (oh * ow * c), i / (ow * c) % oh, i / c % ow, i % c);
            let mut sum = 0.0;
            for &(y, a) in rows.of(row) {
                for &(x_, b) in columns.of(column) {
                    sum += f64::from(a) * f64::from(b) * x[((image * h + y) * w + x_) * c + channel];
                }
            }
            expected.push(sum);
        }
        for place in places() {
            let y = resample(&map(&x, &[n, h, w, c], &place), &rows, &columns).unwrap();
            assert_close(&format!("{place:?}"), &y, &expected, TOLERANCE);
        }
    }

    #[test]
    fn transposed_taps_are_the_transposed_matrix(inputs in 1usize..12, outputs in 1usize..12) {
        let taps = taps(inputs, outputs, false);
        let transposed = taps.transposed();
        prop_assert_eq!(transposed.sizes(), (outputs, inputs));
        let (matrix, other) = (taps.matrix(), transposed.matrix());
        for i in 0..inputs {
            for o in 0..outputs {
                prop_assert_eq!(matrix[o * inputs + i], other[i * outputs + o]);
            }
        }
        prop_assert_eq!(transposed.transposed(), taps);
    }
}

#[test]
fn a_line_of_two_pixels_gives_the_values_of_pytorch() {
    // torch.nn.functional.interpolate(torch.tensor([[[[0., 1.]]]]), size=(1, 4), mode='bilinear',
    // align_corners=…)
    for place in places() {
        let x = map(&[0.0, 1.0], &[1, 1, 2, 1], &place);
        let y = ops::bilinear_forward(&x, [1, 4], false).unwrap();
        assert_close("corners of images", &y, &[0.0, 0.25, 0.75, 1.0], 1e-6);
        let y = ops::bilinear_forward(&x, [1, 4], true).unwrap();
        assert_close("centres of corner pixels", &y, &[0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0], 1e-6);
    }
}

#[test]
fn the_same_size_changes_nothing() {
    let x = Random::new(3).numbers(2 * 5 * 6 * 3);
    for place in places() {
        let x = map(&x, &[2, 5, 6, 3], &place);
        for align_corners in [false, true] {
            assert_eq!(numbers(&ops::bilinear_forward(&x, [5, 6], align_corners).unwrap()), numbers(&x));
        }
    }
}

#[test]
fn results_do_not_depend_on_the_threads() {
    let x = Random::new(4).numbers(3 * 11 * 13 * 17);
    let run = || {
        let x = map(&x, &[3, 11, 13, 17], &Place::Host);
        let y = ops::bilinear_forward(&x, [32, 29], false).unwrap();
        let d_x = ops::bilinear_backward(&y, &[3, 11, 13, 17], false).unwrap();
        [y, d_x].map(|t| numbers(&t).iter().map(|v| v.to_bits()).collect::<Vec<_>>())
    };
    let one = with_threads(1, run);
    assert_eq!(one, with_threads(2, run));
    assert_eq!(one, with_threads(3, run));
}

#[test]
fn what_cannot_be_resized_is_an_error() {
    for place in places() {
        let zeros = |dims: &[usize]| place.full(dims, 0.0).unwrap();
        let kind = |result: localgrad::Result<Map>| result.unwrap_err().kind();
        let forward = |dims: &[usize], to| ops::bilinear_forward(&zeros(dims), to, false);
        assert_eq!(kind(forward(&[1, 2, 2, 1], [0, 4])), ErrorKind::Config);
        assert_eq!(kind(forward(&[2, 2], [4, 4])), ErrorKind::Shape);
        assert_eq!(kind(forward(&[1, 0, 2, 1], [4, 4])), ErrorKind::Shape);
        let d_y = zeros(&[1, 4, 4, 1]);
        assert_eq!(kind(ops::bilinear_backward(&d_y, &[1, 2, 2, 3], false)), ErrorKind::Shape);
    }
}
