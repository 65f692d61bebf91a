//! Where to cut a network into so many blocks.

use crate::published;
use localgrad::Result;
use localgrad::network::NetworkSpec;
use localgrad::plan::cuts;
use localgrad::rules::RuleConfig;

/// Number of blocks where nobody says so.
pub const DEFAULT_BLOCKS: usize = 4;

/// Last unit of each of `count` blocks: as published, or so that the largest block keeps as little as can be.
///
/// # Errors
/// `Config` when the network has fewer units.
pub fn ends(network: &NetworkSpec, rule: &RuleConfig, count: usize) -> Result<Vec<usize>> {
    match published::ends(network, count) {
        Some(ends) => Ok(ends),
        None => cuts::even_ends(network, rule, count),
    }
}
