//! Training calls: one step, or many until something says stop.

use crate::control::Turn;
use crate::error::lg_error;
use crate::events::{Event, lg_event_kind};
use crate::pointers::{self, Versioned};
use crate::session::{Advance, Session, Shared, StepDone, cancelled};
use crate::status::{Fault, Outcome, lg_status};
use crate::stored::Stored;
use crate::trainer::{self, lg_trainer};
use std::ffi::c_void;
use std::time::{Duration, Instant};

/// What a step found.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_step_result {
    /// sizeof(lg_step_result), set by the caller.
    pub struct_size: usize,
    /// Its number, from 1.
    pub step: u64,
    /// Samples in it.
    pub samples: usize,
    /// How many of them were classified right, while training; of a network whose objective is labels, how many labels; 0
    /// where it is values.
    pub correct: usize,
    /// Mean loss of the last block, which is the network's own.
    pub loss: f64,
    /// The learning rate it was done with.
    pub learning_rate: f64,
    /// Seconds at work.
    pub seconds: f64,
}

// SAFETY: repr(C), the size is first, and numbers take any bytes.
unsafe impl Versioned for lg_step_result {
    const NAME: &'static str = "lg_step_result";
    const FIRST_BYTES: usize = size_of::<lg_step_result>();

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            step: 0,
            samples: 0,
            correct: 0,
            loss: 0.0,
            learning_rate: 0.0,
            seconds: 0.0,
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// Is told of each step and answers an lg_answer: whether to go on. It is called on the thread that called
/// lg_trainer_run, and must not throw.
pub type lg_watch_fn =
    Option<unsafe extern "C" fn(user_data: *mut c_void, step: *const lg_step_result) -> i32>;

/// When lg_trainer_run returns. lg_run_options_init sets all to 0 or NULL: no limit.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_run_options {
    /// sizeof(lg_run_options).
    pub struct_size: usize,
    /// When so many steps are done, those of earlier calls and before a resume counted.
    pub until_step: u64,
    /// When so many milliseconds are over: no step is begun that is likely to end later, but for the first, so that
    /// every call gets on.
    pub milliseconds: u64,
    /// Is told of each step, and may stop it.
    pub watch: lg_watch_fn,
    /// What `watch` is given.
    pub user_data: *mut c_void,
    /// Saves a checkpoint so many steps after the last, those of earlier calls counted, and at the end. Needs
    /// lg_trainer_open_checkpoints.
    pub checkpoint_steps: u64,
    /// The same so many milliseconds after the first step that no checkpoint holds began.
    pub checkpoint_milliseconds: u64,
}

// SAFETY: repr(C), the size is first, and numbers and pointers take any bytes; a function pointer is the caller's
// promise in any case.
unsafe impl Versioned for lg_run_options {
    const NAME: &'static str = "lg_run_options";
    const FIRST_BYTES: usize = size_of::<lg_run_options>();

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            until_step: 0,
            milliseconds: 0,
            watch: None,
            user_data: std::ptr::null_mut(),
            checkpoint_steps: 0,
            checkpoint_milliseconds: 0,
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// Why lg_trainer_run returned.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_reason {
    /// All steps are done.
    Steps = 0,
    /// The time is over.
    Deadline = 1,
    /// `watch` said stop.
    Stopped = 2,
    /// The trainer was cancelled.
    Cancelled = 3,
    /// There are no more samples.
    DataEnded = 4,
}

/// What a run came to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_run_result {
    /// sizeof(lg_run_result), set by the caller.
    pub struct_size: usize,
    /// An lg_reason.
    pub reason: i32,
    /// Steps of the trainer that are done, earlier calls counted.
    pub steps: u64,
    /// Steps that this call finished.
    pub new_steps: u64,
    /// Mean loss of the last block in the last step; NaN where there was none.
    pub loss: f64,
}

// SAFETY: repr(C), the size is first, and numbers take any bytes.
unsafe impl Versioned for lg_run_result {
    const NAME: &'static str = "lg_run_result";
    const FIRST_BYTES: usize = size_of::<lg_run_result>();

    fn initial() -> Self {
        Self { struct_size: size_of::<Self>(), reason: 0, steps: 0, new_steps: 0, loss: f64::NAN }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// Fills in a struct of `struct_size` bytes, which is sizeof(lg_run_options).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_run_options_init(options: *mut lg_run_options, struct_size: usize) -> lg_status {
    // SAFETY: the caller promises that the pointer is what the header says.
    crate::guard::call(std::ptr::null_mut(), || unsafe { pointers::init_struct(options, struct_size) })
}

/// Trains every block once on the samples that were pushed or, where none were, on those that the source gives; finishes
/// a step that was interrupted first. `result`, whose struct_size the caller has set, may be NULL. While the trainer is
/// paused it waits. Where it is cancelled: LG_STATUS_CANCELLED, and the step goes on with the next call after
/// lg_trainer_clear_cancel. LG_STATUS_CONFIG where there are no samples.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_step(
    trainer: *mut lg_trainer,
    result: *mut lg_step_result,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        if !result.is_null() {
            // SAFETY: the caller promises that the pointer is what the header says.
            unsafe { pointers::read_struct(result, "result") }?;
        }
        let found = session.step(object.shared())?;
        match result.is_null() {
            true => Ok(()),
            // SAFETY: as above.
            false => unsafe { pointers::write_struct(result, found, "result") },
        }
    })
}

/// Trains step after step until `options` (which may be NULL) says so, the trainer is cancelled or there are no more
/// samples. `result`, whose struct_size the caller has set, may be NULL; it is written also where a cancel ended the
/// run, which is no failure. Checkpoints that are due are saved on the way, and one at the end unless it was cancelled;
/// one that cannot be saved is told of as an event and a message, and training goes on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_run(
    trainer: *mut lg_trainer,
    options: *const lg_run_options,
    result: *mut lg_run_result,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        let options = unsafe {
            if !result.is_null() {
                pointers::read_struct(result, "result")?;
            }
            match options.is_null() {
                true => lg_run_options::initial(),
                false => pointers::read_struct(options, "options")?,
            }
        };
        let lg_run_options { watch, user_data, .. } = options;
        let found = session.run(object.shared(), &options, &mut |step| {
            let Some(watch) = watch else { return Ok(true) };
            // SAFETY: the caller gave this function for these arguments.
            match unsafe { watch(user_data, step) } {
                0 => Ok(true),
                1 => Ok(false),
                other => Err(Fault::new(lg_status::Callback, format!("watch answered {other}"))),
            }
        })?;
        match result.is_null() {
            true => Ok(()),
            // SAFETY: as above.
            false => unsafe { pointers::write_struct(result, found, "result") },
        }
    })
}

fn step_result(session: &Session, done: &StepDone) -> lg_step_result {
    lg_step_result {
        struct_size: size_of::<lg_step_result>(),
        step: session.progress.steps as u64,
        samples: done.samples,
        correct: done.correct,
        loss: done.loss,
        learning_rate: done.learning_rate,
        seconds: done.seconds,
    }
}

fn tell_step(session: &Session, shared: Shared<'_>, done: &StepDone, progress: f64) {
    let event = Event::of(lg_event_kind::Step, session.progress.steps);
    shared.events.push(&Event {
        samples: done.samples as u64,
        loss: done.loss,
        accuracy: done.accuracy,
        seconds: done.seconds,
        progress,
        peak_bytes: session.peak_bytes(),
        ..event
    });
}

/// After how many steps and how much time checkpoints are due.
struct Due {
    steps: u64,
    time: Option<Duration>,
}

impl Due {
    /// What earlier calls left unsaved counts, too: slices that are shorter than this would never be saved.
    fn is_due(&self, stored: &Stored) -> bool {
        let waited = stored.waits_since.map_or(Duration::ZERO, |since| since.elapsed());
        self.steps > 0 && stored.unsaved_steps >= self.steps || self.time.is_some_and(|time| waited >= time)
    }

    fn is_wanted(&self) -> bool {
        self.steps > 0 || self.time.is_some()
    }
}

/// Saves. What goes wrong is told of: the checkpoint before is whole, and the next is tried when it is due.
fn save(session: &mut Session, shared: Shared<'_>) {
    if let Err(fault) = session.save(shared) {
        let steps = session.progress.steps;
        let message = format!("no checkpoint after step {steps}: {}", fault.message);
        log::warn!("{message}");
        shared.events.push(&Event::warning(steps, &message));
        session.stored.count_anew();
    }
}

impl Session {
    /// Trains a step.
    pub fn step(&mut self, shared: Shared<'_>) -> Outcome<lg_step_result> {
        let done = match self.advance(shared, None)? {
            Advance::Done(done) => done,
            Advance::Interrupted(_) => return Err(cancelled()),
            Advance::NoData => return Err(Fault::config("there are no samples: push some, or set a source")),
        };
        tell_step(self, shared, &done, 0.0);
        Ok(step_result(self, &done))
    }

    /// Trains until `options` says so, by its numbers alone; `watch` is told of each step, and says whether to go on.
    pub fn run(
        &mut self,
        shared: Shared<'_>,
        options: &lg_run_options,
        watch: &mut dyn FnMut(&lg_step_result) -> Outcome<bool>,
    ) -> Outcome<lg_run_result> {
        self.check_whole()?;
        if !self.has_data() {
            return Err(Fault::config("there are no samples: push some, or set a source"));
        }
        let now = Instant::now();
        let time = |milliseconds: u64| (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        let due = Due { steps: options.checkpoint_steps, time: time(options.checkpoint_milliseconds) };
        if due.is_wanted() && !self.stored.is_open() {
            return Err(Fault::config("checkpoints have no place yet: open a directory for them first"));
        }
        let deadline = time(options.milliseconds).and_then(|time| now.checked_add(time));
        let mut result = lg_run_result::initial();
        let reason = loop {
            if options.until_step > 0 && self.progress.steps as u64 >= options.until_step {
                break lg_reason::Steps;
            }
            if let Some(deadline) = deadline
                && result.new_steps > 0
            {
                let expected = self.expected_step(shared.control);
                let save = if due.is_wanted() { self.stored.expected_save() } else { Duration::ZERO };
                if Instant::now() + expected + save > deadline {
                    break lg_reason::Deadline;
                }
            }
            let done = match self.advance(shared, deadline)? {
                Advance::Done(done) => done,
                Advance::Interrupted(Turn::Late) => break lg_reason::Deadline,
                Advance::Interrupted(_) => break lg_reason::Cancelled,
                Advance::NoData => break lg_reason::DataEnded,
            };
            result.new_steps += 1;
            result.loss = done.loss;
            let progress = self.progress.steps as f64 / options.until_step.max(1) as f64;
            tell_step(self, shared, &done, if options.until_step > 0 { progress } else { 0.0 });
            if due.is_due(&self.stored) {
                save(self, shared);
            }
            if !watch(&step_result(self, &done))? {
                break lg_reason::Stopped;
            }
        };
        let is_new = self.stored.unsaved_steps > 0 && self.blocks_done().is_none();
        if due.is_wanted() && is_new && reason != lg_reason::Cancelled {
            save(self, shared);
        }
        (result.reason, result.steps) = (reason as i32, self.progress.steps as u64);
        Ok(result)
    }
}
