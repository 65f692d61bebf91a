//! Exits: what the auxiliary networks behind blocks answer, and samples that leave by the first that is sure enough.

use crate::control::Turn;
use crate::error::lg_error;
use crate::pointers;
use crate::samples::{Samples, lg_samples};
use crate::session::{Session, Shared, cancelled};
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use localgrad_runtime::Error;
use localgrad_runtime::data::Batch;
use localgrad_runtime::exits::survey::{Answer, Survey, answers};
use localgrad_runtime::exits::{self, ExitFound};
use localgrad_runtime::trainer::Trainer;
use std::time::Instant;

impl Session {
    /// What samples tell of each exit.
    pub fn evaluate_exits(&mut self, shared: Shared<'_>, samples: &Samples<'_>) -> Outcome<Vec<ExitFound>> {
        if samples.count == 0 {
            return Err(Fault::argument("there are no samples to evaluate on"));
        }
        let mut survey = Survey::default();
        self.through_exits(shared, samples, true, &mut |trainer, batch| survey.add(trainer, batch))?;
        survey.evaluations().iter().try_for_each(|found| found.check())?;
        Ok(survey.found())
    }

    /// What each sample is answered by the first exit that is as sure as `confidence`.
    pub fn predict_early(
        &mut self,
        shared: Shared<'_>,
        samples: &Samples<'_>,
        confidence: f64,
        temperatures: &[f64],
    ) -> Outcome<Vec<Answer>> {
        let count = self.trainer.exits().len();
        let is_wrong = |temperature: &f64| !(temperature.is_finite() && *temperature > 0.0);
        if !temperatures.is_empty() && temperatures.len() != count || temperatures.iter().any(is_wrong) {
            return Err(Fault::argument(format!("{count} exits need as many temperatures above 0, or none")));
        }
        if !(confidence > 0.0 && confidence <= 1.0) {
            return Err(Fault::argument(format!("confidence is above 0 and up to 1, found {confidence}")));
        }
        let mut all = Vec::with_capacity(samples.count);
        self.through_exits(shared, samples, false, &mut |trainer, batch| {
            all.extend(answers(trainer, &batch.inputs, temperatures, confidence)?);
            Ok(())
        })?;
        match all.iter().flat_map(|answer| &answer.logits).find(|number| !number.is_finite()) {
            Some(&number) => Err(Error::no_answer(number.into()).into()),
            None => Ok(all),
        }
    }

    /// Shows `work` all samples, no more at once than pass through a block in training: what a plan has for that is enough.
    fn through_exits(
        &mut self,
        shared: Shared<'_>,
        samples: &Samples<'_>,
        labelled: bool,
        work: &mut (dyn FnMut(&mut Trainer, &Batch) -> localgrad_runtime::Result<()> + Send),
    ) -> Outcome<()> {
        exits::check(&self.trainer.model.spec, &self.trainer.method().rule)?;
        let lent = self.intake.check(samples, labelled)?;
        if lent.are_features() {
            return Err(Fault::argument(
                "exits are asked from the first unit on: give images and no features",
            ));
        }
        let group = self.trainer.execution().micro_batch.map_or(self.batch, |share| share.min(self.batch));
        for first in (0..lent.count).step_by(group.min(self.evaluation_batch)) {
            if self.wait_turn(shared, None) != Turn::Go {
                return Err(cancelled());
            }
            let last = lent.count.min(first + group.min(self.evaluation_batch));
            let given = self.intake.batch(&lent, first..last)?;
            let began = Instant::now();
            self.work(shared.control, |trainer| work(trainer, &given.batch))??;
            shared.control.rest(began.elapsed(), None);
        }
        Ok(())
    }
}

/// Asks every exit for an answer to each of some labelled samples: the auxiliary networks behind the blocks that are
/// trained, in order, and the network's end, which is the last. Writes of each the share that it classified right, and the
/// temperature that its logits are divided by so that its probabilities are as large as it is often right; samples that
/// were not trained on tell both best. `capacity` is how many numbers both have room for, `count` becomes how many exits
/// there are. Training is not changed. LG_STATUS_CONFIG for networks whose objective is not classes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_evaluate_exits(
    trainer: *mut lg_trainer,
    samples: *const lg_samples,
    accuracies: *mut f64,
    temperatures: *mut f64,
    capacity: usize,
    count: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        let exits = session.trainer.exits().len();
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            pointers::write(count, exits, "count")?;
            if capacity < exits {
                return Err(pointers::too_small(exits, capacity));
            }
            let samples = pointers::read_struct(samples, "samples")?;
            let lent = session.intake.lend(&samples, true)?;
            let found = session.evaluate_exits(object.shared(), &lent)?;
            let (shares, divisors): (Vec<f64>, Vec<f64>) =
                found.iter().map(|exit| (exit.accuracy, exit.temperature)).unzip();
            pointers::store(&shares, accuracies, "accuracies")?;
            pointers::store(&divisors, temperatures, "temperatures")
        }
    })
}

/// As lg_trainer_predict, but each sample leaves the network by the first exit whose likeliest class has a probability of
/// `confidence` or more, at the latest by its end, and passes no later unit. Writes the logits of that exit, and to `exits`
/// a number for each sample: that of the exit, from 0. `temperatures` are those of lg_trainer_evaluate_exits,
/// `temperature_count` of them; NULL and 0 are 1 for each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_predict_early(
    trainer: *mut lg_trainer,
    samples: *const lg_samples,
    confidence: f64,
    temperatures: *const f64,
    temperature_count: usize,
    logits: *mut f32,
    capacity: usize,
    exits: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |object, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            let samples = pointers::read_struct(samples, "samples")?;
            let needed = samples.count.saturating_mul(session.intake.classes);
            if capacity < needed {
                return Err(pointers::too_small(needed, capacity));
            }
            let temperatures = pointers::slice(temperatures, temperature_count, "temperatures")?;
            let lent = session.intake.lend(&samples, false)?;
            let found = session.predict_early(object.shared(), &lent, confidence, temperatures)?;
            let all: Vec<f32> = found.iter().flat_map(|answer| answer.logits.iter().copied()).collect();
            let left: Vec<usize> = found.iter().map(|answer| answer.exit).collect();
            pointers::store(&all, logits, "logits")?;
            pointers::store(&left, exits, "exits")
        }
    })
}
