//! Events of a trainer: a ring of fixed size that the trainer writes and any thread reads, without locks.
//!
//! A full ring drops its oldest event. Of the queues in `heapless`, `spsc` cannot do that, and `mpmc` is deprecated by
//! its authors because a thread that is stopped in the middle holds up all others. Here every slot is a few atomic
//! words with a sequence number before and after (a seqlock): the writer never waits, and a reader passes over what is
//! being overwritten, so that neither holds the other up. No unsafe code is needed.

use crate::library::fixed_text;
use crate::pointers::Versioned;
use std::ffi::c_char;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Bytes of the text of an event, with the zero byte that ends it.
pub const LG_EVENT_TEXT_BYTES: usize = 128;

/// How many events wait at most.
pub(crate) const CAPACITY: u64 = 256;

/// What an event tells.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_event_kind {
    /// A block was trained: `block`, `loss`.
    Block = 1,
    /// A step is done: `step`, `samples`, `loss` of the last block, `accuracy` on the batch while training, `seconds`,
    /// `progress`, `peak_bytes`.
    Step = 2,
    /// An evaluation is done: `samples`, `loss`, `accuracy` (NaN where answers are values), `metric`, and its name as `text`.
    Evaluation = 3,
    /// A checkpoint was written: `step`, `seconds` that it took.
    Checkpoint = 4,
    /// Something went wrong, and training goes on: `text`.
    Warning = 5,
    /// A call that computes waits, because the trainer is paused: `step`, `pause_reason`, and `text`, which says the reason
    /// in words.
    Paused = 6,
    /// It goes on: `step`.
    Resumed = 7,
    /// The share of the time that is spent at work is another: `step`, `work_fraction`, `pause_reason`, and `text`.
    Pace = 8,
}

/// Why training waits, or works less. Other numbers are yours to use.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_pause_reason {
    /// Somebody wished it.
    User = 0,
    /// The device is hot.
    Thermal = 1,
    /// The battery is low, or does not charge.
    Battery = 2,
    /// The app is not in the foreground, or the system wants its time for others.
    Background = 3,
    /// Work is to take a share of the time alone.
    WorkFraction = 4,
}

/// A reason in words.
fn in_words(reason: i32) -> &'static str {
    match reason {
        0 => "as the user wished",
        1 => "the device is hot",
        2 => "the battery is low or does not charge",
        3 => "the app is in the background",
        4 => "work is to take a share of the time",
        _ => "for a reason of the app's own",
    }
}

/// Something that happened. Fields that its kind does not name are 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_event {
    /// sizeof(lg_event), set by the caller.
    pub struct_size: usize,
    /// An lg_event_kind. Kinds that you do not know can be passed over.
    pub kind: i32,
    /// The block, from 0.
    pub block: u32,
    /// Steps done when it happened.
    pub step: u64,
    /// Samples it is about.
    pub samples: u64,
    /// Mean loss of a sample; NaN for a frozen block, which has none.
    pub loss: f64,
    /// Share of the samples that were classified right, in [0, 1], or of the labels; NaN where answers are values.
    pub accuracy: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How far lg_trainer_run has come towards its number of steps, in [0, 1]; 0 where it has none.
    pub progress: f64,
    /// The most bytes of the device's memory that were in use at one time: on the CPU those of the library (see
    /// lg_memory), on a GPU those that its driver counts.
    pub peak_bytes: u64,
    /// UTF-8, ends in a zero byte; cut where it is longer.
    pub text: [c_char; LG_EVENT_TEXT_BYTES],
    /// An lg_pause_reason, or a number of yours.
    pub pause_reason: i32,
    /// Share of the time that is spent at work, in (0, 1].
    pub work_fraction: f64,
    /// What the network is judged by, which `text` names.
    pub metric: f64,
}

// SAFETY: repr(C), the size is first, and numbers take any bytes.
unsafe impl Versioned for lg_event {
    const NAME: &'static str = "lg_event";
    const FIRST_BYTES: usize = std::mem::offset_of!(lg_event, pause_reason);

    fn initial() -> Self {
        Event::default().to_c()
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

const TEXT_WORDS: usize = LG_EVENT_TEXT_BYTES / 8;
const NUMBER_WORDS: usize = 11;
const WORDS: usize = NUMBER_WORDS + TEXT_WORDS;

/// The text of an event, with room for the zero byte that C wants.
pub type Text = heapless::String<{ LG_EVENT_TEXT_BYTES - 1 }>;

/// An event on this side of the border.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// As in lg_event, and all that follow.
    pub kind: i32,
    /// The block.
    pub block: u32,
    /// Steps done.
    pub step: u64,
    /// Samples it is about.
    pub samples: u64,
    /// Mean loss of a sample.
    pub loss: f64,
    /// Share of them that were classified right, or of the labels; NaN of values.
    pub accuracy: f64,
    /// How long it took.
    pub seconds: f64,
    /// How far the run has come, in [0, 1].
    pub progress: f64,
    /// The most bytes in use at one time.
    pub peak_bytes: u64,
    /// What went wrong, or why; cut where it is longer.
    pub text: Text,
    /// An lg_pause_reason, or another number.
    pub pause_reason: i32,
    /// Share of the time that is spent at work.
    pub work_fraction: f64,
    /// What an evaluation is judged by.
    pub metric: f64,
}

/// As much of a text as there is room for, cut between two characters.
pub(crate) fn cut(text: &str) -> Text {
    let mut kept = Text::new();
    // It ends at the first character for which there is no room.
    let _ = text.chars().try_for_each(|character| kept.push(character));
    kept
}

impl Event {
    pub(crate) fn of(kind: lg_event_kind, step: usize) -> Self {
        Self { kind: kind as i32, step: step as u64, ..Self::default() }
    }

    pub(crate) fn warning(step: usize, text: &str) -> Self {
        Self { text: cut(text), ..Self::of(lg_event_kind::Warning, step) }
    }

    pub(crate) fn paused(step: usize, reason: i32) -> Self {
        let text = cut(in_words(reason));
        Self { text, pause_reason: reason, ..Self::of(lg_event_kind::Paused, step) }
    }

    pub(crate) fn pace(step: usize, work_fraction: f64, reason: i32) -> Self {
        let text = cut(in_words(reason));
        Self { text, pause_reason: reason, work_fraction, ..Self::of(lg_event_kind::Pace, step) }
    }

    fn words(&self) -> [u64; WORDS] {
        let mut words = [0; WORDS];
        words[..NUMBER_WORDS].copy_from_slice(&[
            u64::from(self.kind as u32) << 32 | u64::from(self.block),
            self.step,
            self.samples,
            self.loss.to_bits(),
            self.accuracy.to_bits(),
            self.seconds.to_bits(),
            self.progress.to_bits(),
            self.peak_bytes,
            u64::from(self.pause_reason as u32),
            self.work_fraction.to_bits(),
            self.metric.to_bits(),
        ]);
        for (word, bytes) in words[NUMBER_WORDS..].iter_mut().zip(self.text.as_bytes().chunks(8)) {
            let mut all = [0; 8];
            all[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_le_bytes(all);
        }
        words
    }

    fn from_words(words: &[u64; WORDS]) -> Self {
        let mut bytes = [0; LG_EVENT_TEXT_BYTES];
        for (place, word) in bytes.chunks_mut(8).zip(&words[NUMBER_WORDS..]) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(0);
        // What was written is whole characters; what was torn is thrown away.
        let text = std::str::from_utf8(&bytes[..end]).map(cut).unwrap_or_default();
        Self {
            kind: (words[0] >> 32) as i32,
            block: words[0] as u32,
            step: words[1],
            samples: words[2],
            loss: f64::from_bits(words[3]),
            accuracy: f64::from_bits(words[4]),
            seconds: f64::from_bits(words[5]),
            progress: f64::from_bits(words[6]),
            peak_bytes: words[7],
            text,
            pause_reason: words[8] as i32,
            work_fraction: f64::from_bits(words[9]),
            metric: f64::from_bits(words[10]),
        }
    }

    /// The struct of the header.
    pub fn to_c(&self) -> lg_event {
        lg_event {
            struct_size: size_of::<lg_event>(),
            kind: self.kind,
            block: self.block,
            step: self.step,
            samples: self.samples,
            loss: self.loss,
            accuracy: self.accuracy,
            seconds: self.seconds,
            progress: self.progress,
            peak_bytes: self.peak_bytes,
            text: fixed_text(&self.text),
            pause_reason: self.pause_reason,
            work_fraction: self.work_fraction,
            metric: self.metric,
        }
    }
}

struct Slot {
    /// 0 before the first event; of event n, 2n + 1 while it is written and 2n + 2 when it is there.
    sequence: AtomicU64,
    words: [AtomicU64; WORDS],
}

/// The ring.
pub struct Events {
    slots: Vec<Slot>,
    /// Events written so far.
    written: AtomicU64,
    /// The next event to be read.
    next: AtomicU64,
    dropped: AtomicU64,
}

impl Events {
    pub(crate) fn new() -> Self {
        let slot = || Slot { sequence: AtomicU64::new(0), words: [const { AtomicU64::new(0) }; WORDS] };
        Self {
            slots: (0..CAPACITY).map(|_| slot()).collect(),
            written: AtomicU64::new(0),
            next: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    fn slot(&self, number: u64) -> &Slot {
        &self.slots[(number % CAPACITY) as usize]
    }

    /// Adds an event, in place of the oldest if there is no room. Only who holds the trainer's session may call it.
    pub(crate) fn push(&self, event: &Event) {
        let number = self.written.load(Ordering::Relaxed);
        let slot = self.slot(number);
        slot.sequence.store(2 * number + 1, Ordering::Relaxed);
        // No word is seen before the odd number.
        fence(Ordering::Release);
        for (place, word) in slot.words.iter().zip(event.words()) {
            place.store(word, Ordering::Relaxed);
        }
        slot.sequence.store(2 * number + 2, Ordering::Release);
        self.written.store(number + 1, Ordering::Release);
    }

    /// Takes the oldest event; `None` where there is none.
    pub fn pop(&self) -> Option<Event> {
        loop {
            let written = self.written.load(Ordering::Acquire);
            let next = self.next.load(Ordering::Relaxed);
            let oldest = written.saturating_sub(CAPACITY);
            if next < oldest {
                let skipped = self.next.compare_exchange(next, oldest, Ordering::Relaxed, Ordering::Relaxed);
                if skipped.is_ok() {
                    self.dropped.fetch_add(oldest - next, Ordering::Relaxed);
                }
                continue;
            }
            if next >= written {
                return None;
            }
            let event = self.read(next);
            let taken = self.next.compare_exchange(next, next + 1, Ordering::Relaxed, Ordering::Relaxed);
            match (event, taken) {
                (Some(event), Ok(_)) => return Some(event),
                // It is overwritten, or is being so: to wait for the writer would not bring it back.
                (None, Ok(_)) => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
                // Another reader was first.
                (_, Err(_)) => {}
            }
        }
    }

    /// Event `number`, unless it is being or was overwritten.
    fn read(&self, number: u64) -> Option<Event> {
        let slot = self.slot(number);
        let there = 2 * number + 2;
        if slot.sequence.load(Ordering::Acquire) != there {
            return None;
        }
        let mut words = [0; WORDS];
        for (word, place) in words.iter_mut().zip(&slot.words) {
            *word = place.load(Ordering::Relaxed);
        }
        // Every word was read before the number is looked at again.
        fence(Ordering::Acquire);
        (slot.sequence.load(Ordering::Relaxed) == there).then(|| Event::from_words(&words))
    }

    /// Events that nobody read before they were overwritten.
    pub fn dropped(&self) -> u64 {
        let overtaken = self
            .written
            .load(Ordering::Acquire)
            .saturating_sub(CAPACITY)
            .saturating_sub(self.next.load(Ordering::Relaxed));
        self.dropped.load(Ordering::Relaxed) + overtaken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_are_counted() {
        let events = Events::new();
        assert_eq!(events.pop(), None);
        for step in 0..CAPACITY as usize + 10 {
            events.push(&Event::of(lg_event_kind::Step, step));
        }
        assert_eq!(events.dropped(), 10);
        for step in 10..CAPACITY + 10 {
            assert_eq!(events.pop().unwrap().step, step);
        }
        assert_eq!((events.pop(), events.dropped()), (None, 10));
        let warning = Event::warning(3, &"é".repeat(100));
        events.push(&warning);
        assert_eq!(events.pop().as_ref(), Some(&warning));
        let text = warning.to_c().text;
        assert_eq!(text.iter().position(|&byte| byte == 0), Some(126));
        for told in [Event::paused(4, 1), Event::pace(5, 0.25, -7), Event::warning(6, &"x".repeat(127))] {
            events.push(&told);
            assert_eq!(events.pop(), Some(told));
        }
    }

    #[test]
    fn a_writer_that_is_stopped_in_the_middle_holds_nobody_up() {
        let events = Events::new();
        let push = |step: u64| events.push(&Event::of(lg_event_kind::Step, step as usize));
        (0..CAPACITY).for_each(push);
        // As far as a writer comes that is stopped in the place of the oldest.
        events.slot(CAPACITY).sequence.store(2 * CAPACITY + 1, Ordering::Relaxed);
        for step in 1..CAPACITY {
            assert_eq!(events.pop().unwrap().step, step);
        }
        assert_eq!((events.pop(), events.dropped()), (None, 1));
        push(CAPACITY);
        assert_eq!(events.pop().unwrap().step, CAPACITY);
        assert_eq!((events.pop(), events.dropped()), (None, 1));
    }

    #[test]
    fn a_reader_sees_whole_events_in_order() {
        const COUNT: u64 = 200_000;
        let events = Events::new();
        let seen = std::thread::scope(|scope| {
            let reader = |_| {
                scope.spawn(|| {
                    let (mut seen, mut last) = (0u64, None);
                    loop {
                        let Some(event) = events.pop() else {
                            std::hint::spin_loop();
                            continue;
                        };
                        if event.kind == 0 {
                            return seen;
                        }
                        assert!(last.is_none_or(|last| event.step > last), "out of order");
                        assert_eq!((event.samples, event.loss), (event.step * 3, -(event.step as f64)));
                        (seen, last) = (seen + 1, Some(event.step));
                    }
                })
            };
            let readers: Vec<_> = (0..2).map(reader).collect();
            for step in 0..COUNT {
                let event = Event::of(lg_event_kind::Step, step as usize);
                events.push(&Event { samples: step * 3, loss: -(step as f64), ..event });
            }
            // One end for each reader.
            (0..2).for_each(|_| events.push(&Event::default()));
            readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>()
        });
        assert_eq!(seen + events.dropped(), COUNT);
    }
}
