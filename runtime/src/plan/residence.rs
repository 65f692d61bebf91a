//! `trainer::residence`: which weights are in memory.

use super::auxiliary::Auxiliary;
use super::context::Context;
use super::replay::{Parameter, Replay};
use super::step::Training;
use crate::trainer::pieces;
use std::ops::Range;

/// `Depot::fetch`
pub(super) fn fetch(context: &Context, offload: bool, whole: bool, parameters: Vec<&mut Parameter>) {
    if offload {
        for parameter in parameters {
            context.store(parameter.bytes(whole));
            parameter.fetch(context, whole);
        }
    }
}

/// `Depot::forget`
pub(super) fn release(offload: bool, parameters: Vec<&mut Parameter>) {
    if offload {
        parameters.into_iter().for_each(Parameter::release);
    }
}

/// `Depot::put`
fn put(context: &Context, offload: bool, parameters: Vec<&mut Parameter>) {
    if offload {
        for parameter in parameters {
            context.store(parameter.bytes(true));
            parameter.release();
        }
    }
}

impl Training {
    fn goes_in_pieces(&self, block: usize) -> bool {
        block >= self.config.frozen && pieces(&self.ranges[block], &self.config.pieces).len() > 1
    }

    fn judge(&mut self, block: usize) -> Vec<&mut Parameter> {
        match self.auxiliaries.get_mut(block) {
            Some(Some(auxiliary)) => auxiliary.parameters(),
            Some(None) => Vec::new(),
            None => self.head.parameters(),
        }
    }

    fn followed(&self, block: usize) -> Vec<usize> {
        let auxiliary = self.auxiliaries.get(block).and_then(Option::as_ref);
        auxiliary.into_iter().flat_map(Auxiliary::followed).collect()
    }

    /// `Trainer::enter`
    pub(super) fn enter(&mut self, context: &Context, block: usize) {
        let (offload, whole) = (self.config.offload, block >= self.config.frozen);
        if !self.goes_in_pieces(block) {
            for unit in self.ranges[block].clone() {
                fetch(context, offload, whole, self.units[unit].parameters());
            }
        }
        if whole {
            fetch(context, offload, true, self.judge(block));
        }
        for unit in self.followed(block) {
            fetch(context, offload, false, self.units[unit].parameters());
        }
    }

    /// `Trainer::leave`
    pub(super) fn leave(&mut self, context: &Context, block: usize) {
        let (offload, whole) = (self.config.offload, block >= self.config.frozen);
        for unit in self.followed(block) {
            release(offload, self.units[unit].parameters());
        }
        for unit in self.ranges[block].clone() {
            match whole && !self.goes_in_pieces(block) {
                true => put(context, offload, self.units[unit].parameters()),
                false => release(offload, self.units[unit].parameters()),
            }
        }
        put(context, offload, self.judge(block));
    }

    /// `Trainer::enter_piece`
    pub(super) fn enter_piece(&mut self, context: &Context, block: usize, piece: &Range<usize>, whole: bool) {
        let offload = self.config.offload && self.goes_in_pieces(block);
        for unit in &mut self.units[self.ranges[block].clone()][piece.clone()] {
            fetch(context, offload, whole, unit.parameters());
        }
    }

    /// `Trainer::leave_piece`
    pub(super) fn leave_piece(
        &mut self,
        context: &Context,
        block: usize,
        piece: &Range<usize>,
        changed: bool,
    ) {
        let offload = self.config.offload && self.goes_in_pieces(block);
        for unit in &mut self.units[self.ranges[block].clone()][piece.clone()] {
            match changed {
                true => put(context, offload, unit.parameters()),
                false => release(offload, unit.parameters()),
            }
        }
    }
}
