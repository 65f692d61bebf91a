//! Large JPEG pictures that are decoded at a part of their size: nearly what all of them would give.

use crate::files::{collection, written};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageEncoder, Rgb, RgbImage};
use localgrad::data::{Dataset, ImageShape, Window};
use localgrad_data::frame::Pixels;
use localgrad_data::photos::Photos;
use localgrad_data::{Part, Reading, picture, reduced};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 224, width: 224 };
/// Just enough to be large, and multiples of 8.
const WIDTH: u32 = 2304;
const HEIGHT: u32 = 1824;
/// The most that a byte may differ: the frequencies that are left out are not all that the filter takes away.
const MOST: u8 = 6;
const MOST_BYTES: u64 = 64 << 20;

/// Slopes, waves and a dark disc, of which no two parts are alike.
fn large(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
        let wave = |x: u32, length: f32| 20.0 * (x as f32 / length).sin();
        let inside = (x.abs_diff(700).pow(2) + y.abs_diff(900).pow(2)) < 500 * 500;
        let shade = if inside { 50.0 } else { 90.0 } + wave(x, 9.0) + wave(y, 23.0) + x as f32 / 40.0;
        Rgb([shade, shade + wave(x + y, 60.0), y as f32 / 10.0].map(|shade| shade as u8))
    }))
}

/// As a JPEG file, turned as EXIF data say.
fn jpeg(picture: &DynamicImage, orientation: u8) -> Vec<u8> {
    let mut exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0".to_vec();
    exif[19] = orientation;
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.set_exif_metadata(exif).unwrap();
    picture.write_with_encoder(encoder).unwrap();
    bytes
}

/// The largest difference between two pictures' bytes.
fn difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

/// What is seen of all of the picture.
fn seen_of_whole(bytes: &[u8], shape: ImageShape) -> Vec<u8> {
    Pixels::of(picture::decode(bytes).unwrap(), shape.channels).unwrap().seen(shape).unwrap()
}

#[test]
fn the_middle_is_nearly_that_of_the_whole_picture() {
    let picture = large(WIDTH, HEIGHT);
    let grey = DynamicImage::ImageLuma8(picture.to_luma8());
    for (bytes, what) in [
        (jpeg(&picture, 1), "plain"),
        (jpeg(&picture, 6), "turned by a quarter"),
        (jpeg(&picture, 4), "upside down"),
        (jpeg(&grey, 1), "grey"),
    ] {
        for channels in [1, 3] {
            let shape = ImageShape { channels, height: 180, ..SHAPE };
            let (found, wanted) = (picture::seen(&bytes, shape).unwrap(), seen_of_whole(&bytes, shape));
            let off = difference(&found, &wanted);
            assert!((1..=MOST).contains(&off), "{what}, {channels} channels: off by {off}");
        }
    }
    // A part of a file is none.
    let bytes = jpeg(&picture, 1);
    for length in [bytes.len() / 2, bytes.len() - 2] {
        assert!(picture::seen(&bytes[..length], SHAPE).unwrap_err().to_string().contains("cut off"));
    }
}

#[test]
fn what_is_not_much_larger_stays_what_it_is() {
    for (width, height) in [(WIDTH + 1, HEIGHT + 1), (WIDTH / 2, HEIGHT / 2)] {
        let bytes = jpeg(&large(width, height), 1);
        assert_eq!(picture::seen(&bytes, SHAPE).unwrap(), seen_of_whole(&bytes, SHAPE), "{width}x{height}");
    }
    let bytes = jpeg(&large(WIDTH, HEIGHT), 1);
    let shape = ImageShape { height: 900, width: 900, ..SHAPE };
    assert_eq!(picture::seen(&bytes, shape).unwrap(), seen_of_whole(&bytes, shape));
}

#[test]
fn parts_are_nearly_those_of_the_whole_picture() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = jpeg(&large(WIDTH, HEIGHT), 8);
    written(directory.path(), "a/0.jpg", &bytes);
    let listing = collection(directory.path()).part(Part::All, 0).unwrap();
    let photos = Photos::open(listing, &Reading { shape: SHAPE, strict: true }).unwrap();
    let whole = Pixels::of(picture::decode(&bytes).unwrap(), 3).unwrap();
    // Turned, the picture is higher than wide.
    let window = |top, left, height, width| Window { top, left, height, width };
    for (window, is_reduced) in [
        (window(0, 0, WIDTH as usize, HEIGHT as usize), true),
        (window(701, 233, 1501, 1203), true),
        (window(1403, 923, 901, 901), true),
        (window(13, 5, 447, 890), false),
    ] {
        let mut numbers = vec![0.0; SHAPE.elements()];
        let choose = |sides: [usize; 2]| {
            assert_eq!(sides, [WIDTH as usize, HEIGHT as usize]);
            window
        };
        photos.read_part(0, &choose, &mut numbers).unwrap();
        let found: Vec<u8> = numbers.iter().map(|number| (number * 255.0).round() as u8).collect();
        let off = difference(&found, &whole.part(window, SHAPE).unwrap());
        assert!(off <= MOST && is_reduced == (off > 0), "{window:?}: off by {off}");
    }
}

#[test]
fn only_colours_of_screens_are_reduced() {
    let progressive = include_bytes!("../../../cli/tests/pictures/progressive.jpg");
    let restarts = include_bytes!("../../../cli/tests/pictures/restarts.jpg");
    for bytes in [&progressive[..], restarts] {
        let whole = picture::decode(bytes).unwrap();
        for factor in [2, 4, 8] {
            let found = reduced::decode(bytes, factor, MOST_BYTES).unwrap().to_rgb8();
            let (width, height) = (whole.width() / factor as u32, whole.height() / factor as u32);
            assert_eq!(found.dimensions(), (width, height));
            let wanted = image::imageops::thumbnail(&whole.to_rgb8(), width, height);
            let sum: u64 =
                found.as_raw().iter().zip(wanted.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
            let mean = sum as f64 / found.as_raw().len() as f64;
            // Black and white beside each other, with colours at half of that: another picture is off by 120.
            assert!(factor == 8 || mean < 16.0, "{factor}: {mean}");
        }
        assert!(reduced::decode(bytes, 4, 48 * 32).is_none());
        assert!(
            reduced::decode(bytes, 5, MOST_BYTES).is_none()
                && reduced::decode(bytes, 0, MOST_BYTES).is_none()
        );
        assert!(reduced::decode(&bytes[..40], 2, MOST_BYTES).is_none());
    }
    let cmyk = include_bytes!("../pictures/cmyk.jpg");
    assert!(reduced::decode(cmyk, 2, MOST_BYTES).is_none());
    let grey = include_bytes!("../pictures/grey.jpg");
    assert!(matches!(reduced::decode(grey, 2, MOST_BYTES), Some(DynamicImage::ImageLuma8(_))));
}
