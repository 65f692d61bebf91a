//! The bytes that are live over one step.

use super::live;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

/// The trace gets a new point when the live bytes have moved this far from the last one.
pub const TRACE_STEP_BYTES: usize = 16 * 1024;

/// Number of points that a trace has room for.
pub const TRACE_CAPACITY: usize = 16 * 1024;

/// The number of the trace under way, from 1; 0 while there is none.
static TRACING: AtomicU64 = AtomicU64::new(0);
/// How many traces have begun.
static TRACES: AtomicU64 = AtomicU64::new(0);
/// When the trace under way began, in nanoseconds since `ORIGIN`.
static BEGAN_NANOS: AtomicU64 = AtomicU64::new(0);
/// The next free point. It goes on counting when the array is full.
static NEXT: AtomicUsize = AtomicUsize::new(0);
/// Live bytes at the last recorded point.
static RECORDED: AtomicUsize = AtomicUsize::new(0);
/// The block being trained.
static BLOCK: AtomicUsize = AtomicUsize::new(0);
/// The points, in a fixed array: an allocator must not allocate.
static SLOTS: [Slot; TRACE_CAPACITY] = [const { Slot::new() }; TRACE_CAPACITY];
/// What trace times are measured from. Set outside the allocator, read without a lock inside it.
static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// One point of the trace as threads share it. `trace` is written last and says that the rest is there.
struct Slot {
    nanos: AtomicU64,
    bytes: AtomicUsize,
    block: AtomicUsize,
    trace: AtomicU64,
}

impl Slot {
    const fn new() -> Self {
        Self {
            nanos: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
            block: AtomicUsize::new(0),
            trace: AtomicU64::new(0),
        }
    }
}

/// How many bytes were live at one moment of a traced step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TracePoint {
    /// Seconds since `start_trace`.
    pub seconds: f64,
    /// Live bytes.
    pub bytes: usize,
    /// The block that `set_trace_block` named last.
    pub block: usize,
}

/// What `take_trace` gives back.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// In order of time. The first is the moment of `start_trace`, and if the trace is complete the last is that
    /// of `take_trace`.
    pub points: Vec<TracePoint>,
    /// False if the array was full before the trace was taken, so that its end is missing.
    pub complete: bool,
}

/// Begins a trace of the live bytes, dropping one that is under way.
///
/// A thread that is inside the allocator while one trace ends and the next begins can spoil one point of the new
/// one; begin traces between steps.
pub fn start_trace() {
    TRACING.store(0, Ordering::SeqCst);
    let origin = ORIGIN.get_or_init(Instant::now);
    BEGAN_NANOS.store(nanos_since(origin), Ordering::SeqCst);
    NEXT.store(0, Ordering::SeqCst);
    TRACING.store(TRACES.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    record(live());
}

/// Ends the trace and returns it. Without one under way it is empty.
///
/// What it returns is itself allocated (up to 800 KiB while it grows): read `peak` first.
pub fn take_trace() -> Trace {
    record(live());
    let trace = TRACING.swap(0, Ordering::SeqCst);
    if trace == 0 {
        return Trace { points: Vec::new(), complete: true };
    }
    let claimed = NEXT.load(Ordering::SeqCst);
    let began = BEGAN_NANOS.load(Ordering::SeqCst);
    let written = SLOTS.iter().take(claimed).filter(|slot| slot.trace.load(Ordering::Acquire) == trace);
    let mut points: Vec<TracePoint> = written
        .map(|slot| TracePoint {
            seconds: slot.nanos.load(Ordering::Relaxed).saturating_sub(began) as f64 * 1e-9,
            bytes: slot.bytes.load(Ordering::Relaxed),
            block: slot.block.load(Ordering::Relaxed),
        })
        .collect();
    points.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    Trace { points, complete: claimed <= TRACE_CAPACITY }
}

/// Says which block is trained from now on, counted from 0, and marks the moment in a trace under way.
pub fn set_trace_block(block: usize) {
    BLOCK.store(block, Ordering::Relaxed);
    record(live());
}

/// Adds a point to the trace under way if `now` is far from the last one.
pub(super) fn record_if_moved(now: usize) {
    if TRACING.load(Ordering::Relaxed) != 0
        && now.abs_diff(RECORDED.load(Ordering::Relaxed)) >= TRACE_STEP_BYTES
    {
        record(now);
    }
}

/// Adds a point to the trace under way, if there is one and it has room.
fn record(bytes: usize) {
    let trace = TRACING.load(Ordering::Acquire);
    let (true, Some(origin)) = (trace != 0, ORIGIN.get()) else { return };
    RECORDED.store(bytes, Ordering::Relaxed);
    // A full trace is asked for again and again: do not let the counter run round.
    if NEXT.load(Ordering::Relaxed) > TRACE_CAPACITY {
        return;
    }
    let Some(slot) = SLOTS.get(NEXT.fetch_add(1, Ordering::Relaxed)) else { return };
    slot.nanos.store(nanos_since(origin), Ordering::Relaxed);
    slot.bytes.store(bytes, Ordering::Relaxed);
    slot.block.store(BLOCK.load(Ordering::Relaxed), Ordering::Relaxed);
    slot.trace.store(trace, Ordering::Release);
}

/// Nanoseconds since `origin`; 64 bits last for centuries.
fn nanos_since(origin: &Instant) -> u64 {
    origin.elapsed().as_nanos() as u64
}
