//! The program, run as its users run it.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

/// What the program answers to `words`, wherever this runs.
pub(crate) fn output(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_localgrad")).args(words).output().unwrap()
}

/// Standard output and standard error of a run that must end with `code`.
pub(crate) fn told(words: &[&str], code: i32) -> [String; 2] {
    let output = output(words);
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert_eq!(output.status.code(), Some(code), "{words:?}: {out}{error}");
    assert!(!error.contains("panicked"), "{error}");
    [out, error]
}

/// The JSON objects of a run that must succeed.
pub(crate) fn lines(words: &[&str]) -> Vec<Value> {
    records(&told(words, 0)[0])
}

/// The error of a run that must fail with `code`.
pub(crate) fn refusal(words: &[&str], code: i32) -> String {
    let [_, error] = told(words, code);
    error
}

/// The path of what is in a directory, as a word.
pub(crate) fn path(directory: &Path, name: &str) -> String {
    directory.join(name).to_string_lossy().into_owned()
}

/// Exit code, standard output and standard error of a run in `directory`.
pub(crate) fn localgrad(directory: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let binary = env!("CARGO_BIN_EXE_localgrad");
    let output = Command::new(binary).current_dir(directory).args(words).output().unwrap();
    let [out, error] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.code(), out, error)
}

/// Of what was printed, each line.
pub(crate) fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect()
}
