//! What happens when the system has no memory left.
//!
//! Rust's collections abort the process then. Large maps are asked for with [`room_for`], whose failure is an error like
//! others. For the rest, a program that owns its process may choose to end in a sentence and exit code 1, by
//! [`exit_when_exhausted`]; a library in somebody else's process must leave that to its host.

use super::live;
use crate::error::{Error, ErrorKind, Result};
use std::cell::Cell;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the process ends when the system refuses memory.
static EXITS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether who asks can do without. Nothing is allocated for this.
    static CAN_FAIL: Cell<bool> = const { Cell::new(false) };
}

/// From now on a refusal of the system that nobody is ready for ends the process: one line on standard error, exit
/// code 1. Holds where [`super::Pooled`] is the program's allocator.
pub fn exit_when_exhausted() {
    EXITS.store(true, Ordering::Relaxed);
}

/// An empty vector with room for `len` elements.
///
/// # Errors
/// `Memory` where the system has no more.
pub(crate) fn room_for<T>(len: usize) -> Result<Vec<T>> {
    let mut data = Vec::new();
    let before = CAN_FAIL.replace(true);
    let reserved = data.try_reserve_exact(len);
    CAN_FAIL.set(before);
    match reserved {
        Ok(()) => Ok(data),
        Err(_) => {
            let refused = Refused { bytes: len.saturating_mul(size_of::<T>()), live: live() };
            Err(Error::new(ErrorKind::Memory, refused.to_string()))
        }
    }
}

/// What the system refused.
struct Refused {
    bytes: usize,
    live: usize,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the system has no more memory: {} bytes were asked for beside the {} in use; what is saved is whole. Take \
             less (a memory budget, a smaller batch, a smaller network), or allow more",
            self.bytes, self.live
        )
    }
}

/// Is told of every refusal, of `bytes`. Allocates nothing.
pub(super) fn refused(bytes: usize) {
    if !EXITS.load(Ordering::Relaxed) || CAN_FAIL.get() {
        return;
    }
    let mut line = Line { bytes: [0; 512], len: 0 };
    // What does not fit is cut off.
    let _ = writeln!(line, "localgrad: {}", Refused { bytes, live: live() });
    exit(&line.bytes[..line.len]);
}

/// Text without memory of its own.
struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.len..];
        let len = text.len().min(room.len());
        room[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        if len == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Says `line` and ends the process, without what is usually done on leaving: whoever asked for memory may hold any
/// lock, and nothing that is saved needs more.
#[cfg(unix)]
fn exit(line: &[u8]) -> ! {
    // SAFETY: the bytes are there for as long as the call takes, and nothing of this process is used afterwards.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len());
        libc::_exit(1)
    }
}

#[cfg(not(unix))]
fn exit(line: &[u8]) -> ! {
    let _ = std::io::Write::write_all(&mut std::io::stderr(), line);
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_that_there_is_no_room_for_is_an_error() {
        let error = room_for::<f32>(usize::MAX / 8).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Memory);
        assert!(error.to_string().contains("no more memory"), "{error}");
        assert!(room_for::<f32>(1000).unwrap().capacity() >= 1000);
    }

    #[test]
    fn a_line_is_cut_off_where_it_is_too_long() {
        let mut line = Line { bytes: [0; 512], len: 0 };
        let words = Refused { bytes: usize::MAX, live: usize::MAX }.to_string();
        assert!(line.write_str(&words).is_ok() && line.len == words.len());
        assert!(line.write_str(&words).is_ok() || line.len == 512);
        while line.len < 512 {
            let _ = line.write_str(&words);
        }
        assert!(line.write_str("more").is_err() && line.len == 512);
    }
}
