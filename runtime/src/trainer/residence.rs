//! Which weights are in memory: all of them, or those of the block (or piece) at work alone.

use super::{Stage, Trainer, auxiliary_path, pieces};
use crate::depot::{Depot, Presence, Waiting, never_put_away};
use crate::error::Result;
use crate::layers::{Form, FormReader, Layer, Mode, Reader, Variable, Visitor};
use crate::maps::Map;
use crate::model::Model;
use crate::rules::auxiliary::Auxiliary;
use crate::tape::Tape;
use std::ops::Range;

/// Groups of weights are numbered: the units, the head, then the auxiliary network of each block.
pub(super) fn auxiliary_group(units: usize, block: usize) -> usize {
    units + 1 + block
}

/// Shows the variables of one group under their full names.
fn visit_group(
    model: &mut Model,
    auxiliaries: &mut [Option<Auxiliary>],
    group: usize,
    visitor: &mut Visitor<'_>,
) -> Result<()> {
    let units = model.units.len();
    if let Some((name, unit)) = model.units.get_mut(group) {
        return unit.visit(name, visitor);
    }
    let Some(block) = group.checked_sub(auxiliary_group(units, 0)) else {
        return model.head.visit("", visitor);
    };
    match auxiliaries.get_mut(block) {
        Some(Some(auxiliary)) => auxiliary.visit(&auxiliary_path(block), visitor),
        _ => Ok(()),
    }
}

impl Trainer {
    /// The group of what judges a block: its auxiliary network, or the head.
    fn judge(&self, block: usize) -> usize {
        let units = self.model.units.len();
        if block + 1 < self.ranges.len() { auxiliary_group(units, block) } else { units }
    }

    fn groups(&self, block: usize) -> impl Iterator<Item = usize> + use<> {
        self.ranges[block].clone().chain([self.judge(block)])
    }

    /// Does something with a group and the depot, if there is one.
    fn with_depot(
        &mut self,
        group: usize,
        work: impl FnOnce(&mut Depot, &mut crate::depot::Visit<'_>) -> Result<()>,
    ) -> Result<()> {
        let Self { model, auxiliaries, depot, .. } = self;
        let Some(depot) = depot else { return Ok(()) };
        work(depot, &mut |visitor| visit_group(model, auxiliaries, group, visitor))
    }

    pub(super) fn fetch(&mut self, group: usize, wanted: Presence) -> Result<()> {
        self.with_depot(group, |depot, visit| depot.fetch(group, wanted, visit))
    }

    /// Lets a group go, with its changes if all of it is there.
    pub(super) fn release(&mut self, group: usize) -> Result<()> {
        self.with_depot(group, |depot, visit| match depot.presence(group) {
            Presence::Whole => depot.put(group, visit),
            Presence::Values => depot.forget(group, visit),
            Presence::Away => Ok(()),
        })
    }

    /// Whether the pieces of a block come and go one at a time.
    fn goes_in_pieces(&self, block: usize) -> bool {
        !self.is_frozen(block) && pieces(&self.trained(block), &self.config.execution.pieces).len() > 1
    }

    /// The units that a block's moving averages follow.
    pub(super) fn followed(&self, block: usize) -> Vec<usize> {
        let auxiliary = self.auxiliaries.get(block).and_then(Option::as_ref);
        auxiliary.into_iter().flat_map(|auxiliary| auxiliary.exit.followed()).collect()
    }

    /// Brings what a visit of `block` needs into memory.
    pub(crate) fn enter(&mut self, block: usize, watch: &mut dyn FnMut(Stage)) -> Result<()> {
        if self.depot.is_some() {
            watch(Stage::Forward(block));
        }
        if !self.goes_in_pieces(block) {
            self.trained(block).try_for_each(|unit| self.fetch(unit, Presence::Whole))?;
        }
        if !self.is_frozen(block) {
            self.fetch(self.judge(block), Presence::Whole)?;
        }
        for unit in self.followed(block) {
            self.fetch(unit, Presence::Values)?;
        }
        if let Some(depot) = &self.depot
            && block + 1 < self.ranges.len()
        {
            self.groups(block + 1).for_each(|group| depot.read_ahead(group));
        }
        Ok(())
    }

    /// Lets go of what [`Trainer::enter`] brought.
    pub(crate) fn leave(&mut self, block: usize) -> Result<()> {
        let followed = self.followed(block);
        self.groups(block).chain(followed).try_for_each(|group| self.release(group))
    }

    /// Lets go of all weights that wait in a file else, without their changes: after a step that was stopped.
    pub(crate) fn put_away(&mut self) -> Result<()> {
        let groups = auxiliary_group(self.model.units.len(), self.auxiliaries.len());
        (0..groups).try_for_each(|group| {
            self.with_depot(group, |depot, visit| match depot.presence(group) {
                Presence::Away => Ok(()),
                Presence::Values | Presence::Whole => depot.forget(group, visit),
            })
        })
    }

    /// Brings one piece of a block, units counted from its first, if pieces come one at a time.
    pub(super) fn enter_piece(&mut self, block: usize, piece: &Range<usize>, whole: bool) -> Result<()> {
        if !self.goes_in_pieces(block) {
            return Ok(());
        }
        let (first, wanted) =
            (*self.trained(block).start(), if whole { Presence::Whole } else { Presence::Values });
        piece.clone().try_for_each(|unit| self.fetch(first + unit, wanted))
    }

    /// Lets one piece go; `changed` says whether anything in it has changed.
    pub(super) fn leave_piece(&mut self, block: usize, piece: &Range<usize>, changed: bool) -> Result<()> {
        if !self.goes_in_pieces(block) {
            return Ok(());
        }
        let first = *self.trained(block).start();
        piece.clone().try_for_each(|unit| match changed {
            true => self.release(first + unit),
            false => self.with_depot(first + unit, |depot, visit| depot.forget(first + unit, visit)),
        })
    }

    /// Shows one group, which is brought for the occasion.
    pub(super) fn visit_group(&mut self, group: usize, visitor: &mut Visitor<'_>) -> Result<()> {
        let was_away = self.depot.as_ref().is_some_and(|depot| depot.presence(group) != Presence::Whole);
        self.fetch(group, Presence::Whole)?;
        let visited = visit_group(&mut self.model, &mut self.auxiliaries, group, visitor);
        if was_away {
            self.release(group)?;
        }
        visited
    }

    /// Shows one group to who changes nothing, so that what was brought for the occasion need not be written again.
    pub(super) fn read_group(&mut self, group: usize, reader: &mut Reader<'_>) -> Result<()> {
        let was_away = self.depot.as_ref().is_some_and(|depot| depot.presence(group) != Presence::Whole);
        self.fetch(group, Presence::Whole)?;
        let Self { model, auxiliaries, .. } = self;
        let read = visit_group(model, auxiliaries, group, &mut |name, variable| reader(name, &variable));
        if was_away {
            self.with_depot(group, |depot, visit| depot.forget(group, visit))?;
        }
        read
    }

    /// Shows the shapes of one group, wherever it is.
    pub(super) fn read_forms_of_group(&mut self, group: usize, reader: &mut FormReader<'_>) -> Result<()> {
        let Self { model, auxiliaries, depot, .. } = self;
        let waiting = depot.as_ref().and_then(|depot| depot.places(group));
        let mut places = waiting.map(<[Waiting]>::iter);
        visit_group(model, auxiliaries, group, &mut |name, variable| match (&variable, &mut places) {
            (Variable::Parameter(parameter), Some(places)) => {
                let place = places.next().ok_or_else(|| never_put_away(name))?;
                let updated = Some((place.states, parameter.updates));
                reader(name, Form { dims: &place.dims, updated, coded: false })
            }
            (variable, _) => reader(name, variable.form()),
        })
    }

    /// What of a block training may change, by group.
    pub(super) fn trained_groups(&self, block: usize) -> impl Iterator<Item = usize> + use<> {
        self.trained(block).chain([self.judge(block)])
    }

    /// Shows every weight and statistic of one block to who changes nothing.
    pub fn read_block(&mut self, block: usize, reader: &mut Reader<'_>) -> Result<()> {
        self.groups(block).try_for_each(|group| self.read_group(group, reader))
    }

    /// Shows the shape of every weight and statistic of one block; what waits in a file stays there.
    pub fn read_forms_of_block(&mut self, block: usize, reader: &mut FormReader<'_>) -> Result<()> {
        self.groups(block).try_for_each(|group| self.read_forms_of_group(group, reader))
    }

    /// Shows every weight and statistic of one block: its units, the head if it is the last, its auxiliary
    /// network otherwise.
    pub fn visit_block(&mut self, block: usize, visitor: &mut Visitor<'_>) -> Result<()> {
        self.groups(block).try_for_each(|group| self.visit_group(group, visitor))
    }

    /// Shows everything that training changes, block by block.
    pub fn visit(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        (0..self.ranges.len()).try_for_each(|block| self.visit_block(block, visitor))
    }

    /// Shows what a visitor of the network alone would see.
    pub(super) fn visit_network(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        (0..=self.model.units.len()).try_for_each(|group| self.visit_group(group, visitor))
    }

    /// As [`Model::logits`], with one unit in memory at a time where weights wait in a file.
    pub(super) fn network_logits(&mut self, inputs: &Map) -> Result<Map> {
        if self.depot.is_none() {
            return self.model.logits(inputs);
        }
        let h = inputs.to(&self.model.place)?;
        self.logits_from(0, h)
    }

    /// The logits of what comes into unit `first`, with one unit in memory at a time where weights wait in a file.
    pub(super) fn logits_from(&mut self, first: usize, mut h: Map) -> Result<Map> {
        let mut tape = Tape::forgetting();
        for group in first..=self.model.units.len() {
            self.fetch(group, Presence::Values)?;
            let layers = match self.model.units.get_mut(group) {
                Some((_, unit)) => unit,
                None => &mut self.model.head,
            };
            h = layers.pass(h, Mode::Evaluate, &mut tape)?;
            self.release(group)?;
        }
        Ok(h)
    }

    /// Lets the running statistics of `block` and of what judges it take in what they saw.
    pub(super) fn settle(&mut self, block: usize) -> Result<()> {
        self.visit_present(block, &mut |_, variable| match variable {
            Variable::Statistic(statistic) => statistic.settle(),
            Variable::Parameter(_) => Ok(()),
        })
    }

    /// Forgets what a failed pass through `block` left for its backward pass and its update.
    pub(super) fn abandon(&mut self, block: usize) -> Result<()> {
        self.tape.abandon();
        self.visit_present(block, &mut |_, variable| {
            match variable {
                Variable::Parameter(parameter) => parameter.accumulated = None,
                Variable::Statistic(statistic) => statistic.forget(),
            }
            Ok(())
        })
    }

    /// Shows the variables of `block`, of which not all may have their full names.
    pub(crate) fn visit_unnamed(&mut self, block: usize, visitor: &mut Visitor<'_>) -> Result<()> {
        match self.depot {
            Some(_) => self.visit_block(block, visitor),
            None => self.visit_present(block, visitor),
        }
    }

    /// Shows the variables of `block` where they are, without the names of unit and network: statistics always are in
    /// memory, weights perhaps not.
    pub(super) fn visit_present(&mut self, block: usize, visitor: &mut Visitor<'_>) -> Result<()> {
        for (_, unit) in &mut self.model.units[self.ranges[block].clone()] {
            unit.visit("", visitor)?;
        }
        self.visit_judge(block, visitor)
    }

    /// Shows the variables of what judges `block` where they are.
    pub(super) fn visit_judge(&mut self, block: usize, visitor: &mut Visitor<'_>) -> Result<()> {
        match self.auxiliaries.get_mut(block) {
            Some(Some(auxiliary)) => auxiliary.visit("", visitor),
            Some(None) => Ok(()),
            None => self.model.head.visit("", visitor),
        }
    }
}
