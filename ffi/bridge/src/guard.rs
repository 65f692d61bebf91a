//! The one door at the border: every call goes through it, and nothing but a status comes out.
//!
//! It knows the process that it stands in. A forked child has the parent's memory and none of its threads: a lock that
//! one of them held stays locked for ever, and work that is given to them is never done. So a child that was forked while
//! a call was at work is not let in, and one that was forked between two calls is, but for the parent's trainers
//! (see [`check_process`]).

use crate::error::{ErrorObject, lg_error};
use crate::handles;
use crate::status::{Fault, Outcome, lg_status};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The process whose calls are counted; 0 before the first.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// Calls at work, those from inside callbacks counted.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// A call that was let in.
struct Inside;

impl Inside {
    /// Lets a call in; `None` in a child that was forked in the middle of one.
    fn enter() -> Option<Self> {
        let here = std::process::id();
        loop {
            let owner = PROCESS.load(Ordering::Acquire);
            if owner == here {
                AT_WORK.fetch_add(1, Ordering::AcqRel);
                return Some(Self);
            }
            // Whoever forked was in no call, so no lock is held; the first call here takes the library over.
            if owner != 0 && AT_WORK.load(Ordering::Acquire) != 0 {
                return None;
            }
            // Another thread that was first is as good.
            let _ = PROCESS.compare_exchange(owner, here, Ordering::AcqRel, Ordering::Acquire);
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        AT_WORK.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Refuses what was made in another process and needs that one's threads.
pub fn check_process(made_in: u32) -> Outcome<()> {
    match made_in == std::process::id() {
        true => Ok(()),
        false => Err(Fault::new(
            lg_status::Forked,
            "this trainer was made in the process that this one was forked from, and its threads are there; make one \
             in this process, or start processes that are no forks (\"spawn\" of Python's multiprocessing)",
        )),
    }
}

fn forked_at_work() -> Fault {
    Fault::new(lg_status::Forked, FORKED_AT_WORK.to_string_lossy())
}

/// What there is to say in a child that is not let in.
pub(crate) const FORKED_AT_WORK: &std::ffi::CStr =
    c"this process was forked while a call was at work, whose threads are not here; fork between calls, or start \
      processes that are no forks";

/// Does `work`. Whatever goes wrong, panics included, ends in the error object and becomes a status. Nothing is done
/// where `error` is neither NULL nor a living error object.
pub fn call(error: *mut lg_error, work: impl FnOnce() -> Outcome<()>) -> lg_status {
    // The list of objects may be locked for ever: there is no reporting into one.
    let Some(_inside) = Inside::enter() else { return lg_status::Forked };
    let outcome = contain(|| {
        let object = match error.is_null() {
            true => None,
            false => Some(handles::get::<ErrorObject, _>(error)?),
        };
        let Err(fault) = contain(work) else { return Ok(()) };
        if let Some(object) = object {
            object.report(&fault);
        }
        Err(fault)
    });
    outcome.map_or_else(|fault| fault.status, |()| lg_status::Ok)
}

/// Does `work` for a binding that carries failures in its own way. Whatever goes wrong, panics included, is a fault.
pub fn run<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    let Some(_inside) = Inside::enter() else { return Err(forked_at_work()) };
    contain(work)
}

/// Does `work` for a function that has no status to return; whether it was let in.
pub fn quiet(work: impl FnOnce()) -> bool {
    let Some(_inside) = Inside::enter() else { return false };
    // There is nobody to tell.
    let _ = contain(|| {
        work();
        Ok(())
    });
    true
}

fn contain<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    // What a panic leaves half done is behind a lock that is poisoned by it, and never looked at again.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = format!("a mistake inside the library, please report it: {}", told(panic.as_ref()));
        Err(Fault::new(lg_status::Internal, message))
    })
}

fn told(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it panicked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{lg_error_create, lg_error_destroy};

    #[test]
    fn panics_become_statuses() {
        let error = lg_error_create();
        let status = call(error, || panic!("{}", "on purpose"));
        assert_eq!(status, lg_status::Internal);
        let object = handles::get::<ErrorObject, _>(error).unwrap();
        assert!(object.message().contains("on purpose"));
        // SAFETY: it was just made.
        unsafe { lg_error_destroy(error) };
        assert_eq!(call(error, || Ok(())), lg_status::Handle);
        assert_eq!(call(std::ptr::null_mut(), || Ok(())), lg_status::Ok);
    }
}
