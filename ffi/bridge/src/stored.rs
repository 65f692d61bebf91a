//! Where a session's checkpoints go, and how far the last one is behind.

use localgrad_runtime::checkpoint::Checkpoints;
use std::time::{Duration, Instant};

/// Where checkpoints go.
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) checkpoints: Option<Checkpoints>,
    /// How long the last one took.
    pub(crate) last_save: Duration,
    /// Steps since the last checkpoint, or since one could not be saved.
    pub(crate) unsaved_steps: u64,
    /// When the first of them began, or the one under way.
    pub(crate) waits_since: Option<Instant>,
}

impl Stored {
    pub(crate) fn is_open(&self) -> bool {
        self.checkpoints.is_some()
    }

    /// Counts steps from here on.
    pub(crate) fn count_anew(&mut self) {
        (self.unsaved_steps, self.waits_since) = (0, None);
    }

    /// How long the next save is likely to take.
    pub(crate) fn expected_save(&self) -> Duration {
        self.last_save
    }
}
