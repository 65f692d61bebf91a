//! From lists with several labels, and arrays with values, to networks that answer so; and samples that are mixed.

use crate::common::program::{localgrad, records};
use crate::made::npy;
use image::{Rgb, RgbImage};
use serde_json::Value;
use std::path::Path;

fn last<'a>(records: &'a [Value], event: &str) -> &'a Value {
    records.iter().rfind(|record| record["event"] == event).unwrap()
}

/// 24 pictures, red in the first half of the bits of their numbers and blue in the second, and their list.
fn write_pictures(folder: &Path, row: impl Fn(u8, u8) -> String, heading: &str) {
    let mut list = format!("{heading}\n");
    for number in 0..24_u8 {
        let (red, blue) = (number % 2, number / 2 % 2);
        let picture = RgbImage::from_fn(32, 32, |x, y| {
            Rgb([40 + 170 * red, 90, 40 + 170 * blue].map(|shade| shade + ((x + y) as u8 + number) % 20))
        });
        picture.save(folder.join(format!("{number}.png"))).unwrap();
        list += &format!("{number}.png,{}\n", row(red, blue));
    }
    std::fs::write(folder.join("list.csv"), list).unwrap();
}

const SMALL: [&str; 14] = [
    "--model",
    "resnet8",
    "--widths",
    "4,4,8,8",
    "--epochs",
    "12",
    "--lr",
    "0.05",
    "--blocks",
    "2",
    "--threads",
    "1",
    "--no-augment",
    "--json",
];

fn train(here: &Path, words: &[&str]) -> Vec<Value> {
    let (code, out, error) = localgrad(here, &[&["train"], words, &SMALL].concat());
    assert_eq!(code, Some(0), "{error}");
    records(&out)
}

#[test]
fn several_labels_are_learnt_judged_and_predicted() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let labels = |red, blue| match (red, blue) {
        (1, 1) => "red;blue".to_string(),
        (1, _) => "red".into(),
        (_, 1) => "blue".into(),
        _ => String::new(),
    };
    write_pictures(here, labels, "path,label");
    let told = train(here, &["list.csv", "--out", "run"]);
    let done = last(&told, "done");
    assert_eq!(done["metric"], "label_accuracy");
    let shares = &done["metrics"];
    assert!(shares["label_accuracy"].as_f64().unwrap() > 0.6, "{done}");
    assert!(shares["mean_precision"].is_number() && shares["mean_recall"].is_number());
    assert!(last(&told, "epoch")["metrics"]["label_accuracy"].is_number());
    let (code, out, error) = localgrad(here, &["eval", "--run", "run", "--json"]);
    assert_eq!(code, Some(0), "{error}");
    let found = &records(&out)[0];
    assert!(found["accuracy"].is_null() && found["metric"] == "label_accuracy", "{found}");
    let names: Vec<&str> =
        found["classes"].as_array().unwrap().iter().map(|class| class["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["blue", "red"]);
    // Each label has a probability of its own.
    let weights = "run/weights.safetensors";
    let (code, out, error) = localgrad(here, &["predict", "--weights", weights, "3.png", "0.png", "--json"]);
    assert_eq!(code, Some(0), "{error}");
    let of = |record: &Value| -> Vec<f64> {
        record["classes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|guess| guess["probability"].as_f64().unwrap())
            .collect()
    };
    let (both, none) = (of(&records(&out)[0]), of(&records(&out)[1]));
    assert!(both.iter().sum::<f64>() > none.iter().sum::<f64>(), "{both:?} {none:?}");
    let report = std::fs::read_to_string(here.join("run/report.html")).unwrap();
    assert!(report.contains("Label accuracy") && report.contains("Recall of each label"));
    // What compares classes is refused.
    let (code, _, error) = localgrad(here, &["train", "list.csv", "--rule", "predsim", "--blocks", "2"]);
    assert!(code != Some(0) && error.contains("compare the classes of samples"), "{error}");
    let (code, _, error) = localgrad(here, &["train", "list.csv", "--class-weights", "balanced"]);
    assert!(code != Some(0) && error.contains("one class a sample"), "{error}");
    let (code, _, error) = localgrad(here, &["train", "list.csv", "--mixup", "0.2"]);
    assert!(code != Some(0) && error.contains("these have labels"), "{error}");
}

#[test]
fn values_are_learnt_and_a_run_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write_pictures(
        here,
        |red, blue| format!("{},{}", 2.5 * f32::from(red), -f32::from(blue)),
        "path,warm,cold",
    );
    let told = train(here, &["list.csv", "--huber", "1", "--out", "run"]);
    let done = last(&told, "done");
    let error = done["metrics"]["mean_absolute_error"].as_f64().unwrap();
    assert!(error < 1.0 && done["accuracy"].is_null() && done["best_accuracy"].is_null(), "{done}");
    assert!(done["metrics"]["root_mean_square_error"].as_f64().unwrap() >= error);
    let (code, out, fault) = localgrad(here, &["predict", "--run", "run", "1.png", "--json"]);
    assert_eq!(code, Some(0), "{fault}");
    let values = &records(&out)[0]["values"];
    assert_eq!([&values[0]["name"], &values[1]["name"]], ["warm", "cold"]);
    assert!(values[0]["value"].is_number());
    let report = std::fs::read_to_string(here.join("run/report.html")).unwrap();
    assert!(report.contains("Mean absolute error after each epoch"));
    // Nothing is left to do, and what was found is told again.
    let (code, out, fault) = localgrad(here, &["train", "--resume", "--out", "run", "--json"]);
    assert_eq!(code, Some(0), "{fault}");
    assert_eq!(last(&records(&out), "done")["metrics"], done["metrics"]);
    let (code, _, fault) = localgrad(here, &["train", "--huber", "1", "--limit", "50", "--epochs", "1"]);
    assert!(code == Some(2) && fault.contains("--huber is for data with values"), "{fault}");
}

#[test]
fn a_run_of_labels_that_goes_on_shows_its_whole_curve() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write_pictures(here, |red, _| if red == 1 { "red;all".into() } else { "all".into() }, "path,label");
    let begun =
        [&["train", "list.csv", "--out", "run"], &SMALL[..4], &SMALL[6..], &["--epochs", "2"]].concat();
    for words in [&begun[..], &["train", "--resume", "--out", "run", "--epochs", "5"]] {
        let (code, _, error) = localgrad(here, words);
        assert_eq!(code, Some(0), "{error}");
    }
    let metrics = std::fs::read_to_string(here.join("run/metrics.jsonl")).unwrap();
    let epochs: Vec<Value> =
        records(&metrics).into_iter().filter(|record| record["event"] == "epoch").collect();
    assert_eq!(epochs.len(), 5);
    for record in &epochs {
        let shares = record["metrics"].as_object().unwrap();
        let is_share =
            |share: &Value| share.as_f64().is_some_and(|share| share.is_sign_positive() && share <= 1.0);
        assert!(shares.len() == 3 && shares.values().all(is_share), "{record}");
    }
    let report = std::fs::read_to_string(here.join("run/report.html")).unwrap();
    let (_, chart) = report.split_once("Label accuracy after each epoch").unwrap();
    let (_, points) = chart.split_once("<polyline class=\"line\"").unwrap();
    let points = points.split("points=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(points.split(' ').count(), 5, "{points}");
}

#[test]
fn mixed_samples_repeat_and_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write_pictures(here, |red, blue| if red > blue { "warm".into() } else { "cold".into() }, "path,label");
    let words = ["list.csv", "--mixup", "0.3", "--cutmix", "1", "--schedule", "constant"];
    let told = train(here, &[&words[..], &["--out", "whole"]].concat());
    assert!(last(&told, "done")["accuracy"].as_f64().unwrap() >= 0.5);
    let (code, _, error) = localgrad(
        here,
        &[&["train"], &words[..], &SMALL[..4], &SMALL[6..], &["--epochs", "6", "--out", "half"]].concat(),
    );
    assert_eq!(code, Some(0), "{error}");
    let (code, _, error) = localgrad(here, &["train", "--resume", "--out", "half", "--mixup", "0.5"]);
    assert!(code != Some(0) && error.contains("loader.blend.mixup was 0.3"), "{error}");
    let (code, _, error) = localgrad(here, &["train", "--resume", "--out", "half", "--epochs", "12"]);
    assert_eq!(code, Some(0), "{error}");
    let bytes = |run: &str| std::fs::read(here.join(run).join("weights.safetensors")).unwrap();
    assert!(bytes("whole") == bytes("half"), "a run that went on is another");
    let (code, _, error) = localgrad(here, &["train", "list.csv", "--cutmix", "0"]);
    assert!(code != Some(0) && error.contains("cutmix takes a number above 0"), "{error}");
}

#[test]
fn plans_and_measurements_know_objectives() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let model = ["--model", "resnet8", "--widths", "4,4,8,8", "--input", "3x16x16", "--classes", "3"];
    let told = |words: &[&str]| localgrad(here, &[words, &model].concat());
    for objective in ["labels", "values"] {
        let (code, out, error) = told(&["inspect", "--objective", objective, "--spec"]);
        assert_eq!(code, Some(0), "{error}");
        let spec: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(spec["objective"], objective);
        let (code, out, error) = told(&["plan", "--objective", objective, "--batch", "8", "--json"]);
        assert_eq!(code, Some(0), "{error}");
        assert!(records(&out).iter().any(|record| record["event"] == "planned"));
        let (code, _, error) =
            told(&["plan", "--objective", objective, "--rule", "predsim", "--blocks", "2"]);
        assert!(code != Some(0) && error.contains("compare the classes of samples"), "{error}");
        // By its name, and by a description that says it itself.
        std::fs::write(here.join("net.json"), spec.to_string()).unwrap();
        let steps = ["--batch", "4", "--steps", "1", "--threads", "1", "--json"];
        let by_name = told(&[&["bench", "--objective", objective][..], &steps].concat());
        let described = ["bench", "--model", "net.json", "--input", "3x16x16"];
        for (code, out, error) in [by_name, localgrad(here, &[&described[..], &steps].concat())] {
            assert_eq!(code, Some(0), "{error}");
            assert!(last(&records(&out), "bench")["loss"].is_number(), "{out}");
        }
    }
    let (code, _, error) = told(&["plan", "--objective", "values", "--huber", "0.5", "--batch", "8"]);
    assert_eq!(code, Some(0), "{error}");
    let (code, _, error) = told(&["plan", "--huber", "0.5"]);
    assert!(code == Some(2) && error.contains("--huber is for data with values"), "{error}");
}

/// A NumPy array of `[N, 12]` floats: each row is a multiple of one of two patterns, or for `odd` ones of neither.
fn write_rows(path: &Path, rows: usize, is_odd: bool) {
    let mut numbers = Vec::new();
    for row in 0..rows {
        let loudness = 0.2 + (row * 7 % 10) as f32 / 10.0;
        for place in 0..12 {
            let usual = if row % 2 == 0 { place % 3 == 0 } else { place < 4 };
            let is_loud = if is_odd { place % 2 == row % 2 } else { usual };
            numbers.extend((if is_loud { loudness } else { 0.0_f32 }).to_le_bytes());
        }
    }
    std::fs::write(path, npy("<f4", false, &format!("({rows}, 12)"), &numbers)).unwrap();
}

#[test]
fn an_autoencoder_learns_what_is_usual() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write_rows(&here.join("usual.npy"), 96, false);
    write_rows(&here.join("odd.npy"), 8, true);
    let words =
        ["usual.npy", "--autoencode", "--model", "mlperf_autoencoder", "--hold-out", "16", "--rule", "bp"];
    let more = ["--batch", "16", "--lr", "0.05", "--threads", "1", "--json"];
    let trained = |epochs: &str, run: &str| {
        let (code, out, error) =
            localgrad(here, &[&["train"], &words[..], &more, &["--epochs", epochs, "--out", run]].concat());
        assert_eq!(code, Some(0), "{error}");
        records(&out)
    };
    let told = trained("40", "run");
    assert_eq!(last(&told, "start")["classes"], 12);
    assert!(last(&told, "done")["metrics"]["root_mean_square_error"].as_f64().unwrap() < 0.2);
    let ask = |words: &[&str], code: i32| {
        let (found, out, error) = localgrad(here, &[words, &["--json"]].concat());
        assert_eq!(found, Some(code), "{error}");
        (records(&out), error)
    };
    // A run knows that its samples answer themselves; of weights it is said.
    let weights = "run/weights.safetensors";
    let loss = |words: &[&str]| last(&ask(words, 0).0, "evaluated")["loss"].as_f64().unwrap();
    let usual = loss(&["eval", "--run", "run"]);
    assert_eq!(loss(&["eval", "--weights", weights, "--data", "usual.npy", "--autoencode"]), usual);
    let odd = ["--weights", weights, "--data", "odd.npy", "--autoencode"];
    assert!(loss(&[&["eval"], &odd[..]].concat()) > 4.0 * usual);
    let (samples, _) = ask(&[&["predict"], &odd[..]].concat(), 0);
    let each = samples.iter().map(|sample| sample["mean_squared_error"].as_f64().unwrap());
    assert!(samples.len() == 8 && each.fold(f64::INFINITY, f64::min) > usual, "{samples:?}");
    assert_eq!(samples[0]["values"].as_array().unwrap().len(), 12);
    let (_, error) = ask(&["eval", "--weights", weights, "--data", "embedded"], 2);
    assert!(error.contains("1x28x28"), "{error}");
    // A run that goes on ends in the same bytes.
    trained("3", "short");
    let (code, _, error) = localgrad(here, &["train", "--resume", "--out", "short", "--epochs", "40"]);
    assert_eq!(code, Some(0), "{error}");
    let bytes = |run: &str| std::fs::read(here.join(run).join("weights.safetensors")).unwrap();
    trained("40", "again");
    assert!(bytes("run") == bytes("again"));
    let (code, _, error) = localgrad(here, &["train", "usual.npy", "--model", "mlperf_autoencoder"]);
    assert!(code != Some(0) && error.contains("expected two"), "{error}");
}
