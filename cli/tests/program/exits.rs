//! Exits as users have them: kept by a run, evaluated, left by, and exported.

use crate::common::program::{lines, output, refusal};
use serde_json::Value;
use std::path::Path;

const TRAIN: [&str; 21] = [
    "train",
    "--model",
    "resnet8",
    "--widths",
    "4,4,6,8",
    "--ends",
    "0,1,3",
    "--batch",
    "20",
    "--limit",
    "400",
    "--hold-out",
    "100",
    "--epochs",
    "2",
    "--lr",
    "0.1",
    "--threads",
    "1",
    "--exits",
    "--json",
];

/// A run with exits in this directory, and its lines.
fn trained(directory: &Path, more: &[&str]) -> (String, Vec<Value>) {
    let run = directory.join("run").to_str().unwrap().to_string();
    let told = lines(&[&TRAIN[..], more, &["--out", &run]].concat());
    (run, told)
}

fn of_event<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn a_run_keeps_its_exits_and_each_is_a_file_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let (run, told) = trained(directory.path(), &["--rule", "man", "--memory-budget", "64MiB"]);
    let told = of_event(&told, "exit").into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(told.len(), 3);
    let done = lines(&["report", "--run", &run, "--json"]);
    assert!(
        !done.is_empty()
            && std::fs::read_to_string(at("run/report.html")).unwrap().contains("id=\"exits-h\"")
    );

    let test = ["--limit", "60", "--threads", "1", "--json"];
    let found = lines(&[&["eval", "--run", &run, "--exits"], &test[..]].concat());
    let exits = of_event(&found, "exit");
    let plain = lines(&[&["eval", "--run", &run], &test[..]].concat());
    assert_eq!(exits[2]["accuracy"], plain[0]["accuracy"], "the last exit is the network's end");
    for (place, exit) in exits.iter().enumerate() {
        assert_eq!(
            (exit["exit"].as_u64(), exit["after_unit"].as_u64()),
            (Some(place as u64 + 1), Some([0, 1, 3][place]))
        );
        assert_eq!(exit["multiply_adds"], told[place]["multiply_adds"]);
        assert!(number(&exit["milliseconds"]) > 0.0 && number(&exit["temperature"]) > 0.0);
        let (file, k) = (at(&format!("exit{place}.safetensors")), (place + 1).to_string());
        let exported = lines(&["export", "--run", &run, "--exit", &k, "--out", &file, "--json"]);
        assert_eq!(
            (&exported[0]["exit"], &exported[0]["accuracy"]),
            (&exit["exit"], &told[place]["accuracy"])
        );
        let alone = lines(&[&["eval", "--weights", &file], &test[..]].concat());
        assert_eq!(alone[0]["accuracy"], exit["accuracy"], "exit {k}");
        let guesses = lines(&[&["predict", "--weights", &file], &test[..]].concat());
        assert!(guesses.len() == 60 && guesses[0]["exit"].is_null());
    }
    // The same from a file with all of them, which is the network, too.
    let all = at("all.safetensors");
    lines(&["export", "--run", &run, "--exits", "--out", &all, "--json"]);
    let from_file = lines(&[&["eval", "--weights", &all, "--exits"], &test[..]].concat());
    for (a, b) in of_event(&from_file, "exit").iter().zip(&exits) {
        assert_eq!((&a["accuracy"], &a["bytes"]), (&b["accuracy"], &b["bytes"]));
    }
    assert_eq!(of_event(&from_file, "leaving"), of_event(&found, "leaving"));
    assert_eq!(lines(&[&["eval", "--weights", &all], &test[..]].concat())[0]["loss"], plain[0]["loss"]);
    let best = told.iter().map(|exit| number(&exit["accuracy"])).fold(0.0, f64::max);
    let target = format!("{}", best * 100.0 - 1e-6) + "%";
    let file = at("target.safetensors");
    let exported = lines(&["export", "--run", &run, "--target-accuracy", &target, "--out", &file, "--json"]);
    assert_eq!(number(&exported[0]["accuracy"]), best);
    let words = ["export", "--run", &run, "--target-accuracy", "100%", "--out", &file];
    assert!(refusal(&words, 1).contains("no exit is right that often"));
    for wrong in ["0", "4"] {
        let message = refusal(&["export", "--run", &run, "--exit", wrong, "--out", &file], 2);
        assert!(message.contains("from 1"), "{message}");
    }
}

#[test]
fn samples_leave_where_an_exit_is_sure() {
    let directory = tempfile::tempdir().unwrap();
    let (run, _) = trained(directory.path(), &["--rule", "auglocal", "--aux-pool", "2"]);
    let test = ["--limit", "80", "--threads", "1", "--json"];
    let surveyed = lines(&[&["eval", "--run", &run, "--exits"], &test[..]].concat());
    for told in of_event(&surveyed, "leaving") {
        let confidence = told["confidence"].to_string();
        let batch = ["--batch", "7"];
        let left =
            lines(&[&["eval", "--run", &run, "--confidence", &confidence], &batch[..], &test[..]].concat());
        for what in ["accuracy", "multiply_adds", "left"] {
            assert_eq!(left[0][what], told[what], "{what} at {confidence}");
        }
        assert!(number(&left[0]["milliseconds"]) > 0.0);
        let guesses = lines(&[&["predict", "--run", &run, "--confidence", &confidence], &test[..]].concat());
        for (exit, count) in told["left"].as_array().unwrap().iter().enumerate() {
            let by = guesses.iter().filter(|guess| guess["exit"].as_u64() == Some(exit as u64 + 1));
            assert_eq!(by.count() as u64, count.as_u64().unwrap());
        }
        for guess in guesses.iter().filter(|guess| guess["exit"].as_u64() < Some(3)) {
            assert!(number(&guess["classes"][0]["probability"]) >= number(&told["confidence"]));
        }
    }
}

#[test]
fn a_run_that_ended_is_given_exits_later() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run").to_str().unwrap().to_string();
    let without: Vec<&str> = TRAIN.iter().copied().filter(|word| *word != "--exits").collect();
    lines(&[&without[..], &["--rule", "dgl", "--out", &run]].concat());
    let message = refusal(&["eval", "--run", &run, "--exits"], 2);
    assert!(message.contains("--resume --exits"), "{message}");
    assert!(refusal(&["predict", "--run", &run, "--confidence", "0.9"], 2).contains("no exits"));
    let told = lines(&["train", "--resume", "--exits", "--out", &run, "--json"]);
    assert_eq!(of_event(&told, "exit").len(), 3);
    lines(&["eval", "--run", &run, "--confidence", "0.9", "--limit", "20", "--json"]);
    assert!(refusal(&["eval", "--run", &run, "--confidence", "1.5"], 2).contains("up to 1"));
    let weights = format!("{run}/weights.safetensors");
    assert!(refusal(&["eval", "--weights", &weights, "--exits"], 2).contains("has no exits"));
}

#[test]
fn exits_that_cannot_be_are_refused_before_training() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run").to_str().unwrap().to_string();
    let words = [&TRAIN[..], &["--rule", "infopro", "--task", "contrastive", "--out", &run]].concat();
    assert!(refusal(&words, 2).contains("no exits"));
    assert!(!Path::new(&run).exists());
    let help = String::from_utf8(output(&["export", "--help"]).stdout).unwrap();
    assert!(help.contains("--target-accuracy"));
}
