//! Steering a trainer from other threads: pause, cancel, pace, threads.

use crate::control::Wishes;
use crate::error::lg_error;
use crate::events::lg_pause_reason;
use crate::guard;
use crate::handles;
use crate::status::lg_status;
use crate::trainer::{TrainerObject, lg_trainer};

fn wish(trainer: *const lg_trainer, error: *mut lg_error, change: impl FnOnce(&mut Wishes)) -> lg_status {
    guard::call(error, || {
        handles::get::<TrainerObject, _>(trainer)?.control.wish(change);
        Ok(())
    })
}

/// Makes calls that compute wait, before their next block, until lg_trainer_resume or lg_trainer_cancel. What the block
/// left in memory stays. It holds for later calls, too. Any thread, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_pause(trainer: *mut lg_trainer, error: *mut lg_error) -> lg_status {
    // SAFETY: the caller's promise is the same.
    unsafe { lg_trainer_pause_for(trainer, lg_pause_reason::User as i32, error) }
}

/// lg_trainer_pause with its reason, an lg_pause_reason or a number of yours, which the call that waits tells as an event.
/// Of two pauses the later one's reason counts; one lg_trainer_resume ends both. Any thread, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_pause_for(
    trainer: *mut lg_trainer,
    reason: i32,
    error: *mut lg_error,
) -> lg_status {
    wish(trainer, error, |wishes| (wishes.paused, wishes.pause_reason) = (true, reason))
}

/// Ends a pause. Any thread, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_resume(trainer: *mut lg_trainer, error: *mut lg_error) -> lg_status {
    wish(trainer, error, |wishes| wishes.paused = false)
}

/// Makes calls that compute return before their next block, those at work and all later ones, until
/// lg_trainer_clear_cancel. A step that this interrupts is kept: it goes on where it was, in the same numbers, with the
/// next training call. Until then nothing can be saved, and the last checkpoint is what a killed process goes back to.
/// Any thread, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_cancel(trainer: *mut lg_trainer, error: *mut lg_error) -> lg_status {
    wish(trainer, error, |wishes| wishes.cancelled = true)
}

/// Lets calls compute again after a cancel. Any thread, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_clear_cancel(
    trainer: *mut lg_trainer,
    error: *mut lg_error,
) -> lg_status {
    wish(trainer, error, |wishes| wishes.cancelled = false)
}

/// Sets the share of the time that is spent at work, from 0.01 to 1, against heat and for the battery: after each block
/// the trainer rests for the rest of the time. Results stay the same. Any thread, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_set_work_fraction(
    trainer: *mut lg_trainer,
    fraction: f64,
    error: *mut lg_error,
) -> lg_status {
    // SAFETY: the caller's promise is the same.
    unsafe {
        lg_trainer_set_work_fraction_for(trainer, fraction, lg_pause_reason::WorkFraction as i32, error)
    }
}

/// lg_trainer_set_work_fraction with its reason, an lg_pause_reason or a number of yours, which the next call that computes
/// tells as an event. Any thread, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_set_work_fraction_for(
    trainer: *mut lg_trainer,
    fraction: f64,
    reason: i32,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        handles::get::<TrainerObject, _>(trainer)?.control.set_work_fraction(fraction, reason)
    })
}

/// Sets the number of worker threads from the next block on; 0 is one a core. Results stay the same. Any thread, at any
/// time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_set_threads(
    trainer: *mut lg_trainer,
    threads: usize,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || handles::get::<TrainerObject, _>(trainer)?.control.set_threads(threads))
}
