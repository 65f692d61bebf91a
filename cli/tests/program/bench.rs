//! `localgrad bench` as scripts run it: the keys that they read, stepping on demand, and refusals.

use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};

const TINY: [&str; 10] =
    ["bench", "--model", "resnet8", "--widths", "4,4,8,8", "--input", "3x16x16", "--threads", "2", "--json"];

/// What the program answers to `words` and `input`.
fn localgrad(words: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_localgrad"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that refuses its words does not read.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// The JSON objects of a tiny network's measurement that must succeed.
fn measured(more: &[&str], input: &str) -> Vec<Value> {
    let output = localgrad(&[&TINY[..], more].concat(), input);
    assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_result_is_one_line_with_the_promised_keys() {
    let lines = measured(&["--steps", "3", "--batch", "4", "--rule", "man", "--blocks", "3"], "");
    assert_eq!(lines.len(), 1);
    let result = &lines[0];
    for key in ["step_seconds", "min_step_seconds", "gflops", "matmul_peak_gflops", "peak_bytes", "loss"] {
        assert!(result[key].as_f64().unwrap() > 0.0, "{key}: {result}");
    }
    assert!(result["min_step_seconds"].as_f64() <= result["step_seconds"].as_f64());
    for (key, value) in [("threads", 2), ("steps", 3), ("blocks", 3), ("batch", 4)] {
        assert_eq!(result[key], value, "{key}");
    }
    assert!(result.as_object().unwrap().contains_key("resident_bytes"));
    assert!(result["large_allocations"].is_u64());
}

#[test]
fn a_local_rule_needs_less_memory_than_the_whole_network() {
    let peak_bytes = |more: &[&str]| {
        let words = [&["--steps", "1", "--batch", "32"][..], more].concat();
        measured(&words, "")[0]["peak_bytes"].as_u64().unwrap()
    };
    let local = peak_bytes(&["--rule", "greedy", "--blocks", "4"]);
    let batch = 32 * 3 * 16 * 16 * 4;
    assert!(batch < local && local < peak_bytes(&["--rule", "bp"]), "{local}");
}

#[test]
fn layers_are_timed_alone() {
    let lines = measured(&["--steps", "1", "--batch", "2", "--ops"], "");
    let (result, ops) = lines.split_last().unwrap();
    assert_eq!(result["event"], "bench");
    assert!(ops.iter().all(|op| op["event"] == "op" && op["forward_seconds"].as_f64().unwrap() > 0.0));
    let convolutions = ops.iter().filter(|op| op["op"].as_str().unwrap().contains("conv"));
    assert!(convolutions.clone().all(|op| op["d_weight_gflops"].as_f64().unwrap() > 0.0));
    assert_eq!(convolutions.count(), 8);
}

#[test]
fn steps_are_taken_on_demand() {
    let lines = measured(&["--serve", "--batch", "2"], "step 12\n\nstep 1\n");
    let counts: Vec<usize> =
        lines[..2].iter().map(|line| line["seconds"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [12, 1]);
    assert_eq!((lines.len(), &lines[2]["steps"]), (3, &Value::from(13)));
    assert!(lines[2]["matmul_peak_gflops"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_cannot_be_measured_is_one_clear_line() {
    let cases: [(&[&str], &str, &str); 7] = [
        (&["bench", "--steps", "0"], "", "at least 1"),
        (&["bench", "--batch", "0"], "", "at least 1"),
        (&["bench", "--threads", "0"], "", "at least 1"),
        (&["bench", "--input", "32x32"], "", "3x32x32"),
        (&["bench", "--model", "resnet9"], "", "no model"),
        (&["bench", "--micro-batch", "0"], "", "micro-batch"),
        (&["bench", "--model", "resnet8", "--batch", "1", "--serve"], "go\n", "step 3"),
    ];
    for (words, input, needle) in cases {
        let output = localgrad(words, input);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {text}");
        assert!(text.contains(needle), "{words:?}: '{text}' does not say '{needle}'");
        assert_eq!(text.trim_end().lines().count(), 1, "{words:?}: {text}");
    }
}
