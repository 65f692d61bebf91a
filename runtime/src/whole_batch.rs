//! Batch norm over a batch of which one share passes at a time: its statistics, and the sums of its backward pass, are
//! those of all shares together.
//!
//! They are found one after the other, in the order in which a pass comes to need them. A round takes every share through
//! the block with what is known so far, and adds up what is first unknown; a block of B batch norms takes 2B rounds.

use crate::error::Result;
use crate::maps::batch_norm::Statistics;
use crate::maps::norm::NormSums;
use crate::maps::shares::Shares;

/// What is known of a batch that passes in shares.
#[derive(Debug)]
pub(crate) struct WholeBatch {
    known: Vec<Known>,
    gathered: Option<Gathered>,
    /// How many were asked for in this pass.
    position: usize,
    /// Whether this pass has come to what was first unknown.
    enough: bool,
    samples: usize,
    share: usize,
}

#[derive(Clone, Debug)]
enum Known {
    Forward(Statistics),
    Backward(NormSums),
}

/// What the shares so far have added up to.
#[derive(Debug)]
enum Gathered {
    Forward(Shares),
    Backward(NormSums),
}

impl WholeBatch {
    /// Nothing is known of a batch of so many samples.
    pub(crate) fn new(samples: usize) -> Self {
        Self { known: Vec::new(), gathered: None, position: 0, enough: false, samples, share: samples }
    }

    /// A share of so many samples begins its pass.
    pub(crate) fn begin_pass(&mut self, share: usize) {
        (self.position, self.enough, self.share) = (0, false, share);
    }

    /// Whether the rest of this pass is of no use to its round.
    pub(crate) fn is_enough(&self) -> bool {
        self.enough
    }

    /// Ends a round; whether there was anything that had not been known.
    pub(crate) fn end_round(&mut self) -> Result<bool> {
        let known = match self.gathered.take() {
            None => return Ok(false),
            Some(Gathered::Backward(sums)) => Known::Backward(sums),
            Some(Gathered::Forward(shares)) => Known::Forward(shares.statistics()?),
        };
        self.known.push(known);
        Ok(true)
    }

    /// Rows of the whole batch where the share has `rows`.
    pub(crate) fn rows(&self, rows: usize) -> usize {
        rows / self.share * self.samples
    }

    /// Statistics to normalize the share by, whose own are `own`.
    pub(crate) fn statistics(&mut self, own: Statistics) -> Result<Statistics> {
        let position = self.next();
        if let Some(Known::Forward(known)) = self.known.get(position) {
            return Ok(known.clone());
        }
        if position == self.known.len() {
            self.enough = true;
            match &mut self.gathered {
                Some(Gathered::Forward(shares)) => shares.add(&own, self.share)?,
                gathered => *gathered = Some(Gathered::Forward(Shares::new(&own, self.share)?)),
            }
        }
        Ok(own)
    }

    /// Sums for the backward pass of the share, whose own are `own`.
    pub(crate) fn sums(&mut self, own: &NormSums) -> Result<NormSums> {
        let position = self.next();
        if let Some(Known::Backward(known)) = self.known.get(position) {
            return Ok(known.clone());
        }
        if position == self.known.len() {
            self.enough = true;
            match &mut self.gathered {
                Some(Gathered::Backward(all)) => all.add(own)?,
                gathered => *gathered = Some(Gathered::Backward(own.clone())),
            }
        }
        Ok(own.clone())
    }

    fn next(&mut self) -> usize {
        self.position += 1;
        self.position - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::batch_norm::statistics;
    use crate::maps::{Map, elementwise};
    use crate::random::Stream;

    #[test]
    fn statistics_of_shares_are_those_of_the_batch() {
        let mut stream = Stream::new(1, "whole batch", &[]);
        let numbers = (0..28).map(|_| 19.0 + 4.0 * stream.uniform_f32()).collect();
        let x = Map::new(numbers, (7, 4)).unwrap();
        let mut whole = WholeBatch::new(7);
        for (first, count) in [(0, 3), (3, 3), (6, 1)] {
            whole.begin_pass(count);
            whole.statistics(statistics(&x.samples(first, count).unwrap()).unwrap()).unwrap();
            assert!(whole.is_enough());
        }
        assert!(whole.end_round().unwrap());
        whole.begin_pass(3);
        let found = whole.statistics(statistics(&x.samples(0, 3).unwrap()).unwrap()).unwrap();
        assert!(!whole.is_enough() && !whole.end_round().unwrap());
        assert_eq!(whole.rows(3), 7);
        let expected = statistics(&x).unwrap();
        for (found, expected) in [(found.mean, expected.mean), (found.variance, expected.variance)] {
            let off = elementwise::add_scaled(found, &expected, -1.0).unwrap().numbers().unwrap();
            assert!(off.iter().all(|off| off.abs() < 3e-6), "{off:?}");
        }
    }
}
