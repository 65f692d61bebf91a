//! Where to cut a network into blocks.

use crate::published;
use localgrad::Result;
use localgrad::network::{NetworkSpec, blocks};
use localgrad::plan::cuts;
use localgrad::rules::{Rule, RuleConfig, auglocal};

/// Number of blocks where nobody says so.
pub const DEFAULT_BLOCKS: usize = 4;

/// A network's blocks, and the pieces of a backward pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Last unit of each block.
    pub ends: Vec<usize>,
    /// As in [`localgrad::trainer::TrainConfig`].
    pub pieces: Vec<usize>,
}

/// The cut that is asked for by places (the last unit of each block), by a number of blocks, or by neither. What bp,
/// which has one block, is asked to be cut into are the pieces of its backward pass.
///
/// # Errors
/// `Config` when the network has fewer units, or `places` are none of its cuts.
pub fn cut(
    network: &NetworkSpec,
    rule: &RuleConfig,
    places: Option<&[usize]>,
    count: Option<usize>,
) -> Result<Cut> {
    let units = network.units.len();
    let whole = |pieces| Ok(Cut { ends: vec![units - 1], pieces });
    let of_blocks = |ends| Ok(Cut { ends, pieces: Vec::new() });
    if let Some(places) = places {
        blocks::validate_ends(places, units)?;
        return if rule.rule == Rule::Bp { whole(places.to_vec()) } else { of_blocks(places.to_vec()) };
    }
    match (rule.rule, count) {
        (Rule::Bp, None | Some(1)) => whole(Vec::new()),
        (Rule::Bp, Some(count)) => whole(cuts::even_pieces(network, count)?),
        (Rule::Auglocal, None) => of_blocks(auglocal::published_ends(units, rule.depth)),
        (_, None) => of_blocks(ends(network, rule, DEFAULT_BLOCKS.min(units))?),
        (_, Some(count)) => of_blocks(ends(network, rule, count)?),
    }
}

/// Last unit of each of `count` blocks: as published, or so that the largest block keeps as little as can be.
///
/// # Errors
/// `Config` when the network has fewer units.
pub fn ends(network: &NetworkSpec, rule: &RuleConfig, count: usize) -> Result<Vec<usize>> {
    match published::ends(network, rule, count) {
        Some(ends) => Ok(ends),
        None => cuts::even_ends(network, rule, count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelConfig, network};

    #[test]
    fn auglocal_ends_no_block_where_its_units_would_be_all_that_follow() {
        let resnet20 = network("resnet20", &ModelConfig::default()).unwrap();
        let rule = RuleConfig { depth: 4, pool: 2, ..RuleConfig::new(Rule::Auglocal) };
        let cut = |count| ends(&resnet20, &rule, count).unwrap();
        for count in 2..=6 {
            let ends = cut(count);
            assert_eq!((ends.len(), ends[count - 1]), (count, 9));
            assert!(ends[..count - 1].iter().all(|&end| end < 5), "{ends:?}");
        }
        assert_eq!(cut(6), auglocal::published_ends(10, 4));
        // More blocks than that leaves room for end anywhere.
        assert_eq!(cut(10), Vec::from_iter(0..10));
        assert_eq!(cut(1), [9]);
    }
}
