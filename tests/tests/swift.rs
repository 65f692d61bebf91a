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

/// Without indentation and empty lines.
fn words(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_people_read_is_what_is_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let examples = std::fs::read_dir(root.join("ios/Tests/Examples")).unwrap();
    let compiled: Vec<String> =
        examples.map(|file| words(&std::fs::read_to_string(file.unwrap().path()).unwrap())).collect();
    for page in ["README.md", "ios/README.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let blocks = text.split("```swift\n").skip(1).map(|block| words(block.split("```").next().unwrap()));
        // Lines of a manifest stand alone.
        let blocks: Vec<String> = blocks.filter(|block| !block.starts_with(".package")).collect();
        assert!(!blocks.is_empty(), "{page} shows no Swift");
        for block in blocks {
            assert!(
                compiled.iter().any(|file| file.contains(&block)),
                "{page} shows what is in no file of ios/Tests/Examples:\n{block}"
            );
        }
    }
}
