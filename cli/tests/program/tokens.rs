//! From tokens in a file to a network that tells texts apart by them.

use crate::common::program::{localgrad, records};
use serde_json::Value;
use std::path::Path;

const LENGTH: usize = 16;
const VOCABULARY: u32 = 40;

/// A safetensors file of texts: those of class 1 have the token 3 somewhere, the others 4.
fn write(path: &Path, samples: u32) {
    let mut tokens = Vec::new();
    let mut labels = Vec::new();
    for sample in 0..samples {
        let label = sample % 2;
        let token = |step: u32| match step == sample * 7 % LENGTH as u32 {
            true => 4 - label,
            false => 5 + (sample * 31 + step * step * 17 + step) % (VOCABULARY - 5),
        };
        tokens.extend((0..LENGTH as u32).flat_map(|step| (token(step) as u16).to_le_bytes()));
        labels.push(label as u8);
    }
    let end = tokens.len();
    let header = format!(
        r#"{{"__metadata__":{{"vocabulary":"{VOCABULARY}"}},"tokens":{{"dtype":"U16","shape":[{samples},{LENGTH}],"data_offsets":[0,{end}]}},"labels":{{"dtype":"U8","shape":[{samples}],"data_offsets":[{end},{}]}}}}"#,
        end + labels.len()
    );
    let file = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &tokens, &labels].concat();
    std::fs::write(path, file).unwrap();
}

fn run(here: &Path, words: &[&str]) -> Vec<Value> {
    let (code, out, error) = localgrad(here, words);
    assert_eq!(code, Some(0), "{error}");
    records(&out)
}

#[test]
fn texts_are_learnt_judged_and_predicted() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    write(&here.join("texts.safetensors"), 120);
    // A network in JSON, as the catalogue has it, of fewer units.
    let words = ["inspect", "--model", "text_tcn", "--input", "16of40", "--classes", "2", "--spec"];
    let (code, out, error) = localgrad(here, &words);
    assert_eq!(code, Some(0), "{error}");
    let mut spec: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(spec["input"]["tokens"]["vocabulary"], VOCABULARY);
    spec["units"].as_array_mut().unwrap().truncate(3);
    std::fs::write(here.join("my.json"), spec.to_string()).unwrap();
    let words = [
        "train",
        "texts.safetensors",
        "--model",
        "my.json",
        "--out",
        "run",
        "--hold-out",
        "30",
        "--epochs",
        "6",
        "--batch",
        "10",
        "--optimizer",
        "adamw",
        "--lr",
        "0.003",
        "--blocks",
        "2",
        "--threads",
        "1",
        "--json",
    ];
    let told = run(here, &words);
    let done = told.iter().rfind(|record| record["event"] == "done").unwrap();
    let start = told.iter().find(|record| record["event"] == "start").unwrap();
    assert_eq!((&start["rule"], &start["input"]["tokens"]["length"]), (&"man".into(), &LENGTH.into()));
    let judged = told.iter().rfind(|record| record["event"] == "epoch").unwrap();
    assert!(judged["accuracy"].as_f64().unwrap() > 0.8, "{judged} {done}");
    let report = std::fs::read_to_string(here.join("run/report.html")).unwrap();
    assert!(report.contains("16 tokens of 40"));
    let found = &run(here, &["eval", "--run", "run", "--json"])[0];
    assert!(found["accuracy"].as_f64().unwrap() > 0.8, "{found}");
    let weights = "run/weights.safetensors";
    let told = run(
        here,
        &["predict", "--weights", weights, "--data", "texts.safetensors", "--limit", "8", "--json"],
    );
    let right = |record: &&Value| record["classes"][0]["class"] == record["label"];
    assert!(told.len() == 8 && told.iter().filter(right).count() >= 6, "{told:?}");
    // Neither pictures nor what is done to them.
    let (code, _, error) = localgrad(here, &["predict", "--weights", weights, "my.json"]);
    assert!(code != Some(0) && error.contains("takes tokens and no pictures"), "{error}");
    let (code, _, error) =
        localgrad(here, &["train", "texts.safetensors", "--model", "my.json", "--mixup", "0.2"]);
    assert!(code != Some(0) && error.contains("tokens are taken as they are"), "{error}");
    let (code, _, error) = localgrad(
        here,
        &["train", "texts.safetensors", "--model", "my.json", "--head", "infopro", "--blocks", "2"],
    );
    assert!(code != Some(0) && error.contains("takes tokens"), "{error}");
    // Texts of other words are not those that the network knows.
    std::fs::write(here.join("other.json"), spec.to_string().replace(":40", ":39")).unwrap();
    let (code, _, error) = localgrad(here, &["train", "texts.safetensors", "--model", "other.json"]);
    assert!(code != Some(0) && error.contains("takes tokens of 16 tokens of 39"), "{error}");
}
