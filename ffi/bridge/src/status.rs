//! What a call came to: a status to branch on, and a sentence.

use localgrad_runtime::ErrorKind;

/// What a call came to. More may be added: treat one that you do not know as a failure.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_status {
    /// Done.
    Ok = 0,
    /// A null or misaligned pointer, a wrong size, a text that is not UTF-8, a number that means nothing.
    Argument = 1,
    /// The handle was destroyed, or is of another type.
    Handle = 2,
    /// The handle is at work in another call: one on another thread, or the one that called this callback.
    Busy = 3,
    /// A configuration that cannot work; nothing was started.
    Config = 4,
    /// Shapes that do not fit each other.
    Shape = 5,
    /// A file or a state in memory that is not what it should be.
    Format = 6,
    /// The system refused a file operation.
    Io = 7,
    /// The device failed, or threads could not be started.
    Device = 8,
    /// A loss that is not a finite number.
    NotFinite = 9,
    /// The trainer was cancelled; see lg_trainer_cancel.
    Cancelled = 10,
    /// A buffer is too small; the size that is needed was written.
    Buffer = 11,
    /// The trainer is not in a state for this: a step is half done, or an error left it so.
    State = 12,
    /// A callback said that it failed.
    Callback = 13,
    /// A mistake inside the library; please report it. The handle can only be destroyed.
    Internal = 14,
    /// This process was forked from the one that the handle, or a call that is at work, belongs to.
    Forked = 15,
}

/// A failure with its sentence, on its way to the caller.
#[derive(Debug)]
pub struct Fault {
    /// What to branch on.
    pub status: lg_status,
    /// What was wrong and what to do.
    pub message: String,
    /// Of a memory budget that nothing keeps to: the least that would do.
    pub least_bytes: Option<usize>,
}

/// What a call comes to inside the door.
pub type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// A failure of this status.
    pub fn new(status: lg_status, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), least_bytes: None }
    }

    /// An argument that means nothing.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::new(lg_status::Argument, message)
    }

    /// The same with more to be said after it.
    #[must_use]
    pub fn and(self, more: &str) -> Self {
        Self { message: format!("{}; {more}", self.message), ..self }
    }

    /// A configuration that cannot work.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(lg_status::Config, message)
    }
}

impl From<localgrad_runtime::Error> for Fault {
    fn from(error: localgrad_runtime::Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Config => lg_status::Config,
            ErrorKind::Shape => lg_status::Shape,
            ErrorKind::Format => lg_status::Format,
            ErrorKind::Io => lg_status::Io,
            ErrorKind::Device | ErrorKind::Memory => lg_status::Device,
            ErrorKind::NotFinite => lg_status::NotFinite,
            _ => lg_status::Internal,
        };
        Self { least_bytes: error.least_bytes(), ..Self::new(status, error.to_string()) }
    }
}

/// The name of a status, such as "LG_STATUS_BUSY"; "unknown" for a number that is none. The text lives as long as
/// the library. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn lg_status_name(status: i32) -> *const std::ffi::c_char {
    let name = match status {
        0 => c"LG_STATUS_OK",
        1 => c"LG_STATUS_ARGUMENT",
        2 => c"LG_STATUS_HANDLE",
        3 => c"LG_STATUS_BUSY",
        4 => c"LG_STATUS_CONFIG",
        5 => c"LG_STATUS_SHAPE",
        6 => c"LG_STATUS_FORMAT",
        7 => c"LG_STATUS_IO",
        8 => c"LG_STATUS_DEVICE",
        9 => c"LG_STATUS_NOT_FINITE",
        10 => c"LG_STATUS_CANCELLED",
        11 => c"LG_STATUS_BUFFER",
        12 => c"LG_STATUS_STATE",
        13 => c"LG_STATUS_CALLBACK",
        14 => c"LG_STATUS_INTERNAL",
        15 => c"LG_STATUS_FORKED",
        _ => c"unknown",
    };
    name.as_ptr()
}
