//! What an output is held against: the loss of the network's objective.

use crate::error::{Error, Result};
use crate::maps::loss::{Loss, check_labels, matrix_extents};
use crate::maps::place::of_numbers;
use crate::maps::{Map, binary_cross_entropy, cross_entropy, errors, soft_cross_entropy};
use crate::network::{NetworkSpec, Objective};
use crate::targets::{TargetKind, Targets};

/// How far from 1 the shares of a sample may sum up to, for rounding.
const SUM_TOLERANCE: f32 = 1e-3;

/// The loss of an objective, and its numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Criterion<'a> {
    /// What outputs stand for.
    pub objective: Objective,
    /// Share of each label that cross-entropy spreads over all classes.
    pub label_smoothing: f64,
    /// What each class counts in cross-entropy; none: 1 each.
    pub class_weights: &'a [f32],
}

impl Criterion<'_> {
    /// The loss of outputs `[N, K]`, as the objective says, and its gradient.
    ///
    /// # Errors
    /// Those of the loss; `Config` for targets that it is none of.
    pub fn loss(&self, output: &Map, targets: &Targets) -> Result<Loss> {
        let Self { objective, label_smoothing, class_weights } = *self;
        match (objective, targets) {
            (Objective::Classes, Targets::Classes(labels)) => {
                cross_entropy::weighted_softmax_cross_entropy(output, labels, label_smoothing, class_weights)
            }
            (Objective::Classes, Targets::Rows { numbers, .. }) => {
                soft_cross_entropy::soft_cross_entropy(output, numbers, label_smoothing, class_weights)
            }
            (Objective::Labels, Targets::Rows { width, numbers }) => {
                let dims = [targets.len(), *width];
                let rows = output.place().made(&dims, || Map::new(numbers.clone(), &dims))?;
                binary_cross_entropy::sigmoid_binary_cross_entropy(output, &rows)
            }
            (Objective::Values, Targets::Rows { numbers, .. }) => errors::squared_error(output, numbers),
            (Objective::Huber { delta }, Targets::Rows { numbers, .. }) => {
                errors::huber(output, numbers, delta)
            }
            (_, Targets::Classes(_)) => Err(Error::config(format!(
                "samples come with one class each, where the network learns {}",
                objective.noun()
            ))),
        }
    }

    /// How many answers are right: samples whose largest logit is that of their class, or of its largest share; labels on
    /// the right side of 0; none of values.
    ///
    /// # Errors
    /// As [`Criterion::loss`].
    pub fn right(&self, output: &Map, targets: &Targets) -> Result<usize> {
        let count = |hits: Vec<bool>| hits.into_iter().filter(|&hit| hit).count();
        match (self.objective, targets) {
            (Objective::Classes, Targets::Classes(labels)) => cross_entropy::correct(output, labels),
            (Objective::Classes, Targets::Rows { numbers, .. }) => {
                Ok(count(soft_cross_entropy::soft_hits(output, numbers)?))
            }
            (Objective::Labels, Targets::Rows { numbers, .. }) => {
                let found = labels_found(output)?;
                Ok(found
                    .iter()
                    .zip(numbers)
                    .filter(|(found, target)| **found == Some(**target > 0.5))
                    .count())
            }
            _ => Ok(0),
        }
    }
}

/// Of each output `[N, K]`, in order, whether the label is there: its logit is above 0; none where it is no number.
///
/// # Errors
/// `Shape`.
pub fn labels_found(output: &Map) -> Result<Vec<Option<bool>>> {
    let (n, k) = matrix_extents("logits", output)?;
    let is_there = |logit: &f32| (!logit.is_nan()).then_some(*logit > 0.0);
    of_numbers(output, |logits| logits.iter().map(is_there).collect(), || vec![None; n * k])
}

/// Such targets of a network as they are counted, not answered: zeros.
pub(crate) fn blank_targets(network: &NetworkSpec, samples: usize, shares: bool) -> Targets {
    match network.objective.target_kind() {
        TargetKind::Class if !shares => Targets::Classes(vec![0; samples]),
        TargetKind::Class => {
            let width = network.classes;
            let numbers = (0..samples * width).map(|place| f32::from(place % width == 0)).collect();
            Targets::Rows { width, numbers }
        }
        _ => Targets::Rows { width: network.classes, numbers: vec![0.0; samples * network.classes] },
    }
}

/// Refuses what `network` cannot be trained to answer.
///
/// # Errors
/// `Config` and `Shape`, with the sample.
pub(crate) fn check_targets(network: &NetworkSpec, targets: &Targets, samples: usize) -> Result<()> {
    let (kind, outputs) = (network.objective.target_kind(), network.classes);
    match targets {
        Targets::Classes(labels) if kind == TargetKind::Class => check_labels(labels, samples, outputs),
        Targets::Classes(_) => Err(Error::config(format!(
            "{} learns {outputs} {}, and samples come with one class each; give a row of numbers a sample",
            network.name,
            kind.noun()
        ))),
        // Classes that are not in the data have no share in any sample.
        Targets::Rows { width, numbers }
            if *width == outputs || kind == TargetKind::Class && *width < outputs =>
        {
            check_rows((network.objective, *width), numbers, samples)
        }
        Targets::Rows { width, .. } => Err(Error::shape(format!(
            "samples came with rows of {width} numbers; {} takes {outputs} {} a sample",
            network.name,
            kind.noun()
        ))),
    }
}

/// Refuses rows of numbers that are not one for each of `samples`, or that no network of so many outputs of this objective can
/// be trained to answer.
///
/// # Errors
/// `Shape`, and `Config` with the sample.
pub fn check_rows((objective, outputs): (Objective, usize), numbers: &[f32], samples: usize) -> Result<()> {
    let kind = objective.target_kind();
    if Some(numbers.len()) != samples.checked_mul(outputs) {
        return Err(Error::shape(format!(
            "{} numbers came as targets of {samples} samples; give {outputs} a sample",
            numbers.len()
        )));
    }
    let fits = |row: &[f32]| match kind {
        TargetKind::Values => row.iter().all(|value| value.is_finite()),
        TargetKind::Labels => row.iter().all(|label| (0.0..=1.0).contains(label)),
        TargetKind::Class => {
            let sum: f32 = row.iter().sum();
            row.iter().all(|share| (0.0..=1.0).contains(share)) && (sum - 1.0).abs() <= SUM_TOLERANCE
        }
    };
    match numbers.chunks_exact(outputs.max(1)).position(|row| !fits(row)) {
        None => Ok(()),
        Some(sample) => Err(Error::config(format!(
            "the numbers of sample {sample} are not {}",
            match kind {
                TargetKind::Values => "finite",
                TargetKind::Labels => "0 (a label that is not there) to 1 (one that is)",
                TargetKind::Class => "shares of classes: from 0 to 1, and 1 together",
            }
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(objective: Objective) -> NetworkSpec {
        NetworkSpec {
            name: "net".into(),
            input: [1, 1, 1].into(),
            classes: 2,
            objective,
            units: Vec::new(),
            head: Vec::new(),
        }
    }

    fn rows(numbers: &[f32]) -> Targets {
        Targets::Rows { width: 2, numbers: numbers.to_vec() }
    }

    #[test]
    fn targets_that_cannot_be_are_refused() {
        let huber = Objective::Huber { delta: 1.0 };
        let good = [
            (Objective::Classes, Targets::Classes(vec![0, 1])),
            (Objective::Classes, rows(&[0.25, 0.75, 1.0, 0.0])),
            (Objective::Classes, Targets::Rows { width: 1, numbers: vec![1.0; 2] }),
            (Objective::Labels, rows(&[1.0, 1.0, 0.0, 0.0])),
            (Objective::Values, rows(&[-3.0, 1e6, 0.0, 0.5])),
            (huber, rows(&[-3.0, 1e6, 0.0, 0.5])),
        ];
        for (objective, targets) in good {
            check_targets(&network(objective), &targets, 2).unwrap();
            assert!(check_targets(&network(objective), &targets, 3).is_err());
        }
        let bad = [
            (Objective::Classes, Targets::Classes(vec![0, 2]), "label 2 of sample 1"),
            (Objective::Classes, rows(&[0.25, 0.75, 1.0, 1.0]), "sample 1 are not shares"),
            (Objective::Classes, rows(&[-0.5, 1.5, 1.0, 0.0]), "sample 0 are not shares"),
            (
                Objective::Classes,
                Targets::Rows { width: 3, numbers: vec![0.0; 6] },
                "takes 2 classes a sample",
            ),
            (Objective::Labels, rows(&[1.0, 1.0, 0.0, 2.0]), "sample 1 are not 0"),
            (Objective::Labels, Targets::Classes(vec![0, 1]), "one class each"),
            (Objective::Values, rows(&[1.0, f32::NAN, 0.0, 0.0]), "sample 0 are not finite"),
            (huber, Targets::Rows { width: 4, numbers: vec![0.0; 8] }, "takes 2 values a sample"),
        ];
        for (objective, targets, word) in bad {
            let error = check_targets(&network(objective), &targets, 2).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
