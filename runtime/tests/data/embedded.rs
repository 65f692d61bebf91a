//! The data set that the command line program carries is what it claims to be.

use localgrad::data::idx::Idx;
use localgrad::data::{Dataset, ImageShape, Loader, LoaderConfig, Normalize, Split, open};
use std::path::PathBuf;
use std::sync::Arc;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../cli/data")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(name)).unwrap()
}

#[test]
fn counts_classes_and_sizes_are_right() {
    for (split, name, count) in [(Split::Train, "train", 5000), (Split::Test, "t10k", 1000)] {
        let set = open(&directory(), split).unwrap();
        assert_eq!((set.len(), set.classes()), (count, 10));
        assert_eq!(set.shape(), ImageShape { channels: 1, height: 28, width: 28 });
        assert_eq!(set.resident_bytes(), count * (28 * 28 + 1));
        let mut counts = [0; 10];
        for index in 0..count {
            counts[set.label(index).unwrap() as usize] += 1;
        }
        assert_eq!(counts, [count / 10; 10]);
        // Out of memory, as the program has it, it is the same.
        let images = file(&format!("{name}-images-idx3-ubyte.gz"));
        let labels = file(&format!("{name}-labels-idx1-ubyte.gz"));
        let carried = Idx::from_bytes(&images, &labels, "embedded").unwrap();
        let (mut a, mut b) = (vec![0.0; 784], vec![1.0; 784]);
        for index in (0..count).step_by(37) {
            assert_eq!(set.read(index, &mut a).unwrap(), carried.read(index, &mut b).unwrap());
            assert_eq!(a, b);
        }
    }
}

#[test]
fn the_files_are_small_and_licensed() {
    let entries = std::fs::read_dir(directory()).unwrap();
    let total: u64 = entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(total < 3_000_000, "{total} bytes");
    let licence = String::from_utf8(file("LICENSE-fashion-mnist")).unwrap();
    for words in
        ["MIT License", "2017 Zalando SE", "WITHOUT WARRANTY", "github.com/zalandoresearch/fashion-mnist"]
    {
        assert!(licence.contains(words), "{words}");
    }
}

#[test]
fn its_pixels_are_spread_as_those_of_the_whole_set() {
    let set: Arc<dyn Dataset> = open(&directory(), Split::Train).unwrap().into();
    let loader = Loader::new(set, Normalize::fashion(), LoaderConfig::evaluation(1000)).unwrap();
    let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
    for position in 0..loader.batches() {
        for x in loader.batch(0, position).unwrap().inputs.numbers().unwrap() {
            sum += f64::from(x);
            squares += f64::from(x) * f64::from(x);
            count += 1.0;
        }
    }
    // 5,000 images with a deviation of about 0.4 between their means: the error of the mean is 0.006.
    let mean = sum / count;
    let deviation = (squares / count - mean * mean).sqrt();
    assert!(mean.abs() < 0.02 && (deviation - 1.0).abs() < 0.02, "mean {mean}, deviation {deviation}");
}
