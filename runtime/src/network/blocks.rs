//! Where a network is cut: `ends` lists the last unit of each local block.

use crate::error::{Error, Result};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
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

/// How often the largest block of those that are left is made as small as can be, too.
const MOST_REFINEMENTS: usize = 64;

/// Cuts units into `blocks` so that the largest block costs as little as can be; of the cuts that reach it, the one
/// whose first block is smallest and whose others are cut in the same way (of very many blocks the last are as they
/// come, so that this ends in time). A block costs what its units do, each its number of `kept`, and what its last unit
/// adds, its number of `judged`.
///
/// # Errors
/// `Config` when there are fewer units.
pub fn split(kept: &[usize], judged: &[usize], blocks: usize) -> Result<Vec<usize>> {
    let units = kept.len().min(judged.len());
    if blocks == 0 || blocks > units {
        return Err(Error::config(format!(
            "cannot cut {units} units into {blocks} blocks; give a number from 1 to {units}"
        )));
    }
    let before = kept.iter().scan(0usize, |sum, kept| {
        let before = *sum;
        *sum = sum.saturating_add(*kept);
        Some(before)
    });
    let total = kept.iter().fold(0usize, |sum, kept| sum.saturating_add(*kept));
    let sizes = Sizes { before: before.chain([total]).collect(), judged };
    Ok(sizes.ends(blocks).0)
}

/// What blocks cost.
struct Sizes<'a> {
    /// What the units before each unit keep, and what all do.
    before: Vec<usize>,
    judged: &'a [usize],
}

/// The fewest and the most blocks into which the units from some unit on can be cut, if they can be at all.
type Range = Option<(usize, usize)>;

impl Sizes<'_> {
    fn units(&self) -> usize {
        self.before.len() - 1
    }

    fn cost(&self, first: usize, last: usize) -> usize {
        (self.before[last + 1] - self.before[first]).saturating_add(self.judged[last])
    }

    /// The last unit of each block, and how often all units were looked at to find them.
    fn ends(&self, blocks: usize) -> (Vec<usize>, usize) {
        let (mut ends, mut looks, mut refinements) = (Vec::with_capacity(blocks), 0, 0);
        let (mut first, mut largest) = (0, None);
        let (mut within, mut below) = (Vec::new(), Vec::new());
        for blocks in (1..=blocks).rev() {
            // What is left may do with less than the largest block so far.
            let better = largest.is_none() || is_between(below[first], blocks);
            if better && refinements < MOST_REFINEMENTS {
                refinements += 1;
                let least = self.least(first, blocks, &mut looks);
                (within, below) = (self.ranges(first, Some(least)), self.ranges(first, least.checked_sub(1)));
                (largest, looks) = (Some(least), looks + 2);
            }
            let fits = |&end: &usize| {
                largest.is_some_and(|largest| self.cost(first, end) <= largest)
                    && is_between(within[end + 1], blocks - 1)
            };
            let end = (first..self.units()).find(fits).unwrap_or(self.units() - 1);
            ends.push(end);
            first = end + 1;
        }
        (ends, looks)
    }

    /// The least that the largest of `blocks` blocks of the units from `first` on can cost.
    fn least(&self, first: usize, blocks: usize, looks: &mut usize) -> usize {
        let mut is_enough = |cost: usize| {
            *looks += 1;
            is_between(self.ranges(first, Some(cost))[first], blocks)
        };
        // No block is smaller than its largest unit, and not all of them are smaller than their mean.
        let largest = self.before[first..].windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        let mean = (self.before[self.units()] - self.before[first]).div_ceil(blocks);
        let judged = self.judged[first..].iter().min().copied().unwrap_or(0);
        let last = self.units() - 1;
        let mut low = largest.max(mean).saturating_add(judged).max(self.cost(last, last));
        if is_enough(low) {
            return low;
        }
        // Too little is `low`, and enough `high`.
        let mut step = 1;
        let mut high = low.saturating_add(step);
        while high < usize::MAX && !is_enough(high) {
            (low, step) = (high, step.saturating_mul(2));
            high = low.saturating_add(step);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match is_enough(middle) {
                true => high = middle,
                false => low = middle,
            }
        }
        high
    }

    /// For each unit from `first` on, and for the end, into how many blocks of at most `cost` what begins there can be
    /// cut. Any number between is possible, too: the blocks that may end at some unit begin at a run of those before
    /// it, so that of the units that are reached each is reached from the one reached before it, by one block more.
    fn ranges(&self, first: usize, cost: Option<usize>) -> Vec<Range> {
        let units = self.units();
        let mut ranges = vec![None; units + 1];
        ranges[units] = Some((0, 0));
        let Some(cost) = cost else { return ranges };
        // The ends of blocks that are still to begin, each with the first unit that they may begin at.
        let (mut fewest, mut most) = (BinaryHeap::new(), BinaryHeap::new());
        for begin in (first..units).rev() {
            let end = begin + 1;
            if let Some((few, many)) = ranges[end]
                && self.cost(begin, begin) <= cost
            {
                let earliest = self.before[..end].partition_point(|before| {
                    (self.before[end] - before).saturating_add(self.judged[begin]) > cost
                });
                fewest.push((Reverse(few), earliest));
                most.push((many, earliest));
            }
            while fewest.peek().is_some_and(|(_, earliest)| *earliest > begin) {
                fewest.pop();
            }
            while most.peek().is_some_and(|(_, earliest)| *earliest > begin) {
                most.pop();
            }
            if let (Some((Reverse(few), _)), Some((many, _))) = (fewest.peek(), most.peek()) {
                ranges[begin] = Some((few + 1, many + 1));
            }
        }
        ranges
    }
}

fn is_between(range: Range, blocks: usize) -> bool {
    range.is_some_and(|(fewest, most)| (fewest..=most).contains(&blocks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// The same by trying every cut.
    fn split_by_trial(kept: &[usize], judged: &[usize], blocks: usize) -> Vec<usize> {
        let units = kept.len();
        let cost = |first: usize, last: usize| kept[first..=last].iter().sum::<usize>() + judged[last];
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
        let mut first = 0;
        let end_of = |k: usize| {
            let end = next[k][first];
            first = end + 1;
            end
        };
        (0..blocks).rev().map(end_of).collect()
    }

    #[test]
    fn splits_evenly() {
        assert_eq!(split(&[1; 4], &[0; 4], 2).unwrap(), [1, 3]);
        let sizes = [8, 1, 1, 2, 4];
        assert_eq!(split(&sizes, &[0; 5], 2).unwrap(), [0, 4]);
        assert_eq!(split(&sizes, &[0; 5], 5).unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(split(&sizes, &[0; 5], 1).unwrap(), [4]);
        assert_eq!(split(&[0; 3], &[0; 3], 2).unwrap(), [0, 2]);
        assert_eq!(split(&[usize::MAX; 3], &[usize::MAX; 3], 2).unwrap().len(), 2);
    }

    #[test]
    fn splits_as_every_cut_tried_does() {
        let mut stream = Stream::new(5, "cuts", &[]);
        for trial in 0..600 {
            let units = 1 + stream.below(14) as usize;
            let largest = [3, 10, 1000][trial % 3];
            let numbers = |stream: &mut Stream, most: u64| -> Vec<usize> {
                (0..units).map(|_| stream.below(most) as usize).collect()
            };
            let kept = numbers(&mut stream, largest);
            // What is added by a boundary may be far more than its units keep, or nothing.
            let judged = numbers(&mut stream, [1, largest, 5 * largest][trial / 3 % 3]);
            for blocks in 1..=units {
                let (found, wanted) = (split(&kept, &judged, blocks), split_by_trial(&kept, &judged, blocks));
                assert_eq!(found.unwrap(), wanted, "{kept:?} {judged:?} in {blocks}");
            }
        }
    }

    #[test]
    fn looks_at_many_units_a_few_times() {
        let sizes_of = |kept: &[usize]| {
            let sums = kept.iter().scan(0, |sum, kept| {
                *sum += kept;
                Some(*sum)
            });
            [0].into_iter().chain(sums).collect::<Vec<usize>>()
        };
        let mut stream = Stream::new(6, "many", &[]);
        let random: Vec<usize> = (0..4096).map(|_| stream.below(1 << 20) as usize).collect();
        let falling: Vec<usize> = (0..4096).map(|unit| (1e15 * 0.99_f64.powi(unit)) as usize).collect();
        for kept in [&vec![1 << 20; 4096], &random, &falling] {
            for judged in [&vec![0; 4096], &random] {
                let (ends, looks) = Sizes { before: sizes_of(kept), judged }.ends(1024);
                assert_eq!((ends.len(), ends[1023]), (1024, 4095));
                assert!(ends.is_sorted_by(|a, b| a < b) && looks < 4000, "{looks} looks");
            }
        }
    }

    #[test]
    fn refuses_impossible_cuts() {
        assert!(split(&[1; 3], &[0; 3], 4).unwrap_err().to_string().contains("from 1 to 3"));
        assert!(split(&[1; 3], &[0; 3], 0).is_err());
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
