//! Where a network is cut: `ends` lists the last unit of each local block.

use crate::error::{Error, Result};
use std::ops::RangeInclusive;

/// Refuses ends that are not increasing, leave units over, or name units that do not exist.
pub fn validate_ends(ends: &[usize], units: usize) -> Result<()> {
    let listed = || ends.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if ends.is_empty() {
        return Err(Error::config("a network needs at least one block; give the last unit of each"));
    }
    if !ends.is_sorted_by(|a, b| a < b) {
        return Err(Error::config(format!(
            "block ends must increase, found {}; give the last unit of each block in order",
            listed()
        )));
    }
    if ends.last() != Some(&(units - 1)) {
        return Err(Error::config(format!(
            "the last block must end at unit {} (units are numbered from 0), found ends {}",
            units - 1,
            listed()
        )));
    }
    Ok(())
}

/// The units of each block.
pub fn ranges(ends: &[usize]) -> Vec<RangeInclusive<usize>> {
    let starts = std::iter::once(0).chain(ends.iter().map(|end| end + 1));
    starts.zip(ends).map(|(start, &end)| start..=end).collect()
}

/// Cuts `units` into `blocks` so that the largest block costs as little as can be; of the cuts that reach it,
/// the one whose early blocks are smallest. `cost(first, last)` is what a block of these units costs.
pub fn split(units: usize, blocks: usize, cost: impl Fn(usize, usize) -> usize) -> Result<Vec<usize>> {
    if blocks == 0 || blocks > units {
        return Err(Error::config(format!(
            "cannot cut {units} units into {blocks} blocks; give a number from 1 to {units}"
        )));
    }
    // least[k][first]: smallest possible largest cost of units first.. in k + 1 blocks; next[k][first]: first block's end.
    let mut least = vec![vec![usize::MAX; units]; blocks];
    let mut next = vec![vec![units - 1; units]; blocks];
    least[0] = (0..units).map(|first| cost(first, units - 1)).collect();
    for k in 1..blocks {
        for first in 0..units - k {
            for end in first..units - k {
                let worst = cost(first, end).max(least[k - 1][end + 1]);
                if worst < least[k][first] {
                    least[k][first] = worst;
                    next[k][first] = end;
                }
            }
        }
    }
    let mut ends = Vec::with_capacity(blocks);
    let mut first = 0;
    for k in (0..blocks).rev() {
        let end = next[k][first];
        ends.push(end);
        first = end + 1;
    }
    Ok(ends)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_evenly() {
        assert_eq!(split(4, 2, |a, b| b - a + 1).unwrap(), [1, 3]);
        let sizes = [8, 1, 1, 2, 4];
        let cost = |a: usize, b: usize| sizes[a..=b].iter().sum();
        assert_eq!(split(5, 2, cost).unwrap(), [0, 4]);
        assert_eq!(split(5, 5, cost).unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(split(5, 1, cost).unwrap(), [4]);
    }

    #[test]
    fn refuses_impossible_cuts() {
        assert!(split(3, 4, |_, _| 1).unwrap_err().to_string().contains("from 1 to 3"));
        assert!(split(3, 0, |_, _| 1).is_err());
        assert!(validate_ends(&[2, 1, 3], 4).unwrap_err().to_string().contains("increase"));
        assert!(validate_ends(&[1, 2], 4).unwrap_err().to_string().contains("unit 3"));
        assert!(validate_ends(&[1, 5], 4).is_err());
        assert!(validate_ends(&[], 4).is_err());
    }

    #[test]
    fn ranges_cover_all_units() {
        assert_eq!(ranges(&[0, 2, 5]), [0..=0, 1..=2, 3..=5]);
    }
}
