//! How often a run is saved.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// After how much training a checkpoint is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// So many steps.
    Steps(usize),
    /// So much time.
    Time(Duration),
    /// Only when the run ends or is stopped.
    AtEnd,
}

impl Default for Interval {
    fn default() -> Self {
        Self::Time(Duration::from_secs(30))
    }
}

impl Interval {
    /// Whether one is due `steps` and `time` after the last.
    pub fn is_due(self, steps: usize, time: Duration) -> bool {
        match self {
            Self::Steps(interval) => steps >= interval,
            Self::Time(interval) => steps > 0 && time >= interval,
            Self::AtEnd => false,
        }
    }
}

impl FromStr for Interval {
    type Err = Error;

    /// `100` steps, `30s`, `5m`, `2h` or `end`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!(
                "a checkpoint interval is steps such as 100, a time such as 30s, 5m or 2h, or `end`; found '{text}'"
            ))
        };
        if text == "end" {
            return Ok(Self::AtEnd);
        }
        let (number, unit_seconds) = match text.char_indices().last() {
            Some((at, 's')) => (&text[..at], Some(1)),
            Some((at, 'm')) => (&text[..at], Some(60)),
            Some((at, 'h')) => (&text[..at], Some(3600)),
            _ => (text, None),
        };
        let number: u32 = number.parse().map_err(|_| wrong())?;
        match unit_seconds {
            _ if number == 0 => Err(wrong()),
            Some(seconds) => Ok(Self::Time(Duration::from_secs(u64::from(number) * seconds))),
            None => Ok(Self::Steps(number as usize)),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps(steps) => write!(f, "{steps}"),
            Self::Time(time) => write!(f, "{}s", time.as_secs()),
            Self::AtEnd => f.write_str("end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_intervals() {
        let seconds = |count| Interval::Time(Duration::from_secs(count));
        for (text, interval) in
            [("7", Interval::Steps(7)), ("30s", seconds(30)), ("5m", seconds(300)), ("end", Interval::AtEnd)]
        {
            assert_eq!(text.parse::<Interval>().unwrap(), interval);
            assert_eq!(interval.to_string().parse::<Interval>().unwrap(), interval);
        }
        for text in ["", "0", "0s", "s", "-1", "1.5", "3x", "é", "99999999999"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }

    #[test]
    fn dues() {
        let second = Duration::from_secs(1);
        assert!(Interval::Steps(3).is_due(3, Duration::ZERO) && !Interval::Steps(3).is_due(2, second * 99));
        assert!(Interval::Time(second).is_due(1, second) && !Interval::Time(second).is_due(0, second));
        assert!(!Interval::AtEnd.is_due(1_000_000, second * 1_000_000));
    }
}
