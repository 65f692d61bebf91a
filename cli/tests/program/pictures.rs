//! Pictures that people have: turned as their EXIF data say, refused where they are not whole.

use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{DynamicImage, ExtendedColorType, GenericImageView, ImageEncoder, Rgb, RgbImage};
use localgrad_data::picture::decode;
use serde_json::Value;
use std::process::Command;

/// A picture whose corners differ: red, green, blue, white.
fn corners() -> RgbImage {
    let corners = [[[250, 0, 0], [0, 250, 0]], [[0, 0, 250], [250, 250, 250]]];
    RgbImage::from_fn(48, 32, |x, y| Rgb(corners[usize::from(y >= 16)][usize::from(x >= 24)]))
}

/// Exchangeable image data that say nothing but an orientation, in either byte order.
fn exif(orientation: u8, big: bool) -> Vec<u8> {
    match big {
        false => [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]]
            .concat(),
        true => [&b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"[..], &[0, orientation, 0, 0, 0, 0, 0, 0]]
            .concat(),
    }
}

/// The picture as a viewer shows it, made into what a camera stores with this orientation.
fn stored(orientation: u8) -> DynamicImage {
    let shown = DynamicImage::ImageRgb8(corners());
    match orientation {
        2 => shown.fliph(),
        3 => shown.rotate180(),
        4 => shown.flipv(),
        5 => shown.rotate90().fliph(),
        6 => shown.rotate270(),
        7 => shown.rotate270().fliph(),
        8 => shown.rotate90(),
        _ => shown,
    }
}

fn encoded(format: &str, picture: &DynamicImage, exif: Option<Vec<u8>>) -> Vec<u8> {
    fn with(mut encoder: impl ImageEncoder, picture: &DynamicImage, exif: Option<Vec<u8>>) {
        if let Some(exif) = exif {
            encoder.set_exif_metadata(exif).unwrap();
        }
        let (width, height) = picture.dimensions();
        encoder.write_image(picture.as_bytes(), width, height, ExtendedColorType::Rgb8).unwrap();
    }
    let mut bytes = Vec::new();
    match format {
        "jpeg" => with(JpegEncoder::new_with_quality(&mut bytes, 95), picture, exif),
        "png" => with(PngEncoder::new(&mut bytes), picture, exif),
        _ => with(WebPEncoder::new_lossless(&mut bytes), picture, exif),
    }
    bytes
}

/// Moves the EXIF data of a PNG file behind its pixels, where other programs write them.
fn exif_last(png: &[u8]) -> Vec<u8> {
    let at = png.windows(4).position(|name| name == b"eXIf").unwrap() - 4;
    let end = at + 12 + u32::from_be_bytes(*png[at..].first_chunk().unwrap()) as usize;
    let last = png.len() - 12;
    [&png[..at], &png[end..last], &png[at..end], &png[last..]].concat()
}

fn assert_upright(picture: &DynamicImage, what: &str) {
    assert_eq!(picture.dimensions(), (48, 32), "{what}");
    let (found, wanted) = (picture.to_rgb8(), corners());
    for (x, y) in [(5, 5), (43, 5), (5, 27), (43, 27)] {
        let near = found[(x, y)].0.iter().zip(wanted[(x, y)].0).all(|(&a, b)| a.abs_diff(b) < 12);
        assert!(near, "{what}: {:?} at {x}, {y}", found[(x, y)]);
    }
}

#[test]
fn every_orientation_of_every_format_is_shown_upright() {
    for format in ["jpeg", "png", "webp"] {
        assert_upright(&decode(&encoded(format, &stored(1), None)).unwrap(), format);
        for orientation in 0..=9 {
            for big in [false, true] {
                let data = exif(orientation, big);
                let what = format!("{format}, orientation {orientation}, {big}");
                let bytes = encoded(format, &stored(orientation), Some(data.clone()));
                assert_upright(&decode(&bytes).unwrap(), &what);
                if format == "png" {
                    assert_upright(&decode(&exif_last(&bytes)).unwrap(), &what);
                }
                if format == "webp" {
                    let prefixed = [&b"Exif\0\0"[..], &data].concat();
                    let bytes = encoded(format, &stored(orientation), Some(prefixed));
                    assert_upright(&decode(&bytes).unwrap(), &what);
                }
            }
        }
    }
}

#[test]
fn damaged_exif_data_turn_nothing() {
    let whole = exif(6, false);
    for length in 0..whole.len() - 8 {
        let bytes = encoded("jpeg", &stored(1), Some(whole[..length].to_vec()));
        assert_upright(&decode(&bytes).unwrap(), "cut EXIF data");
    }
}

#[test]
fn no_part_of_a_picture_passes_for_all_of_it() {
    let thumbnail = [exif(1, false), encoded("jpeg", &stored(1), None)].concat();
    let files = [
        ("jpeg", encoded("jpeg", &stored(1), Some(exif(1, true)))),
        ("jpeg with a thumbnail", encoded("jpeg", &stored(1), Some(thumbnail))),
        ("progressive jpeg", include_bytes!("../pictures/progressive.jpg").to_vec()),
        ("jpeg with restarts", include_bytes!("../pictures/restarts.jpg").to_vec()),
        ("png", encoded("png", &stored(1), None)),
        ("interlaced png", include_bytes!("../pictures/interlaced.png").to_vec()),
        ("webp", encoded("webp", &stored(1), Some(exif(1, true)))),
        ("lossy webp", include_bytes!("../pictures/lossy.webp").to_vec()),
    ];
    for (what, bytes) in files {
        let whole = decode(&bytes).unwrap();
        assert_eq!(decode(&[&bytes[..], b"more"].concat()).unwrap(), whole, "{what}");
        for length in 0..bytes.len() {
            // What only lacks its last words may be whole.
            if let Ok(found) = decode(&bytes[..length]) {
                assert!(!what.contains("png"), "{what}: {length} of {}", bytes.len());
                assert!(found == whole && length + 12 >= bytes.len(), "{what}: {length} of {}", bytes.len());
            }
            if !what.contains("png") {
                let padded = [&bytes[..length], &vec![0; bytes.len() - length]].concat();
                if length + 2 < bytes.len() && decode(&padded).is_ok_and(|found| found != whole) {
                    assert!(!what.contains("jpeg"), "{what}: {length} of {} and zeros", bytes.len());
                }
            }
        }
    }
}

#[test]
fn what_is_no_picture_is_called_what_it_is() {
    for (bytes, needle) in [
        (&b""[..], "empty"),
        (b"GIF89a", "not a whole picture"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"<!doctype html>", "web page"),
        (b"not a picture", "something else"),
        (b"\x1f\x8b\x08\0", "gzipped"),
        (b"\x80\x02}q\0", "pickle"),
        (b"MATLAB 5.0 MAT-file", "MATLAB"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\x10\0\0\0\0\0\0\0{\"a\": {}", "safetensors"),
    ] {
        let error = decode(bytes).unwrap_err();
        assert!(error.contains(needle), "{error}");
    }
}

#[test]
fn a_bad_picture_is_named_and_the_others_are_judged() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let run = path("run");
    let localgrad = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_localgrad")).args(words).output().unwrap();
        let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.code(), out, error)
    };
    let train = ["train", "--model", "resnet8", "--widths", "4,4,8,8", "--rule", "bp", "--limit", "16"];
    let trained = localgrad(&[&train[..], &["--steps", "1", "--batch", "16", "--out", &run]].concat());
    assert_eq!(trained.0, Some(0), "{}", trained.2);
    let whole = encoded("jpeg", &stored(1), None);
    std::fs::write(path("a.jpg"), &whole).unwrap();
    std::fs::write(path("b.jpg"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(path("c.webp"), encoded("webp", &stored(6), Some(exif(6, false)))).unwrap();
    let files = ["a.jpg", "b.jpg", "missing.png", "c.webp"].map(path);
    let words: Vec<&str> =
        ["predict", "--run", &run].into_iter().chain(files.iter().map(String::as_str)).collect();
    let (code, out, error) = localgrad(&words);
    assert_eq!(code, Some(1), "{error}");
    assert!(out.contains("a.jpg") && out.contains("c.webp") && !out.contains("b.jpg"), "{out}");
    assert!(error.contains("b.jpg: the picture is cut off") && error.contains("missing.png"), "{error}");
    assert!(error.contains("2 of 4 pictures"), "{error}");
    let (code, out, _) = localgrad(&[&words[..], &["--json"]].concat());
    assert_eq!(code, Some(1));
    let records: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["predicted", "error", "error", "predicted"]);
    assert!(records[1]["sample"].as_str().unwrap().ends_with("b.jpg") && records[1]["error"].is_string());
    let (code, out, _) = localgrad(&["predict", "--run", &run, &files[2]]);
    assert_eq!((code, out.as_str()), (Some(1), ""));

    // EXIF data that say that they have 4 GiB are as good as none, and cost nothing.
    let mut hungry = encoded("webp", &stored(6), Some(exif(6, false)));
    let at = hungry.windows(4).position(|name| name == b"EXIF").unwrap();
    hungry[at + 4..at + 8].copy_from_slice(&0xffff_001a_u32.to_le_bytes());
    std::fs::write(path("d.webp"), hungry).unwrap();
    if cfg!(target_os = "linux") {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -v 1000000 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_localgrad")]);
        let output = shell.args(["predict", "--run", &run, &files[0], &path("d.webp")]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && error.is_empty(), "{error}");
    }
}
