//! The crate's one error type: a kind to branch on and a sentence to read.

use std::fmt;

/// What went wrong, for callers that branch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A configuration that cannot work; nothing was started.
    Config,
    /// Tensors whose shapes do not fit each other.
    Shape,
    /// A file whose content is not what it should be.
    Format,
    /// The operating system refused a file operation.
    Io,
    /// The device (or candle underneath) failed.
    Device,
    /// A loss, a gradient's norm, activations in 16 bits or weights to be written, that are not finite numbers.
    NotFinite,
    /// More memory than was allowed would be needed.
    Memory,
    /// A broken promise inside this crate; please report it.
    Internal,
}

/// An error with its kind and one sentence that says what was wrong and what to do.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    least_bytes: Option<usize>,
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), least_bytes: None }
    }

    /// A configuration that cannot work.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Shapes that do not fit; `message` names the place and the shapes.
    pub fn shape(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Shape, message)
    }

    /// A file whose content is wrong; `message` names the file, what was found and what was expected.
    pub fn format(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Format, message)
    }

    /// A failed file operation on `path`.
    pub fn io(path: &std::path::Path, cause: std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{}: {cause}", path.display()))
    }

    /// A number of a step in training that is none; `what` names it.
    pub(crate) fn not_finite(what: &str, found: f64) -> Self {
        let advice = "lower the learning rate or clip gradients";
        Self::new(ErrorKind::NotFinite, format!("the {what} became {found}; {advice}"))
    }

    /// Numbers called `name` that training has spoiled and that must not replace good ones.
    pub(crate) fn spoiled(name: &str) -> Self {
        let what = "is no longer finite and was not written; what was written before stays";
        Self::new(
            ErrorKind::NotFinite,
            format!("{name} {what}: go on from there with a lower learning rate or clipped gradients"),
        )
    }

    /// Answers of a network that are no numbers, `found` among them.
    pub fn no_answer(found: f64) -> Self {
        let why = "its weights or running statistics are too large or spoiled; take weights from before";
        Self::new(
            ErrorKind::NotFinite,
            format!("the network answers {found}, which is no finite number: {why}"),
        )
    }

    /// A broken promise inside this crate.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Of a memory budget that nothing keeps to: the least that would do.
    pub fn least_bytes(&self) -> Option<usize> {
        self.least_bytes
    }

    /// The same error, of a memory budget, with the least that would do.
    #[must_use]
    pub fn with_least_bytes(self, bytes: usize) -> Self {
        Self { least_bytes: Some(bytes), ..self }
    }

    /// The same error with the place it happened in put before its sentence.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { message: format!("{place}: {}", self.message), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<candle_core::Error> for Error {
    fn from(cause: candle_core::Error) -> Self {
        // Under RUST_BACKTRACE candle appends a backtrace; the first line is the sentence.
        let text = cause.to_string();
        Self::new(ErrorKind::Device, text.lines().next().unwrap_or_default())
    }
}

impl From<serde_json::Error> for Error {
    fn from(cause: serde_json::Error) -> Self {
        Self::format(cause.to_string())
    }
}
