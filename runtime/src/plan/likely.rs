//! Ways to train on a device, where a plan is a rehearsal and takes a while: what counting on the CPU finds likely to fit is rehearsed,
//! the fastest first, until there are enough.

use super::choose::{Candidate, Freedom, RUNNERS_UP, micro_batches, repetitions, smallest_evaluation};
use super::counted::Planner;
use super::rates::Rates;
use super::workload::{Workload, plan_within};
use crate::error::Result;
use crate::maps::Place;
use std::cmp::Ordering;

/// Whether plans of this workload are rehearsals.
pub(super) fn is_rehearsed(workload: &Workload) -> bool {
    workload.place.as_ref().and_then(Place::rehearsal).is_some()
}

/// The workload as it would be on the CPU with one thread, with nothing besides in memory: on a device it takes hardly less, often
/// more.
pub(super) fn counted_alone(workload: &Workload) -> Workload {
    Workload {
        threads: 1,
        reading_bytes: 0,
        evaluation_reading_bytes: 0,
        record_bytes: 0,
        program_bytes: 0,
        starts_from_file: false,
        saves: false,
        place: None,
        ..workload.clone()
    }
}

/// What a thread of the CPU works in, and small things that nobody counts: in small networks most of all, and not on a device.
const BESIDES_BYTES: usize = 2 << 20;

/// What counts as likely on the CPU, where a device has so much.
fn likely_bytes(budget_bytes: usize) -> usize {
    budget_bytes.saturating_add(budget_bytes / 3).saturating_add(BESIDES_BYTES)
}

/// Whether training so is likely to keep to a limit; `planner` has counted nothing but this workload, trained in other ways.
pub(super) fn is_likely(
    candidate: &Candidate,
    counted: &Workload,
    limit_bytes: usize,
    planner: &mut Planner,
) -> Result<bool> {
    Ok(plan_within(&candidate.applied(counted), Some(likely_bytes(limit_bytes)), planner)?.is_some())
}

/// A cut and a way to repeat forward passes, with the largest micro-batches that may still fit.
struct Line {
    ends: Vec<usize>,
    recompute: bool,
    pieces: Vec<usize>,
    /// The sizes that are smaller, the smallest first.
    smaller: Vec<Option<usize>>,
    likely: Candidate,
}

impl Line {
    /// Of the sizes that are left the largest that counting finds likely; none where no size is.
    fn next(
        &mut self,
        counted: &Workload,
        budget_bytes: usize,
        rates: &Rates,
        planner: &mut Planner,
    ) -> Result<bool> {
        let likely_bytes = likely_bytes(budget_bytes);
        while let Some(size) = self.smaller.pop() {
            let start = Candidate::cut(counted, &self.ends, (size, self.recompute, &self.pieces));
            let limits = (likely_bytes, Some(likely_bytes));
            self.likely = smallest_evaluation(&mut counted.clone(), start, limits, rates, planner)?;
            if self.likely.peak_bytes <= likely_bytes {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Of each cut and way to repeat forward passes the largest micro-batches that keep to the budget, but only as many as are asked for:
/// the fastest.
///
/// # Errors
/// Those of planning.
pub(super) fn search(
    workload: &Workload,
    freedom: &Freedom,
    budget_bytes: usize,
    rates: &Rates,
    planner: &mut Planner,
) -> Result<Vec<Candidate>> {
    let (counted, counting) = (counted_alone(workload), &mut Planner::default());
    let mut lines = lines(workload, &counted, freedom, budget_bytes, rates, counting)?;
    let mut fitting = Vec::<Candidate>::new();
    let whole = if freedom.micro_batch { None } else { workload.train.execution.micro_batch };
    let is_whole = |candidate: &Candidate| candidate.execution.micro_batch == whole;
    let mut changed = workload.clone();
    loop {
        // The fastest that keeps the batch whole is told of, however slow it is.
        let is_enough = fitting.len() > RUNNERS_UP;
        let has_whole = fitting.iter().any(is_whole);
        let wanted =
            lines.iter().enumerate().filter(|(_, line)| !is_enough || !has_whole && is_whole(&line.likely));
        let order = |line: &Line| line.likely.order(workload.batch);
        let best = wanted.min_by(|(_, a), (_, b)| order(a).partial_cmp(&order(b)).unwrap_or(Ordering::Equal));
        let Some(best) = best.map(|(index, _)| index) else { break };
        let mut line = lines.swap_remove(best);
        let start = Candidate {
            evaluation_batch: line.likely.evaluation_batch,
            ..Candidate::cut(
                workload,
                &line.ends,
                (line.likely.execution.micro_batch, line.recompute, &line.pieces),
            )
        };
        let found =
            smallest_evaluation(&mut changed, start, (budget_bytes, Some(budget_bytes)), rates, planner)?;
        if found.peak_bytes > budget_bytes {
            if line.next(&counted, budget_bytes, rates, counting)? {
                lines.push(line);
            }
            continue;
        }
        // To repeat more would only take longer.
        if is_whole(&found) {
            lines.retain(|other| other.ends != line.ends || order(other) < order(&line));
        }
        fitting.push(found);
    }
    Ok(fitting)
}

fn lines(
    workload: &Workload,
    counted: &Workload,
    freedom: &Freedom,
    budget_bytes: usize,
    rates: &Rates,
    planner: &mut Planner,
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for ends in &freedom.cuts {
        let sizes = micro_batches(workload, freedom, ends)?;
        for (recompute, pieces) in repetitions(workload, freedom, ends)? {
            let likely = Candidate::cut(counted, ends, (None, recompute, &pieces));
            let smaller = sizes.iter().rev().copied().collect();
            let mut line = Line { ends: ends.clone(), recompute, pieces, smaller, likely };
            if line.next(counted, budget_bytes, rates, planner)? {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}
