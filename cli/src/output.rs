//! Where a command's results go: JSON objects on standard output, or text for people.

use crate::fault::{Fault, Outcome};
use serde::Serialize;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// Why standard output could not be written, if it could not: of the process, as standard output is.
static FAILURE: OnceLock<String> = OnceLock::new();

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
            complain(text);
        } else {
            write_line(text);
        }
    }
}

fn write_line(line: &str) {
    let mut out = io::stdout().lock();
    // In one write, so that lines of several processes do not mix.
    note(out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()));
}

/// Remembers that standard output could not be written; work that is under way is not lost for it. A reader that went
/// away (`localgrad … | head`) has had what it wanted.
pub fn note(written: io::Result<()>) {
    if let Err(cause) = written.or_else(|cause| match cause.kind() {
        ErrorKind::BrokenPipe => Ok(()),
        _ => Err(cause),
    }) {
        FAILURE.get_or_init(|| cause.to_string());
    }
}

/// Fails if anything that was written to standard output did not arrive there.
pub fn check() -> Outcome<()> {
    match FAILURE.get() {
        None => Ok(()),
        Some(cause) => Err(Fault::failed(format!("standard output could not be written: {cause}"))),
    }
}

/// A line for people on standard error, which may be closed or full.
pub fn complain(line: &str) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
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
