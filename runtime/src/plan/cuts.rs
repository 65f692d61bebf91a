//! Where to cut a network into so many blocks: so that the largest keeps as little as can be.

use crate::error::{Error, Result};
use crate::network::{NetworkSpec, blocks};
use crate::rules::{Rule, RuleConfig, spec::auxiliary_spec};

/// What each unit keeps for its backward pass, and what the auxiliary network behind it would keep.
struct Costs {
    units: Vec<usize>,
    boundaries: Vec<usize>,
}

impl Costs {
    fn new(network: &NetworkSpec, rule: &RuleConfig) -> Result<Self> {
        let units: Vec<usize> = network.unit_costs()?.iter().map(|cost| cost.kept_elements).collect();
        let mut boundaries = Vec::with_capacity(units.len());
        for end in 0..units.len() - 1 {
            // Only the boundary's own place matters to what its auxiliary network keeps.
            let auxiliary = auxiliary_spec(network, &[end, units.len() - 1], 0, rule)?;
            boundaries.push(auxiliary.cost(network.features_after(end)?)?.kept_elements);
        }
        boundaries.push(network.head_cost()?.kept_elements);
        Ok(Self { units, boundaries })
    }

    fn of(&self, first: usize, last: usize) -> usize {
        self.units[first..=last].iter().sum::<usize>() + self.boundaries[last]
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
    let costs = Costs::new(network, rule)?;
    blocks::split(network.units.len(), count, |first, last| costs.of(first, last))
}

/// The last unit of each of `count` pieces of a backward pass: so that the largest piece keeps as little as can be.
///
/// # Errors
/// `Config` when there are fewer units.
pub fn even_pieces(network: &NetworkSpec, count: usize) -> Result<Vec<usize>> {
    network.validate()?;
    let kept: Vec<usize> = network.unit_costs()?.iter().map(|cost| cost.kept_elements).collect();
    blocks::split(kept.len(), count, |first, last| kept[first..=last].iter().sum())
}

/// Pieces of the backward pass of a network in one block: two and more, up to one a unit.
pub(super) fn pieces(network: &NetworkSpec) -> Result<Vec<Vec<usize>>> {
    counts(network.units.len()).map(|count| even_pieces(network, count)).collect()
}

/// Cuts into two blocks and more, up to one a unit; into one for bp.
pub fn cuts(network: &NetworkSpec, rule: &RuleConfig) -> Result<Vec<Vec<usize>>> {
    network.validate()?;
    let units = network.units.len();
    if rule.rule == Rule::Bp || units == 1 {
        return Ok(vec![vec![units - 1]]);
    }
    let costs = Costs::new(network, rule)?;
    counts(units).map(|count| blocks::split(units, count, |first, last| costs.of(first, last))).collect()
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
