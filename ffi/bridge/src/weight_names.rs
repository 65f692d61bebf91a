//! What weights a trainer has, by name.

use crate::status::Outcome;
use localgrad_runtime::model::Classifier;
use localgrad_runtime::trainer::Trainer;
use std::collections::BTreeSet;

/// A weight or a running statistic of the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Under which it is exported, too.
    pub name: String,
    /// The block that it is part of.
    pub block: usize,
    /// Its shape.
    pub extents: Vec<usize>,
    /// Whether no gradient changes it.
    pub is_statistic: bool,
}

impl Named {
    /// Its numbers.
    pub(crate) fn elements(&self) -> usize {
        self.extents.iter().product()
    }

    /// Weights and running statistics of the network, auxiliary networks left out, block by block.
    pub(crate) fn all(trainer: &mut Trainer) -> Outcome<Vec<Self>> {
        let mut network = BTreeSet::new();
        trainer.read_forms(&mut |name, _| {
            network.insert(name.to_owned());
            Ok(())
        })?;
        let mut found = Vec::with_capacity(network.len());
        for block in 0..trainer.ranges().len() {
            trainer.read_forms_of_block(block, &mut |name, form| {
                if network.contains(name) {
                    let extents = form.dims.to_vec();
                    let is_statistic = form.updated.is_none();
                    found.push(Self { name: name.to_owned(), block, extents, is_statistic });
                }
                Ok(())
            })?;
        }
        Ok(found)
    }
}
