//! Files that are given to the program: what they say of themselves is used, and what is wrong with them is said.

use crate::common::program::{lines, path, told};
use localgrad::data::Normalize;
use localgrad::maps::{Map, Place};
use localgrad::weights::{self, Card, Weights};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// A safetensors file of tensors: name, type, shape, bytes.
fn tensors(parts: &[(&str, &str, &[usize], Vec<u8>)]) -> Vec<u8> {
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in parts {
        let start = data.len();
        data.extend(bytes);
        let offsets = [start, data.len()];
        let entry = serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets });
        header.insert((*name).into(), entry);
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

fn noise(count: usize) -> Vec<u8> {
    (0..count as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A data set of images of `shape` with these labels.
fn data(shape: [usize; 3], labels: &[u8]) -> Vec<u8> {
    let [channels, height, width] = shape;
    let count = labels.len();
    let images = noise(count * channels * height * width);
    tensors(&[
        ("images", "U8", &[count, channels, height, width], images),
        ("labels", "U8", &[count], labels.to_vec()),
    ])
}

const LABELS: [u8; 12] = [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2];

/// A directory with a data set to learn from and to be judged by.
fn write_data(directory: &Path) -> String {
    for name in ["train.safetensors", "test.safetensors"] {
        std::fs::write(directory.join(name), data([3, 16, 16], &LABELS)).unwrap();
    }
    path(directory, "")
}

const SMALL: [&str; 12] = [
    "--model",
    "resnet8",
    "--widths",
    "4,4,8,8",
    "--rule",
    "bp",
    "--batch",
    "6",
    "--threads",
    "1",
    "--epochs",
    "1",
];

fn train<'a>(data: &'a str, run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--data", data, "--out", run][..], &SMALL, more].concat()
}

#[test]
fn weights_say_what_they_need() {
    let directory = tempfile::tempdir().unwrap();
    let (set, run) = (write_data(directory.path()), path(directory.path(), "run"));
    told(&train(&set, &run, &["--normalize", "imagenet", "--class-names", "cat,dog,Äpfel"]), 0);
    let file = path(directory.path(), "w.safetensors");
    told(&["export", "--run", &run, "--out", &file, "--half"], 0);
    told(&["export", "--run", &run, "--out", &file], 0);
    let picture = path(directory.path(), "p.png");
    image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 7])).save(&picture).unwrap();
    let by_run = lines(&["predict", "--run", &run, &picture, "--json"]);
    assert_eq!(lines(&["predict", "--weights", &file, &picture, "--json"]), by_run);
    let names: Vec<&str> = by_run[0]["classes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|guess| guess["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"Äpfel"), "{names:?}");
    let judged = lines(&["eval", "--weights", &file, "--data", &set, "--json"]);
    assert_eq!(judged, lines(&["eval", "--run", &run, "--json"]));
    let [_, error] = told(&["eval", "--weights", &file, "--json"], 2);
    assert!(error.contains("1x28x28") && error.contains("3x16x16"), "{error}");

    // The same weights, as another program would have written them.
    let all = weights::read(Path::new(&file), |name| Some(name.into())).unwrap();
    let foreign = path(directory.path(), "foreign.safetensors");
    weights::write(Path::new(&foreign), &all, &Card::default(), false).unwrap();
    let model = ["--model", "resnet8", "--widths", "4,4,8,8"];
    let size = ["--input", "3x16x16", "--classes", "3"];
    for (more, needle) in [
        (&[][..], "--model"),
        (&model[..], "--input"),
        (&[&model[..], &size[..2]].concat(), "--classes"),
        (&[&model[..], &size].concat(), "--normalize"),
    ] {
        let [_, error] = told(&[&["predict", "--weights", &foreign, &picture], more].concat(), 2);
        assert!(error.contains(needle) && error.lines().count() == 1, "{error}");
    }
    let all_said = [&["predict", "--weights", &foreign, &picture, "--json"], &model[..], &size].concat();
    let bare = lines(&[&all_said[..], &["--normalize", "imagenet"]].concat());
    assert_eq!(bare[0]["classes"][0]["probability"], by_run[0]["classes"][0]["probability"]);
    assert!(bare[0]["classes"][0].get("name").is_none(), "{bare:?}");
    let [_, error] = told(&[&["eval", "--weights", &foreign, "--data", &set], &model[..]].concat(), 2);
    assert!(error.contains("--normalize"), "{error}");

    let tuned = path(directory.path(), "tuned");
    let more = ["--epochs", "1", "--batch", "6", "--rule", "bp", "--threads", "1", "--out", &tuned];
    let words = [&["finetune", "--data", &set, "--init", &file][..], &more].concat();
    told(&words, 0);
    let text = std::fs::read_to_string(Path::new(&tuned).join("run.json")).unwrap();
    let kept: Value = serde_json::from_str(&text).unwrap();
    let normalize: Normalize = serde_json::from_value(kept["normalize"].clone()).unwrap();
    assert_eq!(normalize, Normalize::imagenet());
    assert_eq!(kept["network"]["units"][0]["width"], 4);
    told(&["train", "--resume", "--out", &tuned, "--epochs", "2"], 0);
    let other = path(directory.path(), "other");
    let words =
        [&["finetune", "--data", &set, "--init", &foreign], &model[..], &more[..8], &["--out", &other]];
    let [_, error] = told(&words.concat(), 2);
    assert!(error.contains("--normalize") && !Path::new(&other).exists(), "{error}");
}

#[test]
fn names_of_elsewhere_are_known_or_shown() {
    let directory = tempfile::tempdir().unwrap();
    let (set, run) = (write_data(directory.path()), path(directory.path(), "run"));
    told(&train(&set, &run, &[]), 0);
    let ours = weights::read(&Path::new(&run).join("weights.safetensors"), |name| Some(name.into())).unwrap();
    let file = path(directory.path(), "w.safetensors");
    let eval = ["eval", "--weights", &file, "--data", &set, "--normalize", "half", "--model", "resnet8"];
    let eval = [&eval[..], &["--widths", "4,4,8,8", "--json"]].concat();
    let write = |prefix: &str, more: bool| {
        let mut weights: Weights =
            ours.iter().map(|(name, value)| (format!("{prefix}{name}"), value.clone())).collect();
        if more {
            weights.insert("epoch".into(), Map::new(vec![7.0], ()).unwrap());
        }
        weights::write(Path::new(&file), &weights, &Card::default(), false).unwrap();
    };
    write("", false);
    let right = lines(&eval);
    let prefixes =
        ["_orig_mod.", "_orig_mod.module.", "module.model.", "backbone.", "net.", "encoder.", "state_dict."];
    for prefix in prefixes {
        write(prefix, true);
        let [out, error] = told(&eval, 0);
        assert_eq!(serde_json::from_str::<Value>(out.trim()).unwrap(), right[0]);
        assert!(error.contains(&format!("'{prefix}'")) && error.contains("left out: epoch"), "{error}");
    }
    write("visual.trunk.", false);
    let [_, error] = told(&eval, 1);
    assert!(error.contains("visual.trunk.bn1.bias") && error.contains(" bn1.weight"), "{error}");
}

/// What timm's files are of is found out, told, and named where another network is asked for.
#[test]
fn a_network_is_known_by_the_names_of_timm() {
    let directory = tempfile::tempdir().unwrap();
    let (file, picture) = (path(directory.path(), "w.safetensors"), path(directory.path(), "p.png"));
    image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 7])).save(&picture).unwrap();
    let called = "mobilenetv3_small_100";
    let config =
        localgrad_models::ModelConfig { input: [3, 224, 224].into(), classes: 3, ..Default::default() };
    let spec = localgrad_models::network(called, &config).unwrap();
    let names = localgrad_models::timm::names(&spec);
    let mut model = localgrad::model::Model::new(spec, 0, &localgrad::Device::Cpu).unwrap();
    let ours = weights::of_model(&mut model).unwrap();
    let theirs: Weights = names.iter().map(|(theirs, own)| (theirs.clone(), ours[own].clone())).collect();
    assert_eq!(theirs.len(), ours.len());
    weights::write(Path::new(&file), &theirs, &Card::default(), false).unwrap();
    let found = &lines(&["inspect", "--weights", &file, "--json"])[0];
    assert_eq!(
        (&found["origin"], &found["model"], &found["classes"]),
        (&"timm".into(), &called.into(), &3.into())
    );
    let [text, _] = told(&["inspect", "--weights", &file], 0);
    assert!(text.trim_end().ends_with("timm, mobilenetv3_small_100, 3 classes"), "{text}");

    let predict = ["predict", "--weights", &file, &picture, "--json"];
    let size = ["--input", "3x224x224", "--classes", "3", "--normalize", "imagenet", "--model"];
    let [right, _] = told(&predict, 0);
    let [same, error] = told(&[&predict[..], &size, &[called]].concat(), 0);
    assert!(same == right && !error.contains("batch norms"), "{error}");
    let [other, error] = told(&[&predict[..], &size, &["mobilenet_v3_small"]].concat(), 0);
    assert!(other != right && error.contains("the network is mobilenetv3_small_100"), "{error}");

    let photos = directory.path().join("photos");
    for class in ["a", "b", "c"] {
        std::fs::create_dir_all(photos.join(class)).unwrap();
        for number in 0..5 {
            std::fs::copy(&picture, photos.join(class).join(format!("{number}.png"))).unwrap();
        }
    }
    let photos = path(directory.path(), "photos");
    let [out, error] = told(&["eval", "--weights", &file, "--data", &photos, "--json"], 0);
    assert_eq!(serde_json::from_str::<Value>(out.trim()).unwrap()["samples"], 15, "{out}");
    assert_eq!(error.matches("timm, mobilenetv3_small_100").count(), 1, "{error}");
    let tuned = path(directory.path(), "tuned");
    let tune =
        ["finetune", &photos, "--init", &file, "--train", "head", "--steps", "1", "--input", "3x32x32"];
    let [out, error] = told(&[&tune[..], &["--json", "--out", &tuned]].concat(), 0);
    assert_eq!(error.matches("timm, mobilenetv3_small_100").count(), 1, "{error}");
    let loaded = out.lines().find(|line| line.contains("\"loaded\"")).unwrap();
    let loaded: Value = serde_json::from_str(loaded).unwrap();
    assert_eq!(loaded["new"], serde_json::json!(["classifier.3.bias", "classifier.3.weight"]), "{loaded}");
}

#[test]
fn other_formats_are_told_by_their_first_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let torch = b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl";
    for (name, start, needle) in [
        ("w.pth", &torch[..], "PyTorch"),
        ("w.pt", b"\x80\x02}q\0.", "pickle"),
        ("w.safetensors", &torch[..], "PyTorch"),
        ("cifar.tar.gz", b"\x1f\x8b\x08\0\0\0\0\0", "unpack it"),
        ("train_32x32.mat", b"MATLAB 5.0 MAT-file, Platform: GLNXA64", "MATLAB"),
        ("t.parquet", b"PAR1\x15\x04\x15\x10", "Parquet"),
        ("t.npy", b"\x93NUMPY\x01\0v\0{'descr'", "NumPy"),
    ] {
        let file = path(directory.path(), name);
        std::fs::write(&file, start).unwrap();
        for words in [
            &["train", "--data", &file][..],
            &["eval", "--weights", &file],
            &["eval", "--weights", &file, "--model", "resnet8", "--normalize", "half"],
            &["finetune", "--init", &file],
        ] {
            let [_, error] = told(words, 1);
            assert!(error.contains(needle) && error.lines().count() == 1, "{words:?}: {error}");
        }
        let folder = tempfile::tempdir_in(directory.path()).unwrap();
        std::fs::write(folder.path().join(name), start).unwrap();
        if !name.ends_with(".safetensors") {
            let [_, error] = told(&["train", "--data", &path(folder.path(), "")], 1);
            assert!(error.contains(needle) && error.contains(name), "{error}");
        }
    }
}

#[test]
fn data_sets_that_do_not_fit_are_named_with_both_sides() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(directory.path().join(name), bytes).unwrap();
    let (set, run) = (path(directory.path(), ""), path(directory.path(), "run"));
    write("train.safetensors", data([3, 16, 16], &LABELS));
    let [_, error] = told(&train(&set, &run, &[]), 1);
    assert!(error.contains("test.safetensors") && error.contains("--hold-out"), "{error}");
    write("test.safetensors", data([1, 16, 16], &LABELS));
    let [_, error] = told(&train(&set, &run, &[]), 1);
    assert!(error.contains("train is 3x16x16, test 1x16x16"), "{error}");
    write("test.safetensors", data([3, 16, 16], &LABELS));
    let labels = [0_i64, 1, 2, 3, 60000].map(i64::to_le_bytes).concat();
    let stray = [("images", "U8", &[5, 3, 16, 16][..], noise(5 * 768)), ("labels", "I64", &[5], labels)];
    write("train.safetensors", tensors(&stray));
    let [_, error] = told(&train(&set, &run, &[]), 1);
    assert!(error.contains("60,001 classes of which 5 occur") && error.contains("sample 4"), "{error}");
    assert!(!Path::new(&run).exists());

    let floats: Vec<u8> =
        noise(12 * 768).into_iter().flat_map(|byte| f32::from(byte).to_le_bytes()).collect();
    let floats = [("images", "F32", &[12, 3, 16, 16][..], floats), ("labels", "U8", &[12], LABELS.to_vec())];
    write("train.safetensors", tensors(&floats));
    let [_, error] = told(&train(&set, &run, &[]), 0);
    assert!(error.contains("from 0 to 255") && error.contains("divide them by 255"), "{error}");
}

/// A data set of numbers, of images [3, 16, 16].
fn floats(labels: &[u8], number: impl Fn(u8) -> f32) -> Vec<u8> {
    let bytes = noise(labels.len() * 768).into_iter().flat_map(|byte| number(byte).to_le_bytes());
    let count = labels.len();
    tensors(&[
        ("images", "F32", &[count, 3, 16, 16], bytes.collect()),
        ("labels", "U8", &[count], labels.to_vec()),
    ])
}

#[test]
fn images_that_are_not_as_those_before_are_warned_of_wherever_they_are_judged() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(directory.path().join(name), bytes).unwrap();
    let (set, run) = (path(directory.path(), ""), path(directory.path(), "run"));
    write("train.safetensors", data([3, 16, 16], &LABELS));
    write("test.safetensors", floats(&LABELS, f32::from));
    let [_, error] = told(&train(&set, &run, &[]), 0);
    assert!(error.contains("to be judged hold numbers from 0 to 255"), "{error}");
    for command in ["eval", "predict"] {
        let [_, error] = told(&[command, "--run", &run, "--data", &set], 0);
        assert!(error.contains("from 0 to 255") && error.contains("divide them by 255"), "{error}");
    }
    for (number, needle) in [
        ((|byte| f32::from(byte) / 255.0 / 255.0) as fn(u8) -> f32, "divided by 255 twice"),
        (|_| 0.25, "hold one number, 0.25"),
        (|byte| f32::from(byte) / 64.0 - 2.0, "--normalize identity"),
    ] {
        write("test.safetensors", floats(&LABELS, number));
        let [_, error] = told(&["eval", "--run", &run, "--data", &set], 0);
        assert!(error.contains(needle), "{error}");
    }
    write("test.safetensors", floats(&LABELS, |byte| f32::from(byte) / 255.0));
    let [_, error] = told(&["eval", "--run", &run, "--data", &set], 0);
    assert!(!error.contains("warn"), "{error}");
}

#[test]
fn classes_that_are_judged_and_never_learnt_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(directory.path().join(name), bytes).unwrap();
    let set = path(directory.path(), "");
    write("train.safetensors", data([3, 16, 16], &[0, 1, 0, 1, 0, 1]));
    write("test.safetensors", data([3, 16, 16], &[0, 1, 2, 3]));
    let [_, error] = told(&train(&set, &path(directory.path(), "run"), &[]), 0);
    assert!(
        error.contains("2 of the classes to be judged, such as 2, occur in no sample to learn from"),
        "{error}"
    );
    write("train.safetensors", data([3, 16, 16], &[0, 1, 2, 250, 1, 2]));
    let [_, error] = told(&train(&set, &path(directory.path(), "more"), &[]), 0);
    assert!(error.contains("251 classes of which 5 occur"), "{error}");
    assert!(error.contains("250, in train's sample 3"), "{error}");
}

#[test]
fn labels_that_count_up_from_1_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(directory.path().join(name), bytes).unwrap();
    let set = path(directory.path(), "");
    let cases = [([1, 2, 3, 1, 2, 3], true), ([0, 1, 2, 0, 1, 2], false), ([1, 3, 3, 1, 3, 3], false)];
    for (case, (labels, is_told)) in cases.into_iter().enumerate() {
        write("train.safetensors", data([3, 16, 16], &labels));
        write("test.safetensors", data([3, 16, 16], &labels));
        let [_, error] = told(&train(&set, &path(directory.path(), &format!("run{case}")), &[]), 0);
        assert_eq!(error.contains("no sample has the label 0, and all of 1 to 3 occur"), is_told, "{error}");
    }
}

#[test]
fn answers_that_are_no_numbers_are_no_answers() {
    let directory = tempfile::tempdir().unwrap();
    let (set, run) = (write_data(directory.path()), path(directory.path(), "run"));
    told(&train(&set, &run, &[]), 0);
    let place = Path::new(&run).join("weights.safetensors");
    let card = weights::read_card(&place).unwrap();
    let mut spoiled = weights::read(&place, |name| Some(name.into())).unwrap();
    // Each is a number; what comes of them is none.
    for name in ["bn1.running_mean", "layer1.0.bn1.running_mean"] {
        let spoiled_mean = Place::Host.full(spoiled[name].dims(), -3e38).unwrap();
        spoiled.insert(name.into(), spoiled_mean);
    }
    let file = path(directory.path(), "spoiled.safetensors");
    weights::write(Path::new(&file), &spoiled, &card, false).unwrap();
    let [out, error] = told(&["eval", "--weights", &file, "--data", &set, "--json"], 1);
    assert!(out.is_empty() && error.contains("no finite number"), "{error}");
    let [_, error] = told(&["predict", "--weights", &file, "--data", &set], 1);
    assert!(error.contains("sample 0: the network answers"), "{error}");
    let picture = path(directory.path(), "a.png");
    image::RgbImage::new(9, 9).save(&picture).unwrap();
    let [out, error] = told(&["predict", "--weights", &file, &picture, "--json"], 1);
    assert!(error.contains("a.png: the network answers") && out.contains("\"event\":\"error\""), "{error}");
    // Training goes by the batch's statistics, and says what its evaluations gave.
    let on = path(directory.path(), "on");
    let [out, error] = told(&train(&set, &on, &["--init", &file, "--json", "--keep-best"]), 0);
    assert!(error.contains("the evaluation of epoch 1: the network answers"), "{error}");
    assert!(out.contains("\"event\":\"warning\""), "{out}");
    assert!(!Path::new(&on).join("weights-best.safetensors").exists());
}

#[test]
fn other_pixels_are_noticed_when_a_run_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (set, run) = (write_data(directory.path()), path(directory.path(), "run"));
    told(&train(&set, &run, &[]), 0);
    let file = Path::new(&set).join("train.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let before = bytes.clone();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    bytes[8 + header + 700] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let on = ["train", "--resume", "--out", &run, "--epochs", "2"];
    let [_, error] = told(&on, 2);
    assert!(error.contains("the images are not those that it began with"), "{error}");
    std::fs::write(&file, before).unwrap();
    told(&on, 0);
    std::fs::remove_dir_all(Path::new(&run).join("checkpoint")).unwrap();
    let [_, error] = told(&["train", "--resume", "--out", &run, "--epochs", "3"], 0);
    assert!(error.contains("holds no checkpoint"), "{error}");
}

#[test]
fn runs_started_at_once_get_directories_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let set = write_data(directory.path());
    let start = |seed: usize| {
        Command::new(env!("CARGO_BIN_EXE_localgrad"))
            .args(["train", "--data", &set, "--seed", &seed.to_string()])
            .args(SMALL)
            .current_dir(directory.path())
            .output()
            .unwrap()
    };
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..6).map(|seed| scope.spawn(move || start(seed))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(outputs.iter().all(|output| output.status.success()));
    let mut seeds: Vec<u64> = (1..=6)
        .map(|number| {
            let run = directory.path().join(format!("runs/{number}"));
            let file: Value =
                serde_json::from_str(&std::fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
            let records = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
            let start: Value = serde_json::from_str(records.lines().next().unwrap()).unwrap();
            assert_eq!(start["seed"], file["train"]["seed"]);
            file["train"]["seed"].as_u64().unwrap()
        })
        .collect();
    seeds.sort_unstable();
    assert_eq!(seeds, [0, 1, 2, 3, 4, 5]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_no_success() {
    let directory = tempfile::tempdir().unwrap();
    let (set, run) = (write_data(directory.path()), path(directory.path(), "run"));
    told(&train(&set, &run, &[]), 0);
    let picture = path(directory.path(), "p.png");
    image::RgbImage::from_pixel(16, 16, image::Rgb([1, 2, 3])).save(&picture).unwrap();
    let weights = path(Path::new(&run), "weights.safetensors");
    let (one, two) = (path(directory.path(), "1"), path(directory.path(), "2"));
    let commands: [&[&str]; 14] = [
        &["predict", "--weights", &weights, &picture],
        &["predict", "--weights", &weights, &picture, "--json"],
        &["predict", "--run", &run],
        &["eval", "--run", &run],
        &["eval", "--run", &run, "--json"],
        &["inspect", "--model", "resnet8"],
        &["inspect", "--model", "resnet8", "--spec"],
        &["plan", "--model", "resnet8", "--batch", "4"],
        &["devices"],
        &["report", "--run", &run],
        &["--help"],
        &["train", "--help"],
        &train(&set, &one, &[]),
        &train(&set, &two, &["--json"]),
    ];
    for words in commands {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_localgrad")).args(words).stdout(full).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {error}");
        assert!(error.contains("standard output could not be written"), "{words:?}: {error}");
        // Whoever went away has had enough.
        let mut child = Command::new(env!("CARGO_BIN_EXE_localgrad"))
            .args(words.iter().map(|word| if *word == one || *word == two { "/dev/null/none" } else { word }))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let status = child.wait().unwrap();
        assert!(status.code().is_some_and(|code| code == 0 || words[0] == "train"), "{words:?}: {status}");
        // Nor does a full standard error end in a panic.
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let nonsense = Command::new(env!("CARGO_BIN_EXE_localgrad"))
            .args(["eval", "--run", &picture])
            .stderr(full)
            .output()
            .unwrap();
        assert_eq!(nonsense.status.code(), Some(2));
    }
    // A device is no place for a file that is replaced by renaming.
    let [_, error] = told(&["export", "--run", &run, "--out", "/dev/full"], 1);
    assert!(error.contains("/dev/full"), "{error}");
}

/// Before there were VGGs without batch norm, those with it had the names of these: their files are understood by both.
#[test]
fn weights_of_a_vgg_are_found_by_the_name_that_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let file = path(directory.path(), "before.safetensors");
    let config =
        localgrad_models::ModelConfig { input: [3, 16, 16].into(), classes: 3, ..Default::default() };
    let mut spec = localgrad_models::network("vgg11_bn", &config).unwrap();
    spec.name = "vgg11".into();
    let mut model = localgrad::model::Model::new(spec.clone(), 0, &localgrad::Device::Cpu).unwrap();
    let card = Card::of(&spec, &Normalize::half(3), &[]);
    weights::write_network(Path::new(&file), &mut model, &card, false).unwrap();
    let set = write_data(directory.path());
    let eval = ["eval", "--weights", &file, "--data", &set, "--json"];
    let found = lines(&eval);
    for name in ["vgg11", "vgg11_bn"] {
        assert_eq!(lines(&[&eval[..], &["--model", name]].concat()), found, "{name}");
    }
    let [_, error] = told(&[&eval[..], &["--model", "vgg13"]].concat(), 1);
    assert!(error.contains("features.") && error.contains("vgg13_bn has"), "{error}");
}

/// And their runs go on by the words that they began with.
#[test]
fn a_run_of_a_vgg_goes_on_by_the_name_that_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let (set, run) = (write_data(directory.path()), path(directory.path(), "run"));
    let config =
        localgrad_models::ModelConfig { input: [3, 16, 16].into(), classes: 3, ..Default::default() };
    let mut spec = localgrad_models::network("vgg11_bn", &config).unwrap();
    spec.name = "vgg11".into();
    let file = path(directory.path(), "vgg11.json");
    std::fs::write(&file, serde_json::to_string(&spec).unwrap()).unwrap();
    let words = ["train", "--data", &set, "--model", &file, "--batch", "6", "--lr", "0.01", "--json"];
    told(&[&words[..], &["--steps", "1", "--out", &run]].concat(), 0);
    let run_file = Path::new(&run).join("run.json");
    let text = std::fs::read_to_string(&run_file).unwrap();
    assert!(text.contains(&file), "{text}");
    std::fs::write(&run_file, text.replace(&file, "vgg11")).unwrap();
    for steps in 2..4 {
        let words = ["train", "--resume", "--out", &run, "--steps", &steps.to_string(), "--json"];
        assert_eq!(lines(&words).last().unwrap()["steps"], steps);
    }
}
