//! A memory budget as users name it: planned without training, kept to in training, or refused at once.

use crate::common::program::{lines, output, refusal};
use serde_json::Value;
use std::path::Path;

const RESNET: [&str; 8] = ["--model", "resnet32", "--rule", "man", "--batch", "64", "--threads", "2"];

#[test]
fn plans_without_training() {
    let whole = &lines(&[&["plan", "--json"][..], &RESNET].concat())[0];
    assert_eq!(whole["event"], "planned");
    let peak = whole["planned_bytes"].as_u64().unwrap();
    let most = |list: &Value, key: &str| -> u64 {
        list.as_array().unwrap().iter().map(|entry| entry[key].as_u64().unwrap()).max().unwrap()
    };
    assert_eq!(most(&whole["timeline"], "bytes"), peak);
    assert!(most(&whole["blocks"], "peak_bytes") <= peak);
    let parts = whole["parts"].as_object().unwrap().values();
    assert_eq!(parts.map(|part| part["at_peak_bytes"].as_u64().unwrap()).sum::<u64>(), peak);

    let budget = ["plan", "--memory-budget", "32MiB", "--json"];
    let chosen = &lines(&[&budget[..], &RESNET].concat())[0];
    assert!(chosen["planned_bytes"].as_u64().unwrap() <= 32 << 20, "{chosen}");
    assert!(!chosen["runners_up"].as_array().unwrap().is_empty());
    let text = output(&[&["plan", "--memory-budget", "32MiB"][..], &RESNET].concat());
    let text = String::from_utf8(text.stdout).unwrap();
    for words in ["kernel scratch", "block 0 forward", "evaluation", "estimate", "would fit"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn refuses_what_cannot_be_kept_to() {
    for command in ["plan", "train"] {
        let refused = refusal(&[&[command, "--memory-budget", "1MiB"][..], &RESNET].concat(), 2);
        assert!(refused.contains("the least that would do is") && refused.contains("MiB"), "{refused}");
        assert!(refused.contains("bring it down") && refused.lines().count() == 1, "{refused}");
    }
    let batch = refusal(&["plan", "--batch", "18446744073709551615"], 2);
    assert!(batch.contains("smaller batch"), "{batch}");
    let size = refusal(&["plan", "--memory-budget", "64 potatoes"], 2);
    assert!(size.contains("64MiB"), "{size}");
}

#[test]
fn rules_are_compared_within_one_budget() {
    let words = ["plan", "--compare", "--model", "resnet32", "--batch", "64", "--memory-budget", "64MiB"];
    let rows = lines(&[&words[..], &["--micro-batch", "64", "--json"]].concat());
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[0]["rule"], "bp");
    for row in &rows {
        let (way, least) = (&row["way"]["peak_bytes"], row["least"]["peak_bytes"].as_u64().unwrap());
        assert!(way.as_u64().is_some_and(|bytes| least <= bytes && bytes <= 64 << 20), "{row}");
        assert!(row["seconds_per_sample"].as_f64().unwrap() > 0.0, "{row}");
    }
    // bp keeps to it by going back through pieces, which changes no result.
    assert!(rows[0]["way"]["pieces"].as_array().unwrap().len() > 1, "{}", rows[0]);
}

#[test]
fn a_rule_is_chosen_to_keep_to_the_budget() {
    let plan = |words: &[&str]| {
        let words = [&["plan", "--rule", "auto", "--batch", "64", "--threads", "2"][..], words].concat();
        let text = String::from_utf8(output(&words).stdout).unwrap();
        (text, lines(&[&words[..], &["--json"]].concat()).remove(0))
    };
    let (text, free) = plan(&["--model", "resnet32"]);
    assert_eq!(free["rule"], "bp");
    assert!(text.contains("auto: bp, since there is no memory budget"), "{text}");
    assert_eq!(plan(&["--model", "resnet32", "--memory-budget", "48MiB"]).1["rule"], "bp");
    let (text, tight) = plan(&["--model", "resnet110", "--memory-budget", "8MiB"]);
    assert_eq!(tight["rule"], "auglocal");
    assert!(tight["planned_bytes"].as_u64().unwrap() <= 8 << 20, "{tight}");
    assert!(text.contains("which keeps to 8.0 MiB as bp does not"), "{text}");
    // Units of their own would fit too; no more blocks than need be.
    assert!(tight["ends"].as_array().unwrap().len() < 10, "{tight}");
    let refused = refusal(&["plan", "--rule", "auto", "--model", "resnet32", "--memory-budget", "1MiB"], 2);
    assert!(refused.contains("the least that would do is"), "{refused}");
    for (flag, value) in [("--head", "dgl"), ("--pyramid", "0"), ("--lambda-first", "5,0.5")] {
        let said = refusal(&["train", "--rule", "auto", flag, value], 2);
        assert!(said.contains(&format!("leave {flag} out")), "{said}");
    }
}

#[test]
fn a_chosen_rule_is_kept_when_the_run_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run").to_string_lossy().into_owned();
    // So deep that bp cannot keep the inputs of its pieces.
    let deep = ["--model", "resnet110", "--memory-budget", "8MiB"];
    for (network, rule) in [(&["--model", "resnet8", "--memory-budget", "64MiB"], "bp"), (&deep, "auglocal")]
    {
        let words =
            ["train", "--rule", "auto", "--limit", "64", "--batch", "64", "--threads", "2", "--out", &run];
        let begun = lines(&[&words[..], network, &["--steps", "1", "--json"]].concat());
        assert_eq!(begun.last().unwrap()["run"], rule);
        let resumed = lines(&["train", "--resume", "--out", &run, "--steps", "2", "--json"]);
        let done = resumed.last().unwrap();
        assert_eq!((&done["run"], done["steps"].as_u64()), (&rule.into(), Some(2)), "{done}");
        std::fs::remove_dir_all(&run).unwrap();
    }
}

/// What is frozen is what would be without a budget; blocks with batches of their own are as many as these.
#[test]
fn a_budget_leaves_the_cut_to_those_who_need_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let small =
        ["--model", "resnet14", "--widths", "4,4,8,8", "--limit", "64", "--steps", "2", "--threads", "2"];
    let ends = |run: &str| -> Value {
        let text = std::fs::read(Path::new(run).join("run.json")).unwrap();
        serde_json::from_slice::<Value>(&text).unwrap()["train"]["ends"].clone()
    };
    let (first, free, kept, own) = (at("first"), at("free"), at("kept"), at("own"));
    let train = |words: &[&str], run: &str| {
        lines(&[words, &small, &["--batch", "16", "--json", "--out", run]].concat());
        ends(run)
    };
    train(&["train", "--rule", "bp"], &first);
    let weights = format!("{first}/weights.safetensors");
    let tune = ["finetune", "--rule", "man", "--init", &weights, "--freeze", "first-3-blocks"];
    let budget = [&tune[..], &["--memory-budget", "24MiB"]].concat();
    assert_eq!(train(&tune, &free), train(&budget, &kept));
    let auto = [&tune[..1], &tune[3..], &["--rule", "auto"]].concat();
    assert!(refusal(&auto, 2).contains("name a rule"));
    let batches = ["train", "--rule", "man", "--block-batches", "8,16,32", "--chunk", "2"];
    let ends = train(&[&batches[..], &["--memory-budget", "24MiB"]].concat(), &own);
    assert_eq!(ends.as_array().unwrap().len(), 3);
}

/// A chunk ends with the epoch, and so does what is planned of it.
#[test]
fn a_chunk_is_planned_no_longer_than_an_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let done = |chunk: &str, more: &[&str]| {
        let run = directory.path().join(format!("{chunk}{}", more.len())).to_string_lossy().into_owned();
        let small = ["train", "--model", "resnet8", "--widths", "4,4,8,8", "--rule", "dgl", "--blocks", "2"];
        let length = ["--limit", "64", "--batch", "16", "--steps", "4", "--threads", "1", "--chunk", chunk];
        let records = lines(&[&small[..], &length, &["--json", "--out", &run], more].concat());
        let text = std::fs::read(Path::new(&run).join("run.json")).unwrap();
        let kept = serde_json::from_slice::<Value>(&text).unwrap()["train"]["chunk"].clone();
        assert_eq!(kept.to_string(), chunk, "what was said is kept");
        records.last().unwrap()["planned_bytes"].as_u64().unwrap()
    };
    // The words themselves take a few bytes, too.
    let apart = done("4", &[]).abs_diff(done("60000", &[]));
    assert!(apart < 1024, "{apart}");
    assert!(done("60000", &["--memory-budget", "24MiB"]) <= 24 << 20);
}

/// The most is in memory while the network is evaluated, after a step whose long record was written.
#[test]
fn evaluations_keep_to_the_budget() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run").to_string_lossy().into_owned();
    let words =
        ["--model", "resnet20", "--rule", "man", "--blocks", "5", "--micro-batch", "8", "--batch", "128"];
    let words = [&["train", "--limit", "400", "--steps", "4", "--threads", "2"][..], &words].concat();
    let budget = ["--memory-budget", "40MiB", "--json", "--out", &run];
    let records = lines(&[&words[..], &budget].concat());
    let done = records.last().unwrap();
    let (planned, peak) = (done["planned_bytes"].as_u64().unwrap(), done["peak_bytes"].as_u64().unwrap());
    assert!(peak <= planned && planned <= 40 << 20, "{done}");
    let last_step = records.iter().rfind(|record| record["event"] == "step").unwrap();
    assert!(last_step["peak_bytes"].as_u64().unwrap() < peak, "the peak is not an evaluation's: {last_step}");
}

#[test]
fn training_keeps_to_its_budget_and_goes_on_as_it_began() {
    keeps_and_goes_on(24, false);
}

#[test]
fn a_small_budget_lets_the_rest_wait_in_a_file() {
    keeps_and_goes_on(8, true);
}

fn keeps_and_goes_on(budget_mib: u64, in_file: bool) {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run").to_string_lossy().into_owned();
    let small = ["--model", "resnet20", "--rule", "man", "--batch", "64", "--limit", "160", "--threads", "2"];
    let budget = format!("{budget_mib}MiB");
    let words = [&["train", "--memory-budget", &budget, "--json", "--out", &run][..], &small].concat();
    let records = lines(&[&words[..], &["--epochs", "1"]].concat());
    let check = |records: &[Value]| {
        let done = records.last().unwrap();
        let (planned, peak) = (done["planned_bytes"].as_u64().unwrap(), done["peak_bytes"].as_u64().unwrap());
        assert!(peak <= planned && planned <= budget_mib << 20, "{done}");
        assert!(planned as f64 <= 1.15 * peak as f64, "{done}");
        assert_eq!(done["stored_bytes"].as_u64().is_some_and(|bytes| bytes > 0), in_file, "{done}");
        if cfg!(target_os = "linux") {
            let resident = done["resident_peak_bytes"].as_u64().unwrap();
            assert!(resident <= (budget_mib << 20) + (24 << 20), "{done}");
        }
    };
    check(&records);
    let run_file = |path: &Path| -> Value {
        serde_json::from_slice(&std::fs::read(path.join("run.json")).unwrap()).unwrap()
    };
    let first = run_file(Path::new(&run));
    let again = lines(&["train", "--resume", "--out", &run, "--epochs", "2", "--json"]);
    check(&again);
    let second = run_file(Path::new(&run));
    let kept = ["ends", "micro_batch", "recompute", "pieces", "activations", "offload", "features_on_disk"];
    for key in kept {
        assert_eq!(first["train"][key], second["train"][key], "{key}");
    }
}

#[test]
fn a_scratch_file_without_room_is_one_clear_line() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run").to_string_lossy().into_owned();
    let small =
        ["train", "--model", "resnet8", "--rule", "dgl", "--blocks", "2", "--limit", "64", "--out", &run];
    let failure = |more: &[&str]| {
        let output = output(&[&small[..], more].concat());
        assert_eq!(output.status.code(), Some(1), "{more:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains("panicked"), "{text}");
        text.lines().last().unwrap().to_string()
    };
    let full = failure(&["--batch", "16", "--chunk", "4", "--features-on-disk", "--scratch-limit", "100KiB"]);
    assert!(full.contains("scratch file") && full.contains("102400 are allowed"), "{full}");
    std::fs::remove_dir_all(&run).unwrap();
    let nowhere = failure(&["--offload", "--scratch", "/nonexistent"]);
    assert!(nowhere.contains("/nonexistent"), "{nowhere}");
}

/// A card that is here is opened, and one that is not is imagined.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[test]
fn the_memory_of_a_card_is_planned_without_one() {
    let words = [&["plan", "--device", "cuda"][..], &RESNET].concat();
    let plan = |more: &[&str]| lines(&[&words[..], &["--json"], more].concat()).remove(0);
    let whole = plan(&[]);
    let bytes = |plan: &Value, key: &str| plan[key].as_u64().unwrap_or_else(|| panic!("{key}: {plan}"));
    let held = bytes(&whole, "planned_bytes");
    assert!(bytes(&whole, "training_bytes").max(bytes(&whole, "evaluation_bytes")) <= held, "{whole}");
    assert!(bytes(&whole, "training_bytes") > 64 * 16 * 32 * 32 * 4, "{whole}");
    assert!(whole["device"] == "cuda" && whole["step_seconds"].is_null(), "{whole}");
    assert!(whole["blocks"].as_array().unwrap().is_empty(), "{whole}");
    let budget = (held / 2).to_string();
    let chosen = plan(&["--memory-budget", &budget]);
    assert!(bytes(&chosen, "planned_bytes") <= held / 2, "{chosen}");
    let text = String::from_utf8(output(&words).stdout).unwrap();
    assert!(text.contains("on cuda") && text.contains("as on a Jetson"), "{text}");
    // What is not here has no memory to be free.
    assert!(whole["free_bytes"].is_null() || whole["free_bytes"].as_u64() > Some(0), "{whole}");
    if text.contains("only imagined") {
        let refused = refusal(&[&words[..], &["--memory-budget", "auto"]].concat(), 2);
        assert!(refused.contains("give --memory-budget a size"), "{refused}");
    }
}

/// Of a device's speed nobody knows, but of its memory, and of the work that is counted.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[test]
fn rules_are_compared_on_a_card_that_is_not_here() {
    let words = ["plan", "--compare", "--device", "cuda", "--blocks", "2", "--batch", "32"];
    let rows = lines(&[&words[..], &["--model", "resnet8", "--widths", "4,4,8,8", "--json"]].concat());
    assert_eq!(rows.len(), 8);
    let bytes = |row: &Value, way: &str| row[way]["peak_bytes"].as_u64().unwrap_or_else(|| panic!("{row}"));
    for row in &rows {
        assert!(row["seconds_per_sample"].is_null() && row["way"]["step_seconds"].is_null(), "{row}");
        assert!(bytes(row, "least") <= bytes(row, "way"), "{row}");
        assert!(row["relative_work"].as_f64().is_some_and(|work| work > 0.2), "{row}");
    }
    assert_eq!((&rows[0]["rule"], &rows[0]["relative_work"]), (&Value::from("bp"), &Value::from(1.0)));
}

/// What `plan` and `bench` say of a device is what `train` promises of it, and keeps.
#[cfg(feature = "emulated")]
#[test]
fn plans_of_an_emulated_device_are_those_of_training() {
    let here = tempfile::tempdir().unwrap();
    let network = ["--model", "resnet8", "--widths", "4,4,4,8", "--rule", "bp", "--batch", "8"];
    let device = ["--device", "emulated", "--threads", "2", "--json"];
    let bytes = |record: &Value, key: &str| record[key].as_u64().unwrap_or_else(|| panic!("{key}: {record}"));
    let shape = ["--input", "1x28x28"];
    let plan = |more: &[&str]| lines(&[&["plan"][..], &network, &shape, &device, more].concat()).remove(0);
    let whole = bytes(&plan(&[]), "planned_bytes");
    let budget = (whole * 3 / 4).to_string();
    for (name, more) in [("whole", &[][..]), ("less", &["--memory-budget", &budget][..])] {
        let out = here.path().join(name);
        let data = ["--limit", "32", "--hold-out", "16", "--steps", "3", "--no-augment", "--out"];
        let words = [&["train"][..], &data, &[out.to_str().unwrap()], &network, &device, more].concat();
        let done = lines(&words).into_iter().find(|record| record["event"] == "done").unwrap();
        assert_eq!(bytes(&done, "planned_bytes"), bytes(&plan(more), "planned_bytes"), "{name}");
        assert!(bytes(&done, "peak_bytes") <= bytes(&done, "planned_bytes"), "{done}");
    }
    let bench = [&["bench", "--steps", "1"][..], &network, &shape, &device].concat();
    let bench = lines(&bench).remove(0);
    assert!(bytes(&bench, "peak_bytes") <= bytes(&bench, "planned_bytes"), "{bench}");
}

/// A device with little memory: `plan` says so, `train` refuses, and both name a budget that does.
#[cfg(feature = "emulated")]
#[test]
fn what_a_device_has_free_is_looked_at_before_training() {
    let network = ["--model", "resnet8", "--widths", "4,4,8,8", "--rule", "bp", "--batch", "64"];
    let network = [&network[..], &["--device", "emulated:2", "--threads", "2"]].concat();
    let shape = ["--input", "1x28x28"];
    let plan = lines(&[&["plan", "--json"][..], &network, &shape].concat()).remove(0);
    let free = plan["free_bytes"].as_u64().unwrap();
    assert!(free <= 2 << 20 && plan["training_bytes"].as_u64().unwrap() > free, "{plan}");
    let note = plan["notes"][0].as_str().unwrap();
    let named = |text: &str| {
        let rest = text.split("--memory-budget ").nth(1).unwrap_or_else(|| panic!("{text}"));
        rest.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let least = named(note);
    assert!(note.contains("are free there") && least <= free, "{plan}");
    let text = String::from_utf8(output(&[&["plan"][..], &network, &shape].concat()).stdout).unwrap();
    assert!(text.contains("note: this run takes"), "{text}");
    let here = tempfile::tempdir().unwrap();
    let out = here.path().join("run");
    let data = ["--limit", "64", "--hold-out", "16", "--steps", "1", "--no-augment", "--out"];
    let train = [&["train"][..], &data, &[out.to_str().unwrap()], &network].concat();
    let refused = refusal(&train, 1);
    assert!(refused.contains("are free there") && named(&refused) <= free, "{refused}");
    let planned =
        lines(&[&["plan", "--json", "--memory-budget", "auto"][..], &network, &shape].concat()).remove(0);
    let budget = planned["budget_bytes"].as_u64().unwrap();
    assert!(free - free / 16 - budget < 1 << 12, "{planned} of {free}");
    assert!(planned["planned_bytes"].as_u64().unwrap() <= budget, "{planned}");
    let budget = named(&refused).to_string();
    let records = lines(&[&train[..], &["--memory-budget", &budget, "--json"]].concat());
    let done = records.iter().find(|record| record["event"] == "done").unwrap();
    assert!(done["peak_bytes"].as_u64().unwrap() <= named(&refused), "{done}");
}

/// Features that are kept take a device's memory, as planned.
#[cfg(feature = "emulated")]
#[test]
fn kept_features_are_planned_on_a_device() {
    let here = tempfile::tempdir().unwrap();
    let network = ["--model", "resnet8", "--widths", "4,4,4,8", "--rule", "bp", "--batch", "8"];
    let train = ["--train", "last-2-units", "--device", "emulated", "--threads", "2"];
    let bytes = |record: &Value, key: &str| record[key].as_u64().unwrap_or_else(|| panic!("{key}: {record}"));
    for (kept, bits) in [("1", "f32"), ("1", "f16")] {
        let cache = ["--cache-features", kept, "--cache-precision", bits, "--no-augment", "--json"];
        let words = [&network[..], &train, &cache].concat();
        let of_plan = ["plan", "--input", "1x28x28", "--samples", "32", "--judged", "16"];
        let planned = bytes(&lines(&[&of_plan[..], &words].concat())[0], "planned_bytes");
        let out = here.path().join(bits);
        let data = ["train", "--limit", "48", "--hold-out", "16", "--epochs", "2", "--out"];
        let done = lines(&[&data[..], &[out.to_str().unwrap()], &words].concat());
        let done = done.into_iter().find(|record| record["event"] == "done").unwrap();
        assert_eq!(bytes(&done, "planned_bytes"), planned, "{bits}");
        let peak = bytes(&done, "peak_bytes");
        assert!(peak <= planned && 2 * planned <= 3 * peak, "{bits}: {peak} of {planned}");
    }
}

/// A card's own temperature counts where it is told; where it is not, that is said.
#[cfg(feature = "emulated")]
#[test]
fn a_device_that_tells_no_temperature_is_said_not_to() {
    let here = tempfile::tempdir().unwrap();
    let board = here.path().join("board");
    let zone = board.join("sys/class/thermal/thermal_zone0");
    let (out, board) = (here.path().join("run"), board.to_str().unwrap().to_string());
    let network = ["train", "--model", "resnet8", "--widths", "4,4,4,8", "--rule", "bp", "--batch", "8"];
    let data = ["--limit", "16", "--hold-out", "8", "--steps", "1", "--out", out.to_str().unwrap()];
    let heat = ["--device", "emulated", "--max-temperature", "80", "--board", &board];
    let words = [&network[..], &data, &heat].concat();
    let refused = refusal(&words, 2);
    assert!(
        refused.contains("no thermal zone") && refused.contains("emulated is not looked at"),
        "{refused}"
    );
    std::fs::create_dir_all(&zone).unwrap();
    std::fs::write(zone.join("type"), "cpu-thermal\n").unwrap();
    std::fs::write(zone.join("temp"), "40000\n").unwrap();
    let output = output(&words);
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("this machine's own sensors, and emulated is not looked at"), "{text}");
}
