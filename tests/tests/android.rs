//! The Kotlin library: its tests run by a script that installs what they need.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Says it to whoever runs the tests, who does not see what a test that passes prints.
fn say(words: &str) {
    let mut console = std::io::stderr().lock();
    writeln!(console, "{words}").unwrap();
}

#[test]
fn the_kotlin_library_passes_its_tests() {
    let stages = std::env::var("LOCALGRAD_STAGES").unwrap_or_default();
    if stages.split(',').any(|stage| stage == "android") {
        return say("skipped: scripts/test-android.sh is a stage of this run");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new("scripts/test-android.sh").current_dir(root).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let last = told.trim_end().lines().last().unwrap_or_default();
    match output.status.code() {
        Some(0) => {}
        Some(3) if std::env::var_os("CI").is_none() => say(&format!("skipped: the Kotlin library: {last}")),
        status => panic!("scripts/test-android.sh ended with {status:?}:\n{told}"),
    }
}
