//! Events taken out, by any thread.

use crate::error::lg_error;
use crate::events::lg_event;
use crate::guard;
use crate::handles;
use crate::pointers;
use crate::status::lg_status;
use crate::trainer::{TrainerObject, lg_trainer};

/// Takes the oldest event that waits. `*found` becomes 1, or 0 where none waits; `event`, whose struct_size the caller
/// has set, is then left as it is. Any thread at any time, without waiting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_poll(
    trainer: *const lg_trainer,
    event: *mut lg_event,
    found: *mut i32,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        let trainer = handles::get::<TrainerObject, _>(trainer)?;
        pointers::check(event, "event")?;
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::read_struct(event, "event") }?;
        pointers::check(found, "found")?;
        let taken = trainer.events.pop();
        // SAFETY: as above.
        unsafe { pointers::write(found, i32::from(taken.is_some()), "found") }?;
        match taken {
            // SAFETY: as above.
            Some(taken) => unsafe { pointers::write_struct(event, taken.to_c(), "event") },
            None => Ok(()),
        }
    })
}

/// Writes the number of events that were dropped so far, because 256 others waited. Any thread at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_dropped_events(
    trainer: *const lg_trainer,
    count: *mut u64,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        let trainer = handles::get::<TrainerObject, _>(trainer)?;
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write(count, trainer.events.dropped(), "count") }
    })
}
