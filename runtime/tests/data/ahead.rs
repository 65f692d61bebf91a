//! Batches that are made ahead: the same ones, no more of them than said, and nothing left behind.

use crate::common::{numbers, with_threads};
use localgrad::data::ahead::{BATCHES_AHEAD, with_feed};
use localgrad::data::{AugmentConfig, Batch, Dataset, ImageShape, Loader, LoaderConfig, Normalize};
use localgrad::targets::Targets;
use localgrad::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const BATCH: usize = 4;

/// Images that are said to be decoded, and counted as they are.
struct Decoded {
    broken: Option<usize>,
    reads: AtomicUsize,
}

impl Dataset for Decoded {
    fn len(&self) -> usize {
        22
    }

    fn shape(&self) -> ImageShape {
        ImageShape { channels: 1, height: 6, width: 5 }
    }

    fn classes(&self) -> usize {
        self.len()
    }

    fn label(&self, index: usize) -> Result<u32> {
        Ok(index as u32)
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.broken == Some(index) {
            return Err(Error::format(format!("picture {index} is broken")));
        }
        for (place, pixel) in pixels.iter_mut().enumerate() {
            *pixel = (index * 100 + place) as f32;
        }
        self.label(index)
    }

    fn decoding_bytes(&self) -> usize {
        1
    }
}

fn loader(broken: Option<usize>) -> (Arc<Decoded>, Loader) {
    let set = Arc::new(Decoded { broken, reads: AtomicUsize::new(0) });
    let config = LoaderConfig {
        batch: BATCH,
        seed: 3,
        augment: Some(AugmentConfig::default()),
        ..LoaderConfig::default()
    };
    let loader = Loader::new(set.clone(), Normalize::identity(1), config).unwrap();
    (set, loader)
}

fn content(batch: Batch) -> (Vec<u32>, Targets) {
    (numbers(&batch.inputs).into_iter().map(f32::to_bits).collect(), batch.targets)
}

#[test]
fn batches_made_ahead_are_those_made_on_demand() {
    let (_, loader) = loader(None);
    assert_eq!((loader.batches(), loader.batches_ahead()), (6, BATCHES_AHEAD));
    // From within an epoch to within the next but one, as a run that goes on.
    let places: Vec<(u64, usize)> = (4..15).map(|number| (number / 6 + 7, number as usize % 6)).collect();
    let wanted: Vec<_> = places.iter().map(|&(e, p)| content(loader.batch(e, p).unwrap())).collect();
    for threads in 1..4 {
        let found = with_threads(threads, || {
            with_feed(&loader, (7, 4), places.len(), |feed| {
                places.iter().map(|&(e, p)| Ok(content(feed.batch(e, p)?))).collect::<Result<Vec<_>>>()
            })
        });
        assert_eq!(found.unwrap(), wanted, "{threads} threads");
    }
    // Beyond what was asked for it is made when it is wanted; another one than the next is a mistake.
    let after = with_feed(&loader, (0, 0), 1, |feed| {
        feed.batch(0, 0)?;
        feed.batch(0, 1)
    });
    assert_eq!(content(after.unwrap()), content(loader.batch(0, 1).unwrap()));
    assert!(with_feed(&loader, (0, 0), 6, |feed| feed.batch(0, 3)).is_err());
}

#[test]
fn no_more_is_read_ahead_than_said_and_nothing_is_left() {
    let (set, loader) = loader(None);
    with_feed(&loader, (0, 0), 6000, |feed| {
        feed.batch(0, 0)?;
        // As long as somebody trains: what is made meanwhile waits.
        std::thread::sleep(Duration::from_millis(200));
        assert!(set.reads.load(Ordering::Relaxed) <= (1 + BATCHES_AHEAD) * BATCH);
        Ok(())
    })
    .unwrap();
    let reads = set.reads.load(Ordering::Relaxed);
    assert!(reads > BATCH, "nothing was read ahead");
    drop(loader);
    // All threads that read it are gone.
    assert_eq!((Arc::strong_count(&set), set.reads.load(Ordering::Relaxed)), (1, reads));
}

#[test]
fn a_file_that_went_bad_is_told_where_it_is_needed() {
    let (_, whole) = loader(None);
    let broken = whole.samples(1, 2).unwrap()[3];
    let (_, loader) = loader(Some(broken));
    let mut done = Vec::new();
    let error = with_feed(&loader, (1, 0), 6, |feed| {
        for position in 0..6 {
            feed.batch(1, position)?;
            done.push(position);
        }
        Ok(())
    })
    .unwrap_err();
    assert!(error.to_string().contains(&format!("picture {broken} is broken")), "{error}");
    assert_eq!(done, [0, 1]);
}
