//! In how many bits numbers wait.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A format of floating-point numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits: exactly as computed.
    #[default]
    F32,
    /// 16 bits, 11 of them significant; up to 65504.
    F16,
    /// 16 bits, 8 of them significant; as large as f32.
    Bf16,
}

impl Precision {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => size_of::<f32>(),
            Self::F16 | Self::Bf16 => size_of::<u16>(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::F32, Self::F16, Self::Bf16].into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| Error::config(format!("a precision is f32, f16 or bf16, found '{text}'")))
    }
}
