//! Batches made ahead of their use, by threads of their own, so that training does not wait for pictures to be decoded.

use super::loader::{Batch, Loader};
use crate::error::{Error, ErrorKind, Result};
use crate::threads::{Workers, current_count};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

/// Batches that are made ahead where that is worth it: one waits while the next is made.
pub const BATCHES_AHEAD: usize = 2;

/// A batch's epoch and position.
type Place = (u64, usize);

/// Where the batches of a run come from, one after the other.
pub struct Feed<'a> {
    loader: &'a Loader,
    made: Option<Receiver<(Place, Result<Batch>)>>,
    /// Seconds that were spent on waiting for batches, or on making them.
    pub waited_seconds: f64,
}

impl<'a> Feed<'a> {
    /// What the batches are of.
    pub(crate) fn loader(&self) -> &'a Loader {
        self.loader
    }

    /// Some samples as `epoch` shows them for the first time; nothing is made ahead.
    ///
    /// # Errors
    /// Those of [`Loader::showing`].
    pub(crate) fn showing(&mut self, samples: &[usize], epoch: u64) -> Result<Batch> {
        let asked = Instant::now();
        let batch = self.loader.showing(samples, epoch);
        self.waited_seconds += asked.elapsed().as_secs_f64();
        batch
    }

    /// The next batch, which is batch `position` of `epoch`: the same to the bit wherever it was made.
    ///
    /// # Errors
    /// Those of [`Loader::batch`].
    pub fn batch(&mut self, epoch: u64, position: usize) -> Result<Batch> {
        let asked = Instant::now();
        let made = self.made.as_ref().and_then(|made| made.recv().ok());
        let batch = match made {
            // Nothing is made ahead, or nothing further.
            None => self.loader.batch(epoch, position),
            Some((place, batch)) if place == (epoch, position) => batch,
            Some((place, _)) => {
                Err(Error::internal(format!("batch {:?} came, where {:?} is next", place, (epoch, position))))
            }
        };
        self.waited_seconds += asked.elapsed().as_secs_f64();
        batch
    }
}

/// Calls `consume` with the feed of the next `count` batches of `loader`, from batch `position` of `epoch` on. Where they are
/// made ahead, that is by as many threads as the pool has that this is called from; all are gone when it returns.
///
/// # Errors
/// Those of `consume`, and `Device` where the system starts no more threads.
pub fn with_feed<T>(
    loader: &Loader,
    (epoch, position): (u64, usize),
    count: usize,
    consume: impl FnOnce(&mut Feed<'_>) -> Result<T>,
) -> Result<T> {
    if loader.batches_ahead() == 0 {
        return consume(&mut Feed { loader, made: None, waited_seconds: 0.0 });
    }
    let workers = Workers::start(current_count())?;
    let batches = loader.batches();
    let places = (0..count).map(move |number| {
        let place = position + number;
        (epoch + (place / batches) as u64, place % batches)
    });
    thread::scope(|scope| {
        // One more is made while one waits.
        let (sender, made) = sync_channel(BATCHES_AHEAD - 1);
        let make = move || {
            for place in places {
                let batch = workers.run(|| loader.batch(place.0, place.1));
                let is_last = batch.is_err();
                // Who no longer listens needs no more.
                if sender.send((place, batch)).is_err() || is_last {
                    break;
                }
            }
        };
        thread::Builder::new().name("localgrad-feed".into()).spawn_scoped(scope, make).map_err(|cause| {
            Error::new(ErrorKind::Device, format!("cannot start a thread that reads ahead: {cause}"))
        })?;
        let mut feed = Feed { loader, made: Some(made), waited_seconds: 0.0 };
        let result = consume(&mut feed);
        drop(feed);
        result
    })
}
