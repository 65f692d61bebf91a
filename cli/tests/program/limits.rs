//! What happens where less memory may be had than is asked for, and with more threads than any machine has.
#![cfg(target_os = "linux")]

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_localgrad");

/// The program's answer where its address space has `kib` KiB.
fn within(kib: u64, words: &[&str]) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v $0 && exec \"$@\"", &kib.to_string(), PROGRAM]).args(words);
    shell.output().unwrap()
}

/// The one line of a command that must fail so.
fn failure(output: &Output, code: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn a_measurement_that_takes_too_much_is_refused() {
    let words = ["bench", "--model", "resnet152", "--batch", "512", "--input", "3x224x224", "--threads", "1"];
    let text = failure(&within(3_000_000, &words), 1);
    assert!(text.contains("ulimit -v") && text.contains("would do"), "{text}");
    // What is named does.
    let batch = text.split("--batch ").nth(1).unwrap().split(' ').next().unwrap();
    assert!((1..512).contains(&batch.parse::<usize>().unwrap()), "{text}");
}

const LARGE: [&str; 6] = ["--model", "resnet20", "--batch", "6000", "--threads", "2"];

#[test]
fn a_run_that_takes_too_much_is_refused_with_what_would_do() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("run");
    let run = ["train", "--rule", "bp", "--epochs", "1", "--out", out.to_str().unwrap()];
    let text = failure(&within(1_200_000, &[&run[..], &LARGE].concat()), 1);
    let least = text.split("--memory-budget ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(least.parse::<u64>().unwrap() < 1_200_000 << 10, "{text}");
    assert!(!out.exists(), "nothing of a refused run is left");
}

#[test]
fn auto_takes_a_share() {
    let words = ["plan", "--rule", "bp", "--memory-budget", "auto", "--json"];
    let output = within(1_200_000, &[&words[..], &LARGE].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let plan: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let (budget, planned) = (plan["budget_bytes"].as_u64().unwrap(), plan["planned_bytes"].as_u64().unwrap());
    assert!(planned <= budget && budget < (1_200_000 << 10) / 4 * 3 && budget > 200 << 20, "{text}");
}

#[test]
fn memory_that_the_system_refuses_ends_in_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    // Gzipped images are held, a byte a pixel: 400 MB of them, before anything can be planned.
    for (split, samples) in [("train", 10_000_u32), ("t10k", 10)] {
        let images = File::create(directory.path().join(format!("{split}-images-idx3-ubyte.gz"))).unwrap();
        let mut images = GzEncoder::new(images, Compression::fast());
        let header: Vec<u8> = [0x803, samples, 200, 200].iter().flat_map(|n| n.to_be_bytes()).collect();
        images.write_all(&header).unwrap();
        (0..samples).for_each(|_| images.write_all(&[0; 40_000]).unwrap());
        images.finish().unwrap();
        let labels: Vec<u8> = [0x801, samples].iter().flat_map(|n: &u32| n.to_be_bytes()).collect();
        let labels = [labels, (0..samples).map(|i| (i % 10) as u8).collect()].concat();
        std::fs::write(directory.path().join(format!("{split}-labels-idx1-ubyte")), labels).unwrap();
    }
    let data = directory.path().to_str().unwrap();
    let out = directory.path().join("run");
    let words =
        ["train", "--data", data, "--model", "resnet8", "--threads", "1", "--out", out.to_str().unwrap()];
    let text = failure(&within(300_000, &words), 1);
    assert!(text.contains("memory"), "{text}");
}

#[test]
fn a_small_run_is_not_refused_within_a_small_limit() {
    let words = [
        "bench",
        "--model",
        "resnet8",
        "--input",
        "1x28x28",
        "--batch",
        "32",
        "--steps",
        "1",
        "--threads",
        "2",
    ];
    let output = within(700_000, &words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn more_threads_than_any_machine_has_are_refused() {
    let words = ["bench", "--model", "resnet8", "--steps", "1"];
    let said = Command::new(PROGRAM).args(words).args(["--threads", "100000"]).output().unwrap();
    let meant = Command::new(PROGRAM).args(words).env("RAYON_NUM_THREADS", "100000").output().unwrap();
    for output in [said, meant] {
        let text = failure(&output, 2);
        assert!(text.contains("use up to 1024"), "{text}");
    }
}
