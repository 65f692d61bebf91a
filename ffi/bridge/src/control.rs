//! What other threads wish of a trainer at work: pause, cancel, a slower pace, other threads.

use crate::status::{Fault, Outcome};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most that the runtime starts.
pub(crate) const MAX_THREADS: usize = localgrad_runtime::threads::MOST_THREADS;
/// A slower pace would look like a hang.
const LEAST_WORK_FRACTION: f64 = 0.01;

/// What other threads wish.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    /// Whether calls that compute wait.
    pub paused: bool,
    /// Why they do, an lg_pause_reason or another number.
    pub pause_reason: i32,
    /// Whether they return.
    pub cancelled: bool,
    /// Share of the time that is spent at work.
    pub work_fraction: f64,
    /// Why it is less than 1, if it is.
    pub pace_reason: i32,
    /// 0 for as many as there are cores.
    pub threads: usize,
}

/// Whether work may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Go,
    Cancelled,
    /// The deadline passed while it was paused.
    Late,
}

/// Shared by the thread that trains and those that steer it.
pub struct Control {
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

impl Control {
    pub(crate) fn new(threads: usize) -> Self {
        let wishes = Wishes {
            paused: false,
            pause_reason: 0,
            cancelled: false,
            work_fraction: 1.0,
            pace_reason: 0,
            threads,
        };
        Self { wishes: Mutex::new(wishes), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wished now.
    pub fn wishes(&self) -> Wishes {
        *self.lock()
    }

    /// Changes what is wished, and wakes who waits.
    pub fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Lets calls that compute wait.
    pub fn pause(&self, reason: i32) {
        self.wish(|wishes| (wishes.paused, wishes.pause_reason) = (true, reason));
    }

    /// Sets the share of the time that is spent at work.
    pub fn set_work_fraction(&self, fraction: f64, reason: i32) -> Outcome<()> {
        if !(LEAST_WORK_FRACTION..=1.0).contains(&fraction) {
            return Err(Fault::argument(format!(
                "the fraction of time to work must be from {LEAST_WORK_FRACTION} to 1, found {fraction}"
            )));
        }
        self.wish(|wishes| (wishes.work_fraction, wishes.pace_reason) = (fraction, reason));
        Ok(())
    }

    /// Sets how many threads work from the next block on; 0 for one a core.
    pub fn set_threads(&self, threads: usize) -> Outcome<()> {
        if threads > MAX_THREADS {
            return Err(Fault::argument(format!("{threads} threads are too many; use up to {MAX_THREADS}")));
        }
        self.wish(|wishes| wishes.threads = threads);
        Ok(())
    }

    /// Waits for as long as it is paused, but not beyond `deadline`. `tell` is told for which reason it begins to wait,
    /// or waits on, and `None` when it goes on.
    pub(crate) fn wait_turn(&self, deadline: Option<Instant>, tell: &mut dyn FnMut(Option<i32>)) -> Turn {
        let mut wishes = self.lock();
        let mut told = None;
        loop {
            if wishes.cancelled {
                return Turn::Cancelled;
            }
            if !wishes.paused {
                if told.is_some() {
                    tell(None);
                }
                return Turn::Go;
            }
            let reason = Some(wishes.pause_reason);
            if told != reason {
                told = reason;
                tell(reason);
            }
            let Some(left) = self.left(deadline) else { return Turn::Late };
            wishes = self.wait(wishes, left);
        }
    }

    /// Rests after so much work, as the pace asks for; less if cancelled or if `deadline` comes first.
    pub(crate) fn rest(&self, worked: Duration, deadline: Option<Instant>) {
        let began = Instant::now();
        let mut wishes = self.lock();
        while !wishes.cancelled && wishes.work_fraction < 1.0 {
            let rest = worked.mul_f64(1.0 / wishes.work_fraction - 1.0);
            let Some(left) = rest.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else { return };
            let Some(until) = self.left(deadline) else { return };
            wishes = self.wait(wishes, left.min(until));
        }
    }

    /// Time until `deadline`; `None` if it has passed.
    fn left(&self, deadline: Option<Instant>) -> Option<Duration> {
        match deadline {
            None => Some(Duration::MAX),
            Some(at) => at.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()),
        }
    }

    fn wait<'a>(&self, wishes: MutexGuard<'a, Wishes>, longest: Duration) -> MutexGuard<'a, Wishes> {
        // The longest time that every system can wait for; whoever calls looks again.
        let longest = longest.min(Duration::from_secs(3600));
        let waited = self.changed.wait_timeout(wishes, longest);
        waited.map_or_else(|poisoned| poisoned.into_inner().0, |(wishes, _)| wishes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_end_when_they_should() {
        let control = Control::new(1);
        let wait = |deadline| {
            let mut told = Vec::new();
            (control.wait_turn(deadline, &mut |reason| told.push(reason)), told)
        };
        assert_eq!(wait(None), (Turn::Go, vec![]));
        control.pause(1);
        assert_eq!(wait(Some(Instant::now() + Duration::from_millis(5))), (Turn::Late, vec![Some(1)]));
        let (begun, begins) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut told = Vec::new();
                let turn = control.wait_turn(None, &mut |reason| {
                    told.push(reason);
                    begun.send(()).unwrap();
                });
                (turn, told)
            });
            begins.recv().unwrap();
            control.pause(2);
            begins.recv().unwrap();
            control.wish(|wishes| wishes.paused = false);
            assert_eq!(waiting.join().unwrap(), (Turn::Go, vec![Some(1), Some(2), None]));
        });
        control.set_work_fraction(0.01, 0).unwrap();
        std::thread::scope(|scope| {
            // Would rest for more than a day.
            let resting = scope.spawn(|| control.rest(Duration::from_secs(1000), None));
            control.wish(|wishes| wishes.cancelled = true);
            resting.join().unwrap();
        });
        assert_eq!(wait(None), (Turn::Cancelled, vec![]));
        for wrong in [0.0, -1.0, 1.5, f64::NAN] {
            assert!(control.set_work_fraction(wrong, 0).is_err());
        }
    }
}
