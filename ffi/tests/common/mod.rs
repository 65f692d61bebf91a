//! Builds the libraries, and programs in C and C++ against them.
#![allow(dead_code, unreachable_pub)] // each test binary uses its own part, and none is a library
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

pub const CRATE: &str = env!("CARGO_MANIFEST_DIR");
/// What Rust's standard library needs of the system, for those who link the static library.
const SYSTEM_LIBRARIES: [&str; 6] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-pedantic", "-Werror"];

#[derive(Clone, Copy, PartialEq)]
pub enum Library {
    Shared,
    Static,
}

/// The directory of both libraries, which cargo does not build for tests by itself.
pub fn libraries() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let mut build = Command::new(env!("CARGO"));
        // The selection that tests are built by: with another one, dependencies would be built anew for other features.
        build.args(["build", "--quiet", "--workspace", "--lib", "--tests", "--target-dir"]).arg(target);
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        if profile == "release" {
            build.arg("--release");
        }
        succeed("cargo build", build.current_dir(CRATE).output().unwrap());
        target.join(profile)
    })
}

pub fn succeed(what: &str, output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{out}\n{err}", output.status);
    out
}

/// Compiles a program into `directory`; its path.
pub fn compile(program: &str, library: Library, flags: &[&str], directory: &Path) -> PathBuf {
    let (compiler, standard) = match program.ends_with(".cpp") {
        true => ("c++", "-std=c++11"),
        false => ("cc", "-std=c99"),
    };
    let binary = directory.join(Path::new(program).file_stem().unwrap());
    let mut command = Command::new(compiler);
    command
        .args([standard, "-D_GNU_SOURCE", "-g", "-O1"])
        .args(STRICT)
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

/// Compiles `text`, a program in C99 that stands by itself; its path. Without `links`, to an object file.
pub fn compile_text(name: &str, text: &str, links: bool, directory: &Path) -> PathBuf {
    let file = directory.join(format!("{name}.c"));
    std::fs::write(&file, text).unwrap();
    let binary = directory.join(name);
    let mut command = Command::new("cc");
    command.arg("-std=c99").args(STRICT).arg(format!("-I{CRATE}/include")).arg(&file).arg("-o").arg(&binary);
    match links {
        true => command.arg("-L").arg(libraries()).arg("-llocalgrad"),
        false => command.arg("-c"),
    };
    succeed(name, command.output().unwrap());
    binary
}
