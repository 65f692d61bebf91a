//! Launches that wait for their like: steps of parameters and running averages, many of which are one launch. They wait until
//! somebody needs what they write, or writes what they read, or until they hold much memory.

use super::launches::update::{ARRAYS, GRADIENT, Slot};
use super::pool::Span;
use crate::kernels::optimizer::Step;
use std::collections::HashSet;

/// Bytes of gradients that may wait.
const MOST_BYTES: usize = 12 << 20;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LaterKind {
    /// A step of an optimizer: of value and state by the gradient.
    Step(Step),
    /// The average becomes `keep` of the state, and of the value the rest.
    Average {
        /// Share of the state.
        keep: f32,
    },
}

/// One of them; [`ARRAYS`] says which array is which.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) kind: LaterKind,
    pub(super) factor: f32,
    pub(super) arrays: [Option<Span>; ARRAYS],
    /// Elements of all but the gradient, which has them as often as it has splits.
    pub(super) len: usize,
}

impl Waiting {
    pub(super) fn slot(&self) -> Slot {
        let first = |span: Option<Span>| span.map_or(0, |span| span.first);
        let splits = self.arrays[GRADIENT].map_or(0, |gradient| gradient.len / self.len.max(1));
        Slot { firsts: self.arrays.map(first), len: self.len, splits, factor: self.factor }
    }

    fn blocks(&self, writes: bool) -> impl Iterator<Item = u64> {
        // Value, momentum or mean, mean square, gradient, average.
        let written = match self.kind {
            LaterKind::Step(_) => [true, true, true, false, true],
            LaterKind::Average { .. } => [false, false, false, false, true],
        };
        let chosen = self.arrays.into_iter().zip(written).filter(move |(_, written)| *written == writes);
        chosen.filter_map(|(span, _)| span).map(|span| span.block)
    }
}

/// All that wait, in their order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) waiting: Vec<Waiting>,
    read: HashSet<u64>,
    written: HashSet<u64>,
    gradient_bytes: usize,
    /// Blocks that were given back meanwhile.
    pub(super) given: Vec<u64>,
}

impl Queue {
    /// Whether somebody who reads, or `writes`, a block is to wait for these.
    pub(super) fn is_before(&self, block: u64, writes: bool) -> bool {
        self.written.contains(&block) || (writes && self.read.contains(&block))
    }

    /// Whether a block is used by any.
    pub(super) fn holds(&self, block: u64) -> bool {
        self.is_before(block, true)
    }

    /// Whether another one can wait with them.
    pub(super) fn can_take(&self, next: &Waiting) -> bool {
        let meets = |writes| next.blocks(writes).any(|block| self.is_before(block, writes));
        !meets(false) && !meets(true)
    }

    pub(super) fn push(&mut self, next: Waiting) {
        self.read.extend(next.blocks(false));
        self.written.extend(next.blocks(true));
        self.gradient_bytes += next.arrays[GRADIENT].map_or(0, |span| span.len * size_of::<f32>());
        self.waiting.push(next);
    }

    /// Whether they hold so much memory that they should wait no longer.
    pub(super) fn is_full(&self) -> bool {
        self.gradient_bytes > MOST_BYTES
    }
}
