//! The first units, which stay as they are: samples pass through them by running statistics, and nothing is kept for a
//! backward pass.

use super::open_step::{Features, MicroBatch};
use super::{Method, Trainer};
use crate::depot::Presence;
use crate::error::{Error, Result};
use crate::layers::sequential::Still;
use crate::layers::spec::output_of_all;
use crate::layers::{Features as Shape, Mode, NamedLayer};
use crate::maps::Map;
use crate::precision::Precision;
use crate::shelf::{Parcel, Shelf};
use crate::tape::Tape;
use std::ops::{Range, RangeInclusive};

impl Method {
    /// The first of these units, layers and features each, of which something is trained; their number where only the head
    /// is.
    pub fn first_trained(&self, units: &[(Vec<NamedLayer>, Shape)]) -> usize {
        let behind_frozen =
            self.frozen.checked_sub(1).and_then(|last| self.ends.get(last)).map_or(0, |end| end + 1);
        self.selection.first_unit(units).max(behind_frozen)
    }

    /// How many blocks stay as they are where that is the first trained unit. The last one has the head and never does.
    pub fn still_blocks(&self, first_trained: usize) -> usize {
        let before_last = &self.ends[..self.ends.len().saturating_sub(1)];
        before_last.iter().take_while(|&&end| end < first_trained).count()
    }
}

impl Trainer {
    /// The units of a block that are trained; none in a block that stays as it is.
    pub(super) fn trained(&self, block: usize) -> RangeInclusive<usize> {
        let range = &self.ranges[block];
        self.first_trained.max(*range.start())..=*range.end()
    }

    /// The units of a block that stay as they are.
    pub(super) fn still(&self, block: usize) -> Range<usize> {
        let range = &self.ranges[block];
        *range.start()..self.first_trained.clamp(*range.start(), *range.end() + 1)
    }

    /// The first layers of the head that are passed with the units that stay as they are, where these are all units; none
    /// else.
    pub(super) fn still_head(&self) -> Option<Still> {
        (self.first_trained == self.model.units.len()).then(|| self.model.head.still())
    }

    /// What all that stays as it is makes of a batch's inputs: the units before the first trained one and, where these
    /// are all units, the first layers of the head.
    ///
    /// # Errors
    /// Those of the device, and of the file where weights wait in one.
    pub fn still_features(&mut self, inputs: &Map) -> Result<Map> {
        let mut h = inputs.to(&self.model.place)?;
        let mut tape = Tape::forgetting();
        for unit in 0..self.first_trained {
            self.fetch(unit, Presence::Values)?;
            h = self.model.units[unit].1.pass(h, Mode::Evaluate, &mut tape)?;
            self.release(unit)?;
        }
        if self.still_head().is_some() {
            let head = self.model.units.len();
            self.fetch(head, Presence::Values)?;
            h = self.model.head.pass_still(h, &mut tape)?;
            self.release(head)?;
        }
        Ok(h)
    }

    /// The logits of what [`Trainer::still_features`] has made.
    ///
    /// # Errors
    /// As [`Trainer::still_features`].
    pub fn logits_behind(&mut self, h: Map) -> Result<Map> {
        if self.still_head().is_none() {
            return self.logits_from(self.first_trained, h);
        }
        let head = self.model.units.len();
        self.fetch(head, Presence::Values)?;
        let logits = self.model.head.pass_behind_still(h, Mode::Evaluate, &mut Tape::forgetting())?;
        self.release(head)?;
        Ok(logits)
    }

    /// The shape of what these make of a sample; that of an image where the first unit is trained.
    ///
    /// # Errors
    /// Those of expanding specs.
    pub fn still_shape(&self) -> Result<Shape> {
        let spec = &self.model.spec;
        let last = match self.first_trained.checked_sub(1) {
            None => spec.input_features(),
            Some(last) => spec.expand()?[last].1,
        };
        let of_head = self.still_head().map_or(0, |still| still.specs);
        output_of_all(&spec.head[..of_head], last)
    }

    /// Whether anything before the first trained weight stays as it is.
    pub fn has_still(&self) -> bool {
        self.first_trained > 0
    }

    /// Refuses steps that begin behind what stays as it is, where that is nothing or losses compare with the images.
    ///
    /// # Errors
    /// `Config`.
    pub fn check_still(&self) -> Result<()> {
        if !self.has_still() {
            return Err(Error::config(
                "the first unit is trained, so that what it makes of samples changes from step to step, and there are no \
                 features to keep; train the head or the last units alone, or freeze the first blocks",
            ));
        }
        match self.compares_with_images() {
            true => Err(Error::config(
                "a decoder compares with the images, which features are not; choose another head, or keep none",
            )),
            false => Ok(()),
        }
    }

    /// Where such features wait that are kept.
    pub(crate) fn cache_shelf(&self, precision: Precision) -> Shelf {
        let on_file = self.config.execution.features_on_disk;
        Shelf { precision, on_file, scratch: self.scratch.clone().filter(|_| on_file) }
    }

    /// Brings all micro-batches through the units of a block that stay as they are.
    pub(super) fn pass_still(&mut self, block: usize, micro_batches: &mut [MicroBatch]) -> Result<()> {
        let units = self.still(block);
        if units.is_empty() {
            return Ok(());
        }
        units.clone().try_for_each(|unit| self.fetch(unit, Presence::Values))?;
        let waits = self.waits(micro_batches.len());
        for micro in micro_batches {
            let mut h = micro.h.get()?;
            for (_, unit) in &mut self.model.units[units.clone()] {
                h = unit.pass(h, Mode::Evaluate, &mut self.tape)?;
            }
            let parcel = if waits { self.shelf.put(h)? } else { Parcel::Whole(h) };
            micro.h = Features::of(parcel, micro.targets.len());
        }
        Ok(())
    }
}
