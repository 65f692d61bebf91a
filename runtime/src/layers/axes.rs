//! Kernels and strides in files: a number for rows and one for columns, or one number for both.

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;

/// Writes one number where both are the same.
pub(crate) fn serialize<S: Serializer>(axes: &[usize; 2], serializer: S) -> Result<S::Ok, S::Error> {
    match axes {
        [rows, columns] if rows == columns => rows.serialize(serializer),
        both => both.serialize(serializer),
    }
}

/// Reads one number, or two.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[usize; 2], D::Error> {
    deserializer.deserialize_any(Axes)
}

struct Axes;

impl<'de> Visitor<'de> for Axes {
    type Value = [usize; 2];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, or [rows, columns]")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<[usize; 2], E> {
        let both = usize::try_from(number);
        both.map(|both| [both; 2]).map_err(|_| E::custom(format!("{number} is too large")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<[usize; 2], A::Error> {
        let rows = numbers.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let columns = numbers.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        match numbers.next_element::<usize>()? {
            None => Ok([rows, columns]),
            Some(_) => Err(A::Error::invalid_length(3, &self)),
        }
    }
}
