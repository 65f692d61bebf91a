//! Auxiliary networks as data, written from the network's spec: one for every block but the last.

use super::auglocal;
use super::config::{Head, Rule, RuleConfig};
use super::heads;
use crate::error::{Error, Result};
use crate::inputs::Inputs;
use crate::layers::cost::{Cost, Walk};
use crate::layers::spec::{Features, LayerSpec, NamedLayer, named, output_of_all};
use crate::maps::conv::ConvConfig;
use crate::maps::counted::Counter;
use crate::network::{NetworkSpec, UnitSpec, blocks};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// What the head is trained to do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// The loss of the network's objective on its outputs: of classes softmax cross-entropy.
    CrossEntropy,
    /// Supervised contrastive loss of its features.
    Contrastive {
        /// Temperature.
        temperature: f64,
    },
}

/// MAN's two copies of a later unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairSpec {
    /// Number of the unit that the averaged copy follows.
    pub followed: usize,
    /// What both copies look like.
    pub unit: UnitSpec,
    /// Whether there is a trained copy; without one the average stands alone.
    pub trained: bool,
    /// Share of the old value in the moving average.
    pub momentum: f64,
    /// Whether a trained scalar balances the two (MAN++).
    pub scaled: bool,
}

/// The auxiliary network of one block: body, then one or two losses on what it gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuxiliarySpec {
    /// MAN's pairs, if any; come first.
    pub pairs: Vec<PairSpec>,
    /// New units, if any; come next.
    pub units: Vec<UnitSpec>,
    /// From the body's features to the task's logits or features.
    pub head: Vec<NamedLayer>,
    /// The loss of the head.
    pub task: Task,
    /// InfoPro's decoder from the body's features to the image, if any.
    pub decoder: Option<Vec<NamedLayer>>,
    /// PredSim's convolution before the similarity loss, if any.
    pub similarity: Option<Vec<NamedLayer>>,
    /// Weights of [reconstruction or similarity, task].
    pub lambda: [f64; 2],
}

impl AuxiliarySpec {
    /// Whether a loss compares the samples of a batch with each other.
    pub fn compares_samples(&self) -> bool {
        self.similarity.is_some() || matches!(self.task, Task::Contrastive { .. })
    }
}

/// The auxiliary networks of all blocks but the last. Refuses what cannot work.
pub fn auxiliary_specs(
    network: &NetworkSpec,
    ends: &[usize],
    config: &RuleConfig,
) -> Result<Vec<AuxiliarySpec>> {
    network.validate()?;
    config.validate()?;
    blocks::validate_ends(ends, network.units.len())?;
    check_objective(network, ends, config)?;
    if config.rule == Rule::Bp && ends.len() > 1 {
        return Err(Error::config(format!(
            "bp trains the network whole, as one block; found {} blocks",
            ends.len()
        )));
    }
    let expanded = network.expand()?;
    let of_block = |(number, &end): (usize, &usize)| {
        let boundary = Boundary { end, number, blocks: ends.len(), features: expanded[end].1 };
        boundary.auxiliary(network, config)
    };
    ends[..ends.len() - 1].iter().enumerate().map(of_block).collect()
}

/// Refuses rules that compare the classes of samples for networks that learn something else.
fn check_objective(network: &NetworkSpec, ends: &[usize], config: &RuleConfig) -> Result<()> {
    let compares = config.head == Head::Predsim || config.contrastive_temperature.is_some();
    match network.objective {
        objective if !objective.is_classes() && compares && ends.len() > 1 => Err(Error::config(format!(
            "similarity and contrastive losses compare the classes of samples, and {} learns {}; choose another head or \
             task",
            network.name,
            objective.noun()
        ))),
        _ => Ok(()),
    }
}

/// Where a block ends that an auxiliary network judges.
pub(crate) struct Boundary {
    /// The block's last unit.
    pub(crate) end: usize,
    /// The block's number.
    pub(crate) number: usize,
    /// Number of all blocks.
    pub(crate) blocks: usize,
    /// What the block gives.
    pub(crate) features: Features,
}

impl Boundary {
    /// The auxiliary network behind it.
    pub(crate) fn auxiliary(&self, network: &NetworkSpec, config: &RuleConfig) -> Result<AuxiliarySpec> {
        let Self { end, number, blocks, features } = *self;
        let mut spec = AuxiliarySpec {
            pairs: Vec::new(),
            units: Vec::new(),
            head: Vec::new(),
            task: config
                .contrastive_temperature
                .map_or(Task::CrossEntropy, |temperature| Task::Contrastive { temperature }),
            decoder: None,
            similarity: None,
            lambda: lambda(config, number, blocks),
        };
        let depth = auglocal::depth(number, blocks, config.depth, config.pyramid);
        let path = || auglocal::path(&network.units, end, depth);
        match config.rule {
            Rule::Auglocal => {
                spec.task = Task::CrossEntropy;
                spec.lambda = [0.0, 1.0];
            }
            Rule::Man | Rule::Manpp => {
                let followed = if config.head == Head::Path { path() } else { vec![end + 1] };
                spec.pairs = followed.into_iter().map(|followed| pair(network, followed, config)).collect();
            }
            Rule::Bp | Rule::Greedy | Rule::Dgl | Rule::Predsim | Rule::Infopro => {}
        }
        let is_auglocal = config.rule == Rule::Auglocal || config.head == Head::Auglocal;
        if is_auglocal {
            // A pair already is the next unit.
            let end = end + spec.pairs.len();
            let chosen = auglocal::chosen(end, network.units.len(), depth);
            let pooled = auglocal::pool(spec.body_features(features)?, config.pool)?;
            let units = auglocal::new_units(&network.units, end, &chosen);
            spec.units = pooled.into_iter().chain(units).collect();
        }
        if config.head == Head::Path && config.rule != Rule::Auglocal && spec.pairs.is_empty() {
            let unit = |number: usize| {
                network.units[number].elsewhere(number.to_string(), network.units[number].stride)
            };
            spec.units = path().into_iter().map(unit).collect();
        }
        let body = spec.body_features(features)?;
        let outputs = match spec.task {
            Task::CrossEntropy => network.classes,
            Task::Contrastive { .. } => config.feature_dim,
        };
        spec.head = match is_auglocal {
            true => auglocal_head(body.channels(), depth, outputs),
            false => heads::head(config, body, network.widest(), outputs)?,
        };
        if config.rule == Rule::Auglocal {
            return Ok(spec);
        }
        if config.reconstruct {
            spec.decoder = Some(heads::decoder(body, image(network)?)?);
        }
        if config.head == Head::Predsim {
            spec.similarity = Some(vec![similarity(body.channels())]);
        }
        Ok(spec)
    }
}

/// The image that a decoder rebuilds.
fn image(network: &NetworkSpec) -> Result<[usize; 3]> {
    match network.input {
        Inputs::Pixels(sides) => Ok(sides),
        Inputs::Tokens(_) => Err(Error::config(format!(
            "a decoder rebuilds the pixels of images, and {} takes tokens; train by another rule, or over a head without one, such as 1c2f",
            network.name
        ))),
    }
}

fn pair(network: &NetworkSpec, followed: usize, config: &RuleConfig) -> PairSpec {
    let unit = &network.units[followed];
    PairSpec {
        followed,
        unit: unit.elsewhere("", unit.stride),
        trained: config.trained_copy,
        momentum: config.ema_momentum,
        scaled: config.rule == Rule::Manpp,
    }
}

/// λ goes linearly from the first to the last auxiliary network, counted by block.
fn lambda(config: &RuleConfig, number: usize, blocks: usize) -> [f64; 2] {
    let share = if blocks > 2 { number as f64 / (blocks - 2) as f64 } else { 0.0 };
    [0, 1].map(|i| config.lambda_first[i] * (1.0 - share) + config.lambda_last[i] * share)
}

fn auglocal_head(width: usize, depth: usize, classes: usize) -> Vec<NamedLayer> {
    let mut head = vec![named("0", LayerSpec::GlobalAveragePool)];
    if depth <= 1 {
        head.push(named("2", LayerSpec::batch_norm(width, None)));
    }
    let number = if depth <= 1 { "3" } else { "2" };
    head.push(named(number, LayerSpec::Linear { inputs: width, outputs: classes, bias: true }));
    head
}

fn similarity(channels: usize) -> NamedLayer {
    let config = ConvConfig { kernel: [3, 3], padding: [1, 1], ..ConvConfig::default() };
    named("", LayerSpec::Conv { inputs: channels, outputs: channels, config, bias: false })
}

impl AuxiliarySpec {
    /// The body's layers on `features`: a list for each unit, a pair counted once.
    fn body(&self, features: Features) -> Result<Vec<Vec<NamedLayer>>> {
        let mut features = features;
        let units = self.pairs.iter().map(|pair| &pair.unit).chain(&self.units);
        units
            .map(|unit| {
                let (layers, output) = unit.expand(features)?;
                features = output;
                Ok(layers)
            })
            .collect()
    }

    /// All its lists of layers, each with the features that it takes.
    pub(crate) fn lists(&self, features: Features) -> Result<Vec<(Vec<NamedLayer>, Features)>> {
        let mut features = features;
        let mut lists = Vec::new();
        for layers in self.body(features)? {
            let output = output_of_all(&layers, features)?;
            lists.push((layers, features));
            features = output;
        }
        let branches = [Some(&self.head), self.decoder.as_ref(), self.similarity.as_ref()];
        lists.extend(branches.into_iter().flatten().map(|branch| (branch.clone(), features)));
        Ok(lists)
    }

    /// What the head and the decoder read.
    pub fn body_features(&self, features: Features) -> Result<Features> {
        self.body(features)?.iter().try_fold(features, |f, layers| output_of_all(layers, f))
    }

    /// What it costs on a block's output of the given features. The branches after the body run one after the
    /// other, so only the larger one's kept elements count.
    pub fn cost(&self, features: Features) -> Result<Cost> {
        self.cost_by(features, &Arc::new(Counter::new(1)))
    }

    /// The same, counted by `counter`, which knows what kernels allocate for shapes that it has seen.
    pub(crate) fn cost_by(&self, features: Features, counter: &Arc<Counter>) -> Result<Cost> {
        let mut walk = Walk::new(features, counter)?;
        let mut total = Cost::default();
        for (number, layers) in self.body(features)?.iter().enumerate() {
            let pair = self.pairs.get(number);
            if pair.is_some_and(|pair| pair.trained) {
                // Its averaged copy goes beside it.
                total = total.plus(walk.beside(layers, false)?);
            }
            total = total.plus(walk.through(layers, pair.is_none_or(|pair| pair.trained))?);
        }
        let kept_by_body = total.kept_bytes;
        let mut largest = 0;
        for branch in
            [Some(&self.head), self.decoder.as_ref(), self.similarity.as_ref()].into_iter().flatten()
        {
            let cost = walk.aside(branch)?;
            largest = largest.max(cost.kept_bytes);
            total = total.plus(cost);
        }
        total.kept_bytes = kept_by_body + largest;
        Ok(total)
    }
}

impl fmt::Display for AuxiliarySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for pair in &self.pairs {
            let copies = if pair.trained { "trained + averaged" } else { "averaged" };
            let scaled = if pair.scaled { ", balanced" } else { "" };
            parts.push(format!("{copies} unit of {} channels{scaled}", pair.unit.width));
        }
        let (pools, units): (Vec<_>, Vec<_>) =
            self.units.iter().partition(|unit| unit.name == auglocal::POOL);
        if let Some([rows, columns]) = pools.first().map(|pool| pool.stride) {
            parts.push(format!("means over {rows}x{columns}"));
        }
        if !units.is_empty() {
            let widths: Vec<String> = units.iter().map(|u| u.width.to_string()).collect();
            parts.push(format!("units of {} channels", widths.join(", ")));
        }
        let count = |wanted: fn(&LayerSpec) -> bool| self.head.iter().filter(|l| wanted(&l.layer)).count();
        let convolutions = count(|l| matches!(l, LayerSpec::Conv { .. }));
        let linears = count(|l| matches!(l, LayerSpec::Linear { .. }));
        parts.push(format!("head {convolutions}c{linears}f"));
        if let Task::Contrastive { .. } = self.task {
            parts.push("contrastive".into());
        }
        if self.decoder.is_some() {
            parts.push("decoder".into());
        }
        if self.similarity.is_some() {
            parts.push("similarity".into());
        }
        f.write_str(&parts.join(" + "))
    }
}
