//! Exits: what a network is that ends behind one of its blocks, with what judged the block in place of the rest; what each
//! costs, and how sure of an answer one is.

pub mod certainty;
pub mod survey;

use crate::error::{Error, Result};
use crate::layers::spec::{LayerSpec, NamedLayer, ShortcutSpec, join, named, unnamed};
use crate::maps::counted::Counter;
use crate::maps::counted::counter::ELEMENT_BYTES;
use crate::maps::{Map, Place};
use crate::model::{Classifier, Model};
use crate::network::blocks::validate_ends;
use crate::network::{NetworkSpec, UnitKind, UnitSpec};
use crate::rules::{PairSpec, RuleConfig, Task, auxiliary_specs};
use crate::trainer::{Method, TrainConfig, Trainer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The exits of a network as its weights' file tells of them: enough to build them again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exits {
    /// The last unit of each block.
    pub ends: Vec<usize>,
    /// Blocks at the beginning that have no exit, because they were not trained.
    pub frozen: usize,
    /// What the auxiliary networks are that were kept as exits.
    pub rule: RuleConfig,
    /// Each exit in the order of the blocks; the last is the network's own end.
    pub found: Vec<ExitFound>,
}

/// What samples that were not learnt from have told of an exit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExitFound {
    /// What its logits are divided by, so that its probabilities are as large as it is often right (Guo et al. 2017).
    pub temperature: f64,
    /// The share of these samples that it classified right.
    pub accuracy: f64,
}

/// What a network of its own costs that ends at an exit, counted for one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCost {
    /// The block that the exit is behind.
    pub block: usize,
    /// The last unit before it.
    pub after_unit: usize,
    /// Trained numbers, moving averages among them.
    pub parameters: usize,
    /// Bytes of all its weights and running statistics.
    pub bytes: usize,
    /// Multiply-adds of a forward pass.
    pub multiply_adds: usize,
    /// Those of them behind that unit.
    pub own_multiply_adds: usize,
}

/// Refuses networks and rules behind whose blocks nothing answers with a class.
///
/// # Errors
/// `Config` for these.
pub fn check(network: &NetworkSpec, rule: &RuleConfig) -> Result<()> {
    if !network.objective.is_classes() {
        return Err(Error::config(format!(
            "exits are for networks that answer with one class a sample, and {} learns {}",
            network.name,
            network.objective.noun()
        )));
    }
    match rule.contrastive_temperature {
        None => Ok(()),
        Some(_) => Err(Error::config(
            "auxiliary networks of the contrastive loss give features and no classes: they are no exits",
        )),
    }
}

impl Exits {
    /// Those of a trainer, of which nothing is known yet.
    ///
    /// # Errors
    /// `Config` where what is behind blocks answers with no class.
    pub fn of(trainer: &Trainer) -> Result<Self> {
        let (method, spec) = (trainer.method(), &trainer.model.spec);
        check(spec, &method.rule)?;
        let found = vec![ExitFound { temperature: 1.0, accuracy: 0.0 }; trainer.exits().len()];
        Ok(Self {
            ends: method.ends.clone(),
            frozen: method.ends.len() - found.len(),
            // What decoders have learnt is of no use any more.
            rule: RuleConfig { reconstruct: false, ..method.rule.clone() },
            found,
        })
    }

    /// Whether they can be those of a network of so many units.
    ///
    /// # Errors
    /// `Config` where they cannot.
    pub fn check(&self, units: usize) -> Result<()> {
        let Self { ends, frozen, rule, found } = self;
        rule.validate()?;
        validate_ends(ends, units)?;
        let are_numbers = |exit: &ExitFound| {
            exit.temperature.is_finite() && exit.temperature > 0.0 && (0.0..=1.0).contains(&exit.accuracy)
        };
        match found.is_empty() || frozen.checked_add(found.len()) != Some(ends.len()) {
            true => Err(Error::config(format!(
                "{} exits and {frozen} blocks without one for {} blocks",
                found.len(),
                ends.len()
            ))),
            false if !found.iter().all(are_numbers) => {
                Err(Error::config("an exit's temperature is above 0, and its accuracy from 0 to 1"))
            }
            false => Ok(()),
        }
    }

    /// What a trainer is made of that has these exits.
    pub fn train_config(&self) -> TrainConfig {
        let Self { ends, frozen, rule, .. } = self.clone();
        TrainConfig::from(Method { rule, ends, frozen, ..Method::default() })
    }

    /// The block that exit `number`, counted from 0, is behind.
    ///
    /// # Errors
    /// `Config` where there is none.
    pub fn block(&self, number: usize) -> Result<usize> {
        match number < self.found.len() {
            true => Ok(self.frozen + number),
            false => Err(Error::config(format!(
                "there is no exit {}: exits are numbered from 1 to {}",
                number + 1,
                self.found.len()
            ))),
        }
    }

    /// The network of its own that ends at exit `number`, counted from 0: the units up to there, then the exit's as units
    /// and head.
    ///
    /// # Errors
    /// `Config` where there is no such exit, and those of the rule.
    pub fn network(&self, network: &NetworkSpec, number: usize) -> Result<NetworkSpec> {
        let block = self.block(number)?;
        if block + 1 == self.ends.len() {
            return Ok(network.clone());
        }
        let end = self.ends[block];
        let auxiliary = auxiliary_specs(network, &self.ends, &self.rule)?.swap_remove(block);
        if auxiliary.task != Task::CrossEntropy {
            return Err(Error::config("what judges a block by the contrastive loss gives no classes"));
        }
        let mut units = network.units[..=end].to_vec();
        let mut inputs = network.units[end].width;
        for (place, pair) in auxiliary.pairs.iter().enumerate() {
            let path = if place == 0 { OWN.into() } else { format!("{OWN}.pairs.{place}") };
            units.push(pair_unit(pair, inputs, path)?);
            inputs = pair.unit.width;
        }
        let renamed = |unit: &UnitSpec| UnitSpec {
            name: join(&format!("{OWN}.units"), &unit.name).into_owned(),
            ..unit.clone()
        };
        units.extend(auxiliary.units.iter().map(renamed));
        let layer = |NamedLayer { name, layer }: &NamedLayer| match layer.has_weights() {
            true => named(join(&format!("{OWN}.head"), name), layer.clone()),
            false => unnamed(layer.clone()),
        };
        let head = auxiliary.head.iter().map(layer).collect();
        let name = format!("{}-exit{}", network.name, number + 1);
        let spec = NetworkSpec { name, units, head, ..network.clone() };
        spec.validate()?;
        Ok(spec)
    }

    /// That network and its weights, out of those of the whole with its exits.
    ///
    /// # Errors
    /// Those of [`Exits::network`], and `Format` where weights are missing.
    pub fn taken(
        &self,
        whole: &Weights,
        network: &NetworkSpec,
        number: usize,
    ) -> Result<(NetworkSpec, Weights)> {
        let spec = self.network(network, number)?;
        let kept = format!("aux.{}", self.block(number)?);
        let mut weights = Weights::new();
        counted(&spec)?.read_forms(&mut |name, form| {
            let value = match whole.get(name) {
                Some(found) => found.clone(),
                None => of_exit(whole, &kept, name, form.dims)?,
            };
            weights.insert(name.to_string(), value);
            Ok(())
        })?;
        Ok((spec, weights))
    }

    /// What each exit costs.
    ///
    /// # Errors
    /// Those of the rule.
    pub fn costs(&self, network: &NetworkSpec) -> Result<Vec<ExitCost>> {
        (0..self.found.len()).map(|number| self.cost(network, number)).collect()
    }

    fn cost(&self, network: &NetworkSpec, number: usize) -> Result<ExitCost> {
        let (block, spec) = (self.block(number)?, self.network(network, number)?);
        let (after_unit, mut all) = (self.ends[block], 0);
        let units: Vec<usize> = spec.unit_costs()?.iter().map(|unit| unit.multiply_adds).collect();
        let (shared, own) = units.split_at(after_unit + 1);
        let own = own.iter().sum::<usize>() + spec.head_cost()?.multiply_adds;
        let mut model = counted(&spec)?;
        model.read_forms(&mut |_, form| {
            all += form.dims.iter().product::<usize>();
            Ok(())
        })?;
        Ok(ExitCost {
            block,
            after_unit,
            parameters: model.parameter_count()?,
            bytes: all * ELEMENT_BYTES,
            multiply_adds: shared.iter().sum::<usize>() + own,
            own_multiply_adds: own,
        })
    }
}

/// Tensors by name.
type Weights = BTreeMap<String, Map>;

/// Where an exit's own weights are named in the network that ends there.
const OWN: &str = "exit";
/// MAN++'s balance: what the trained copy is multiplied by, and the rest of 2, for the averaged one.
const BALANCE: &str = ".scale";
const REST: &str = ".rest";

/// Tensors without numbers of a network.
fn counted(spec: &NetworkSpec) -> Result<Model> {
    Model::new(spec.clone(), 0, Place::Counted(Arc::new(Counter::new(1))))
}

/// MAN's pair as a unit: the sum of both copies.
fn pair_unit(pair: &PairSpec, inputs: usize, name: String) -> Result<UnitSpec> {
    let copy = |copy: &str| -> Result<Vec<NamedLayer>> {
        let layers = pair.unit.layers(inputs)?.into_iter();
        Ok(layers.map(|NamedLayer { name, layer }| named(join(copy, &name), layer)).collect())
    };
    let mut around = copy("ema")?;
    let width = pair.unit.width;
    if pair.trained {
        let mut main = copy("bias")?;
        if pair.scaled {
            let scale = LayerSpec::Scale { channels: width, start: 1.0 };
            main.push(named(&BALANCE[1..], scale.clone()));
            around.push(named(&REST[1..], scale));
        }
        let shortcut = ShortcutSpec::Projection(around);
        around = vec![unnamed(LayerSpec::Residual { main, shortcut, activation: None })];
    }
    Ok(UnitSpec { name, kind: UnitKind::Layers(around), width, stride: pair.unit.stride })
}

/// A weight of an exit's own, from where the whole network keeps it: there the balance is one number, which is the factor of
/// every channel of one copy, and the rest of 2 that of the other.
fn of_exit(whole: &Weights, kept: &str, name: &str, dims: &[usize]) -> Result<Map> {
    let own = name.strip_prefix(OWN).unwrap_or_default();
    let (source, is_rest) = match own.strip_suffix(REST) {
        Some(before) => (format!("{kept}{before}{BALANCE}"), true),
        None => (format!("{kept}{own}"), false),
    };
    let missing = || Error::format(format!("the weights of this exit are missing: there is no {source}"));
    let found = whole.get(&source).ok_or_else(missing)?;
    let is_balance = is_rest || own.ends_with(BALANCE) && found.elem_count() == 1;
    if !is_balance {
        return Ok(found.clone());
    }
    let scale = found.numbers()?.first().map_or(1.0, |&scale| f64::from(scale));
    Place::Host.full(dims, if is_rest { (2.0 - scale) as f32 } else { scale as f32 })
}
