//! What samples are to be answered with: a class, or a row of numbers.

use crate::error::{Error, Result};
use crate::maps::cross_entropy::total_weight;
use std::borrow::Cow;
use std::ops::Range;

/// What the samples of a data set are to be answered with. Rows of numbers that may be of one kind may be of those after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetKind {
    /// One class.
    #[default]
    Class,
    /// Several labels, each there (1) or not (0).
    Labels,
    /// Values.
    Values,
}

impl TargetKind {
    /// What a target stands for, in words and in the plural.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Class => "classes",
            Self::Labels => "labels",
            Self::Values => "values",
        }
    }
}

/// What the samples of a batch are to be answered with, in their order.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// The class of each.
    Classes(Vec<u32>),
    /// A row of numbers for each: labels that are there (1) or not (0), values, or the shares of all classes in it, which
    /// sum up to 1.
    Rows {
        /// Numbers of a row.
        width: usize,
        /// `[N, width]`.
        numbers: Vec<f32>,
    },
}

impl From<Vec<u32>> for Targets {
    fn from(labels: Vec<u32>) -> Self {
        Self::Classes(labels)
    }
}

impl Targets {
    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(labels) => labels.len(),
            Self::Rows { width, numbers } => numbers.len() / (*width).max(1),
        }
    }

    /// Whether there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The class of each sample.
    ///
    /// # Errors
    /// `Config` where samples have none.
    pub fn labels(&self) -> Result<&[u32]> {
        match self {
            Self::Classes(labels) => Ok(labels),
            Self::Rows { .. } => {
                Err(Error::config("samples come with rows of numbers, where one class each is needed"))
            }
        }
    }

    /// Those of some samples.
    #[must_use]
    pub fn part(&self, samples: Range<usize>) -> Self {
        match self {
            Self::Classes(labels) => Self::Classes(labels[samples].to_vec()),
            Self::Rows { width, numbers } => Self::Rows {
                width: *width,
                numbers: numbers[samples.start * width..samples.end * width].to_vec(),
            },
        }
    }

    /// The same in rows of `width` numbers: of classes beyond those that there were, no sample has a share.
    pub(crate) fn widened(&self, width: usize) -> Cow<'_, Self> {
        match self {
            Self::Rows { width: own, numbers } if *own < width => {
                let mut wide = vec![0.0; self.len() * width];
                for (row, own) in wide.chunks_exact_mut(width).zip(numbers.chunks_exact(*own)) {
                    row[..own.len()].copy_from_slice(own);
                }
                Cow::Owned(Self::Rows { width, numbers: wide })
            }
            _ => Cow::Borrowed(self),
        }
    }

    /// Those of `size` samples after `size`, the last perhaps of fewer.
    pub(crate) fn chunks(&self, size: usize) -> impl Iterator<Item = Self> + '_ {
        let samples = self.len();
        (0..samples).step_by(size.max(1)).map(move |first| self.part(first..samples.min(first + size)))
    }

    /// Those of all parts, one after the other; parts of another kind than the first are left out.
    #[must_use]
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or(Self::Classes(Vec::new()));
        for part in parts {
            match (&mut all, part) {
                (Self::Classes(all), Self::Classes(labels)) => all.extend(labels),
                (Self::Rows { numbers: all, .. }, Self::Rows { numbers, .. }) => all.extend(numbers),
                _ => {}
            }
        }
        all
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Classes(labels) => size_of_val(labels.as_slice()),
            Self::Rows { numbers, .. } => size_of_val(numbers.as_slice()),
        }
    }

    /// What all samples together count in a loss of classes of these weights; without weights their number.
    pub fn total_weight(&self, class_weights: &[f32]) -> f64 {
        match self {
            Self::Classes(labels) => total_weight(labels, class_weights),
            Self::Rows { .. } if class_weights.is_empty() => self.len() as f64,
            Self::Rows { width, numbers } => numbers
                .chunks_exact(*width)
                .flat_map(|row| row.iter().zip(class_weights))
                .map(|(&share, &weight)| f64::from(share) * f64::from(weight))
                .sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(numbers: &[f32]) -> Targets {
        Targets::Rows { width: 2, numbers: numbers.to_vec() }
    }

    #[test]
    fn parts_join_to_the_whole() {
        for whole in [rows(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), Targets::Classes(vec![3, 1, 2])] {
            let parts = [0..1, 1..1, 1..3].map(|samples| whole.part(samples));
            assert_eq!(parts.each_ref().map(Targets::len), [1, 0, 2]);
            assert_eq!(Targets::joined(parts), whole);
        }
    }

    #[test]
    fn classes_that_are_not_in_the_data_have_no_share() {
        let wide = rows(&[0.25, 0.75, 1.0, 0.0]).widened(3).into_owned();
        assert_eq!(wide, Targets::Rows { width: 3, numbers: vec![0.25, 0.75, 0.0, 1.0, 0.0, 0.0] });
        assert_eq!(wide.widened(3).into_owned(), wide);
        let labels = Targets::Classes(vec![1]);
        assert_eq!(labels.widened(3).into_owned(), labels);
    }

    #[test]
    fn a_share_counts_its_part_of_a_class() {
        let weights = [3.0, 0.5];
        assert_eq!(rows(&[0.0, 1.0, 1.0, 0.0]).total_weight(&weights), 3.5);
        assert_eq!(Targets::Classes(vec![1, 0]).total_weight(&weights), 3.5);
        assert_eq!(rows(&[0.5, 0.5]).total_weight(&weights), 1.75);
        assert_eq!(rows(&[0.5, 0.5, 1.0, 0.0]).total_weight(&[]), 2.0);
    }
}
