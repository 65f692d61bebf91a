//! The program, run in a directory.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Exit code, standard output and standard error.
pub(crate) fn localgrad(directory: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let binary = env!("CARGO_BIN_EXE_localgrad");
    let output = Command::new(binary).current_dir(directory).args(words).output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, error)
}

/// Of what was printed, each line.
pub(crate) fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
