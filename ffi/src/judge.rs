//! How good the network is, and what it says: by running statistics, on the same handle.

use crate::error::lg_error;
use crate::feed::{Source, lg_source_fn};
use crate::pointers::{self, Versioned};
use crate::samples::lg_samples;
use crate::session::Session;
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use localgrad_runtime::evaluate::Evaluation;
use localgrad_runtime::model::Classifier;
use std::ffi::c_void;

/// What an evaluation found.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_evaluation {
    /// sizeof(lg_evaluation), set by the caller.
    pub struct_size: usize,
    /// Samples.
    pub samples: usize,
    /// Share of them that were classified right, in [0, 1].
    pub accuracy: f64,
    /// Mean cross-entropy.
    pub loss: f64,
}

// SAFETY: repr(C), the size is first, and numbers take any bytes.
unsafe impl Versioned for lg_evaluation {
    const NAME: &'static str = "lg_evaluation";
    const FIRST_BYTES: usize = size_of::<lg_evaluation>();

    fn initial() -> Self {
        Self { struct_size: size_of::<Self>(), samples: 0, accuracy: 0.0, loss: 0.0 }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

fn cancelled() -> Fault {
    Fault::new(lg_status::Cancelled, "the trainer was cancelled; lg_trainer_clear_cancel lets it go on")
}

/// # Safety
/// `result` is what the header says.
unsafe fn write(found: Option<Evaluation>, result: *mut lg_evaluation) -> Outcome<()> {
    let Evaluation { accuracy, loss, samples } = found.ok_or_else(cancelled)?;
    let found = lg_evaluation { struct_size: size_of::<lg_evaluation>(), samples, accuracy, loss };
    // SAFETY: the caller's promise is the same.
    unsafe { pointers::write_struct(result, found, "result") }
}

/// Evaluates the network on labelled samples, as many as there are. Training is not changed. LG_STATUS_CANCELLED where
/// it was cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_evaluate(
    trainer: *mut lg_trainer,
    samples: *const lg_samples,
    result: *mut lg_evaluation,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            pointers::read_struct(result, "result")?;
            let samples = pointers::read_struct(samples, "samples")?;
            let lent = session.intake.check(&samples, true)?;
            if lent.count == 0 {
                return Err(Fault::argument("there are no samples to evaluate on"));
            }
            let mut first = 0;
            let found = session.evaluate(object.shared(), &mut |intake, most| {
                let last = lent.count.min(first + most);
                let range = std::mem::replace(&mut first, last)..last;
                (!range.is_empty()).then(|| intake.batch(&lent, range)).transpose()
            })?;
            write(found, result)
        }
    })
}

/// The same on what a function gives, until it answers LG_ANSWER_STOP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_evaluate_source(
    trainer: *mut lg_trainer,
    function: lg_source_fn,
    user_data: *mut c_void,
    result: *mut lg_evaluation,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        let source = Source::new(function, user_data).ok_or_else(|| Fault::argument("function is NULL"))?;
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::read_struct(result, "result") }?;
        let mut number = 0;
        let found = session.evaluate(object.shared(), &mut |intake, most| {
            number += 1;
            source.batch(number - 1, intake, most)
        })?;
        if found.is_some_and(|found| found.samples == 0) {
            return Err(Fault::argument("there are no samples to evaluate on"));
        }
        // SAFETY: as above.
        unsafe { write(found, result) }
    })
}

/// Writes one logit for each class of each sample, sample after sample; the class of the largest is the network's
/// answer. Labels are not looked at. `capacity` is how many numbers `logits` has room for, at least samples times
/// classes. LG_STATUS_CANCELLED where it was cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_predict(
    trainer: *mut lg_trainer,
    samples: *const lg_samples,
    logits: *mut f32,
    capacity: usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            let samples = pointers::read_struct(samples, "samples")?;
            let classes = session.intake.classes;
            let needed = samples.count.saturating_mul(classes);
            if capacity < needed {
                return Err(pointers::too_small(needed, capacity));
            }
            if needed > 0 {
                pointers::check(logits, "logits")?;
            }
            let found = predict(session, &samples, object)?;
            pointers::store(&found, logits, "logits")
        }
    })
}

/// # Safety
/// The pointers in `samples` are what the header says.
unsafe fn predict(
    session: &mut Session,
    samples: &lg_samples,
    object: &trainer::TrainerObject,
) -> Outcome<Vec<f32>> {
    // SAFETY: the caller's promise is the same.
    let lent = unsafe { session.intake.check(samples, false) }?;
    let mut logits = Vec::with_capacity(lent.count * session.intake.classes);
    for first in (0..lent.count).step_by(session.evaluation_batch) {
        if object.control.wait_turn(None) != crate::control::Turn::Go {
            return Err(cancelled());
        }
        let range = first..lent.count.min(first + session.evaluation_batch);
        let batch = session.intake.batch(&lent, range)?;
        let found = session.work(&object.control, |trainer| {
            let logits = trainer.logits(&batch.images)?;
            Ok::<_, localgrad_runtime::Error>(logits.flatten_all()?.to_vec1::<f32>()?)
        })??;
        logits.extend(found);
    }
    Ok(logits)
}
