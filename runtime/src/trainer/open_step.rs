//! A batch on its way through the blocks, in shares that each pass a block at once.

use super::StepReport;
use crate::error::{Error, Result};
use crate::maps::Map;
use crate::maps::Place;
use crate::maps::counted::ledger::Part;
use crate::maps::place::Room;
use crate::shelf::Parcel;
use crate::targets::Targets;
use std::ops::Range;

/// A step under way: some blocks are trained on its batch, the others are still to come.
pub struct OpenStep {
    pub(super) micro_batches: Vec<MicroBatch>,
    pub(super) learning_rate: f64,
    pub(super) report: StepReport,
    /// Number of its first pass through a block.
    pub(super) first_pass: u64,
    /// Whether its samples have passed the units that stay as they are.
    pub(super) passed: bool,
}

impl OpenStep {
    /// What the step found in the blocks that are trained.
    pub fn report(&self) -> &StepReport {
        &self.report
    }

    /// The same where it is done.
    pub(crate) fn into_report(self) -> StepReport {
        self.report
    }

    /// Samples of its batch.
    pub fn samples(&self) -> usize {
        self.micro_batches.iter().map(|micro| micro.targets.len()).sum()
    }

    /// The rate that it is done with.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }
}

/// A share of the batch.
pub(super) struct MicroBatch {
    pub(super) h: Features,
    /// Whether `h` has passed the first layers of the head, too, which stay as they are.
    pub(super) passed_head: bool,
    /// Where losses compare with the images.
    pub(super) images: Option<Features>,
    pub(super) targets: Targets,
    /// Its share of the batch's samples.
    pub(super) weight: f64,
    /// Its targets' share of the class weights of the batch's targets.
    pub(super) label_weight: f64,
    /// Its targets, and what says where it is.
    pub(super) _room: Room,
}

/// What a share takes beside its targets.
const SHARE_BYTES: usize = 256;

/// The `MicroBatch::_room` of a share with these targets.
pub(super) fn room(place: &Place, targets: &Targets) -> Room {
    place.room(Part::Batch, targets.bytes() + SHARE_BYTES)
}

/// The features of some samples, in parts that wait each for itself.
#[derive(Clone, Default)]
pub(super) struct Features(Vec<(Parcel, Range<usize>)>);

impl Features {
    /// All `samples` of a parcel.
    pub(super) fn of(parcel: Parcel, samples: usize) -> Self {
        Self(vec![(parcel, 0..samples)])
    }

    /// Those of samples that wait each for itself.
    pub(super) fn of_samples(samples: impl Iterator<Item = Parcel>) -> Self {
        Self(samples.map(|parcel| (parcel, 0..1)).collect())
    }

    /// The shape of what waits in one part.
    pub(super) fn dims(&self) -> Option<&[usize]> {
        self.0.first().map(|(parcel, _)| parcel.dims())
    }

    /// The features as one tensor.
    pub(super) fn get(&self) -> Result<Map> {
        match &self.0[..] {
            [] => Err(Error::internal("features were asked for that nobody kept")),
            [(parcel, samples)] => parcel.get(samples.clone()),
            parts => {
                let parts = parts.iter().map(|(parcel, samples)| parcel.get(samples.clone()));
                Map::cat(&parts.collect::<Result<Vec<_>>>()?)
            }
        }
    }

    /// Takes the first `count` samples off.
    fn split_off_front(&mut self, count: usize) -> Self {
        let (mut taken, mut wanted) = (Vec::new(), count);
        while wanted > 0 && !self.0.is_empty() {
            let (parcel, samples) = &mut self.0[0];
            let middle = samples.end.min(samples.start + wanted);
            taken.push((parcel.clone(), samples.start..middle));
            wanted -= middle - samples.start;
            samples.start = middle;
            if samples.start == samples.end {
                self.0.remove(0);
            }
        }
        Self(taken)
    }
}

/// The samples of some steps that have come equally far, cut into steps of `size` samples, the last perhaps of fewer,
/// and these into shares of `micro_batch`. A step has the rate of the step that its first sample came from.
pub(super) fn recut(
    steps: Vec<OpenStep>,
    size: usize,
    micro_batch: Option<usize>,
    class_weights: &[f32],
    place: &Place,
    mut first_pass: impl FnMut(usize) -> u64,
) -> Vec<OpenStep> {
    let losses = steps.first().map_or(0, |step| step.report.losses.len());
    let passed = steps.first().is_some_and(|step| step.passed);
    let passed_head = steps.iter().flat_map(|step| &step.micro_batches).any(|micro| micro.passed_head);
    let (mut h, mut images, mut targets, mut rates) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut has_images = false;
    for step in steps {
        for micro in step.micro_batches {
            h.extend(micro.h.0);
            has_images |= micro.images.is_some();
            images.extend(micro.images.unwrap_or_default().0);
            rates.extend(std::iter::repeat_n(step.learning_rate, micro.targets.len()));
            targets.push(micro.targets);
        }
    }
    let (mut h, mut images) = (Features(h), Features(images));
    let mut cut = Vec::new();
    let targets = Targets::joined(targets);
    for (targets, rates) in targets.chunks(size).zip(rates.chunks(size)) {
        let total = targets.total_weight(class_weights);
        let share = |part: Targets| MicroBatch {
            h: h.split_off_front(part.len()),
            passed_head,
            images: has_images.then(|| images.split_off_front(part.len())),
            weight: part.len() as f64 / targets.len() as f64,
            label_weight: part.total_weight(class_weights) / total,
            _room: room(place, &part),
            targets: part,
        };
        let micro_batches: Vec<_> = targets.chunks(micro_batch.unwrap_or(size)).map(share).collect();
        cut.push(OpenStep {
            first_pass: first_pass(micro_batches.len()),
            micro_batches,
            learning_rate: rates[0],
            report: StepReport { losses: vec![f64::NAN; losses], correct: 0 },
            passed,
        });
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(samples: Range<u32>, learning_rate: f64) -> OpenStep {
        let numbers: Vec<f32> = samples.clone().map(|sample| sample as f32).collect();
        let count = numbers.len();
        let h = Map::new(numbers, (count, 1)).unwrap();
        let micro = MicroBatch {
            h: Features::of(Parcel::Whole(h), count),
            passed_head: false,
            images: None,
            targets: Targets::Classes(samples.collect()),
            weight: 1.0,
            label_weight: 1.0,
            _room: Room::default(),
        };
        let report = StepReport { losses: vec![0.5], correct: 0 };
        OpenStep { micro_batches: vec![micro], learning_rate, report, first_pass: 0, passed: false }
    }

    #[test]
    fn every_sample_keeps_its_features_and_its_place() {
        let cut = recut(vec![step(0..4, 0.1), step(4..7, 0.2)], 3, Some(2), &[], &Place::Host, |_| 7);
        let labels = |micro: &MicroBatch| micro.targets.labels().unwrap().to_vec();
        let shares: Vec<Vec<Vec<u32>>> =
            cut.iter().map(|step| step.micro_batches.iter().map(labels).collect()).collect();
        assert_eq!(shares, [vec![vec![0, 1], vec![2]], vec![vec![3, 4], vec![5]], vec![vec![6]]]);
        assert_eq!(cut.iter().map(|step| step.learning_rate).collect::<Vec<_>>(), [0.1, 0.1, 0.2]);
        for micro in cut.iter().flat_map(|step| &step.micro_batches) {
            let h = micro.h.get().unwrap().numbers().unwrap();
            let labels: Vec<f32> = labels(micro).into_iter().map(|label| label as f32).collect();
            assert_eq!(h, labels);
        }
        assert!(cut.iter().all(|step| step.report.losses.len() == 1 && step.first_pass == 7));
    }
}
