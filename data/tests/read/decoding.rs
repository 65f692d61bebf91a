//! Pictures of every kind, and what a network sees of them.

use image::{DynamicImage, Rgb, RgbImage};
use localgrad::data::ImageShape;
use localgrad_data::frame::Pixels;
use localgrad_data::picture::decode;

/// A picture that a formula makes, here and in Python.
fn formula(width: u32, height: u32) -> DynamicImage {
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, |x, y| {
        let channel = |c: u32| (x * 7 + y * 13 + c * 50 + (x * y) % 31 * 5 + (x / 9 + y / 7) % 2 * 90) % 256;
        Rgb([0, 1, 2].map(|c| channel(c) as u8))
    }))
}

/// Width, height, the input's side, and CRC-32 of what Pillow makes of it, in colour and in grey.
///
/// ```python
/// y, x, c = np.mgrid[0:h, 0:w, 0:3]
/// im = Image.fromarray(((x*7 + y*13 + c*50 + (x*y)%31*5 + (x//9 + y//7)%2*90) % 256).astype('uint8'))
/// r = -(-s*256//224) if s >= 112 else s
/// nw, nh = (r, int(r*h/w)) if w <= h else (int(r*w/h), r)
/// im = im.resize((nw, nh), Image.BILINEAR)
/// top, left = int(round((nh-s)/2.0)), int(round((nw-s)/2.0))
/// zlib.crc32(np.asarray(im.crop((left, top, left+s, top+s))).tobytes())   # grey: after im.convert('L')
/// ```
const PILLOW: [((u32, u32), usize, u32, u32); 8] = [
    ((500, 375), 224, 0x13e0_78de, 0x6b77_44fc),
    ((375, 500), 224, 0x6621_76f9, 0x3d4b_cfd1),
    ((640, 480), 64, 0xa8a0_9fed, 0xee5f_cca5),
    ((97, 61), 32, 0xe344_97cc, 0xb69e_c007),
    ((20, 30), 64, 0x1f2b_122d, 0x1c81_0a40),
    ((33, 32), 32, 0x8d41_1145, 0x27ce_492e),
    ((256, 256), 224, 0xb48d_37bc, 0xadd9_d473),
    ((1000, 40), 32, 0x86f3_c20e, 0x64b7_c6eb),
];

#[test]
fn a_network_sees_what_torchvision_shows_it() {
    for ((width, height), side, colour, grey) in PILLOW {
        for (channels, wanted) in [(3, colour), (1, grey)] {
            let pixels = Pixels::of(formula(width, height), channels).unwrap();
            let seen = pixels.seen(ImageShape { channels, height: side, width: side }).unwrap();
            assert_eq!(seen.len(), side * side * channels);
            let what = format!("{width}x{height} to {side}, {channels} channels");
            assert_eq!(crc32fast::hash(&seen), wanted, "{what}");
        }
    }
}

/// Files that Pillow wrote of a picture with red left of the middle (230, else 20), green below it (210, else 30), and 60 of
/// blue; grey ones hold what Pillow makes of it.
#[test]
fn every_kind_of_picture_is_read() {
    let files: [(&str, &[u8], bool); 12] = [
        ("cmyk.jpg", include_bytes!("../pictures/cmyk.jpg"), true),
        ("palette.png", include_bytes!("../pictures/palette.png"), true),
        ("palette.bmp", include_bytes!("../pictures/palette.bmp"), true),
        ("animated.gif", include_bytes!("../pictures/animated.gif"), true),
        ("alpha.png", include_bytes!("../pictures/alpha.png"), true),
        ("alpha.bmp", include_bytes!("../pictures/alpha.bmp"), true),
        ("plain.bmp", include_bytes!("../pictures/plain.bmp"), true),
        ("lossy.webp", include_bytes!("../pictures/lossy.webp"), true),
        ("grey.jpg", include_bytes!("../pictures/grey.jpg"), false),
        ("grey_16.png", include_bytes!("../pictures/grey_16.png"), false),
        ("grey_alpha.png", include_bytes!("../pictures/grey_alpha.png"), false),
        ("one_bit.png", include_bytes!("../pictures/one_bit.png"), false),
    ];
    for (name, bytes, is_coloured) in files {
        let picture = decode(bytes).unwrap_or_else(|cause| panic!("{name}: {cause}"));
        assert_eq!((picture.width(), picture.height()), (32, 24), "{name}");
        let pixels = Pixels::of(picture.clone(), 3).unwrap().bytes;
        let grey = Pixels::of(picture, 1).unwrap().bytes;
        for (x, y, colour, luma) in
            [(3, 3, [230, 30, 60], 93), (28, 3, [20, 30, 60], 30), (3, 20, [230, 210, 60], 199)]
        {
            let place = y * 32 + x;
            let found = &pixels[place * 3..place * 3 + 3];
            let wanted = if is_coloured { colour } else { [luma; 3] };
            // Lossy ones have a little less; of one bit a pattern is left.
            let near = found.iter().zip(wanted).all(|(&a, b)| a.abs_diff(b) <= 8);
            let luma_is_near = grey[place].abs_diff(luma) <= 8;
            assert!(name == "one_bit.png" || near && luma_is_near, "{name}: {found:?} at {x}, {y}");
        }
        if name == "one_bit.png" {
            assert!(pixels.iter().all(|&byte| byte == 0 || byte == 255) && pixels.contains(&255));
        }
    }
}

#[test]
fn parts_of_pictures_are_refused_and_hostile_sizes_too() {
    let bmp = include_bytes!("../pictures/plain.bmp");
    let gif = include_bytes!("../pictures/animated.gif");
    for bytes in [&bmp[..], gif] {
        let whole = decode(bytes).unwrap();
        for length in 0..bytes.len() {
            // Of an animation the first picture may be whole.
            let found = decode(&bytes[..length]);
            assert!(found.is_err() || length >= bytes.len() / 4, "{length} of {}", bytes.len());
            assert!(found.map_or(true, |found| found == whole), "{length} of {}", bytes.len());
        }
    }
    let mut huge = bmp.to_vec();
    huge[18..26].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
    assert!(decode(&huge).is_err());
}
