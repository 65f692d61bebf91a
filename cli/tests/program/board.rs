//! What a machine tells of its heat, and training that keeps to a temperature, on a machine that is made up.

use crate::common::program::{lines, refusal};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const SMALL: [&str; 17] = [
    "train",
    "--model",
    "resnet8",
    "--widths",
    "4,4,4,8",
    "--rule",
    "dgl",
    "--batch",
    "16",
    "--limit",
    "48",
    "--hold-out",
    "16",
    "--epochs",
    "2",
    "--threads",
    "2",
];

/// Writes the files of a machine of this temperature.
fn make(root: &Path, celsius: u32) {
    let write = |path: &str, text: &str| {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        // As the system does it: whoever reads finds all of it.
        fs::write(root.join("part"), text).unwrap();
        fs::rename(root.join("part"), root.join(path)).unwrap();
    };
    write("sys/class/thermal/thermal_zone0/type", "gpu-thermal\n");
    write("sys/class/thermal/thermal_zone0/temp", &format!("{}\n", 1000 * celsius));
    write("sys/class/devfreq/17000000.gpu/cur_freq", "306000000\n");
    write("var/lib/nvpmodel/status", "pmode:0001");
    write("etc/nvpmodel.conf", "< POWER_MODEL ID=1 NAME=7W >\n");
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The records of a run to which somebody listens, and the weights that it ends with.
fn trained(out: &Path, words: &[&str], mut hear: impl FnMut(&Value)) -> (Vec<Value>, Vec<u8>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_localgrad"))
        .args(SMALL)
        .args(["--json", "--out", text(out)])
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut records = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let record: Value = serde_json::from_str(&line.unwrap()).unwrap();
        hear(&record);
        records.push(record);
    }
    assert!(child.wait().unwrap().success());
    (records, fs::read(out.join("weights.safetensors")).unwrap())
}

fn of<'a>(records: &'a [Value], event: &'a str) -> impl Iterator<Item = &'a Value> {
    records.iter().filter(move |record| record["event"] == event)
}

#[test]
fn a_hot_machine_trains_later_and_to_the_same_bytes() {
    let here = tempfile::tempdir().unwrap();
    let [root, hot, cool] = ["root", "hot", "cool"].map(|name| here.path().join(name));
    make(&root, 91);
    let words = ["--max-temperature", "80", "--board", text(&root)];
    let (records, weights) = trained(&hot, &words, |record| {
        if record["resting"] == true {
            make(&root, 60);
        }
    });
    let boards: Vec<&Value> = of(&records, "board").collect();
    // As it begins, at its one rest, and after each epoch.
    assert_eq!(boards.iter().map(|board| &board["resting"]).collect::<Vec<_>>(), [false, true, false, false]);
    let celsius = boards.iter().map(|board| board["temperatures"][0]["celsius"].as_f64().unwrap());
    assert_eq!(celsius.collect::<Vec<_>>(), [91.0, 91.0, 60.0, 60.0]);
    assert_eq!(boards[0]["power_mode"], "7W");
    assert_eq!(boards[0]["clocks"][0]["hertz"], 306_000_000);
    let done = of(&records, "done").next().unwrap();
    assert!(done["rested_seconds"].as_f64().unwrap() > 0.0, "{done}");
    assert_eq!(done["hottest_celsius"], 91.0);

    let (records, same) = trained(&cool, &["--board", text(&root)], |_| {});
    assert!(weights == same, "a rest changed the weights");
    assert!(of(&records, "done").next().unwrap()["rested_seconds"].is_null());

    let told = lines(&["report", "--run", text(&hot), "--json"]);
    assert_eq!(of(&told, "done").next().unwrap()["hottest_celsius"], 91.0);
    let page = fs::read_to_string(hot.join("report.html")).unwrap();
    assert!(page.contains("because the machine was hot"));
}

#[test]
fn a_temperature_that_nobody_tells_is_refused() {
    let here = tempfile::tempdir().unwrap();
    let out = here.path().join("run");
    let words = ["--max-temperature", "80", "--board", text(here.path()), "--out", text(&out)];
    let error = refusal(&[&SMALL[..], &words].concat(), 2);
    assert!(error.contains("this system tells no temperature"), "{error}");
    assert!(!out.exists());
    let error = refusal(&[&SMALL[..], &["--max-temperature", "353"]].concat(), 2);
    assert!(error.contains("from 30 to 120"), "{error}");
}

#[test]
fn measurements_say_how_the_machine_was() {
    let here = tempfile::tempdir().unwrap();
    make(here.path(), 45);
    let words =
        ["bench", "--model", "resnet8", "--widths", "4,4,8,8", "--batch", "4", "--steps", "1", "--json"];
    let told = lines(&[&words[..], &["--board", text(here.path())]].concat());
    assert_eq!(told[0]["board"]["power_mode"], "7W");
    assert_eq!(told[0]["board"]["temperatures"][0]["celsius"], 45.0);
}
