//! The rules, each with a test that it catches a bad sample.

use crate::documented::{undocumented_kotlin, undocumented_swift};
use crate::reading::{code_only, crate_modules, functions, line_of, without_test_modules, words};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;
/// How far above an `unsafe` its reason may stand.
const SAFETY_REACH_LINES: usize = 6;

/// Crates whose own code answers with errors, never with panics.
const CRATES_WITHOUT_PANICS: [&str; 6] = ["runtime", "models", "data", "ffi", "android", "cli"];

/// A file with what the rules ask of it.
pub(crate) struct Source {
    /// From the workspace root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// `text` with comments and literals blanked: same length, same lines.
    pub(crate) code: String,
}

/// Where a rule is broken, and how.
#[derive(Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) line: usize,
    pub(crate) why: String,
}

pub(crate) type Rule = fn(&Source) -> Vec<Finding>;

/// Every rule.
pub(crate) const RULES: [Rule; 15] = [
    long_files,
    long_functions,
    panics,
    unexplained_unsafe,
    unfinished_work,
    trailing_white_space,
    tabs,
    missing_header,
    upward_crates,
    upward_modules,
    tensors_in_kernels,
    devices_above_maps,
    machine_paths,
    undocumented_kotlin,
    undocumented_swift,
];

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { code_only(text) } else { text.to_owned() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether this is a crate's own code, as opposed to its tests and examples.
    fn is_in_src(&self) -> bool {
        let mut directories = self.path.split('/').skip(1);
        self.is_rust()
            && directories.find(|name| ["src", "tests", "examples", "benches"].contains(name)) == Some("src")
    }

    fn crate_directory(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// A finding at each line of `text` that holds `needle`.
    fn lines_with(&self, needle: &str, why: &str) -> Vec<Finding> {
        let lines = self.text.lines().enumerate().filter(|(_, line)| line.contains(needle));
        lines.map(|(i, _)| Finding { line: i + 1, why: why.to_owned() }).collect()
    }
}

fn long_files(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    let is_code = source.is_rust() || source.path.ends_with(".kt") || source.path.ends_with(".swift");
    if !is_code || lines <= MAX_FILE_LINES {
        return vec![];
    }
    vec![Finding {
        line: lines,
        why: format!("{lines} lines; at most {MAX_FILE_LINES}: split the file by idea"),
    }]
}

fn long_functions(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return vec![];
    }
    let long = functions(&source.code).into_iter().filter(|f| f.last - f.first >= MAX_FUNCTION_LINES);
    long.map(|f| {
        let lines = f.last - f.first + 1;
        Finding {
            line: f.first,
            why: format!("`{}` has {lines} lines; at most {MAX_FUNCTION_LINES}", f.name),
        }
    })
    .collect()
}

fn panics(source: &Source) -> Vec<Finding> {
    let is_unit_tests = source.path.ends_with("/tests.rs");
    if is_unit_tests || !source.is_in_src() || !CRATES_WITHOUT_PANICS.contains(&source.crate_directory()) {
        return vec![];
    }
    let code = without_test_modules(&source.code);
    let mut findings = vec![];
    for panicking in [".unwrap()", ".expect(", "panic!"] {
        for (offset, _) in code.match_indices(panicking) {
            findings.push(Finding {
                line: line_of(&code, offset),
                why: format!("`{panicking}` outside tests; return an error"),
            });
        }
    }
    findings
}

fn unexplained_unsafe(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return vec![];
    }
    let lines: Vec<&str> = source.text.lines().collect();
    let mut findings = vec![];
    for offset in words(&source.code, "unsafe") {
        let next = source.code[offset + "unsafe".len()..].trim_start();
        let line = line_of(&source.code, offset);
        let above = &lines[line.saturating_sub(1 + SAFETY_REACH_LINES)..line];
        let needs_reason = next.starts_with('{') || next.starts_with("impl");
        if needs_reason && !above.iter().any(|l| l.contains("SAFETY:")) {
            let why = format!("`unsafe` without `SAFETY:` on the {SAFETY_REACH_LINES} lines above");
            findings.push(Finding { line, why });
        }
    }
    findings
}

fn unfinished_work(source: &Source) -> Vec<Finding> {
    // In halves, so that this file does not find itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX"), concat!("HA", "CK")];
    let macros = [concat!("to", "do!"), concat!("un", "implemented!"), concat!("db", "g!")];
    let mut findings = vec![];
    for mark in marks {
        for offset in words(&source.text, mark) {
            findings
                .push(Finding { line: line_of(&source.text, offset), why: format!("`{mark}`: finish it") });
        }
    }
    for name in macros {
        for (offset, _) in source.code.match_indices(name).filter(|_| source.is_rust()) {
            findings
                .push(Finding { line: line_of(&source.code, offset), why: format!("`{name}`: finish it") });
        }
    }
    findings
}

fn trailing_white_space(source: &Source) -> Vec<Finding> {
    let lines = source.text.split('\n').enumerate().filter(|(_, line)| line.trim_end() != *line);
    lines.map(|(i, _)| Finding { line: i + 1, why: "white space at the end of the line".into() }).collect()
}

fn tabs(source: &Source) -> Vec<Finding> {
    if source.is_rust() { source.lines_with("\t", "a tab") } else { vec![] }
}

fn missing_header(source: &Source) -> Vec<Finding> {
    if !source.is_in_src() || source.text.starts_with("//!") {
        return vec![];
    }
    vec![Finding { line: 1, why: "does not begin with a `//!` line that says what the file is".into() }]
}

/// Crates know only those below them: cli and ffi know models and data, which know runtime and not each other.
fn upward_crates(source: &Source) -> Vec<Finding> {
    let forbidden: &[&str] = match source.crate_directory() {
        "runtime" => {
            &["localgrad_models", "localgrad_data", "localgrad_cli", "localgrad_ffi", "localgrad_jni"]
        }
        "models" => &["localgrad_data", "localgrad_cli", "localgrad_ffi", "localgrad_jni"],
        "data" => &["localgrad_models", "localgrad_cli", "localgrad_ffi", "localgrad_jni"],
        _ => &[],
    };
    let is_manifest = source.path.ends_with("Cargo.toml");
    let mut findings = vec![];
    for name in forbidden.iter().filter(|_| is_manifest || source.is_rust()) {
        let spelled = if is_manifest { name.replace('_', "-") } else { (*name).to_owned() };
        for (offset, _) in source.code.match_indices(&spelled) {
            let why = format!("{} must not know {spelled}", source.crate_directory());
            findings.push(Finding { line: line_of(&source.code, offset), why });
        }
    }
    findings
}

/// Maps and kernels know nothing of what is built from them.
fn upward_modules(source: &Source) -> Vec<Finding> {
    let low = ["runtime/src/maps/", "runtime/src/kernels/"];
    if !low.iter().any(|directory| source.path.starts_with(directory)) {
        return vec![];
    }
    let above = ["tape", "layers", "network", "rules", "trainer", "data", "plan"];
    let named = crate_modules(&source.code).into_iter().filter(|(_, module)| above.contains(module));
    named
        .map(|(line, module)| Finding {
            line,
            why: format!("maps and kernels must not know `crate::{module}`"),
        })
        .collect()
}

fn tensors_in_kernels(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("runtime/src/kernels/") {
        return vec![];
    }
    let mut offsets = words(&source.code, "Tensor");
    offsets.extend(source.code.match_indices("candle").map(|(offset, _)| offset));
    let why = "kernels work on slices; they must not know tensors or candle";
    offsets.iter().map(|&o| Finding { line: line_of(&source.code, o), why: why.into() }).collect()
}

/// All but what maps stand on is written on maps, wherever these are: layers, rules, tape, trainer, plans, data, files.
fn devices_above_maps(source: &Source) -> Vec<Finding> {
    // Errors are made of candle's, and the crate shows candle to programs.
    let below = ["maps/", "kernels/", "device/", "device.rs", "error.rs", "lib.rs"];
    let inside = source.path.strip_prefix("runtime/src/");
    if inside.is_none_or(|path| below.iter().any(|start| path.starts_with(start))) {
        return vec![];
    }
    let why = "what is built from maps must not know where they are: no devices, tensors, kernels";
    let named = ["Tensor", "candle_core", "candle"].iter();
    let mut found: Vec<usize> =
        named.flat_map(|word| words(&source.code, word)).map(|at| line_of(&source.code, at)).collect();
    let modules = crate_modules(&source.code).into_iter();
    let below = ["kernels", "device", "Device"];
    found.extend(modules.filter(|(_, module)| below.contains(module)).map(|(line, _)| line));
    found.into_iter().map(|line| Finding { line, why: why.into() }).collect()
}

fn machine_paths(source: &Source) -> Vec<Finding> {
    let homes = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    homes.iter().flat_map(|home| source.lines_with(home, "a path of one particular machine")).collect()
}

/// The lines on which `rule` finds fault with `text` at `path`.
pub(crate) fn lines(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    rule(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
}

pub(crate) const NONE: [usize; 0] = [];

#[test]
fn files_over_600_lines_are_found() {
    assert_eq!(lines(long_files, "runtime/src/a.rs", &"//\n".repeat(601)), [601]);
    assert_eq!(lines(long_files, "runtime/src/a.rs", &"//\n".repeat(600)), NONE);
}

#[test]
fn functions_over_70_lines_are_found() {
    let function =
        |body: usize| format!("\nfn f(a: [u8; 3]) {{\n{}}}\n", "    g('{', \"}\"); // {\n".repeat(body));
    assert_eq!(lines(long_functions, "a.rs", &function(69)), [2]);
    assert_eq!(lines(long_functions, "a.rs", &function(68)), NONE);
    assert_eq!(lines(long_functions, "a.rs", &format!("trait T {{ fn f(); }}\n{}", "\n".repeat(80))), NONE);
}

#[test]
fn panics_are_found() {
    let text = "fn f() {\n    a.unwrap();\n    b.expect(\"\");\n    panic!();\n    c.unwrap_or(1); // .unwrap()\n}\n";
    assert_eq!(lines(panics, "runtime/src/a.rs", text), [2, 3, 4]);
    assert_eq!(lines(panics, "cli/src/main.rs", text), [2, 3, 4]);
    assert_eq!(lines(panics, "runtime/tests/a.rs", text), NONE);
    assert_eq!(lines(panics, "cli/src/metrics/tests.rs", text), NONE);
    let in_tests = format!("#[cfg(test)]\nmod tests {{\n{text}}}\n");
    assert_eq!(lines(panics, "runtime/src/a.rs", &in_tests), NONE);
    assert_eq!(lines(panics, "runtime/src/a.rs", &format!("{in_tests}fn g() {{ a.unwrap() }}\n")), [10]);
}

#[test]
fn unsafe_without_a_reason_is_found() {
    let reason_above = |lines: usize| format!("// SAFETY: sound{}unsafe {{ f() }}\n", "\n".repeat(lines));
    assert_eq!(lines(unexplained_unsafe, "a.rs", "unsafe { f() }\nunsafe impl Send for T {}\n"), [1, 2]);
    assert_eq!(lines(unexplained_unsafe, "a.rs", &reason_above(7)), [8]);
    assert_eq!(lines(unexplained_unsafe, "a.rs", &reason_above(6)), NONE);
    assert_eq!(lines(unexplained_unsafe, "a.rs", "unsafe fn f() {}\n// unsafe { f() }\n"), NONE);
}

#[test]
fn unfinished_work_is_found() {
    let text = concat!("// TO", "DO\nfn f() { to", "do!() }\n// FIX", "ME X", "XX HA", "CK\n");
    assert_eq!(lines(unfinished_work, "a.rs", text), [1, 3, 3, 3, 2]);
    assert_eq!(lines(unfinished_work, "a.md", text), [1, 3, 3, 3]);
    assert_eq!(lines(unfinished_work, "a.rs", concat!("db", "g!(x);\nun", "implemented!();\n")), [2, 1]);
    assert_eq!(lines(unfinished_work, "a.rs", "// a HACKATHON of to-dos\n"), NONE);
}

#[test]
fn white_space_is_found() {
    assert_eq!(lines(trailing_white_space, "a.md", "a \nb\nc\t\nd"), [1, 3]);
    assert_eq!(lines(tabs, "a.rs", "a\n\tb\n"), [2]);
    assert_eq!(lines(tabs, "Makefile.md", "\tb\n"), NONE);
}

#[test]
fn files_without_a_header_are_found() {
    assert_eq!(lines(missing_header, "runtime/src/a.rs", "// a\nuse b;\n"), [1]);
    assert_eq!(lines(missing_header, "runtime/src/a.rs", "//! A.\n"), NONE);
    assert_eq!(lines(missing_header, "runtime/tests/a.rs", "use b;\n"), NONE);
}

#[test]
fn upward_dependencies_are_found() {
    let text = "//! localgrad_cli\nuse localgrad_models::resnet;\nuse localgrad_cli::train;\n";
    assert_eq!(lines(upward_crates, "runtime/src/a.rs", text), [2, 3]);
    assert_eq!(lines(upward_crates, "models/src/a.rs", text), [3]);
    assert_eq!(lines(upward_crates, "cli/src/a.rs", text), NONE);
    assert_eq!(lines(upward_crates, "runtime/Cargo.toml", "[dependencies]\nlocalgrad-models = {}\n"), [2]);

    let text =
        "use crate::error::Error;\nuse crate::{maps::data, trainer};\nfn f(x: crate::layers::Layer) {}\n";
    assert_eq!(lines(upward_modules, "runtime/src/maps/a.rs", text), [2, 3]);
    assert_eq!(lines(upward_modules, "runtime/src/layers/a.rs", text), NONE);
}

#[test]
fn tensors_in_kernels_are_found() {
    let text = "//! Knows no Tensor.\nuse candle_core::Shape;\nfn f(x: &Tensor, y: TensorLike) {}\n";
    assert_eq!(lines(tensors_in_kernels, "runtime/src/kernels/a.rs", text), [3, 2]);
    assert_eq!(lines(tensors_in_kernels, "runtime/src/maps/a.rs", text), NONE);
}

#[test]
fn devices_above_maps_are_found() {
    let text =
        "//! On no Tensor.\nuse candle_core::Tensor;\nuse crate::maps::{Map, Place};\nuse crate::Device;\n";
    assert_eq!(lines(devices_above_maps, "runtime/src/layers/a.rs", text), [2, 2, 4]);
    assert_eq!(lines(devices_above_maps, "runtime/src/maps/a.rs", text), NONE);
    let text = "use crate::maps::conv;\nuse crate::{device, kernels::conv};\n";
    assert_eq!(lines(devices_above_maps, "runtime/src/trainer/a.rs", text), [2, 2]);
    assert_eq!(lines(devices_above_maps, "runtime/src/trainer.rs", text), [2, 2]);
    assert_eq!(lines(devices_above_maps, "runtime/src/shelf.rs", text), [2, 2]);
    assert_eq!(lines(devices_above_maps, "runtime/src/maps/open.rs", text), NONE);
    assert_eq!(lines(devices_above_maps, "data/src/open.rs", text), NONE);
}

#[test]
fn machine_paths_are_found() {
    let text = concat!("see /wo", "rk/a\nor /ro", "ot/b\nor network/c and root/d\n");
    assert_eq!(lines(machine_paths, "a.md", text), [1, 2]);
}
