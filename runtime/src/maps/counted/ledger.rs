//! What is in memory at each moment of a run that is counted: pieces are taken, and given back when they
//! are dropped.

use serde::Serialize;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a piece of memory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Weights and running statistics of the network.
    Weights,
    /// What the optimizer remembers.
    Optimizer,
    /// Weights of auxiliary networks.
    Auxiliary,
    /// Moving averages of units.
    Average,
    /// Gradients that wait for the end of the step.
    Gathered,
    /// Images and labels.
    Batch,
    /// What forward passes leave for backward passes.
    Kept,
    /// Outputs and gradients on their way from layer to layer.
    Passing,
    /// Packed weights, partial sums and each thread's scratch.
    Scratch,
    /// Files on their way to storage, and the program itself.
    Program,
}

impl Part {
    /// Every part, in the order of its number.
    pub const ALL: [Part; 10] = [
        Part::Weights,
        Part::Optimizer,
        Part::Auxiliary,
        Part::Average,
        Part::Gathered,
        Part::Batch,
        Part::Kept,
        Part::Passing,
        Part::Scratch,
        Part::Program,
    ];

    /// What people call it.
    pub fn words(self) -> &'static str {
        match self {
            Part::Weights => "weights",
            Part::Optimizer => "optimizer state",
            Part::Auxiliary => "auxiliary weights",
            Part::Average => "moving averages",
            Part::Gathered => "gathered gradients",
            Part::Batch => "batch",
            Part::Kept => "kept activations",
            Part::Passing => "passing maps",
            Part::Scratch => "kernel scratch",
            Part::Program => "files and program",
        }
    }
}

/// A moment of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// A batch is read.
    Load,
    /// Units of a block, forward.
    Forward(usize),
    /// A block's auxiliary network or the head, forward and backward.
    Loss(usize),
    /// Units of a block, backward, with their updates.
    Backward(usize),
    /// Updates by gathered gradients, and moving averages.
    Update(usize),
    /// The network on test data.
    Evaluate,
    /// A checkpoint or the weights' file is written or read.
    Save,
}

impl Moment {
    /// The block at work, if one is.
    pub(crate) fn block(self) -> Option<usize> {
        match self {
            Self::Forward(block) | Self::Loss(block) | Self::Backward(block) | Self::Update(block) => {
                Some(block)
            }
            Self::Load | Self::Evaluate | Self::Save => None,
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load => f.write_str("reading a batch"),
            Self::Forward(block) => write!(f, "block {block} forward"),
            Self::Loss(block) => write!(f, "block {block} loss"),
            Self::Backward(block) => write!(f, "block {block} backward"),
            Self::Update(block) => write!(f, "block {block} update"),
            Self::Evaluate => f.write_str("evaluation"),
            Self::Save => f.write_str("saving"),
        }
    }
}

/// Bytes by part, in the order of [`Part::ALL`].
pub type PartBytes = [usize; Part::ALL.len()];

/// The most that was in memory during a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MomentPeak {
    /// Which.
    pub moment: Moment,
    /// All bytes.
    pub bytes: usize,
    /// The same by part.
    pub parts: PartBytes,
}

/// What arithmetic and traffic there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Work {
    /// Multiply-adds of convolutions and products, convolutions as if done directly.
    pub multiply_adds: f64,
    /// Bytes read and written.
    pub moved_bytes: f64,
    /// The least that a device moves that writes each map once, and reads it at most twice forward and twice backward.
    #[serde(skip)]
    pub least_bytes: f64,
    /// Passes of kernels.
    pub passes: f64,
    /// Bytes that went to storage or came from it.
    pub stored_bytes: f64,
}

impl Work {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: &Self) -> Self {
        Self {
            multiply_adds: self.multiply_adds + more.multiply_adds,
            moved_bytes: self.moved_bytes + more.moved_bytes,
            least_bytes: self.least_bytes + more.least_bytes,
            passes: self.passes + more.passes,
            stored_bytes: self.stored_bytes + more.stored_bytes,
        }
    }

    /// What came after `before`.
    #[must_use]
    pub fn since(self, before: &Self) -> Self {
        self.plus(&before.times(-1.0))
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            multiply_adds: factor * self.multiply_adds,
            moved_bytes: factor * self.moved_bytes,
            least_bytes: factor * self.least_bytes,
            passes: factor * self.passes,
            stored_bytes: factor * self.stored_bytes,
        }
    }
}

/// The pieces in memory, and the most there were.
#[derive(Debug, Default)]
struct Book {
    live: PartBytes,
    total: usize,
    worst: PartBytes,
    moments: Vec<MomentPeak>,
    current: usize,
    work: Work,
    limit_bytes: Option<usize>,
    overflows: bool,
}

impl Book {
    fn add(&mut self, part: Part, bytes: usize) {
        let index = part as usize;
        // What cannot be counted, on processors of 32 bits, is past any limit.
        let (total, overflows) = self.total.overflowing_add(bytes);
        self.overflows |= overflows;
        self.live[index] = self.live[index].wrapping_add(bytes);
        self.total = total;
        self.worst[index] = self.worst[index].max(self.live[index]);
        self.note();
    }

    fn remove(&mut self, part: Part, bytes: usize) {
        let index = part as usize;
        self.live[index] = self.live[index].wrapping_sub(bytes);
        self.total = self.total.wrapping_sub(bytes);
    }

    /// Sees whether there was never more at this moment.
    fn note(&mut self) {
        let (total, live) = (self.total, self.live);
        if let Some(moment) = self.moments.get_mut(self.current)
            && total > moment.bytes
        {
            (moment.bytes, moment.parts) = (total, live);
        }
    }
}

/// A ledger that all pieces share.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    book: Mutex<Book>,
    is_over: AtomicBool,
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a piece, which is given back when it is dropped.
    pub fn take(&self, part: Part, bytes: usize) -> Held {
        let mut book = self.book();
        book.add(part, bytes);
        if book.overflows || book.limit_bytes.is_some_and(|limit| book.total > limit) {
            self.0.is_over.store(true, Ordering::Relaxed);
        }
        drop(book);
        Held { ledger: self.clone(), part: AtomicU8::new(part as u8), bytes }
    }

    /// Adds to the most at each moment what is in memory meanwhile and was not taken, for backward passes to come.
    pub(crate) fn add_beside(&self, bytes_at: impl Fn(Moment) -> usize) {
        let mut book = self.book();
        let mut most = 0;
        for peak in &mut book.moments {
            let bytes = bytes_at(peak.moment);
            peak.bytes = peak.bytes.saturating_add(bytes);
            peak.parts[Part::Kept as usize] += bytes;
            most = most.max(peak.bytes);
        }
        let kept = book.moments.iter().map(|peak| peak.parts[Part::Kept as usize]).max();
        book.worst[Part::Kept as usize] = book.worst[Part::Kept as usize].max(kept.unwrap_or(0));
        if book.limit_bytes.is_some_and(|limit| most > limit) {
            self.0.is_over.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets moments, work and what was most, but not what is in memory; `limit_bytes` is what it is to keep to.
    pub(crate) fn restart(&self, limit_bytes: Option<usize>) {
        let mut book = self.book();
        let (live, total) = (book.live, book.total);
        *book = Book { live, total, worst: live, limit_bytes, ..Book::default() };
        self.0.is_over.store(false, Ordering::Relaxed);
    }

    /// From now on there is no limit.
    pub(crate) fn lift_limit(&self) {
        self.book().limit_bytes = None;
    }

    /// Whether there was ever more than the limit.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_over.load(Ordering::Relaxed)
    }

    /// Takes a piece and gives it back at once.
    pub fn touch(&self, part: Part, bytes: usize) {
        drop(self.take(part, bytes));
    }

    /// Begins a moment, or goes on with it.
    pub fn enter(&self, moment: Moment) {
        let mut book = self.book();
        let known = book.moments.iter().position(|peak| peak.moment == moment);
        book.current = known.unwrap_or(book.moments.len());
        if known.is_none() {
            book.moments.push(MomentPeak { moment, bytes: 0, parts: PartBytes::default() });
        }
        book.note();
    }

    /// Counts work.
    pub fn work(&self, multiply_adds: f64, moved_bytes: f64) {
        let work = &mut self.book().work;
        work.multiply_adds += multiply_adds;
        work.moved_bytes += moved_bytes;
        work.passes += 1.0;
    }

    /// Counts a map that is made, and moved as often as [`Work::least_bytes`] says.
    pub(crate) fn made(&self, bytes: usize) {
        let mut book = self.book();
        let moment = book.moments.get(book.current).map(|peak| peak.moment);
        let is_backward = matches!(moment, Some(Moment::Backward(_) | Moment::Update(_)));
        book.work.least_bytes += bytes as f64 * if is_backward { 3.0 } else { 5.0 };
    }

    /// Counts bytes that go to or come from storage.
    pub fn store(&self, bytes: f64) {
        self.book().work.stored_bytes += bytes;
    }

    /// Counts what was done since `before` so many times more.
    pub fn repeat_work(&self, before: &Work, times: f64) {
        let work = &mut self.book().work;
        *work = work.plus(&work.since(before).times(times));
    }

    /// Bytes in memory now.
    pub fn live_bytes(&self) -> usize {
        self.book().total
    }

    /// Those of a part.
    pub(crate) fn live_bytes_of(&self, part: Part) -> usize {
        self.book().live[part as usize]
    }

    /// The most at each moment, in the order in which they began.
    pub fn moments(&self) -> Vec<MomentPeak> {
        self.book().moments.clone()
    }

    /// The most of each part at any time.
    pub fn worst(&self) -> PartBytes {
        self.book().worst
    }

    /// All work so far.
    pub fn total_work(&self) -> Work {
        self.book().work
    }
}

/// A piece of memory; it is given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    ledger: Ledger,
    /// Its place in [`Part::ALL`].
    part: AtomicU8,
    bytes: usize,
}

impl Held {
    /// What it is for.
    pub(crate) fn part(&self) -> Part {
        Part::ALL[usize::from(self.part.load(Ordering::Relaxed))]
    }

    /// From now on a piece that was on its way is kept for a backward pass.
    pub fn keep(&self) {
        if self.part() == Part::Passing {
            self.become_part(Part::Kept);
        }
    }

    /// From now on it is for `part`.
    pub(crate) fn become_part(&self, part: Part) {
        let mut book = self.ledger.book();
        let before = self.part();
        self.part.store(part as u8, Ordering::Relaxed);
        book.remove(before, self.bytes);
        book.add(part, self.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ledger.book().remove(self.part(), self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_while_they_live() {
        let ledger = Ledger::default();
        ledger.enter(Moment::Load);
        let batch = ledger.take(Part::Batch, 10);
        ledger.enter(Moment::Forward(0));
        let map = ledger.take(Part::Passing, 5);
        ledger.touch(Part::Scratch, 100);
        map.keep();
        batch.keep();
        drop(map);
        ledger.enter(Moment::Load);
        ledger.touch(Part::Scratch, 1);
        drop(batch);
        assert_eq!(ledger.live_bytes(), 0);
        let peaks: Vec<_> = ledger.moments().iter().map(|peak| (peak.moment, peak.bytes)).collect();
        assert_eq!(peaks, [(Moment::Load, 11), (Moment::Forward(0), 115)]);
        assert_eq!(ledger.worst()[Part::Kept as usize], 5);
        assert_eq!(ledger.worst()[Part::Scratch as usize], 100);
    }
}
