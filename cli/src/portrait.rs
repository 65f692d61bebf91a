//! A network, cut into blocks, in numbers and words: what `inspect` shows and what a run's record starts with.

use crate::metrics::{BlockRecord, UnitRecord};
use localgrad::layers::cost::Cost;
use localgrad::network::{NetworkSpec, UnitKind, UnitSpec, blocks};
use localgrad::rules::{RuleConfig, auxiliary_specs};

/// Counts for a whole step.
pub struct Portrait {
    /// Every unit.
    pub units: Vec<UnitRecord>,
    /// Every block; activations with its auxiliary network's.
    pub blocks: Vec<BlockRecord>,
    /// Trained numbers of the network.
    pub parameters: u64,
    /// Multiply-adds of an image's forward pass.
    pub multiply_adds: u64,
}

impl Portrait {
    /// Refuses what cannot be trained.
    pub fn new(
        network: &NetworkSpec,
        ends: &[usize],
        rule: &RuleConfig,
        batch: usize,
    ) -> localgrad::Result<Self> {
        let auxiliaries = auxiliary_specs(network, ends, rule)?;
        let costs = network.unit_costs()?;
        let head = network.head_cost()?;
        let expanded = network.expand()?;
        let kept_bytes = |cost: Cost| cost.kept_bytes.saturating_mul(batch) as u64;
        let units = network
            .units
            .iter()
            .zip(&costs)
            .zip(&expanded)
            .map(|((unit, cost), (_, features))| UnitRecord {
                name: if unit.name.is_empty() { unnamed(unit) } else { unit.name.clone() },
                kind: kind(unit).into(),
                features: features.to_string(),
                parameters: cost.parameters as u64,
                activation_bytes: kept_bytes(*cost),
            })
            .collect();
        let mut records = Vec::with_capacity(ends.len());
        for (number, range) in blocks::ranges(ends).into_iter().enumerate() {
            let own = costs[range.clone()].iter().fold(Cost::default(), |sum, cost| sum.plus(*cost));
            let auxiliary = match auxiliaries.get(number) {
                Some(spec) => spec.cost(expanded[*range.end()].1)?,
                None => Cost::default(),
            };
            let last = if number + 1 == ends.len() { head } else { Cost::default() };
            records.push(BlockRecord {
                first_unit: *range.start(),
                last_unit: *range.end(),
                parameters: own.plus(last).parameters as u64,
                activation_bytes: kept_bytes(own.plus(last).plus(auxiliary)),
                auxiliary: auxiliaries.get(number).map(ToString::to_string).unwrap_or_default(),
                auxiliary_parameters: auxiliary.parameters as u64,
            });
        }
        let total = costs.iter().fold(head, |sum, cost| sum.plus(*cost));
        Ok(Self {
            units,
            blocks: records,
            parameters: total.parameters as u64,
            multiply_adds: total.multiply_adds as u64,
        })
    }
}

fn kind(unit: &UnitSpec) -> &'static str {
    match unit.kind {
        UnitKind::Stem { .. } => "stem",
        UnitKind::Plain { .. } => "plain",
        UnitKind::Basic { .. } => "basic",
        UnitKind::Bottleneck { .. } | UnitKind::RegnetBlock(_) => "bottleneck",
        UnitKind::ConvNorm { .. } => "convolution",
        UnitKind::Patches { .. } => "patches",
        UnitKind::ConvNext(_) => "inverted bottleneck",
        UnitKind::Shuffle => "shuffle",
        UnitKind::Dense { .. } => "dense",
        UnitKind::Transition => "transition",
        UnitKind::Fire { .. } => "fire",
        UnitKind::Separable { .. } => "separable",
        UnitKind::TemporalBlock(_) => "temporal",
        UnitKind::Layers(_) => "layers",
        UnitKind::InvertedResidual { .. } | UnitKind::MobileBlock(_) | UnitKind::MnasBlock(_) => {
            "inverted residual"
        }
    }
}

fn unnamed(unit: &UnitSpec) -> String {
    match &unit.kind {
        UnitKind::Plain { names, .. } => names[0].clone(),
        _ => "stem".into(),
    }
}
