//! Builds the C and C++ programs against the shared and the static library and runs them: plainly, under AddressSanitizer
//! and UndefinedBehaviorSanitizer, and under Valgrind. Each program exits 0 if all went as it should.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

const CRATE: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAMS: [&str; 6] = [
    "examples/push.c",
    "examples/pull.c",
    "examples/finetune.c",
    "tests/c/control.c",
    "tests/c/resume.c",
    "tests/c/errors.c",
];
/// What Rust's standard library needs of the system, for those who link the static library.
const SYSTEM_LIBRARIES: [&str; 6] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

#[derive(Clone, Copy, PartialEq)]
enum Library {
    Shared,
    Static,
}

/// The directory of both libraries, which cargo does not build for tests by itself.
fn libraries() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "localgrad-ffi", "--target-dir"]).arg(target);
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        if profile == "release" {
            build.arg("--release");
        }
        succeed("cargo build", build.current_dir(CRATE).output().unwrap());
        target.join(profile)
    })
}

fn succeed(what: &str, output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{out}\n{err}", output.status);
    out
}

/// Compiles a program into `directory`; its path.
fn compile(program: &str, library: Library, flags: &[&str], directory: &Path) -> PathBuf {
    let (compiler, standard) = match program.ends_with(".cpp") {
        true => ("c++", "-std=c++11"),
        false => ("cc", "-std=c99"),
    };
    let binary = directory.join(Path::new(program).file_stem().unwrap());
    let mut command = Command::new(compiler);
    command
        .args([standard, "-D_GNU_SOURCE", "-Wall", "-Wextra", "-pedantic", "-Werror", "-g", "-O1"])
        .args(flags)
        .arg(format!("-I{CRATE}/include"))
        .arg(Path::new(CRATE).join(program))
        .arg("-o")
        .arg(&binary);
    match library {
        Library::Shared => {
            command.arg("-L").arg(libraries()).arg("-llocalgrad").arg("-lm").arg("-lpthread");
            command.arg(format!("-Wl,-rpath,{}", libraries().display()));
        }
        Library::Static => {
            command.arg(libraries().join("liblocalgrad.a")).args(SYSTEM_LIBRARIES);
        }
    }
    succeed(program, command.output().unwrap());
    binary
}

/// Compiles and runs every program, each in a directory of its own; `before` goes before the program's name.
fn run_all(library: Library, flags: &[&str], before: &[&str]) {
    for program in PROGRAMS {
        let directory = tempfile::tempdir().unwrap();
        let binary = compile(program, library, flags, directory.path());
        let words = before.iter().map(OsStr::new).chain([binary.as_os_str(), directory.path().as_os_str()]);
        let words: Vec<&OsStr> = words.collect();
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
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
    run_all(Library::Static, &SANITIZERS, &[]);
}

const VALGRIND: [&str; 6] = [
    "valgrind",
    "--quiet",
    "--error-exitcode=9",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect",
    "--fair-sched=yes",
];

fn valgrind_is_there() -> bool {
    let there = Command::new(VALGRIND[0]).arg("--version").output().is_ok();
    if !there {
        println!("skipped: valgrind is not installed");
    }
    there
}

#[test]
fn valgrind_finds_nothing_with_the_shared_library() {
    if valgrind_is_there() {
        run_all(Library::Shared, &[], &VALGRIND);
    }
}

#[test]
fn valgrind_finds_nothing_with_the_static_library() {
    if valgrind_is_there() {
        run_all(Library::Static, &[], &VALGRIND);
    }
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
