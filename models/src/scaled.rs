//! Numbers of channels that are scaled, as the families that were searched round them.

use localgrad::{Error, Result};

/// The most that a width may be multiplied by.
const LARGEST: f64 = 16.0;

/// The multiple of 8 next to `channels`, or the one above it where that is less than nine tenths of them.
pub(crate) fn divisible(channels: f64) -> usize {
    let rounded = (((channels + 4.0) / 8.0).floor() * 8.0).max(8.0);
    let rounded = if rounded < 0.9 * channels { rounded + 8.0 } else { rounded };
    rounded as usize
}

/// The number at the end of `name`, whose point is written `_`: 0.35 of `x0_35`; 1 where nothing follows `family`.
///
/// # Errors
/// `Config` where it is none, or none to multiply a width by.
pub(crate) fn multiplier(name: &str, family: &str) -> Result<f64> {
    let wrong = || {
        Error::config(format!(
            "there is no model '{name}'; a width of {family} is written {family}_x0_5 or the like, and is up to {LARGEST}"
        ))
    };
    let Some(rest) = name.strip_prefix(family) else { return Err(wrong()) };
    if rest.is_empty() {
        return Ok(1.0);
    }
    let digits = rest.strip_prefix("_x").ok_or_else(wrong)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
        return Err(wrong());
    }
    let number: f64 = digits.replacen('_', ".", 1).parse().map_err(|_| wrong())?;
    if number > 0.0 && number <= LARGEST { Ok(number) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_rounded_as_torchvision_rounds_them() {
        // torchvision.models._utils._make_divisible(channels, 8)
        let cases = [(1.0, 8), (11.2, 16), (12.0, 16), (16.8, 16), (22.4, 24), (33.6, 32), (44.8, 48)];
        for (channels, rounded) in cases {
            assert_eq!(divisible(channels), rounded, "{channels}");
        }
    }

    #[test]
    fn multipliers_are_read_from_names() {
        let of = |name| multiplier(name, "net").ok();
        assert_eq!(
            [of("net"), of("net_x0_35"), of("net_x1_4"), of("net_x2")],
            [1.0, 0.35, 1.4, 2.0].map(Some)
        );
        for wrong in
            ["net_", "net_x", "net_x0", "net_x-1", "net_x1_2_3", "net_x1e3", "net_x17", "net0_5", "other"]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
