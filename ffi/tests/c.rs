//! Builds the C and C++ programs against the shared and the static library and runs them: plainly, under AddressSanitizer
//! and UndefinedBehaviorSanitizer, and under Valgrind. Each program exits 0 if all went as it should.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

mod common;

use common::{CRATE, Library, compile, libraries, succeed};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

const PROGRAMS: [&str; 15] = [
    PUSH,
    PULL,
    "examples/finetune.c",
    "tests/c/budget.c",
    ADOPT,
    "tests/c/control.c",
    "tests/c/resume.c",
    "tests/c/errors.c",
    "tests/c/weights.c",
    "tests/c/card.c",
    "tests/c/objective.c",
    "tests/c/tokens.c",
    "tests/c/features.c",
    "tests/c/exits.c",
    FORK,
];
/// Not under Valgrind, to which all that the parent's threads have is lost in the child.
const FORK: &str = "tests/c/fork.c";
/// Not under Valgrind, which gives its many threads one core: what it does there is minutes of waiting.
const ADOPT: &str = "tests/c/adopt.c";
/// Of the static library, which is the same code, this alone runs under sanitizers.
const PUSH: &str = "examples/push.c";
/// Not under Valgrind, where its many steps are minutes, and all that it calls is called by others.
const PULL: &str = "examples/pull.c";

/// Compiles and runs every program, each in a directory of its own; `before` goes before the program's name.
fn run_all(library: Library, flags: &[&str], before: &[&str]) {
    run_some(&PROGRAMS, library, flags, before);
}

fn run_some(programs: &[&str], library: Library, flags: &[&str], before: &[&str]) {
    // Valgrind lets one thread run at a time: a second would only wait, busily.
    let threads = if before.is_empty() { "2" } else { "1" };
    for program in programs {
        let directory = tempfile::tempdir().unwrap();
        let binary = compile(program, library, flags, directory.path());
        let words = before.iter().map(OsStr::new).chain([binary.as_os_str(), directory.path().as_os_str()]);
        let words: Vec<&OsStr> = words.collect();
        let output =
            Command::new(words[0]).args(&words[1..]).env("LOCALGRAD_TEST_THREADS", threads).output().unwrap();
        succeed(program, output);
    }
}

#[test]
fn programs_run_with_the_shared_library() {
    run_all(Library::Shared, &[], &[]);
}

#[test]
fn programs_run_with_the_static_library() {
    run_all(Library::Static, &[], &[]);
}

const SANITIZERS: [&str; 2] = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

#[test]
fn sanitizers_find_nothing_with_the_shared_library() {
    run_all(Library::Shared, &SANITIZERS, &[]);
}

#[test]
fn sanitizers_find_nothing_with_the_static_library() {
    run_some(&[PUSH], Library::Static, &SANITIZERS, &[]);
}

const VALGRIND: [&str; 6] = [
    "valgrind",
    "--quiet",
    "--error-exitcode=9",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect",
    "--show-leak-kinds=definite,indirect",
];

#[test]
fn valgrind_finds_nothing() {
    if Command::new(VALGRIND[0]).arg("--version").output().is_err() {
        println!("skipped: valgrind is not installed");
        return;
    }
    let programs: Vec<&str> =
        PROGRAMS.into_iter().filter(|program| ![FORK, ADOPT, PULL].contains(program)).collect();
    run_some(&programs, Library::Shared, &[], &VALGRIND);
}

#[test]
fn cpp_programs_link_with_both_libraries() {
    for library in [Library::Shared, Library::Static] {
        let directory = tempfile::tempdir().unwrap();
        let binary = compile("tests/c/smoke.cpp", library, &[], directory.path());
        succeed("smoke.cpp", Command::new(binary).output().unwrap());
    }
}

#[test]
fn python_loads_the_shared_library() {
    let library = libraries().join("liblocalgrad.so");
    match Command::new("python3").arg(Path::new(CRATE).join("tests/smoke.py")).arg(&library).output() {
        Ok(output) => {
            succeed("smoke.py", output);
        }
        Err(cause) => println!("skipped: no python3: {cause}"),
    }
}
