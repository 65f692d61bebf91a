//! Where a trainer's samples come from: pushed by the caller, or pulled from a function of his.

use crate::error::lg_error;
use crate::inbox::{Inbox, Source, lg_source_fn, source_of};
use crate::pointers;
use crate::samples::{Samples, lg_samples};
use crate::session::Session;
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use std::ffi::c_void;

impl Session {
    /// Adds samples to those that the next step trains on, or none if there is no room for all.
    pub fn push(&mut self, samples: &Samples<'_>) -> Outcome<()> {
        let lent = self.intake.check(samples, true)?;
        let room = self.batch - self.inbox.len();
        if lent.count > room {
            return Err(Fault::config(format!(
                "{} samples were pushed, and there is room for {room} more of {}; train a step first, or push fewer",
                lent.count, self.batch
            )));
        }
        self.inbox.add(&lent, &self.intake)
    }

    /// Refuses other weights where features wait that these have made.
    pub(crate) fn check_no_features_wait(&self) -> Outcome<()> {
        match self.inbox.has_features() {
            false => Ok(()),
            true => Err(Fault::new(
                lg_status::State,
                "features were pushed that belong to the weights as they are; train a step on them, or forget them by \
                 lg_trainer_discard_pushed, before weights change",
            )),
        }
    }

    /// Forgets the samples that were pushed and not yet trained on.
    pub fn discard_pushed(&mut self) {
        self.inbox = Inbox::default();
    }

    /// Sets what gives samples where none were pushed.
    pub fn set_source(&mut self, source: Option<Source>) {
        self.source = source;
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
            session.intake.lend(&samples, true)?
        };
        session.push(&lent)
    })
}

/// Forgets the samples that were pushed and not yet trained on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_discard_pushed(
    trainer: *mut lg_trainer,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        session.discard_pushed();
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
        // SAFETY: the caller promises that the function is what the header says.
        session.set_source(unsafe { source_of(function, user_data) });
        Ok(())
    })
}
