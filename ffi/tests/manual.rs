//! The programs of docs/c-api.md compile as shown, and the quick start does what the page says: also when it is killed.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

mod common;

use common::{compile_text, libraries, succeed};

/// The blocks of C in the page, in order.
fn programs() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/c-api.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("```c\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_string()).collect()
}

fn start(binary: &Path, directory: &Path) -> Command {
    let mut command = Command::new(binary);
    command.current_dir(directory).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("LD_LIBRARY_PATH", libraries());
    command
}

fn run(binary: &Path, directory: &Path) -> String {
    let output: Output = start(binary, directory).output().unwrap();
    succeed("the quick start", output)
}

#[test]
fn the_quick_start_trains_resumes_and_exports() {
    let programs = programs();
    let lines = programs[0].lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 45, "the quick start has {lines} lines");
    let built = tempfile::tempdir().unwrap();
    let binary = compile_text("quickstart", &programs[0], true, built.path());

    let plain = tempfile::tempdir().unwrap();
    assert_eq!(run(&binary, plain.path()), "begun anew; accuracy 1.00\n");
    let expected = std::fs::read(plain.path().join("weights.safetensors")).unwrap();

    let killed = tempfile::tempdir().unwrap();
    let mut child = start(&binary, killed.path()).spawn().unwrap();
    while !killed.path().join("checkpoints/manifest").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    // At whatever step it is.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(run(&binary, killed.path()), "resumed; accuracy 1.00\n");
    assert!(std::fs::read(killed.path().join("weights.safetensors")).unwrap() == expected, "other weights");
}

#[test]
fn every_program_of_the_page_compiles() {
    let directory = tempfile::tempdir().unwrap();
    let programs = programs();
    assert!(programs.len() >= 2);
    for (number, program) in programs.iter().enumerate() {
        compile_text(&format!("program{number}"), program, false, directory.path());
    }
}

#[test]
fn pkg_config_and_cmake_find_the_library() {
    let built = tempfile::tempdir().unwrap();
    let source = built.path().join("quickstart.c");
    std::fs::write(&source, &programs()[0]).unwrap();
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));

    let mut words = Command::new("pkg-config");
    words.args(["--cflags", "--libs", "localgrad"]).env("PKG_CONFIG_PATH", crate_directory);
    words.arg(format!("--define-variable=libdir={}", libraries().display()));
    match words.output() {
        Err(cause) => println!("skipped: no pkg-config: {cause}"),
        Ok(found) => {
            let flags = succeed("pkg-config", found);
            let mut cc = Command::new("cc");
            cc.arg("-std=c99")
                .arg(&source)
                .args(flags.split_whitespace())
                .arg("-o")
                .arg(built.path().join("q"));
            succeed("cc", cc.output().unwrap());
        }
    }

    // An installed tree, as scripts/install-c.sh makes it.
    let prefix = built.path().join("prefix");
    for directory in ["include", "lib/cmake/localgrad"] {
        std::fs::create_dir_all(prefix.join(directory)).unwrap();
    }
    let copy = |from: &Path, to: &str| std::fs::copy(from, prefix.join(to)).unwrap();
    copy(&crate_directory.join("include/localgrad.h"), "include/localgrad.h");
    copy(&crate_directory.join("cmake/localgrad-config.cmake"), "lib/cmake/localgrad/localgrad-config.cmake");
    for library in ["liblocalgrad.so", "liblocalgrad.a"] {
        copy(&libraries().join(library), &format!("lib/{library}"));
    }
    let project = "cmake_minimum_required(VERSION 3.16)\nproject(q C)\nfind_package(localgrad REQUIRED)\n\
                   add_executable(shared quickstart.c)\ntarget_link_libraries(shared localgrad::shared)\n\
                   add_executable(static quickstart.c)\ntarget_link_libraries(static localgrad::static)\n";
    std::fs::write(built.path().join("CMakeLists.txt"), project).unwrap();
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(built.path()).arg("-B").arg(built.path().join("build"));
    match configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display())).output() {
        Err(cause) => println!("skipped: no cmake: {cause}"),
        Ok(output) => {
            succeed("cmake", output);
            let mut build = Command::new("cmake");
            succeed("cmake --build", build.arg("--build").arg(built.path().join("build")).output().unwrap());
        }
    }
}
