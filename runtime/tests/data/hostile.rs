//! No damage to a file makes reading panic, and damage that can be seen is never accepted.

use crate::files::*;
use localgrad::data::cifar::{Cifar, CifarKind};
use localgrad::data::idx::Idx;
use localgrad::data::safetensors::TensorFile;
use localgrad::data::{Dataset, Split, open};
use localgrad::{ErrorKind, Result};
use proptest::prelude::*;

/// Reads all of a data set that was accepted; errors are fine, labels out of range are not.
fn exhaust(set: Result<impl Dataset>) -> bool {
    let Ok(set) = set else { return false };
    let mut pixels = vec![0.0; set.shape().elements()];
    for index in 0..set.len() {
        if let Ok(label) = set.read(index, &mut pixels) {
            assert!((label as usize) < set.classes());
            assert!(pixels.iter().all(|pixel| pixel.is_finite()));
        }
    }
    true
}

fn in_file(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.safetensors");
    std::fs::write(&path, bytes).unwrap();
    (directory, path)
}

/// Every version of `bytes` with one bit changed.
fn flips(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

#[test]
fn no_truncated_or_lengthened_file_is_accepted() {
    let (images, labels) = (idx_images(3, 2, 3), idx_labels(3));
    for pack in [<[u8]>::to_vec as fn(&[u8]) -> Vec<u8>, gz] {
        let (images, labels) = (pack(&images), pack(&labels));
        assert!(exhaust(Idx::from_bytes(&images, &labels, "whole")));
        for len in 0..images.len() {
            assert!(!exhaust(Idx::from_bytes(&images[..len], &labels, "cut")), "images cut to {len}");
        }
        for len in 0..labels.len() {
            assert!(!exhaust(Idx::from_bytes(&images, &labels[..len], "cut")), "labels cut to {len}");
        }
        for byte in [0, 0x1f, 0xff] {
            assert!(!exhaust(Idx::from_bytes(&[&images[..], &[byte]].concat(), &labels, "long")));
            assert!(!exhaust(Idx::from_bytes(&images, &[&labels[..], &[byte]].concat(), "long")));
        }
    }
    let bytes = safetensors_bytes(4, 9);
    for len in 0..bytes.len() + 2 {
        let mut changed = bytes.clone();
        changed.resize(len, b' ');
        let (_directory, path) = in_file(&changed);
        assert_eq!(exhaust(TensorFile::open(&path)), len == bytes.len(), "safetensors of {len} bytes");
    }
    for (kind, bytes) in [(CifarKind::Cifar10, cifar10(0, 2)), (CifarKind::Cifar100, cifar100(2))] {
        let (_directory, path) = in_file(&bytes);
        assert!(exhaust(Cifar::open(kind, std::slice::from_ref(&path))));
        for len in (0..bytes.len()).step_by(61).chain([bytes.len() - 1, bytes.len() / 2 + 1]) {
            std::fs::write(&path, &bytes[..len]).unwrap();
            assert!(!exhaust(Cifar::open(kind, std::slice::from_ref(&path))), "cut to {len}");
        }
    }
}

#[test]
fn no_flipped_bit_panics() {
    let (images, labels) = (idx_images(3, 2, 3), idx_labels(3));
    for flipped in flips(&images) {
        exhaust(Idx::from_bytes(&flipped, &labels, "flipped"));
    }
    for flipped in flips(&labels) {
        exhaust(Idx::from_bytes(&images, &flipped, "flipped"));
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.safetensors");
    for flipped in flips(&safetensors_bytes(3, 5)) {
        std::fs::write(&path, &flipped).unwrap();
        exhaust(TensorFile::open(&path));
    }
}

#[test]
fn a_flipped_bit_in_gzip_is_an_error_or_changes_nothing() {
    let (images, labels) = (idx_images(4, 5, 5), gz(&idx_labels(4)));
    let mut accepted = 0;
    for flipped in flips(&gz(&images)) {
        // Without its magic number it is no gzip file, and no IDX file either.
        if let Ok(set) = Idx::from_bytes(&flipped, &labels, "flipped") {
            assert_pattern(&set, 4, 10);
            accepted += 1;
        }
    }
    // Time stamp, extra flags and system, which mean nothing for the content: 6 bytes at most, and a text flag.
    assert!(accepted <= 6 * 8 + 8, "{accepted}");
}

#[cfg(unix)]
#[test]
fn what_is_not_a_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("folder.safetensors");
    std::fs::create_dir(&path).unwrap();
    assert_eq!(TensorFile::open(&path).map(|_| ()).unwrap_err().kind(), ErrorKind::Format);
    assert!(open(std::path::Path::new("/dev/null"), Split::Train).is_err());
    let link = directory.path().join("null.safetensors");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    assert_eq!(open(&link, Split::Train).map(|_| ()).unwrap_err().kind(), ErrorKind::Format);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in 0..4) {
        let prefix: &[u8] = match magic {
            0 => &[],
            1 => &[0, 0, 8, 3, 0, 0, 0],
            2 => &[0x1f, 0x8b, 8],
            _ => &[24, 0, 0, 0, 0, 0, 0, 0],
        };
        let bytes = [prefix, &bytes].concat();
        exhaust(Idx::from_bytes(&bytes, &idx_labels(1), "random"));
        exhaust(Idx::from_bytes(&idx_images(1, 1, 1), &bytes, "random"));
        exhaust(Idx::from_bytes(&gz(&bytes), &gz(&bytes), "random"));
        let (_directory, path) = in_file(&bytes);
        exhaust(TensorFile::open(&path));
        exhaust(Cifar::open(CifarKind::Cifar10, std::slice::from_ref(&path)));
    }

    #[test]
    fn no_safetensors_header_panics(
        sizes in prop::collection::vec(prop_oneof![0u64..5, Just(u64::MAX), Just(1 << 32)], 0..6),
        dtype in prop::sample::select(vec!["U8", "F32", "I64", "F4", "BOOL", "none"]),
        offsets in prop::array::uniform4(prop_oneof![0u64..40, Just(u64::MAX), Just(1 << 63)]),
        count in 0u64..5,
        data in 0usize..60,
    ) {
        let [a, b, c, d] = offsets;
        let header = format!(
            r#"{{"images":{{"dtype":"{dtype}","shape":{sizes:?},"data_offsets":[{a},{b}]}},"labels":{{"dtype":"{dtype}","shape":[{count}],"data_offsets":[{c},{d}]}}}}"#
        );
        let (_directory, path) = in_file(&safetensors(&header, &vec![1; data]));
        exhaust(TensorFile::open(&path));
    }

    #[test]
    fn no_change_to_a_cifar_file_panics(changes in prop::collection::vec((0usize..6148, any::<u8>()), 1..6)) {
        let mut bytes = cifar100(2);
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        let (_directory, path) = in_file(&bytes);
        exhaust(Cifar::open(CifarKind::Cifar100, std::slice::from_ref(&path)));
    }
}
