//! How a command fails: a sentence and an exit code.

use localgrad::ErrorKind;
use std::fmt;

/// Why a command ended.
#[derive(Debug)]
pub struct Fault {
    message: String,
    code: u8,
}

/// Results of commands.
pub type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// Wrong use: exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// Anything else: exit code 1.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// The same with more to be said after it.
    #[must_use]
    pub fn and(self, more: &str) -> Self {
        Self { message: self.message + more, code: self.code }
    }

    /// The process's exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<localgrad::Error> for Fault {
    fn from(cause: localgrad::Error) -> Self {
        let code = if cause.kind() == ErrorKind::Config { 2 } else { 1 };
        Self { message: cause.to_string(), code }
    }
}
