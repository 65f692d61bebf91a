//! `--class-weights`: how much each class counts in the loss.

use std::str::FromStr;

/// `--class-weights`.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    /// Such that all classes count the same together.
    Balanced,
    /// These.
    Given(Vec<f32>),
}

impl FromStr for ClassWeights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "balanced" {
            return Ok(Self::Balanced);
        }
        let numbers = text.split(',').map(|number| number.trim().parse());
        let numbers: Result<Vec<f32>, _> = numbers.collect();
        numbers.map(Self::Given).map_err(|_| "give balanced, or a number a class such as 1,1,2.5".into())
    }
}
