//! A running statistic, and the batch that it is yet to take in.
//!
//! A forward pass only notes what it saw: once its loss is known to be a number the statistic moves, and else it forgets.

use crate::error::Result;
use crate::maps::Map;
use crate::maps::batch_norm::{unbiased, update_running};

/// Share of the newest batch.
pub const MOMENTUM: f64 = 0.1;

/// A mean or a variance of each channel, `[C]`.
#[derive(Clone, Debug)]
pub struct Statistic {
    /// What evaluations normalize by.
    pub value: Map,
    seen: Option<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    batch: Map,
    /// Of a variance the rows that it is of: the running one is the unbiased.
    rows: Option<usize>,
}

impl Statistic {
    /// One that has seen nothing yet.
    pub fn new(value: Map) -> Self {
        Self { value, seen: None }
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
        let batch = rows.map_or(Ok(batch.clone()), |rows| unbiased(&batch, rows))?;
        self.value = update_running(&self.value, &batch, MOMENTUM)?;
        Ok(())
    }

    /// Stays where it is.
    pub fn forget(&mut self) {
        self.seen = None;
    }
}
