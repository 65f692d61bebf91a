//! A network in training as one that classifies, wherever its weights wait.

use super::Trainer;
use crate::error::Result;
use crate::layers::{FormReader, Reader, Visitor};
use crate::maps::{Map, Place};
use crate::model::Classifier;
use crate::network::NetworkSpec;

impl Classifier for Trainer {
    fn spec(&self) -> &NetworkSpec {
        &self.model.spec
    }

    fn place(&self) -> &Place {
        &self.model.place
    }

    fn logits(&mut self, inputs: &Map) -> Result<Map> {
        self.network_logits(inputs)
    }

    fn visit(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        self.visit_network(visitor)
    }

    fn visit_head(&mut self, visitor: &mut Visitor<'_>) -> Result<()> {
        self.visit_group(self.model.units.len(), visitor)
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        (0..=self.model.units.len()).try_for_each(|group| self.read_group(group, reader))
    }

    fn read_head(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        self.read_group(self.model.units.len(), reader)
    }

    fn read_forms(&mut self, reader: &mut FormReader<'_>) -> Result<()> {
        (0..=self.model.units.len()).try_for_each(|group| self.read_forms_of_group(group, reader))
    }
}
