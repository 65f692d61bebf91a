//! What layers cost, counted by the layers themselves on maps without numbers.

use super::spec::{Features, NamedLayer};
use super::{Draw, Initializer, Layer, Mode, Sequential, Trains, Variable};
use crate::error::Result;
use crate::maps::counted::Counter;
use crate::maps::counted::ledger::Part;
use crate::maps::{Map, Place};
use crate::tape::Tape;
use std::sync::Arc;

/// Counts for one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Trained numbers, independent of the number of samples.
    pub parameters: usize,
    /// Bytes that the forward pass keeps for the backward pass, an input that somebody else keeps left out.
    pub kept_bytes: usize,
    /// Multiply-adds of the forward pass, convolutions counted directly.
    pub multiply_adds: usize,
}

impl Cost {
    /// The sum of two costs.
    #[must_use]
    pub fn plus(self, other: Cost) -> Cost {
        Cost {
            parameters: self.parameters + other.parameters,
            kept_bytes: self.kept_bytes + other.kept_bytes,
            multiply_adds: self.multiply_adds + other.multiply_adds,
        }
    }
}

/// Passes of so many samples: by how much more the larger one takes, a sample costs. What does not grow is left out, and
/// no batch norm sees a single value.
const SAMPLES: [usize; 2] = [2, 3];

/// Where a walk over layers stands.
pub(crate) struct Walk {
    counter: Arc<Counter>,
    /// The features reached, of each number of samples.
    reached: [Map; 2],
    /// What was kept on the way.
    tapes: [Tape; 2],
}

impl Walk {
    /// A walk that begins with features that somebody keeps.
    pub(crate) fn new(features: Features, counter: &Arc<Counter>) -> Result<Self> {
        let input = |samples| -> Result<Map> {
            let map = Place::Counted(counter.clone()).full(&features.dims(samples), 0.0)?;
            map.label(Part::Batch);
            Ok(map)
        };
        let reached = [input(SAMPLES[0])?, input(SAMPLES[1])?];
        Ok(Self { counter: counter.clone(), reached, tapes: Default::default() })
    }

    /// Goes through `layers`, whose weights are trained or not, and says what they cost.
    pub(crate) fn through(&mut self, layers: &[NamedLayer], trained: bool) -> Result<Cost> {
        let (mut layers, parameters) = built(layers, &self.counter, trained)?;
        let ledger = &self.counter.ledger;
        let mut found = [(0, 0.0); 2];
        for (pass, (kept_bytes, multiply_adds)) in found.iter_mut().enumerate() {
            let before = (ledger.live_bytes_of(Part::Kept), ledger.total_work().multiply_adds);
            let x = self.reached[pass].clone();
            // Statistics are not to see anything.
            let mode = Mode::Train { draw: Draw::default() }.again();
            self.reached[pass] = layers.pass(x, mode, &mut self.tapes[pass])?;
            *kept_bytes = ledger.live_bytes_of(Part::Kept) - before.0;
            *multiply_adds = ledger.total_work().multiply_adds - before.1;
        }
        let [(few_bytes, few), (more_bytes, more)] = found;
        Ok(Cost { parameters, kept_bytes: more_bytes - few_bytes, multiply_adds: (more - few) as usize })
    }

    /// What `layers` cost on the features reached, with which the walk goes on.
    pub(crate) fn beside(&mut self, layers: &[NamedLayer], trained: bool) -> Result<Cost> {
        let reached = self.reached.clone();
        let cost = self.through(layers, trained)?;
        self.reached = reached;
        Ok(cost)
    }

    /// The same of layers that are trained and done with before the walk goes on: nothing of theirs stays.
    pub(crate) fn aside(&mut self, layers: &[NamedLayer]) -> Result<Cost> {
        let before = [0, 1].map(|pass| (self.tapes[pass].height(), self.reached[pass].part()));
        let cost = self.beside(layers, true)?;
        for (pass, (height, part)) in before.into_iter().enumerate() {
            self.tapes[pass].cut_back(height);
            if let Some(part) = part {
                // Others may keep it, too.
                self.reached[pass].label(part);
            }
        }
        Ok(cost)
    }
}

/// Trained numbers of layers.
///
/// # Errors
/// Those of building them.
pub(crate) fn parameters(layers: &[NamedLayer]) -> Result<usize> {
    Ok(built(layers, &Arc::new(Counter::new(1)), true)?.1)
}

/// Layers of maps without numbers, and how many numbers they would train.
fn built(layers: &[NamedLayer], counter: &Arc<Counter>, trained: bool) -> Result<(Sequential, usize)> {
    let place = Place::Counted(counter.clone());
    let initializer = Initializer { seed: 0, draws: true, place, part: Part::Weights, trains: Trains::ALL };
    let mut layers = Sequential::new(layers, "", &initializer)?;
    let mut parameters = 0usize;
    layers.visit("", &mut |_, variable| {
        if let Variable::Parameter(parameter) = variable {
            parameters = parameters.saturating_add(parameter.value.elem_count());
            parameter.trainable = trained;
        }
        Ok(())
    })?;
    Ok((layers, parameters))
}
