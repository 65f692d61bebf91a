//! Channels cut off, put side by side and dealt out anew, against plain loops; and the units that are made of them.
#![allow(clippy::unwrap_used, unreachable_pub)] // tests panic, and share a module

use crate::common::{Random, map, numbers, places};
use crate::layered::hold;
use localgrad::ErrorKind;
use localgrad::layers::spec::{Features, LayerSpec, NamedLayer, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::channels as ops;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Element (row, channel) by element.
fn rows(x: &[f64], channels: usize) -> Vec<&[f64]> {
    x.chunks(channels).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 30, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn slices_are_their_channels(
        n in 1usize..40, w in 1usize..9, before in 0usize..9, count in 1usize..9, after in 0usize..9,
        seed in 0u64..1000,
    ) {
        let c = before + count + after;
        let x = Random::new(seed).numbers(n * w * c);
        let expected: Vec<f32> =
            rows(&x, c).iter().flat_map(|row| &row[before..before + count]).map(|x| *x as f32).collect();
        for place in places() {
            let y = ops::slice(&map(&x, &[n, 1, w, c], &place), before, count).unwrap();
            prop_assert_eq!(y.dims(), [n, 1, w, count]);
            prop_assert_eq!(&numbers(&y), &expected);
            // The gradient has the slice's numbers in its place, and zeros elsewhere.
            let d_x = numbers(&ops::slice_backward(&y, before, c).unwrap());
            for (i, d) in d_x.iter().enumerate() {
                let inside = (before..before + count).contains(&(i % c));
                prop_assert_eq!(*d, if inside { x[i] as f32 } else { 0.0 });
            }
        }
    }

    #[test]
    fn parts_stand_side_by_side_and_come_apart(
        n in 1usize..40, h in 1usize..5, counts in prop::collection::vec(1usize..9, 1..4), seed in 0u64..1000,
    ) {
        let mut random = Random::new(seed);
        let parts: Vec<Vec<f64>> = counts.iter().map(|c| random.numbers(n * h * c)).collect();
        let row = |r: usize| parts.iter().zip(&counts).flat_map(move |(part, c)| &part[r * c..(r + 1) * c]);
        let expected: Vec<f32> = (0..n * h).flat_map(row).map(|x| *x as f32).collect();
        for place in places() {
            let here: Vec<_> =
                parts.iter().zip(&counts).map(|(part, c)| map(part, &[n, h, 1, *c], &place)).collect();
            let y = ops::concat(&here).unwrap();
            prop_assert_eq!(y.dims(), [n, h, 1, counts.iter().sum()]);
            prop_assert_eq!(&numbers(&y), &expected);
            let mut at = 0;
            for (part, count) in here.iter().zip(&counts) {
                prop_assert_eq!(numbers(&ops::slice(&y, at, *count).unwrap()), numbers(part));
                at += count;
            }
        }
    }

    #[test]
    fn groups_are_taken_in_turn(n in 1usize..60, groups in 1usize..6, width in 1usize..9, seed in 0u64..1000) {
        let c = groups * width;
        let x = Random::new(seed).numbers(n * c);
        for place in places() {
            let x_map = map(&x, &[n, c], &place);
            let y = ops::shuffle(&x_map, groups).unwrap();
            for (i, y) in numbers(&y).iter().enumerate() {
                let (row, channel) = (i / c, i % c);
                prop_assert_eq!(*y, x[row * c + channel % groups * width + channel / groups] as f32);
            }
            prop_assert_eq!(numbers(&ops::shuffle(&y, width).unwrap()), numbers(&x_map));
        }
    }
}

#[test]
fn channels_that_are_not_there_are_errors() {
    for place in places() {
        let zeros = |dims: &[usize]| place.full(dims, 0.0).unwrap();
        let x = zeros(&[2, 3, 3, 4]);
        let shape = |error: localgrad::Error| assert_eq!(error.kind(), ErrorKind::Shape);
        for (first, count) in [(0, 0), (2, 3), (4, 1), (usize::MAX, 2)] {
            shape(ops::slice(&x, first, count).unwrap_err());
        }
        shape(ops::slice_backward(&x, 1, 4).unwrap_err());
        shape(ops::concat(&[]).unwrap_err());
        shape(ops::concat(&[x.clone(), zeros(&[2, 3, 4])]).unwrap_err());
        shape(ops::concat(&[x.clone(), zeros(&[2, 3, 2, 4])]).unwrap_err());
        shape(ops::shuffle(&x, 3).unwrap_err());
        shape(ops::shuffle(&x, 0).unwrap_err());
    }
}

const ROWS: usize = 3;
const WIDTH: usize = 4;

fn linear(name: &str, inputs: usize, outputs: usize) -> NamedLayer {
    named(name, LayerSpec::Linear { inputs, outputs, bias: false })
}

fn product(x: &[f64], weight: &[f64]) -> Vec<f64> {
    weight.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
}

/// The input beside what a layer makes of it, as DenseNet's units are.
#[test]
fn a_dense_unit_agrees_with_the_twin() {
    let x = Random::new(3).numbers(ROWS * WIDTH);
    let dense = |branches| vec![unnamed(LayerSpec::Concat { branches })];
    for input_first in [true, false] {
        let mut branches = vec![Vec::new(), vec![linear("fc", WIDTH, 3)]];
        if !input_first {
            branches.reverse();
        }
        hold(&dense(branches), &x, &[ROWS, WIDTH], &|x, weights| {
            let row = |x: &[f64]| {
                let (x, y) = (x.to_vec(), product(x, &weights["fc.weight"]));
                if input_first { [x, y].concat() } else { [y, x].concat() }
            };
            x.chunks(WIDTH).flat_map(row).collect()
        });
    }
}

/// Half of the channels passes by the others' layers, then both are mixed, as ShuffleNetV2's units are.
#[test]
fn a_split_unit_agrees_with_the_twin() {
    let x = Random::new(4).numbers(ROWS * WIDTH);
    let half = |first| unnamed(LayerSpec::Slice { first, count: 2 });
    let layers = [
        unnamed(LayerSpec::Concat {
            branches: vec![
                vec![half(0)],
                vec![half(2), linear("fc", 2, 2), unnamed(LayerSpec::Activation(Activation::Silu))],
            ],
        }),
        unnamed(LayerSpec::Shuffle { groups: 2 }),
    ];
    hold(&layers, &x, &[ROWS, WIDTH], &|x, weights| {
        let row = |x: &[f64]| {
            let y: Vec<f64> =
                product(&x[2..], &weights["fc.weight"]).iter().map(|y| y / (1.0 + (-y).exp())).collect();
            [x[0], y[0], x[1], y[1]]
        };
        x.chunks(WIDTH).flat_map(row).collect()
    });
}

/// Two branches of one input, one inside the other.
#[test]
fn branches_within_branches_agree_with_the_twin() {
    let x = Random::new(5).numbers(ROWS * WIDTH);
    let inner =
        LayerSpec::Concat { branches: vec![vec![linear("a", WIDTH, 2)], vec![linear("b", WIDTH, 1)]] };
    let outer = LayerSpec::Concat { branches: vec![vec![named("in", inner)], vec![], vec![]] };
    hold(&[unnamed(outer)], &x, &[ROWS, WIDTH], &|x, weights| {
        let row = |x: &[f64]| {
            [product(x, &weights["in.a.weight"]), product(x, &weights["in.b.weight"]), x.to_vec(), x.to_vec()]
                .concat()
        };
        x.chunks(WIDTH).flat_map(row).collect()
    });
}

#[test]
fn specs_that_do_not_fit_are_refused() {
    let input = Features::Map { channels: 6, height: 4, width: 3 };
    let said = |layer: LayerSpec| layer.output(input).unwrap_err().to_string();
    assert!(said(LayerSpec::Slice { first: 4, count: 3 }).contains("cannot be cut"));
    assert!(said(LayerSpec::Slice { first: usize::MAX, count: 3 }).contains("cannot be cut"));
    assert!(said(LayerSpec::Shuffle { groups: 4 }).contains("cannot have 4 groups"));
    assert!(said(LayerSpec::Concat { branches: Vec::new() }).contains("a branch at least"));
    let pooled = vec![Vec::new(), vec![unnamed(LayerSpec::AdaptiveAveragePool([2, 3]))]];
    assert!(said(LayerSpec::Concat { branches: pooled }).contains("side by side"));
    let flat = vec![Vec::new(), vec![unnamed(LayerSpec::Flatten)]];
    assert!(said(LayerSpec::Concat { branches: flat }).contains("side by side"));
    let sum = LayerSpec::Concat { branches: vec![Vec::new(), Vec::new()] }.output(input).unwrap();
    assert_eq!(sum, Features::Map { channels: 12, height: 4, width: 3 });
}
