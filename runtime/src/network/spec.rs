//! A network as data: what it takes, its units in order, and the head that answers.

use super::limits;
use super::objective::Objective;
use super::unit::UnitSpec;
use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::layers::cost::{Cost, Walk};
use crate::layers::spec::{Features, NamedLayer, output_of_all};
use crate::maps::counted::Counter;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A network: for classification, unless its objective says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// What people call it.
    pub name: String,
    /// What samples are: images of so many channels, rows and columns, or tokens.
    pub input: Inputs,
    /// Number of its outputs: of classes, or of the labels or values that its objective is.
    pub classes: usize,
    /// What its outputs stand for.
    #[serde(default, skip_serializing_if = "Objective::is_classes")]
    pub objective: Objective,
    /// The units, in order.
    pub units: Vec<UnitSpec>,
    /// From the last unit's features to one logit a class (or label, or a value).
    pub head: Vec<NamedLayer>,
}

impl NetworkSpec {
    /// Features of one sample.
    pub fn input_features(&self) -> Features {
        match self.input {
            Inputs::Pixels([channels, height, width]) => Features::Map { channels, height, width },
            Inputs::Tokens(tokens) => Features::Tokens(tokens),
        }
    }

    /// Each unit's layers and the features it gives, in order; errors name the unit.
    pub fn expand(&self) -> Result<Vec<(Vec<NamedLayer>, Features)>> {
        let mut features = self.input_features();
        let mut expanded = Vec::with_capacity(self.units.len());
        for (number, unit) in self.units.iter().enumerate() {
            let place = |e: Error| e.at(format!("{}, unit {number} '{}'", self.name, unit.name));
            let (layers, output) = unit.expand(features).map_err(place)?;
            features = output;
            expanded.push((layers, features));
        }
        Ok(expanded)
    }

    /// The features given by unit `number`.
    pub fn features_after(&self, number: usize) -> Result<Features> {
        self.expand()?
            .get(number)
            .map(|(_, features)| *features)
            .ok_or_else(|| Error::config(format!("{} has no unit {number}", self.name)))
    }

    /// What unit `number` costs, given the features before it and whether they are kept already.
    pub fn unit_costs(&self) -> Result<Vec<Cost>> {
        self.costs_of(&self.expand()?)
    }

    /// The same of units that were expanded.
    pub(crate) fn costs_of(&self, expanded: &[(Vec<NamedLayer>, Features)]) -> Result<Vec<Cost>> {
        let mut walk = Walk::new(self.input_features(), &Arc::new(Counter::new(1)))?;
        expanded.iter().map(|(layers, _)| walk.through(layers, true)).collect()
    }

    /// What the head costs.
    pub fn head_cost(&self) -> Result<Cost> {
        self.head_cost_on(self.expand()?.last().map_or(self.input_features(), |(_, f)| *f))
    }

    /// What the head costs on the last unit's features.
    pub(crate) fn head_cost_on(&self, features: Features) -> Result<Cost> {
        Walk::new(features, &Arc::new(Counter::new(1)))?.through(&self.head, true)
    }

    /// How many answers to a sample are right or wrong; none where they are values.
    pub fn answers(&self) -> usize {
        self.objective.answers(self.classes)
    }

    /// Widest unit, in channels.
    pub fn widest(&self) -> usize {
        self.units.iter().map(|unit| unit.width).max().unwrap_or(0)
    }

    /// Refuses what could not be trained or kept: layers that do not fit the one before, a head that does not give one
    /// logit a class, two weights of one name, and what exceeds [`limits`] or [`crate::layers::limits`].
    ///
    /// # Errors
    /// `Config`, and `Shape` where layers do not fit.
    pub fn validate(&self) -> Result<()> {
        limits::check_sizes(self)?;
        if self.units.is_empty() {
            return Err(Error::config(format!("{} has no units", self.name)));
        }
        self.objective.validate()?;
        let least = if self.objective.is_classes() { 2 } else { 1 };
        if self.classes < least {
            return Err(Error::config(format!(
                "{} needs at least {least} {}, found {}",
                self.name,
                self.objective.noun(),
                self.classes
            )));
        }
        limits::check_input(self)?;
        let expanded = self.expand()?;
        let last = expanded.last().map_or(self.input_features(), |(_, features)| *features);
        let output = output_of_all(&self.head, last).map_err(|e| e.at(format!("{}, head", self.name)))?;
        if output != Features::Flat(self.classes) {
            return Err(Error::config(format!(
                "the head of {} gives {output} instead of {} logits",
                self.name, self.classes
            )));
        }
        limits::check_weights(self, expanded.iter().map(|(layers, _)| &layers[..]))?;
        let named = self.units.iter().zip(&expanded);
        limits::check_names(self, named.map(|(unit, (layers, _))| (&unit.name[..], &layers[..])))
    }
}
