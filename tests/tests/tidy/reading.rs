//! Reads Rust as far as the rules need it: what is code, where functions and modules begin and end.

/// `text` with comments, strings and character literals turned into spaces, line breaks kept.
pub(crate) fn code_only(text: &str) -> String {
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

pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset].iter().filter(|&&b| b == b'\n').count()
}

/// Offsets at which `word` stands by itself, not as part of a longer name.
pub(crate) fn words(text: &str, word: &str) -> Vec<usize> {
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

pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

/// Every function with a body, from the line of its `fn` to that of its closing brace.
pub(crate) fn functions(code: &str) -> Vec<Function<'_>> {
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
pub(crate) fn without_test_modules(code: &str) -> String {
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
pub(crate) fn crate_modules(code: &str) -> Vec<(usize, &str)> {
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

#[test]
fn comments_and_literals_are_blanked() {
    let text = "a /* { /* } */ \" */ b \"\\\"{\" c '\\'' d '{' e r#\"\"}\"# f<'g>('é', r#h) // {\ni\n";
    let code = code_only(text);
    assert_eq!(code.len(), text.len());
    let kept: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(kept, ["a", "b", "c", "d", "e", "f<'g>(", ",", "r#h)", "i"]);
}
