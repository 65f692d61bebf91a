//! Data sets in every format are found and read right, and what is wrong with them is said.

use crate::files::*;
use localgrad::data::cifar::{Cifar, CifarKind};
use localgrad::data::idx::Idx;
use localgrad::data::safetensors::TensorFile;
use localgrad::data::subset::Subset;
use localgrad::data::survey::Survey;
use localgrad::data::{Dataset, ImageShape, Split, open};
use localgrad::targets::TargetKind;
use localgrad::threads::Workers;
use localgrad::{ErrorKind, Result};
use std::path::Path;
use std::sync::Arc;

pub(crate) fn write(directory: &Path, files: &[(&str, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Asserts that opening fails with `kind` and a message that names all of `words`.
pub(crate) fn assert_error<T>(result: Result<T>, kind: ErrorKind, words: &[&str]) {
    let Err(error) = result else { panic!("expected an error that says {words:?}") };
    let message = error.to_string();
    assert_eq!(error.kind(), kind, "{message}");
    for word in words {
        assert!(message.contains(word), "{message:?} does not say {word:?}");
    }
}

#[test]
fn idx_plain_and_gzipped_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    write(
        directory.path(),
        &[
            ("train-images-idx3-ubyte", idx_images(5, 3, 4)),
            ("train-labels-idx1-ubyte", idx_labels(5)),
            ("t10k-images-idx3-ubyte.gz", gz(&idx_images(2, 3, 4))),
            ("t10k-labels-idx1-ubyte.gz", gz(&idx_labels(2))),
        ],
    );
    let train = open(directory.path(), Split::Train).unwrap();
    let test = open(directory.path(), Split::Test).unwrap();
    assert_eq!(train.shape(), ImageShape { channels: 1, height: 3, width: 4 });
    assert_pattern(train.as_ref(), 5, 10);
    assert_pattern(test.as_ref(), 2, 10);
    // Plain images stay in the file; gzipped ones are held, a byte a pixel.
    assert_eq!((train.resident_bytes(), test.resident_bytes()), (5, 2 * 12 + 2));
    let packed = Idx::from_bytes(&gz(&idx_images(5, 3, 4)), &idx_labels(5), "mixed").unwrap();
    assert_pattern(&packed, 5, 10);
}

#[test]
fn idx_says_what_is_wrong() {
    let (images, labels) = (idx_images(3, 2, 2), idx_labels(3));
    let fails = |images: &[u8], labels: &[u8], words: &[&str]| {
        let plain = Idx::from_bytes(images, labels, "set").map(|_| ());
        assert_error(plain, ErrorKind::Format, words);
        let packed = Idx::from_bytes(&gz(images), &gz(labels), "set").map(|_| ());
        assert_error(packed, ErrorKind::Format, &words[..1]);
    };
    fails(&images, &idx_labels(4), &["set", "3 images", "4 labels"]);
    fails(&images[..10], &labels, &["set images", "10 bytes", "16 bytes"]);
    fails(&[], &labels, &["set images", "0 bytes"]);
    fails(&images, &labels[..10], &["set labels", "promises 3", "holds 2"]);
    fails(&[&images[..], &[0]].concat(), &labels, &["set images", "promises 12", "holds 13"]);
    fails(&idx_labels(8), &labels, &["set images", "0x0803", "0x0801"]);
    fails(&images, &images, &["set labels", "0x0801", "0x0803"]);
    fails(&header(0x0803, &[0, 2, 2]), &header(0x0801, &[0]), &["set images", "[0, 2, 2]"]);
    fails(&header(0x0803, &[u32::MAX as usize; 3]), &labels, &["set images", "4294967295"]);
    let mut negative = header(0x0c01, &[3]);
    negative.extend([0, -1, 2].map(i32::to_be_bytes).concat());
    fails(&images, &negative, &["set labels", "sample 1", "label -1", "0 to 65535"]);
    fails(&images, &negative[..16], &["set labels", "promises 12", "holds 8"]);
}

#[test]
fn idx_labels_come_in_any_type_and_number() {
    let images = idx_images(3, 2, 2);
    let of = |magic: u32, numbers: Vec<u8>| {
        let labels = [header(magic, &[3]), numbers].concat();
        let set = Idx::from_bytes(&images, &labels, "set").unwrap();
        let packed = Idx::from_bytes(&gz(&images), &gz(&labels), "set").unwrap();
        assert_eq!((set.classes(), set.label(1).unwrap()), (packed.classes(), packed.label(1).unwrap()));
        (set.classes(), (0..3).map(|index| set.label(index).unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(of(0x0801, vec![0, 25, 3]), (26, vec![0, 25, 3]));
    assert_eq!(of(0x0901, vec![0, 5, 3]), (10, vec![0, 5, 3]));
    assert_eq!(of(0x0b01, [1_i16, 300, 9].map(i16::to_be_bytes).concat()), (301, vec![1, 300, 9]));
    assert_eq!(of(0x0c01, [1_i32, 65535, 9].map(i32::to_be_bytes).concat()), (65536, vec![1, 65535, 9]));
}

#[test]
fn idx_files_in_either_spelling_share_their_classes() {
    let directory = tempfile::tempdir().unwrap();
    let labels = |of: [u8; 2]| [header(0x0801, &[2]), of.to_vec()].concat();
    write(
        directory.path(),
        &[
            ("train-images.idx3-ubyte", idx_images(2, 3, 4)),
            ("train-labels.idx1-ubyte.gz", gz(&labels([1, 2]))),
            ("t10k-images.idx3-ubyte", idx_images(2, 3, 4)),
            ("t10k-labels-idx1-ubyte", labels([25, 2])),
        ],
    );
    for split in [Split::Train, Split::Test] {
        assert_eq!(open(directory.path(), split).unwrap().classes(), 26);
    }
}

#[test]
fn gzip_bombs_do_not_go_off() {
    let labels = idx_labels(1);
    let fails = |images: &[u8], words: &[&str]| {
        assert_error(Idx::from_bytes(images, &labels, "bomb").map(|_| ()), ErrorKind::Format, words);
    };
    // 64 MiB of zeros behind a header that promises one pixel.
    let long = [header(0x0803, &[1, 1, 1]), vec![0; 64 << 20]].concat();
    fails(&gz(&long), &["bomb images", "bytes follow the 1"]);
    // A terabyte promised, nothing there.
    fails(&gz(&header(0x0803, &[1, 1 << 20, 1 << 20])), &["more than", "gzipped bytes can hold"]);
    fails(&gz(&header(0x0803, &[u32::MAX as usize; 3])), &["promises data of the size"]);
    // A second member, or anything else, after the first.
    let whole = gz(&idx_images(1, 2, 2));
    for rest in [whole.clone(), vec![0]] {
        fails(&[whole.clone(), rest].concat(), &["bomb images", "bytes follow"]);
    }
    let mut checksum = whole.clone();
    checksum[whole.len() - 8] ^= 1;
    fails(&checksum, &["bomb images", "gzip"]);
}

#[test]
fn cifar_in_its_folders() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let batches: Vec<(String, Vec<u8>)> =
        (0..5).map(|i| (format!("ten/data_batch_{}.bin", i + 1), cifar10(2 * i, 2))).collect();
    for (name, bytes) in &batches {
        write(directory.path(), &[(name, bytes.clone())]);
        write(directory.path(), &[(&name.replace("ten", "above/cifar-10-batches-bin"), bytes.clone())]);
    }
    write(
        directory.path(),
        &[
            ("ten/test_batch.bin", cifar10(0, 3)),
            ("hundred/cifar-100-binary/train.bin", cifar100(4)),
            ("hundred/cifar-100-binary/test.bin", cifar100(1)),
        ],
    );
    let train = open(&at("ten"), Split::Train).unwrap();
    assert_eq!(train.shape(), ImageShape { channels: 3, height: 32, width: 32 });
    assert_pattern(train.as_ref(), 10, 10);
    assert_eq!(train.resident_bytes(), 10);
    assert_pattern(open(&at("ten"), Split::Test).unwrap().as_ref(), 3, 10);
    assert_pattern(open(&at("above"), Split::Train).unwrap().as_ref(), 10, 10);
    assert_pattern(open(&at("hundred"), Split::Train).unwrap().as_ref(), 4, 100);
    assert_pattern(open(&at("hundred/cifar-100-binary"), Split::Test).unwrap().as_ref(), 1, 100);

    assert_error(open(&at("above"), Split::Test), ErrorKind::Format, &["expected test_batch.bin"]);
    std::fs::remove_file(at("ten/data_batch_3.bin")).unwrap();
    assert_error(open(&at("ten"), Split::Train), ErrorKind::Format, &["expected data_batch_3.bin"]);
    write(directory.path(), &[("cifar-100-binary/train.bin", cifar100(1))]);
    write(directory.path(), &[("cifar-10-batches-bin/test_batch.bin", cifar10(0, 1))]);
    assert_error(open(directory.path(), Split::Train), ErrorKind::Format, &["more than one"]);
}

#[test]
fn cifar_knows_the_names_of_its_classes() {
    let directory = tempfile::tempdir().unwrap();
    let names = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    let at = |name: &str| directory.path().join(name);
    write(
        directory.path(),
        &[
            ("ten/cifar-10-batches-bin/test_batch.bin", cifar10(0, 3)),
            ("ten/cifar-10-batches-bin/batches.meta.txt", names.into()),
            ("hundred/train.bin", cifar100(1)),
            (
                "hundred/fine_label_names.txt",
                (0..100).map(|i| format!("class {i}\r\n")).collect::<String>().into(),
            ),
            ("fewer/test_batch.bin", cifar10(0, 3)),
            ("fewer/batches.meta.txt", b"airplane\nautomobile\n".to_vec()),
        ],
    );
    let ten = open(&at("ten"), Split::Test).unwrap();
    assert_eq!(ten.class_names(), names.split_whitespace().collect::<Vec<_>>());
    assert_eq!(Subset::first(ten, 1).unwrap().class_names()[9], "truck");
    assert_eq!(open(&at("hundred"), Split::Train).unwrap().class_names()[99], "class 99");
    assert!(open(&at("fewer"), Split::Test).unwrap().class_names().is_empty());
}

#[test]
fn a_survey_sees_every_pixel_and_label() {
    let survey =
        |images: &[u8], labels: &[u8]| Survey::of(&Idx::from_bytes(images, labels, "set").unwrap()).unwrap();
    let (images, labels) = (idx_images(5000, 2, 3), idx_labels(5000));
    let whole = survey(&images, &labels);
    assert!(whole.least >= 0.0 && whole.largest <= 1.0);
    for threads in 1..4 {
        assert_eq!(Workers::start(threads).unwrap().run(|| survey(&images, &labels)), whole);
    }
    // The first pixel, and one of the last image.
    for at in [16, images.len() - 4] {
        let mut other = images.clone();
        other[at] ^= 1;
        let found = survey(&other, &labels);
        assert_ne!(found.pixels_checksum, whole.pixels_checksum);
        assert_eq!(found.labels_checksum, whole.labels_checksum);
    }
    // Two images that change places.
    let mut other = images.clone();
    for at in 16..22 {
        other.swap(at, at + 6);
    }
    assert_ne!(survey(&other, &labels).pixels_checksum, whole.pixels_checksum);
    let mut other = labels.clone();
    other[4000] = (other[4000] + 1) % 10;
    let found = survey(&images, &other);
    assert_eq!(found.pixels_checksum, whole.pixels_checksum);
    assert_ne!(found.labels_checksum, whole.labels_checksum);
}

#[test]
fn cifar_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some.bin");
    let fails = |kind: CifarKind, bytes: &[u8], words: &[&str]| {
        std::fs::write(&path, bytes).unwrap();
        let result = Cifar::open(kind, std::slice::from_ref(&path)).map(|_| ());
        assert_error(result, ErrorKind::Format, &[&["some.bin"], words].concat());
    };
    let (ten, hundred) = (cifar10(0, 2), cifar100(2));
    fails(CifarKind::Cifar10, &[], &["0 bytes", "3073"]);
    fails(CifarKind::Cifar10, &ten[..ten.len() - 1], &["6145 bytes", "CIFAR-10 records of 3073"]);
    fails(CifarKind::Cifar10, &[&ten[..], &[0]].concat(), &["6147 bytes"]);
    fails(CifarKind::Cifar10, &hundred, &["6148 bytes"]);
    fails(CifarKind::Cifar100, &ten, &["6146 bytes", "CIFAR-100 records of 3074"]);
    for label in 10..=255 {
        let mut wrong = ten.clone();
        wrong[3073] = label;
        fails(CifarKind::Cifar10, &wrong, &["record 1", &format!("label {label}"), "0 to 9"]);
    }
    let mut wrong = hundred.clone();
    wrong[3075] = 100;
    fails(CifarKind::Cifar100, &wrong, &["record 1 has the label 100", "0 to 99"]);
    let mut wrong = hundred.clone();
    wrong[0] = 20;
    fails(CifarKind::Cifar100, &wrong, &["record 0 has the coarse label 20", "0 to 19"]);
    assert_error(Cifar::open(CifarKind::Cifar10, &[]).map(|_| ()), ErrorKind::Config, &["without a file"]);
}

#[test]
fn safetensors_of_both_types_and_every_label_type() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("set.safetensors");
    let labels: [i64; 3] = [3, 0, 7];
    let pixels: Vec<f32> = (0..3 * 24).map(|i| i as f32 * -0.37 + 2.0).collect();
    let bytes_of: [(&str, Vec<u8>); 4] = [
        ("U8", labels.iter().map(|&l| l as u8).collect()),
        ("I32", labels.iter().flat_map(|&l| (l as i32).to_le_bytes()).collect()),
        ("U32", labels.iter().flat_map(|&l| (l as u32).to_le_bytes()).collect()),
        ("I64", labels.iter().flat_map(|&l| l.to_le_bytes()).collect()),
    ];
    for (dtype, label_bytes) in bytes_of {
        // Labels first, so that the images begin at an odd place.
        let (middle, end) = (label_bytes.len(), label_bytes.len() + 288);
        let header = format!(
            r#"{{"__metadata__":{{"classes":"12"}},"labels":{{"dtype":"{dtype}","shape":[3],"data_offsets":[0,{middle}]}},"images":{{"dtype":"F32","shape":[3,2,3,4],"data_offsets":[{middle},{end}]}}}}"#
        );
        let data = [label_bytes, pixels.iter().flat_map(|p| p.to_le_bytes()).collect()].concat();
        std::fs::write(&path, safetensors(&header, &data)).unwrap();
        let set = open(&path, Split::Train).unwrap();
        assert_eq!((set.len(), set.classes(), set.resident_bytes()), (3, 12, 12), "{dtype}");
        assert_eq!(set.shape(), ImageShape { channels: 2, height: 3, width: 4 });
        for (index, &label) in labels.iter().enumerate() {
            let (image, found) = read(set.as_ref(), index);
            assert_eq!(i64::from(found), label, "{dtype}");
            for (place, &value) in image.iter().enumerate() {
                let (position, channel) = (place / 2, place % 2);
                assert_eq!(value, pixels[index * 24 + channel * 12 + position]);
            }
        }
    }
}

#[test]
fn safetensors_splits_agree_on_the_classes() {
    let directory = tempfile::tempdir().unwrap();
    let train = ("train.safetensors", safetensors_bytes(8, 8));
    write(directory.path(), &[train, ("test.safetensors", safetensors_bytes(1, 8))]);
    let (train, test) =
        (open(directory.path(), Split::Train).unwrap(), open(directory.path(), Split::Test).unwrap());
    assert_pattern(train.as_ref(), 8, 8);
    assert_pattern(test.as_ref(), 1, 8);
    std::fs::remove_file(directory.path().join("test.safetensors")).unwrap();
    assert_error(open(directory.path(), Split::Test), ErrorKind::Format, &["test.safetensors", "found none"]);
}

#[test]
fn safetensors_says_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some.safetensors");
    let fails = |bytes: &[u8], words: &[&str]| {
        std::fs::write(&path, bytes).unwrap();
        let result = TensorFile::open(&path).map(|_| ());
        assert_error(result, ErrorKind::Format, &[&["some.safetensors"], words].concat());
    };
    let tensors = |images: &str, labels: &str, data: usize| {
        safetensors(&format!(r#"{{"images":{{{images}}},"labels":{{{labels}}}}}"#), &vec![200; data])
    };
    let good_images = r#""dtype":"U8","shape":[2,1,1,3],"data_offsets":[0,6]"#;
    let good_labels = r#""dtype":"U8","shape":[2],"data_offsets":[6,8]"#;
    std::fs::write(&path, tensors(good_images, good_labels, 8)).unwrap();
    assert_eq!(TensorFile::open(&path).unwrap().classes(), 201);

    fails(b"seven b", &["7 bytes"]);
    fails(&u64::MAX.to_le_bytes(), &["at most 0", "18446744073709551615"]);
    fails(&[&(2u64 << 20).to_le_bytes()[..], &vec![b' '; 2 << 20]].concat(), &["at most 1048576"]);
    fails(&safetensors("{]", &[]), &["header is broken"]);
    fails(&safetensors("{}", &[]), &["expected the tensors", "found []"]);
    fails(&tensors(good_images, good_labels, 7), &["promises 8", "holds 7"]);
    fails(&tensors(good_images, good_labels, 9), &["promises 8", "holds 9"]);
    fails(
        &tensors(r#""dtype":"U8","shape":[2,3],"data_offsets":[0,6]"#, good_labels, 8),
        &["[2, 3]", "[N, C, H, W]"],
    );
    fails(&tensors(r#""dtype":"I8","shape":[2,1,1,3],"data_offsets":[0,6]"#, good_labels, 8), &["I8"]);
    fails(
        &tensors(good_images, r#""dtype":"U8","shape":[3],"data_offsets":[6,9]"#, 9),
        &["[3]", "expected [2]"],
    );
    fails(&tensors(good_images, r#""dtype":"I8","shape":[2],"data_offsets":[6,8]"#, 8), &["`labels`", "I8"]);
    fails(
        &tensors(good_images, r#""dtype":"I32","shape":[2],"data_offsets":[6,14]"#, 14),
        &["label of sample 0", "negative or above 65535"],
    );
    let empty = r#""dtype":"U8","shape":[0,1,1,3],"data_offsets":[0,0]"#;
    fails(&tensors(empty, r#""dtype":"U8","shape":[0],"data_offsets":[0,0]"#, 0), &["none of them 0"]);
    for classes in ["200", "-1", "70000", "many", ""] {
        let header = format!(
            r#"{{"__metadata__":{{"classes":"{classes}"}},"images":{{{good_images}}},"labels":{{{good_labels}}}}}"#
        );
        fails(&safetensors(&header, &[200; 8]), &["metadata", "largest label, 200"]);
    }
}

#[test]
fn a_float_that_is_not_finite_is_an_error_when_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("set.safetensors");
    let header = r#"{"images":{"dtype":"F32","shape":[2,1,1,1],"data_offsets":[0,8]},"labels":{"dtype":"U8","shape":[2],"data_offsets":[8,10]}}"#;
    let data = [&1f32.to_le_bytes()[..], &f32::NAN.to_le_bytes(), &[0, 0]].concat();
    std::fs::write(&path, safetensors(header, &data)).unwrap();
    let set = TensorFile::open(&path).unwrap();
    assert_eq!(read(&set, 0).0, [1.0]);
    assert_error(set.read(1, &mut [0.0]), ErrorKind::Format, &["image 1", "not finite"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_set_larger_than_four_gibibytes_is_read_in_place() {
    use std::os::unix::fs::FileExt;
    const COUNT: u64 = 100_000;
    const IMAGE: u64 = 3 * 128 * 128;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.safetensors");
    let (end, total) = (COUNT * IMAGE, COUNT * IMAGE + COUNT);
    let header = format!(
        r#"{{"images":{{"dtype":"U8","shape":[{COUNT},3,128,128],"data_offsets":[0,{end}]}},"labels":{{"dtype":"U8","shape":[{COUNT}],"data_offsets":[{end},{total}]}}}}"#
    );
    let start = 8 + header.len() as u64;
    // A sparse file: it takes up no space but for what is written.
    let file = std::fs::File::create(&path).unwrap();
    file.write_all_at(&safetensors(&header, &[]), 0).unwrap();
    file.set_len(start + total).unwrap();
    file.write_all_at(&[255], start + end - 1).unwrap();
    file.write_all_at(&[4], start + total - 1).unwrap();
    let set = open(&path, Split::Train).unwrap();
    assert_eq!((set.len(), set.classes()), (COUNT as usize, 5));
    let (image, label) = read(set.as_ref(), COUNT as usize - 1);
    assert_eq!((image[image.len() - 1], image.iter().sum::<f32>(), label), (1.0, 1.0, 4));
}

#[test]
fn open_says_what_it_looked_for_and_what_it_found() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    assert_error(open(&at("absent"), Split::Train), ErrorKind::Io, &["absent"]);
    assert_error(open(directory.path(), Split::Train), ErrorKind::Format, &["train-images", "found nothing"]);
    write(directory.path(), &[("b.txt", vec![1]), ("a.txt", vec![])]);
    assert_error(
        open(directory.path(), Split::Train),
        ErrorKind::Format,
        &["CIFAR-10", "found a.txt, b.txt"],
    );
    assert_error(open(&at("a.txt"), Split::Train), ErrorKind::Format, &["a.txt", ".safetensors"]);
    write(directory.path(), &[("t10k-labels-idx1-ubyte", idx_labels(1))]);
    let words = ["train-images-idx3-ubyte.gz", "found neither"];
    assert_error(open(directory.path(), Split::Train), ErrorKind::Format, &words);
}

#[test]
fn reads_that_cannot_be_are_errors() {
    let set = Idx::from_bytes(&idx_images(3, 2, 2), &idx_labels(3), "set").unwrap();
    assert_error(set.read(3, &mut [0.0; 4]), ErrorKind::Config, &["sample 3", "has 3"]);
    assert_error(set.label(3), ErrorKind::Config, &["sample 3"]);
    assert_error(set.read(0, &mut [0.0; 5]), ErrorKind::Shape, &["2x2x1", "5"]);
    // A file that shrinks after it was opened.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("batch.bin");
    std::fs::write(&path, cifar10(0, 2)).unwrap();
    let set = Cifar::open(CifarKind::Cifar10, std::slice::from_ref(&path)).unwrap();
    std::fs::write(&path, cifar10(0, 1)).unwrap();
    assert_eq!(read(&set, 0).1, u32::from(label(0, 10)));
    assert_error(set.read(1, &mut vec![0.0; 3072]), ErrorKind::Io, &["batch.bin"]);
}

#[test]
fn a_subset_is_the_first_samples() {
    let whole = || Box::new(Idx::from_bytes(&idx_images(5, 2, 3), &idx_labels(5), "set").unwrap());
    assert_pattern(&Subset::first(whole(), 5).unwrap(), 5, 10);
    let two = Subset::first(whole(), 2).unwrap();
    assert_pattern(&two, 2, 10);
    assert_error(two.read(2, &mut [0.0; 6]), ErrorKind::Config, &["sample 2", "has 2"]);
    assert_error(two.label(2), ErrorKind::Config, &["sample 2"]);
    for limit in [0, 6, usize::MAX] {
        assert_error(
            Subset::first(whole(), limit).map(|_| ()),
            ErrorKind::Config,
            &[&limit.to_string(), "1 and the 5"],
        );
    }
}

#[test]
fn what_is_held_out_may_be_the_last_samples() {
    let whole: Arc<dyn Dataset> =
        Arc::new(Idx::from_bytes(&idx_images(5, 2, 3), &idx_labels(5), "set").unwrap());
    let [rest, held_out] = Subset::split_end(whole.clone(), 2).unwrap();
    assert_pattern(&rest, 3, 10);
    assert_eq!(held_out.len(), 2);
    for (index, place) in [(0, 3), (1, 4)] {
        assert_eq!(read(&held_out, index), read(&*whole, place));
        assert_eq!(held_out.label(index).unwrap(), whole.label(place).unwrap());
    }
    assert_error(held_out.label(2), ErrorKind::Config, &["sample 2", "has 2"]);
    for count in [0, 5, usize::MAX] {
        let split = Subset::split_end(whole.clone(), count).map(|_| ());
        assert_error(split, ErrorKind::Config, &[&count.to_string(), "held out"]);
    }
}

#[test]
fn safetensors_have_rows_of_labels_and_values() {
    let image = [1_u8, 2];
    let file = |dtype: &str, shape: &str, labels: &[u8]| {
        let end = 2 + labels.len();
        let header = format!(
            r#"{{"images":{{"dtype":"U8","shape":[2,1,1,1],"data_offsets":[0,2]}},"labels":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[2,{end}]}}}}"#
        );
        TensorFile::from_bytes(&safetensors(&header, &[&image, labels].concat()), "set")
    };
    let floats =
        |numbers: &[f32]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    for (dtype, shape, labels, kind, wanted) in [
        ("U8", "[2,3]", vec![1, 0, 1, 0, 0, 0], TargetKind::Labels, vec![1.0, 0.0, 1.0, 0.0, 0.0, 0.0]),
        ("F32", "[2,2]", floats(&[1.0, 0.0, 1.0, 1.0]), TargetKind::Labels, vec![1.0, 0.0, 1.0, 1.0]),
        ("F32", "[2,2]", floats(&[1.0, 0.5, -7.0, 1.0]), TargetKind::Values, vec![1.0, 0.5, -7.0, 1.0]),
        ("F32", "[2]", floats(&[1.0, 0.0]), TargetKind::Values, vec![1.0, 0.0]),
    ] {
        let set = file(dtype, shape, &labels).unwrap();
        assert_eq!((set.target_kind(), set.classes()), (kind, wanted.len() / 2));
        let mut row = vec![0.0; set.classes()];
        for (index, wanted) in wanted.chunks(set.classes()).enumerate() {
            set.target(index, &mut row).unwrap();
            assert_eq!(row, wanted);
            assert_eq!(set.label(index).unwrap(), 0);
        }
        assert!(set.target(2, &mut row).is_err() && set.target(0, &mut [0.0; 9]).is_err());
        // What tells one set from another sees the rows.
        let survey = Survey::of(&set).unwrap();
        let bytes = floats(&wanted);
        assert_eq!(survey.labels_checksum, crc32(&bytes));
    }
    let classes = file("U8", "[2,3]", &[0, 0, 1, 1, 0, 0]).unwrap();
    assert_eq!((classes.target_kind(), classes.classes()), (TargetKind::Class, 3));
    assert_eq!([classes.label(0).unwrap(), classes.label(1).unwrap()], [2, 0]);
    let wrong = ErrorKind::Format;
    assert_error(file("U8", "[2,2]", &[0, 1, 2, 0]), wrong, &["number 2 is 2", "values are F32"]);
    assert_error(file("F32", "[2,1]", &floats(&[0.0, f32::NAN])), wrong, &["number 1", "not finite"]);
    assert_error(file("U8", "[1,4]", &[0; 4]), wrong, &["[1, 4]", "or a row each"]);
}

#[test]
fn safetensors_splits_agree_on_what_rows_are() {
    let directory = tempfile::tempdir().unwrap();
    let file = |labels: &[u8]| {
        let header = r#"{"images":{"dtype":"U8","shape":[2,1,1,1],"data_offsets":[0,2]},"labels":{"dtype":"U8","shape":[2,2],"data_offsets":[2,6]}}"#;
        safetensors(header, &[&[7_u8, 9], labels].concat())
    };
    let single = file(&[0, 1, 1, 0]);
    for (other, kind) in [(file(&[1, 0, 1, 0]), TargetKind::Class), (file(&[1, 1, 0, 0]), TargetKind::Labels)]
    {
        write(directory.path(), &[("train.safetensors", single.clone()), ("test.safetensors", other)]);
        for split in [Split::Train, Split::Test] {
            assert_eq!(open(directory.path(), split).unwrap().target_kind(), kind);
        }
        let (train, mut row) = (open(directory.path(), Split::Train).unwrap(), [7.0; 2]);
        train.target(0, &mut row).unwrap();
        assert_eq!((row, train.label(0).unwrap()), ([0.0, 1.0], u32::from(kind == TargetKind::Class)));
    }
}

/// CRC-32 (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}
