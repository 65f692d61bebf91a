//! The committed header is what the crate's code says, and compiles wherever C does.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use std::path::Path;
use std::process::Command;

const CRATE: &str = env!("CARGO_MANIFEST_DIR");

fn generated() -> String {
    let config = cbindgen::Config::from_file(Path::new(CRATE).join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new()
        .with_crate(Path::new(CRATE).join("bridge"))
        .with_config(config)
        .generate()
        .unwrap();
    let mut text = Vec::new();
    bindings.write(&mut text);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_header_is_current() {
    let path = Path::new(CRATE).join("include/localgrad.h");
    let generated = generated();
    if std::env::var_os("LOCALGRAD_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let line = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "include/localgrad.h differs from the code, first at line {:?}; write it again with \
         LOCALGRAD_WRITE_HEADER=1 cargo test -p localgrad-ffi --test header",
        line.map_or_else(|| committed.lines().count().min(generated.lines().count()) + 1, |line| line + 1)
    );
}

#[test]
fn the_header_compiles_without_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    for (compiler, standard, ending) in [
        ("cc", "c99", "c"),
        ("cc", "c11", "c"),
        ("cc", "c17", "c"),
        ("c++", "c++11", "cpp"),
        ("c++", "c++17", "cpp"),
    ] {
        let file = directory.path().join(format!("header.{ending}"));
        std::fs::write(&file, "#include <localgrad.h>\n#include <localgrad.h>\nint nothing;\n").unwrap();
        let output = Command::new(compiler)
            .args(["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", &format!("-std={standard}")])
            .arg("-I")
            .arg(Path::new(CRATE).join("include"))
            .arg(&file)
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && message.is_empty(), "{compiler} -std={standard}: {message}");
    }
}
