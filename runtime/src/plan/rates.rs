//! How long work takes, estimated from what it counts and from how fast the machine was on a sample of it.

use super::ledger::Work;
use crate::error::Result;
use crate::maps::speed::{Speed, fastest};
use crate::scratch::Scratch;
use serde::Serialize;

/// What a machine does in a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// Multiply-adds of convolutions, counted as if done directly.
    pub multiply_adds_per_second: f64,
    /// Bytes read or written by passes over maps.
    pub bytes_per_second: f64,
    /// What each pass of a kernel costs besides.
    pub seconds_per_pass: f64,
    /// Bytes written to storage or read from it.
    pub stored_bytes_per_second: f64,
}

impl Default for Rates {
    /// A core or two of a small machine.
    fn default() -> Self {
        Self {
            multiply_adds_per_second: 2e10,
            bytes_per_second: 5e9,
            seconds_per_pass: 1e-5,
            stored_bytes_per_second: 2e8,
        }
    }
}

/// What is written to storage and read again to see how fast it is.
const SAMPLE_BYTES: usize = 4 << 20;

impl Rates {
    /// Measured on the worker threads of the caller's pool, in some tens of milliseconds.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn measure() -> Result<Self> {
        let Speed { multiply_adds_per_second, bytes_per_second, seconds_per_pass } = Speed::measure()?;
        Ok(Self {
            multiply_adds_per_second,
            bytes_per_second,
            seconds_per_pass: seconds_per_pass + Self::default().seconds_per_pass,
            ..Self::default()
        })
    }

    /// The same with storage as fast as a sample of it in `directory` was.
    ///
    /// # Errors
    /// `Io` when nothing can be written there.
    pub fn with_storage(self, directory: &std::path::Path) -> Result<Self> {
        let scratch = Scratch::create(directory, None)?;
        let sample = vec![1u8; SAMPLE_BYTES];
        let mut back = vec![0u8; SAMPLE_BYTES];
        let seconds = fastest(|| scratch.store(std::iter::once(&sample[..]))?.read(0..1, &mut back))?;
        Ok(Self { stored_bytes_per_second: 2.0 * SAMPLE_BYTES as f64 / seconds, ..self })
    }

    /// An estimate of how long some work takes.
    pub fn seconds(&self, work: &Work) -> f64 {
        work.multiply_adds / self.multiply_adds_per_second
            + work.moved_bytes / self.bytes_per_second
            + work.passes * self.seconds_per_pass
            + work.stored_bytes / self.stored_bytes_per_second
    }
}
