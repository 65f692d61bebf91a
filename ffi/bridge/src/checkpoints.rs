//! Checkpoints in a directory, and states in the caller's memory.

use crate::control::Control;
use crate::error::lg_error;
use crate::events::{Event, lg_event_kind};
use crate::pointers::{self, LONGEST_TEXT_BYTES};
use crate::session::{Session, Shared};
use crate::settings::Numbers;
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use localgrad_models::vgg;
use localgrad_runtime::checkpoint::blob::{self, Blob};
use localgrad_runtime::checkpoint::{Checkpoints, Configuration, Saved};
use localgrad_runtime::optimizer::OptimizerConfig;
use localgrad_runtime::progress::Progress;
use localgrad_runtime::trainer::TrainConfig;
use localgrad_runtime::{Error, ErrorKind};
use std::ffi::{c_char, c_void};
use std::path::Path;
use std::time::Instant;

impl Session {
    fn configuration(&self) -> Configuration {
        let (model, train) = (&self.trainer.model, self.trainer.config());
        let normalize = &self.intake.normalize;
        let configuration =
            Configuration::of_stream(&model.spec, train, &self.fit, self.batch, normalize, &model.place);
        Configuration { class_names: self.class_names.clone(), ..configuration }
    }

    /// Tells the checkpoints of numbers that were changed.
    pub(crate) fn note_configuration(&mut self) {
        let configuration = self.configuration();
        if let Some(checkpoints) = &mut self.stored.checkpoints {
            checkpoints.set_configuration(configuration);
        }
    }

    /// Tells the checkpoints that weights were set by something else than training.
    pub(crate) fn note_new_state(&mut self) {
        if let Some(checkpoints) = &mut self.stored.checkpoints {
            checkpoints.forget_held();
        }
    }

    /// Saves a checkpoint.
    pub fn save(&mut self, shared: Shared<'_>) -> Outcome<()> {
        self.check_at_rest()?;
        let Some(checkpoints) = &mut self.stored.checkpoints else {
            return Err(Fault::config("checkpoints have no place yet: open a directory for them first"));
        };
        let began = Instant::now();
        checkpoints.save(&mut self.trainer, &self.progress)?;
        self.stored.last_save = began.elapsed();
        self.stored.count_anew();
        let event = Event::of(lg_event_kind::Checkpoint, self.progress.steps);
        shared.events.push(&Event { seconds: began.elapsed().as_secs_f64(), ..event });
        Ok(())
    }

    /// Goes on with the checkpoints in `directory`, or begins them there; whether it went on.
    pub fn open_checkpoints(&mut self, directory: &Path, keep: usize, control: &Control) -> Outcome<bool> {
        // Lets go of the lock, which may be that of the same directory.
        self.stored.checkpoints = None;
        let lock = Checkpoints::hold(directory)?;
        let Some(saved) = Saved::read(directory)? else {
            self.check_at_rest()?;
            let (configuration, progress) = (self.configuration(), &self.progress);
            let trainer = &mut self.trainer;
            let made = Checkpoints::create_held(directory, lock, configuration, keep, trainer, progress)?;
            self.stored.checkpoints = Some(made);
            self.stored.count_anew();
            return Ok(false);
        };
        self.check_no_features_wait()?;
        let before = self.take_over(&saved.manifest.configuration, control)?;
        let now = self.configuration();
        let resumed = Checkpoints::resume_held(directory, lock, now, keep, &mut self.trainer);
        let (checkpoints, progress) = match resumed {
            Ok(Some(resumed)) => resumed,
            Ok(None) => {
                self.set_numbers(before)?;
                return Err(Fault::new(lg_status::Io, "the checkpoint was removed while it was opened"));
            }
            Err(error) => return Err(self.not_restored(before, error)),
        };
        self.check_progress(&progress)?;
        self.stored.checkpoints = Some(checkpoints);
        self.stored.count_anew();
        self.stand_at(progress);
        self.take_names(&saved.manifest.configuration);
        Ok(true)
    }

    /// The size of the state in memory.
    pub fn state_bytes(&mut self) -> Outcome<usize> {
        self.check_at_rest()?;
        let configuration = self.configuration();
        Ok(blob::size_bytes(&mut self.trainer, &configuration, &self.progress)?)
    }

    /// Writes the state into `room`, which is not too small; its size.
    pub fn write_state(&mut self, room: &mut [u8]) -> Outcome<usize> {
        self.check_at_rest()?;
        let configuration = self.configuration();
        Ok(blob::write(&mut self.trainer, &configuration, &self.progress, room)?)
    }

    /// Goes back to a state.
    pub fn set_state(&mut self, bytes: &[u8], control: &Control) -> Outcome<()> {
        self.check_no_features_wait()?;
        let blob = Blob::read(bytes)?;
        let before = self.take_over(&blob.configuration, control)?;
        match blob.restore(&mut self.trainer) {
            Ok(progress) => {
                self.stand_at(progress);
                self.take_names(&blob.configuration);
                self.note_new_state();
                Ok(())
            }
            Err(error) => {
                self.set_numbers(before)?;
                Err(error.into())
            }
        }
    }

    /// Takes over what a state calls the classes, where nobody has called them anything.
    fn take_names(&mut self, saved: &Configuration) {
        if self.class_names.is_empty() && saved.class_names.len() == self.intake.classes {
            self.class_names.clone_from(&saved.class_names);
            self.note_configuration();
        }
    }

    /// Refuses a state of something else, and takes over the numbers that it was saved with, and what was left to a
    /// budget; returns the numbers before.
    fn take_over(&mut self, saved: &Configuration, control: &Control) -> Outcome<Numbers> {
        let before = self.numbers();
        let mut now = self.configuration();
        // Checkpoints that are open are of one way to train.
        if let Some(budget) = self.budget.as_ref().filter(|_| !self.stored.is_open()) {
            now.train = budget.taken_over(&saved.train, &now.train);
        }
        now.fit.learning_rate = saved.fit.learning_rate;
        now.fit.schedule = now.fit.schedule.as_begun(&saved.fit.schedule);
        now.train.method.label_smoothing = saved.train.method.label_smoothing;
        now.train.method.clip_norm = saved.train.method.clip_norm;
        copy_numbers(&saved.train.method.optimizer, &mut now.train.method.optimizer);
        saved.check_same(&now).map_err(|error| other(error, saved, &now))?;
        let TrainConfig { method, execution } = self.trainer.config();
        if now.train.method.ends != method.ends || now.train.execution != *execution {
            self.make_anew(&now.train, control)?;
        }
        self.set_numbers(Numbers {
            learning_rate: now.fit.learning_rate,
            schedule: now.fit.schedule,
            optimizer: now.train.method.optimizer,
            label_smoothing: now.train.method.label_smoothing,
            clip_norm: now.train.method.clip_norm.unwrap_or(0.0),
        })?;
        Ok(before)
    }

    fn not_restored(&mut self, before: Numbers, error: Error) -> Fault {
        // A configuration is refused before anything is changed.
        if error.kind() != ErrorKind::Config {
            self.set_damaged();
        }
        match self.set_numbers(before) {
            Ok(()) => error.into(),
            Err(fault) => fault,
        }
    }

    fn check_progress(&mut self, progress: &Progress) -> Outcome<()> {
        progress.check(self.losses.len(), usize::MAX).map_err(|error| {
            self.set_damaged();
            error.into()
        })
    }
}

/// The refusal of a state that another trainer saved, which may have been made when its network had another name.
fn other(error: Error, saved: &Configuration, now: &Configuration) -> Fault {
    let name = vgg::name_of(&saved.network);
    let fault = Fault::from(error);
    match saved.network.name == now.network.name && name != saved.network.name {
        true => fault.and(&format!("the network that was called {} is {name}", saved.network.name)),
        false => fault,
    }
}

/// Copies the numbers that can be changed while training goes on.
fn copy_numbers(from: &OptimizerConfig, to: &mut OptimizerConfig) {
    use OptimizerConfig::{AdamW, Sgd};
    match (from, to) {
        (Sgd { momentum, weight_decay, .. }, Sgd { momentum: momentum_to, weight_decay: decay_to, .. }) => {
            // Momentum can be changed, but neither begun nor ended.
            if (*momentum > 0.0) == (*momentum_to > 0.0) {
                *momentum_to = *momentum;
            }
            *decay_to = *weight_decay;
        }
        (from @ AdamW { .. }, to @ AdamW { .. }) => to.clone_from(from),
        _ => {}
    }
}

/// Makes `directory` (a path in UTF-8) the place of the trainer's checkpoints. Where there is one, the trainer goes back
/// to it: weights, statistics, the optimizer's memory, changed settings and the number of steps, so that training ends
/// in the same bytes as if it had never stopped; `*resumed` becomes 1. Otherwise the directory is made, the present state
/// is saved in it, and `*resumed` becomes 0. `keep` states are kept, at least 1. One trainer in one process has a directory
/// at a time. The trainer must be made as the one that wrote the checkpoint was; LG_STATUS_CONFIG names what differs. What
/// was left to memory_budget_bytes may have been chosen otherwise: the trainer is then made anew as the checkpoint's was,
/// where that keeps to the budget, so that lg_trainer_describe may tell other blocks; an error on the way there leaves
/// is_damaged at 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_open_checkpoints(
    trainer: *mut lg_trainer,
    directory: *const c_char,
    keep: usize,
    resumed: *mut i32,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            pointers::check(resumed, "resumed")?;
            let directory = pointers::text(directory, "directory", LONGEST_TEXT_BYTES)?;
            let found = session.open_checkpoints(Path::new(directory), keep, &object.control)?;
            pointers::write(resumed, i32::from(found), "resumed")
        }
    })
}

/// Saves a checkpoint. A kill or a full disk leaves the one before whole. LG_STATUS_STATE where a step was interrupted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_save(trainer: *mut lg_trainer, error: *mut lg_error) -> lg_status {
    trainer::with(trainer, error, |object, session| session.save(object.shared()))
}

/// Writes the size in bytes that lg_trainer_get_state needs now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_state_bytes(
    trainer: *mut lg_trainer,
    bytes: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        let found = session.state_bytes()?;
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write(bytes, found, "bytes") }
    })
}

/// Writes what a checkpoint holds into `buffer`, of `capacity` bytes, and its size into `*bytes`. Too small a buffer is
/// left as it is, with LG_STATUS_BUFFER. LG_STATUS_STATE where a step was interrupted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_get_state(
    trainer: *mut lg_trainer,
    buffer: *mut c_void,
    capacity: usize,
    bytes: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        let needed = session.state_bytes()?;
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write(bytes, needed, "bytes") }?;
        if capacity < needed {
            return Err(pointers::too_small(needed, capacity));
        }
        // SAFETY: the caller promises `capacity` bytes that nobody else uses meanwhile.
        let room = unsafe { pointers::bytes_mut(buffer.cast(), needed, "buffer") }?;
        session.write_state(room).map(drop)
    })
}

/// Goes back to a state that lg_trainer_get_state wrote, of a trainer made as this one. Every byte is checked: one that
/// is damaged or of another trainer changes nothing. What was left to memory_budget_bytes may have been chosen
/// otherwise, as for lg_trainer_open_checkpoints, but not after a call of that.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_set_state(
    trainer: *mut lg_trainer,
    buffer: *const c_void,
    bytes: usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises `bytes` bytes.
        let state = unsafe { pointers::slice(buffer.cast(), bytes, "buffer") }?;
        session.set_state(state, &object.control)
    })
}
