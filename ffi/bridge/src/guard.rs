//! The one door at the border: every call goes through it, and nothing but a status comes out.

use crate::error::{ErrorObject, lg_error};
use crate::handles;
use crate::status::{Fault, Outcome, lg_status};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Does `work`. Whatever goes wrong, panics included, ends in the error object and becomes a status. Nothing is done
/// where `error` is neither NULL nor a living error object.
pub fn call(error: *mut lg_error, work: impl FnOnce() -> Outcome<()>) -> lg_status {
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
    contain(work)
}

/// Does `work` for a function that has no status to return.
pub fn quiet(work: impl FnOnce()) {
    // There is nobody to tell.
    let _ = contain(|| {
        work();
        Ok(())
    });
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
