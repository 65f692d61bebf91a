//! Threads that take part in one piece of work after another. Between two they look out for the next for some tens of
//! microseconds, which a step's pieces follow each other in, and then sleep: waking a thread takes longer than many a piece.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a thread without work looks out for more before it sleeps.
const LOOKOUT: Duration = Duration::from_micros(60);
/// Looks from one reading of the clock to the next.
const LOOKS: usize = 64;

/// Work that every thread may take part in.
type Hand<'a> = dyn Fn() + Sync + 'a;

/// What the threads of a pool share. One of them leads: it alone gives out work.
pub(crate) struct Team {
    threads: usize,
    /// Whether threads look out before they sleep: not where there are fewer cores than threads.
    looks_out: bool,
    /// The work, while `open` lets others in or some of them are at it.
    work: Mutex<Option<&'static Hand<'static>>>,
    /// How many more may take part.
    open: AtomicUsize,
    /// How many have come to the end of it.
    done: AtomicUsize,
    /// Whether the leader sleeps until they have.
    leader_sleeps: AtomicBool,
    leader: Mutex<Option<Thread>>,
    /// What one of them panicked with.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    asleep: AtomicUsize,
    bed: Mutex<()>,
    morning: Condvar,
    over: AtomicBool,
}

thread_local! {
    /// The team that this thread leads.
    static LED: RefCell<Option<Arc<Team>>> = const { RefCell::new(None) };
    /// Whether this thread is at shared work, so that it does by itself what that would share.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// The threads that work which this thread gives out is done by.
pub(crate) fn threads() -> usize {
    if AT_WORK.get() { 1 } else { LED.with_borrow(|led| led.as_ref().map_or(1, |team| team.threads)) }
}

/// Calls `hand` on at most `most` threads at once, this one among them; returns when all have come back.
pub(crate) fn together(most: usize, hand: &Hand<'_>) {
    let led = LED.with_borrow(Clone::clone).filter(|_| most > 1 && threads() > 1);
    match led {
        Some(team) => team.share(most.min(team.threads) - 1, hand),
        None => hand(),
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Team {
    /// Of so many threads, which are still to come.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            threads,
            looks_out: have_cores(threads),
            work: Mutex::new(None),
            open: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            leader_sleeps: AtomicBool::new(false),
            leader: Mutex::new(None),
            panic: Mutex::new(None),
            asleep: AtomicUsize::new(0),
            bed: Mutex::new(()),
            morning: Condvar::new(),
            over: AtomicBool::new(false),
        }
    }

    /// Makes the calling thread the leader.
    pub(crate) fn lead(self: &Arc<Self>) {
        *locked(&self.leader) = Some(std::thread::current());
        LED.set(Some(Arc::clone(self)));
    }

    /// Whether the calling thread leads this team.
    pub(crate) fn is_led_here(self: &Arc<Self>) -> bool {
        LED.with_borrow(|led| led.as_ref().is_some_and(|team| Arc::ptr_eq(team, self)))
    }

    /// Takes part in the leader's work until [`Team::end`].
    pub(crate) fn follow(&self) {
        AT_WORK.set(true);
        while self.wait_for_work() {
            let Some(hand) = self.take() else { continue };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(hand)) {
                *locked(&self.panic) = Some(panic);
            }
            self.done.fetch_add(1, SeqCst);
            if self.leader_sleeps.load(SeqCst)
                && let Some(leader) = locked(&self.leader).as_ref()
            {
                leader.unpark();
            }
        }
    }

    /// Lets the threads that follow come to their end.
    pub(crate) fn end(&self) {
        self.over.store(true, SeqCst);
        let _bed = locked(&self.bed);
        self.morning.notify_all();
    }

    /// Gives `hand` to as many others as asked for, takes part, and waits for those who came.
    fn share(&self, others: usize, hand: &Hand<'_>) {
        // SAFETY: nobody holds the longer life after this function: who has taken the work is waited for below, and then
        // there is none to take. Only this thread gives out work, and does not while it is at it.
        let lasting = unsafe { std::mem::transmute::<&Hand<'_>, &'static Hand<'static>>(hand) };
        *locked(&self.work) = Some(lasting);
        self.done.store(0, SeqCst);
        self.open.store(others, SeqCst);
        self.wake(others);
        AT_WORK.set(true);
        let own = catch_unwind(AssertUnwindSafe(hand));
        AT_WORK.set(false);
        let came = others - self.open.swap(0, SeqCst);
        self.wait_for(came);
        *locked(&self.work) = None;
        let theirs = locked(&self.panic).take();
        if let Some(panic) = own.err().or(theirs) {
            resume_unwind(panic);
        }
    }

    /// The work, if there is room for one more.
    fn take(&self) -> Option<&'static Hand<'static>> {
        let less = |open: usize| open.checked_sub(1);
        self.open.fetch_update(SeqCst, SeqCst, less).ok()?;
        *locked(&self.work)
    }

    fn wake(&self, most: usize) {
        if self.asleep.load(SeqCst) > 0 {
            let _bed = locked(&self.bed);
            (0..most).for_each(|_| self.morning.notify_one());
        }
    }

    /// Waits until there may be work, and answers whether there will be any.
    fn wait_for_work(&self) -> bool {
        let is_up = || self.open.load(SeqCst) > 0 || self.over.load(SeqCst);
        if !self.look_out(is_up) {
            let mut bed = locked(&self.bed);
            self.asleep.fetch_add(1, SeqCst);
            // Who gives out work after this sees that somebody sleeps.
            while !is_up() {
                bed = self.morning.wait(bed).unwrap_or_else(PoisonError::into_inner);
            }
            self.asleep.fetch_sub(1, SeqCst);
        }
        !self.over.load(SeqCst)
    }

    /// Waits until `count` have come to the end of the work.
    fn wait_for(&self, count: usize) {
        let is_done = || self.done.load(SeqCst) == count;
        if self.look_out(is_done) {
            return;
        }
        self.leader_sleeps.store(true, SeqCst);
        while !is_done() {
            std::thread::park();
        }
        self.leader_sleeps.store(false, SeqCst);
    }

    /// Looks for a while, where that is worth it, whether something has come about.
    fn look_out(&self, has_come: impl Fn() -> bool) -> bool {
        if self.looks_out { look_out(has_come) } else { has_come() }
    }
}

/// Whether so many threads have a core each, so that one may look out for work without keeping another from it.
pub(crate) fn have_cores(threads: usize) -> bool {
    threads <= std::thread::available_parallelism().map_or(1, usize::from)
}

/// Looks for a while whether something has come about.
pub(crate) fn look_out(has_come: impl Fn() -> bool) -> bool {
    if has_come() {
        return true;
    }
    let start = Instant::now();
    while start.elapsed() < LOOKOUT {
        for _ in 0..LOOKS {
            if has_come() {
                return true;
            }
            spin_loop();
        }
    }
    has_come()
}

#[cfg(test)]
mod tests {
    use super::{LOOKOUT, threads, together};
    use crate::threads::Workers;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Barrier, Mutex};
    use std::thread::{current, sleep};

    #[test]
    fn all_threads_come_to_work_whether_they_sleep_or_not() {
        let workers = Workers::start(3).unwrap();
        for round in 0..200 {
            if round % 10 == 0 {
                sleep(LOOKOUT * 10);
            }
            let (barrier, names) = (Barrier::new(3), Mutex::new(Vec::new()));
            workers.run(|| {
                // Nobody passes before three are there.
                together(3, &|| {
                    barrier.wait();
                    names.lock().unwrap().push(current().name().map(str::to_owned));
                });
            });
            let mut names = names.into_inner().unwrap();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), 3);
        }
    }

    #[test]
    fn no_more_come_than_are_let_in_and_shared_work_shares_no_more() {
        let workers = Workers::start(4).unwrap();
        for most in 1..=6 {
            let calls = AtomicUsize::new(0);
            workers.run(|| {
                assert_eq!(threads(), 4);
                together(most, &|| {
                    calls.fetch_add(1, SeqCst);
                    if most > 1 {
                        assert_eq!(threads(), 1);
                        together(4, &|| assert_eq!(threads(), 1));
                    }
                });
                assert_eq!(threads(), 4);
            });
            assert!((1..=most.min(4)).contains(&calls.into_inner()));
        }
        assert_eq!(threads(), 1, "outside a pool");
    }

    #[test]
    fn panics_come_out_and_leave_the_threads_at_work() {
        let workers = Workers::start(2).unwrap();
        for _ in 0..20 {
            let barrier = Barrier::new(2);
            let result = catch_unwind(AssertUnwindSafe(|| {
                workers.run(|| {
                    together(2, &|| {
                        barrier.wait();
                        assert!(current().name() != Some("localgrad-1"), "thrown by the other thread");
                    });
                });
            }));
            let message = result.unwrap_err();
            assert!(message.downcast_ref::<&str>().is_some_and(|text| text.contains("the other")));
            assert_eq!(workers.run(|| 7), 7);
        }
    }

    #[test]
    fn callers_come_one_after_the_other_and_a_worker_may_call_its_own() {
        let workers = Workers::start(2).unwrap();
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        workers.run(|| {
                            assert_eq!(inside.fetch_add(1, SeqCst), 0);
                            assert_eq!(workers.run(|| 3), 3);
                            together(2, &|| ());
                            inside.fetch_sub(1, SeqCst);
                        });
                    }
                });
            }
        });
    }
}
