//! In how many bits numbers wait, and in how many they are multiplied.

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

/// What the factors of products are rounded to on a device. Sums are f32, and so are maps in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProductPrecision {
    /// To nothing, or to what has errors as small.
    #[default]
    F32,
    /// To TF32: 11 significant bits, as large as f32. By tensor cores alone.
    Tf32,
    /// To f16, of which forward products are; it has as many bits, and ends at 65504. Gradients would get lost below 6e-8: theirs
    /// are of TF32, so that no loss has to be scaled. By tensor cores alone.
    F16,
}

impl ProductPrecision {
    /// Whether it is what everything has.
    pub fn is_f32(&self) -> bool {
        *self == Self::F32
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::F16 => "f16",
        }
    }
}

impl fmt::Display for ProductPrecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ProductPrecision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = [Self::F32, Self::Tf32, Self::F16].into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| Error::config(format!("products are of f32, tf32 or f16, found '{text}'")))
    }
}
