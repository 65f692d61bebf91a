//! A running statistic, and the batch that it is yet to take in.
//!
//! A forward pass only notes what it saw: once its loss is known to be a number the statistic moves, and else it forgets.

use crate::error::Result;
use crate::maps::Map;
use crate::maps::batch_norm::update_running;

/// A mean or a variance of each channel, `[C]`.
#[derive(Clone, Debug)]
pub struct Statistic {
    /// What evaluations normalize by.
    pub value: Map,
    /// Share of the newest batch.
    momentum: f64,
    /// Whether it stays where it is in training, too.
    is_still: bool,
    seen: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    batch: Map,
    /// Of a variance the rows that it is of: the running one is the unbiased.
    rows: Option<usize>,
}

impl Statistic {
    /// One that has seen nothing yet; `momentum` is the share of the newest batch. One that is `still` is shown none.
    pub fn new(value: Map, momentum: f64, is_still: bool) -> Self {
        Self { value, momentum, is_still, seen: None }
    }

    /// Whether training shows it batches.
    pub fn moves(&self) -> bool {
        !self.is_still
    }

    /// Takes another value, as if it had seen nothing yet.
    pub fn set(&mut self, value: Map) {
        *self = Self::new(value, self.momentum, self.is_still);
    }

    /// Notes the mean of a batch.
    pub fn see_mean(&mut self, mean: &Map) {
        self.seen = Some(Seen { batch: mean.clone(), rows: None });
    }

    /// Notes the biased variance of a batch of so many rows.
    pub fn see_variance(&mut self, variance: &Map, rows: usize) {
        self.seen = Some(Seen { batch: variance.clone(), rows: Some(rows) });
    }

    /// Moves towards the batch that was seen, if one was.
    ///
    /// # Errors
    /// Those of the device.
    pub fn settle(&mut self) -> Result<()> {
        let Some(Seen { batch, rows }) = self.seen.take() else { return Ok(()) };
        self.value = update_running(&self.value, &batch, rows, self.momentum)?;
        Ok(())
    }

    /// Stays where it is.
    pub fn forget(&mut self) {
        self.seen = None;
    }
}
