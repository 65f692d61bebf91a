//! What the README says to type for published data sets, on small files of their formats.

use crate::common::program::{localgrad, records};
use crate::made::matlab::svhn;
use crate::made::{gzipped, picture, tar, written};
use std::path::Path;

const README: &str = include_str!("../../../README.md");
/// Before the commands, and behind them.
const PUBLISHED: [&str; 2] = ["### Published data sets", "\n#"];

/// The commands of the README for published data sets, as words.
fn commands() -> Vec<Vec<&'static str>> {
    let [begin, end] = PUBLISHED;
    let section = README.split(begin).nth(1).unwrap().split(end).next().unwrap();
    let commands = section.lines().filter_map(|line| line.strip_prefix("    localgrad "));
    commands.map(|line| line.split_whitespace().collect()).collect()
}

fn noise(count: usize) -> Vec<u8> {
    (0..count as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// The data sets as they are distributed, but for the number of their samples.
fn write_all(here: &Path) {
    let record = |label: u8| [&[label / 5, label][..], &noise(3072)].concat();
    let names = (0..100).map(|class| format!("class {class}\n")).collect::<String>().into_bytes();
    let cifar = [
        ("cifar-100-binary/train.bin", (0..100).flat_map(record).collect()),
        ("cifar-100-binary/test.bin", (0..8).flat_map(record).collect()),
        ("cifar-100-binary/fine_label_names.txt", names),
    ];
    written(here, "cifar-100-binary.tar.gz", &gzipped(&tar(&cifar)));
    let byte = |image, row, column, channel| (image * 31 + row * 7 + column * 3 + channel * 101) as u8;
    written(here, "SVHN/train_32x32.mat", &svhn(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], true, byte));
    written(here, "SVHN/test_32x32.mat", &svhn(&[10, 1, 2], true, byte));
    let stl = [
        ("stl10_binary/train_X.bin", noise(10 * 3 * 96 * 96)),
        ("stl10_binary/train_y.bin", (1..=10).collect()),
        ("stl10_binary/test_X.bin", noise(2 * 3 * 96 * 96)),
        ("stl10_binary/test_y.bin", vec![10, 1]),
    ];
    written(here, "stl10_binary.tar.gz", &gzipped(&tar(&stl)));
    for (class, shade) in [("n01440764", 10), ("n01530575", 90)] {
        for number in 0..6 {
            let name = format!("imagenet/train/{class}/{class}_{number}.JPEG");
            written(here, &name, &picture(shade + number));
        }
    }
    for number in 1..=3 {
        let name = format!("imagenet/val/ILSVRC2012_val_0000000{number}.JPEG");
        written(here, &name, &picture(20 * number));
    }
    let list = "imagenet/imagenet_2012_validation_synset_labels.txt";
    written(here, list, b"n01440764\nn01530575\nn01440764\n");
}

#[test]
fn published_data_sets_are_trained_as_the_readme_says() {
    let directory = tempfile::tempdir().unwrap();
    write_all(directory.path());
    let commands = commands();
    assert_eq!(commands.len(), 4);
    for (words, [classes, samples]) in commands.iter().zip([[100, 100], [10, 10], [10, 10], [2, 12]]) {
        // All but the length is as it is there.
        let short = ["--steps", "1", "--threads", "1", "--batch", "4", "--json"];
        let (code, out, error) = localgrad(directory.path(), &[&words[..], &short].concat());
        assert_eq!(code, Some(0), "{words:?}: {error}");
        let told = records(&out);
        let start = told.iter().find(|record| record["event"] == "start").unwrap();
        assert_eq!([&start["classes"], &start["samples"]], [classes, samples], "{words:?}");
        assert!(told.last().unwrap()["accuracy"].is_number(), "{words:?}");
    }
}
