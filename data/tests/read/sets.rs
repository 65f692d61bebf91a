//! Published data sets as they are distributed, written here to the letter of their formats, and hostile ones.

use crate::files::matlab::{compressed, mat_file, matrix};
use localgrad::data::Dataset;
use localgrad_data::open::{has_parts, numbers};
use localgrad_data::pickle::Pickle;
use localgrad_data::{Part, mat, stl};
use std::path::Path;

const SIZE: usize = 3 * 32 * 32;

/// The byte of an image at a row, column and channel.
fn byte(image: usize, row: usize, column: usize, channel: usize) -> u8 {
    (image * 31 + row * 7 + column * 3 + channel * 101) as u8
}

/// Asserts that every pixel of every image is where it should be, and its label.
fn assert_images(set: &dyn Dataset, side: usize, labels: &[u32]) {
    assert_eq!(
        (set.len(), set.shape().channels, set.shape().height, set.shape().width),
        (labels.len(), 3, side, side)
    );
    let mut pixels = vec![0.0; side * side * 3];
    for (image, &label) in labels.iter().enumerate() {
        assert_eq!((set.read(image, &mut pixels).unwrap(), set.label(image).unwrap()), (label, label));
        for row in 0..side {
            for column in 0..side {
                for channel in 0..3 {
                    let found = pixels[(row * side + column) * 3 + channel];
                    assert_eq!(found, f32::from(byte(image, row, column, channel)) / 255.0);
                }
            }
        }
    }
}

/// Images in planes, each row after row.
fn planes(count: usize) -> Vec<u8> {
    let place = |at: usize| byte(at / SIZE, at % 1024 / 32, at % 32, at % SIZE / 1024);
    (0..count * SIZE).map(place).collect()
}

/// What Python 2 wrote (protocol 2): texts are byte strings, values are put away as they come.
fn pickle_2(labels: &[u8], key: &str) -> Vec<u8> {
    let text = |text: &str| [&[b'U', text.len() as u8], text.as_bytes()].concat();
    let data = planes(labels.len());
    let count = [b'K', labels.len() as u8];
    let items: Vec<u8> = labels.iter().flat_map(|&label| [b'K', label]).collect();
    [
        b"\x80\x02}q\x01(",
        &text("data")[..],
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\0\x85q\x04U\x01b\x87Rq\x05(K\x01",
        &count,
        b"M\0\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\0K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T",
        &(data.len() as u32).to_le_bytes(),
        &data,
        b"tb",
        &text(key),
        b"]q\x08(",
        &items,
        b"eu.",
    ]
    .concat()
}

/// What NumPy writes under protocol 5: an array from a buffer.
fn pickle_5(labels: &[u8], key: &str) -> Vec<u8> {
    let text = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes(), &[0x94]].concat();
    let data = planes(labels.len());
    let items: Vec<u8> = labels.iter().flat_map(|&label| [b'K', label]).collect();
    [
        b"\x80\x05\x95\0\0\0\0\0\0\0\0}\x94(",
        &text("data")[..],
        &text("numpy._core.numeric"),
        &text("_frombuffer"),
        b"\x93\x94(\x96",
        &(data.len() as u64).to_le_bytes(),
        &data,
        b"\x94",
        &text("numpy"),
        &text("dtype"),
        b"\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t\x94b",
        &[b'K', labels.len() as u8],
        b"M\0\x0c\x86\x94\x8c\x01C\x94t\x94R\x94",
        &text(key),
        b"]\x94(",
        &items,
        b"eu.",
    ]
    .concat()
}

/// Names in a dictionary, as Python 3 writes texts, or under protocol 2 bytes: as what encodes a text.
fn names_pickle(key: &str, count: usize, are_bytes: bool) -> Vec<u8> {
    let text = |text: &str| {
        let plain = [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
        let encoded = [b"c_codecs\nencode\n", &plain[..], b"X\x06\0\0\0latin1\x86R"].concat();
        if are_bytes { encoded } else { plain }
    };
    let names = (0..count).flat_map(|class| text(&format!("c{class:02}")));
    [&b"\x80\x02}"[..], &text(key), b"](", &names.collect::<Vec<u8>>(), b"es."].concat()
}

#[test]
fn cifar_in_pickles_is_read_with_its_names() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("cifar-10-batches-py");
    std::fs::create_dir(&folder).unwrap();
    for number in 1..=5 {
        let pickle = if number % 2 == 0 { pickle_2(&[9, 3], "labels") } else { pickle_5(&[9, 3], "labels") };
        std::fs::write(folder.join(format!("data_batch_{number}")), pickle).unwrap();
    }
    std::fs::write(folder.join("test_batch"), pickle_2(&[0, 1, 2], "labels")).unwrap();
    std::fs::write(folder.join("batches.meta"), names_pickle("label_names", 10, false)).unwrap();
    for path in [directory.path(), &folder] {
        assert_images(numbers(path, Part::Test).unwrap().as_ref(), 32, &[0, 1, 2]);
        let train = numbers(path, Part::Train).unwrap();
        assert_eq!((train.len(), train.classes(), train.class_names()[3].as_str()), (10, 10, "c03"));
        assert_eq!((0..4).map(|index| train.label(index).unwrap()).collect::<Vec<_>>(), [9, 3, 9, 3]);
    }
    let hundred = tempfile::tempdir().unwrap();
    let folder = hundred.path().join("cifar-100-python");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("train"), pickle_2(&[99], "fine_labels")).unwrap();
    std::fs::write(folder.join("test"), pickle_5(&[42], "fine_labels")).unwrap();
    std::fs::write(folder.join("meta"), names_pickle("fine_label_names", 100, true)).unwrap();
    let train = numbers(hundred.path(), Part::Train).unwrap();
    assert_images(train.as_ref(), 32, &[99]);
    assert_eq!((train.classes(), train.class_names()[99].as_str()), (100, "c99"));
    std::fs::write(folder.join("train"), pickle_2(&[100], "fine_labels")).unwrap();
    let error = numbers(hundred.path(), Part::Train).err().unwrap().to_string();
    assert!(error.contains("image 0 has the label 100, expected one of 100"), "{error}");
    std::fs::write(folder.join("train"), pickle_2(&[1], "labels")).unwrap();
    let error = numbers(hundred.path(), Part::Train).err().unwrap().to_string();
    assert!(error.contains("expected `fine_labels`"), "{error}");
}

#[test]
fn pickles_run_no_code_and_are_no_larger_than_their_bytes() {
    // os.system of a command: a name and its argument, and nothing more.
    let evil = b"cos\nsystem\n(S'touch /nowhere/owned'\ntR.";
    assert!(Pickle::read(evil).unwrap().get("data").is_none());
    // Lists of lists of lists, each ten times: a billion, were they copied.
    let mut laughs = b"]q\0".to_vec();
    for level in 0..9_u8 {
        laughs.push(b'(');
        (0..10).for_each(|_| laughs.extend([b'h', level]));
        laughs.extend([b'l', b'q', level + 1]);
    }
    laughs.push(b'.');
    Pickle::read(&laughs).unwrap();
    let whole = pickle_2(&[1, 2], "labels");
    for length in 0..300 {
        assert!(Pickle::read(&whole[..length]).is_err());
    }
    // Lengths and places that are not there, a mark too few, nothing on the stack.
    for bad in [
        &b"T\xff\xff\xff\xffabc."[..],
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"h\x07.",
        b"Nr\xff\xff\xff\x7f.",
        b"t.",
        b".",
        b"R.",
        b"b.",
        b"e.",
        b"\x86.",
        b"",
    ] {
        assert!(Pickle::read(bad).is_err(), "{bad:?}");
    }
    for place in 0..400 {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x41;
        if let Ok(pickle) = Pickle::read(&damaged) {
            let _ = pickle.get("data").and_then(|id| pickle.byte_array(id));
        }
    }
}

/// Digits as SVHN has them, each of its own bytes.
fn svhn(labels: &[u8], packs: bool) -> Vec<u8> {
    crate::files::matlab::svhn(labels, packs, byte)
}

#[test]
fn svhn_is_read_and_its_ten_is_a_nought() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("train_32x32.mat"), svhn(&[1, 10, 9], true)).unwrap();
    let error = numbers(directory.path(), Part::Test).err().unwrap().to_string();
    assert!(error.contains("expected test_32x32.mat"), "{error}");
    std::fs::write(directory.path().join("test_32x32.mat"), svhn(&[2, 10], false)).unwrap();
    let train = numbers(directory.path(), Part::Train).unwrap();
    assert_images(train.as_ref(), 32, &[1, 0, 9]);
    assert_eq!((train.classes(), train.class_names()[0].as_str()), (10, "0"));
    let file = directory.path().join("train_32x32.mat");
    assert_images(numbers(&file, Part::Test).unwrap().as_ref(), 32, &[1, 0, 9]);
    assert_images(numbers(directory.path(), Part::Test).unwrap().as_ref(), 32, &[2, 0]);
    // Labels as MATLAB's own numbers.
    let y: Vec<u8> = [10.0, 3.0].iter().flat_map(|label: &f64| label.to_le_bytes()).collect();
    let x = matrix(b"X", 9, &[1, 1, 3, 2], 2, &[1, 2, 3, 4, 5, 6]);
    let set = mat::from_bytes(&mat_file(&[x, matrix(b"y", 6, &[2, 1], 9, &y)]), "doubles").unwrap();
    assert_eq!([0, 1].map(|index| set.label(index).unwrap()), [0, 3]);
}

#[test]
fn hostile_matlab_files_are_refused() {
    for whole in [svhn(&[1, 2], true), svhn(&[1, 2], false)] {
        for length in (0..whole.len()).step_by(61) {
            assert!(mat::from_bytes(&whole[..length], "cut").is_err(), "{length}");
        }
        for place in (124..600.min(whole.len())).step_by(3) {
            let mut damaged = whole.clone();
            damaged[place] ^= 0xff;
            let _ = mat::from_bytes(&damaged, "damaged");
        }
    }
    let x =
        |sizes: &[u32]| mat_file(&[matrix(b"X", 9, sizes, 2, &[0; 12]), matrix(b"y", 9, &[1, 1], 2, &[1])]);
    for sizes in [&[u32::MAX; 4][..], &[0, 0, 3, 1], &[2, 2, 3, u32::MAX], &[2, 2, 1, 3], &[], &[2, 2]] {
        let error = mat::from_bytes(&x(sizes), "sizes").err().unwrap().to_string();
        assert!(error.contains("expected bytes [32, 32, 3, N]"), "{error}");
    }
    // A compressed element that promises two gigabytes.
    let bomb = compressed(&[&14_u32.to_le_bytes()[..], &0x7fff_ffff_u32.to_le_bytes(), &[0; 64]].concat());
    let error = mat::from_bytes(&mat_file(&[bomb]), "bomb").err().unwrap().to_string();
    assert!(error.contains("promise more"), "{error}");
    assert!(mat::from_bytes(b"not at all", "text").is_err());
}

#[test]
fn stl_10_is_read_with_its_names() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("stl10_binary");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    let size = 3 * 96 * 96;
    let image = |at: usize| byte(at / size, at % 96, at % (96 * 96) / 96, at % size / (96 * 96));
    write("train_X.bin", &(0..2 * size).map(image).collect::<Vec<u8>>());
    write("train_y.bin", &[10, 1]);
    write("test_X.bin", &(0..size).map(image).collect::<Vec<u8>>());
    write("test_y.bin", &[4]);
    write("class_names.txt", b"airplane\nbird\ncar\ncat\ndeer\ndog\nhorse\nmonkey\nship\ntruck\n");
    let train = numbers(directory.path(), Part::Train).unwrap();
    assert_images(train.as_ref(), 96, &[9, 0]);
    assert_eq!((train.classes(), train.class_names()[9].as_str()), (10, "truck"));
    assert_images(numbers(Path::new(&folder), Part::Test).unwrap().as_ref(), 96, &[3]);
    for (images, labels, needle) in [
        (size - 1, &[1][..], "expected images of"),
        (size, &[0], "label 0"),
        (size, &[11], "label 10"),
        (size, &[1, 2], "2 labels"),
        (0, &[], "0 images"),
    ] {
        let error = stl::from_bytes(&vec![0; images], labels, Vec::new(), "bad").err().unwrap().to_string();
        assert!(error.contains(needle), "{error}");
    }
}

fn idx(sizes: &[u32], data: &[u8]) -> Vec<u8> {
    let magic = [0, 0, 8, sizes.len() as u8];
    [&magic[..], &sizes.iter().flat_map(|size| size.to_be_bytes()).collect::<Vec<u8>>(), data].concat()
}

#[test]
fn mnist_and_its_kin_go_by_every_name() {
    let directory = tempfile::tempdir().unwrap();
    let pair = |folder: &str, begin: &str, dot: &str, labels: &[u8]| {
        let folder = directory.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let data: Vec<u8> =
            (0..labels.len() as u8).flat_map(|image| (0..4).map(move |at| image * 10 + at)).collect();
        let count = labels.len() as u32;
        let write = |name: String, bytes: Vec<u8>| {
            let packed = crate::files::gzipped(&bytes);
            let bytes = if name.ends_with(".gz") { packed } else { bytes };
            std::fs::write(folder.join(name), bytes).unwrap();
        };
        let end = if dot == "-" { ".gz" } else { "" };
        write(format!("{begin}-images{dot}idx3-ubyte{end}"), idx(&[count, 2, 2], &data));
        write(format!("{begin}-labels{dot}idx1-ubyte{end}"), idx(&[count], labels));
    };
    let read = |set: &dyn Dataset, index: usize| {
        let mut pixels = [0.0; 4];
        let label = set.read(index, &mut pixels).unwrap();
        assert_eq!(set.label(index).unwrap(), label);
        (label, pixels.map(|pixel| (pixel * 255.0).round() as u8))
    };
    // EMNIST by columns, its letters from 1; as torchvision and as its own archive unpack it.
    pair("letters", "emnist-letters-train", "-", &[1, 26]);
    pair("letters", "emnist-letters-test", "-", &[3]);
    let folder = directory.path().join("letters");
    let train = numbers(&folder, Part::Train).unwrap();
    assert_eq!((train.classes(), train.class_names()[25].as_str()), (26, "Z"));
    assert_eq!([0, 1].map(|index| read(train.as_ref(), index)), [(0, [0, 2, 1, 3]), (25, [10, 12, 11, 13])]);
    assert_eq!(read(numbers(&folder, Part::Test).unwrap().as_ref(), 0), (2, [0, 2, 1, 3]));
    for (kind, classes, last) in [
        ("balanced", 47, "t"),
        ("bymerge", 47, "t"),
        ("byclass", 62, "z"),
        ("digits", 10, "9"),
        ("mnist", 10, "9"),
    ] {
        pair(&format!("{kind}/gzip"), &format!("emnist-{kind}-train"), "-", &[9, 0]);
        let set = numbers(&directory.path().join(kind), Part::Train).unwrap();
        assert_eq!((set.classes(), set.class_names().last().unwrap().as_str()), (classes, last), "{kind}");
        assert_eq!(read(set.as_ref(), 0), (9, [0, 2, 1, 3]));
    }
    pair("letters", "emnist-letters-train", "-", &[0, 1]);
    let error = numbers(&folder, Part::Train).err().unwrap().to_string();
    assert!(error.contains("sample 0 has the label 0, expected one of 1 to 26"), "{error}");
    // Others as they are; both parts count the classes of both.
    pair("k49/raw", "k49-train", ".", &[48, 1]);
    pair("k49/raw", "k49-t10k", ".", &[0]);
    let test = numbers(&directory.path().join("k49"), Part::Judge).unwrap();
    assert_eq!((test.classes(), read(test.as_ref(), 0)), (49, (0, [0, 1, 2, 3])));
    // Several sets in one folder: one goes by its file.
    pair("k49/raw", "train", ".", &[2]);
    let error = numbers(&directory.path().join("k49"), Part::Train).err().unwrap().to_string();
    assert!(error.contains("2 data sets") && error.contains("name the file of images"), "{error}");
    let file = directory.path().join("k49/raw/k49-train-images.idx3-ubyte");
    assert!(has_parts(&file).unwrap());
    assert_eq!(numbers(&file, Part::Train).unwrap().len(), 2);
    assert_eq!(numbers(&file, Part::Test).unwrap().len(), 1);
    let error = numbers(&directory.path().join("mnist"), Part::Test).err().unwrap().to_string();
    assert!(error.contains("expected emnist-mnist-test-images-idx3-ubyte"), "{error}");
}
