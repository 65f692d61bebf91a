//! Images and labels in NumPy's arrays, and hostile ones.

use crate::files::{npy, zip};
use localgrad::data::Dataset;
use localgrad::inputs::{Inputs, Tokens};
use localgrad::targets::TargetKind;
use localgrad_data::npy::Array;
use localgrad_data::open::{has_parts, numbers, unlabelled};
use localgrad_data::{Found, Part, look};
use std::path::{Path, PathBuf};

/// The number of an image `[2, 3, C]` at a row, column and channel.
fn value(image: usize, row: usize, column: usize, channel: usize) -> u8 {
    (image * 60 + row * 20 + column * 5 + channel) as u8
}

/// The places of `[N, 2, 3, C]` in an order of the four dimensions, the last of which changes first.
fn ordered(order: [usize; 4], sizes: [usize; 4]) -> Vec<[usize; 4]> {
    let [a, b, c, d] = order.map(|dimension| sizes[dimension]);
    let places = (0..a * b * c * d).map(|at| {
        let counted = [at / (b * c * d), at / (c * d) % b, at / d % c, at % d];
        let mut place = [0; 4];
        order.into_iter().zip(counted).for_each(|(dimension, count)| place[dimension] = count);
        place
    });
    places.collect()
}

fn bytes(order: [usize; 4], sizes: [usize; 4]) -> Vec<u8> {
    ordered(order, sizes).into_iter().map(|[n, h, w, c]| value(n, h, w, c)).collect()
}

fn assert_images(set: &dyn Dataset, sizes: [usize; 4], scale: f32, labels: &[u32]) {
    let [count, height, width, channels] = sizes;
    let shape = set.shape();
    assert_eq!((set.len(), shape.height, shape.width, shape.channels), (count, height, width, channels));
    let mut pixels = vec![0.0; shape.elements()];
    for (image, &label) in labels.iter().enumerate() {
        assert_eq!(set.read(image, &mut pixels).unwrap(), label);
        let wanted = ordered([0, 1, 2, 3], [1, height, width, channels]);
        for (found, [_, h, w, c]) in pixels.iter().zip(wanted) {
            assert_eq!(*found, f32::from(value(image, h, w, c)) / scale);
        }
    }
}

/// An archive of these arrays.
fn npz(folder: &Path, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
    let path = folder.join("set.npz");
    std::fs::write(&path, zip(arrays, true)).unwrap();
    path
}

const COLOURS: [usize; 4] = [2, 2, 3, 3];
const GREY: [usize; 4] = [2, 2, 3, 1];

#[test]
fn medmnist_is_read_in_its_three_parts() {
    let directory = tempfile::tempdir().unwrap();
    let images = |count: usize| {
        npy("|u1", false, &format!("({count}, 2, 3, 3)"), &bytes([0, 1, 2, 3], [count, 2, 3, 3]))
    };
    let labels = |labels: &[u8]| npy("|u1", false, &format!("({}, 1)", labels.len()), labels);
    let path = npz(
        directory.path(),
        &[
            ("train_images.npy", images(3)),
            ("val_images.npy", images(1)),
            ("test_images.npy", images(2)),
            ("train_labels.npy", labels(&[0, 1, 2])),
            ("val_labels.npy", labels(&[4])),
            ("test_labels.npy", labels(&[1, 0])),
        ],
    );
    assert!(matches!(look(&path).unwrap(), Found::Numbers));
    for place in [path.as_path(), directory.path()] {
        assert!(has_parts(place).unwrap());
        let train = numbers(place, Part::Train).unwrap();
        assert_images(train.as_ref(), [3, 2, 3, 3], 255.0, &[0, 1, 2]);
        // All parts count the classes of all.
        assert_eq!(train.classes(), 5);
        assert_images(numbers(place, Part::Judge).unwrap().as_ref(), [1, 2, 3, 3], 255.0, &[4]);
        assert_images(numbers(place, Part::Test).unwrap().as_ref(), COLOURS, 255.0, &[1, 0]);
    }
}

#[test]
fn arrays_of_tokens_are_read_by_their_name() {
    let directory = tempfile::tempdir().unwrap();
    let labels = npy("|u1", false, "(2,)", &[1, 0]);
    let tokens = |descr: &str, by_columns, data: &[u8]| npy(descr, by_columns, "(2, 3)", data);
    let check = |arrays: &[(&str, Vec<u8>)], part, vocabulary: usize| {
        let set = numbers(&npz(directory.path(), arrays), part).unwrap();
        assert_eq!(set.input(), Inputs::Tokens(Tokens { length: 3, vocabulary }));
        let mut numbers = [0.0; 3];
        assert_eq!((set.read(0, &mut numbers).unwrap(), numbers), (1, [5.0, 0.0, 7.0]));
        assert_eq!((set.read(1, &mut numbers).unwrap(), numbers), (0, [7.0, 2.0, 300.0]));
    };
    let rows = [5_i64, 0, 7, 7, 2, 300].map(i64::to_le_bytes).concat();
    let columns = [5_u16, 7, 0, 2, 7, 300].map(u16::to_be_bytes).concat();
    check(&[("tokens.npy", tokens("<i8", false, &rows)), ("labels.npy", labels.clone())], Part::All, 301);
    check(&[("my_tokens.npy", tokens(">u2", true, &columns)), ("y.npy", labels.clone())], Part::All, 301);
    // All parts count the tokens of all.
    let larger = npy("<i8", false, "(1, 3)", &[1_i64, 400, 2].map(i64::to_le_bytes).concat());
    let parts = [
        ("train_tokens.npy", tokens("<i8", false, &rows)),
        ("train_labels.npy", labels.clone()),
        ("test_tokens.npy", larger),
        ("test_labels.npy", npy("|u1", false, "(1,)", &[1])),
    ];
    check(&parts, Part::Train, 401);
    let negative = tokens("<i8", false, &[-1_i64, 0, 0, 0, 0, 0].map(i64::to_le_bytes).concat());
    let path = npz(directory.path(), &[("tokens.npy", negative), ("labels.npy", labels)]);
    let Err(error) = numbers(&path, Part::All) else { panic!("a token below 0") };
    assert!(error.to_string().contains("sample 0 holds the token -1"), "{error}");
}

#[test]
fn arrays_are_read_in_every_order_and_type() {
    let directory = tempfile::tempdir().unwrap();
    let labels = npy("<i8", false, "(2,)", &[1_i64, 0].map(i64::to_le_bytes).concat());
    let check = |descr: &str, by_columns: bool, shape: &str, data: &[u8], sizes, scale| {
        let images = npy(descr, by_columns, shape, data);
        let path = npz(directory.path(), &[("images.npy", images), ("labels.npy", labels.clone())]);
        assert!(!has_parts(&path).unwrap());
        assert_images(numbers(&path, Part::Test).unwrap().as_ref(), sizes, scale, &[1, 0]);
    };
    let rows = bytes([0, 1, 2, 3], COLOURS);
    check("|u1", false, "(2, 2, 3, 3)", &rows, COLOURS, 255.0);
    check("|u1", true, "(2, 2, 3, 3)", &bytes([3, 2, 1, 0], COLOURS), COLOURS, 255.0);
    check("|u1", false, "(2L, 2L, 3L)", &bytes([0, 1, 2, 3], GREY), GREY, 255.0);
    let wide: Vec<u8> = rows.iter().flat_map(|&byte| i64::from(byte).to_le_bytes()).collect();
    check("<i8", false, "(2, 2, 3, 3)", &wide, COLOURS, 255.0);
    let large_first: Vec<u8> = rows.iter().flat_map(|&byte| u16::from(byte).to_be_bytes()).collect();
    check(">u2", false, "(2, 2, 3, 3)", &large_first, COLOURS, 255.0);
    let floats: Vec<u8> = rows.iter().flat_map(|&byte| f32::from(byte).to_le_bytes()).collect();
    check("<f4", false, "(2, 2, 3, 3)", &floats, COLOURS, 1.0);
    let doubles: Vec<u8> = rows.iter().flat_map(|&byte| f64::from(byte).to_le_bytes()).collect();
    check("<f8", false, "(2, 2, 3, 3)", &doubles, COLOURS, 1.0);
    let halves: Vec<u8> =
        rows.iter().flat_map(|&byte| half::f16::from_f32(f32::from(byte)).to_le_bytes()).collect();
    check("<f2", false, "(2, 2, 3, 3)", &halves, COLOURS, 1.0);
    // Channels first, where rows are longer than there are channels.
    let large = [2, 2, 8, 3];
    check("|u1", false, "(2, 3, 2, 8)", &bytes([0, 3, 1, 2], large), large, 255.0);
}

#[test]
fn arrays_go_by_the_words_in_their_names() {
    let images = npy("|u1", false, "(2, 2, 3)", &bytes([0, 1, 2, 3], GREY));
    let labels = npy("|u1", false, "(2,)", &[1, 0]);
    let both = |x: &str, y: &str| {
        let directory = tempfile::tempdir().unwrap();
        for (name, array) in [(x, &images), (y, &labels)] {
            let file = if name.ends_with(".npz") {
                zip(&[("arr_0.npy", array.clone())], false)
            } else {
                array.clone()
            };
            std::fs::write(directory.path().join(name), file).unwrap();
        }
        assert!(matches!(look(directory.path()).unwrap(), Found::Numbers), "{x}");
        numbers(directory.path(), Part::Train).map(|set| assert_images(set.as_ref(), GREY, 255.0, &[1, 0]))
    };
    for (x, y) in [
        ("x_train.npy", "y_train.npy"),
        ("X_train.npy", "Y_train.npy"),
        ("trainX.npy", "trainY.npy"),
        ("xtrain.npy", "ytrain.npy"),
        ("train-images.npy", "train-labels.npy"),
        ("images.npy", "labels.npy"),
        ("kmnist-train-imgs.npz", "kmnist-train-labels.npz"),
    ] {
        both(x, y).unwrap();
    }
    // As numpy.savez calls what has no name; names of classes; one label of many columns.
    let directory = tempfile::tempdir().unwrap();
    let one_of =
        npy("<f4", false, "(2, 3)", &[0.0_f32, 1.0, 0.0, 1.0, 0.0, 0.0].map(f32::to_le_bytes).concat());
    let texts: Vec<u8> = "ab\0dé\0c\0\0".chars().flat_map(|letter| u32::from(letter).to_le_bytes()).collect();
    let path = npz(
        directory.path(),
        &[
            ("arr_0.npy", images.clone()),
            ("arr_1.npy", one_of),
            ("class_names.npy", npy("<U3", false, "(3,)", &texts)),
        ],
    );
    let set = numbers(&path, Part::Train).unwrap();
    assert_images(set.as_ref(), GREY, 255.0, &[1, 0]);
    assert_eq!(set.class_names(), ["ab", "dé", "c"]);
}

/// The rows of numbers that samples come with.
fn rows(set: &dyn Dataset) -> Vec<Vec<f32>> {
    let mut row = vec![0.0; set.classes()];
    let of = |index| {
        set.target(index, &mut row).unwrap();
        row.clone()
    };
    (0..set.len()).map(of).collect()
}

#[test]
fn labels_and_values_come_in_rows() {
    let directory = tempfile::tempdir().unwrap();
    let images = |count: usize| npy("|u1", false, &format!("({count}, 2, 3)"), &vec![7; count * 6]);
    // As chestmnist has them: the rows of a part may have one label each, and are labels all the same.
    let path = npz(
        directory.path(),
        &[
            ("train_images.npy", images(3)),
            ("train_labels.npy", npy("|u1", false, "(3, 4)", &[1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1])),
            ("test_images.npy", images(2)),
            ("test_labels.npy", npy("|u1", false, "(2, 4)", &[1, 0, 0, 0, 0, 0, 0, 1])),
        ],
    );
    let train = numbers(&path, Part::Train).unwrap();
    assert_eq!((train.target_kind(), train.classes()), (TargetKind::Labels, 4));
    assert_eq!(rows(train.as_ref()), [[1.0, 0.0, 1.0, 0.0], [0.0; 4], [0.0, 1.0, 1.0, 1.0]]);
    assert_eq!(train.label(1).unwrap(), 0);
    let test = numbers(&path, Part::Test).unwrap();
    assert_eq!(test.target_kind(), TargetKind::Labels);
    assert_eq!(rows(test.as_ref()), [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]);
    for (descr, shape, numbers_of, width) in
        [("<f4", "(2,)", vec![0.5_f32, -3.0], 1), ("<f4", "(2, 2)", vec![1.0, 2.0, 0.0, 1.0], 2)]
    {
        let data: Vec<u8> = numbers_of.iter().flat_map(|number| number.to_le_bytes()).collect();
        let path = npz(
            directory.path(),
            &[("images.npy", images(2)), ("targets.npy", npy(descr, false, shape, &data))],
        );
        let set = numbers(&path, Part::Train).unwrap();
        assert_eq!((set.target_kind(), set.classes()), (TargetKind::Values, width));
        assert_eq!(rows(set.as_ref()).concat(), numbers_of);
    }
}

#[test]
fn what_is_wrong_with_arrays_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let images = |descr: &str, shape: &str, data: &[u8]| ("images.npy", npy(descr, false, shape, data));
    let labels = |descr: &str, shape: &str, data: &[u8]| ("labels.npy", npy(descr, false, shape, data));
    let good = || images("|u1", "(2, 1, 1)", &[1, 2]);
    let of = |label: i32| labels("<i4", "(2,)", &[0, label].map(i32::to_le_bytes).concat());
    let nan = [1.0, f32::NAN].map(f32::to_le_bytes).concat();
    for (arrays, needle) in [
        (vec![good(), of(-1)], "labels: sample 1 has the label -1, expected a whole number"),
        (vec![good(), of(1 << 20)], "label 1048576"),
        (vec![good(), labels("|u1", "(3,)", &[0; 3])], "2 images of 1x1x1 and 3 labels"),
        (vec![good(), labels("|u1", "(2, 2, 2)", &[1; 8])], "expected labels or values: [N] or [N, K]"),
        (vec![good(), labels("<f4", "(2,)", &nan)], "sample 1 has the label NaN"),
        (vec![good(), labels("|O", "(2,)", b"\x80\x02]q\0.")], "elements of the type |O, expected numbers"),
        (
            vec![good()],
            "expected NumPy's arrays train_images and train_labels, x_train and y_train, or images and labels, found images",
        ),
        (vec![images("<f4", "(2, 1, 1)", &nan), of(1)], "holds NaN, expected numbers that are finite"),
        (
            vec![images("<i2", "(2, 1, 1)", &[0, 1, 0, 0]), of(1)],
            "holds 256, expected whole numbers from 0 to 255",
        ),
        (vec![images("|u1", "(12,)", &[0; 12]), of(1)], "an array [12], expected images"),
        (vec![images("|u1", "(0, 4, 4)", &[]), of(1)], "none of them 0"),
        (vec![("tokens.npy", npy("<f4", false, "(2, 1)", &nan)), of(1)], "expected tokens: whole numbers"),
        (vec![images("|S1", "(2, 1, 1)", &[0; 2]), of(1)], "texts, expected images"),
        (
            vec![("train_images.npy", good().1), ("train_labels.npy", of(1).1)],
            "expected test_images and test_labels",
        ),
        (vec![good(), ("img.npy", good().1), of(1)], "both images and img might be meant"),
    ] {
        let path = npz(directory.path(), &arrays);
        let error = numbers(&path, Part::Test).err().unwrap().to_string();
        assert!(error.contains(needle), "{error}");
        assert!(error.contains("set.npz"), "{error}");
    }
    let lonely = directory.path().join("x.npy");
    std::fs::write(&lonely, good().1).unwrap();
    let error = numbers(&lonely, Part::Train).err().unwrap().to_string();
    assert!(error.contains("one of NumPy's arrays") && error.contains("numpy.savez"), "{error}");
}

#[test]
fn hostile_arrays_are_refused() {
    let whole = npy("<i4", false, "(3, 2)", &[7; 24]);
    for length in 0..whole.len() {
        assert!(Array::read(&whole[..length]).is_err(), "{length}");
    }
    for place in 0..whole.len() {
        for flip in [0x01, 0x20, 0xff] {
            let mut damaged = whole.clone();
            damaged[place] ^= flip;
            if let Ok(array) = Array::read(&damaged) {
                (0..array.len() + 2)
                    .for_each(|place| assert!(array.number(place).is_none() || place < array.len()));
                let _ = (array.number(usize::MAX), array.texts(), array.as_bytes());
            }
        }
    }
    for (descr, shape) in [
        ("|u1", "(18446744073709551615, 2)"),
        ("|u1", "(4294967296, 4294967296, 4294967296)"),
        ("|u1", "(99999999999999999999,)"),
        ("<U4611686018427387904", "(4,)"),
        ("|S0", "(1,)"),
        ("<f16", "(1,)"),
        ("[('a', '<i4')]", "(1,)"),
        ("|u1", "((1,),)"),
        ("|u1", "(-1,)"),
        (
            "|u1",
            "(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)",
        ),
    ] {
        assert!(Array::read(&npy(descr, false, shape, &[0])).is_err(), "{descr} {shape}");
    }
    // Sizes whose product is 0 and whose others are not to be multiplied.
    assert!(Array::read(&npy("|u1", false, "(0, 18446744073709551615, 3)", &[])).is_ok());
    let directory = tempfile::tempdir().unwrap();
    let labels = npy("|u1", false, "(0, 18446744073709551615, 3)", &[]);
    let images = npy("|u1", false, "(1, 1, 1)", &[0]);
    let path = npz(directory.path(), &[("images.npy", images), ("labels.npy", labels)]);
    assert!(numbers(&path, Part::Train).is_err());
    // Archives that are cut, damaged, or say that they unpack to more than they do.
    let archive = zip(&[("images.npy", whole.clone()), ("labels.npy", whole)], true);
    for length in (0..archive.len()).step_by(3) {
        std::fs::write(&path, &archive[..length]).unwrap();
        assert!(numbers(&path, Part::Train).is_err(), "{length}");
    }
    for place in 0..archive.len() {
        let mut damaged = archive.clone();
        damaged[place] ^= 0xff;
        std::fs::write(&path, &damaged).unwrap();
        assert!(numbers(&path, Part::Train).is_err(), "{place}");
    }
}

#[test]
fn rows_of_numbers_are_images_of_one_pixel() {
    let directory = tempfile::tempdir().unwrap();
    let labels = npy("|u1", false, "(2,)", &[1, 0]);
    let floats: Vec<u8> = (0..6_u8).flat_map(|number| f32::from(number).to_le_bytes()).collect();
    let by_columns: Vec<u8> =
        [0, 3, 1, 4, 2, 5_u8].into_iter().flat_map(|n| f32::from(n).to_le_bytes()).collect();
    for (images, scale) in [
        (npy("<f4", false, "(2, 3)", &floats), 1.0),
        (npy("<f4", true, "(2, 3)", &by_columns), 1.0),
        (npy("|u1", false, "(2, 3)", &[0, 1, 2, 3, 4, 5]), 255.0),
    ] {
        let path = npz(directory.path(), &[("x.npy", images), ("y.npy", labels.clone())]);
        let set = numbers(&path, Part::Train).unwrap();
        let shape = set.shape();
        assert_eq!((set.len(), shape.channels, shape.height, shape.width), (2, 3, 1, 1));
        let mut pixels = [0.0; 3];
        assert_eq!(set.read(1, &mut pixels).unwrap(), 0);
        assert_eq!(pixels, [3.0, 4.0, 5.0].map(|number| number / scale));
    }
}

#[test]
fn images_alone_are_read_where_no_labels_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let images =
        |count: usize| npy("|u1", false, &format!("({count}, 2, 3)"), &bytes([0, 1, 2, 3], [count, 2, 3, 1]));
    let path = npz(directory.path(), &[("x_train.npy", images(3)), ("x_test.npy", images(2))]);
    let error = numbers(&path, Part::Train).err().unwrap().to_string();
    assert!(error.contains("expected NumPy's arrays train_images and train_labels"), "{error}");
    for place in [path.as_path(), directory.path()] {
        assert_images(unlabelled(place, Part::Train).unwrap().as_ref(), [3, 2, 3, 1], 255.0, &[0, 0, 0]);
        assert_images(unlabelled(place, Part::Judge).unwrap().as_ref(), GREY, 255.0, &[0, 0]);
    }
    assert!(has_parts(&path).unwrap());
    // One array, by any name.
    let alone = directory.path().join("spectrograms.npy");
    std::fs::write(&alone, images(2)).unwrap();
    assert!(!has_parts(&alone).unwrap());
    assert_images(unlabelled(&alone, Part::Train).unwrap().as_ref(), GREY, 255.0, &[0, 0]);
    assert!(numbers(&alone, Part::Train).err().unwrap().to_string().contains("expected two"));
}
