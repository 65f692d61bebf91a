//! Augmentation against a naive twin, and normalisation there and back.

use crate::common::{Random, numbers, places};
use localgrad::ErrorKind;
use localgrad::data::augment::Draw;
use localgrad::data::{AugmentConfig, ImageShape, Normalize};
use localgrad::maps::slices;
use proptest::prelude::*;

/// Really pads, then crops, then flips: lists of rows of pixels.
fn twin(config: &AugmentConfig, draw: Draw, shape: ImageShape, image: &[f32]) -> Vec<f32> {
    let ImageShape { channels, height, width } = shape;
    let rows: Vec<Vec<Vec<f32>>> = image
        .chunks(width * channels)
        .map(|row| row.chunks(channels).map(<[f32]>::to_vec).collect())
        .collect();
    let empty_row = vec![vec![0.0; channels]; width];
    let rows = pad(&rows, config, &empty_row);
    let padded: Vec<Vec<Vec<f32>>> = rows.iter().map(|row| pad(row, config, &vec![0.0; channels])).collect();
    let mut cropped: Vec<Vec<Vec<f32>>> = padded[draw.top..draw.top + height]
        .iter()
        .map(|row| row[draw.left..draw.left + width].to_vec())
        .collect();
    if draw.flip {
        cropped.iter_mut().for_each(|row| row.reverse());
    }
    cropped.concat().concat()
}

/// A list with `padding` more elements at either end.
fn pad<T: Clone>(list: &[T], config: &AugmentConfig, zero: &T) -> Vec<T> {
    let padding = config.padding;
    if !config.reflect {
        return [vec![zero.clone(); padding], list.to_vec(), vec![zero.clone(); padding]].concat();
    }
    let before: Vec<T> = list[1..=padding].iter().rev().cloned().collect();
    let after: Vec<T> = list.iter().rev().skip(1).take(padding).cloned().collect();
    [before, list.to_vec(), after].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn augmentation_is_pad_crop_flip(
        channels in 1usize..5, height in 1usize..12, width in 1usize..12, padding in 0usize..12,
        reflect: bool, flip: bool, seed: u64, top in 0usize..24, left in 0usize..24,
    ) {
        let shape = ImageShape { channels, height, width };
        let padding = padding % height.min(width);
        let config = AugmentConfig { padding, reflect, flip, ..AugmentConfig::default() };
        let draw = Draw { top: top % (2 * padding + 1), left: left % (2 * padding + 1), flip };
        let image: Vec<f32> = Random::new(seed).numbers(shape.elements()).iter().map(|&x| x as f32).collect();
        let mut varied = vec![f32::NAN; shape.elements()];
        config.apply(draw, shape, &image, &mut varied).unwrap();
        prop_assert_eq!(varied, twin(&config, draw, shape, &image));
    }
}

#[test]
fn draws_are_reproducible_and_evenly_spread() {
    const SAMPLES: usize = 20_000;
    let config = AugmentConfig { padding: 2, ..AugmentConfig::default() };
    let mut counts = vec![0usize; 50];
    for sample in 0..SAMPLES {
        let draw = config.draw(7, (sample % 3) as u64, sample / 3);
        assert_eq!(draw, config.draw(7, (sample % 3) as u64, sample / 3));
        counts[(draw.top * 5 + draw.left) * 2 + usize::from(draw.flip)] += 1;
    }
    let expected = SAMPLES as f64 / 50.0;
    let statistic: f64 = counts.iter().map(|&c| (c as f64 - expected).powi(2) / expected).sum();
    // 49 degrees of freedom: mean 49, deviation about 10.
    assert!(statistic < 49.0 + 5.0 * 9.9, "{statistic}");
    let draws = |seed, epoch| (0..50).map(|sample| config.draw(seed, epoch, sample)).collect::<Vec<_>>();
    assert_ne!(draws(7, 0), draws(7, 1));
    assert_ne!(draws(7, 0), draws(8, 0));
    let still = AugmentConfig { padding: 0, flip: false, ..AugmentConfig::default() };
    assert_eq!(still.draw(1, 2, 3), Draw { top: 0, left: 0, flip: false });
}

#[test]
fn augmentation_that_cannot_be_is_an_error() {
    let shape = ImageShape { channels: 1, height: 4, width: 9 };
    let config = AugmentConfig::default();
    let error = config.check(shape).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("padding by 4") && error.to_string().contains("4x9"), "{error}");
    let huge = AugmentConfig { padding: usize::MAX, ..config };
    let image = [0.0; 36];
    let (none, outside) = (Draw { top: 0, left: 0, flip: false }, Draw { top: 7, left: 0, flip: false });
    assert!(huge.apply(huge.draw(0, 0, 0), shape, &image, &mut [0.0; 36]).is_err());
    let fitting = AugmentConfig { padding: 3, ..config };
    assert!(fitting.check(shape).is_ok());
    assert_eq!(fitting.apply(outside, shape, &image, &mut [0.0; 36]).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(fitting.apply(none, shape, &image, &mut [0.0; 35]).unwrap_err().kind(), ErrorKind::Shape);
    assert_eq!(
        fitting.apply(none, shape, &image[..35], &mut [0.0; 36]).unwrap_err().kind(),
        ErrorKind::Shape
    );
}

#[test]
fn normalisations_by_name() {
    assert_eq!(Normalize::named("cifar10", 3).unwrap(), Normalize::cifar10());
    assert_eq!(Normalize::named("imagenet", 3).unwrap(), Normalize::imagenet());
    assert_eq!(Normalize::named("fashion", 1).unwrap(), Normalize::fashion());
    assert_eq!(Normalize::named("half", 5).unwrap(), Normalize::half(5));
    assert_eq!(Normalize::named("identity", 2).unwrap(), Normalize::identity(2));
    assert_eq!(Normalize::cifar10().mean, [125.3 / 255.0, 123.0 / 255.0, 113.9 / 255.0]);
    assert_eq!(Normalize::cifar10().deviation, [63.0 / 255.0, 62.1 / 255.0, 66.7 / 255.0]);
    for (name, channels, words) in [
        ("cifar10", 1, "normalisation cifar10: 3 means and 3 deviations do not fit images of 1 channels"),
        ("mnist", 1, "\"mnist\"; choose cifar10"),
    ] {
        let error = Normalize::named(name, channels).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn inverting_gives_the_image_back() {
    let normalize = Normalize::imagenet();
    let image: Vec<f64> = Random::new(3).numbers(2 * 4 * 5 * 3);
    let normal: Vec<f32> = image
        .iter()
        .enumerate()
        .map(|(i, &x)| {
            ((x - f64::from(normalize.mean[i % 3])) / f64::from(normalize.deviation[i % 3])) as f32
        })
        .collect();
    for place in places() {
        let x = place.map(slices::tensor(normal.clone(), (2, 4, 5, 3)).unwrap()).unwrap();
        let back = normalize.invert(&x).unwrap();
        assert_eq!(back.dims(), [2, 4, 5, 3]);
        crate::common::assert_close("image", &back, &image, 1e-6);
        let half = Normalize::half(3).invert(&x).unwrap();
        let expected: Vec<f32> = normal.iter().map(|v| v * 0.5 + 0.5).collect();
        assert_eq!(numbers(&half), expected);
        assert_eq!(Normalize::half(2).invert(&x).unwrap_err().kind(), ErrorKind::Config);
    }
}
