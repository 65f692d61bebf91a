//! The memory of a run on a device: the trainer itself at work where nothing is done, but all memory is taken.

use super::workload::Workload;
use crate::data::{Batch, Normalize};
use crate::error::{Error, Result};
use crate::evaluate::Tally;
use crate::exits::survey::Survey;
use crate::maps::{Map, Place};
use crate::network::NetworkSpec;
use crate::rules::criterion::blank_targets;
use crate::scratch::Scratch;
use crate::sweep::sweep;
use crate::trainer::Trainer;

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

/// What the run of a workload takes where it takes place; none where that is the CPU, or where nobody can tell.
///
/// # Errors
/// Those of building the trainer; `Config` where features of all samples are kept.
pub fn rehearse(workload: &Workload) -> Result<Option<Rehearsed>> {
    let Some(place) = workload.place.as_ref().and_then(Place::rehearsal) else { return Ok(None) };
    let Workload { network, train, batch, blends, .. } = workload;
    if train.method.cache.is_some() {
        return Err(Error::config(
            "what features take that are kept of all samples is planned on the CPU only; leave --memory-budget out, or use \
             --device cpu",
        ));
    }
    let scratch = train.execution.needs_scratch().then(Scratch::imagined);
    let normalize = Normalize::identity(network.input.channels());
    let mut trainer = Trainer::with_scratch(network.clone(), train.clone(), normalize, &place, scratch)?;
    let samples = blank_batch(network, *batch, *blends)?;
    for _ in 0..CHUNKS {
        let steps = (0..train.method.chunk).map(|_| trainer.begin(&samples, 0.0));
        let steps = steps.collect::<Result<Vec<_>>>()?;
        sweep(&mut trainer, steps, &mut |_| {})?;
    }
    let trained = place.taken();
    // What training keeps is given up where something else needs the room.
    place.allow(None, Some(trained.held_bytes))?;
    let evaluation_bytes = OPEN_BYTES + evaluate(&mut trainer, workload, &place)?;
    let held_bytes = OPEN_BYTES + place.taken().held_bytes;
    Ok(Some(Rehearsed { training_bytes: OPEN_BYTES + trained.used_bytes, evaluation_bytes, held_bytes }))
}

/// The most bytes in use while the workload's trainer is evaluated, and while its weights are written.
fn evaluate(trainer: &mut Trainer, workload: &Workload, place: &Place) -> Result<usize> {
    place.take_again();
    if let Some(samples) = workload.evaluation_batch {
        let batch = blank_batch(&workload.network, samples, false)?;
        Tally::default().add(trainer, &batch)?;
        if workload.judges_exits {
            Survey::default().add(trainer, &batch)?;
        }
    }
    for block in 0..trainer.ranges().len() {
        trainer.read_block(block, &mut |_, variable| variable.value().numbers().map(drop))?;
    }
    Ok(place.taken().used_bytes)
}

/// So many samples without content, as they are loaded.
fn blank_batch(network: &NetworkSpec, samples: usize, blends: bool) -> Result<Batch> {
    let dims = network.input.dims(samples);
    let inputs = Map::new(vec![0.0; samples * network.input.elements()], dims)?;
    Ok(Batch { inputs, targets: blank_targets(network, samples, blends) })
}
