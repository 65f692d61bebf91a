//! Which ways to train a network keep to a budget, and which of them is the fastest.
//!
//! What may be chosen: where the network is cut, how many samples pass through a block at once, whether forward passes
//! are repeated, in which pieces a backward pass is taken, what activations wait in, whether weights and features wait in
//! a file, and the batch of evaluations. What loses nothing comes first: files are taken where nothing fits without them,
//! and so are fewer bits, those of bf16: nothing that f32 holds is too large for them, as it may be for f16. Micro-batches
//! change what batch norm sees, so those of fewer than [`SMALL_MICRO_BATCH`] samples are taken only where nothing else fits.

use super::counted::Planner;
use super::cuts;
use super::least;
use super::likely;
use super::rates::Rates;
use super::size::words;
use super::workload::{Plan, Workload, evaluation_bytes, plan, plan_within};
use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer};
use crate::network::NetworkSpec;
use crate::precision::Precision;
use crate::trainer::one_value::check_statistics;
use crate::trainer::{Execution, Method, TrainConfig};
use serde::Serialize;

/// The statistics of fewer samples are poor.
pub const SMALL_MICRO_BATCH: usize = 16;
/// How many configurations are told of besides the chosen one.
pub(super) const RUNNERS_UP: usize = 4;

/// What is left to choose.
#[derive(Clone, Debug)]
pub struct Freedom {
    /// The cuts to choose among, each the last unit of every block.
    pub cuts: Vec<Vec<usize>>,
    /// Whether the size of micro-batches may be chosen; else it is the workload's.
    pub micro_batch: bool,
    /// Whether to repeat forward passes may be chosen; else it is as the workload says.
    pub recompute: bool,
    /// Whether backward passes may be taken in pieces, also within blocks; else they are as the workload says.
    pub pieces: bool,
    /// Whether activations may wait in bf16, which no activation is too large for as for f16; else they wait in what the
    /// workload says.
    pub half: bool,
    /// Whether weights, features and what the optimizer remembers may wait in a file; else they wait where the workload
    /// says.
    pub files: bool,
}

impl Freedom {
    /// Nothing but these cuts.
    pub fn of_cuts(cuts: Vec<Vec<usize>>) -> Self {
        Self { cuts, micro_batch: false, recompute: false, pieces: false, half: false, files: false }
    }
}

/// A way to train.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// Last unit of each block.
    pub ends: Vec<usize>,
    /// How it is carried out.
    #[serde(flatten)]
    pub execution: Execution,
    /// Samples of an evaluation's batch, if there are evaluations.
    pub evaluation_batch: Option<usize>,
    /// The most bytes at any moment.
    pub peak_bytes: usize,
    /// How long a step takes: an estimate from counted operations.
    pub step_seconds: f64,
    /// Bytes that a step writes to a file or reads from it.
    pub stored_bytes: f64,
}

impl Candidate {
    /// Its words: blocks, micro-batches, recomputation.
    pub fn words(&self) -> String {
        let Execution { micro_batch, exact, recompute, pieces, activations, .. } = &self.execution;
        let count = self.ends.len();
        let mut text = format!("{count} block{}", if count == 1 { "" } else { "s" });
        if let Some(micro_batch) = micro_batch {
            text += &format!(", {}micro-batches of {micro_batch}", if *exact { "exact " } else { "" });
        }
        if !pieces.is_empty() {
            text += &format!(", backward in {} pieces", pieces.len());
        }
        if *recompute {
            text += ", recomputation";
        }
        if *activations != Precision::F32 {
            text += &format!(", activations in {activations}");
        }
        if self.execution.needs_scratch() {
            text += ", the rest in a file";
        }
        text
    }

    /// The last unit of each block.
    pub fn places(&self) -> String {
        self.ends.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// The workload, trained this way.
    #[must_use]
    pub fn applied(&self, workload: &Workload) -> Workload {
        let mut workload = workload.clone();
        self.apply_to(&mut workload);
        workload
    }

    fn apply_to(&self, workload: &mut Workload) {
        self.train(&mut workload.train);
        workload.evaluation_batch = self.evaluation_batch;
    }

    /// Has a network trained this way.
    pub fn train(&self, train: &mut TrainConfig) {
        train.method.ends.clone_from(&self.ends);
        train.execution.clone_from(&self.execution);
    }

    /// The workload's own way.
    ///
    /// # Errors
    /// Those of planning.
    pub fn of(workload: &Workload, rates: &Rates) -> Result<Self> {
        let plan = plan(workload)?;
        let mut candidate = Self::unplanned(workload);
        candidate.fill_in(&plan, rates);
        Ok(candidate)
    }

    fn unplanned(workload: &Workload) -> Self {
        let train = &workload.train;
        Self {
            ends: train.method.ends.clone(),
            execution: train.execution.clone(),
            evaluation_batch: workload.evaluation_batch,
            peak_bytes: 0,
            step_seconds: 0.0,
            stored_bytes: 0.0,
        }
    }

    /// The workload's own way but for these blocks, micro-batches, recomputation and pieces.
    pub(super) fn cut(
        workload: &Workload,
        ends: &[usize],
        (micro_batch, recompute, pieces): (Option<usize>, bool, &[usize]),
    ) -> Self {
        let mut candidate = Self { ends: ends.to_vec(), ..Self::unplanned(workload) };
        let execution = &mut candidate.execution;
        (execution.micro_batch, execution.recompute) = (micro_batch, recompute);
        execution.pieces = pieces.to_vec();
        candidate
    }

    fn fill_in(&mut self, plan: &Plan, rates: &Rates) {
        self.peak_bytes = plan.peak_bytes;
        self.step_seconds = rates.seconds(&plan.step_work);
        self.stored_bytes = plan.step_work.stored_bytes;
    }

    /// What decides between two that fit: good statistics first, then all bits, then time, then bytes.
    pub(super) fn order(&self, batch: usize) -> (bool, bool, f64, usize) {
        let halved = self.execution.activations != Precision::F32;
        (self.has_poor_statistics(batch), halved, self.step_seconds, self.peak_bytes)
    }

    /// Whether so few samples pass at once that batch norm's statistics are poor; a step takes `batch` of them.
    pub fn has_poor_statistics(&self, batch: usize) -> bool {
        let Execution { exact, micro_batch, .. } = self.execution;
        !exact && micro_batch.unwrap_or(batch) < batch.min(SMALL_MICRO_BATCH)
    }
}

/// What was chosen, and what else would fit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// The fastest that fits.
    pub chosen: Candidate,
    /// Its plan.
    pub plan: Plan,
    /// The next ones, the fastest that keeps the batch whole among them if there is one.
    pub runners_up: Vec<Candidate>,
    /// What the user should know of what was chosen.
    pub notes: Vec<String>,
}

/// Chooses the fastest way to train within `budget_bytes`.
///
/// # Errors
/// `Config` with the least that would do, when nothing fits; those of planning.
pub fn choose(workload: &Workload, freedom: &Freedom, budget_bytes: usize, rates: &Rates) -> Result<Choice> {
    let mut fitting = search(workload, freedom, budget_bytes, rates)?.into_iter();
    let chosen = match fitting.next() {
        Some(chosen) => chosen,
        None => {
            let least = least::of_ways(workload, freedom, budget_bytes, rates)?;
            // On a device not everything that fits is looked at.
            let fits = least.clone().filter(|least| least.peak_bytes <= budget_bytes);
            fits.ok_or_else(|| refusal(workload, budget_bytes, least))?
        }
    };
    let plan = plan(&chosen.applied(workload))?;
    let mut runners_up: Vec<Candidate> = fitting.collect();
    let whole = runners_up.iter().position(|candidate| candidate.execution.micro_batch.is_none());
    if let Some(whole) = whole.filter(|&whole| whole >= RUNNERS_UP) {
        runners_up.swap(RUNNERS_UP - 1, whole);
    }
    runners_up.truncate(RUNNERS_UP);
    let notes = notes(workload, &chosen);
    Ok(Choice { chosen, plan, runners_up, notes })
}

/// The fastest way to train within `budget_bytes`, if there is one.
///
/// # Errors
/// Those of planning.
pub fn fastest(
    workload: &Workload,
    freedom: &Freedom,
    budget_bytes: usize,
    rates: &Rates,
) -> Result<Option<Candidate>> {
    Ok(search(workload, freedom, budget_bytes, rates)?.into_iter().next())
}

/// What fits, the best first. Ways that wait in files or in fewer bits are looked at where nothing without them fits and
/// has good statistics.
fn search(
    workload: &Workload,
    freedom: &Freedom,
    budget_bytes: usize,
    rates: &Rates,
) -> Result<Vec<Candidate>> {
    let mut planner = Planner::default();
    let mut fitting = Vec::<Candidate>::new();
    for (number, way) in ways(workload, freedom).into_iter().enumerate() {
        // Exact micro-batches take so long that larger ones are looked for with a file.
        let enough = |candidate: &Candidate| {
            let slow = candidate.execution.exact && candidate.execution.micro_batch.is_some();
            !slow && !candidate.has_poor_statistics(workload.batch)
        };
        if number == 1 && fitting.iter().any(enough) || number > 1 && fitting.is_empty() {
            break;
        }
        let search_one = if likely::is_rehearsed(workload) { likely::search } else { search_one };
        fitting.extend(search_one(&way.of(workload), freedom, budget_bytes, rates, &mut planner)?);
    }
    let order = |candidate: &Candidate| candidate.order(workload.batch);
    fitting.sort_by(|a, b| order(a).partial_cmp(&order(b)).unwrap_or(std::cmp::Ordering::Equal));
    Ok(fitting)
}

/// What waits where.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    files: bool,
    half: bool,
}

impl Way {
    /// The workload, waiting so.
    pub(super) fn of(self, workload: &Workload) -> Workload {
        let mut workload = workload.clone();
        let execution = &mut workload.train.execution;
        if self.files {
            (execution.offload, execution.features_on_disk) = (true, true);
        }
        if self.half {
            execution.activations = Precision::Bf16;
        }
        workload
    }
}

/// The ways there are; that which needs least comes second: where it does not fit, nothing does.
pub(super) fn ways(workload: &Workload, freedom: &Freedom) -> Vec<Way> {
    let half = freedom.half && workload.train.execution.activations == Precision::F32;
    // Optimizer state in 8 bits does not wait in files.
    let files = freedom.files && workload.train.method.optimizer_state.is_f32();
    let mut ways = Vec::new();
    for (files, half) in [(false, false), (files, half), (files, false), (false, half)] {
        if !ways.contains(&Way { files, half }) {
            ways.push(Way { files, half });
        }
    }
    ways
}

/// For each cut, and each way to repeat forward passes, the largest micro-batches that keep to the budget.
fn search_one(
    workload: &Workload,
    freedom: &Freedom,
    budget_bytes: usize,
    rates: &Rates,
    planner: &mut Planner,
) -> Result<Vec<Candidate>> {
    let mut fitting = Vec::new();
    let mut changed = workload.clone();
    for ends in &freedom.cuts {
        let sizes = micro_batches(workload, freedom, ends)?;
        for (recompute, pieces) in repetitions(workload, freedom, ends)? {
            let mut try_size = |size: usize| {
                let start = Candidate::cut(workload, ends, (sizes[size], recompute, &pieces));
                smallest_evaluation(&mut changed, start, (budget_bytes, Some(budget_bytes)), rates, planner)
            };
            let Some(found) = largest_that_fits(sizes.len(), budget_bytes, &mut try_size)? else { continue };
            let is_whole = found.execution.micro_batch == sizes[0];
            fitting.push(found);
            // To repeat more would only take longer.
            if is_whole {
                break;
            }
        }
    }
    Ok(fitting)
}

/// What may be repeated: forward passes of blocks, where there are auxiliary networks to do so before, and those of
/// pieces: of many cuts of a network that is one block, of every unit where there are several blocks.
pub(super) fn repetitions(
    workload: &Workload,
    freedom: &Freedom,
    ends: &[usize],
) -> Result<Vec<(bool, Vec<usize>)>> {
    let Execution { recompute, pieces, exact, .. } = &workload.train.execution;
    if *exact {
        return Ok(vec![(*recompute, pieces.clone())]);
    }
    let whole = ends.len() == 1;
    let recomputes = if freedom.recompute && !whole { vec![false, true] } else { vec![*recompute] };
    let all_pieces = match (freedom.pieces, whole) {
        (false, _) => vec![pieces.clone()],
        (true, true) => std::iter::once(Vec::new()).chain(cuts::pieces(&workload.network)?).collect(),
        (true, false) => vec![Vec::new(), (0..workload.network.units.len()).collect()],
    };
    let with =
        |pieces: &Vec<usize>| recomputes.iter().map(|&recompute| (recompute, pieces.clone())).collect();
    Ok(all_pieces.iter().flat_map(|pieces| -> Vec<_> { with(pieces) }).collect())
}

/// The sizes of micro-batches to try: all of the batch, then ever smaller, but none of which batch norm would see a
/// single value.
pub(super) fn micro_batches(
    workload: &Workload,
    freedom: &Freedom,
    ends: &[usize],
) -> Result<Vec<Option<usize>>> {
    if !freedom.micro_batch {
        return Ok(vec![workload.train.execution.micro_batch]);
    }
    let alone = TrainConfig {
        method: Method { ends: ends.to_vec(), ..workload.train.method.clone() },
        execution: Execution { micro_batch: Some(1), ..workload.train.execution.clone() },
    };
    let least = if check_statistics(&workload.network, &alone, workload.batch).is_ok() { 1 } else { 2 };
    let halves = std::iter::successors(Some(workload.batch), |&size| {
        (size > 1).then(|| size.div_ceil(2)).filter(|&half| half >= least)
    });
    Ok(halves.map(|size| (size < workload.batch).then_some(size)).collect())
}

/// The first of `count` ever smaller sizes of micro-batches that fits, larger ones being faster.
fn largest_that_fits(
    count: usize,
    budget_bytes: usize,
    try_size: &mut dyn FnMut(usize) -> Result<Candidate>,
) -> Result<Option<Candidate>> {
    let fits_in = |candidate: &Candidate| candidate.peak_bytes <= budget_bytes;
    let whole = try_size(0)?;
    if fits_in(&whole) || count == 1 {
        return Ok(Some(whole).filter(fits_in));
    }
    // Below the whole batch, where gradients are gathered, a smaller size takes no more memory.
    let (mut too_large, mut fits) = (0, count - 1);
    let mut found = try_size(fits)?;
    if !fits_in(&found) {
        return Ok(None);
    }
    while fits - too_large > 1 {
        let middle = (fits + too_large) / 2;
        let candidate = try_size(middle)?;
        match fits_in(&candidate) {
            true => (fits, found) = (middle, candidate),
            false => too_large = middle,
        }
    }
    Ok(Some(found))
}

/// `candidate` with its bytes and seconds, its evaluation's batch halved for as long as that is what does not fit; past
/// `limit_bytes` it is said to take all there is.
pub(super) fn smallest_evaluation(
    workload: &mut Workload,
    mut candidate: Candidate,
    (budget_bytes, limit_bytes): (usize, Option<usize>),
    rates: &Rates,
    planner: &mut Planner,
) -> Result<Candidate> {
    candidate.apply_to(workload);
    let Some(plan) = plan_within(workload, limit_bytes, planner)? else {
        return Ok(Candidate { peak_bytes: usize::MAX, ..candidate });
    };
    candidate.fill_in(&plan, rates);
    if plan.peak_bytes <= budget_bytes || !plan.is_peak_of_evaluation() {
        return Ok(candidate);
    }
    let training_bytes = plan.peak_outside_evaluation();
    while let Some(samples @ 2..) = candidate.evaluation_batch {
        candidate.evaluation_batch = Some(samples.div_ceil(2));
        candidate.apply_to(workload);
        let bytes = evaluation_bytes(workload, planner)?;
        candidate.peak_bytes = bytes.max(training_bytes);
        // Smaller than training needs is small enough.
        if bytes <= budget_bytes.max(training_bytes) {
            break;
        }
    }
    Ok(candidate)
}

/// The sentence that says what would do.
fn refusal(workload: &Workload, budget_bytes: usize, least: Option<Candidate>) -> Error {
    let (network, batch) = (&workload.network.name, workload.batch);
    let rule = workload.train.method.rule.rule;
    let Some(least) = least else {
        return Error::config("there is no way to cut the network to choose from");
    };
    // Rounded up: what is named must do.
    let needed = least.peak_bytes.next_multiple_of(1 << 10);
    Error::config(format!(
        "a budget of {} is too small for {network} with {rule} and batch {batch}: the least that would do is {} ({needed} \
         bytes; {}); a smaller batch, fewer threads, a smaller network or another optimizer bring it down",
        words(budget_bytes),
        words(needed),
        least.words()
    ))
    .with_least_bytes(needed)
}

fn notes(workload: &Workload, chosen: &Candidate) -> Vec<String> {
    let mut notes = Vec::new();
    let Execution { micro_batch, exact, activations, .. } = chosen.execution;
    if let Some(micro_batch) = micro_batch
        && has_batch_norm(&workload.network)
    {
        notes.push(match exact {
            true => format!(
                "batch norm's statistics are those of all {} samples, for which each batch norm has every micro-batch pass \
                 twice more",
                workload.batch
            ),
            false => format!(
                "batch norm's statistics are those of {micro_batch} samples, not of {}; --exact makes them those of \
                 all, and takes longer",
                workload.batch
            ),
        });
    }
    if activations != Precision::F32 {
        notes.push(format!(
            "activations wait for the backward pass in {activations}, which changes gradients in their last digits"
        ));
    }
    if chosen.execution.needs_scratch() {
        notes.push(format!(
            "weights and features that are not at work wait in a scratch file: {} a step go there or come back",
            words(chosen.stored_bytes as usize)
        ));
    }
    if chosen.evaluation_batch < workload.evaluation_batch
        && let Some(samples) = chosen.evaluation_batch
    {
        notes.push(format!(
            "evaluations take {samples} samples at once, which changes results in their last digits at most"
        ));
    }
    notes
}

fn has_batch_norm(network: &NetworkSpec) -> bool {
    fn any(layers: &[NamedLayer]) -> bool {
        layers.iter().any(|NamedLayer { layer, .. }| {
            matches!(layer, LayerSpec::BatchNorm { .. }) || layer.branches().into_iter().any(any)
        })
    }
    let units = network.expand().unwrap_or_default();
    units.iter().any(|(layers, _)| any(layers)) || any(&network.head)
}
