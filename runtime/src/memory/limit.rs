//! A limit to the memory of the process, and what happens where it would be passed.
//!
//! Kernels claim the memory of what they make before they make it, and fail where that would pass the limit. What else
//! is allocated is let through, since Rust's collections cannot fail; that it passed the limit is remembered, and the
//! next [`check`] says so.

use super::live;
use crate::error::{Error, ErrorKind, Result};
use std::backtrace::Backtrace;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The most bytes that may be live.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// The most bytes that were live above the limit since it was set.
static PASSED: AtomicUsize = AtomicUsize::new(0);
/// The size of the block that passed it first.
static BLOCK: AtomicUsize = AtomicUsize::new(0);
/// Whether a refusal names who asked.
static TELLS_WHO: AtomicBool = AtomicBool::new(false);

/// Places in the program that an error names at most.
const PLACES: usize = 6;

/// Limits the bytes that may be live in this process to `bytes`; `None` lifts the limit. With `tells_who` a refused
/// claim names the functions that asked, which takes some time, and memory beyond the limit, when it happens.
pub fn set_limit(bytes: Option<usize>, tells_who: bool) {
    TELLS_WHO.store(tells_who, Ordering::Relaxed);
    PASSED.store(0, Ordering::Relaxed);
    BLOCK.store(0, Ordering::Relaxed);
    LIMIT.store(bytes.unwrap_or(usize::MAX), Ordering::Relaxed);
}

/// Refuses `bytes` more where that would pass the limit.
///
/// # Errors
/// `Memory`, with the numbers.
pub fn claim(bytes: usize) -> Result<()> {
    let (now, limit) = (live(), LIMIT.load(Ordering::Relaxed));
    if now.saturating_add(bytes) <= limit {
        return Ok(());
    }
    let mut error = broken(&format!("{bytes} bytes more than the {now} in use"), limit);
    if TELLS_WHO.load(Ordering::Relaxed) {
        error += &format!("; asked for by {}", places(&Backtrace::force_capture().to_string()));
    }
    Err(Error::new(ErrorKind::Memory, error))
}

/// Fails if the limit was passed since it was set.
///
/// # Errors
/// `Memory`, with the numbers.
pub fn check() -> Result<()> {
    let passed = PASSED.load(Ordering::Relaxed);
    if passed == 0 {
        return Ok(());
    }
    let block = BLOCK.load(Ordering::Relaxed);
    let needed = format!("{passed} bytes (a block of {block} was the first too many)");
    Err(Error::new(ErrorKind::Memory, broken(&needed, LIMIT.load(Ordering::Relaxed))))
}

fn broken(needed: &str, limit: usize) -> String {
    format!(
        "training needs {needed}, and may have {limit} in all: the plan was wrong, or something else in the process \
         grew; what is saved is whole. Allow more memory, and please report this"
    )
}

/// The innermost functions of this project in a backtrace, but those of this module.
fn places(backtrace: &str) -> String {
    let of_project =
        |line: &&str| line.contains("localgrad") && !line.contains("::memory::") && !line.starts_with("at ");
    let names = backtrace.lines().map(str::trim).filter(of_project);
    let names = names.map(|line| line.split_once(": ").map_or(line, |(_, name)| name));
    names.take(PLACES).collect::<Vec<_>>().join(" < ")
}

/// The limit; the largest number where there is none.
pub(super) fn bytes() -> usize {
    LIMIT.load(Ordering::Relaxed)
}

/// Is told of every growth by a block of `bytes` to `now` bytes.
pub(super) fn watch(now: usize, bytes: usize) {
    if now > LIMIT.load(Ordering::Relaxed) {
        PASSED.fetch_max(now, Ordering::Relaxed);
        // Only the first stays.
        let _ = BLOCK.compare_exchange(0, bytes, Ordering::Relaxed, Ordering::Relaxed);
    }
}
