//! Which way to train needs least memory, for who has too little for any.

use super::choose::{Candidate, Freedom, Way, micro_batches, repetitions, smallest_evaluation, ways};
use super::counted::Planner;
use super::likely::{counted_alone, is_likely, is_rehearsed};
use super::rates::Rates;
use super::workload::Workload;
use crate::error::Result;

/// The way to train that needs least memory; none where there is no cut to choose from.
///
/// # Errors
/// Those of planning.
pub fn least(workload: &Workload, freedom: &Freedom, rates: &Rates) -> Result<Option<Candidate>> {
    let way = ways(workload, freedom).into_iter().take(2).next_back();
    let mut search = Search { freedom, budget_bytes: 0, rates, planner: Planner::default(), least: None };
    way.map_or(Ok(()), |way| search.look(workload, way))?;
    Ok(search.least)
}

/// The same beside a budget, which evaluations take as few samples for as it needs.
///
/// # Errors
/// Those of planning.
pub(super) fn of_ways(
    workload: &Workload,
    freedom: &Freedom,
    budget_bytes: usize,
    rates: &Rates,
) -> Result<Option<Candidate>> {
    let mut search = Search { freedom, budget_bytes, rates, planner: Planner::default(), least: None };
    ways(workload, freedom).into_iter().take(2).rev().try_for_each(|way| search.look(workload, way))?;
    Ok(search.least)
}

/// Begins with what is likely to need least: whatever takes more is not counted to its end.
struct Search<'a> {
    freedom: &'a Freedom,
    budget_bytes: usize,
    rates: &'a Rates,
    planner: Planner,
    least: Option<Candidate>,
}

impl Search<'_> {
    fn look(&mut self, workload: &Workload, way: Way) -> Result<()> {
        let waiting = way.of(workload);
        let mut changed = waiting.clone();
        // To count beforehand is worth it where plans are rehearsals.
        let (alone, counting) =
            (is_rehearsed(workload).then(|| counted_alone(&waiting)), &mut Planner::default());
        for ends in self.freedom.cuts.iter().rev() {
            let sizes = micro_batches(&waiting, self.freedom, ends)?;
            for (recompute, pieces) in repetitions(&waiting, self.freedom, ends)?.into_iter().rev() {
                let mut best = None::<Candidate>;
                // Between the largest and the smallest nothing needs less than both.
                for micro_batch in
                    [sizes.last(), sizes.first().filter(|_| sizes.len() > 1)].into_iter().flatten()
                {
                    let candidate = Candidate::cut(&waiting, ends, (*micro_batch, recompute, &pieces));
                    let limit_bytes = [&best, &self.least].into_iter().flatten().map(|c| c.peak_bytes).min();
                    if let (Some(alone), Some(limit_bytes)) = (&alone, limit_bytes)
                        && !is_likely(&candidate, alone, limit_bytes, counting)?
                    {
                        continue;
                    }
                    let limits = (self.budget_bytes, limit_bytes);
                    let found =
                        smallest_evaluation(&mut changed, candidate, limits, self.rates, &mut self.planner)?;
                    if best.as_ref().is_none_or(|best| found.peak_bytes < best.peak_bytes) {
                        best = Some(found);
                    }
                }
                // Of several that need as little, the one that repeats least.
                let is_least = |found: &Candidate| {
                    self.least.as_ref().is_none_or(|least| found.peak_bytes <= least.peak_bytes)
                };
                self.least = best.filter(is_least).or(self.least.take());
            }
        }
        Ok(())
    }
}
