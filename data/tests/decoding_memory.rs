//! Reading a picture takes no more memory than it says, and not much less.
#![allow(clippy::unwrap_used)]

#[path = "../../runtime/tests/common/counting.rs"]
mod counting;
mod files;

use counting::{NOW, PEAK};
use files::{collection, written};
use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{DynamicImage, Frame, ImageEncoder, ImageFormat, Rgba, RgbaImage};
use localgrad::data::{Dataset, ImageShape, Window};
use localgrad_data::photos::Photos;
use localgrad_data::{Part, Reading};
use std::io::Cursor;
use std::sync::atomic::Ordering::SeqCst;

const WIDTH: u32 = 1000;
const HEIGHT: u32 = 600;
const SHAPE: ImageShape = ImageShape { channels: 3, height: 224, width: 224 };
/// What a decoder takes for itself, at most, counts for little in photographs.
const SLACK: usize = 1 << 20;
/// EXIF data that turn a picture by a quarter.
const TURNED: [u8; 26] =
    [b'M', b'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0];

/// The most that `f` had allocated at a time.
fn peak(f: impl FnOnce()) -> usize {
    let before = NOW.load(SeqCst);
    PEAK.store(before, SeqCst);
    f();
    PEAK.load(SeqCst) - before
}

fn picture() -> DynamicImage {
    let noise = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 13;
    DynamicImage::ImageRgba8(RgbaImage::from_fn(WIDTH, HEIGHT, |x, y| {
        Rgba([x / 8 + noise(x, y) % 9, y / 8, (x + y) / 11, 255 - x % 5].map(|shade| shade as u8))
    }))
}

fn encoded(format: ImageFormat, picture: &DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn turned(mut encoder: impl ImageEncoder, picture: &DynamicImage) {
    encoder.set_exif_metadata(TURNED.to_vec()).unwrap();
    picture.write_with_encoder(encoder).unwrap();
}

/// A progressive picture that says it is larger than its data: a decoder makes room for all of it.
fn progressive() -> Vec<u8> {
    let mut bytes = include_bytes!("../../cli/tests/pictures/progressive.jpg").to_vec();
    let frame = bytes.windows(2).position(|pair| pair == [0xff, 0xc2]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&(HEIGHT as u16).to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&(WIDTH as u16).to_be_bytes());
    bytes
}

fn pictures() -> Vec<(&'static str, Vec<u8>)> {
    let rgba = picture();
    let rgb = DynamicImage::from(rgba.to_rgb8());
    let mut gif = Vec::new();
    let frame = Frame::new(rgba.to_rgba8());
    GifEncoder::new_with_speed(&mut gif, 30).encode_frame(frame).unwrap();
    let [mut turned_jpeg, mut turned_png] = [Vec::new(), Vec::new()];
    turned(JpegEncoder::new(&mut turned_jpeg), &rgb);
    turned(PngEncoder::new(&mut turned_png), &DynamicImage::from(rgba.to_rgba16()));
    vec![
        ("rgb.jpg", encoded(ImageFormat::Jpeg, &rgb)),
        ("grey.jpg", encoded(ImageFormat::Jpeg, &DynamicImage::from(rgb.to_luma8()))),
        ("turned.jpg", turned_jpeg),
        ("progressive.jpg", progressive()),
        ("rgb.png", encoded(ImageFormat::Png, &rgb)),
        ("rgba.png", encoded(ImageFormat::Png, &rgba)),
        ("turned.png", turned_png),
        ("rgb.bmp", encoded(ImageFormat::Bmp, &rgb)),
        ("rgba.gif", gif),
        ("rgba.webp", encoded(ImageFormat::WebP, &rgba)),
    ]
}

#[test]
fn decoding_takes_no_more_than_it_says() {
    let mut pixels = vec![0.0; SHAPE.elements()];
    let mut wrong = Vec::new();
    for (name, bytes) in pictures() {
        let directory = tempfile::tempdir().unwrap();
        written(directory.path(), &format!("a/{name}"), &bytes);
        let listing = collection(directory.path()).part(Part::All, 0).unwrap();
        let photos = Photos::open(listing, &Reading { shape: SHAPE, strict: true }).unwrap();
        let middle = peak(|| {
            photos.read(0, &mut pixels).unwrap();
        });
        let whole = |[height, width]: [usize; 2]| Window { top: 0, left: 0, height, width };
        let part = peak(|| {
            photos.read_part(0, &whole, &mut pixels).unwrap();
        });
        let (most, said) = (middle.max(part), photos.decoding_bytes());
        if most > said || said > 2 * most + SLACK {
            wrong.push(format!("{name}: {most} of {said}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
