//! A run counted: the trainer itself at work on maps that have no numbers.

use super::ledger::{Ledger, Moment, Part, Work};
use super::workload::{ALLOWANCE_BYTES, Workload};
use crate::cache::ENTRY_BYTES;
use crate::data::ahead::BATCHES_AHEAD;
use crate::data::{Batch, Normalize};
use crate::error::{ErrorKind, Result};
use crate::evaluate::Tally;
use crate::exits::survey::Survey;
use crate::layers::Variable;
use crate::maps::coded::Coded;
use crate::maps::counted::counter::{ELEMENT_BYTES, MAP_BYTES};
use crate::maps::counted::{Counter, Workspaces};
use crate::maps::place::Room;
use crate::maps::{Map, Place};
use crate::optimizer::prepare_state;
use crate::parameter::Parameter;
use crate::rules::criterion::blank_targets;
use crate::shelf::Parcel;
use crate::sweep::sweep;
use crate::targets::Targets;
use crate::trainer::{CacheConfig, OpenStep, Stage, TrainConfig, Trainer};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// What a name, its place in a layer and an optimizer's notes take for each weight and statistic.
const NOTES_BYTES: usize = 192;

/// What the launches of a device's steps are remembered in, to be begun as graphs: 64 series of 32 at the most, each launch with its
/// arguments and where its memory is.
const SERIES_BYTES: usize = 64 * 32 * 768;

/// What a block holds between steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resting {
    pub(super) weights: usize,
    pub(super) optimizer: usize,
    pub(super) auxiliary: usize,
    /// Weights, each with its gradient and what the optimizer remembers.
    pub(super) tensors: usize,
    /// Elements of the largest weight.
    pub(super) largest: usize,
}

impl Resting {
    fn add(&mut self, variable: &Variable<'_>) {
        let of = |map: &Map| map.elem_count() * ELEMENT_BYTES + MAP_BYTES;
        let value = variable.value();
        match value.part() {
            Some(Part::Auxiliary | Part::Average) => self.auxiliary += of(value) + NOTES_BYTES,
            _ => self.weights += of(value) + NOTES_BYTES,
        }
        if let Variable::Parameter(Parameter { state, coded, .. }) = variable {
            self.optimizer +=
                state.iter().map(of).sum::<usize>() + coded.iter().map(Coded::bytes).sum::<usize>();
            self.largest = self.largest.max(value.elem_count());
        }
    }
}

/// A trainer of a workload, and who counts what it does.
pub(super) struct Counted {
    pub(super) counter: Arc<Counter>,
    trainer: Trainer,
    /// Of each block.
    pub(super) resting: Vec<Resting>,
    /// Bytes of the program, then batches that are made ahead, then the notes of all variables.
    rooms: Vec<Room>,
    evaluation_reading_bytes: usize,
    judges_exits: bool,
    /// Bytes of what a sample to learn from is to be answered with.
    target_bytes: usize,
}

impl Counted {
    /// Builds the trainer, and with `remembers` what its optimizer remembers from the first step on.
    ///
    /// # Errors
    /// Those of building it, and `Memory` past the limit.
    fn new(
        workload: &Workload,
        workspaces: &Workspaces,
        limit_bytes: Option<usize>,
        remembers: bool,
    ) -> Result<Self> {
        let Workload { network, train, threads, program_bytes, .. } = workload;
        let counter = Arc::new(Counter::remembering(*threads, workspaces.clone()));
        counter.ledger.restart(limit_bytes);
        counter.ledger.enter(Moment::Load);
        let place = Place::Counted(counter.clone());
        let program = place.room(Part::Program, program_bytes + ALLOWANCE_BYTES);
        let normalize = Normalize::identity(network.input.channels());
        let trainer = Trainer::new(network.clone(), train.clone(), normalize, place)?;
        let evaluation_reading_bytes = workload.evaluation_reading_bytes;
        let (resting, rooms, judges_exits) = (Vec::new(), vec![program], workload.judges_exits);
        let target_bytes = blank_targets(network, 1, workload.blends).bytes();
        let mut counted =
            Self { counter, trainer, resting, rooms, evaluation_reading_bytes, judges_exits, target_bytes };
        counted.rooms.push(counted.ahead(workload.batch, workload.reading_bytes));
        counted.rooms.push(counted.kept_features(workload)?);
        counted.rooms.push(counted.given_features(workload)?);
        counted.rest(remembers)?;
        Ok(counted)
    }

    /// Looks at what each block holds between steps.
    fn rest(&mut self, remembers: bool) -> Result<()> {
        let trainer = &mut self.trainer;
        let optimizer = trainer.method().optimizer.clone();
        let mut notes = [0; Part::ALL.len()];
        for block in 0..trainer.ranges().len() {
            let trains = remembers && !trainer.is_frozen(block);
            let mut resting = Resting::default();
            trainer.visit_unnamed(block, &mut |_, mut variable| {
                if let Variable::Parameter(parameter) = &mut variable {
                    if trains && parameter.trainable {
                        prepare_state(parameter, &optimizer)?;
                    }
                    resting.tensors += 2 + optimizer.state_tensors() + parameter.coded.len();
                }
                resting.add(&variable);
                if let Some(part) = variable.value().part() {
                    notes[part as usize] += NOTES_BYTES;
                }
                Ok(())
            })?;
            self.resting.push(resting);
        }
        let place = &self.trainer.model.place;
        let rooms = Part::ALL.into_iter().zip(notes).filter(|(_, bytes)| *bytes > 0);
        self.rooms.extend(rooms.map(|(part, bytes)| place.room(part, bytes)));
        Ok(())
    }

    fn place(&self) -> &Place {
        &self.trainer.model.place
    }

    /// What so many samples are as they are loaded.
    fn inputs(&self, samples: usize) -> Result<Map> {
        let inputs = self.place().full(&self.trainer.model.spec.input.dims(samples), 0.0)?;
        inputs.label(Part::Batch);
        Ok(inputs)
    }

    /// Counts what loading a batch takes besides: its targets; and meanwhile numbers of samples, results of reading, and each
    /// thread's image as bytes and, to be varied, as floats.
    fn load(&self, targets: &Targets, augments: bool) -> Room {
        let room = self.place().room(Part::Batch, targets.bytes());
        self.counter.ledger.touch(Part::Batch, self.loading_bytes(targets.len(), augments));
        room
    }

    /// What loading so many samples takes meanwhile.
    fn loading_bytes(&self, samples: usize, augments: bool) -> usize {
        let pixels = self.trainer.model.spec.input.elements();
        let reading = samples * (size_of::<usize>() + size_of::<Result<u32>>());
        let each = pixels + if augments { pixels * ELEMENT_BYTES } else { 0 };
        reading + self.counter.threads * each
    }

    /// Batches of so many samples that are made ahead, and what making them takes, where reading one takes anything.
    fn ahead(&self, samples: usize, reading_bytes: usize) -> Room {
        self.place().room(Part::Batch, self.ahead_bytes(samples, reading_bytes))
    }

    fn ahead_bytes(&self, samples: usize, reading_bytes: usize) -> usize {
        let pixels = self.trainer.model.spec.input.elements() * ELEMENT_BYTES;
        let sample = pixels + self.target_bytes + size_of::<usize>() + size_of::<Result<u32>>();
        match reading_bytes {
            0 => 0,
            bytes => BATCHES_AHEAD * samples * sample + self.counter.threads * (pixels + bytes),
        }
    }

    /// What a run on a device takes of the process's memory: the program and its data, batches on their way, the places of features
    /// that are kept, and copies of what goes there or comes back. What a driver takes for itself nobody can tell.
    pub(super) fn host_bytes(&self, workload: &Workload) -> usize {
        let pixels = self.trainer.model.spec.input.elements() * ELEMENT_BYTES;
        // As it was loaded, and twice as it is brought there.
        let batch = |samples: usize, augments| {
            samples * (3 * pixels + self.target_bytes) + self.loading_bytes(samples, augments)
        };
        let judged = workload.evaluation_batch.map_or(0, |samples| {
            self.ahead_bytes(samples, workload.evaluation_reading_bytes) + batch(samples, false)
        });
        let kept = workload.train.method.cache.map_or(0, |cache| {
            let samples = (workload.samples * cache.variants) + workload.evaluation_samples;
            samples * (ENTRY_BYTES + size_of::<Option<Parcel>>())
        });
        let most = |of: fn(&Resting) -> usize| self.resting.iter().map(of).max().unwrap_or(0);
        let of_block: fn(&Resting) -> usize = |rest| rest.weights + rest.optimizer + rest.auxiliary;
        let tensor = 2 * ELEMENT_BYTES * most(|rest| rest.largest);
        let weights: usize = self.resting.iter().map(|rest| rest.weights).sum();
        let read = [
            if workload.starts_from_file { 2 * weights } else { 0 },
            if workload.train.execution.offload { most(of_block) } else { 0 },
        ];
        let read = tensor + read.into_iter().max().unwrap_or(0);
        let trained = batch(workload.batch, workload.augments);
        let passing = trained.max(judged).max(read).max(workload.record_bytes);
        let notes: usize = self.resting.iter().map(|rest| rest.tensors * NOTES_BYTES).sum();
        let ahead = self.ahead_bytes(workload.batch, workload.reading_bytes);
        workload.program_bytes + ALLOWANCE_BYTES + SERIES_BYTES + ahead + kept + notes + passing
    }

    /// Features that are kept of all samples but those of a batch, and where each is found.
    fn kept_features(&self, workload: &Workload) -> Result<Room> {
        let train = &workload.train;
        let Some(cache) = train.method.cache else {
            return Ok(self.place().room(Part::Kept, 0));
        };
        let places =
            workload.samples.saturating_mul(cache.variants).saturating_mul(size_of::<Option<Parcel>>());
        let bytes = workload.kept_bytes(cache, self.entry_bytes(cache)?, places)?;
        Ok(self.place().room(Part::Kept, bytes))
    }

    /// What the features of a batch take beyond its images, where they may come in place of these.
    fn given_features(&self, workload: &Workload) -> Result<Room> {
        let mut beyond = 0;
        if workload.takes_features && self.trainer.check_still().is_ok() {
            let pixels = self.trainer.model.spec.input.elements();
            beyond = self.trainer.still_shape()?.elements().saturating_sub(pixels);
        }
        Ok(self.place().room(Part::Batch, workload.batch.saturating_mul(beyond * ELEMENT_BYTES)))
    }

    /// What the features of a sample take that are kept.
    fn entry_bytes(&self, cache: CacheConfig) -> Result<usize> {
        let numbers = match self.trainer.execution().features_on_disk {
            true => 0,
            false => self.trainer.still_shape()?.elements(),
        };
        Ok(numbers * cache.precision.bytes() + ENTRY_BYTES)
    }

    /// What the first units make of a batch, sample by sample as it is kept.
    fn pass_still(&mut self, images: Map, cache: CacheConfig) -> Result<Vec<Parcel>> {
        let samples = images.dims()[0];
        let group = self.trainer.execution().micro_batch.unwrap_or(samples).min(samples).max(1);
        let shelf = self.trainer.cache_shelf(cache.precision);
        let mut kept = Vec::with_capacity(samples);
        for first in (0..samples).step_by(group) {
            let count = group.min(samples - first);
            // A few that are missing pass as as many as a group has, when all others are there.
            let others = samples - 1 - first;
            let images_bytes = images.elem_count() / samples * ELEMENT_BYTES;
            let rooms = [
                self.place().room(Part::Kept, others * self.entry_bytes(cache)?),
                self.place().room(Part::Batch, (group - 1) * images_bytes),
            ];
            let h = self.trainer.still_features(&images.samples(first, count)?)?;
            drop(rooms);
            for sample in 0..count {
                kept.push(shelf.put(h.samples(sample, 1)?.copy()?)?);
            }
        }
        Ok(kept)
    }

    /// A chunk of steps from the loading of the first batch on; the work of each.
    pub(super) fn step(&mut self, workload: &Workload) -> Result<Work> {
        let ledger = self.counter.ledger.clone();
        let samples = workload.batch;
        let resting_bytes = ledger.live_bytes();
        let first = self.inputs(samples)?;
        let targets = blank_targets(&workload.network, samples, workload.blends);
        let _room = self.load(&targets, workload.augments);
        ledger.enter(Moment::Forward(0));
        let chunk = workload.train.method.chunk;
        let mut steps = Vec::with_capacity(chunk);
        if let Some(cache) = workload.train.method.cache {
            let kept = self.pass_still(first, cache)?;
            // Most steps find what they need.
            let before = ledger.total_work();
            for _ in 0..chunk {
                steps.push(self.trainer.begin_behind(kept.clone(), &targets, 0.0)?);
            }
            self.sweep(steps)?;
            // Steps let go of features that stay where they are.
            drop(kept);
            return Ok(ledger.total_work().since(&before).times(1.0 / chunk as f64));
        }
        let before = ledger.total_work();
        let mut batch = Batch { inputs: first, targets };
        steps.push(self.trainer.begin(&batch, 0.0)?);
        for _ in 1..chunk {
            let targets = batch.targets;
            drop(batch.inputs);
            batch = Batch { inputs: self.inputs(samples)?, targets };
            steps.push(self.trainer.begin(&batch, 0.0)?);
        }
        let batch_bytes = ledger.live_bytes() - resting_bytes;
        drop(batch);
        self.sweep(steps)?;
        if self.trainer.execution().side_by_side && self.counter.threads > 1 {
            self.count_side_by_side(samples, resting_bytes, batch_bytes)?;
        }
        Ok(ledger.total_work().since(&before).times(1.0 / chunk as f64))
    }

    /// Adds what is in memory beside a block that trains side by side with others, where each took its most when it trained
    /// alone: other blocks on the other threads, those that take most, and a batch before each block.
    fn count_side_by_side(&mut self, samples: usize, resting_bytes: usize, batch_bytes: usize) -> Result<()> {
        let ledger = &self.counter.ledger;
        let mut taken = vec![0; self.trainer.ranges().len()];
        for peak in ledger.moments() {
            if let Some(block) = peak.moment.block() {
                taken[block] = peak.bytes.saturating_sub(resting_bytes).max(taken[block]);
            }
        }
        let expanded = self.trainer.model.spec.expand()?;
        let handed_on = |range: &RangeInclusive<usize>| {
            expanded[*range.end()].1.elements() * samples * ELEMENT_BYTES + batch_bytes
        };
        let waiting: usize = self.trainer.ranges().iter().map(handed_on).sum();
        let others = |block: usize| {
            let mut others: Vec<usize> = taken
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != block)
                .map(|(_, bytes)| *bytes)
                .collect();
            others.sort_unstable_by(|a, b| b.cmp(a));
            others.into_iter().take(self.counter.threads.saturating_sub(1)).sum::<usize>()
        };
        ledger.add_beside(|moment| moment.block().map_or(0, |block| waiting + others(block)));
        Ok(())
    }

    fn sweep(&mut self, steps: Vec<OpenStep>) -> Result<()> {
        let ledger = self.counter.ledger.clone();
        let watch = &mut |stage| {
            ledger.enter(match stage {
                Stage::Forward(block) => Moment::Forward(block),
                Stage::Loss(block) => Moment::Loss(block),
                Stage::Backward(block) => Moment::Backward(block),
                Stage::Update(block) => Moment::Update(block),
            });
        };
        sweep(&mut self.trainer, steps, watch).map(drop)
    }

    /// A batch of an evaluation.
    pub(super) fn evaluate(&mut self, samples: usize) -> Result<()> {
        self.counter.ledger.enter(Moment::Evaluate);
        let _ahead = self.ahead(samples, self.evaluation_reading_bytes);
        let inputs = self.inputs(samples)?;
        let targets = blank_targets(&self.trainer.model.spec, samples, false);
        let _room = self.load(&targets, false);
        let batch = Batch { inputs, targets };
        Tally::default().add(&mut self.trainer, &batch)?;
        if self.judges_exits {
            let classes = self.trainer.model.spec.classes;
            // The logits of an exit, all of them and sample by sample.
            let row = classes * ELEMENT_BYTES;
            let _room = self.place().room(Part::Batch, samples * (2 * row + size_of::<Vec<f32>>()));
            Survey::default().add(&mut self.trainer, &batch)?;
        }
        Ok(())
    }

    /// Brings all weights into memory, those of one unit at a time where they wait in a file; `with` is shown the ledger
    /// meanwhile, and the elements of the largest of them.
    pub(super) fn bring_weights(&mut self, with: &mut dyn FnMut(&Ledger, usize)) -> Result<()> {
        let ledger = &self.counter.ledger;
        let largest = self.resting.iter().map(|rest| rest.largest).max().unwrap_or(0);
        if !self.trainer.execution().offload {
            with(ledger, largest);
            return Ok(());
        }
        for block in 0..self.trainer.ranges().len() {
            self.trainer.read_block(block, &mut |_, variable| {
                with(ledger, variable.value().elem_count());
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The most at any moment.
    pub(super) fn most_bytes(&self) -> usize {
        self.counter.ledger.moments().iter().map(|peak| peak.bytes).max().unwrap_or(0)
    }
}

/// Bytes that the evaluation of `samples` images takes beside the network of a workload that trains nothing.
pub(super) fn evaluation_beside(workload: &Workload, samples: usize) -> Result<usize> {
    let mut counted = Counted::new(workload, &Workspaces::default(), None, false)?;
    let before = counted.counter.ledger.live_bytes();
    counted.evaluate(samples)?;
    Ok(counted.most_bytes().saturating_sub(before))
}

/// Counts workloads that differ in how they are carried out: those that come one after the other with one cut share a
/// trainer, and all of them what kernels allocate.
#[derive(Default)]
pub(super) struct Planner {
    workspaces: Workspaces,
    kept: Option<Counted>,
}

impl Planner {
    /// A trainer of `workload` at rest. But for how it is trained it is that of the workload before.
    fn counted(&mut self, workload: &Workload, limit_bytes: Option<usize>) -> Result<Counted> {
        let train = &workload.train;
        let fits = |now: &TrainConfig| {
            now.method.ends == train.method.ends
                && now.execution.offload == train.execution.offload
                && now.execution.features_on_disk == train.execution.features_on_disk
        };
        match self.kept.take() {
            Some(mut kept) if fits(kept.trainer.config()) => {
                kept.trainer.change_execution(&train.execution)?;
                kept.counter.ledger.restart(limit_bytes);
                kept.counter.ledger.enter(Moment::Load);
                Ok(kept)
            }
            _ => Counted::new(workload, &self.workspaces, limit_bytes, true),
        }
    }

    /// Counts a workload by `count`, unless it takes more than `limit_bytes`: then none.
    pub(super) fn count<T>(
        &mut self,
        workload: &Workload,
        limit_bytes: Option<usize>,
        count: impl FnOnce(&mut Counted) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut counted = match self.counted(workload, limit_bytes) {
            Err(error) if error.kind() == ErrorKind::Memory => return Ok(None),
            counted => counted?,
        };
        let found = count(&mut counted);
        let is_over = counted.counter.ledger.is_over();
        if is_over {
            counted.counter.ledger.restart(None);
            counted.trainer.put_away()?;
            self.kept = Some(counted);
            return Ok(None);
        }
        let found = found?;
        self.kept = Some(counted);
        Ok(Some(found))
    }
}
