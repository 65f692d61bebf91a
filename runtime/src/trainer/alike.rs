//! What need not be done where maps are only counted: passes like others, and the rounds of exact statistics.
//!
//! Steps and shares in the middle change nothing but the features that are kept of them, evenly: the most is in memory at
//! the first, at the second, or at one of the last two. So the second stands for those between.

use super::Trainer;
use super::open_step::{Features, MicroBatch, OpenStep};
use crate::error::Result;
use crate::layers::Variable;
use crate::maps::Place;
use crate::maps::counted::Counter;
use crate::maps::counted::ledger::{Part, Work};
use crate::maps::place::Room;
use std::sync::Arc;

/// Passes one after the other, of which some may be like the second.
pub(crate) struct Alike {
    counter: Option<Arc<Counter>>,
    count: usize,
    before: Work,
}

impl Alike {
    /// So many passes over maps of this place.
    pub(crate) fn new(place: &Place, count: usize) -> Self {
        Self { counter: place.counter().cloned(), count, before: Work::default() }
    }

    /// Whether the second pass is counted for this one, too. Else it begins.
    pub(crate) fn skips(&mut self, number: usize) -> bool {
        let Some(counter) = &self.counter else { return false };
        if number == 1 {
            self.before = counter.ledger.total_work();
        }
        number >= 2 && number + 2 < self.count
    }

    /// A pass has ended.
    pub(crate) fn end(&self, number: usize) {
        if let Some(counter) = self.counter.as_ref().filter(|_| number == 1) {
            counter.ledger.repeat_work(&self.before, self.count.saturating_sub(4) as f64);
        }
    }
}

/// What a channel of a batch norm takes for its mean or its variance while shares are made one, with the sum of its
/// backward pass: an f32 and an f64.
const STATISTIC_BYTES: usize = 12;
/// The same for the handles of both, in channels.
const HANDLES: usize = 40;

/// The rounds that find the exact statistics of a block, and what they know meanwhile.
pub(super) struct Rounds {
    counter: Arc<Counter>,
    norms: f64,
    before: Work,
    _known: Room,
}

impl Rounds {
    /// Counts them once a pass of every share is counted: of each batch norm there is a round that stops half way forward,
    /// and one that stops half way back.
    pub(super) fn end(self) {
        self.counter.ledger.repeat_work(&self.before, self.norms * (1.0 / 6.0 + 2.0 / 3.0));
    }
}

impl Trainer {
    /// The rounds of `block`, where they are counted and not taken.
    pub(super) fn counted_rounds(&mut self, block: usize) -> Result<Option<Rounds>> {
        let Some(counter) = self.model.place.counter().cloned() else { return Ok(None) };
        let (mut statistics, mut bytes) = (0, 0);
        self.visit_present(block, &mut |_, variable| {
            if let Variable::Statistic(statistic) = variable
                && statistic.moves()
            {
                statistics += 1;
                bytes += (statistic.value.elem_count() + HANDLES) * STATISTIC_BYTES;
            }
            Ok(())
        })?;
        let before = counter.ledger.total_work();
        let _known = self.model.place.room(Part::Scratch, bytes);
        Ok(Some(Rounds { norms: f64::from(statistics) / 2.0, before, _known, counter }))
    }

    /// Leaves of a share what the one before it left, whose pass is like its own.
    pub(super) fn skip_share(
        &self,
        block: usize,
        micro: &mut MicroBatch,
        before: &Features,
        waits: bool,
    ) -> Result<()> {
        let samples = micro.targets.len();
        let Some(dims) = before.dims() else {
            micro.h = Features::default();
            return Ok(());
        };
        let mut dims = dims.to_vec();
        dims[0] = samples;
        let h = self.model.place.full(&dims, 0.0)?;
        micro.h = self.kept(block, h, samples, waits)?;
        Ok(())
    }

    /// Leaves of a step what the one before it left, whose pass through a block is like its own.
    pub(crate) fn skip_step(&self, step: &mut OpenStep, before: &OpenStep) -> Result<()> {
        let block = step.report.losses.len();
        let waits = self.waits(step.micro_batches.len());
        let Some(like) = before.micro_batches.first() else { return Ok(()) };
        for micro in &mut step.micro_batches {
            self.skip_share(block, micro, &like.h, waits)?;
        }
        step.report.losses.push(1.0);
        Ok(())
    }
}
