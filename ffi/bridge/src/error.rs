//! Error objects: they own the sentence of the last failure that was reported into them.

use crate::guard;
use crate::handles::{self, Object};
use crate::status::{Fault, lg_status};
use std::ffi::{CString, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Holds what went wrong in the last call that failed and was given it. Use one in each thread.
pub struct lg_error {
    _private: (),
}

pub(crate) struct ErrorObject {
    last: Mutex<Last>,
}

struct Last {
    status: lg_status,
    message: CString,
    least_bytes: usize,
}

impl Object for ErrorObject {
    const NAME: &'static str = "lg_error";
}

impl ErrorObject {
    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn report(&self, fault: &Fault) {
        // A zero byte would end the text for C.
        let text = fault.message.replace('\0', "\u{fffd}");
        let message = CString::new(text).unwrap_or_default();
        *self.last() = Last { status: fault.status, message, least_bytes: fault.least_bytes.unwrap_or(0) };
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> String {
        self.last().message.to_string_lossy().into_owned()
    }
}

/// Makes an error object, which the caller destroys. NULL if even that fails. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn lg_error_create() -> *mut lg_error {
    let mut handle = std::ptr::null_mut();
    guard::quiet(|| {
        let last = Last { status: lg_status::Ok, message: CString::default(), least_bytes: 0 };
        handle = handles::insert(ErrorObject { last: Mutex::new(last) });
    });
    handle
}

/// Destroys an error object and the text it owns. NULL, and one that was destroyed before, do nothing. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_error_destroy(error: *mut lg_error) {
    guard::quiet(|| drop(handles::remove::<ErrorObject, _>(error)));
}

/// The sentence of the last failure that was reported into `error`, in UTF-8: what was wrong and what to do. Empty
/// before the first. The text belongs to the object and lives until the next failure is reported into it or it is
/// destroyed. Never NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_error_message(error: *const lg_error) -> *const c_char {
    let mut text = c"this is no lg_error".as_ptr();
    let was_let_in = guard::quiet(|| {
        if let Ok(error) = handles::get::<ErrorObject, _>(error) {
            text = error.last().message.as_ptr();
        }
    });
    if was_let_in { text } else { guard::FORKED_AT_WORK.as_ptr() }
}

/// The status of the last failure that was reported into `error`; LG_STATUS_OK before the first, LG_STATUS_HANDLE if
/// it is no error object.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_error_status(error: *const lg_error) -> lg_status {
    let mut status = lg_status::Handle;
    let was_let_in = guard::quiet(|| {
        if let Ok(error) = handles::get::<ErrorObject, _>(error) {
            status = error.last().status;
        }
    });
    if was_let_in { status } else { lg_status::Forked }
}

/// Where the last failure that was reported into `error` is a memory budget that no way to train keeps to: the least
/// bytes that would do, which its sentence names, too. 0 otherwise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_error_least_bytes(error: *const lg_error) -> usize {
    let mut bytes = 0;
    guard::quiet(|| {
        if let Ok(error) = handles::get::<ErrorObject, _>(error) {
            bytes = error.last().least_bytes;
        }
    });
    bytes
}
