//! What samples are: the pixels of an image, or tokens.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The most tokens to choose from: f32, in which they wait, holds each whole number below it.
pub const LARGEST_VOCABULARY: usize = 1 << 24;

/// What each sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// An image of so many channels, rows and columns; in files `[channels, height, width]`.
    Pixels([usize; 3]),
    /// Tokens; in files `{"tokens": {"length": …, "vocabulary": …}}`.
    Tokens(Tokens),
}

/// Tokens, such as the words of a text: whole numbers from 0 to below the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// How many of them a sample has.
    pub length: usize,
    /// How many there are to choose from.
    pub vocabulary: usize,
}

impl Inputs {
    /// Channels, rows and columns of an image. Tokens are as a row of one number each.
    pub fn sides(self) -> [usize; 3] {
        match self {
            Self::Pixels(sides) => sides,
            Self::Tokens(Tokens { length, .. }) => [1, 1, length],
        }
    }

    /// Channels of an image; 1 of tokens.
    pub fn channels(self) -> usize {
        self.sides()[0]
    }

    /// Numbers of a sample; as many as can be counted at most.
    pub fn elements(self) -> usize {
        self.sides().into_iter().fold(1, usize::saturating_mul)
    }

    /// The shape of so many samples: images `[N, H, W, C]`, tokens `[N, T]`.
    pub fn dims(self, samples: usize) -> Vec<usize> {
        match self {
            Self::Pixels([channels, height, width]) => vec![samples, height, width, channels],
            Self::Tokens(Tokens { length, .. }) => vec![samples, length],
        }
    }

    /// Whether samples are tokens.
    pub fn are_tokens(self) -> bool {
        matches!(self, Self::Tokens(_))
    }

    /// What samples are, in the plural.
    pub fn noun(self) -> &'static str {
        if self.are_tokens() { "tokens" } else { "images" }
    }

    /// Whether a network of these takes samples that are `others`: of the same size, and of no token that it does not know.
    pub fn take(self, others: Self) -> bool {
        match (self, others) {
            (Self::Tokens(own), Self::Tokens(others)) => {
                own.length == others.length && others.vocabulary <= own.vocabulary
            }
            _ => self == others,
        }
    }
}

impl Default for Inputs {
    /// Images of no pixel.
    fn default() -> Self {
        Self::Pixels([0; 3])
    }
}

impl From<[usize; 3]> for Inputs {
    fn from(sides: [usize; 3]) -> Self {
        Self::Pixels(sides)
    }
}

impl fmt::Display for Inputs {
    /// As people write it: `3x32x32`, or `128 tokens of 5000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels([channels, height, width]) => write!(f, "{channels}x{height}x{width}"),
            Self::Tokens(tokens) => tokens.fmt(f),
        }
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens of {}", self.length, self.vocabulary)
    }
}

impl Serialize for Inputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pixels(sides) => sides.serialize(serializer),
            Self::Tokens(tokens) => Written::Tokens(*tokens).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// What is written by its name.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Tokens(Tokens),
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Inputs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[channels, height, width], or {\"tokens\": {\"length\": …, \"vocabulary\": …}}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sides: A) -> Result<Inputs, A::Error> {
        Deserialize::deserialize(SeqAccessDeserializer::new(sides)).map(Inputs::Pixels)
    }

    fn visit_map<A: MapAccess<'de>>(self, named: A) -> Result<Inputs, A::Error> {
        let Written::Tokens(tokens) = Deserialize::deserialize(MapAccessDeserializer::new(named))?;
        Ok(Inputs::Tokens(tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: Inputs = Inputs::Tokens(Tokens { length: 7, vocabulary: 50 });

    #[test]
    fn both_forms_are_written_and_read() {
        for (inputs, text) in [
            (Inputs::Pixels([3, 32, 16]), "[3,32,16]"),
            (TOKENS, r#"{"tokens":{"length":7,"vocabulary":50}}"#),
        ] {
            assert_eq!(serde_json::to_string(&inputs).unwrap(), text);
            assert_eq!(serde_json::from_str::<Inputs>(text).unwrap(), inputs);
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::from_value::<Inputs>(value).unwrap(), inputs);
        }
        for text in ["[3,32]", "[1,2,3,4]", "3", r#"{"words":{}}"#, r#"{"tokens":{"length":7}}"#, "{}"] {
            assert!(serde_json::from_str::<Inputs>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_takes_the_tokens_that_it_knows() {
        let of = |length, vocabulary| Inputs::Tokens(Tokens { length, vocabulary });
        assert!(TOKENS.take(of(7, 50)) && TOKENS.take(of(7, 20)));
        assert!(
            !TOKENS.take(of(7, 51)) && !TOKENS.take(of(6, 50)) && !TOKENS.take(Inputs::Pixels([1, 1, 7]))
        );
        assert!(Inputs::Pixels([1, 2, 3]).take([1, 2, 3].into()) && !Inputs::Pixels([1, 2, 3]).take(TOKENS));
    }

    #[test]
    fn tokens_are_as_a_row_of_numbers() {
        assert_eq!((TOKENS.sides(), TOKENS.elements(), TOKENS.dims(2)), ([1, 1, 7], 7, vec![2, 7]));
        assert_eq!(Inputs::Pixels([3, 5, 4]).dims(2), [2, 5, 4, 3]);
        assert_eq!(TOKENS.to_string(), "7 tokens of 50");
    }
}
