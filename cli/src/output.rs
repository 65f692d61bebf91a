//! Where a command's results go: JSON objects on standard output, or text for people.

use serde::Serialize;
use std::io::Write;

/// Chooses between machine-readable lines and text.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether standard output carries JSON lines only.
    pub json: bool,
}

impl Output {
    /// One object a line, if JSON was asked for.
    pub fn record(self, value: &impl Serialize) {
        if self.json
            && let Ok(line) = serde_json::to_string(value)
        {
            write_line(&line);
        }
    }

    /// A result for people: on standard output, unless that carries JSON.
    pub fn text(self, text: &str) {
        if self.json {
            eprintln!("{text}");
        } else {
            write_line(text);
        }
    }
}

/// A reader that went away (`localgrad … | head`) is no reason to panic.
fn write_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A table with a header and a rule under it; the first column is left-aligned, the others right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, &width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        padded.join("  ").trim_end().to_string()
    };
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    let under: Vec<String> = widths.iter().map(|&width| "─".repeat(width)).collect();
    let lines = [line(&header), line(&under)].into_iter().chain(rows.iter().map(|row| line(row)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Bytes as people read them.
pub fn bytes(count: u64) -> String {
    const KIB: f64 = 1024.0;
    let count = count as f64;
    match count {
        c if c >= KIB * KIB * KIB => format!("{:.2} GiB", c / (KIB * KIB * KIB)),
        c if c >= KIB * KIB => format!("{:.1} MiB", c / (KIB * KIB)),
        c if c >= KIB => format!("{:.1} KiB", c / KIB),
        c => format!("{c} B"),
    }
}

/// A count with thousands apart.
pub fn count(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_numbers() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1234567), "1,234,567");
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(3 << 20), "3.0 MiB");
    }

    #[test]
    fn tables_align() {
        let text = table(&["a", "b"], &[vec!["xyz".into(), "1".into()], vec!["x".into(), "100".into()]]);
        assert_eq!(text, "a      b\n───  ───\nxyz    1\nx    100");
    }
}
