//! Style kept by a program: walks the tree and names every place that breaks a rule, as `file:line: why`.
//!
//! Each rule is a function from a source file to findings, with a test that it catches a bad sample.

use std::fs;
use std::path::Path;

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 70;
/// How far above an `unsafe` its reason may stand.
const SAFETY_REACH_LINES: usize = 6;

/// Crates whose own code answers with errors, never with panics.
const CRATES_WITHOUT_PANICS: [&str; 4] = ["runtime", "models", "ffi", "cli"];
/// Directories that hold what was built, fetched or recorded, not what was written.
const SKIPPED_DIRECTORIES: [&str; 7] =
    ["target", "runs", "build", "shared", "node_modules", "__pycache__", "proptest-regressions"];
/// Endings of files that people write.
const TEXT_ENDINGS: [&str; 13] =
    ["rs", "toml", "md", "sh", "py", "h", "c", "java", "kt", "kts", "swift", "run", "nvcc"];

/// A file with what the rules ask of it.
struct Source {
    /// From the workspace root, with forward slashes.
    path: String,
    text: String,
    /// `text` with comments and literals blanked: same length, same lines.
    code: String,
}

/// Where a rule is broken, and how.
#[derive(Debug, PartialEq)]
struct Finding {
    line: usize,
    why: String,
}

type Rule = fn(&Source) -> Vec<Finding>;

const RULES: [Rule; 12] = [
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
    machine_paths,
];

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { code_only(text) } else { text.to_owned() };
        Self { path: path.to_owned(), text: text.to_owned(), code }
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether this is a crate's own code, as opposed to its tests and examples.
    fn is_in_src(&self) -> bool {
        self.is_rust() && self.path.split('/').nth(1) == Some("src")
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

// Rules.

fn long_files(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    if !source.is_rust() || lines <= MAX_FILE_LINES {
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
    if !source.is_in_src() || !CRATES_WITHOUT_PANICS.contains(&source.crate_directory()) {
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

/// Crates know only those below them: cli and ffi know models, models knows runtime.
fn upward_crates(source: &Source) -> Vec<Finding> {
    let forbidden: &[&str] = match source.crate_directory() {
        "runtime" => &["localgrad_models", "localgrad_cli", "localgrad_ffi"],
        "models" => &["localgrad_cli", "localgrad_ffi"],
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

/// Ops and kernels know nothing of what is built from them.
fn upward_modules(source: &Source) -> Vec<Finding> {
    let low = ["runtime/src/ops/", "runtime/src/kernels/"];
    if !low.iter().any(|directory| source.path.starts_with(directory)) {
        return vec![];
    }
    let above = ["layers", "network", "rules", "trainer", "data"];
    let named = crate_modules(&source.code).into_iter().filter(|(_, module)| above.contains(module));
    named
        .map(|(line, module)| Finding {
            line,
            why: format!("ops and kernels must not know `crate::{module}`"),
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

fn machine_paths(source: &Source) -> Vec<Finding> {
    let homes = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    homes.iter().flat_map(|home| source.lines_with(home, "a path of one particular machine")).collect()
}

// Reading Rust, as far as the rules need it.

/// `text` with comments, strings and character literals turned into spaces, line breaks kept.
fn code_only(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let Some(end) = comment_or_literal_end(&text.as_bytes()[at..]) else {
            at += 1;
            continue;
        };
        let end = (at + end).min(bytes.len());
        bytes[at..end].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        at = end;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The length of the comment or literal that `rest` begins with, if it begins with one.
fn comment_or_literal_end(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'/', b'/', ..] => Some(find(rest, b"\n").unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(block_comment_end(rest)),
        [b'"', ..] => Some(string_end(rest)),
        [b'r', b'"' | b'#', ..] => raw_string_end(rest),
        [b'\'', b'\\', _, more @ ..] => Some(3 + find(more, b"'").map_or(more.len(), |i| i + 1)),
        [b'\'', first, ..] => {
            // A lifetime has no closing quote one character on.
            let width = match first {
                0..0x80 => 1,
                0x80..0xE0 => 2,
                0xE0..0xF0 => 3,
                _ => 4,
            };
            (rest.get(1 + width) == Some(&b'\'')).then_some(2 + width)
        }
        _ => None,
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

fn block_comment_end(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < rest.len() && depth > 0 {
        match &rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at
}

fn string_end(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string_end(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&b| b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let start = 2 + hashes;
    let close = [b"\"".as_slice(), &vec![b'#'; hashes]].concat();
    Some(find(&rest[start..], &close).map_or(rest.len(), |i| start + i + close.len()))
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset].iter().filter(|&&b| b == b'\n').count()
}

/// Offsets at which `word` stands by itself, not as part of a longer name.
fn words(text: &str, word: &str) -> Vec<usize> {
    let is_name = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let bytes = text.as_bytes();
    let all = text.match_indices(word).map(|(offset, _)| offset);
    all.filter(|&o| (o == 0 || !is_name(bytes.get(o - 1))) && !is_name(bytes.get(o + word.len()))).collect()
}

/// The offset after the brace that closes the one at `open`.
fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (i, b) in code.bytes().enumerate().skip(open) {
        match b {
            b'{' => depth += 1,
            b'}' if depth == 1 => return i + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

struct Function<'a> {
    name: &'a str,
    first: usize,
    last: usize,
}

/// Every function with a body, from the line of its `fn` to that of its closing brace.
fn functions(code: &str) -> Vec<Function<'_>> {
    let mut found = vec![];
    for offset in words(code, "fn") {
        let after = code[offset + 2..].trim_start();
        let name_len = after.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(after.len());
        // A function pointer type has no name.
        if let (1.., Some(open)) = (name_len, body_start(code, offset)) {
            let (first, last) = (line_of(code, offset), line_of(code, block_end(code, open) - 1));
            found.push(Function { name: &after[..name_len], first, last });
        }
    }
    found
}

/// The offset of the brace that opens the body of the function at `offset`, unless it is only declared.
fn body_start(code: &str, offset: usize) -> Option<usize> {
    let mut depth = 0i32;
    for (i, b) in code.bytes().enumerate().skip(offset) {
        match b {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(i),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// `code` with the modules under `#[cfg(test)]` turned into spaces, line breaks kept.
fn without_test_modules(code: &str) -> String {
    let mut bytes = code.as_bytes().to_vec();
    for (offset, attribute) in code.match_indices("#[cfg(test)]") {
        let item = offset + attribute.len();
        if let Some(open) = body_start(code, item) {
            bytes[item..block_end(code, open)].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The modules that `crate::name` and `crate::{name, …}` mention, each with its line.
fn crate_modules(code: &str) -> Vec<(usize, &str)> {
    let mut found = vec![];
    for (offset, path) in code.match_indices("crate::") {
        let start = offset + path.len();
        let end = if code[start..].starts_with('{') { block_end(code, start) } else { code.len() };
        let mut depth = 0usize;
        let mut at_segment = true;
        for (i, c) in code[start..end].char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => at_segment = true,
                c if at_segment && (c.is_alphabetic() || c == '_') => {
                    let name = &code[start + i..end];
                    let len = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
                    found.push((line_of(code, start + i), &name[..len]));
                    at_segment = false;
                }
                _ => {}
            }
            if depth == 0 && !at_segment {
                break;
            }
        }
    }
    found
}

// The tree.

fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace")
}

/// Every file that people wrote, below `directory`.
fn sources(directory: &Path, found: &mut Vec<Source>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci";
            if !hidden && !SKIPPED_DIRECTORIES.contains(&name.as_str()) {
                sources(&path, found)?;
            }
        } else if kind.is_file() && TEXT_ENDINGS.contains(&name.rsplit('.').next().unwrap_or_default()) {
            let relative = path.strip_prefix(workspace_root()).unwrap_or(&path);
            let relative = relative.to_string_lossy().replace('\\', "/");
            found.push(Source::new(&relative, &fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

#[test]
fn the_tree_is_tidy() {
    let mut all = vec![];
    sources(workspace_root(), &mut all).expect("the tree can be read");
    for expected in ["runtime/src/lib.rs", "cli/src/main.rs", "tests/tests/tidy.rs", "Cargo.toml", ".ci/run"]
    {
        assert!(all.iter().any(|s| s.path == expected), "the walk missed {expected}");
    }
    let mut findings = vec![];
    for source in &all {
        for finding in RULES.iter().flat_map(|rule| rule(source)) {
            findings.push(format!("{}:{}: {}", source.path, finding.line, finding.why));
        }
    }
    findings.sort();
    assert!(findings.is_empty(), "{} untidy places:\n{}", findings.len(), findings.join("\n"));
}

// Each rule on samples.

/// The lines on which `rule` finds fault with `text` at `path`.
fn lines(rule: Rule, path: &str, text: &str) -> Vec<usize> {
    rule(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
}

const NONE: [usize; 0] = [];

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
    let in_tests = format!("#[cfg(test)]\nmod tests {{\n{text}}}\n");
    assert_eq!(lines(panics, "runtime/src/a.rs", &in_tests), NONE);
    assert_eq!(lines(panics, "runtime/src/a.rs", &format!("{in_tests}fn g() {{ a.unwrap() }}\n")), [10]);
}

#[test]
fn unsafe_without_a_reason_is_found() {
    let far = format!("// SAFETY: too far\n{}unsafe {{ f() }}\n", "\n".repeat(6));
    assert_eq!(lines(unexplained_unsafe, "a.rs", "unsafe { f() }\nunsafe impl Send for T {}\n"), [1, 2]);
    assert_eq!(lines(unexplained_unsafe, "a.rs", &far), [8]);
    assert_eq!(lines(unexplained_unsafe, "a.rs", &far.replacen('\n', "", 1).replace("far", "far\n")), NONE);
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

    let text = "use crate::error::Error;\nuse crate::{ops::data, trainer, tape::Tape};\nfn f(x: crate::layers::Layer) {}\n";
    assert_eq!(lines(upward_modules, "runtime/src/ops/a.rs", text), [2, 3]);
    assert_eq!(lines(upward_modules, "runtime/src/layers/a.rs", text), NONE);
}

#[test]
fn tensors_in_kernels_are_found() {
    let text = "//! Knows no Tensor.\nuse candle_core::Shape;\nfn f(x: &Tensor, y: TensorLike) {}\n";
    assert_eq!(lines(tensors_in_kernels, "runtime/src/kernels/a.rs", text), [3, 2]);
    assert_eq!(lines(tensors_in_kernels, "runtime/src/ops/a.rs", text), NONE);
}

#[test]
fn machine_paths_are_found() {
    let text = concat!("see /wo", "rk/a\nor /ro", "ot/b\nor network/c and root/d\n");
    assert_eq!(lines(machine_paths, "a.md", text), [1, 2]);
}

#[test]
fn comments_and_literals_are_blanked() {
    let text = "a /* { /* } */ \" */ b \"\\\"{\" c '\\'' d '{' e r#\"\"}\"# f<'g>('é', r#h) // {\ni\n";
    let code = code_only(text);
    assert_eq!(code.len(), text.len());
    let kept: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(kept, ["a", "b", "c", "d", "e", "f<'g>(", ",", "r#h)", "i"]);
}
