//! What a network is to answer with.

use crate::error::{Error, Result};
use crate::targets::TargetKind;
use serde::{Deserialize, Serialize};

/// What a network's outputs stand for, and the loss that they are trained by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// A sample is of one class: softmax cross-entropy of a logit a class.
    #[default]
    Classes,
    /// A sample has each label or has it not: sigmoid binary cross-entropy of a logit a label, averaged over labels and
    /// samples.
    Labels,
    /// A sample has values: their squared error, averaged over values and samples.
    Values,
    /// A sample has values: their Huber loss, averaged over values and samples.
    Huber {
        /// The error from which on the loss grows in proportion to it.
        delta: f64,
    },
}

impl Objective {
    /// What each sample must come with.
    pub fn target_kind(self) -> TargetKind {
        match self {
            Self::Classes => TargetKind::Class,
            Self::Labels => TargetKind::Labels,
            Self::Values | Self::Huber { .. } => TargetKind::Values,
        }
    }

    /// Whether a sample is of one class.
    pub fn is_classes(&self) -> bool {
        *self == Self::Classes
    }

    /// What an output stands for, in words and in the plural.
    pub fn noun(self) -> &'static str {
        self.target_kind().noun()
    }

    /// How many answers to a sample are right or wrong, of a network of so many outputs: none where they are values.
    pub fn answers(self, outputs: usize) -> usize {
        match self.target_kind() {
            TargetKind::Class => 1,
            TargetKind::Labels => outputs,
            TargetKind::Values => 0,
        }
    }

    /// Refuses numbers that cannot be.
    ///
    /// # Errors
    /// `Config`.
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Huber { delta } if !(delta.is_finite() && delta > 0.0) => {
                Err(Error::config(format!("the Huber loss's delta must be above 0, found {delta}")))
            }
            _ => Ok(()),
        }
    }
}

impl From<TargetKind> for Objective {
    /// What learns such targets, by the usual loss.
    fn from(kind: TargetKind) -> Self {
        match kind {
            TargetKind::Class => Self::Classes,
            TargetKind::Labels => Self::Labels,
            TargetKind::Values => Self::Values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_is_a_number_above_0() {
        for delta in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Objective::Huber { delta }.validate().is_err(), "{delta}");
        }
        assert!(Objective::Huber { delta: 0.5 }.validate().is_ok());
    }

    #[test]
    fn objectives_are_written_as_words() {
        for (objective, text) in [
            (Objective::Labels, r#""labels""#),
            (Objective::Values, r#""values""#),
            (Objective::Huber { delta: 0.5 }, r#"{"huber":{"delta":0.5}}"#),
        ] {
            assert_eq!(serde_json::to_string(&objective).unwrap(), text);
            assert_eq!(serde_json::from_str::<Objective>(text).unwrap(), objective);
        }
    }
}
