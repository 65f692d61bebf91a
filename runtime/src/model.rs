//! A network in memory: its units and its head, ready to train or to classify.

use crate::error::Result;
use crate::layers::{
    Features, FormReader, Initializer, Layer, Mode, NamedLayer, Reader, Sequential, Trains, Variable, Visitor,
};
use crate::maps::counted::ledger::Part;
use crate::maps::{Map, Place};
use crate::network::NetworkSpec;
use crate::selection::Selection;
use crate::tape::Tape;

/// A network that classifies: a model, or one in training, whose weights may wait elsewhere.
pub trait Classifier {
    /// What it is.
    fn spec(&self) -> &NetworkSpec;

    /// Where it lives.
    fn place(&self) -> &Place;

    /// Logits `[N, classes]` of normalised images `[N, H, W, C]` or of tokens `[N, T]`, by running statistics.
    fn logits(&mut self, inputs: &Map) -> Result<Map>;

    /// Shows every weight and running statistic of the network under its full name.
    fn visit(&mut self, visitor: &mut Visitor<'_>) -> Result<()>;

    /// Shows those of the head alone.
    fn visit_head(&mut self, visitor: &mut Visitor<'_>) -> Result<()>;

    /// As [`Classifier::visit`], to who changes nothing: where weights wait in a file, they stay as they are there.
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        self.visit(&mut |name, variable| reader(name, &variable))
    }

    /// The same of the head alone.
    fn read_head(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        self.visit_head(&mut |name, variable| reader(name, &variable))
    }

    /// Shows the shape of every weight and running statistic; what waits in a file stays there.
    fn read_forms(&mut self, reader: &mut FormReader<'_>) -> Result<()> {
        self.read(&mut |name, variable| reader(name, variable.form()))
    }
}

impl Classifier for Model {
    fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    fn place(&self) -> &Place {
        &self.place
    }

    fn logits(&mut self, inputs: &Map) -> Result<Map> {
        Model::logits(self, inputs)
    }

    fn visit(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        Model::visit(self, visitor)
    }

    fn visit_head(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        self.head.visit("", visitor)
    }
}

/// What a spec describes, with weights.
pub struct Model {
    /// The spec it was built from.
    pub spec: NetworkSpec,
    /// The units in order, each with its name.
    pub units: Vec<(String, Sequential)>,
    /// From the last unit's features to the logits.
    pub head: Sequential,
    /// Where it lives.
    pub place: Place,
}

impl Model {
    /// Builds every layer with weights drawn from `seed`.
    pub fn new(spec: NetworkSpec, seed: u64, place: impl Into<Place>) -> Result<Self> {
        Self::alone(spec, seed, true, &place.into())
    }

    /// The same with weights that are 0 until all of them are loaded, which takes less time than drawing them.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn to_load(spec: NetworkSpec, place: impl Into<Place>) -> Result<Self> {
        Self::alone(spec, 0, false, &place.into())
    }

    fn alone(spec: NetworkSpec, seed: u64, draws: bool, place: &Place) -> Result<Self> {
        spec.validate()?;
        let expanded = spec.expand()?;
        Self::build(spec, &expanded, (seed, [draws; 2], Selection::All), place, &mut |_, _| Ok(()))
    }

    /// The same of a spec that was found valid and expanded, with a seed, and whether weights of the units and of the head
    /// are drawn; `each` is given every unit, and then the head, with its number as soon as it is built.
    pub(crate) fn build(
        spec: NetworkSpec,
        expanded: &[(Vec<NamedLayer>, Features)],
        (seed, [draws_units, draws_head], selection): (u64, [bool; 2], Selection),
        place: &Place,
        each: &mut dyn FnMut(usize, &mut Sequential) -> Result<()>,
    ) -> Result<Self> {
        let initializer =
            |draws, trains| Initializer { seed, draws, place: place.clone(), part: Part::Weights, trains };
        let mut units = Vec::with_capacity(spec.units.len());
        for (unit, (layers, _)) in spec.units.iter().zip(expanded) {
            let trains = selection.of_unit(units.len(), expanded.len());
            let mut built = Sequential::new(layers, &unit.name, &initializer(draws_units, trains))?;
            each(units.len(), &mut built)?;
            units.push((unit.name.clone(), built));
        }
        let parts = selection.of_head(&spec.head, units.len());
        let mut head = Sequential::of_parts(&parts, "", &initializer(draws_head, Trains::ALL))?;
        each(units.len(), &mut head)?;
        Ok(Self { spec, units, head, place: place.clone() })
    }

    /// Logits `[N, classes]` of normalised images `[N, H, W, C]` or of tokens `[N, T]`, by running statistics.
    pub fn logits(&mut self, inputs: &Map) -> Result<Map> {
        let mut tape = Tape::new();
        let mut h = inputs.to(&self.place)?;
        for (_, unit) in &mut self.units {
            h = unit.pass(h, Mode::Evaluate, &mut tape)?;
        }
        self.head.pass(h, Mode::Evaluate, &mut tape)
    }

    /// Shows every weight and running statistic under its full name.
    pub fn visit(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        for (name, unit) in &mut self.units {
            unit.visit(name, visitor)?;
        }
        self.head.visit("", visitor)
    }

    /// Number of trained numbers.
    pub fn parameter_count(&mut self) -> Result<usize> {
        let mut count = 0;
        self.visit(&mut |_, variable| {
            if let Variable::Parameter(parameter) = variable {
                count += parameter.value.elem_count();
            }
            Ok(())
        })?;
        Ok(count)
    }
}
