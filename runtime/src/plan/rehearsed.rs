//! The memory of a run on a device: the trainer itself at work where nothing is done, but all memory is taken.

use super::workload::Workload;
use crate::cache::{group, pass_and_keep};
use crate::data::{Batch, Normalize};
use crate::error::Result;
use crate::evaluate::Tally;
use crate::exits::survey::Survey;
use crate::maps::{Map, Place};
use crate::network::NetworkSpec;
use crate::rules::criterion::blank_targets;
use crate::scratch::Scratch;
use crate::shelf::{Parcel, Shelf};
use crate::sweep::sweep;
use crate::trainer::{CacheConfig, Trainer};

/// Chunks of steps until each is as the one before: in the first optimizers make what they remember.
const CHUNKS: usize = 3;

/// What an open device has in use before anything is trained there: tables of addresses that its check left.
const OPEN_BYTES: usize = 4 << 10;

/// What a run takes of a device's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rehearsed {
    /// The most that is in use at once in training.
    pub training_bytes: usize,
    /// The most in an evaluation, or when weights are written.
    pub evaluation_bytes: usize,
    /// The most that the driver gives where steps keep what the next one needs.
    pub held_bytes: usize,
}

impl Rehearsed {
    /// The least memory that such a run can do with: nothing is kept for the next step.
    pub fn least_bytes(&self) -> usize {
        self.training_bytes.max(self.evaluation_bytes)
    }
}

/// What the run of a workload takes where it takes place; none where that is the CPU, or where nobody can tell.
///
/// # Errors
/// Those of building the trainer.
pub fn rehearse(workload: &Workload) -> Result<Option<Rehearsed>> {
    rehearse_within(workload, usize::MAX)
}

/// The same where training keeps to `limit_bytes`; past it nothing else is known.
pub(super) fn rehearse_within(workload: &Workload, limit_bytes: usize) -> Result<Option<Rehearsed>> {
    let Some(place) = workload.place.as_ref().and_then(Place::rehearsal) else { return Ok(None) };
    let Workload { network, train, batch, blends, .. } = workload;
    let scratch = train.execution.needs_scratch().then(Scratch::imagined);
    let normalize = Normalize::identity(network.input.channels());
    let mut trainer = Trainer::with_scratch(network.clone(), train.clone(), normalize, &place, scratch)?;
    let samples = blank_batch(network, *batch, *blends)?;
    let kept = train.method.cache.map(|cache| Kept::new(cache, &trainer, workload, &place));
    let mut kept = kept.transpose()?;
    for _ in 0..CHUNKS {
        if let Some(kept) = &mut kept {
            kept.pass(&mut trainer, &samples.inputs)?;
        }
        let steps = (0..train.method.chunk).map(|_| match &kept {
            Some(kept) => trainer.begin_behind(kept.batch.clone(), &samples.targets, 0.0),
            None => trainer.begin(&samples, 0.0),
        });
        let steps = steps.collect::<Result<Vec<_>>>()?;
        sweep(&mut trainer, steps, &mut |_| {})?;
        let training_bytes = OPEN_BYTES + place.taken().used_bytes;
        if training_bytes > limit_bytes {
            return Ok(Some(Rehearsed { training_bytes, ..Rehearsed::default() }));
        }
    }
    let trained = place.taken();
    // What training keeps is given up where something else needs the room.
    place.allow(None, Some(trained.held_bytes))?;
    let evaluation_bytes = OPEN_BYTES + evaluate(&mut trainer, workload, &place, &mut kept)?;
    let held_bytes = OPEN_BYTES + place.taken().held_bytes;
    Ok(Some(Rehearsed { training_bytes: OPEN_BYTES + trained.used_bytes, evaluation_bytes, held_bytes }))
}

/// The most bytes in use while the workload's trainer is evaluated, and while its weights are written.
fn evaluate(
    trainer: &mut Trainer,
    workload: &Workload,
    place: &Place,
    kept: &mut Option<Kept>,
) -> Result<usize> {
    place.take_again();
    if let Some(samples) = workload.evaluation_batch {
        let batch = blank_batch(&workload.network, samples, false)?;
        match kept {
            None => Tally::default().add(trainer, &batch)?,
            Some(kept) => {
                let h = kept.judge(trainer, &batch.inputs)?;
                let logits = trainer.logits_behind(h)?;
                Tally::default().count(&logits, &batch.targets, &workload.network)?;
            }
        }
        if workload.judges_exits {
            Survey::default().add(trainer, &batch)?;
        }
    }
    for block in 0..trainer.ranges().len() {
        trainer.read_block(block, &mut |_, variable| variable.value().numbers().map(drop))?;
    }
    Ok(place.taken().used_bytes)
}

/// Features that are kept of all samples.
struct Kept {
    shelf: Shelf,
    /// Of a batch to learn from, sample by sample.
    batch: Vec<Parcel>,
    /// Of a batch to be judged by.
    judged: Option<Parcel>,
    /// The memory of all others.
    _others: Option<Map>,
}

impl Kept {
    fn new(cache: CacheConfig, trainer: &Trainer, workload: &Workload, place: &Place) -> Result<Self> {
        let shelf = trainer.cache_shelf(cache.precision);
        let shape = trainer.still_shape()?;
        let entry_bytes = if shelf.on_file { 0 } else { shape.elements() * cache.precision.bytes() };
        let judged = workload.evaluation_batch.unwrap_or(0).min(workload.evaluation_samples);
        let all_bytes = workload.kept_bytes(cache, entry_bytes, 0)?;
        let judged = match judged {
            0 => None,
            samples => Some(shelf.put(place.full(&shape.dims(samples), 0.0)?)?),
        };
        let judged_bytes = judged.as_ref().map_or(0, |parcel| parcel.dims()[0] * entry_bytes);
        let _others = place.claim(all_bytes - judged_bytes)?;
        Ok(Self { shelf, batch: Vec::new(), judged, _others })
    }

    /// Passes a batch to learn from.
    fn pass(&mut self, trainer: &mut Trainer, inputs: &Map) -> Result<()> {
        let samples = inputs.dims()[0];
        let group = group(trainer, samples);
        self.batch.clear();
        for first in (0..samples).step_by(group) {
            let count = group.min(samples - first);
            let parcels = pass_and_keep(trainer, &inputs.samples(first, count)?, count, &self.shelf)?;
            self.batch.extend(parcels);
        }
        Ok(())
    }

    /// Passes a batch to be judged by; what it becomes.
    fn judge(&mut self, trainer: &mut Trainer, inputs: &Map) -> Result<Map> {
        self.judged = None;
        let parcel = self.shelf.put(trainer.still_features(inputs)?)?;
        self.judged.insert(parcel).get(0..inputs.dims()[0])
    }
}

/// So many samples without content, as they are loaded.
fn blank_batch(network: &NetworkSpec, samples: usize, blends: bool) -> Result<Batch> {
    let dims = network.input.dims(samples);
    let inputs = Map::new(vec![0.0; samples * network.input.elements()], dims)?;
    Ok(Batch { inputs, targets: blank_targets(network, samples, blends) })
}
