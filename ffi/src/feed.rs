//! Where a trainer's samples come from: pushed by the caller, or pulled from a function of his.

use crate::error::lg_error;
use crate::pointers::{self, Versioned};
use crate::samples::{Intake, lg_samples};
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use localgrad_runtime::data::Batch;
use std::ffi::c_void;

/// What a callback answers. Any other number means that it failed.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_answer {
    /// Go on.
    Continue = 0,
    /// Stop: enough was done, or there are no more samples.
    Stop = 1,
}

/// Gives samples: fills in `*samples`, which it gets empty, and answers LG_ANSWER_CONTINUE, or LG_ANSWER_STOP where
/// there are no more. What it lends stays as it is until it is called again or the call that called it returns. `number`
/// is the number of steps done (of batches, in an evaluation), so that samples that are a function of it are the same
/// after a resume. It is called on the thread whose call needs the samples, and must not throw.
pub type lg_source_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, number: u64, samples: *mut lg_samples) -> i32>;

/// A function that gives samples, with what it wants to be given.
pub(crate) struct Source {
    function: unsafe extern "C" fn(*mut c_void, u64, *mut lg_samples) -> i32,
    user_data: *mut c_void,
}

// SAFETY: the pointer is only handed back to the function, and the header says on which thread that is called.
unsafe impl Send for Source {}

impl Source {
    pub(crate) fn new(function: lg_source_fn, user_data: *mut c_void) -> Option<Self> {
        function.map(|function| Self { function, user_data })
    }

    /// Batch `number`, of at most `most` samples; `None` where there are no more.
    pub(crate) fn batch(&self, number: u64, intake: &Intake, most: usize) -> Outcome<Option<Batch>> {
        let mut samples = lg_samples::initial();
        // SAFETY: the caller gave this function for these arguments.
        match unsafe { (self.function)(self.user_data, number, &raw mut samples) } {
            0 => {}
            1 => return Ok(None),
            other => {
                let message = format!("the source answered {other} for batch {number}");
                return Err(Fault::new(lg_status::Callback, message));
            }
        }
        if samples.count == 0 || samples.count > most {
            return Err(Fault::argument(format!(
                "the source gave {} samples for batch {number}; give 1 to {most}, or answer LG_ANSWER_STOP",
                samples.count
            )));
        }
        // SAFETY: the function lends what it gives until it is called again.
        let lent = unsafe { intake.check(&samples, true) }?;
        intake.batch(&lent, 0..lent.count).map(Some)
    }
}

/// Samples that were pushed.
#[derive(Default)]
pub(crate) struct Inbox {
    images: Vec<f32>,
    labels: Vec<u32>,
}

impl Inbox {
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// All of them, which leaves none.
    pub(crate) fn take(&mut self) -> (Vec<f32>, Vec<u32>) {
        (std::mem::take(&mut self.images), std::mem::take(&mut self.labels))
    }
}

/// Adds samples, one or many, to those that the next step trains on. They are copied. All of them together may be no
/// more than lg_trainer_config.batch; none is taken if they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_push(
    trainer: *mut lg_trainer,
    samples: *const lg_samples,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        // SAFETY: the caller promises that the pointer, and those in it, are what the header says.
        let lent = unsafe {
            let samples = pointers::read_struct(samples, "samples")?;
            session.intake.check(&samples, true)?
        };
        let room = session.batch - session.inbox.len();
        if lent.count > room {
            return Err(Fault::config(format!(
                "{} samples were pushed, and there is room for {room} more of {}; train a step first, or push fewer",
                lent.count, session.batch
            )));
        }
        session.inbox.labels.extend_from_slice(lent.labels());
        session.intake.append(&lent, 0..lent.count, &mut session.inbox.images);
        Ok(())
    })
}

/// Forgets the samples that were pushed and not yet trained on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_discard_pushed(
    trainer: *mut lg_trainer,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        session.inbox.take();
        Ok(())
    })
}

/// Sets the function that gives samples where none were pushed; NULL sets none. `user_data` stays the caller's and must
/// outlive its use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_set_source(
    trainer: *mut lg_trainer,
    function: lg_source_fn,
    user_data: *mut c_void,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        session.source = Source::new(function, user_data);
        Ok(())
    })
}
