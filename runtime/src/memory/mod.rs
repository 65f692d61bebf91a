//! The memory that training uses: an allocator that keeps large blocks for the next step, and counts.
//!
//! A program opts in with a line, since an allocator is a program's choice, not a library's:
//!
//! ```
//! #[global_allocator]
//! static ALLOCATOR: localgrad::memory::Pooled = localgrad::memory::Pooled;
//! ```
//!
//! It counts the bytes that Rust code asked for, in this process, on the host. What C libraries and device
//! drivers allocate for themselves is not in it. Without it all counts are 0.

mod ceiling;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod control_group;
mod exhausted;
mod limit;
mod pool;
pub(crate) mod ranges;
mod small;
mod trace;

pub use ceiling::{Ceiling, Reason, ceiling};
pub use exhausted::exit_when_exhausted;
pub(crate) use exhausted::room_for;
pub use limit::{check, claim, set_limit};
use pool::Pool;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
pub use trace::{
    TRACE_CAPACITY, TRACE_STEP_BYTES, Trace, TracePoint, set_trace_block, start_trace, take_trace,
};

/// A block of more bytes than this is large: it comes from the pool.
pub const LARGE_BYTES: usize = 64 * 1024;

/// Bytes that are allocated now.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// The largest value `LIVE` has had since the last `reset_peak`.
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// How often the system was asked for more than `LARGE_BYTES`.
static LARGE: AtomicUsize = AtomicUsize::new(0);
/// Where large blocks come from. An allocator is global by nature.
static POOL: Mutex<Pool> = Mutex::new(Pool::new());

/// The system's allocator for small blocks, a pool for large ones; both are counted.
pub struct Pooled;

// SAFETY: small blocks go to `System` with the arguments as they came. Large ones come from the pool, which gives out
// memory of the size and alignment asked for, that nobody else has until it is given back; those that it could not
// give come from `System`, and are told apart by their address. Nothing here panics, and the lock is never held while
// anything large is allocated, so that nothing waits for itself.
unsafe impl GlobalAlloc for Pooled {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = match take(layout) {
            Some(block) => block.as_ptr(),
            // SAFETY: the caller promises a layout of non-zero size, as `System` asks.
            None => unsafe { System.alloc(layout) },
        };
        count(block, layout)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let block = match take(layout) {
            Some(block) => {
                // SAFETY: the block has this many bytes, and nobody else has it.
                unsafe { block.write_bytes(0, layout.size()) };
                block.as_ptr()
            }
            // SAFETY: the caller promises a layout of non-zero size, as `System` asks.
            None => unsafe { System.alloc_zeroed(layout) },
        };
        count(block, layout)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match owned(block, layout) {
            Some((mut pool, block)) => pool.give(block, layout),
            // SAFETY: the caller promises that this allocator gave out `block` for `layout`; it came from `System`.
            None => unsafe { System.dealloc(block, layout) },
        }
        shrink(layout.size());
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let pooled = owned(block, layout);
        if pooled.is_none() && layout.size().max(new_size) <= LARGE_BYTES {
            // SAFETY: as in `dealloc`, and the caller promises that `new_size` is valid for the layout's alignment.
            let moved = unsafe { System.realloc(block, layout, new_size) };
            if moved.is_null() {
                exhausted::refused(new_size);
            } else {
                resized(layout.size(), new_size);
            }
            return moved;
        }
        if let Some((mut pool, block)) = pooled
            && new_size > LARGE_BYTES
            && pool.resize(block, layout, new_size, limit::bytes())
        {
            resized(layout.size(), new_size);
            return block.as_ptr();
        }
        // SAFETY: the caller promises that `new_size`, rounded up to the alignment, does not overflow.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both blocks have at least this many bytes, and the new one is not the old one, which the caller
            // gives up.
            unsafe {
                moved.copy_from_nonoverlapping(block, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}

/// A large block from the pool.
fn take(layout: Layout) -> Option<NonNull<u8>> {
    if layout.size() <= LARGE_BYTES {
        return None;
    }
    let taken = pool().take(layout, limit::bytes());
    if taken.is_none_or(|(_, grew)| grew) {
        LARGE.fetch_add(1, Ordering::Relaxed);
        small::keep_pages();
    }
    taken.map(|(block, _)| block)
}

/// The pool, if `block` came from it.
fn owned(block: *mut u8, layout: Layout) -> Option<(MutexGuard<'static, Pool>, NonNull<u8>)> {
    if layout.size() <= LARGE_BYTES {
        return None;
    }
    let pool = pool();
    NonNull::new(block).filter(|_| pool.owns(block)).map(|block| (pool, block))
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that the pool has from the system, and nobody uses.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn reserved() -> usize {
    pool().free_bytes()
}

/// Gives memory of which nothing is in use back to the system, as after training has ended.
pub fn release_unused() {
    pool().release();
}

/// Bytes that are allocated now.
pub fn live() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// The most bytes that were live at one time since the last `reset_peak`, or since the program began.
pub fn peak() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// How often the system was asked for more than [`LARGE_BYTES`] since the program began.
pub fn large_allocations() -> usize {
    LARGE.load(Ordering::Relaxed)
}

/// Lets the peak begin again at what is live now.
///
/// An allocation that another thread makes during the call may or may not count.
pub fn reset_peak() {
    PEAK.store(live(), Ordering::Relaxed);
}

/// Counts `block`, if there is one.
fn count(block: *mut u8, layout: Layout) -> *mut u8 {
    if block.is_null() {
        exhausted::refused(layout.size());
    } else {
        grow(layout.size());
    }
    block
}

/// Counts the change of a block's size.
fn resized(old: usize, new: usize) {
    if new >= old { grow(new - old) } else { shrink(old - new) }
}

/// Counts `bytes` more.
fn grow(bytes: usize) {
    let now = LIVE.fetch_add(bytes, Ordering::Relaxed).wrapping_add(bytes);
    PEAK.fetch_max(now, Ordering::Relaxed);
    limit::watch(now, bytes);
    trace::record_if_moved(now);
}

/// Counts `bytes` fewer.
fn shrink(bytes: usize) {
    trace::record_if_moved(LIVE.fetch_sub(bytes, Ordering::Relaxed).wrapping_sub(bytes));
}
