//! The trainer's handle: made, described, destroyed.

use crate::config::{Pointed, lg_trainer_config};
use crate::control::Control;
use crate::error::lg_error;
use crate::events::Events;
use crate::guard;
use crate::handles::{self, Object};
use crate::made::Settings;
use crate::network::{NetworkObject, lg_network};
use crate::pointers::{self, Versioned};
use crate::session::{Session, Shared};
use crate::status::{Fault, Outcome, lg_status};
use localgrad_runtime::memory;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

/// A network in training, with its own threads from the first call that computes until it is destroyed.
///
/// Calls that train, evaluate, save or change settings are made one at a time; a second one at the same time is
/// answered by LG_STATUS_BUSY. lg_trainer_pause, lg_trainer_resume, lg_trainer_cancel, lg_trainer_clear_cancel,
/// lg_trainer_set_work_fraction, lg_trainer_set_threads, lg_trainer_poll and lg_trainer_dropped_events may be called on
/// any thread at any time, also from callbacks.
pub struct lg_trainer {
    _private: (),
}

/// What an lg_trainer stands for.
pub struct TrainerObject {
    /// What any thread may write.
    pub control: Control,
    /// What any thread may read.
    pub events: Events,
    session: Mutex<Session>,
    /// Where its threads are.
    process: u32,
}

impl Object for TrainerObject {
    const NAME: &'static str = "lg_trainer";

    fn process(&self) -> Option<u32> {
        Some(self.process)
    }
}

impl TrainerObject {
    /// A trainer of the network with new weights, as the numbers of `config`, and what its pointers point to, say.
    pub fn create(
        network: &NetworkObject,
        config: &lg_trainer_config,
        pointed: &Pointed<'_>,
    ) -> Outcome<Self> {
        let settings = Settings::read(config, pointed, network)?;
        let control = Control::new(settings.threads);
        let session = Mutex::new(Session::new(settings)?);
        Ok(Self { control, events: Events::new(), session, process: std::process::id() })
    }

    /// The session, for this call alone.
    pub fn session(&self) -> Outcome<MutexGuard<'_, Session>> {
        match self.session.try_lock() {
            Ok(session) if session.is_lost() => Err(Fault::new(
                lg_status::State,
                "the trainer could not be made anew to go back to a state that was trained in another way; destroy it, \
                 and make another",
            )),
            Ok(session) => Ok(session),
            Err(TryLockError::WouldBlock) => Err(Fault::new(
                lg_status::Busy,
                "the trainer is at work in another call; wait for that call to return, or make this one from the \
                 same thread, outside of callbacks",
            )),
            Err(TryLockError::Poisoned(_)) => Err(Fault::new(
                lg_status::Internal,
                "an earlier call on this trainer ended in a mistake of the library; destroy it",
            )),
        }
    }

    /// What the session looks at, and tells of, while it is at work.
    pub fn shared(&self) -> Shared<'_> {
        Shared { control: &self.control, events: &self.events }
    }
}

/// Does `work` on a trainer.
pub(crate) fn with(
    trainer: *const lg_trainer,
    error: *mut lg_error,
    work: impl FnOnce(&TrainerObject, &mut Session) -> Outcome<()>,
) -> lg_status {
    guard::call(error, || on(trainer, work))
}

/// Does `work` on a trainer, inside the door.
pub fn on<T>(
    trainer: *const lg_trainer,
    work: impl FnOnce(&TrainerObject, &mut Session) -> Outcome<T>,
) -> Outcome<T> {
    let trainer: Arc<TrainerObject> = handles::get(trainer)?;
    let mut session = trainer.session()?;
    work(&trainer, &mut session)
}

/// Takes a trainer out and cancels the call that is at work with it, if there is one.
pub fn destroy(trainer: *const lg_trainer) {
    if let Some(trainer) = handles::remove::<TrainerObject, _>(trainer) {
        trainer.control.wish(|wishes| wishes.cancelled = true);
    }
    memory::release_unused();
}

/// Where a trainer stands.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_trainer_info {
    /// sizeof(lg_trainer_info), set by the caller.
    pub struct_size: usize,
    /// Local blocks.
    pub blocks: usize,
    /// The most samples in a step.
    pub batch: usize,
    /// Samples that were pushed and wait for the next step.
    pub pending: usize,
    /// Steps done.
    pub steps: u64,
    /// Samples trained on.
    pub samples: u64,
    /// Seconds at work in training.
    pub seconds: f64,
    /// The learning rate of the next step.
    pub learning_rate: f64,
    /// 1 if the step that follows was interrupted and is half done: it goes on with the next call that trains, and
    /// nothing can be saved before.
    pub step_is_open: i32,
    /// Its blocks that are done.
    pub blocks_done: usize,
    /// 1 if an error came in the middle of a step: go back to a checkpoint or a saved state.
    pub is_damaged: i32,
    /// Classes.
    pub classes: usize,
    /// Names of them, for lg_trainer_class_name: as many as classes, or 0.
    pub class_names: usize,
}

// SAFETY: repr(C), the size is first, and numbers take any bytes.
unsafe impl Versioned for lg_trainer_info {
    const NAME: &'static str = "lg_trainer_info";
    const FIRST_BYTES: usize = std::mem::offset_of!(lg_trainer_info, classes);

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            blocks: 0,
            batch: 0,
            pending: 0,
            steps: 0,
            samples: 0,
            seconds: 0.0,
            learning_rate: 0.0,
            step_is_open: 0,
            blocks_done: 0,
            is_damaged: 0,
            classes: 0,
            class_names: 0,
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// Makes a trainer of the network with new weights, or those that the network carries; `config` may be NULL. Threads that
/// draw weights are gone when it returns. `*trainer` is the caller's to destroy, and NULL after a failure. The network may be destroyed. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_create(
    network: *const lg_network,
    config: *const lg_trainer_config,
    trainer: *mut *mut lg_trainer,
    error: *mut lg_error,
) -> lg_status {
    // SAFETY: the caller promises that all pointers are what the header says.
    guard::call(error, || unsafe {
        pointers::write(trainer, std::ptr::null_mut(), "trainer")?;
        let network = handles::get::<NetworkObject, _>(network)?;
        let config = match config.is_null() {
            true => lg_trainer_config::initial(),
            false => pointers::read_struct(config, "config")?,
        };
        let pointed = Pointed::read(&config, network.spec.input.channels())?;
        let object = TrainerObject::create(&network, &config, &pointed)?;
        pointers::write(trainer, handles::insert(object), "trainer")
    })
}

/// Writes where the trainer stands.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_describe(
    trainer: *const lg_trainer,
    info: *mut lg_trainer_info,
    error: *mut lg_error,
) -> lg_status {
    with(trainer, error, |_, session| {
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write_struct(info, session.describe(), "info") }
    })
}

impl Session {
    /// Where training stands.
    pub fn describe(&self) -> lg_trainer_info {
        lg_trainer_info {
            struct_size: size_of::<lg_trainer_info>(),
            blocks: self.losses.len(),
            batch: self.batch,
            pending: self.inbox.len(),
            steps: self.progress.steps as u64,
            samples: self.progress.samples as u64,
            seconds: self.progress.train_seconds,
            learning_rate: self.learning_rate(),
            step_is_open: i32::from(self.blocks_done().is_some()),
            blocks_done: self.blocks_done().unwrap_or(0),
            is_damaged: i32::from(self.is_damaged()),
            classes: self.intake.classes,
            class_names: self.class_names.len(),
        }
    }

    /// Loss of each block in the last step, NaN before the first and for frozen blocks.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }
}

/// Writes the loss of each block in the last step, NaN before the first and for frozen blocks. `capacity` is how many
/// numbers `losses` has room for, at least the number of blocks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_losses(
    trainer: *const lg_trainer,
    losses: *mut f64,
    capacity: usize,
    error: *mut lg_error,
) -> lg_status {
    with(trainer, error, |_, session| {
        let count = session.losses.len();
        if capacity < count {
            return Err(pointers::too_small(count, capacity));
        }
        // SAFETY: the caller promises `capacity` numbers, and that is no fewer.
        unsafe { pointers::store(&session.losses, losses, "losses") }
    })
}

/// Destroys a trainer, its threads and what it has in memory; checkpoints stay. A call on another thread that is at work
/// with it is cancelled, and what it uses is freed when that call returns. NULL, and one that was destroyed before, do
/// nothing. Any thread, at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_destroy(trainer: *mut lg_trainer) {
    guard::quiet(|| destroy(trainer));
}
