//! From what is to be done to the bytes that it takes.

use super::counted::{self, Counted, Planner};
use super::ledger::{Moment, MomentPeak, Part, PartBytes, Work};
use super::rehearsed::{Rehearsed, rehearse, rehearse_within};
use crate::error::{Error, Result};
use crate::exits::Exits;
use crate::maps::Place;
use crate::maps::counted::counter::ELEMENT_BYTES;
use crate::network::NetworkSpec;
use crate::rules::{Rule, RuleConfig};
use crate::trainer::{CacheConfig, Method, TrainConfig};
use serde::Serialize;

/// Small things that nobody counts: names, specs, progress, the allocator's own lists, and what a process makes once.
pub const ALLOWANCE_BYTES: usize = 192 << 10;

/// A run whose memory is to be planned.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The network.
    pub network: NetworkSpec,
    /// How it is trained.
    pub train: TrainConfig,
    /// Samples a step.
    pub batch: usize,
    /// Samples to learn from, where features of all of them are kept; else of no matter.
    pub samples: usize,
    /// Samples of an evaluation's batch; `None` where nothing is evaluated.
    pub evaluation_batch: Option<usize>,
    /// Samples to be judged by, where features of all of them are kept; else of no matter.
    pub evaluation_samples: usize,
    /// Whether the exits behind blocks are evaluated, too.
    pub judges_exits: bool,
    /// Worker threads.
    pub threads: usize,
    /// Whether images are varied as they are read.
    pub augments: bool,
    /// Whether samples are mixed with others of their batch.
    pub blends: bool,
    /// Bytes that reading a sample to learn from takes meanwhile, in each of as many threads. If it takes any, batches are
    /// made ahead.
    pub reading_bytes: usize,
    /// The same of a sample to be judged by.
    pub evaluation_reading_bytes: usize,
    /// Whether samples may come as what the units that stay as they are have made of them.
    pub takes_features: bool,
    /// Whether checkpoints are written.
    pub saves: bool,
    /// Whether the run goes on from a checkpoint, of which each block's file is read whole.
    pub resumes: bool,
    /// Whether the network's weights come from a file, which is read whole.
    pub starts_from_file: bool,
    /// Bytes that records of the run take between steps, at most.
    pub record_bytes: usize,
    /// Bytes that are in memory throughout, such as a data set's.
    pub program_bytes: usize,
    /// Where it takes place, if not on the CPU: the bytes that are planned are of the memory there.
    pub place: Option<Place>,
}

impl Workload {
    /// Training steps of `batch` samples alone: no evaluation and no checkpoints.
    pub fn steps(network: NetworkSpec, train: TrainConfig, batch: usize, threads: usize) -> Self {
        Self {
            network,
            train,
            batch,
            samples: 0,
            evaluation_batch: None,
            evaluation_samples: 0,
            judges_exits: false,
            threads,
            augments: false,
            blends: false,
            reading_bytes: 0,
            evaluation_reading_bytes: 0,
            takes_features: false,
            saves: false,
            resumes: false,
            starts_from_file: false,
            record_bytes: 0,
            program_bytes: 0,
            place: None,
        }
    }

    /// Bytes of the features that are kept of all samples but those of a step's batch, of `entry_bytes` a sample, and beside these
    /// `more_bytes`.
    pub(super) fn kept_bytes(
        &self,
        cache: CacheConfig,
        entry_bytes: usize,
        more_bytes: usize,
    ) -> Result<usize> {
        let showings = self.samples.saturating_mul(cache.variants);
        let judged = self.evaluation_batch.map_or(0, |_| self.evaluation_samples);
        let kept = showings.saturating_sub(self.batch).saturating_add(judged);
        let bytes = kept.saturating_mul(entry_bytes).saturating_add(more_bytes);
        if bytes > isize::MAX as usize / 2 {
            return Err(Error::config(format!(
                "the features of {} showings of {} samples are more than any memory holds",
                cache.variants, self.samples
            )));
        }
        Ok(bytes)
    }
}

/// What a block needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BlockBytes {
    /// Its first unit.
    pub first_unit: usize,
    /// Its last unit.
    pub last_unit: usize,
    /// Its weights and running statistics, the head's if it is the last.
    pub weights_bytes: usize,
    /// What the optimizer remembers, of the auxiliary network, too.
    pub optimizer_bytes: usize,
    /// Weights of its auxiliary network, moving averages included.
    pub auxiliary_bytes: usize,
    /// The most that the whole run has in memory while this block is trained.
    pub peak_bytes: usize,
}

/// The bytes of a run, by moment, part and block.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The most at any moment.
    pub peak_bytes: usize,
    /// When that is.
    pub peak_moment: Moment,
    /// What it consists of, in the order of [`Part::ALL`].
    pub parts_at_peak: PartBytes,
    /// The most of each part at any time.
    pub worst_of_parts: PartBytes,
    /// The most at each moment, in the order in which they begin.
    pub moments: Vec<MomentPeak>,
    /// Each block.
    pub blocks: Vec<BlockBytes>,
    /// Work of one step.
    pub step_work: Work,
}

impl Plan {
    /// Whether the most is in memory while the network is evaluated.
    pub fn is_peak_of_evaluation(&self) -> bool {
        self.peak_moment == Moment::Evaluate
    }

    /// The most at any moment but that.
    pub fn peak_outside_evaluation(&self) -> usize {
        let others = self.moments.iter().filter(|peak| peak.moment != Moment::Evaluate);
        others.map(|peak| peak.bytes).max().unwrap_or(0)
    }
}

/// Plans a run.
///
/// # Errors
/// Those of building the trainer, and `Config` for a batch or a pool of none.
pub fn plan(workload: &Workload) -> Result<Plan> {
    let planned = plan_within(workload, None, &mut Planner::default())?;
    planned.ok_or_else(|| Error::internal("a plan without a limit has passed it"))
}

/// The same where training keeps to `limit_bytes`; none where it does not.
pub(super) fn plan_within(
    workload: &Workload,
    limit_bytes: Option<usize>,
    planner: &mut Planner,
) -> Result<Option<Plan>> {
    check_batches(workload)?;
    let rehearsed = rehearse_within(workload, limit_bytes.unwrap_or(usize::MAX))?;
    if rehearsed.is_some_and(|found| limit_bytes.is_some_and(|limit| found.training_bytes > limit)) {
        return Ok(None);
    }
    let counted_limit = limit_bytes.filter(|_| rehearsed.is_none());
    let planned = count(workload, counted_limit, planner)?;
    Ok(match rehearsed {
        Some(found) => planned.map(|plan| there(plan, found)),
        None => planned,
    })
}

/// The plan of a run whose memory is that of a device: the bytes of moments are there.
fn there(counted: Plan, found: Rehearsed) -> Plan {
    let of = |moment, bytes| MomentPeak { moment, bytes, parts: PartBytes::default() };
    let trained = of(Moment::Update(0), found.training_bytes);
    let moments = vec![trained.clone(), of(Moment::Evaluate, found.evaluation_bytes)];
    let (peak_bytes, peak_moment) = match found.evaluation_bytes > found.training_bytes {
        true => (found.evaluation_bytes, Moment::Evaluate),
        false => (found.training_bytes, trained.moment),
    };
    Plan { peak_bytes, peak_moment, moments, parts_at_peak: PartBytes::default(), ..counted }
}

/// The plan of a run in the memory of the process.
fn count(workload: &Workload, limit_bytes: Option<usize>, planner: &mut Planner) -> Result<Option<Plan>> {
    planner.count(workload, limit_bytes, |counted| {
        let ledger = counted.counter.ledger.clone();
        if workload.starts_from_file {
            ledger.touch(Part::Program, loaded_bytes(counted));
        }
        let step_work = counted.step(workload)?;
        counted.counter.check()?;
        // Evaluations may still take fewer samples.
        ledger.lift_limit();
        if let Some(samples) = workload.evaluation_batch {
            counted.evaluate(samples)?;
        }
        ledger.enter(Moment::Save);
        ledger.touch(Part::Program, workload.record_bytes);
        if workload.saves {
            save(counted, workload.resumes)?;
        }
        Ok(assemble(counted, &workload.train, step_work))
    })
}

/// The most bytes that a run on a device takes of the memory of the process, of which its driver takes more.
///
/// # Errors
/// Those of building the trainer, and `Config` for a batch or a pool of none.
pub fn host_bytes(workload: &Workload) -> Result<usize> {
    check_batches(workload)?;
    let found = Planner::default().count(workload, None, |counted| Ok(counted.host_bytes(workload)))?;
    found.ok_or_else(|| Error::internal("a plan without a limit has passed it"))
}

/// The most at any moment of a run that evaluates and does nothing else.
pub(super) fn evaluation_bytes(workload: &Workload, planner: &mut Planner) -> Result<usize> {
    let Some(samples) = workload.evaluation_batch else { return Ok(0) };
    if let Some(found) = rehearse(workload)? {
        return Ok(found.evaluation_bytes);
    }
    let counted = planner.count(workload, None, |counted| {
        counted.evaluate(samples)?;
        Ok(counted.most_bytes())
    })?;
    counted.ok_or_else(|| Error::internal("an evaluation without a limit has passed it"))
}

/// Bytes that the evaluation of `samples` images at once takes beside a network that is in memory, with its `exits` if it has
/// some, at the most; where reading a sample takes `reading_bytes` meanwhile, batches are made ahead.
///
/// # Errors
/// Those of building the network, and `Config` for a batch or a pool of none.
pub fn evaluation_beside(
    network: &NetworkSpec,
    exits: Option<&Exits>,
    samples: usize,
    threads: usize,
    reading_bytes: usize,
) -> Result<usize> {
    let whole = || {
        TrainConfig::from(Method {
            rule: RuleConfig::new(Rule::Bp),
            ends: vec![network.units.len().saturating_sub(1)],
            ..Method::default()
        })
    };
    let whole = exits.map_or_else(whole, Exits::train_config);
    let steps = Workload {
        judges_exits: exits.is_some(),
        evaluation_reading_bytes: reading_bytes,
        ..Workload::steps(network.clone(), whole, 1, threads)
    };
    check_batches(&Workload { evaluation_batch: Some(samples), ..steps.clone() })?;
    Ok(counted::evaluation_beside(&steps, samples)? + ALLOWANCE_BYTES)
}

/// More elements than any batch has, and few enough that no sum of bytes overflows; on processors of 32 bits, where no
/// process has more than 4 GiB, of any network that a phone trains.
const MOST_ELEMENTS: usize = if usize::BITS < 64 { 1 << 24 } else { 1 << 40 };
/// More samples than pass at once anywhere: a plan has a label for each.
const MOST_SAMPLES: usize = 1 << 22;

fn check_batches(workload: &Workload) -> Result<()> {
    let Workload { network, batch, threads, evaluation_batch, .. } = workload;
    if *batch == 0 || *threads == 0 || *evaluation_batch == Some(0) {
        return Err(Error::config("a plan needs at least one sample a batch and one thread"));
    }
    let samples = (*batch).max(evaluation_batch.unwrap_or(0));
    let elements = samples.checked_mul(network.input.elements());
    if elements.is_none_or(|elements| elements > MOST_ELEMENTS) || samples > MOST_SAMPLES {
        return Err(Error::config(format!(
            "{samples} samples of {} are more than any memory holds; choose a smaller batch",
            network.input
        )));
    }
    Ok(())
}

/// What reading the weights' file takes beyond the optimizer's state, which does not exist yet: the file, and its
/// tensors.
fn loaded_bytes(counted: &Counted) -> usize {
    let weights: usize = counted.resting.iter().map(|rest| rest.weights).sum();
    let optimizer: usize = counted.resting.iter().map(|rest| rest.optimizer).sum();
    (2 * weights).saturating_sub(optimizer)
}

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;
/// What a tensor's entry in a file takes while it is written: name, shape and JSON.
const ENTRY_BYTES: usize = 1 << 10;

/// What `checkpoint::block_file` takes to write a block and, for a run that may go on, `checkpoint::block_input` to read it.
fn save(counted: &mut Counted, resumes: bool) -> Result<()> {
    let tensors = counted.resting.iter().map(|rest| rest.tensors).max().unwrap_or(0);
    let file_bytes = BUFFER_BYTES + tensors * ENTRY_BYTES;
    counted.bring_weights(&mut |ledger, largest| {
        // The tensor that is read beside the one whose place it takes.
        let read_bytes = if resumes { largest * ELEMENT_BYTES } else { 0 };
        ledger.touch(Part::Program, file_bytes + read_bytes);
    })
}

fn assemble(counted: &Counted, train: &TrainConfig, step_work: Work) -> Plan {
    let ledger = &counted.counter.ledger;
    let (moments, worst_of_parts) = (ledger.moments(), ledger.worst());
    let ranges = crate::network::blocks::ranges(&train.method.ends);
    let blocks = ranges.iter().zip(&counted.resting).enumerate().map(|(block, (range, rest))| BlockBytes {
        first_unit: *range.start(),
        last_unit: *range.end(),
        weights_bytes: rest.weights,
        optimizer_bytes: rest.optimizer,
        auxiliary_bytes: rest.auxiliary,
        peak_bytes: moments
            .iter()
            .filter(|p| p.moment.block() == Some(block))
            .map(|p| p.bytes)
            .max()
            .unwrap_or(0),
    });
    let blocks = blocks.collect();
    let (peak_bytes, peak_moment, parts_at_peak) = moments
        .iter()
        .max_by_key(|peak| peak.bytes)
        .map_or((0, Moment::Load, PartBytes::default()), |peak| (peak.bytes, peak.moment, peak.parts));
    Plan { peak_bytes, peak_moment, parts_at_peak, worst_of_parts, moments, blocks, step_work }
}
