//! The memory of a run before it begins: what is planned, and what a budget makes of it.

use crate::fault::{Fault, Outcome};
use crate::output::Output;
use crate::run_directory::RunFile;
use localgrad::data::Loader;
use localgrad::plan::{Choice, Freedom, Plan, Rates, Workload, choose, fastest, least, plan, size};
use localgrad::threads::Workers;
use localgrad::{Device, memory};
use std::path::Path;

/// Bytes of the traced step's points and their text, at most: they are written between two steps.
const RECORD_BYTES: usize = 4 << 20;

/// What was planned for a run.
#[derive(Debug, Default)]
pub struct Planned {
    /// The most bytes at any moment, where that can be known.
    pub planned_bytes: Option<u64>,
    /// Samples of an evaluation's batch, if not as many as a step's.
    pub evaluation_batch: Option<usize>,
}

/// Where and on what a run takes place.
pub struct Setting<'a> {
    /// Batches to learn from.
    pub train: &'a Loader,
    /// Batches to be judged by.
    pub test: &'a Loader,
    /// Where to compute.
    pub device: &'a Device,
    /// With which threads.
    pub workers: &'a Workers,
    /// Whether the run goes on from a checkpoint.
    pub resumes: bool,
    /// Whether its weights come from a file.
    pub starts_from_file: bool,
    /// Where a scratch file would be.
    pub scratch: Option<&'a Path>,
    /// Where to tell what was chosen.
    pub output: Output,
}

impl Setting<'_> {
    /// What the run of `file` asks for.
    pub fn workload(&self, file: &RunFile) -> Workload {
        let batch = file.batch.min(self.train.dataset().len());
        let steps = Workload::steps(file.network.clone(), file.train.clone(), batch, self.workers.count());
        Workload {
            evaluation_batch: Some(file.batch.min(self.test.dataset().len())),
            resumes: self.resumes,
            starts_from_file: self.starts_from_file,
            ..without_data(steps, self.train.config().augment.is_some())
        }
    }
}

/// Plans the run of `file`; with a budget, first changes it to the fastest that keeps to it.
pub fn plan_run(
    file: &mut RunFile,
    setting: &Setting<'_>,
    budget_bytes: Option<usize>,
    freedom: impl FnOnce(&RunFile) -> Outcome<Freedom>,
) -> Outcome<Planned> {
    match (setting.device, budget_bytes) {
        (Device::Cpu, None) => {
            let plan = plan(&setting.workload(file))?;
            Ok(Planned { planned_bytes: Some(plan.peak_bytes as u64), evaluation_batch: None })
        }
        (Device::Cpu, Some(budget_bytes)) => {
            let freedom = if setting.resumes { as_it_was(file) } else { freedom(file)? };
            let workload = to_go_on(setting.workload(file));
            let rates = rates(setting.workers, setting.scratch)?;
            let choice = choose(&workload, &freedom, budget_bytes, &rates)?;
            setting.output.text(&words(&choice, budget_bytes));
            file.train = choice.chosen.applied(&workload).train;
            Ok(Planned {
                planned_bytes: Some(choice.plan.peak_bytes as u64),
                evaluation_batch: choice.chosen.evaluation_batch,
            })
        }
        (_, None) => Ok(Planned::default()),
        (_, Some(_)) => Err(Fault::usage(
            "a memory budget can be kept to on the CPU only; leave --memory-budget out, or use --device cpu",
        )),
    }
}

/// How fast this machine is, and its storage in `scratch`; where nobody says where that would be, that of temporary
/// files.
pub fn rates(workers: &Workers, scratch: Option<&Path>) -> Outcome<Rates> {
    let rates = workers.run(Rates::measure)?;
    match scratch {
        Some(directory) => Ok(rates.with_storage(directory)?),
        None => Ok(rates.with_storage(&std::env::temp_dir()).unwrap_or(rates)),
    }
}

/// Within a budget a run must be able to go on after it was stopped, which takes some memory, too.
fn to_go_on(workload: Workload) -> Workload {
    Workload { resumes: true, ..workload }
}

/// A run that goes on stays as it was.
fn as_it_was(file: &RunFile) -> Freedom {
    Freedom::of_cuts(vec![file.train.ends.clone()])
}

/// What was chosen, in a line or two.
pub fn words(choice: &Choice, budget_bytes: usize) -> String {
    let chosen = &choice.chosen;
    let mut text = format!(
        "{} planned of {}: {}, about {:.2} s a step (an estimate)",
        size::words(choice.plan.peak_bytes),
        size::words(budget_bytes),
        chosen.words(),
        chosen.step_seconds
    );
    for note in &choice.notes {
        text += &format!("\nnote: {note}");
    }
    text
}

/// Steps as a run takes them, but for what its data hold: with evaluations, checkpoints and records.
pub fn without_data(steps: Workload, augments: bool) -> Workload {
    Workload {
        evaluation_batch: Some(steps.batch),
        augments,
        saves: true,
        record_bytes: RECORD_BYTES,
        program_bytes: memory::live(),
        ..steps
    }
}

/// What a rule can do within a budget.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Whether it keeps to it.
    pub fits: bool,
    /// Whether it does so with enough samples at once for batch norm.
    pub fits_well: bool,
    /// The least that it needs.
    pub least_bytes: usize,
}

/// What a workload can do within the budget in the ways that `freedom` leaves open. How fast that is does not matter.
pub fn attempt(workload: Workload, freedom: &Freedom, budget_bytes: Option<usize>) -> Outcome<Attempt> {
    let (workload, rates) = (&to_go_on(workload), Rates::default());
    let found = fastest(workload, freedom, budget_bytes.unwrap_or(usize::MAX), &rates)?;
    let fits_well = found.as_ref().is_some_and(|found| !found.has_poor_statistics(workload.batch));
    let least_bytes = match &found {
        Some(found) => found.peak_bytes,
        None => least(workload, freedom, &rates)?.map_or(usize::MAX, |least| least.peak_bytes),
    };
    Ok(Attempt { fits: found.is_some(), fits_well, least_bytes })
}

/// The plan of a workload, or of what is chosen for it.
pub fn plan_or_choose(
    workload: &Workload,
    budget_bytes: Option<usize>,
    freedom: &Freedom,
    rates: &Rates,
) -> Outcome<(Plan, Option<Choice>)> {
    let Some(budget_bytes) = budget_bytes else { return Ok((plan(workload)?, None)) };
    let choice = choose(&to_go_on(workload.clone()), freedom, budget_bytes, rates)?;
    Ok((choice.plan.clone(), Some(choice)))
}
