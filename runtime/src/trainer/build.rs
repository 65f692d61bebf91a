//! The auxiliary networks of a trainer.

use super::{Execution, Method, TrainConfig, auxiliary_path, residence};
use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::layers::{Features, Initializer, NamedLayer, Trains, Variable};
use crate::maps::coded::on_the_cpu_only;
use crate::maps::counted::ledger::Part;
use crate::maps::{Place, cross_entropy};
use crate::network::NetworkSpec;
use crate::optimizer::StateFormat;
use crate::rules::AuxiliarySpec;
use crate::rules::auxiliary::Auxiliary;
use crate::rules::judge::Judge;

/// Which weights of a new trainer are drawn by its seed; the others are 0 until they are loaded, which takes less time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drawn {
    /// All.
    All,
    /// Those of the head and of auxiliary networks: a file has those of the units.
    AllButUnits,
    /// None: a checkpoint has them all.
    None,
}

impl Drawn {
    /// Whether those of the units and of the head are drawn.
    pub(super) fn of_network(self) -> [bool; 2] {
        [self == Self::All, self.of_others()]
    }

    /// Whether those of the head and of auxiliary networks are.
    fn of_others(self) -> bool {
        self != Self::None
    }
}

/// Builds one for every block but the last and the first `still`, which are not trained; each goes to the depot, if there
/// is one, as soon as it is built.
pub(super) fn build_auxiliaries(
    expanded: &[(Vec<NamedLayer>, Features)],
    (config, still, drawn): (&TrainConfig, usize, Drawn),
    specs: &[AuxiliarySpec],
    place: &Place,
    depot: &mut Option<Depot>,
) -> Result<Vec<Option<Auxiliary>>> {
    let initializer = Initializer {
        seed: config.method.seed,
        draws: drawn.of_others(),
        place: place.clone(),
        part: Part::Auxiliary,
        trains: Trains::ALL,
    };
    let recompute = config.execution.recompute;
    specs
        .iter()
        .enumerate()
        .map(|(block, auxiliary)| {
            if block < still {
                return Ok(None);
            }
            let features = expanded[config.method.ends[block]].1;
            let path = auxiliary_path(block);
            let mut auxiliary = Auxiliary::new(auxiliary, features, recompute, &path, &initializer)?;
            auxiliary.visit(&path, &mut keep(config.method.optimizer_state))?;
            if let Some(depot) = depot {
                let group = residence::auxiliary_group(expanded.len(), block);
                depot.put(group, &mut |visitor| auxiliary.visit(&path, visitor))?;
            }
            Ok(Some(auxiliary))
        })
        .collect()
}

/// What losses compare a sample's features with, beside its target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compares {
    /// Its image.
    pub(super) images: bool,
    /// The other samples of its batch.
    pub(super) samples: bool,
}

impl Compares {
    pub(super) fn of(auxiliaries: &[Option<Auxiliary>]) -> Self {
        let judges = || auxiliaries.iter().flatten().map(|auxiliary| &auxiliary.judge);
        Self { images: judges().any(Judge::needs_images), samples: judges().any(Judge::compares_samples) }
    }
}

/// Has each weight know in what its optimizer state is kept.
pub(super) fn keep(format: StateFormat) -> impl FnMut(&str, Variable<'_>) -> Result<()> {
    move |_, variable| {
        if let Variable::Parameter(parameter) = variable {
            parameter.eight_bit = format == StateFormat::EightBit;
        }
        Ok(())
    }
}

/// Refuses class weights that are not one for each class of the network, and these and label smoothing where it has none.
pub(crate) fn check_weights(method: &Method, spec: &NetworkSpec) -> Result<()> {
    if !spec.objective.is_classes() && (method.label_smoothing > 0.0 || !method.class_weights.is_empty()) {
        return Err(Error::config(format!(
            "class weights and label smoothing are for one class a sample, and {} learns {}; leave them out",
            spec.name,
            spec.objective.noun()
        )));
    }
    match method.class_weights[..] {
        [] => Ok(()),
        ref weights => cross_entropy::check_class_weights(weights, spec.classes),
    }
}

/// Refuses exact statistics for losses that compare all samples of a batch with each other: shares are no batch.
pub(crate) fn check_shares(execution: &Execution, specs: &[AuxiliarySpec]) -> Result<()> {
    match execution.exact && specs.iter().any(AuxiliarySpec::compares_samples) {
        true => Err(Error::config(
            "similarity and contrastive losses compare the samples of a micro-batch alone, so that its steps cannot be \
             those of the whole batch; choose another head or task, or leave exact statistics out",
        )),
        false => Ok(()),
    }
}

/// Refuses what is there on the CPU only where maps are elsewhere.
pub(super) fn check_place(config: &TrainConfig, place: &Place) -> Result<()> {
    let TrainConfig { method, execution } = config;
    if place.is_host() {
        return Ok(());
    }
    if execution.exact {
        return Err(Error::config("exact statistics in micro-batches are there on the CPU only"));
    }
    if execution.side_by_side {
        return Err(Error::config(
            "blocks train side by side on the threads of the CPU only; leave side by side out, or train on the CPU",
        ));
    }
    if method.optimizer_state.is_f32() { Ok(()) } else { Err(on_the_cpu_only()) }
}

/// Refuses to keep features where none are alike from epoch to epoch, or where losses compare with the images.
pub(super) fn check_cache(
    method: &Method,
    first_trained: usize,
    specs: &[AuxiliarySpec],
    still: usize,
) -> Result<()> {
    if method.cache.is_none() {
        return Ok(());
    }
    if first_trained == 0 {
        return Err(Error::config(
            "features are to be kept, but the first unit is trained, so that they change from step to step; train the head \
             or the last units alone, or freeze the first blocks",
        ));
    }
    match specs.iter().skip(still).any(|spec| spec.decoder.is_some()) {
        true => Err(Error::config(
            "features are to be kept, but a decoder compares with the images; choose another head, or keep none",
        )),
        false => Ok(()),
    }
}
