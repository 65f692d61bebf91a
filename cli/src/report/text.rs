//! Text for people: escaped for HTML, and numbers with sensible units.

/// Shown where a number is unknown or not finite.
pub(crate) const UNKNOWN: &str = "–";

/// `text` as HTML text or attribute value. Characters that XML does not allow become U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' | '\r' => escaped.push(character),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ if character.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// `10.9 MiB`: three digits, binary units.
pub(crate) fn bytes(count: f64) -> String {
    if !count.is_finite() {
        return UNKNOWN.into();
    }
    let (divisor, unit) = byte_unit(count);
    format!("{} {unit}", three_digits(count / divisor))
}

/// The binary unit that suits a number of bytes, and its size.
pub(crate) fn byte_unit(count: f64) -> (f64, &'static str) {
    const UNITS: [(f64, &str); 4] = [
        ((1_u64 << 40) as f64, "TiB"),
        ((1 << 30) as f64, "GiB"),
        ((1 << 20) as f64, "MiB"),
        ((1 << 10) as f64, "KiB"),
    ];
    // From 999.5 on, three digits would read 1000.
    UNITS.into_iter().find(|(size, _)| count.abs() >= size * 0.9995).unwrap_or((1.0, "B"))
}

/// Three significant digits, or all digits before the point.
fn three_digits(value: f64) -> String {
    let magnitude = value.abs();
    let text = if magnitude >= 99.95 {
        format!("{value:.0}")
    } else if magnitude >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// `91.7 %` of a fraction.
pub(crate) fn percent(fraction: f64) -> String {
    if fraction.is_finite() { format!("{:.1} %", fraction * 100.0) } else { UNKNOWN.into() }
}

/// `+1.2 points`: the difference of two fractions.
pub(crate) fn points(difference: f64) -> String {
    if !difference.is_finite() {
        return UNKNOWN.into();
    }
    let rounded = (difference * 1000.0).round() / 10.0;
    let sign = if rounded < 0.0 { "−" } else { "+" };
    format!("{sign}{:.1} points", rounded.abs())
}

/// `4.2 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return UNKNOWN.into();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 if seconds < 0.9995e-3 => format!("{} µs", three_digits(seconds * 1e6)),
        0..60 if seconds < 0.9995 => format!("{} ms", three_digits(seconds * 1e3)),
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// `78,042`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 block`, `4 blocks`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// `0.36×`: how many times `base` a value is.
pub(crate) fn ratio(value: f64, base: f64) -> String {
    let ratio = value / base;
    if ratio.is_finite() && base > 0.0 { format!("{}×", three_digits(ratio)) } else { UNKNOWN.into() }
}

/// `16x28x28` with the sign of multiplication.
pub(crate) fn times(features: &str) -> String {
    features.replace('x', "×")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_html_reads_as_markup() {
        assert_eq!(
            escape("<b a=\"1\" c='2'> & </b>"),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt; &amp; &lt;/b&gt;"
        );
        assert_eq!(escape("tab\tline\nzero\0bell\u{7}é"), "tab\tline\nzero\u{fffd}bell\u{fffd}é");
    }

    #[test]
    fn bytes_have_binary_units_and_three_digits() {
        let cases = [
            (0.0, "0 B"),
            (1.0, "1 B"),
            (1000.0, "1000 B"),
            (1024.0, "1 KiB"),
            (1536.0, "1.5 KiB"),
            (524_288.0, "512 KiB"),
            (1_048_576.0, "1 MiB"),
            (11_429_478.0, "10.9 MiB"),
            (104_857_600.0, "100 MiB"),
            (1_073_741_000.0, "1 GiB"),
            (5e12, "4.55 TiB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(bytes(f64::NAN), UNKNOWN);
    }

    #[test]
    fn fractions_and_their_differences() {
        assert_eq!(percent(0.9173), "91.7 %");
        assert_eq!(percent(1.0), "100.0 %");
        assert_eq!(percent(f64::NAN), UNKNOWN);
        assert_eq!(points(-0.0123), "−1.2 points");
        assert_eq!(points(0.004), "+0.4 points");
        assert_eq!(points(-0.0001), "+0.0 points");
    }

    #[test]
    fn durations_from_microseconds_to_hours() {
        let cases = [
            (0.0, "0 µs"),
            (0.000_25, "250 µs"),
            (0.0425, "42.5 ms"),
            (4.23, "4.2 s"),
            (59.9, "1 min 0 s"),
            (200.0, "3 min 20 s"),
            (7500.0, "2 h 5 min"),
        ];
        for (value, text) in cases {
            assert_eq!(seconds(value), text);
        }
        assert_eq!(seconds(f64::INFINITY), UNKNOWN);
    }

    #[test]
    fn counts_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(78_042), "78,042");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "block"), "1 block");
        assert_eq!(counted(1500, "step"), "1,500 steps");
        assert_eq!(ratio(1.0, 4.0), "0.25×");
        assert_eq!(ratio(1.0, 0.0), UNKNOWN);
        assert_eq!(times("16x28x28"), "16×28×28");
    }
}
