//! Where the library's messages go: to the caller's function, or nowhere. Nothing is ever printed.

use crate::error::lg_error;
use crate::guard;
use crate::status::{Fault, Outcome, lg_status};
use log::{LevelFilter, Log, Metadata, Record};
use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::sync::{PoisonError, RwLock};

/// How much a message matters.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_log_level {
    /// No messages.
    Off = 0,
    /// What failed.
    Error = 1,
    /// What went wrong although the call went on.
    Warn = 2,
    /// What is worth knowing.
    Info = 3,
    /// For finding mistakes.
    Debug = 4,
}

/// Takes a message: an lg_log_level and a text that lives until the function returns. It is called on any thread, also
/// on several at once, and must not throw.
pub type lg_log_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: *const c_char)>;

struct Sink {
    function: lg_log_fn,
    user_data: *mut c_void,
}

// SAFETY: the pointer is only handed to the function, which the header says is called on any thread.
unsafe impl Send for Sink {}
// SAFETY: as above, also on several threads at once.
unsafe impl Sync for Sink {}

static SINK: RwLock<Sink> = RwLock::new(Sink { function: None, user_data: std::ptr::null_mut() });

thread_local! {
    /// Whether this thread is inside the caller's function, which may not come back here.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

struct Forward;

impl Log for Forward {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if INSIDE.replace(true) {
            return;
        }
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        let text = record.args().to_string().replace('\0', "\u{fffd}");
        if let (Some(function), Ok(text)) = (sink.function, CString::new(text)) {
            // SAFETY: the caller gave this function for these arguments, and it is not replaced meanwhile.
            unsafe { function(sink.user_data, record.level() as i32, text.as_ptr()) };
        }
        drop(sink);
        INSIDE.set(false);
    }

    fn flush(&self) {}
}

fn set(function: lg_log_fn, user_data: *mut c_void, level: i32) -> Outcome<()> {
    let filter = match level {
        0 => LevelFilter::Off,
        1 => LevelFilter::Error,
        2 => LevelFilter::Warn,
        3 => LevelFilter::Info,
        4 => LevelFilter::Debug,
        other => return Err(Fault::argument(format!("level is {other}, which is no lg_log_level"))),
    };
    if INSIDE.get() {
        return Err(Fault::new(lg_status::Busy, "the log function cannot be replaced from inside itself"));
    }
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = Sink { function, user_data };
    // It fails where it was done before.
    let _ = log::set_logger(&Forward);
    log::set_max_level(if function.is_some() { filter } else { LevelFilter::Off });
    Ok(())
}

/// Sends messages of this level and more important ones to `function`, for the whole process; NULL sends them nowhere,
/// which is how the library starts. When it returns, the function before is no longer running and its user_data can be
/// freed. Any thread, but not from inside the function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_set_log(
    function: lg_log_fn,
    user_data: *mut c_void,
    level: i32,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || set(function, user_data, level))
}
