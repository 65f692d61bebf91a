//! Where to cut a network into so many blocks: so that the largest keeps as little as can be.

use crate::error::{Error, Result};
use crate::maps::counted::Counter;
use crate::network::{NetworkSpec, blocks};
use crate::rules::spec::Boundary;
use crate::rules::{Rule, RuleConfig, auglocal};
use std::sync::Arc;

/// What each unit keeps for its backward pass, and what the auxiliary network behind it would keep.
struct Costs {
    units: Vec<usize>,
    boundaries: Vec<usize>,
    /// How many units may end a block before the last: all but one, or fewer as [`auglocal::published_ends`] says.
    before_last: usize,
}

impl Costs {
    fn new(network: &NetworkSpec, rule: &RuleConfig) -> Result<Self> {
        let expanded = network.expand()?;
        let counter = Arc::new(Counter::new(1));
        let units: Vec<usize> = network.costs_of(&expanded)?.iter().map(|cost| cost.kept_bytes).collect();
        let mut boundaries = Vec::with_capacity(units.len());
        for (end, (_, features)) in expanded.iter().enumerate() {
            let kept = if end + 1 < units.len() {
                // Only the boundary's own place matters to what its auxiliary network keeps.
                let boundary = Boundary { end, number: 0, blocks: 2, features: *features };
                boundary.auxiliary(network, rule)?.cost_by(*features, &counter)?.kept_bytes
            } else {
                network.head_cost_on(*features)?.kept_bytes
            };
            boundaries.push(kept);
        }
        let before_last = auglocal::ends_before_last(units.len(), rule);
        Ok(Self { units, boundaries, before_last })
    }

    /// With more blocks than [`Costs::before_last`] leaves, any unit may end one.
    fn split(&self, blocks: usize) -> Result<Vec<usize>> {
        let before_last = self.before_last;
        if blocks == 0 || blocks > before_last + 1 {
            return blocks::split(&self.units, &self.boundaries, blocks);
        }
        let together = self.units[before_last..].iter().fold(0usize, |sum, kept| sum.saturating_add(*kept));
        let units = [&self.units[..before_last], &[together]].concat();
        let boundaries = [&self.boundaries[..before_last], &self.boundaries[self.units.len() - 1..]].concat();
        let mut ends = blocks::split(&units, &boundaries, blocks)?;
        ends[blocks - 1] = self.units.len() - 1;
        Ok(ends)
    }
}

/// The last unit of each of `count` blocks.
///
/// # Errors
/// `Config` when there are fewer units, and for bp, which has one block.
pub fn even_ends(network: &NetworkSpec, rule: &RuleConfig, count: usize) -> Result<Vec<usize>> {
    network.validate()?;
    if rule.rule == Rule::Bp && count != 1 {
        return Err(Error::config(format!(
            "bp trains the network whole, as one block; found {count} blocks"
        )));
    }
    Costs::new(network, rule)?.split(count)
}

/// The last unit of each of `count` pieces of a backward pass: so that the largest piece keeps as little as can be.
///
/// # Errors
/// `Config` when there are fewer units.
pub fn even_pieces(network: &NetworkSpec, count: usize) -> Result<Vec<usize>> {
    network.validate()?;
    kept_by_units(network)?.split(count)
}

/// What each unit keeps, where nothing but units is kept.
fn kept_by_units(network: &NetworkSpec) -> Result<Costs> {
    let units: Vec<usize> = network.unit_costs()?.iter().map(|cost| cost.kept_bytes).collect();
    Ok(Costs { boundaries: vec![0; units.len()], before_last: units.len().saturating_sub(1), units })
}

/// Pieces of the backward pass of a network in one block: two and more, up to one a unit.
pub(super) fn pieces(network: &NetworkSpec) -> Result<Vec<Vec<usize>>> {
    network.validate()?;
    let costs = kept_by_units(network)?;
    counts(network.units.len()).map(|count| costs.split(count)).collect()
}

/// Cuts into two blocks and more, up to one a unit; into one for bp.
pub fn cuts(network: &NetworkSpec, rule: &RuleConfig) -> Result<Vec<Vec<usize>>> {
    network.validate()?;
    let units = network.units.len();
    if rule.rule == Rule::Bp || units == 1 {
        return Ok(vec![vec![units - 1]]);
    }
    let costs = Costs::new(network, rule)?;
    counts(units).map(|count| costs.split(count)).collect()
}

/// Every small number of blocks, and ever fewer of the large ones.
fn counts(units: usize) -> impl Iterator<Item = usize> {
    let after = |&count: &usize| Some(count + 1 + count / 8);
    std::iter::successors(Some(2), after).take_while(move |&count| count < units).chain([units])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_small_counts_and_the_largest() {
        assert_eq!(counts(2).collect::<Vec<_>>(), [2]);
        assert_eq!(counts(9).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(counts(16).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16]);
    }
}
