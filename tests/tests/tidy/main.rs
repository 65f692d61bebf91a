//! Style kept by a program: walks the tree and names every place that breaks a rule, as `file:line: why`.

mod rules;
mod circles;
mod documented;
mod reading;

use rules::{RULES, Source};
use std::fs;
use std::path::Path;

/// Directories that hold what was built, fetched or recorded, not what was written.
const SKIPPED_DIRECTORIES: [&str; 7] =
    ["target", "runs", "build", "shared", "node_modules", "__pycache__", "proptest-regressions"];
/// Endings of files that people write.
const TEXT_ENDINGS: [&str; 13] =
    ["rs", "toml", "md", "sh", "py", "h", "c", "java", "kt", "kts", "swift", "run", "nvcc"];

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
    for expected in
        ["runtime/src/lib.rs", "cli/src/main.rs", "tests/tests/tidy/main.rs", "Cargo.toml", ".ci/run"]
    {
        assert!(all.iter().any(|s| s.path == expected), "the walk missed {expected}");
    }
    let mut findings = vec![];
    for source in &all {
        for finding in RULES.iter().flat_map(|rule| rule(source)) {
            findings.push(format!("{}:{}: {}", source.path, finding.line, finding.why));
        }
    }
    for module in circles::all_circles(&all) {
        findings.push(format!(
            "{module}: it knows others that know it, each by way of the next; open the circle"
        ));
    }
    findings.sort();
    assert!(findings.is_empty(), "{} untidy places:\n{}", findings.len(), findings.join("\n"));
}
