//! Where to cut a network into so many blocks.

use crate::published;
use localgrad::Result;
use localgrad::network::{NetworkSpec, blocks};
use localgrad::rules::{RuleConfig, spec::auxiliary_spec};

/// Number of blocks where nobody says so.
pub const DEFAULT_BLOCKS: usize = 4;

/// Last unit of each of `count` blocks: as published, or so that the largest block keeps as little as can be.
///
/// # Errors
/// `Config` when the network has fewer units.
pub fn ends(network: &NetworkSpec, rule: &RuleConfig, count: usize) -> Result<Vec<usize>> {
    match published::ends(network, count) {
        Some(ends) => Ok(ends),
        None => even_ends(network, rule, count),
    }
}

/// Even by predicted activation memory, auxiliary networks included.
fn even_ends(network: &NetworkSpec, rule: &RuleConfig, count: usize) -> Result<Vec<usize>> {
    let units = network.unit_costs()?;
    let head = network.head_cost()?.kept_elements;
    let mut boundary = Vec::with_capacity(units.len());
    for end in 0..units.len() - 1 {
        // Only the boundary's own place matters to what its auxiliary network keeps.
        let auxiliary = auxiliary_spec(network, &[end, units.len() - 1], 0, rule)?;
        boundary.push(auxiliary.cost(network.features_after(end)?)?.kept_elements);
    }
    boundary.push(head);
    let cost = |first: usize, last: usize| {
        units[first..=last].iter().map(|unit| unit.kept_elements).sum::<usize>() + boundary[last]
    };
    blocks::split(units.len(), count, cost)
}
