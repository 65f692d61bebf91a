//! Numbers of a trainer that can be changed while it trains.

use crate::error::lg_error;
use crate::pointers;
use crate::session::Session;
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use localgrad_runtime::optimizer::OptimizerConfig;
use localgrad_runtime::schedule::Schedule;

/// A number that can be changed.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_setting {
    /// The learning rate that the schedule changes from.
    LearningRate = 0,
    /// Momentum, of SGD that has some.
    Momentum = 1,
    /// Weight decay.
    WeightDecay = 2,
    /// Decay of the mean of gradients, of AdamW.
    Beta1 = 3,
    /// Decay of the mean of their squares, of AdamW.
    Beta2 = 4,
    /// What keeps the divisor from 0, of AdamW.
    Epsilon = 5,
    /// Share of each label that is spread over all classes.
    LabelSmoothing = 6,
    /// Largest norm of a block's gradient; 0 for any.
    ClipNorm = 7,
}

/// The place of a number, in copies of what holds it.
fn place(setting: i32, numbers: &mut Numbers) -> Outcome<&mut f64> {
    let Numbers { learning_rate, optimizer, label_smoothing, clip_norm, .. } = numbers;
    match (setting, optimizer) {
        (0, _) => Ok(learning_rate),
        (1, OptimizerConfig::Sgd { momentum, .. }) => Ok(momentum),
        (2, OptimizerConfig::Sgd { weight_decay, .. } | OptimizerConfig::AdamW { weight_decay, .. }) => {
            Ok(weight_decay)
        }
        (3, OptimizerConfig::AdamW { beta1, .. }) => Ok(beta1),
        (4, OptimizerConfig::AdamW { beta2, .. }) => Ok(beta2),
        (5, OptimizerConfig::AdamW { epsilon, .. }) => Ok(epsilon),
        (6, _) => Ok(label_smoothing),
        (7, _) => Ok(clip_norm),
        (1 | 3 | 4 | 5, _) => Err(Fault::argument("the optimizer of this trainer has no such number")),
        _ => Err(Fault::argument(format!("setting is {setting}, which is no lg_setting"))),
    }
}

/// All numbers that can be changed, and the schedule, which a state brings with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Numbers {
    pub(crate) learning_rate: f64,
    pub(crate) schedule: Schedule,
    pub(crate) optimizer: OptimizerConfig,
    pub(crate) label_smoothing: f64,
    pub(crate) clip_norm: f64,
}

impl Session {
    pub(crate) fn numbers(&self) -> Numbers {
        let train = self.trainer.config();
        Numbers {
            learning_rate: self.fit.learning_rate,
            schedule: self.fit.schedule.clone(),
            optimizer: train.method.optimizer.clone(),
            label_smoothing: train.method.label_smoothing,
            clip_norm: train.method.clip_norm.unwrap_or(0.0),
        }
    }

    /// Sets a number, an lg_setting.
    pub fn set(&mut self, setting: i32, value: f64) -> Outcome<()> {
        let mut numbers = self.numbers();
        *place(setting, &mut numbers)? = value;
        self.set_numbers(numbers)
    }

    /// A number, an lg_setting.
    pub fn get(&self, setting: i32) -> Outcome<f64> {
        place(setting, &mut self.numbers()).map(|number| *number)
    }

    /// Sets all numbers, or none if one cannot be.
    pub(crate) fn set_numbers(&mut self, numbers: Numbers) -> Outcome<()> {
        let Numbers { learning_rate, schedule, optimizer, label_smoothing, clip_norm } = numbers;
        let mut fit = self.fit.clone();
        (fit.learning_rate, fit.schedule) = (learning_rate, schedule);
        fit.validate()?;
        self.trainer.change(optimizer, label_smoothing, (clip_norm != 0.0).then_some(clip_norm))?;
        self.fit = fit;
        self.note_configuration();
        Ok(())
    }
}

/// Sets a number, an lg_setting, from the next block on (the learning rate from the next step on). It is saved with
/// checkpoints and states, and comes back with them. One that is out of its range changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_set(
    trainer: *mut lg_trainer,
    setting: i32,
    value: f64,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| session.set(setting, value))
}

/// Writes a number, an lg_setting.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_get(
    trainer: *const lg_trainer,
    setting: i32,
    value: *mut f64,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        let number = session.get(setting)?;
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write(value, number, "value") }
    })
}
