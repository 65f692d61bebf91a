//! Pictures that are decoded whenever they are read.

use crate::files::{collection, tar, written, zip};
use image::{ImageFormat, Rgb, RgbImage};
use localgrad::data::survey::Survey;
use localgrad::data::{Dataset, ImageShape, Window};
use localgrad_data::frame::Pixels;
use localgrad_data::photos::{self, Photos};
use localgrad_data::resize::{Axis, bilinear};
use localgrad_data::{Listing, Part, Reading, picture, pictures};
use std::io::Cursor;
use std::path::Path;

const SHAPE: ImageShape = ImageShape { channels: 3, height: 16, width: 12 };
const READING: Reading = Reading { shape: SHAPE, strict: false };

/// A picture of which no two parts are alike.
fn uneven(number: u32, format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(40 + number, 30, |x, y| {
        Rgb([x * 5 + number * 9, y * 7, (x * y) / 3].map(|shade| (shade % 256) as u8))
    });
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn all() -> Vec<(String, Vec<u8>)> {
    let formats = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP];
    let file = |number: u32| {
        let format = formats[number as usize % 4];
        let ending = format.extensions_str()[0];
        (format!("{}/{number}.{ending}", ["a", "b"][number as usize % 2]), uneven(number, format))
    };
    (0..9).map(file).collect()
}

fn listing(path: &Path) -> Listing {
    collection(path).part(Part::All, 0).unwrap()
}

fn image(set: &dyn Dataset, index: usize) -> (Vec<f32>, u32) {
    let mut pixels = vec![0.0; set.shape().elements()];
    let label = set.read(index, &mut pixels).unwrap();
    (pixels, label)
}

#[test]
fn decoded_or_not_they_are_the_same_wherever_they_lie() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let files = all();
    for (name, bytes) in &files {
        written(&root.join("folder"), name, bytes);
    }
    written(root, "folder/a/broken.jpg", &files[0].1[..200]);
    let named: Vec<(&str, Vec<u8>)> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    written(root, "all.tar", &tar(&named));
    written(root, "all.zip", &zip(&named, true));
    let held = pictures::load(listing(&root.join("folder")), &READING).unwrap();
    for place in ["folder", "all.tar", "all.zip"] {
        let photos = Photos::open(listing(&root.join(place)), &READING).unwrap();
        assert_eq!(
            (photos.len(), photos.classes(), photos.class_names()),
            (9, 2, held.class_names()),
            "{place}"
        );
        assert_eq!((held.decoding_bytes(), photos.decoding_bytes() > 40 * 30 * 3), (0, true));
        for index in 0..photos.len() {
            assert_eq!(image(&photos, index), image(&held, index), "{place}: {index}");
            assert_eq!(photos.sample_name(index), held.sample_name(index));
            assert_eq!(photos.label(index).unwrap(), held.label(index).unwrap());
        }
        assert_eq!(Survey::of(&photos).unwrap(), Survey::of(&held).unwrap());
        assert!(photos.read(9, &mut vec![0.0; SHAPE.elements()]).is_err());
        assert!(photos.read(0, &mut [0.0; 5]).is_err());
    }
    let strict = Reading { strict: true, ..READING };
    let error = Photos::open(listing(&root.join("folder")), &strict).err().unwrap().to_string();
    assert!(error.contains("a/broken.jpg"), "{error}");
}

#[test]
fn what_fits_is_held_and_what_does_not_is_not() {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in all() {
        written(directory.path(), &name, &bytes);
    }
    let bytes = 9 * SHAPE.elements();
    let open = |most| photos::open(listing(directory.path()), &READING, most).unwrap();
    let (held, not_held) = (open(bytes), open(bytes - 1));
    assert_eq!((held.decoding_bytes(), not_held.decoding_bytes() > 0), (0, true));
    assert!(held.resident_bytes() >= bytes && not_held.resident_bytes() > 0);
}

#[test]
fn parts_are_of_the_picture_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in all() {
        written(directory.path(), &name, &bytes);
    }
    let listing = listing(directory.path());
    let photos = Photos::open(listing.clone(), &READING).unwrap();
    for (index, item) in listing.items.iter().enumerate() {
        let decoded = picture::decode(&item.encoded.bytes().unwrap()).unwrap().to_rgb8();
        let (width, height) = decoded.dimensions();
        let window = Window { top: 3, left: 11, height: 20, width: 25 };
        let mut found = vec![0.0; SHAPE.elements()];
        let choose = |[rows, columns]: [usize; 2]| {
            assert_eq!((rows, columns), (height as usize, width as usize));
            window
        };
        assert_eq!(photos.read_part(index, &choose, &mut found).unwrap(), item.label);
        // As Pillow does it: what is cut out first cannot show what lies around it.
        let part = image::imageops::crop_imm(&decoded, 11, 3, 25, 20).to_image();
        let wanted = bilinear(part.as_raw(), 3, Axis::whole(20, 16), Axis::whole(25, 12));
        let wanted: Vec<f32> = wanted.into_iter().map(|byte| f32::from(byte) / 255.0).collect();
        assert_eq!(found, wanted, "{}", item.name);
        let outside = |_: [usize; 2]| Window { left: 30, ..window };
        assert!(photos.read_part(index, &outside, &mut found).is_err());
    }
    let pixels = Pixels::of(picture::decode(&uneven(0, ImageFormat::Png)).unwrap(), 3).unwrap();
    let whole = Window { top: 0, left: 0, height: 30, width: 40 };
    assert!(pixels.part(whole, ImageShape { channels: 1, ..SHAPE }).is_err());
}

#[test]
fn a_file_that_goes_bad_later_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for (name, bytes) in all() {
        written(root, &name, &bytes);
    }
    let photos = Photos::open(listing(root), &READING).unwrap();
    let before = image(&photos, 0);
    let name = photos.sample_name(0).unwrap().to_string();
    let path = root.join(&name);
    let whole = std::fs::read(&path).unwrap();
    let error = || photos.read(0, &mut vec![0.0; SHAPE.elements()]).unwrap_err().to_string();
    // A whole picture, but another one.
    std::fs::write(&path, uneven(77, ImageFormat::Jpeg)).unwrap();
    assert!(error().contains(&name) && error().contains("another than it was"), "{}", error());
    std::fs::write(&path, &whole[..whole.len() - 30]).unwrap();
    assert!(error().contains(&name) && error().contains("another than it was"), "{}", error());
    std::fs::remove_file(&path).unwrap();
    assert!(error().contains(&name), "{}", error());
    std::fs::write(&path, whole).unwrap();
    assert_eq!(image(&photos, 0), before);
}
