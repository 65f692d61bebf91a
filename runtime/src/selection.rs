//! What of a network is trained, by name.

use crate::error::{Error, Result};
use crate::layers::{Features, NamedLayer, Trains};
use crate::network::head;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What of a network is trained. The head always is, from its pool over the whole map on, or from the layer that gives the
/// classes where that comes first, and so are auxiliary networks. Layers of the head before that count as a unit more, which
/// `LastUnits` has beside the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selection {
    /// Everything.
    #[default]
    All,
    /// The head alone.
    Head,
    /// Scales and shifts of norms, and the head.
    Norms,
    /// Biases, the shifts of norms among them, and the head (Zaken et al. 2022, "BitFit"; Cai et al. 2020, "TinyTL").
    Biases,
    /// The last units, as many as this, and the head.
    LastUnits(usize),
}

impl Selection {
    /// Whether it leaves nothing as it is.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// What of unit `number` of so many `units` is trained.
    pub fn of_unit(self, number: usize, units: usize) -> Trains {
        match self {
            Self::All => Trains::ALL,
            Self::Head => Trains::NONE,
            Self::Norms => Trains { norms: true, ..Trains::NONE },
            Self::Biases => Trains { biases: true, ..Trains::NONE },
            Self::LastUnits(count) if count >= units.saturating_sub(number) => Trains::ALL,
            Self::LastUnits(_) => Trains::NONE,
        }
    }

    /// The head of a network of so many `units` in two parts, and what of each is trained: what belongs to the body (see
    /// [`head::of_body`]), and all behind it.
    pub fn of_head(self, head: &[NamedLayer], units: usize) -> [(&[NamedLayer], Trains); 2] {
        let (before, behind) = head.split_at(head::of_body(head));
        [(before, self.of_unit(units, units)), (behind, Trains::ALL)]
    }

    /// The first of these units, layers and features each, of which something is trained; their number where nothing is.
    pub fn first_unit(self, units: &[(Vec<NamedLayer>, Features)]) -> usize {
        let trains = |(number, (layers, _)): (usize, &(Vec<NamedLayer>, Features))| {
            let trains = self.of_unit(number, units.len());
            trains == Trains::ALL || layers.iter().any(|layer| trains.any_of(&layer.layer))
        };
        units.iter().enumerate().position(trains).unwrap_or(units.len())
    }

    /// Refuses units that a network of so many has not.
    ///
    /// # Errors
    /// `Config`.
    pub fn check(self, units: usize) -> Result<()> {
        match self {
            Self::LastUnits(count) if count == 0 || count > units => Err(Error::config(format!(
                "the last {count} of {units} units cannot be trained; choose from last-1-units to last-{units}-units, or \
                 head for none"
            ))),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Head => f.write_str("head"),
            Self::Norms => f.write_str("norms"),
            Self::Biases => f.write_str("biases"),
            Self::LastUnits(count) => write!(f, "last-{count}-units"),
        }
    }
}

impl FromStr for Selection {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = [Self::All, Self::Head, Self::Norms, Self::Biases];
        if let Some(selection) = named.into_iter().find(|selection| selection.to_string() == text) {
            return Ok(selection);
        }
        let count = text.strip_prefix("last-").and_then(|rest| {
            let count = rest.strip_suffix("-units").or_else(|| rest.strip_suffix("-unit"))?;
            count.parse().ok().filter(|count| *count > 0)
        });
        count.map(Self::LastUnits).ok_or_else(|| {
            Error::config(format!(
                "'{text}' names nothing that could be trained; choose head, norms, biases, all or last units such as \
                 last-2-units"
            ))
        })
    }
}

impl TryFrom<String> for Selection {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Selection> for String {
    fn from(selection: Selection) -> Self {
        selection.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        let all =
            [Selection::All, Selection::Head, Selection::Norms, Selection::Biases, Selection::LastUnits(12)];
        for selection in all {
            assert_eq!(selection.to_string().parse::<Selection>().unwrap(), selection);
        }
        assert_eq!("last-1-unit".parse::<Selection>().unwrap(), Selection::LastUnits(1));
        for text in [
            "",
            "heads",
            "last-units",
            "last-0-units",
            "last--1-units",
            "last-2",
            "last-99999999999999999999-units",
        ] {
            assert!(text.parse::<Selection>().unwrap_err().to_string().contains("last-2-units"), "{text}");
        }
    }

    #[test]
    fn more_units_than_there_are_cannot_be_trained() {
        assert!(Selection::LastUnits(4).check(4).is_ok());
        let refusal = Selection::LastUnits(5).check(4).unwrap_err().to_string();
        assert!(refusal.contains("last-4-units"), "{refusal}");
        assert_eq!(Selection::LastUnits(1).of_unit(2, 4), Trains::NONE);
        assert_eq!(Selection::LastUnits(1).of_unit(3, 4), Trains::ALL);
        assert_eq!(Selection::LastUnits(usize::MAX).of_unit(3, 4), Trains::ALL);
    }
}
