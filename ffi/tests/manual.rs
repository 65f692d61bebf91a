//! The programs of docs/c-api.md and of the front page compile as shown, and do what the pages say: also when killed.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

mod common;

use common::{compile_text, libraries, succeed};

fn programs() -> Vec<String> {
    programs_of("docs/c-api.md")
}

/// The blocks of C in a page, in order.
fn programs_of(page: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
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

/// Makes the weights that the front page begins with, and lets it learn twice: a kill in between would change nothing.
const FRONT_PAGE_MAIN: &str = r#"
#include <stdio.h>

static uint8_t images[6 * 3 * 32 * 32];
static uint32_t labels[6];

/* Batch `number`, of twelve: each class has a brightness of its own. */
static int32_t photos(void *user_data, uint64_t number, lg_samples *samples) {
  size_t at;
  if (user_data != NULL || number >= 12) return LG_ANSWER_STOP;
  for (at = 0; at < 6; at++) labels[at] = (uint32_t)at % 3;
  for (at = 0; at < sizeof images; at++) images[at] = (uint8_t)(90 * labels[at / 3072] + at % 50);
  samples->images = images, samples->images_bytes = sizeof images, samples->count = 6, samples->labels = labels;
  return LG_ANSWER_CONTINUE;
}

int main(void) {
  lg_error *error = lg_error_create();
  lg_network *network;
  lg_trainer *trainer;
  if (lg_network_create("resnet8", NULL, &network, error) || lg_trainer_create(network, NULL, &trainer, error) ||
      lg_trainer_export(trainer, "base.safetensors", LG_PRECISION_F32, error)) return 2;
  lg_trainer_destroy(trainer), lg_network_destroy(network);
  if (learn(photos, error) || learn(photos, error)) {
    fprintf(stderr, "%s\n", lg_error_message(error));
    return 1;
  }
  if (lg_network_load("fruit.safetensors", &network, error)) return 3;
  lg_network_destroy(network), lg_error_destroy(error);
  return 0;
}
"#;

#[test]
fn the_front_page_learns_within_its_budget() {
    let programs = programs_of("README.md");
    assert_eq!(programs.len(), 1);
    let directory = tempfile::tempdir().unwrap();
    let text = format!("{}{FRONT_PAGE_MAIN}", programs[0]);
    let binary = compile_text("front", &text, true, directory.path());
    run(&binary, directory.path());
    let learned = std::fs::read(directory.path().join("fruit.safetensors")).unwrap();
    assert!(
        String::from_utf8_lossy(&learned).contains("plum"),
        "the names of the classes are not in the file"
    );
    assert!(directory.path().join("fruit/manifest").exists(), "there is no checkpoint");
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
