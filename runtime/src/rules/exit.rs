//! A way out of the network behind one block: from its output to the task's logits or features.

use super::pair::Pair;
use super::spec::AuxiliarySpec;
use crate::error::Result;
use crate::layers::spec::{Features, join};
use crate::layers::{GradientSink, Initializer, Layer, Mode, Sequential, Visitor};
use crate::maps::Map;
use crate::tape::Tape;

/// MAN's pairs, then units, then a head.
pub struct Exit {
    /// Each with the number of the unit that its average follows.
    pairs: Vec<(usize, Pair)>,
    units: Vec<(String, Sequential)>,
    /// What comes last.
    pub(super) head: Sequential,
}

impl Exit {
    /// Builds it for a block that gives `features`; weights are named from `path` (`aux.<block>`) down. To
    /// `recompute` keeps less and repeats the pair's forward pass instead.
    ///
    /// # Errors
    /// Those of building layers.
    pub fn new(
        spec: &AuxiliarySpec,
        features: Features,
        recompute: bool,
        path: &str,
        initializer: &Initializer,
    ) -> Result<Self> {
        let mut inputs = features.channels();
        let mut pairs = Vec::with_capacity(spec.pairs.len());
        for (number, pair) in spec.pairs.iter().enumerate() {
            let path = pair_path(path, number);
            pairs.push((pair.followed, Pair::new(pair, inputs, recompute, &path, initializer)?));
            inputs = pair.unit.width;
        }
        let mut units = Vec::with_capacity(spec.units.len());
        for unit in &spec.units {
            let name = join("units", &unit.name).into_owned();
            units.push((
                name.clone(),
                Sequential::new(&unit.layers(inputs)?, &join(path, &name), initializer)?,
            ));
            inputs = unit.width;
        }
        let head = Sequential::new(&spec.head, &join(path, "head"), initializer)?;
        Ok(Self { pairs, units, head })
    }

    /// What the head reads, of a block's output `h`.
    ///
    /// # Errors
    /// Those of the layers.
    pub(super) fn body(&mut self, h: Map, mode: Mode, tape: &mut Tape) -> Result<Map> {
        let mut y = h;
        for (_, pair) in &mut self.pairs {
            y = pair.forward(y, mode, tape)?;
        }
        for (_, unit) in &mut self.units {
            y = unit.pass(y, mode, tape)?;
        }
        Ok(y)
    }

    /// The gradient of `h` from that of what the head reads.
    ///
    /// # Errors
    /// Those of the layers and of `sink`.
    pub(super) fn body_backward(
        &mut self,
        d_y: Map,
        tape: &mut Tape,
        sink: &mut dyn GradientSink,
    ) -> Result<Map> {
        let mut d_h = d_y;
        for (_, unit) in self.units.iter_mut().rev() {
            d_h = unit.backward_to_input(d_h, tape, sink)?;
        }
        for (_, pair) in self.pairs.iter_mut().rev() {
            d_h = pair.backward(d_h, tape, sink)?;
        }
        Ok(d_h)
    }

    /// The task's logits, or features, of a block's output `h`, by running statistics.
    ///
    /// # Errors
    /// Those of the layers.
    pub fn logits(&mut self, h: Map) -> Result<Map> {
        let mut tape = Tape::forgetting();
        let y = self.body(h, Mode::Evaluate, &mut tape)?;
        self.head.pass(y, Mode::Evaluate, &mut tape)
    }

    /// Repeats forward passes of pairs from the next step on, or keeps what they made.
    pub(crate) fn set_recompute(&mut self, recompute: bool) {
        self.pairs.iter_mut().for_each(|(_, pair)| pair.recompute = recompute);
    }

    /// Advances the moving averages of the units that they follow.
    ///
    /// # Errors
    /// Those of the device.
    pub fn follow(&mut self, units: &mut [(String, Sequential)]) -> Result<()> {
        self.pairs.iter_mut().try_for_each(|(followed, pair)| pair.follow(&mut units[*followed].1))
    }

    /// The units that moving averages follow.
    pub fn followed(&self) -> impl Iterator<Item = usize> {
        self.pairs.iter().map(|(followed, _)| *followed)
    }

    /// Shows every weight and running statistic, named from `path` down.
    ///
    /// # Errors
    /// Those of `visitor`.
    pub fn visit(&mut self, path: &str, visitor: &mut Visitor<'_>) -> Result<()> {
        for (number, (_, pair)) in self.pairs.iter_mut().enumerate() {
            pair.visit(&pair_path(path, number), visitor)?;
        }
        for (name, unit) in &mut self.units {
            unit.visit(&join(path, name), visitor)?;
        }
        self.head.visit(&join(path, "head"), visitor)
    }
}

/// Where a pair's weights are named: the first, published one without a number.
fn pair_path(path: &str, number: usize) -> String {
    if number == 0 { path.to_string() } else { join(path, &format!("pairs.{number}")).into_owned() }
}
