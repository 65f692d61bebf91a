//! The rules that every public item of the Kotlin library and of the Swift package says what it is.

use crate::rules::{Finding, NONE, Source, lines};

/// Where the Kotlin that apps call lies. Every public declaration there says `public`, as the compiler is told to ask for.
const KOTLIN: &str = "android/localgrad/src/main/kotlin/";
const SWIFT: &str = "ios/Sources/Localgrad/";

fn finding(at: usize, line: &str, how: &str) -> Finding {
    Finding { line: at + 1, why: format!("`{}` is public and has no {how} above", line.trim()) }
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The line above `at` that is neither an attribute nor a condition of compilation.
fn above<'a>(lines: &[&'a str], at: usize) -> &'a str {
    let mut before = lines[..at].iter().rev().map(|line| line.trim());
    before.find(|line| !line.starts_with('@') && !line.starts_with("#if")).unwrap_or_default()
}

/// The line that opens the block in which `at` stands.
fn enclosing<'a>(lines: &[&'a str], at: usize) -> &'a str {
    let depth_here = depth(lines[at]);
    let outer = lines[..at].iter().rev().find(|line| !line.trim().is_empty() && depth(line) < depth_here);
    outer.copied().unwrap_or_default()
}

/// KDoc on every public declaration and every entry of a public enumeration; a property of a constructor may be told of
/// by `@property` in its class's.
pub(crate) fn undocumented_kotlin(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with(KOTLIN) {
        return vec![];
    }
    let lines: Vec<&str> = source.text.lines().collect();
    let mut findings = vec![];
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim();
        let is_said = above(&lines, at).ends_with("*/");
        let properties =
            line.match_indices("public va").map(|(place, _)| &line[place + "public val ".len()..]);
        for property in properties.filter(|_| trimmed.ends_with(',') || trimmed.contains("(public va")) {
            let name = property.split([':', ' ']).next().unwrap_or_default();
            // What stands above a class in one line is of the class.
            let is_said = is_said && trimmed.starts_with("public va");
            if !is_said && !class_tells(&lines, at, name) {
                findings.push(finding(at, property, "KDoc or @property"));
            }
        }
        let is_constructor_property = trimmed.starts_with("public va") && trimmed.ends_with(',');
        let is_declaration = trimmed.starts_with("public ")
            && !is_constructor_property
            && !trimmed.starts_with("public companion object");
        let is_entry = trimmed
            .trim_end_matches([',', ';'])
            .chars()
            .all(|c| c.is_ascii_uppercase() || "_0123456789".contains(c))
            && trimmed.starts_with(|c: char| c.is_ascii_uppercase())
            && enclosing(&lines, at).contains("public enum class");
        if (is_declaration || is_entry) && !is_said {
            findings.push(finding(at, line, "KDoc"));
        }
    }
    findings
}

/// Whether the nearest KDoc above line `at` names the property.
fn class_tells(lines: &[&str], at: usize, name: &str) -> bool {
    let Some(end) = lines[..at].iter().rposition(|line| line.trim().ends_with("*/")) else { return false };
    let start = lines[..=end].iter().rposition(|line| line.trim().starts_with("/**")).unwrap_or(end);
    lines[start..=end].iter().any(|line| line.contains(&format!("@property {name} ")))
}

/// A comment for DocC on every public declaration, every case of a public enumeration and everything that a public
/// protocol asks for.
pub(crate) fn undocumented_swift(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with(SWIFT) {
        return vec![];
    }
    let lines: Vec<&str> = source.text.lines().collect();
    let mut findings = vec![];
    for (at, line) in lines.iter().enumerate() {
        let trimmed = line.trim();
        let outer = enclosing(&lines, at);
        let is_declaration = trimmed.starts_with("public ") && !trimmed.starts_with("public extension");
        let is_case = is_enumeration_case(trimmed) && outer.contains("public enum");
        let is_asked_for = outer.contains("public protocol")
            && ["func ", "var ", "associatedtype "].iter().any(|word| trimmed.starts_with(word));
        if (is_declaration || is_case || is_asked_for) && !above(&lines, at).starts_with("///") {
            findings.push(finding(at, line, "comment that begins with ///"));
        }
    }
    findings
}

/// As opposed to a case of a switch, which has a colon.
fn is_enumeration_case(trimmed: &str) -> bool {
    let mut nested = 0;
    let has_colon = trimmed.chars().any(|c| {
        nested += i32::from(c == '(') - i32::from(c == ')');
        nested == 0 && c == ':'
    });
    trimmed.starts_with("case ") && !has_colon
}

#[test]
fn undocumented_kotlin_is_found() {
    let place = format!("{KOTLIN}org/localgrad/A.kt");
    let bare = "public class A(\n    public val a: Int,\n) {\n    @JvmStatic\n    public fun b() {}\n    private fun c() {}\n}\n";
    assert_eq!(lines(undocumented_kotlin, &place, bare), [1, 2, 5]);
    assert_eq!(lines(undocumented_kotlin, "android/sample/A.kt", bare), NONE);
    let said = "/**\n * A.\n *\n * @property a so many.\n */\npublic class A(\n    public val a: Int,\n) {\n    /** B. */\n    @JvmStatic\n    public fun b() {}\n\n    public companion object {\n    }\n}\n";
    assert_eq!(lines(undocumented_kotlin, &place, said), NONE);
    assert_eq!(lines(undocumented_kotlin, &place, &said.replace("@property a ", "@property b ")), [7]);
    let one_line = "/** A. */\npublic data class A(public val a: Int, public var b: Int)\n";
    assert_eq!(lines(undocumented_kotlin, &place, one_line), [2, 2]);
    let entries = "/** A. */\npublic enum class A {\n    ONE,\n\n    /** Two. */\n    TWO,\n}\n";
    assert_eq!(lines(undocumented_kotlin, &place, entries), [3]);
}

#[test]
fn undocumented_swift_is_found() {
    let place = format!("{SWIFT}A.swift");
    let bare = "public struct A {\n  @discardableResult\n  public func b() {}\n  func c() {}\n}\n";
    assert_eq!(lines(undocumented_swift, &place, bare), [1, 3]);
    assert_eq!(lines(undocumented_swift, "ios/Tests/A.swift", bare), NONE);
    let said = "/// A.\npublic struct A {\n  /// B.\n  @discardableResult\n  public func b() {}\n}\n";
    assert_eq!(lines(undocumented_swift, &place, said), NONE);
    let cases = "/// A.\npublic enum A {\n  case one(first: Int)\n  /// Two.\n  case two\n  func b() {\n    switch self {\n    case .one: return\n    }\n  }\n}\n";
    assert_eq!(lines(undocumented_swift, &place, cases), [3]);
    let asked = "/// A.\npublic protocol A {\n  func b()\n  /// C.\n  var c: Int { get }\n}\n";
    assert_eq!(lines(undocumented_swift, &place, asked), [3]);
}
