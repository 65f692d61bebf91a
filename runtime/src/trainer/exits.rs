//! Ways out before the network's end: its auxiliary networks, each asked for an answer when its block is passed.

use super::Trainer;
use super::residence::auxiliary_group;
use crate::depot::Presence;
use crate::error::{Error, Result};
use crate::layers::{FormReader, Mode, Reader, Visitor};
use crate::maps::{Map, Place};
use crate::model::Classifier;
use crate::network::NetworkSpec;
use crate::rules::judge::is_of_judge;
use crate::tape::Tape;
use std::time::Instant;

/// What samples were answered at an exit.
pub struct AtExit<'a> {
    /// Its place among all, from 0.
    pub number: usize,
    /// Whether it is the network's end.
    pub is_last: bool,
    /// `[N, classes]`, by running statistics.
    pub logits: &'a Map,
    /// How long the network's own units took since the exit before, and how long the exit.
    pub seconds: [f64; 2],
    /// The network.
    pub spec: &'a NetworkSpec,
}

impl Trainer {
    /// The blocks behind which there is an exit: those with an auxiliary network, and the last.
    pub fn exits(&self) -> Vec<usize> {
        let last = self.ranges.len() - 1;
        (0..=last)
            .filter(|&block| block == last || matches!(self.auxiliaries.get(block), Some(Some(_))))
            .collect()
    }

    /// Passes a batch's inputs from exit to exit, by running statistics. `leave` is given what each answers, and says which
    /// of the samples that came there go on, in order; the others pass no later unit.
    ///
    /// # Errors
    /// Those of the layers, and of `leave`.
    pub fn pass_exits(
        &mut self,
        inputs: &Map,
        leave: &mut dyn FnMut(AtExit<'_>) -> Result<Vec<usize>>,
    ) -> Result<()> {
        let exits = self.exits();
        let mut h = inputs.to(&self.model.place)?;
        let mut first = 0;
        for (number, &block) in exits.iter().enumerate() {
            let started = Instant::now();
            let end = *self.ranges[block].end();
            for unit in first..=end {
                h = self.pass_unit(unit, h)?;
            }
            self.model.place.wait()?;
            let units_seconds = started.elapsed().as_secs_f64();
            first = end + 1;
            let logits = self.answer(block, h.clone())?;
            self.model.place.wait()?;
            let exit_seconds = started.elapsed().as_secs_f64() - units_seconds;
            let stay = leave(AtExit {
                number,
                is_last: number + 1 == exits.len(),
                logits: &logits,
                seconds: [units_seconds, exit_seconds],
                spec: &self.model.spec,
            })?;
            if stay.is_empty() {
                break;
            }
            h = chosen(&h, &stay)?;
        }
        Ok(())
    }

    fn pass_unit(&mut self, unit: usize, h: Map) -> Result<Map> {
        self.fetch(unit, Presence::Values)?;
        let h = self.model.units[unit].1.pass(h, Mode::Evaluate, &mut Tape::forgetting())?;
        self.release(unit)?;
        Ok(h)
    }

    /// What is behind a block, of its output.
    fn answer(&mut self, block: usize, h: Map) -> Result<Map> {
        let units = self.model.units.len();
        if block + 1 == self.ranges.len() {
            return self.logits_from(units, h);
        }
        let group = auxiliary_group(units, block);
        self.fetch(group, Presence::Values)?;
        let logits = match self.auxiliaries.get_mut(block) {
            Some(Some(auxiliary)) => auxiliary.exit.logits(h)?,
            _ => return Err(Error::internal(format!("block {block} has no exit"))),
        };
        self.release(group)?;
        Ok(logits)
    }
}

/// Some of the samples of a map, in order.
fn chosen(h: &Map, places: &[usize]) -> Result<Map> {
    if h.dims().first() == Some(&places.len()) {
        return Ok(h.clone());
    }
    let runs = places.chunk_by(|a, b| a + 1 == *b);
    Map::cat(&runs.map(|run| h.samples(run[0], run.len())).collect::<Result<Vec<_>>>()?)
}

/// A network in training together with its exits: those of its weights are shown, too.
pub struct WithExits<'a>(pub &'a mut Trainer);

impl WithExits<'_> {
    /// The groups of auxiliary networks.
    fn groups(&self) -> Vec<usize> {
        let (units, exits) = (self.0.model.units.len(), self.0.exits());
        exits[..exits.len() - 1].iter().map(|&block| auxiliary_group(units, block)).collect()
    }
}

impl Classifier for WithExits<'_> {
    fn spec(&self) -> &NetworkSpec {
        &self.0.model.spec
    }

    fn place(&self) -> &Place {
        &self.0.model.place
    }

    fn logits(&mut self, inputs: &Map) -> Result<Map> {
        self.0.logits(inputs)
    }

    fn visit(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        self.0.visit_network(visitor)?;
        self.groups().into_iter().try_for_each(|group| {
            self.0.visit_group(group, &mut |name, variable| match is_of_judge(name) {
                true => Ok(()),
                false => visitor(name, variable),
            })
        })
    }

    fn visit_head(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        self.0.visit_head(visitor)
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        self.0.read(reader)?;
        self.groups().into_iter().try_for_each(|group| {
            self.0.read_group(group, &mut |name, variable| match is_of_judge(name) {
                true => Ok(()),
                false => reader(name, variable),
            })
        })
    }

    fn read_forms(&mut self, reader: &mut FormReader<'_>) -> Result<()> {
        self.0.read_forms(reader)?;
        self.groups().into_iter().try_for_each(|group| {
            self.0.read_forms_of_group(group, &mut |name, form| match is_of_judge(name) {
                true => Ok(()),
                false => reader(name, form),
            })
        })
    }
}
