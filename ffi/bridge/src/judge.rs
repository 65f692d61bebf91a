//! How good the network is, and what it says: by running statistics, on the same handle.

use crate::control::Turn;
use crate::error::lg_error;
use crate::inbox::{self, Source, lg_source_fn};
use crate::library::fixed_text;
use crate::pointers::{self, Versioned};
use crate::samples::{Given, Intake, Samples, lg_samples};
use crate::session::{Session, Shared, cancelled, logits};
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use localgrad_runtime::Error;
use localgrad_runtime::evaluate::Evaluation;
use std::ffi::{c_char, c_void};

/// What an evaluation found.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_evaluation {
    /// sizeof(lg_evaluation), set by the caller.
    pub struct_size: usize,
    /// Samples.
    pub samples: usize,
    /// Share of them that were classified right, in [0, 1]; of a network whose objective is labels the share of the right
    /// answers, and NaN of one whose objective is values.
    pub accuracy: f64,
    /// Mean cross-entropy, or loss of the network's objective.
    pub loss: f64,
    /// What the network is judged by: "accuracy", "label_accuracy" or, of values, "mean_absolute_error".
    pub metric_name: [c_char; LG_METRIC_NAME_BYTES],
    /// Its value.
    pub metric: f64,
}

/// Bytes of a metric's name, with the zero byte that ends it.
pub const LG_METRIC_NAME_BYTES: usize = 32;

// SAFETY: repr(C), the size is first, and numbers take any bytes.
unsafe impl Versioned for lg_evaluation {
    const NAME: &'static str = "lg_evaluation";
    const FIRST_BYTES: usize = std::mem::offset_of!(lg_evaluation, metric_name);

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            samples: 0,
            accuracy: 0.0,
            loss: 0.0,
            metric_name: [0; LG_METRIC_NAME_BYTES],
            metric: 0.0,
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

impl Session {
    /// How good the network is on samples.
    pub fn evaluate_samples(&mut self, shared: Shared<'_>, samples: &Samples<'_>) -> Outcome<lg_evaluation> {
        let lent = self.intake.check(samples, true)?;
        let mut first = 0;
        self.judge(shared, &mut |intake, most| {
            let last = lent.count.min(first + most);
            let range = std::mem::replace(&mut first, last)..last;
            (!range.is_empty()).then(|| intake.batch(&lent, range)).transpose()
        })
    }

    /// How good the network is on what `source` gives, until it gives none.
    pub fn evaluate_source(&mut self, shared: Shared<'_>, source: &mut Source) -> Outcome<lg_evaluation> {
        let mut number = 0;
        self.judge(shared, &mut |intake, most| {
            number += 1;
            inbox::ask(source, number - 1, intake, most)
        })
    }

    fn judge(
        &mut self,
        shared: Shared<'_>,
        next: &mut dyn FnMut(&Intake, usize) -> Outcome<Option<Given>>,
    ) -> Outcome<lg_evaluation> {
        match self.evaluate(shared, next)? {
            None => Err(cancelled()),
            Some(Evaluation { samples: 0, .. }) => {
                Err(Fault::argument("there are no samples to evaluate on"))
            }
            Some(found) => {
                found.check()?;
                let (name, metric) = found.metric();
                let Evaluation { accuracy, loss, samples, .. } = found;
                let metric_name = fixed_text(name);
                Ok(lg_evaluation { samples, accuracy, loss, metric_name, metric, ..Versioned::initial() })
            }
        }
    }

    /// One logit for each class of each sample, or for each label; values as they are.
    pub fn predict(&mut self, shared: Shared<'_>, samples: &Samples<'_>) -> Outcome<Vec<f32>> {
        let lent = self.intake.check(samples, false)?;
        let mut all = Vec::with_capacity(lent.count * self.intake.classes);
        for first in (0..lent.count).step_by(self.evaluation_batch) {
            if self.wait_turn(shared, None) != Turn::Go {
                return Err(cancelled());
            }
            let range = first..lent.count.min(first + self.evaluation_batch);
            let given = self.intake.batch(&lent, range)?;
            let found = self.work(shared.control, |trainer| logits(trainer, &given)?.numbers())??;
            if let Some(&number) = found.iter().find(|number| !number.is_finite()) {
                return Err(Error::no_answer(number.into()).into());
            }
            all.extend(found);
        }
        Ok(all)
    }
}

/// Evaluates the network on labelled samples, as many as there are. Training is not changed. LG_STATUS_CANCELLED where
/// it was cancelled, LG_STATUS_NOT_FINITE where its answers are no numbers, as those of spoiled weights are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_evaluate(
    trainer: *mut lg_trainer,
    samples: *const lg_samples,
    result: *mut lg_evaluation,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            pointers::read_struct(result, "result")?;
            let samples = pointers::read_struct(samples, "samples")?;
            let lent = session.intake.lend(&samples, true)?;
            pointers::write_struct(result, session.evaluate_samples(object.shared(), &lent)?, "result")
        }
    })
}

/// The same on what a function gives, until it answers LG_ANSWER_STOP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_evaluate_source(
    trainer: *mut lg_trainer,
    function: lg_source_fn,
    user_data: *mut c_void,
    result: *mut lg_evaluation,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises that the function and the pointer are what the header says.
        unsafe {
            let source = inbox::source_of(function, user_data);
            let mut source = source.ok_or_else(|| Fault::argument("function is NULL"))?;
            pointers::read_struct(result, "result")?;
            let found = session.evaluate_source(object.shared(), &mut source)?;
            pointers::write_struct(result, found, "result")
        }
    })
}

/// Writes one logit for each class of each sample, sample after sample; the class of the largest is the network's
/// answer. Labels are not looked at. `capacity` is how many numbers `logits` has room for, at least samples times
/// classes. LG_STATUS_CANCELLED where it was cancelled, LG_STATUS_NOT_FINITE where its answers are no numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_predict(
    trainer: *mut lg_trainer,
    samples: *const lg_samples,
    logits: *mut f32,
    capacity: usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            let samples = pointers::read_struct(samples, "samples")?;
            let classes = session.intake.classes;
            let needed = samples.count.saturating_mul(classes);
            if capacity < needed {
                return Err(pointers::too_small(needed, capacity));
            }
            if needed > 0 {
                pointers::check(logits, "logits")?;
            }
            let lent = session.intake.lend(&samples, false)?;
            pointers::store(&session.predict(object.shared(), &lent)?, logits, "logits")
        }
    })
}
