//! What stays as it is of a network, passed once: the features that it makes of samples, for the caller to keep.

use crate::control::Turn;
use crate::error::lg_error;
use crate::pointers;
use crate::samples::{Samples, lg_samples};
use crate::session::{Session, Shared, cancelled};
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use localgrad_runtime::Error;
use localgrad_runtime::maps::{Place, slices};
use std::time::Instant;

impl Session {
    /// Numbers of a sample's features.
    pub fn feature_count(&self) -> Outcome<usize> {
        Ok(self.intake.features()?.elements())
    }

    /// Writes the features of images into `room`, a row each. How many pass at once may decide last digits, so that always as
    /// many do as in a whole step: the last image again in the place of those that are missing.
    pub fn features(&mut self, shared: Shared<'_>, samples: &Samples<'_>, room: &mut [f32]) -> Outcome<()> {
        let each = self.feature_count()?;
        let lent = self.intake.check(samples, false)?;
        if lent.are_features() {
            return Err(Fault::argument("these samples are features already; give images"));
        }
        let needed = lent.count.saturating_mul(each);
        if room.len() < needed {
            return Err(pointers::too_small(needed, room.len()));
        }
        let group = self.trainer.execution().micro_batch.map_or(self.batch, |share| share.min(self.batch));
        for first in (0..lent.count).step_by(group) {
            if self.wait_turn(shared, None) != Turn::Go {
                return Err(cancelled());
            }
            let began = Instant::now();
            let last = lent.count.min(first + group);
            let images = self.intake.filled_up(&lent, first..last, group)?.batch.inputs;
            let found = self.work(shared.control, |trainer| {
                trainer.still_features(&images)?.to(&Place::Host)?.contiguous()
            })??;
            let (numbers, rows) = (slices::elements(&found)?, &mut room[first * each..last * each]);
            if let Some(&number) = numbers[..rows.len()].iter().find(|number| !number.is_finite()) {
                return Err(Error::no_answer(number.into()).into());
            }
            rows.copy_from_slice(&numbers[..rows.len()]);
            shared.control.rest(began.elapsed(), None);
        }
        Ok(())
    }
}

/// Writes how many numbers the features of a sample are, which lg_trainer_features makes. LG_STATUS_CONFIG, with what to
/// set, where the first unit is trained, so that nothing stays as it is, or where a loss compares with the images.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_feature_count(
    trainer: *const lg_trainer,
    per_sample: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        let count = session.feature_count()?;
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write(per_sample, count, "per_sample") }
    })
}

/// Writes what the units before the first trained weight make of images of any layout and type, a row of numbers each, to
/// keep and give back as often as training needs them, as LG_PIXEL_FEATURES: that trains, evaluates and predicts as the
/// images do, and these units are passed once and not in every step. Images pass in groups of lg_trainer_config.batch (or
/// of micro_batch), the last filled up, so that a row depends on its image alone; training on rows ends in the bytes of
/// training on the images, but for last digits where a step has fewer samples than a group.
///
/// Rows belong to the weights and running statistics that made them, and to the same `train` and frozen_blocks, also in
/// another trainer: who sets other weights of the units that stay as they are makes rows anew. Weights are not changed
/// while rows wait that were pushed (LG_STATUS_STATE).
///
/// `features_bytes` is how many bytes `features` has room for, at least samples times lg_trainer_feature_count times 4.
/// Labels are not looked at, and training is not changed. LG_STATUS_CONFIG as lg_trainer_feature_count says,
/// LG_STATUS_CANCELLED where it was cancelled, LG_STATUS_NOT_FINITE where the network makes no numbers of an image; rows
/// may be written then, too.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_features(
    trainer: *mut lg_trainer,
    samples: *const lg_samples,
    features: *mut f32,
    features_bytes: usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            let samples = pointers::read_struct(samples, "samples")?;
            let lent = session.intake.lend(&samples, false)?;
            let needed = samples.count.saturating_mul(session.feature_count()?);
            let bytes = needed.saturating_mul(size_of::<f32>());
            if features_bytes < bytes {
                return Err(pointers::too_small(bytes, features_bytes));
            }
            let room = pointers::floats_mut(features, needed, "features")?;
            session.features(object.shared(), &lent, room)
        }
    })
}
