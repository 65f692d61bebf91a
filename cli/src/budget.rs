//! The memory of a run before it begins: what is planned, and what a budget makes of it.

use crate::fault::{Fault, Outcome};
use crate::output::Output;
use crate::run_directory::RunFile;
use localgrad::data::Loader;
use localgrad::exits::Exits;
use localgrad::maps::Place;
use localgrad::memory;
use localgrad::network::NetworkSpec;
use localgrad::plan::{
    Choice, Freedom, Plan, Rates, Rehearsed, Workload, choose, evaluation_beside, fastest, host_bytes, least,
    plan, rehearse, size,
};
use localgrad::threads::Workers;
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
    pub place: &'a Place,
    /// With which threads.
    pub workers: &'a Workers,
    /// Whether the run goes on from a checkpoint.
    pub resumes: bool,
    /// Whether its weights come from a file.
    pub starts_from_file: bool,
    /// Whether the exits are judged at the end.
    pub judges_exits: bool,
    /// Where a scratch file would be.
    pub scratch: Option<&'a Path>,
    /// Where to tell what was chosen.
    pub output: Output,
}

impl Setting<'_> {
    /// What the run of `file` asks for.
    pub fn workload(&self, file: &RunFile) -> Workload {
        let batch = file.batch.min(self.train.dataset().len());
        let mut train = file.train.clone();
        // A chunk ends with the epoch.
        train.method.chunk = train.method.chunk.min(self.train.batches());
        let steps = Workload::steps(file.network.clone(), train, batch, self.workers.count());
        Workload {
            samples: self.train.dataset().len(),
            evaluation_samples: self.test.dataset().len(),
            evaluation_batch: Some(file.batch.min(self.test.dataset().len())),
            reading_bytes: self.train.working_bytes(),
            evaluation_reading_bytes: self.test.working_bytes(),
            blends: self.train.config().blend.is_some(),
            judges_exits: self.judges_exits,
            resumes: self.resumes,
            starts_from_file: self.starts_from_file,
            place: Some(self.place.clone()),
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
    if !setting.place.is_host() {
        return plan_on_device(file, setting, budget_bytes, freedom);
    }
    let Some(budget_bytes) = budget_bytes else {
        let workload = setting.workload(file);
        let plan = plan(&workload)?;
        check_machine(plan.peak_bytes, "this run", || {
            let freedom = if setting.resumes { Ok(as_it_was(file)) } else { freedom(file) };
            what_would_do(workload, freedom.ok(), memory::ceiling().map(|ceiling| ceiling.bytes))
        })?;
        return Ok(Planned { planned_bytes: Some(plan.peak_bytes as u64), evaluation_batch: None });
    };
    let freedom = if setting.resumes { as_it_was(file) } else { freedom(file)? };
    let workload = to_go_on(setting.workload(file));
    let rates = rates(setting.workers, setting.scratch)?;
    let most_bytes = memory::ceiling().map_or(budget_bytes, |ceiling| ceiling.bytes.min(budget_bytes));
    let choice = choose(&workload, &freedom, most_bytes, &rates)?;
    setting.output.text(&words(&choice, budget_bytes));
    choice.chosen.train(&mut file.train);
    Ok(Planned {
        planned_bytes: Some(choice.plan.peak_bytes as u64),
        evaluation_batch: choice.chosen.evaluation_batch,
    })
}

/// The same of a run in a device's memory. Which of several ways is the fastest there, the work that is counted says.
fn plan_on_device(
    file: &mut RunFile,
    setting: &Setting<'_>,
    budget_bytes: Option<usize>,
    freedom: impl FnOnce(&RunFile) -> Outcome<Freedom>,
) -> Outcome<Planned> {
    let workload = setting.workload(file);
    let Some(budget_bytes) = budget_bytes else {
        check_host(&workload)?;
        let found = rehearsed(&workload, None)?;
        let needed_bytes = found.map_or(0, |found| found.least_bytes());
        if let Some(free_bytes) = short_of(setting.place, needed_bytes) {
            let freedom = if setting.resumes { Ok(as_it_was(file)) } else { freedom(file) };
            let remedy = what_would_do(workload, freedom.ok(), Some(free_bytes));
            let short = words_of_short("this run", setting.place, needed_bytes, free_bytes);
            return Err(Fault::failed(format!("{short}: {remedy}")));
        }
        let planned_bytes = found.map(|found| found.held_bytes as u64);
        return Ok(Planned { planned_bytes, evaluation_batch: None });
    };
    let freedom = if setting.resumes { as_it_was(file) } else { freedom(file)? };
    // Others may have the rest of its memory.
    let budget_bytes = setting.place.free_bytes().map_or(budget_bytes, |free| free.min(budget_bytes));
    let choice = choose(&workload, &freedom, budget_bytes, &Rates::default())?;
    let Choice { chosen, plan, notes, .. } = &choice;
    let (needed, allowed) = (size::words(plan.peak_bytes), size::words(budget_bytes));
    let place = setting.place.name();
    setting.output.text(&format!("{needed} planned of {allowed} on {place}: {}", chosen.words()));
    notes.iter().for_each(|note| setting.output.text(&format!("note: {note}")));
    chosen.train(&mut file.train);
    let workload = chosen.applied(&workload);
    check_host(&workload)?;
    let found = rehearsed(&workload, Some(budget_bytes))?;
    Ok(Planned {
        planned_bytes: found.map(|found| found.held_bytes as u64),
        evaluation_batch: chosen.evaluation_batch,
    })
}

/// What a run takes of a device's memory that keeps to the budget, if there is one; none on the CPU.
pub fn rehearsed(workload: &Workload, budget_bytes: Option<usize>) -> Outcome<Option<Rehearsed>> {
    let most_bytes = budget_bytes.unwrap_or(usize::MAX);
    let found = rehearse(workload)?;
    Ok(found.map(|found| Rehearsed { held_bytes: found.held_bytes.min(most_bytes), ..found }))
}

/// Bytes of a device's memory that are free, where those are fewer than are needed.
pub fn short_of(place: &Place, needed_bytes: usize) -> Option<usize> {
    place.free_bytes().filter(|&free_bytes| free_bytes < needed_bytes)
}

/// The same in words.
pub fn words_of_short(what: &str, place: &Place, needed_bytes: usize, free_bytes: usize) -> String {
    let (needed, free, name) = (size::words(needed_bytes), size::words(free_bytes), place.name());
    format!("{what} takes {needed} of the memory of {name}, and {free} are free there")
}

/// Refuses a run on a device whose part in the memory of the process is more than this may have.
fn check_host(workload: &Workload) -> Outcome<()> {
    check_machine(host_bytes(workload)?, "the part of this run that is not on its device", || {
        "take a smaller --batch, fewer --threads, or data that are read as they are needed".into()
    })
}

/// Refuses what takes more memory than this process may have; `remedy` ends the sentence.
pub fn check_machine(needed_bytes: usize, what: &str, remedy: impl FnOnce() -> String) -> Outcome<()> {
    let Some(ceiling) = memory::ceiling().filter(|ceiling| ceiling.bytes < needed_bytes) else {
        return Ok(());
    };
    let (needed, most) = (size::words(needed_bytes), size::words(ceiling.bytes));
    Err(Fault::failed(format!("{what} takes {needed}, and {most} is {}: {}", ceiling.reason, remedy())))
}

/// Which budget a run would keep to that as it is takes too much where there are `most_bytes`.
pub fn what_would_do(workload: Workload, freedom: Option<Freedom>, most_bytes: Option<usize>) -> String {
    let is_host = workload.place.as_ref().is_none_or(Place::is_host);
    let found = freedom.and_then(|freedom| {
        let workload = to_go_on(workload);
        least(&workload, &freedom, &Rates::default()).ok().flatten()
    });
    // Rounded up: what is named must do.
    let bytes = found.map(|least| least.peak_bytes.next_multiple_of(1 << 10));
    match (bytes.filter(|&bytes| most_bytes.is_none_or(|most_bytes| bytes <= most_bytes)), is_host) {
        (Some(bytes), true) => format!(
            "--memory-budget {bytes} ({}) is the least that would do, and auto chooses what fits",
            size::words(bytes)
        ),
        (Some(bytes), false) => {
            format!("--memory-budget {bytes} ({}) is the least that would do", size::words(bytes))
        }
        (None, true) => {
            "no budget would do; take a smaller --batch, fewer --threads or a smaller network".into()
        }
        (None, false) => {
            "no budget would do; end what else uses it, or take a smaller --batch or a smaller network".into()
        }
    }
}

/// Of `wanted` and its halves the most for which this process may have what `needed_bytes` says, if any of them.
pub fn most_that_fits(
    wanted: usize,
    needed_bytes: impl Fn(usize) -> localgrad::Result<usize>,
) -> Outcome<Option<usize>> {
    let Some(ceiling) = memory::ceiling() else { return Ok(Some(wanted)) };
    let mut samples = wanted;
    while samples > 0 {
        if needed_bytes(samples)? <= ceiling.bytes {
            return Ok(Some(samples));
        }
        samples /= 2;
    }
    Ok(None)
}

/// The most samples, up to `wanted`, that this process may have memory to evaluate at once, with exits or without, beside the
/// network and the data that are in memory; reading a sample takes `reading_bytes` meanwhile. There is no plan but for the CPU.
pub fn evaluation_batch(
    (network, exits): (&NetworkSpec, Option<&Exits>),
    wanted: usize,
    reading_bytes: usize,
    place: &Place,
    workers: &Workers,
) -> Outcome<usize> {
    if !place.is_host() {
        return Ok(wanted);
    }
    let needed_bytes = |samples| {
        let beside = evaluation_beside(network, exits, samples, workers.count(), reading_bytes)?;
        Ok(memory::live() + beside)
    };
    match most_that_fits(wanted, needed_bytes)? {
        Some(samples) => Ok(samples),
        None => {
            check_machine(needed_bytes(1)?, "one sample", || {
                "take a smaller network or fewer --threads".into()
            })?;
            Ok(1)
        }
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
    Freedom::of_cuts(vec![file.train.method.ends.clone()])
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
        evaluation_batch: steps.evaluation_batch.or(Some(steps.batch)),
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
