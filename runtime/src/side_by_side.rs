//! Blocks side by side: while one block trains on a batch, the next trains on the batch before, each on a thread of its own.
//!
//! ```text
//! block 0   b0   b1   b2
//! block 1        b0   b1   b2               b: a batch, which a block hands on when it is trained on it
//! block 2             b0   b1   b2
//! ```
//!
//! A block takes nothing of a later one but what its moving average follows: the next block's first unit before that
//! unit's own update on the same batch. The average advances when both have come just there, and before the batch is handed
//! on. So every block sees what it sees where they train one after the other, and the results are the same bits, whatever
//! thread comes when.

use crate::error::{Error, Result};
use crate::team::{self, look_out, together};
use crate::trainer::{OpenStep, StepReport, Trainer};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Begins the next step, if there is one.
pub type Begin<'a> = dyn FnMut(&mut Trainer) -> Result<Option<OpenStep>> + Send + 'a;

/// A block, and the batch before and behind it.
struct Site {
    /// The block, unless a thread is at work on it.
    block: Option<Box<Trainer>>,
    has_averages: bool,
    /// What it is to train on next.
    waiting: Option<OpenStep>,
    /// What it has trained on, while its averages are still to advance.
    trained: Option<OpenStep>,
    /// How many batches it has trained on.
    count: usize,
}

/// Where everything stands.
struct Board<'a> {
    /// What begins steps, unless a thread is at it or there are no more.
    source: Option<(&'a mut Trainer, &'a mut Begin<'a>)>,
    /// The trainer, when no more steps will begin.
    whole: Option<&'a mut Trainer>,
    sites: Vec<Site>,
    reports: Vec<StepReport>,
    /// Threads at work.
    busy: usize,
    /// Why it came to an end before its time.
    failure: Option<Error>,
}

/// What a thread may do.
enum Task<'a> {
    Begin(&'a mut Trainer, &'a mut Begin<'a>),
    Train(usize, Box<Trainer>, OpenStep),
    /// Advances the averages of a block, which follow the next one.
    Follow(usize, Box<Trainer>, Box<Trainer>),
}

/// The same when it is done.
enum Done<'a> {
    Begun(&'a mut Trainer, &'a mut Begin<'a>, Result<Option<OpenStep>>),
    Trained(usize, Box<Trainer>, OpenStep, Result<()>),
    Followed(usize, Box<Trainer>, Box<Trainer>, Result<()>),
}

/// Trains every block on all steps that `begin` begins, from any thread but one after the other; what each step found, in
/// their order.
///
/// # Errors
/// Those of training, and of `begin`: some blocks then have updates that others lack. `Config` where a block hangs on more
/// than the next one.
pub fn side_by_side<'a>(trainer: &'a mut Trainer, begin: &'a mut Begin<'a>) -> Result<Vec<StepReport>> {
    check(trainer)?;
    let sites = (0..trainer.ranges().len()).map(|block| Site::of(trainer, block)).collect::<Vec<_>>();
    let most = team::threads().min(sites.len() + 1);
    let source = Some((trainer, begin));
    let board = Board { source, whole: None, sites, reports: Vec::new(), busy: 0, failure: None };
    let shared = Shared {
        board: Mutex::new(board),
        changes: AtomicUsize::new(0),
        changed: Condvar::new(),
        looks_out: team::have_cores(team::threads()),
    };
    together(most, &|| shared.work());
    let Board { source, whole, sites, reports, failure, .. } =
        shared.board.into_inner().unwrap_or_else(PoisonError::into_inner);
    let trainer = whole.or(source.map(|(trainer, _)| trainer));
    let trainer = trainer.ok_or_else(|| Error::internal("a step never came to its end"))?;
    for (number, site) in sites.into_iter().enumerate() {
        let mut block = site.block.ok_or_else(|| Error::internal("a block never came back"))?;
        trainer.exchange(number, &mut block);
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(reports),
    }
}

/// Refuses what needs a later block where it is still behind.
fn check(trainer: &Trainer) -> Result<()> {
    match (0..trainer.ranges().len()).find(|&block| trainer.follows_beyond_next(block)) {
        Some(block) => Err(Error::config(format!(
            "block {block} learns by averages of units behind the next block, which side by side are batches behind; choose \
             another head, or train one block after the other"
        ))),
        None => Ok(()),
    }
}

impl Site {
    fn of(trainer: &mut Trainer, block: usize) -> Self {
        let mut alone = Box::new(trainer.without_weights());
        let has_averages = trainer.has_averages(block);
        trainer.exchange(block, &mut alone);
        Self { block: Some(alone), has_averages, waiting: None, trained: None, count: 0 }
    }
}

impl<'a> Board<'a> {
    /// Something to do; the last block that can go on comes first, so that few batches are under way.
    fn next(&mut self) -> Option<Task<'a>> {
        if self.failure.is_some() {
            return None;
        }
        for number in (0..self.sites.len()).rev() {
            if let Some(task) = self.follow(number).or_else(|| self.train(number)) {
                return Some(task);
            }
        }
        let is_awaited = self.sites.first().is_some_and(|site| site.waiting.is_none());
        let (trainer, begin) = self.source.take_if(|_| is_awaited)?;
        Some(Task::Begin(trainer, begin))
    }

    fn follow(&mut self, number: usize) -> Option<Task<'a>> {
        let [site, next] = self.sites.get_mut(number..number + 2)? else { return None };
        let is_due = site.trained.is_some() && next.count + 1 == site.count && next.block.is_some();
        let block = site.block.take_if(|_| is_due)?;
        Some(Task::Follow(number, block, next.block.take()?))
    }

    fn train(&mut self, number: usize) -> Option<Task<'a>> {
        let is_free = self.sites.get(number + 1).is_none_or(|next| next.waiting.is_none());
        let site = &mut self.sites[number];
        let is_due = is_free && site.waiting.is_some() && site.trained.is_none();
        let block = site.block.take_if(|_| is_due)?;
        Some(Task::Train(number, block, site.waiting.take()?))
    }

    /// Notes what a thread has done.
    fn note(&mut self, done: Done<'a>) {
        let found = match done {
            Done::Begun(trainer, begin, Ok(Some(step))) => {
                self.sites[0].waiting = Some(step);
                self.source = Some((trainer, begin));
                Ok(())
            }
            Done::Begun(trainer, _, ended) => {
                self.whole = Some(trainer);
                ended.map(drop)
            }
            Done::Trained(number, block, step, found) => {
                let site = &mut self.sites[number];
                (site.block, site.count) = (Some(block), site.count + 1);
                if site.has_averages {
                    site.trained = Some(step);
                } else {
                    self.hand_on(number, step);
                }
                found
            }
            Done::Followed(number, block, next, found) => {
                self.sites[number + 1].block = Some(next);
                let site = &mut self.sites[number];
                site.block = Some(block);
                if let Some(step) = site.trained.take() {
                    self.hand_on(number, step);
                }
                found
            }
        };
        if let Err(error) = found {
            self.failure.get_or_insert(error);
        }
    }

    fn hand_on(&mut self, number: usize, step: OpenStep) {
        match self.sites.get_mut(number + 1) {
            Some(next) => next.waiting = Some(step),
            None => self.reports.push(step.into_report()),
        }
    }
}

impl<'a> Task<'a> {
    fn run(self) -> Done<'a> {
        match self {
            Task::Begin(trainer, begin) => {
                let begun = begin(trainer);
                Done::Begun(trainer, begin, begun)
            }
            Task::Train(number, mut block, mut step) => {
                let trained = block.train_entered(&mut step, &mut |_| {});
                Done::Trained(number, block, step, trained)
            }
            Task::Follow(number, mut block, mut next) => {
                let followed = block.follow_in(number, &mut next);
                Done::Followed(number, block, next, followed)
            }
        }
    }
}

/// The board, and who waits for it to change.
struct Shared<'a> {
    board: Mutex<Board<'a>>,
    /// How often it has changed.
    changes: AtomicUsize,
    changed: Condvar,
    /// Whether threads look out for a change before they sleep.
    looks_out: bool,
}

impl<'a> Shared<'a> {
    fn board(&self) -> MutexGuard<'_, Board<'a>> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part until nothing is left to do.
    fn work(&self) {
        let mut board = self.board();
        loop {
            if let Some(task) = board.next() {
                board.busy += 1;
                drop(board);
                let at_work = AtWork(self);
                let done = task.run();
                board = self.board();
                std::mem::forget(at_work);
                board.busy -= 1;
                board.note(done);
                self.tell();
            } else if board.busy == 0 {
                return;
            } else {
                board = self.wait(board);
            }
        }
    }

    /// Lets others see that the board, which is locked, has changed.
    fn tell(&self) {
        self.changes.fetch_add(1, SeqCst);
        self.changed.notify_all();
    }

    /// Waits until the board has changed.
    fn wait<'b>(&'b self, board: MutexGuard<'b, Board<'a>>) -> MutexGuard<'b, Board<'a>> {
        let before = self.changes.load(SeqCst);
        let has_changed = || self.changes.load(SeqCst) != before;
        drop(board);
        if self.looks_out {
            look_out(has_changed);
        }
        let board = self.board();
        let slept = self.changed.wait_while(board, |_| !has_changed());
        slept.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets the others come to an end where a thread panics.
struct AtWork<'s, 'a>(&'s Shared<'a>);

impl Drop for AtWork<'_, '_> {
    fn drop(&mut self) {
        let mut board = self.0.board();
        board.busy -= 1;
        board.failure.get_or_insert_with(|| Error::internal("a thread panicked"));
        self.0.tell();
    }
}
