//! Checkpoints in a directory, and states in the caller's memory.

use crate::error::lg_error;
use crate::pointers::{self, LONGEST_TEXT_BYTES};
use crate::status::lg_status;
use crate::trainer::{self, lg_trainer};
use std::ffi::{c_char, c_void};
use std::path::Path;

/// Makes `directory` (a path in UTF-8) the place of the trainer's checkpoints. Where there is one, the trainer goes back
/// to it: weights, statistics, the optimizer's memory, changed settings and the number of steps, so that training ends
/// in the same bytes as if it had never stopped; `*resumed` becomes 1. Otherwise the directory is made, the present state
/// is saved in it, and `*resumed` becomes 0. `keep` states are kept, at least 1. One trainer in one process has a directory
/// at a time. The trainer must be made as the one that wrote the checkpoint was; LG_STATUS_CONFIG names what differs. What
/// was left to memory_budget_bytes may have been chosen otherwise: the trainer is then made anew as the checkpoint's was,
/// where that keeps to the budget, so that lg_trainer_describe may tell other blocks; an error on the way there leaves
/// is_damaged at 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_open_checkpoints(
    trainer: *mut lg_trainer,
    directory: *const c_char,
    keep: usize,
    resumed: *mut i32,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            pointers::check(resumed, "resumed")?;
            let directory = pointers::text(directory, "directory", LONGEST_TEXT_BYTES)?;
            let found = session.open_checkpoints(Path::new(directory), keep, &object.control)?;
            pointers::write(resumed, i32::from(found), "resumed")
        }
    })
}

/// Saves a checkpoint. A kill or a full disk leaves the one before whole. LG_STATUS_STATE where a step was interrupted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_save(trainer: *mut lg_trainer, error: *mut lg_error) -> lg_status {
    trainer::with(trainer, error, |object, session| session.save(object.shared()))
}

/// Writes the size in bytes that lg_trainer_get_state needs now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_state_bytes(
    trainer: *mut lg_trainer,
    bytes: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        let found = session.state_bytes()?;
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write(bytes, found, "bytes") }
    })
}

/// Writes what a checkpoint holds into `buffer`, of `capacity` bytes, and its size into `*bytes`. Too small a buffer is
/// left as it is, with LG_STATUS_BUFFER. LG_STATUS_STATE where a step was interrupted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_get_state(
    trainer: *mut lg_trainer,
    buffer: *mut c_void,
    capacity: usize,
    bytes: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        let needed = session.state_bytes()?;
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write(bytes, needed, "bytes") }?;
        if capacity < needed {
            return Err(pointers::too_small(needed, capacity));
        }
        // SAFETY: the caller promises `capacity` bytes that nobody else uses meanwhile.
        let room = unsafe { pointers::bytes_mut(buffer.cast(), needed, "buffer") }?;
        session.write_state(room).map(drop)
    })
}

/// Goes back to a state that lg_trainer_get_state wrote, of a trainer made as this one. Every byte is checked: one that
/// is damaged or of another trainer changes nothing. What was left to memory_budget_bytes may have been chosen
/// otherwise, as for lg_trainer_open_checkpoints, but not after a call of that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_set_state(
    trainer: *mut lg_trainer,
    buffer: *const c_void,
    bytes: usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises `bytes` bytes.
        let state = unsafe { pointers::slice(buffer.cast(), bytes, "buffer") }?;
        session.set_state(state, &object.control)
    })
}
