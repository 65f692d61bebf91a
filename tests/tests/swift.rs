//! The Swift package: its tests run by a script that installs what they need.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Whether `.ci/run` runs the script as a stage, which need not be done twice.
fn is_a_stage() -> bool {
    std::env::var("LOCALGRAD_STAGES").is_ok_and(|stages| stages.split(',').any(|stage| stage == "swift"))
}

/// Says it to whoever runs the tests, who does not see what a test that passes prints.
fn say(words: &str) {
    let mut console = std::io::stderr().lock();
    writeln!(console, "{words}").unwrap();
}

#[test]
fn the_swift_package_passes_its_tests() {
    if is_a_stage() {
        return say("skipped: scripts/test-swift.sh is a stage of this run");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new("scripts/test-swift.sh").current_dir(root).output().unwrap();
    let all =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n");
    let last = all.trim_end().lines().last().unwrap_or_default();
    match output.status.code() {
        Some(0) => {}
        Some(3) if std::env::var_os("CI").is_none() => say(&format!("skipped: the Swift package: {last}")),
        status => panic!("scripts/test-swift.sh ended with {status:?}:\n{all}"),
    }
}

#[test]
fn what_people_read_is_what_is_compiled() {
    let ios = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("ios");
    let readme = std::fs::read_to_string(ios.join("README.md")).unwrap();
    let example = std::fs::read_to_string(ios.join("Tests/Examples/TwentyLines.swift")).unwrap();
    assert!(
        readme.contains(example.trim_end()),
        "the example of ios/README.md is not Tests/Examples/TwentyLines.swift"
    );
}
