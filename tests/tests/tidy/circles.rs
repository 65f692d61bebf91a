//! Modules that know each other in a circle: each of them can only be read with all the others.

use crate::reading::{crate_modules, without_test_modules};
use crate::rules::Source;
use std::collections::{BTreeMap, BTreeSet};

/// Sources whose first modules, files and directories alike, know each other in one direction only.
const ROOTS: [&str; 3] = ["runtime/src/", "models/src/", "ffi/bridge/src/"];
/// Two halves of the one door of the C ABI, and the handles that both stand on.
const ALLOWED: [&str; 3] = ["error", "guard", "handles"];

/// For each module below `root` the others that its code names, tests left out.
fn known<'a>(root: &str, sources: &'a [Source]) -> BTreeMap<&'a str, BTreeSet<String>> {
    let mut known = BTreeMap::<&str, BTreeSet<String>>::new();
    for source in sources {
        let Some(path) = source.path.strip_prefix(root).filter(|path| path.ends_with(".rs")) else {
            continue;
        };
        let module = path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        if module != "lib" {
            let code = without_test_modules(&source.code);
            let named = crate_modules(&code).into_iter().map(|(_, named)| named.to_owned());
            known.entry(module).or_default().extend(named.filter(|named| named != module));
        }
    }
    known
}

/// The modules below `root` that are in circles or between two of them.
pub(crate) fn circles(root: &str, sources: &[Source]) -> Vec<String> {
    let known = known(root, sources);
    let mut left: BTreeSet<&str> = known.keys().copied().filter(|module| !ALLOWED.contains(module)).collect();
    loop {
        // Whoever knows nobody that is left, or is known by nobody, is in none.
        let knows = |module: &&str| known[module].iter().any(|other| left.contains(other.as_str()));
        let is_known = |module: &&str| left.iter().any(|other| known[other].contains(*module));
        let kept: BTreeSet<&str> = left.iter().copied().filter(|m| knows(m) && is_known(m)).collect();
        if kept.len() == left.len() {
            return kept.into_iter().map(|module| format!("{root}{module}")).collect();
        }
        left = kept;
    }
}

/// All of them.
pub(crate) fn all_circles(sources: &[Source]) -> Vec<String> {
    ROOTS.iter().flat_map(|root| circles(root, sources)).collect()
}

#[test]
fn circles_are_found() {
    let file = |path: &str, text: &str| Source::new(&format!("runtime/src/{path}"), text);
    let in_tests = "#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n";
    let sources = [
        file("lib.rs", "pub use crate::a::A;\n"),
        file("a/mod.rs", "use crate::{b::B, d};\n"),
        file("a/inner.rs", "use crate::a::A;\n"),
        file("b.rs", "fn f(x: crate::c::C) {}\n"),
        file("c.rs", "use crate::a::inner;\n"),
        file("d.rs", in_tests),
        file("e.rs", "use crate::a;\n"),
    ];
    assert_eq!(
        circles("runtime/src/", &sources),
        ["a", "b", "c"].map(|module| format!("runtime/src/{module}"))
    );
    assert_eq!(circles("runtime/src/", &sources[..4]), Vec::<String>::new());
}
