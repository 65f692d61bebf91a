//! Numbers of bytes as people write and read them.

use crate::error::{Error, Result};

const UNITS: [(&str, u64); 8] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("b", 1),
    ("", 1),
];

/// The bytes of `64MiB`, `1.5 GiB`, `500MB` or `67108864`; units of 1024 have an i, others are of 1000.
///
/// # Errors
/// `Config` for anything else, for nothing, and for more than can be counted.
pub fn parse(text: &str) -> Result<usize> {
    let wrong = || {
        Error::config(format!(
            "'{text}' is no size; give a number of bytes, or one such as 64MiB, 1.5GiB or 500MB"
        ))
    };
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * *factor as f64;
    // An f64 counts exactly up to 2^53.
    if bytes >= 1.0 && bytes < (1u64 << 53) as f64 { Ok(bytes as usize) } else { Err(wrong()) }
}

/// Bytes in units of 1024: `63.9 MiB`.
pub fn words(bytes: usize) -> String {
    const KIB: f64 = 1024.0;
    match bytes as f64 {
        b if b >= KIB * KIB * KIB => format!("{:.2} GiB", b / (KIB * KIB * KIB)),
        b if b >= KIB * KIB => format!("{:.1} MiB", b / (KIB * KIB)),
        b if b >= KIB => format!("{:.1} KiB", b / KIB),
        b => format!("{b} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_with_and_without_units() {
        let sizes = [
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("500MB", 500_000_000),
            ("2kb", 2000),
            ("12kib", 12 << 10),
            ("67108864", 67_108_864),
            ("100B", 100),
        ];
        for (text, bytes) in sizes {
            assert_eq!(parse(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "MiB", "0", "-3MiB", "64MiX", "1e9", "6.4.1MiB", "0.2", "99999999999GiB", "∞"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!([words(64 << 20), words(1536), words(5)], ["64.0 MiB", "1.5 KiB", "5 B"]);
    }
}
