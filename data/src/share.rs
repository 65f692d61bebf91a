//! The parts that data come in, by the words that name them.

use crate::listing::Part;
use std::path::PathBuf;

/// A file of samples, and the part that they are of where it is of one.
pub(crate) type PartFile = (Option<Share>, PathBuf);

/// A part that data come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// To learn from.
    Train,
    /// To be judged by while training.
    Validation,
    /// To be judged by in the end.
    Test,
}

impl Share {
    /// The part that people call so.
    pub fn named(word: &str) -> Option<Self> {
        match word.to_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "val" | "valid" | "validation" | "dev" => Some(Self::Validation),
            "test" | "testing" | "eval" => Some(Self::Test),
            _ => None,
        }
    }

    /// What answers for `part`, the best first.
    pub fn of(part: Part) -> &'static [Self] {
        match part {
            Part::Train | Part::All => &[Self::Train],
            Part::Judge => &[Self::Validation, Self::Test],
            Part::Test => &[Self::Test, Self::Validation],
        }
    }
}
