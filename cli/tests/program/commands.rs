//! The program as its users run it: exit codes, JSON lines, files, and one clear line for what cannot work.

use crate::common::program::{lines, output, path, refusal};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

const TINY: [&str; 16] = [
    "train",
    "--model",
    "resnet8",
    "--widths",
    "4,4,8,8",
    "--head",
    "greedy",
    "--blocks",
    "3",
    "--batch",
    "16",
    "--limit",
    "48",
    "--threads",
    "2",
    "--json",
];

fn tiny(more: &[&str]) -> Vec<String> {
    TINY.iter().chain(more).map(ToString::to_string).collect()
}

fn words(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

#[test]
fn trains_evaluates_predicts_and_exports() {
    let directory = tempfile::tempdir().unwrap();
    let run = path(directory.path(), "run");
    let records = lines(&words(&tiny(&["--rule", "man", "--epochs", "2", "--out", &run])));
    assert_eq!(records[0]["event"], "start");
    assert_eq!(records[0]["blocks"].as_array().unwrap().len(), 3);
    let steps: Vec<&Value> = records.iter().filter(|r| r["event"] == "step").collect();
    assert_eq!(steps.len(), 6);
    assert_eq!(steps[0]["losses"].as_array().unwrap().len(), 3);
    let done = records.last().unwrap();
    assert_eq!(done["event"], "done");
    assert_eq!(done["steps"], 6);
    for key in ["accuracy", "top1_error", "loss", "seconds", "samples_per_second", "peak_bytes"] {
        assert!(done[key].as_f64().unwrap() > 0.0, "{key}: {done}");
    }
    assert!(done.as_object().unwrap().contains_key("planned_bytes"));
    for file in ["metrics.jsonl", "run.json", "weights.safetensors", "report.html"] {
        assert!(Path::new(&run).join(file).exists(), "{file}");
    }

    let evaluated = lines(&["eval", "--run", &run, "--json"]);
    assert_eq!(evaluated[0]["accuracy"], done["accuracy"], "eval agrees with training's own evaluation");
    assert_eq!(evaluated[0]["samples"], 1000);

    let (one, two, half) =
        (path(directory.path(), "1.st"), path(directory.path(), "2.st"), path(directory.path(), "h.st"));
    lines(&["export", "--run", &run, "--out", &one, "--json"]);
    lines(&["export", "--run", &run, "--out", &two, "--json"]);
    lines(&["export", "--run", &run, "--out", &half, "--half", "--json"]);
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    assert!(std::fs::metadata(&half).unwrap().len() < std::fs::metadata(&one).unwrap().len());
    let model = ["--model", "resnet8", "--widths", "4,4,8,8", "--data", "embedded", "--json"];
    let from_file = lines(&[&["eval", "--weights", &one][..], &model].concat());
    assert_eq!(from_file[0]["accuracy"], done["accuracy"]);
    for weights in [&one, &path(Path::new(&run), "weights.safetensors")] {
        assert_eq!(lines(&["eval", "--weights", weights, "--json"])[0]["accuracy"], done["accuracy"]);
    }

    let picture = path(directory.path(), "picture.png");
    image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 7])).save(&picture).unwrap();
    let predicted = lines(&["predict", "--run", &run, &picture, "--top", "10", "--json"]);
    let classes = predicted[0]["classes"].as_array().unwrap();
    let sum: f64 = classes.iter().map(|c| c["probability"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9 && classes[0]["name"].is_string(), "{predicted:?}");
    assert_eq!(lines(&["predict", "--weights", &one, &picture, "--top", "10", "--json"]), predicted);
    assert_eq!(lines(&["predict", "--run", &run, "--limit", "3", "--json"]).len(), 3);

    let reported = lines(&["report", "--run", &run, "--json"]);
    assert_eq!(reported[0]["event"], "done");
    let again = refusal(&words(&tiny(&["--rule", "man", "--steps", "1", "--out", &run])), 2);
    assert!(again.contains("already holds a run"), "{again}");
}

#[test]
fn the_same_command_gives_the_same_weights() {
    let directory = tempfile::tempdir().unwrap();
    let weights = |name: &str, threads: &str| {
        let run = path(directory.path(), name);
        let more = ["--rule", "manpp", "--steps", "3", "--out", &run, "--seed", "5"];
        let mut all = tiny(&more);
        let at = all.iter().position(|word| word == "--threads").unwrap();
        all[at + 1] = threads.into();
        lines(&words(&all));
        std::fs::read(Path::new(&run).join("weights.safetensors")).unwrap()
    };
    let first = weights("a", "1");
    assert!(first == weights("b", "1"), "two runs differ");
    assert!(first == weights("c", "3"), "1 and 3 threads differ");
}

#[test]
fn end_to_end_training_needs_no_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let run = path(directory.path(), "run");
    let base =
        ["train", "--model", "resnet8", "--widths", "4,4,8,8", "--limit", "32", "--batch", "16", "--json"];
    let records = lines(&[&base[..], &["--rule", "bp", "--steps", "2", "--out", &run]].concat());
    assert_eq!(records[0]["blocks"].as_array().unwrap().len(), 1);
}

#[test]
fn what_cannot_work_is_one_clear_line() {
    let cases: [(&[&str], &str); 31] = [
        (&["train", "--rule", "man", "--blocks", "99"], "from 1 to 10"),
        (&["train", "--rule", "man", "--blocks", "0"], "from 1 to 10"),
        (&["train", "--rule", "man", "--ema-momentum", "1"], "[0, 1)"),
        (&["train", "--rule", "dgl", "--ends", "3,1,9"], "increase"),
        (&["train", "--rule", "dgl", "--ends", "3,5"], "unit 9"),
        (&["train", "--rule", "bp", "--blocks", "99"], "from 1 to 10"),
        (&["train", "--rule", "nope"], "choose one of"),
        (&["train", "--rule", "man", "--head", "9c"], "no head"),
        (&["train", "--model", "resnet9"], "no model"),
        (&["train", "--rule", "man", "--threads", "0"], "at least 1"),
        (&["train", "--rule", "man", "--lr=-1"], "learning rate"),
        (&["train", "--rule", "man", "--device", "tpu"], "no device"),
        (
            &["train", "--rule", "man", "--precision", "tf32"],
            "the CPU has no tensor cores, which alone multiply tf32",
        ),
        (&["bench", "--model", "resnet20", "--precision", "f16"], "use precision f32"),
        (&["inspect", "--input", "3x32"], "3x32x32"),
        (&["train", "--rule", "dgl", "--average-alone"], "no moving average"),
        (&["train", "--rule", "auglocal", "--ema-momentum", "0.9"], "leave --ema-momentum out"),
        (&["train", "--rule", "dgl", "--aux-depth", "2"], "leave --aux-depth out"),
        (&["train", "--rule", "man", "--head", "dgl", "--aux-pool", "2"], "leave --aux-pool out"),
        (&["train", "--rule", "auglocal", "--aux-pool", "99"], "from 1 to 16 rows"),
        (&["train", "--rule", "infopro", "--temperature", "0.1"], "without --task contrastive"),
        (&["train", "--rule", "bp", "--lambda-first", "5,0.5"], "leave --lambda-first out"),
        (&["train", "--rule", "bp", "--warmup", "2", "--schedule", "constant"], "--schedule cosine"),
        (&["train", "--rule", "bp", "--milestones", "2"], "--schedule step"),
        (&["train", "--rule", "bp", "--optimizer", "adamw", "--momentum", "0.5"], "no --momentum"),
        (
            &["train", "--rule", "dgl", "--blocks", "2", "--optimizer-state", "8bit", "--offload"],
            "8 bits, or offload",
        ),
        (&["plan", "--model", "mine.json", "--widths", "4,4,8,8"], "--widths out"),
        (&["eval", "--run", "runs/1", "--data", "embedded", "--model", "resnet8"], "leave --model"),
        (&["train", "--rule", "auglocal", "--head", "dgl"], "no head to choose"),
        (&["train", "--rule", "dgl", "--chunk", "18446744073709551615"], "up to 65535"),
        (&["plan", "--rule", "dgl", "--chunk", "18446744073709551615"], "up to 65535"),
    ];
    for (words, needle) in cases {
        let text = refusal(words, 2);
        assert!(text.contains(needle), "{words:?}: '{text}' does not say '{needle}'");
        assert_eq!(text.trim_end().lines().count(), 1, "{words:?}: {text}");
    }
}

/// Twenty images of 28 by 28 grey points to learn from, and half as many to be judged by, as IDX files.
fn write_idx(directory: &Path) {
    for (part, count) in [("train", 20_u8), ("t10k", 10)] {
        let head = |kind: u8, sizes: &[u32]| {
            let sizes = sizes.iter().flat_map(|size| size.to_be_bytes());
            [0, 0, 8, kind].into_iter().chain(sizes).collect::<Vec<u8>>()
        };
        let points = (0..u32::from(count) * 784).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8);
        let images = head(3, &[count.into(), 28, 28]).into_iter().chain(points).collect::<Vec<_>>();
        let labels = head(1, &[count.into()]).into_iter().chain((0..count).map(|at| at % 10));
        std::fs::write(directory.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        std::fs::write(directory.join(format!("{part}-labels-idx1-ubyte")), labels.collect::<Vec<_>>())
            .unwrap();
    }
}

#[test]
fn a_run_is_judged_by_the_samples_it_names() {
    let directory = tempfile::tempdir().unwrap();
    write_idx(directory.path());
    let (data, run) = (path(directory.path(), ""), path(directory.path(), "run"));
    let words = ["train", "--data", &data, "--hold-out", "6", "--rule", "bp", "--model", "resnet8"];
    let small =
        ["--widths", "4,4,8,8", "--batch", "7", "--epochs", "1", "--threads", "1", "--out", &run, "--json"];
    let records = lines(&[&words[..], &small].concat());
    assert_eq!(records[0]["samples"], 14);
    assert_eq!(records.iter().filter(|record| record["event"] == "step").count(), 2);
    // Sixths, where the test samples would make tenths.
    let sixths = 6.0 * records.last().unwrap()["accuracy"].as_f64().unwrap();
    assert!((sixths - sixths.round()).abs() < 1e-9, "{sixths}");
    assert_eq!(lines(&["eval", "--run", &run, "--json"])[0]["samples"], 10);
    assert_eq!(lines(&["predict", "--run", &run, "--json"]).len(), 10);
    assert!(refusal(&["eval", "--run", &run, "--hold-out", "6"], 2).contains("--hold-out"));
    let all = [&words[..4], &["20"], &words[5..], &small[..8], &["--out", "nowhere"]].concat();
    assert!(refusal(&all, 2).contains("20"));
}

#[test]
fn wrong_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = path(directory.path(), "nothing");
    assert!(refusal(&["train", "--rule", "man", "--data", &empty], 1).contains("nothing"));
    let broken = path(directory.path(), "broken.safetensors");
    std::fs::write(&broken, b"not weights").unwrap();
    let text = refusal(&["eval", "--model", "resnet8", "--weights", &broken], 1);
    assert!(text.contains("broken.safetensors"), "{text}");
    let picture = path(directory.path(), "broken.png");
    std::fs::write(&picture, b"not a picture").unwrap();
    let model = ["--model", "resnet8", "--weights", &broken, "--input", "1x28x28", "--classes", "10"];
    refusal(&[&["predict", &picture][..], &model].concat(), 1);
}

#[test]
fn weights_of_another_network_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let run = path(directory.path(), "run");
    lines(&words(&tiny(&["--rule", "greedy", "--steps", "1", "--out", &run])));
    let weights = path(Path::new(&run), "weights.safetensors");
    let text = refusal(&["eval", "--model", "resnet8", "--weights", &weights], 1);
    assert!(text.contains("conv1.weight is [4, 1, 3, 3] where [16, 1, 3, 3] is needed"), "{text}");
    let deeper = ["eval", "--model", "resnet14", "--widths", "4,4,8,8", "--weights", &weights];
    let text = refusal(&deeper, 1);
    assert!(text.contains("missing layer1.1.conv1.weight"), "{text}");
}

#[test]
fn batch_norm_over_one_value_is_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let out = path(directory.path(), "run");
    let one = ["train", "--model", "resnet8", "--rule", "dgl", "--batch", "1", "--steps", "1", "--out", &out];
    let text = refusal(&one, 2);
    assert!(
        text.contains("one value") && text.contains("at least 2 samples") && !Path::new(&out).exists(),
        "{text}"
    );
    // 17 samples in batches of 16.
    let last = tiny(&["--rule", "dgl", "--steps", "1", "--out", &out]);
    let last = last.iter().map(|word| match word.as_str() {
        "greedy" => "dgl",
        "48" => "17",
        word => word,
    });
    let warned = output(&last.collect::<Vec<_>>());
    let text = String::from_utf8_lossy(&warned.stderr);
    assert!(
        warned.status.success() && text.contains("pass alone") && text.contains("batches of 15"),
        "{text}"
    );
}

#[test]
fn a_spec_from_anyone_is_refused_where_it_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let spec = path(directory.path(), "net.json");
    let whole = output(&["inspect", "--model", "resnet8", "--spec"]).stdout;
    let good = serde_json::from_slice::<Value>(&whole).unwrap().to_string();
    for (from, to, says) in [
        ("\"width\":32", "\"width\":4294967296", "too large"),
        ("layer2.0", "layer1.0", "two weights have the name"),
        ("\"classes\":10", "\"classes\":11", "logits"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        std::fs::write(&spec, bad).unwrap();
        for command in [&["plan", "--model", &spec][..], &["train", "--model", &spec, "--rule", "man"]] {
            let text = refusal(command, 1);
            assert!(text.contains(says) && text.contains("net.json"), "{text}");
        }
    }
}

#[test]
fn a_spec_goes_out_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let base = ["inspect", "--model", "vgg11_bn", "--rule", "auglocal"];
    let spec = output(&[&base[..], &["--spec"]].concat()).stdout;
    let file = path(directory.path(), "mine.json");
    std::fs::write(&file, spec).unwrap();
    let named = lines(&[&base[..], &["--json"]].concat());
    let read = lines(&["inspect", "--model", &file, "--rule", "auglocal", "--json"]);
    assert_eq!(named, read);
    assert_eq!(named[0]["parameters"], 9_231_114);
}

#[test]
fn devices_are_listed() {
    let devices = lines(&["devices", "--json"]);
    assert_eq!(devices[0]["name"], "cpu");
    assert_eq!(devices[0]["usable"], true);
    for device in &devices {
        let told = if device["usable"] == true { "description" } else { "why" };
        assert!(device[told].as_str().is_some_and(|text| text.len() > 4), "{device}");
        assert!(device.get(if told == "why" { "description" } else { "why" }).is_none(), "{device}");
    }
    assert!(devices.iter().any(|device| device["name"] == "metal"), "{devices:?}");
}

/// A machine without cards has the driver's support all the same.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[test]
fn cuda_is_in_every_build_for_linux() {
    let devices = lines(&["devices", "--json"]);
    let cuda = devices.iter().find(|device| device["name"] == "cuda").unwrap();
    let why = cuda["why"].as_str().unwrap_or_default();
    assert!(!why.contains("--features"), "{why}");
    if cuda["usable"] == false {
        let refused = refusal(&["bench", "--model", "resnet20", "--batch", "4", "--device", "cuda"], 1);
        assert!(refused.contains(why), "{refused}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_a_run_cleanly() {
    use std::io::{BufRead, BufReader, Read};
    let directory = tempfile::tempdir().unwrap();
    let run = path(directory.path(), "run");
    let mut child = Command::new(env!("CARGO_BIN_EXE_localgrad"))
        .args(tiny(&["--rule", "man", "--steps", "100000", "--out", &run]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"step\"") {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "it ended before its first step");
    }
    // SAFETY: kill only sends a signal, to a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGINT) }, 0);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    let status = child.wait().unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(status.code(), Some(1), "{errors}");
    let command = format!("localgrad train --resume --out {run}");
    assert!(errors.contains(&command), "{errors}");
    let done: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!(done["interrupted"], true);
    let weights = path(Path::new(&run), "weights.safetensors");
    let more = ["--rule", "man", "--steps", "1", "--init", &weights];
    lines(&words(&tiny(&[&more[..], &["--out", &path(directory.path(), "on")]].concat())));
    let steps = (done["steps"].as_u64().unwrap() + 2).to_string();
    let resumed = lines(&["train", "--resume", "--out", &run, "--steps", &steps]);
    let last = resumed.last().unwrap();
    assert_eq!((&last["event"], last["steps"].to_string()), (&Value::from("done"), steps));
}

#[test]
fn every_epoch_of_the_default_schedule_trains() {
    let directory = tempfile::tempdir().unwrap();
    for (name, length) in [("1", ["--epochs", "1"]), ("2", ["--epochs", "2"]), ("5", ["--steps", "5"])] {
        let run = path(directory.path(), name);
        let records = lines(&words(
            &tiny(&["--rule", "bp", "--lr", "0.1", "--out", &run, length[0], length[1]])
                .into_iter()
                .filter(|word| word != "--head" && word != "greedy")
                .collect::<Vec<_>>(),
        ));
        let rates =
            records.iter().filter(|r| r["event"] == "step").map(|r| r["learning_rate"].as_f64().unwrap());
        let rates: Vec<f64> = rates.collect();
        assert!(
            !rates.is_empty() && rates.iter().all(|&rate| rate > 0.001 && rate <= 0.1),
            "{length:?}: {rates:?}"
        );
    }
    let published = path(directory.path(), "published");
    let more = ["--rule", "man", "--epochs", "2", "--schedule", "cosine-to-zero", "--out", &published];
    let records = lines(&words(&tiny(&more)));
    let last = records.iter().rev().find(|record| record["event"] == "step").unwrap();
    assert_eq!(last["learning_rate"], 0.0);
    let wrong = refusal(&words(&tiny(&["--lr-floor", "1.5", "--steps", "1"])), 2);
    assert!(wrong.contains("share of the learning rate"), "{wrong}");
    refusal(&words(&tiny(&["--lr-floor", "0.1", "--schedule", "constant"])), 2);
}

#[test]
fn classes_are_told_apart_and_the_best_epoch_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let run = path(directory.path(), "run");
    let judged = ["--keep-best", "--patience", "2", "--class-weights", "balanced"];
    let more = ["--rule", "man", "--epochs", "3", "--schedule", "constant", "--lr", "0.2", "--out", &run];
    let records = lines(&words(&tiny(&[&more[..], &judged].concat())));
    let done = records.last().unwrap();
    let classes = done["classes"].as_array().unwrap();
    assert_eq!(classes.len(), 10);
    assert_eq!(classes.iter().map(|class| class["samples"].as_u64().unwrap()).sum::<u64>(), 1000);
    assert!(classes.iter().all(|class| class["name"].is_string()));
    let accuracies: Vec<f64> = classes.iter().map(|class| class["accuracy"].as_f64().unwrap()).collect();
    let mean = accuracies.iter().sum::<f64>() / 10.0;
    assert!((mean - done["macro_accuracy"].as_f64().unwrap()).abs() < 1e-9);
    let epochs: Vec<f64> = records
        .iter()
        .filter(|record| record["event"] == "epoch")
        .map(|record| record["macro_accuracy"].as_f64().unwrap())
        .collect();
    let best = done["best_epoch"].as_u64().unwrap() as usize;
    assert!(epochs.iter().all(|&epoch| epoch <= epochs[best - 1]), "{epochs:?}, best {best}");
    let kept = Path::new(&run).join("weights-best.safetensors");
    let kept = kept.to_str().unwrap();
    let model = ["--model", "resnet8", "--widths", "4,4,8,8", "--data", "embedded", "--json"];
    let evaluated = lines(&[&["eval", "--weights", kept][..], &model].concat());
    assert_eq!(evaluated[0]["accuracy"], done["best_accuracy"]);
    assert_eq!(evaluated[0]["classes"].as_array().unwrap().len(), 10);
    assert!((evaluated[0]["macro_accuracy"].as_f64().unwrap() - epochs[best - 1]).abs() < 1e-9);
    let page = std::fs::read_to_string(Path::new(&run).join("report.html")).unwrap();
    assert!(page.contains("Accuracy of each class"));
    let closing = String::from_utf8(output(&["report", "--run", &run]).stdout).unwrap();
    assert!(closing.contains(&format!("{kept} (epoch {best}, ")), "{closing}");
    let is_last = done["accuracy"] == done["best_accuracy"];
    assert!(is_last != page.contains(&format!("<small>best: epoch {best}, ")), "{closing}");
    let spoken = output(&["eval", "--run", &run]);
    let text = String::from_utf8(spoken.stdout).unwrap();
    assert!(text.contains("macro average") && text.lines().count() >= 13, "{text}");
    assert!(String::from_utf8(spoken.stderr).unwrap().contains("the weights of the best epoch"));
    the_best_weights_are_those_of_a_run(&run, done, kept);

    let wrong = refusal(&words(&tiny(&["--class-weights", "1,2", "--steps", "1"])), 2);
    assert!(wrong.contains("2 class weights were given for 10 classes"), "{wrong}");
    refusal(&words(&tiny(&["--class-weights", "even", "--steps", "1"])), 2);
    refusal(&words(&tiny(&["--patience", "0", "--steps", "1"])), 2);
}

/// Whatever takes a run's weights takes the best of them, as long as they are there.
fn the_best_weights_are_those_of_a_run(run: &str, done: &Value, kept: &str) {
    let exported = format!("{run}/exported.safetensors");
    let taken = |accuracy: &str, weights: Option<&str>| {
        let evaluated = &lines(&["eval", "--run", run, "--json"])[0];
        assert_eq!(evaluated["accuracy"], done[accuracy]);
        assert_eq!(evaluated["weights"].as_str(), weights);
        let record = &lines(&["export", "--run", run, "--out", &exported, "--json"])[0];
        assert_eq!(record["weights"].as_str(), weights);
        std::fs::read(&exported).unwrap()
    };
    assert_eq!(taken("best_accuracy", Some(kept)), std::fs::read(kept).unwrap());
    std::fs::remove_file(kept).unwrap();
    assert_eq!(taken("accuracy", None), std::fs::read(format!("{run}/weights.safetensors")).unwrap());
}

#[test]
fn a_log_hears_of_every_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let run = path(directory.path(), "run");
    let output = output(&words(&tiny(&["--rule", "man", "--epochs", "3", "--out", &run])));
    let told = String::from_utf8(output.stderr).unwrap();
    let of_run: Vec<&str> = told.lines().filter(|line| line.starts_with("man: ")).collect();
    assert_eq!(of_run.len(), 3, "{told}");
    assert!(of_run[0].starts_with("man: 3/9  epoch 1  loss ") && of_run[0].contains(" left"), "{told}");
    assert!(of_run[2].starts_with("man: 9/9  epoch 3") && of_run[2].contains("accuracy"), "{told}");
}

#[test]
fn weights_that_are_no_numbers_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let spoiled = path(directory.path(), "nan.safetensors");
    let mut spec = localgrad_models::network("resnet8", &localgrad_models::ModelConfig::default()).unwrap();
    spec.name = "resnet8".into();
    let mut model = localgrad::model::Model::new(spec, 0, &localgrad::Device::Cpu).unwrap();
    let ours = localgrad::weights::of_model(&mut model).unwrap().into_iter();
    let mut all: std::collections::HashMap<String, localgrad::Tensor> =
        ours.map(|(name, map)| (name, map.tensor().unwrap().clone())).collect();
    let bias = localgrad::Tensor::from_vec(vec![f32::NAN; 10], 10, &localgrad::Device::Cpu).unwrap();
    all.insert("fc.bias".into(), bias);
    localgrad::candle::safetensors::save(&all, &spoiled).unwrap();
    let run = path(directory.path(), "run");
    let shape = ["--model", "resnet8", "--input", "3x32x32", "--classes", "10", "--normalize", "cifar10"];
    let picture = path(directory.path(), "picture.png");
    image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([x as u8, y as u8, 7])).save(&picture).unwrap();
    let predict = [&["predict", "--weights", &spoiled][..], &shape, &[picture.as_str()]].concat();
    for words in [
        predict,
        vec!["train", "--model", "resnet8", "--init", &spoiled, "--steps", "1", "--out", &run],
        vec!["finetune", "--model", "resnet8", "--init", &spoiled, "--steps", "1", "--out", &run],
        vec!["eval", "--model", "resnet8", "--weights", &spoiled],
    ] {
        let error = refusal(&words, 1);
        assert!(error.contains("fc.bias holds NaN"), "{words:?}: {error}");
        assert!(!Path::new(&run).exists());
    }
}
