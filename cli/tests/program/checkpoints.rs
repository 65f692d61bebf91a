//! Resuming and fine-tuning as users do it.

use crate::common::program::{lines, refusal};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SMALL: [&str; 14] = [
    "train",
    "--model",
    "resnet8",
    "--widths",
    "4,4,4,8",
    "--head",
    "greedy",
    "--batch",
    "16",
    "--limit",
    "40",
    "--threads",
    "2",
    "--json",
];

/// Starts a run and waits until it has done `steps` steps.
fn running(words: &[&str], steps: usize) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_localgrad"))
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let mut seen = 0;
    while seen < steps {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "it ended before step {steps}");
        seen += usize::from(line.contains("\"event\":\"step\""));
    }
    // Its pipe stays open for as long as it runs.
    std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
    child
}

fn exported(run: &str) -> localgrad::weights::Weights {
    let file = format!("{run}.exported");
    lines(&["export", "--run", run, "--out", &file, "--json"]);
    localgrad::weights::read(Path::new(&file), |name| Some(name.into())).unwrap()
}

fn bits(weights: &localgrad::weights::Weights, name: &str) -> Vec<u32> {
    let numbers = weights[name].numbers().unwrap();
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// The numbers of all steps that a run's records tell of.
fn steps(run: &str) -> BTreeSet<u64> {
    let text = std::fs::read_to_string(Path::new(run).join("metrics.jsonl")).unwrap();
    // A kill may have torn the last line.
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.filter(|record| record["event"] == "step").map(|step| step["step"].as_u64().unwrap()).collect()
}

#[test]
fn a_run_is_resumed_by_its_directory_alone() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let (run, whole) = (at("run"), at("whole"));
    let way = ["--rule", "man", "--blocks", "3", "--schedule", "constant", "--checkpoint-every", "1"];
    let words = [&SMALL[..], &way[..]].concat();
    let mut child = running(&[&words[..], &["--epochs", "100000", "--out", &run]].concat(), 4);
    let busy = refusal(&["train", "--resume", "--out", &run], 2);
    assert!(busy.contains("another process"), "{busy}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(exported(&run).contains_key("fc.weight"), "a killed run's checkpoint is exported");
    let changed = refusal(&["train", "--resume", "--out", &run, "--lr", "0.5", "--seed", "4"], 2);
    for field in ["fit.learning_rate was", "train.seed was 0 and is 4", "loader.seed"] {
        assert!(changed.contains(field), "{changed}");
    }

    let killed_after = *steps(&run).last().unwrap();
    let epochs = (killed_after / 3 + 3).to_string();
    let longer = ["train", "--resume", "--out", &run, "--epochs", &epochs, "--threads", "1", "--keep", "2"];
    let resumed = lines(&longer);
    let first = resumed.iter().find(|record| record["event"] == "step").unwrap();
    assert!((4..=killed_after + 1).contains(&first["step"].as_u64().unwrap()), "{first}");
    let done = resumed.last().unwrap();
    let total = 3 * (killed_after / 3 + 3);
    assert_eq!((&done["event"], done["steps"].as_u64()), (&Value::from("done"), Some(total)));
    assert_eq!(steps(&run), (1..=total).collect());
    lines(&[&words[..], &["--epochs", &epochs, "--out", &whole]].concat());
    let (found, expected) = (exported(&run), exported(&whole));
    for name in expected.keys() {
        assert_eq!(bits(&found, name), bits(&expected, name), "{name}");
    }
    // A finished run resumes to the same end.
    assert_eq!(lines(&["train", "--resume", "--out", &run]).last().unwrap()["accuracy"], done["accuracy"]);
}

#[test]
fn what_cannot_be_resumed_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("nowhere").to_str().unwrap().to_string();
    assert!(refusal(&["train", "--resume", "--out", &nowhere], 2).contains("holds no run"));
    refusal(&["train", "--resume"], 2);
    refusal(&["train", "--rule", "bp", "--checkpoint-every", "0"], 2);
    let run = directory.path().join("run").to_str().unwrap().to_string();
    let words = [&SMALL[..], &["--rule", "greedy", "--steps", "2", "--resume", "--out", &run]].concat();
    assert_eq!(lines(&words).last().unwrap()["steps"], 2, "--resume begins what is not there");
    let manifest = Path::new(&run).join("checkpoint/manifest");
    let mut bytes = std::fs::read(&manifest).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&manifest, bytes).unwrap();
    let damaged = refusal(&["train", "--resume", "--out", &run], 1);
    assert!(damaged.contains("manifest") && damaged.contains("checksum"), "{damaged}");
}

#[test]
fn finetuning_replaces_the_head_and_freezes_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let (first, second, weights) = (at("first"), at("second"), at("first/weights.safetensors"));
    lines(&[&SMALL[..], &["--rule", "dgl", "--blocks", "3", "--steps", "2", "--out", &first]].concat());
    let tune = ["finetune", "--weights", &weights, "--classes", "12", "--freeze", "first-1-blocks"];
    let words = [
        &tune[..],
        &SMALL[1..],
        &["--rule", "man", "--blocks", "3", "--seed", "9", "--steps", "3", "--out", &second],
    ]
    .concat();
    let records = lines(&words);
    let loaded = &records[0];
    assert_eq!(loaded["event"], "loaded");
    assert_eq!(loaded["new"], serde_json::json!(["fc.bias", "fc.weight"]));
    assert_eq!(loaded["left_out"], loaded["new"]);
    assert_eq!(loaded["frozen_blocks"], 1);
    let step = records.iter().find(|record| record["event"] == "step").unwrap();
    assert!(step["losses"][0].is_null() && step["losses"][2].is_f64(), "{step}");

    let (before, after) = (exported(&first), exported(&second));
    assert_eq!(loaded["tensors"], before.len() - 2);
    assert_eq!(after["fc.weight"].dims(), [12, 8]);
    assert_eq!(bits(&before, "conv1.weight"), bits(&after, "conv1.weight"));
    assert_eq!(bits(&before, "bn1.running_var"), bits(&after, "bn1.running_var"));
    assert_ne!(bits(&before, "layer3.0.conv1.weight"), bits(&after, "layer3.0.conv1.weight"));
    let resumed = lines(&["train", "--resume", "--out", &second, "--steps", "5"]);
    assert_eq!(resumed.last().unwrap()["steps"], 5);

    let all = [&tune[..5], &["--freeze", "3"], &SMALL[1..], &["--rule", "man", "--blocks", "3"]].concat();
    assert!(refusal(&all, 2).contains("freeze at most 2"));
    assert!(!Path::new("runs").exists(), "a refusal makes nothing");
    assert!(refusal(&["finetune", "--model", "resnet8"], 2).contains("--init"));
    let other = [&tune[..], &["--model", "resnet14", "--widths", "4,4,4,8"]].concat();
    assert!(refusal(&other, 1).contains("missing layer1.1.conv1.weight"));
}

#[test]
fn what_is_named_is_trained_and_features_that_are_kept_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let (first, weights) = (at("first"), at("first/weights.safetensors"));
    lines(&[&SMALL[..], &["--rule", "greedy", "--blocks", "2", "--steps", "2", "--out", &first]].concat());
    let before = exported(&first);
    for (what, moved) in [("head", "fc"), ("last-1-units", "layer3.0")] {
        let [plain, kept] = [false, true].map(|keeps| {
            let run = at(&format!("{what}-{keeps}"));
            let tune = ["finetune", "--init", &weights, "--train", what, "--epochs", "2"];
            let tune = [&tune[..], &["--rule", "greedy", "--blocks", "2"]].concat();
            let mut words = [&tune[..], &SMALL[1..], &["--out", &run]].concat();
            if keeps {
                words.extend(["--cache-features", "2"]);
            }
            lines(&words);
            exported(&run)
        });
        for name in before.keys() {
            assert_eq!(bits(&plain, name), bits(&kept, name), "{name} of {what}");
            let stays = !name.starts_with("fc") && !name.starts_with(moved);
            assert!(!stays || bits(&before, name) == bits(&kept, name), "{name} of {what}");
        }
        assert_ne!(bits(&before, "fc.weight"), bits(&kept, "fc.weight"));
    }
    // What it takes for what is kept, and so is the best epoch.
    let run = directory.path().join("head-true");
    assert!(run.join("weights-best.safetensors").is_file());
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("What is taken for what") && page.contains("src=\"data:image/bmp;base64,Qk"));
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let records: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| records.iter().find(|record| record["event"] == event).unwrap();
    let (judged, done) = (of("judged"), of("done"));
    let counts: Vec<Vec<u64>> = serde_json::from_value(judged["confusion"].clone()).unwrap();
    for (class, row) in counts.iter().enumerate() {
        let samples = done["classes"][class]["samples"].as_u64().unwrap();
        assert_eq!(row.iter().sum::<u64>(), samples);
        let right = done["classes"][class]["accuracy"].as_f64().unwrap() * samples as f64;
        assert_eq!(row[class], right.round() as u64);
    }
    let sure = |place: usize| judged["mistakes"][place]["probability"].as_f64().unwrap();
    assert!(sure(0) >= sure(1) && judged["mistakes"].as_array().unwrap().len() == 12);

    let tune = [&["finetune", "--init", &weights][..], &SMALL[1..]].concat();
    let with = |words: &[&'static str]| refusal(&[&tune[..], words].concat(), 2);
    assert!(with(&["--cache-features", "1"]).contains("first unit is trained"));
    assert!(with(&["--train", "heads"]).contains("last-2-units"));
    assert!(with(&["--train", "last-9-units"]).contains("the last 9 of 4 units"));
    assert!(with(&["--cache-precision", "f16"]).contains("--cache-features"));
    assert!(!Path::new("runs").exists(), "a refusal makes nothing");
    let resumed = refusal(&["train", "--resume", "--out", &at("head-false"), "--train", "norms"], 2);
    assert!(resumed.contains("train.selection was") && resumed.contains("norms"), "{resumed}");
    let plan = ["plan", "--json", "--rule", "bp", "--train", "head"];
    let planned = |words: &[&str]| lines(&[&plan[..], words].concat())[0]["planned_bytes"].as_u64().unwrap();
    let (whole, head) =
        (lines(&["plan", "--json", "--rule", "bp"])[0]["planned_bytes"].clone(), planned(&[]));
    assert!(4 * head < whole.as_u64().unwrap(), "{head} of {whole}");
    let keeping = |bits| planned(&["--cache-features", "3", "--samples", "50000", "--cache-precision", bits]);
    let numbers = 3 * 50_000 * 64;
    assert!(keeping("f32") > head + 4 * numbers && keeping("f32") > keeping("f16") + 2 * numbers - (1 << 20));
    let judging = planned(&["--cache-features", "3", "--samples", "50000", "--judged", "10000"]);
    assert!(judging > keeping("f32") + 4 * 10_000 * 64 - (1 << 20), "{judging} and {}", keeping("f32"));
    assert!(refusal(&[&plan[..], &["--cache-features", "3"]].concat(), 2).contains("--samples N"));
}

/// The recipe of `finetune` where nobody says otherwise, and that of a run that began by another.
#[test]
fn a_finetuned_run_keeps_the_recipe_that_it_began_with() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let (first, run, weights) = (at("first"), at("run"), at("first/weights.safetensors"));
    lines(&[&SMALL[..], &["--rule", "greedy", "--blocks", "2", "--steps", "1", "--out", &first]].concat());
    let of = |run: &str| -> Value {
        serde_json::from_slice(&std::fs::read(Path::new(run).join("run.json")).unwrap()).unwrap()
    };
    let tune = ["finetune", "--init", &weights, "--limit", "40", "--json", "--out"];
    let tuned = |name: &str, more: &[&str]| {
        let run = at(name);
        let is_said = more.iter().any(|word| word.starts_with("--train"));
        let what: &[&str] = if is_said { &[] } else { &["--train", "head"] };
        lines(&[&tune[..], &[run.as_str(), "--epochs", "1"], what, more].concat());
        of(&run)
    };
    let usual = tuned("usual", &[]);
    assert_eq!((&usual["batch"], &usual["fit"]["learning_rate"]), (&32.into(), &0.025.into()));
    let norms = tuned("norms", &["--train=norms"]);
    assert_eq!((&norms["batch"], &norms["fit"]["learning_rate"]), (&32.into(), &0.005.into()));
    assert_eq!((&usual["train"]["rule"]["rule"], &usual["train"]["ends"]), (&"bp".into(), &[3].into()));
    let adamw = tuned("adamw", &["--optimizer", "adamw"]);
    assert_eq!(adamw["fit"]["learning_rate"], 1e-3);
    let adamw = tuned("adamw-norms", &["--optimizer", "adamw", "--train=norms"]);
    assert_eq!(adamw["fit"]["learning_rate"], 2e-4);
    // Words about blocks, and those that leave some as they are, ask for blocks.
    let frozen = tuned("frozen", &["--freeze", "first-1-blocks"]);
    let local = (&frozen["train"]["rule"]["rule"], &frozen["train"]["ends"]);
    assert_eq!(local, (&"man".into(), &[0, 1, 2, 3].into()));

    tuned("run", &["--batch", "12", "--lr", "0.03"]);
    let file = Path::new(&run).join("run.json");
    let mut json = of(&run);
    // As when other numbers were the default.
    let words = json["words"].as_array_mut().unwrap();
    let count = words.len();
    words.retain(|word| !["--batch", "12", "--lr", "0.03"].contains(&word.as_str().unwrap()));
    assert_eq!(words.len(), count - 4);
    std::fs::write(&file, json.to_string()).unwrap();
    lines(&["train", "--resume", "--out", &run, "--epochs", "2", "--json"]);
    let after = of(&run);
    assert_eq!((&after["batch"], &after["fit"]["learning_rate"]), (&12.into(), &0.03.into()));
}

#[test]
fn a_run_goes_on_by_the_schedule_that_it_began_with() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run").to_string_lossy().into_owned();
    let begun =
        ["--rule", "man", "--blocks", "2", "--epochs", "1", "--schedule", "cosine-to-zero", "--out", &run];
    lines(&[&SMALL[..], &begun].concat());
    // As when the default cosine went to 0.
    let file = Path::new(&run).join("run.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let words = json["words"].as_array_mut().unwrap();
    words.retain(|word| word != "--schedule" && word != "cosine-to-zero");
    std::fs::write(&file, json.to_string()).unwrap();
    let records = lines(&["train", "--resume", "--out", &run, "--epochs", "2", "--json"]);
    let last = records.iter().rev().find(|record| record["event"] == "step").unwrap();
    assert_eq!((last["epoch"].as_u64(), last["learning_rate"].as_f64()), (Some(2), Some(0.0)));
    let refused = refusal(&["train", "--resume", "--out", &run, "--epochs", "3", "--lr-floor", "0.1"], 2);
    assert!(refused.contains("fit.schedule.cosine.floor was absent and is 0.1"), "{refused}");
}

#[test]
fn a_run_goes_on_in_the_blocks_that_it_began_with() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run").to_string_lossy().into_owned();
    lines(&[&SMALL[..], &["--rule", "man", "--ends", "1,2,3", "--epochs", "1", "--out", &run]].concat());
    // As when three blocks were cut there.
    let file = Path::new(&run).join("run.json");
    let mut json: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for word in json["words"].as_array_mut().unwrap() {
        match word.as_str().unwrap() {
            "--ends" => *word = "--blocks".into(),
            "1,2,3" => *word = "3".into(),
            _ => {}
        }
    }
    std::fs::write(&file, json.to_string()).unwrap();
    lines(&["train", "--resume", "--out", &run, "--epochs", "2", "--json"]);
    let after: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(after["train"]["ends"], serde_json::json!([1, 2, 3]));
    let refused = refusal(&["train", "--resume", "--out", &run, "--epochs", "3", "--blocks", "2"], 2);
    assert!(refused.contains("ends"), "{refused}");
}

#[test]
fn activations_that_f16_was_too_small_for_go_on_in_bf16() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run").to_string_lossy().into_owned();
    let begun = ["--rule", "man", "--blocks", "2", "--epochs", "1", "--activations", "f16", "--out", &run];
    lines(&[&SMALL[..], &begun].concat());
    let resume = ["train", "--resume", "--out", &run, "--json"];
    lines(&[&resume[..], &["--epochs", "2", "--activations", "bf16"]].concat());
    let refused = refusal(&[&resume[..], &["--epochs", "3", "--activations", "f16"]].concat(), 2);
    assert!(refused.contains("train.activations"), "{refused}");
}
