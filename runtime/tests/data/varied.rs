//! Random-resized crops, RandAugment, color jitter and repeated samples, each against plain loops in f64.

use crate::common::{Random, numbers, with_threads};
use localgrad::data::crop::resize;
use localgrad::data::idx::Idx;
use localgrad::data::rand_augment::{OPERATIONS, Operation};
use localgrad::data::{
    AugmentConfig, ColorJitter, ImageShape, Loader, LoaderConfig, Normalize, RandAugment, RandomResizedCrop,
    Window,
};
use localgrad::random::Stream;
use std::collections::HashMap;
use std::sync::Arc;

/// An image [row][column][channel].
type Image = Vec<Vec<Vec<f64>>>;

/// Numbers of [0, 1] that are bytes.
fn bytes(random: &mut Random, shape: ImageShape) -> Vec<f32> {
    (0..shape.elements()).map(|_| (random.next_u64() >> 56) as f32 / 255.0).collect()
}

fn unfold(image: &[f32], shape: ImageShape) -> Image {
    let rows = image.chunks(shape.width * shape.channels);
    let pixel = |pixel: &[f32]| pixel.iter().map(|&number| f64::from(number)).collect();
    rows.map(|row| row.chunks(shape.channels).map(pixel).collect()).collect()
}

fn fold(image: &Image) -> Vec<f64> {
    image.concat().concat()
}

fn assert_near(what: &str, found: &[f32], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (place, (&found, &wanted)) in found.iter().zip(wanted).enumerate() {
        assert!((f64::from(found) - wanted).abs() <= tolerance, "{what}: {place} is {found}, not {wanted}");
    }
}

/// One row or column made as long as `to`: each pixel the mean of those that a triangle reaches, by what it weighs there.
fn longer(line: &[Vec<f64>], to: usize) -> Vec<Vec<f64>> {
    let scale = line.len() as f64 / to as f64;
    let reach = scale.max(1.0);
    let pixel = |place: usize| {
        let center = (place as f64 + 0.5) * scale;
        let weight = |x: usize| (1.0 - (x as f64 + 0.5 - center).abs() / reach).max(0.0);
        let sum: f64 = (0..line.len()).map(weight).sum();
        let channel =
            |c: usize| line.iter().enumerate().map(|(x, pixel)| weight(x) * pixel[c]).sum::<f64>() / sum;
        (0..line[0].len()).map(channel).collect()
    };
    (0..to).map(pixel).collect()
}

fn resized(image: &Image, window: Window, shape: ImageShape) -> Image {
    let rows = &image[window.top..window.top + window.height];
    let rows: Image =
        rows.iter().map(|row| longer(&row[window.left..window.left + window.width], shape.width)).collect();
    let columns: Vec<Vec<Vec<f64>>> = (0..shape.width)
        .map(|x| longer(&rows.iter().map(|row| row[x].clone()).collect::<Vec<_>>(), shape.height))
        .collect();
    (0..shape.height).map(|y| columns.iter().map(|column| column[y].clone()).collect()).collect()
}

#[test]
fn parts_are_resized_as_the_twin_does() {
    let mut random = Random::new(1);
    for (channels, height, width) in [(3, 9, 12), (1, 5, 4), (2, 16, 7), (3, 1, 3)] {
        let shape = ImageShape { channels, height, width };
        let image = bytes(&mut random, shape);
        for _ in 0..20 {
            let mut below = |n: usize| (random.next_u64() % n as u64) as usize;
            let (high, wide) = (1 + below(height), 1 + below(width));
            let window = Window {
                top: below(height - high + 1),
                left: below(width - wide + 1),
                height: high,
                width: wide,
            };
            let mut found = vec![f32::NAN; shape.elements()];
            resize(&image, shape, window, &mut found).unwrap();
            let wanted = fold(&resized(&unfold(&image, shape), window, shape));
            assert_near(&format!("{window:?} of {shape}"), &found, &wanted, 2e-6);
        }
        let whole = Window { top: 0, left: 0, height, width };
        let mut found = vec![0.0; shape.elements()];
        resize(&image, shape, whole, &mut found).unwrap();
        assert_eq!(found, image);
        assert!(resize(&image, shape, Window { top: 1, ..whole }, &mut found).is_err());
        assert!(resize(&image, shape, Window { width: 0, ..whole }, &mut found).is_err());
        assert!(resize(&image, shape, Window { left: usize::MAX, ..whole }, &mut found).is_err());
        assert!(resize(&image[1..], shape, whole, &mut found).is_err());
    }
}

#[test]
fn crops_are_spread_over_areas_ratios_and_places() {
    const DRAWS: usize = 20_000;
    let crop = RandomResizedCrop::default();
    let mut stream = Stream::new(5, "test", &[]);
    let [mut areas, mut logs, mut middles] = [const { [0usize; 10] }; 3];
    for _ in 0..DRAWS {
        let window = crop.window([1000, 1000], &mut stream);
        window.check([1000, 1000]).unwrap();
        let area = (window.height * window.width) as f64 / 1e6;
        let ratio = (window.width as f64 / window.height as f64).ln() / (4.0f64 / 3.0).ln();
        areas[((area - 0.08) / 0.92 * 10.0).clamp(0.0, 9.0) as usize] += 1;
        if area < 0.7 {
            logs[((ratio + 1.0) * 5.0).clamp(0.0, 9.0) as usize] += 1;
        }
        if window.width < 900 {
            let place = window.left as f64 / (1001 - window.width) as f64;
            middles[(place * 10.0) as usize] += 1;
        }
    }
    // Large areas of uneven sides do not fit and are drawn again, and what is rounded crosses the outermost bounds.
    for (name, counts, tenths) in [("area", areas, 0..6), ("ratio", logs, 1..9), ("place", middles, 0..10)] {
        let all: usize = counts[tenths.clone()].iter().sum();
        let even = all as f64 / tenths.len() as f64;
        for tenth in tenths {
            let off = (counts[tenth] as f64 - even) / even.sqrt();
            assert!(off.abs() < 6.0, "{name}: {counts:?}");
        }
    }
    // Where nothing fits: the middle, as wide as is allowed.
    let flat = RandomResizedCrop { scale: [1.0, 1.0], ..crop };
    assert_eq!(flat.window([100, 300], &mut stream), Window { top: 0, left: 83, height: 100, width: 133 });
    assert_eq!(flat.window([300, 100], &mut stream), Window { top: 83, left: 0, height: 133, width: 100 });
    assert_eq!(crop.window([1, 1], &mut stream), Window { top: 0, left: 0, height: 1, width: 1 });
    for (scale, ratio) in [
        ([0.0, 1.0], [1.0, 1.0]),
        ([0.5, 0.2], [1.0, 1.0]),
        ([0.5, 1.1], [1.0, 1.0]),
        ([0.5, 1.0], [0.0, 1.0]),
        ([f64::NAN, 1.0], [1.0, 1.0]),
        ([0.5, 1.0], [1.0, f64::INFINITY]),
    ] {
        assert!(RandomResizedCrop { scale, ratio }.check().is_err(), "{scale:?} {ratio:?}");
    }
    assert!(crop.check().is_ok());
}

fn grey(pixel: &[f64]) -> f64 {
    match pixel {
        [r, g, b] => 0.2989 * r + 0.587 * g + 0.114 * b,
        _ => pixel[0],
    }
}

fn mixed(image: &Image, other: impl Fn(usize, usize, usize) -> f64, factor: f64) -> Image {
    let mut mixed = image.clone();
    for (y, row) in mixed.iter_mut().enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            for (c, number) in pixel.iter_mut().enumerate() {
                *number = (*number * factor + other(y, x, c) * (1.0 - factor)).clamp(0.0, 1.0);
            }
        }
    }
    mixed
}

/// The image whose pixel at (x, y), as seen from a corner or the middle, is that of `image` at `from(x, y)`.
fn moved(image: &Image, from_middle: bool, from: impl Fn(f64, f64) -> (f64, f64)) -> Image {
    let (height, width, channels) = (image.len(), image[0].len(), image[0][0].len());
    let (down, right) = if from_middle { (height as f64 / 2.0, width as f64 / 2.0) } else { (0.0, 0.0) };
    let pixel = |y: usize, x: usize| {
        let (from_x, from_y) = from(x as f64 + 0.5 - right, y as f64 + 0.5 - down);
        let (from_x, from_y) = ((from_x + right).floor(), (from_y + down).floor());
        match from_x >= 0.0 && from_y >= 0.0 {
            true => image.get(from_y as usize).and_then(|row| row.get(from_x as usize)).cloned(),
            false => None,
        }
        .unwrap_or(vec![0.0; channels])
    };
    (0..height).map(|y| (0..width).map(|x| pixel(y, x)).collect()).collect()
}

/// Each channel's numbers by a table that `table` makes of all of them, in bytes.
fn by_table(image: &Image, table: impl Fn(&[usize]) -> Vec<f64>) -> Image {
    let byte = |number: f64| (number * 255.0).round() as usize;
    let tables: Vec<Vec<f64>> = (0..image[0][0].len())
        .map(|c| table(&image.iter().flatten().map(|pixel| byte(pixel[c])).collect::<Vec<_>>()))
        .collect();
    let mapped =
        |pixel: &Vec<f64>| pixel.iter().zip(&tables).map(|(n, table)| table[byte(*n)] / 255.0).collect();
    image.iter().map(|row| row.iter().map(mapped).collect()).collect()
}

/// What Pillow's `ImageOps.equalize` makes of bytes.
fn equalizing(all: &[usize]) -> Vec<f64> {
    let histogram: Vec<usize> =
        (0..256).map(|level| all.iter().filter(|&&byte| byte == level).count()).collect();
    let last = histogram[*all.iter().max().unwrap()];
    let step = (all.len() - last) / 255;
    let level = |level: usize| match step {
        0 => level,
        step => ((step / 2 + histogram[..level].iter().sum::<usize>()) / step).min(255),
    };
    (0..256).map(|byte| level(byte) as f64).collect()
}

fn twin(operation: Operation, strength: f64, image: &Image, shape: ImageShape) -> Image {
    let factor = 1.0 + 0.9 * strength;
    let same = |make: fn(usize, f64) -> f64| {
        by_table(image, |_| (0..256).map(|byte| make(byte, strength.abs())).collect())
    };
    match operation {
        Operation::Identity => image.clone(),
        Operation::ShearX => moved(image, false, |x, y| (x + 0.3 * strength * y, y)),
        Operation::ShearY => moved(image, false, |x, y| (x, y + 0.3 * strength * x)),
        Operation::TranslateX => {
            let by = (150.0 / 331.0 * shape.width as f64 * strength).trunc();
            moved(image, false, |x, y| (x - by, y))
        }
        Operation::TranslateY => {
            let by = (150.0 / 331.0 * shape.height as f64 * strength).trunc();
            moved(image, false, |x, y| (x, y - by))
        }
        Operation::Rotate => {
            let angle = 30.0 * strength / 180.0 * std::f64::consts::PI;
            moved(image, true, |x, y| (angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y))
        }
        Operation::Brightness => mixed(image, |_, _, _| 0.0, factor),
        Operation::Color if shape.channels == 1 => image.clone(),
        Operation::Color => mixed(image, |y, x, _| grey(&image[y][x]), factor),
        Operation::Contrast => {
            let all = image.iter().flatten().map(|pixel| grey(pixel)).sum::<f64>();
            mixed(image, |_, _, _| all / (shape.height * shape.width) as f64, factor)
        }
        Operation::Sharpness => mixed(
            image,
            |y, x, c| {
                if y == 0 || x == 0 || y + 1 == shape.height || x + 1 == shape.width {
                    return image[y][x][c];
                }
                let around = (y - 1..y + 2).flat_map(|y| (x - 1..x + 2).map(move |x| (y, x)));
                (around.map(|(y, x)| image[y][x][c]).sum::<f64>() + 4.0 * image[y][x][c]) / 13.0
            },
            factor,
        ),
        Operation::Posterize => same(|byte, strength| {
            let lost = 1 << (4.0 * strength).round_ties_even() as usize;
            (byte / lost * lost) as f64
        }),
        Operation::Solarize => same(|byte, strength| {
            let is_bright = byte as f64 >= 255.0 * (1.0 - strength);
            if is_bright { 255.0 - byte as f64 } else { byte as f64 }
        }),
        Operation::AutoContrast => by_table(image, |all| {
            let (least, most) = (*all.iter().min().unwrap() as f64, *all.iter().max().unwrap() as f64);
            let stretched = |byte: usize| (byte as f64 - least) / (most - least) * 255.0;
            (0..256).map(|byte| if most > least { stretched(byte) } else { byte as f64 }).collect()
        }),
        Operation::Equalize => by_table(image, equalizing),
    }
}

#[test]
fn every_operation_does_what_its_twin_does() {
    let mut random = Random::new(2);
    for (channels, height, width) in [(3, 24, 32), (1, 30, 21), (3, 2, 5), (3, 1, 1), (1, 7, 2)] {
        let shape = ImageShape { channels, height, width };
        for (operation, magnitude) in OPERATIONS
            .into_iter()
            .flat_map(|operation| [-30, -17, -9, 0, 4, 9, 21, 30].map(|m| (operation, m)))
        {
            let strength = f64::from(magnitude) / 30.0;
            let image = bytes(&mut random, shape);
            let (mut found, mut scratch) = (image.clone(), vec![f32::NAN; image.len()]);
            operation.apply(strength, &mut found, &mut scratch, shape);
            let wanted = fold(&twin(operation, strength, &unfold(&image, shape), shape));
            assert_near(&format!("{operation:?} {magnitude} of {shape}"), &found, &wanted, 4e-6);
            let mut flat = vec![0.4_f32; image.len()];
            operation.apply(strength, &mut flat, &mut scratch, shape);
            assert!(flat.iter().all(|number| (0.0..=1.0).contains(number)), "{operation:?}");
        }
    }
}

#[test]
fn random_augment_draws_all_operations_alike() {
    let shape = ImageShape { channels: 3, height: 24, width: 24 };
    let image: Vec<f32> = bytes(&mut Random::new(3), shape).iter().map(|byte| 0.2 + 0.6 * byte).collect();
    let augment = RandAugment { operations: 1, magnitude: 21 };
    let mut scratch = vec![0.0; image.len()];
    let mut results: HashMap<Vec<u32>, usize> = HashMap::new();
    for draw in 0..2800 {
        let mut varied = image.clone();
        augment.apply(&mut varied, &mut scratch, shape, &mut Stream::new(1, "test", &[draw]));
        *results.entry(varied.iter().map(|number| number.to_bits()).collect()).or_default() += 1;
    }
    // Nine operations have a sign, five have none.
    let mut counts: Vec<usize> = results.into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts.len(), 23, "{counts:?}");
    let (signed, plain) = counts.split_at(18);
    assert!(signed.iter().all(|count| (60..140).contains(count)), "{counts:?}");
    assert!(plain.iter().all(|count| (140..260).contains(count)), "{counts:?}");
    for (operations, magnitude) in [(0, 9), (17, 9), (2, 31)] {
        assert!(RandAugment { operations, magnitude }.check().is_err());
    }
}

/// Hue, saturation and value as in every textbook, and back.
fn turned(pixel: &[f64], turn: f64) -> Vec<f64> {
    let (most, least) =
        (pixel.iter().copied().fold(0.0, f64::max), pixel.iter().copied().fold(1.0, f64::min));
    let chroma = most - least;
    if chroma == 0.0 {
        return pixel.to_vec();
    }
    let [r, g, b] = [pixel[0], pixel[1], pixel[2]];
    let degrees = match () {
        () if most == r => 60.0 * ((g - b) / chroma),
        () if most == g => 60.0 * ((b - r) / chroma) + 120.0,
        () => 60.0 * ((r - g) / chroma) + 240.0,
    };
    let degrees = (degrees + 360.0 * turn).rem_euclid(360.0);
    let between = chroma * (1.0 - ((degrees / 60.0) % 2.0 - 1.0).abs());
    let sixth = match (degrees / 60.0) as usize {
        0 => [chroma, between, 0.0],
        1 => [between, chroma, 0.0],
        2 => [0.0, chroma, between],
        3 => [0.0, between, chroma],
        4 => [between, 0.0, chroma],
        _ => [chroma, 0.0, between],
    };
    sixth.map(|number| number + least).to_vec()
}

#[test]
fn color_jitter_does_what_its_twin_does() {
    let mut random = Random::new(4);
    let shape = ImageShape { channels: 3, height: 6, width: 5 };
    let none = ColorJitter::default();
    for draw in 0..60 {
        let image = bytes(&mut random, shape);
        for jitter in [
            ColorJitter { brightness: 0.4, ..none },
            ColorJitter { contrast: 1.3, ..none },
            ColorJitter { saturation: 0.7, ..none },
            ColorJitter { hue: 0.5, ..none },
            none,
            ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
        ] {
            let mut found = image.clone();
            jitter.apply(&mut found, 3, &mut Stream::new(9, "test", &[draw]));
            // The same draws: three factors, a turn, an order.
            let mut stream = Stream::new(9, "test", &[draw]);
            let mut between = |jitter: f64| {
                let least = (1.0 - jitter).max(0.0);
                least + (1.0 + jitter - least) * stream.uniform_f64()
            };
            let factors = [jitter.brightness, jitter.contrast, jitter.saturation].map(&mut between);
            let turn = (2.0 * stream.uniform_f64() - 1.0) * jitter.hue;
            let mut wanted = unfold(&image, shape);
            for change in stream.permutation(4) {
                let strength = |place: usize| (factors[place] - 1.0) / 0.9;
                wanted = match change {
                    0 => twin(Operation::Brightness, strength(0), &wanted, shape),
                    1 => twin(Operation::Contrast, strength(1), &wanted, shape),
                    2 => twin(Operation::Color, strength(2), &wanted, shape),
                    _ => wanted.iter().map(|row| row.iter().map(|p| turned(p, turn)).collect()).collect(),
                };
            }
            assert_near(&format!("{jitter:?} {draw}"), &found, &fold(&wanted), 1e-4);
        }
    }
    for jitter in [
        ColorJitter { hue: 0.6, ..none },
        ColorJitter { contrast: -0.1, ..none },
        ColorJitter { saturation: f64::NAN, ..none },
    ] {
        assert!(jitter.check().is_err(), "{jitter:?}");
    }
}

fn all() -> AugmentConfig {
    AugmentConfig {
        padding: 0,
        crop: Some(RandomResizedCrop::default()),
        rand_augment: Some(RandAugment::default()),
        color_jitter: Some(ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        ..AugmentConfig::default()
    }
}

fn set() -> Arc<Idx> {
    let (images, labels) = (crate::files::idx_images(20, 9, 8), crate::files::idx_labels(20));
    Arc::new(Idx::from_bytes(&images, &labels, "set").unwrap())
}

#[test]
fn samples_are_varied_alike_wherever_they_stand() {
    let images = |batch, threads| {
        let config = LoaderConfig { batch, augment: Some(all()), seed: 8, ..LoaderConfig::default() };
        let loader = Loader::new(set(), Normalize::identity(1), config).unwrap();
        assert!(loader.batches_ahead() > 0);
        let mut images = vec![Vec::new(); 20];
        for position in 0..loader.batches() {
            let samples = loader.samples(2, position).unwrap();
            let found = with_threads(threads, || loader.batch(2, position).unwrap());
            for (image, sample) in numbers(&found.inputs).chunks(72).zip(samples) {
                images[sample] = image.iter().map(|number| number.to_bits()).collect();
            }
        }
        images
    };
    let alone = images(1, 1);
    assert_eq!(alone, images(20, 3));
    assert_eq!(alone, images(7, 2));
}

#[test]
fn repeated_samples_are_varied_anew() {
    let config =
        LoaderConfig { batch: 6, repeats: 3, augment: Some(all()), seed: 1, ..LoaderConfig::default() };
    let loader = Loader::new(set(), Normalize::identity(1), config).unwrap();
    let samples: Vec<usize> = (0..4).flat_map(|position| loader.samples(0, position).unwrap()).collect();
    assert_eq!(samples.len(), 20);
    let once = LoaderConfig { repeats: 1, ..config };
    let first = Loader::new(set(), Normalize::identity(1), once).unwrap();
    let order = first.samples(0, 0).unwrap();
    for (place, &sample) in samples.iter().enumerate().take(18) {
        assert_eq!(sample, order[place / 3]);
    }
    let images = numbers(&loader.batch(0, 0).unwrap().inputs);
    let images: Vec<&[f32]> = images.chunks(72).collect();
    assert!(images[0] != images[1] && images[1] != images[2] && images[0] != images[2]);
    // The first of them is the one that is shown where nothing is repeated.
    let plain = numbers(&first.batch(0, 0).unwrap().inputs);
    assert_eq!(images[3], &plain[72..144]);
}

#[test]
fn what_cannot_be_varied_so_is_said() {
    let refused = |config: LoaderConfig, word: &str| {
        let error = Loader::new(set(), Normalize::identity(1), config).err().unwrap().to_string();
        assert!(error.contains(word), "{error}");
    };
    let config = |augment| LoaderConfig { augment: Some(augment), ..LoaderConfig::default() };
    refused(config(AugmentConfig { padding: 1, ..all() }), "takes no padding besides");
    let scale = [0.5, 1.5];
    let crop = Some(RandomResizedCrop { scale, ..RandomResizedCrop::default() });
    refused(config(AugmentConfig { crop, ..all() }), "(0, 1]");
    refused(LoaderConfig { repeats: 2, ..LoaderConfig::default() }, "shown 2 times");
    refused(LoaderConfig { repeats: 0, ..config(all()) }, "shown 0 times");
    let shape = ImageShape { channels: 2, height: 9, width: 9 };
    assert!(all().check(shape).unwrap_err().to_string().contains("1 or 3 channels"));
}

#[test]
fn older_configurations_mean_what_they_meant() {
    let before = r#"{"batch":4,"shuffle":true,"drop_last":false,"seed":5,"augment":{"padding":1,"reflect":true,"flip":true}}"#;
    let config: LoaderConfig = serde_json::from_str(before).unwrap();
    let augment = AugmentConfig { padding: 1, ..AugmentConfig::default() };
    assert_eq!(config, LoaderConfig { batch: 4, seed: 5, augment: Some(augment), ..LoaderConfig::default() });
    assert_eq!(serde_json::to_string(&config).unwrap(), before);
}
