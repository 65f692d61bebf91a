//! A block as a trainer of its own, while others train theirs.

use super::Trainer;
use crate::error::Result;
use crate::layers::Sequential;
use crate::model::Model;
use crate::tape::Tape;
use std::mem::swap;

impl Trainer {
    /// A trainer by the same method that has no weights: blocks are lent to it.
    pub(crate) fn without_weights(&self) -> Self {
        let Model { spec, units, place, .. } = &self.model;
        let nothing = |_: &_| (String::new(), Sequential::default());
        let units = units.iter().map(nothing).collect();
        Self {
            model: Model { spec: spec.clone(), units, head: Sequential::default(), place: place.clone() },
            config: self.config.clone(),
            ranges: self.ranges.clone(),
            first_trained: self.first_trained,
            still_blocks: self.still_blocks,
            auxiliaries: self.auxiliaries.iter().map(|_| None).collect(),
            normalize: self.normalize.clone(),
            tape: Tape::in_precision(self.config.execution.activations),
            shelf: self.shelf.clone(),
            depot: None,
            scratch: None,
            passes: self.passes,
            compares: self.compares,
        }
    }

    /// Gives a block with what judges it to a trainer without weights, or takes it back from there.
    pub(crate) fn exchange(&mut self, block: usize, other: &mut Self) {
        for unit in self.ranges[block].clone() {
            swap(&mut self.model.units[unit], &mut other.model.units[unit]);
        }
        match self.auxiliaries.get_mut(block) {
            Some(auxiliary) => swap(auxiliary, &mut other.auxiliaries[block]),
            None => swap(&mut self.model.head, &mut other.model.head),
        }
    }

    /// Whether `block` learns by moving averages.
    pub(crate) fn has_averages(&self, block: usize) -> bool {
        !self.followed(block).is_empty()
    }

    /// Whether some of these follow units behind the next block's.
    pub(crate) fn follows_beyond_next(&self, block: usize) -> bool {
        let last = self.ranges.get(block + 1).map_or(0, |range| *range.end());
        self.followed(block).into_iter().any(|unit| unit > last)
    }

    /// Advances the moving averages of a block that was lent, towards the next one, which was lent to `next`.
    pub(crate) fn follow_in(&mut self, block: usize, next: &mut Self) -> Result<()> {
        match self.auxiliaries.get_mut(block) {
            Some(Some(auxiliary)) => auxiliary.exit.follow(&mut next.model.units),
            _ => Ok(()),
        }
    }
}
