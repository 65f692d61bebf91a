//! A training step and an evaluation, replayed: what [`crate::trainer::Trainer`] does with memory.

use super::auxiliary::{Auxiliary, cross_entropy};
use super::context::{Context, ELEMENT_BYTES};
use super::ledger::{Held, Moment, Part};
use super::outline::{Lazy, Outline};
use super::replay::{Replay, Tape};
use super::sequential::Sequential;
use crate::error::Result;
use crate::layers::Mode;
use crate::network::{NetworkSpec, blocks};
use crate::rules::auxiliary_specs;
use crate::trainer::{TrainConfig, pieces};
use std::ops::RangeInclusive;

/// The pass that is replayed; all are alike.
const TRAIN: Mode = Mode::Train { draw: 0 };
/// Bytes of a label, and of a sample's number while a batch is read.
const LABEL_BYTES: usize = size_of::<u32>();

/// What a block holds between steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resting {
    pub(super) weights: usize,
    pub(super) optimizer: usize,
    pub(super) auxiliary: usize,
}

/// `Trainer`, with the network in it.
pub(super) struct Training {
    units: Vec<Sequential>,
    head: Sequential,
    auxiliaries: Vec<Option<Auxiliary>>,
    ranges: Vec<RangeInclusive<usize>>,
    tape: Tape,
    recompute: bool,
    pieces: Vec<usize>,
    micro_batch: Option<usize>,
    frozen: usize,
    input: [usize; 3],
    /// Of each block.
    pub(super) resting: Vec<Resting>,
}

/// A share of the batch.
struct MicroBatch {
    h: Outline,
    images: Option<Outline>,
    _labels: Held,
}

impl Training {
    /// `Trainer::new`
    pub(super) fn new(context: &Context, network: &NetworkSpec, config: &TrainConfig) -> Result<Self> {
        config.validate()?;
        let specs = auxiliary_specs(network, &config.ends, &config.rule)?;
        let ranges = blocks::ranges(&config.ends);
        let expanded = network.expand()?;
        let (mut units, mut auxiliaries, mut resting) = (Vec::new(), Vec::new(), Vec::new());
        for (block, range) in ranges.iter().enumerate() {
            let frozen = block < config.frozen;
            context.remembers.set(!frozen);
            let mut rest = Rest::begin(context);
            for (layers, _) in &expanded[range.clone()] {
                units.push(Sequential::new(context, layers, Part::Weights));
            }
            if let Some(spec) = specs.get(block) {
                let features = expanded[*range.end()].1;
                let auxiliary = || Auxiliary::new(context, spec, features, config.recompute);
                auxiliaries.push(if frozen { None } else { Some(auxiliary()?) });
            }
            resting.push(rest.end(context));
        }
        context.remembers.set(true);
        let mut rest = Rest::begin(context);
        let head = Sequential::new(context, &network.head, Part::Weights);
        if let Some(last) = resting.last_mut() {
            let head = rest.end(context);
            last.weights += head.weights;
            last.optimizer += head.optimizer;
        }
        Ok(Self {
            units,
            head,
            auxiliaries,
            ranges,
            tape: Tape::default(),
            recompute: config.recompute,
            pieces: config.pieces.clone(),
            micro_batch: config.micro_batch,
            frozen: config.frozen,
            input: network.input,
            resting,
        })
    }

    /// The dimensions of so many images.
    fn images(&self, samples: usize) -> [usize; 4] {
        let [channels, height, width] = self.input;
        [samples, height, width, channels]
    }

    /// `Loader::batch`: the images of a batch, and their labels.
    pub(super) fn load(&self, context: &Context, samples: usize, augments: bool) -> (Outline, Held) {
        let images = context.tensor(Part::Batch, &self.images(samples));
        let image = self.images(1).iter().product::<usize>() * ELEMENT_BYTES;
        let labels = context.ledger.take(Part::Batch, samples * LABEL_BYTES);
        // Numbers of samples and results of reading; each thread's image as bytes and, to be varied, as floats.
        let reading = samples * (size_of::<usize>() + size_of::<Result<u32>>());
        let each = image / ELEMENT_BYTES + if augments { image } else { 0 };
        context.ledger.touch(Part::Batch, reading + context.threads * each);
        (images, labels)
    }

    /// `Trainer::step`
    pub(super) fn step(&mut self, context: &Context, images: &Outline) -> Result<()> {
        context.ledger.enter(Moment::Forward(0));
        let mut micro_batches = self.micro_batches(context, images);
        for block in 0..self.ranges.len() {
            context.ledger.enter(Moment::Forward(block));
            if block < self.frozen {
                for micro in &mut micro_batches {
                    for unit in &mut self.units[self.ranges[block].clone()] {
                        micro.h =
                            unit.forward_plain(context, micro.h.clone(), Mode::Evaluate, &mut self.tape)?;
                    }
                }
                continue;
            }
            self.train_all(context, block, &mut micro_batches)?;
            context.ledger.enter(Moment::Update(block));
            self.parameters_of(block).into_iter().for_each(|parameter| parameter.apply());
            if let Some(Some(auxiliary)) = self.auxiliaries.get(block) {
                auxiliary.follow(context);
            }
        }
        Ok(())
    }

    /// One block on all micro-batches. Those in the middle change nothing but the features that are kept of them, evenly:
    /// the most is in memory at the first, at the second, when gradients are gathered, or at one of the last.
    fn train_all(&mut self, context: &Context, block: usize, micro_batches: &mut [MicroBatch]) -> Result<()> {
        let count = micro_batches.len();
        let mut output = Vec::new();
        for (number, micro) in micro_batches.iter_mut().enumerate() {
            if number < 2 || number + 2 >= count {
                let before = context.ledger.total_work();
                self.train_block(context, block, micro)?;
                output = micro.h.dims().to_vec();
                if number == 1 && count > 4 {
                    context.ledger.repeat_work(&before, (count - 4) as f64);
                }
            } else {
                micro.h = context.map(&output);
            }
        }
        Ok(())
    }

    /// `Trainer::train_block`
    fn train_block(&mut self, context: &Context, block: usize, micro: &mut MicroBatch) -> Result<()> {
        let units = &mut self.units[self.ranges[block].clone()];
        context.ledger.enter(Moment::Forward(block));
        let repeats = self.recompute && matches!(self.auxiliaries.get(block), Some(Some(_)));
        let pieces = pieces(&self.ranges[block], &self.pieces);
        let mut inputs = Vec::new();
        let mut h = micro.h.clone();
        for (number, piece) in pieces.iter().enumerate() {
            let mut forgetting = Tape::forgetting();
            let mut tape = &mut self.tape;
            if repeats || number + 1 < pieces.len() {
                inputs.push(h.clone());
                tape = &mut forgetting;
            }
            for unit in &mut units[piece.clone()] {
                h = unit.forward_plain(context, h, TRAIN, tape)?;
            }
        }
        micro.h = h.clone();

        context.ledger.enter(Moment::Loss(block));
        let tape = &mut self.tape;
        let mut d_h = match self.auxiliaries.get_mut(block).and_then(Option::as_mut) {
            Some(auxiliary) => auxiliary.loss(context, h, micro.images.as_ref(), TRAIN, tape)?,
            None => {
                let logits = self.head.forward_plain(context, h, TRAIN, tape)?;
                let d_logits = cross_entropy(context, &logits);
                self.head.backward_to_input(context, d_logits, tape)?
            }
        };

        context.ledger.enter(Moment::Backward(block));
        'backward: for (number, piece) in pieces.iter().enumerate().rev() {
            if inputs.len() > number {
                repeat(context, &mut units[piece.clone()], inputs.pop(), tape)?;
            }
            for position in piece.clone().rev() {
                match units[position].backward(context, d_h, tape, position > 0)? {
                    Some(d_x) => d_h = d_x,
                    None => break 'backward,
                }
            }
        }
        tape.clear();
        Ok(())
    }

    fn parameters_of(&mut self, block: usize) -> Vec<&mut super::replay::Parameter> {
        let units = &mut self.units[self.ranges[block].clone()];
        let mut parameters: Vec<_> = units.iter_mut().flat_map(|unit| unit.parameters()).collect();
        match self.auxiliaries.get_mut(block) {
            Some(Some(auxiliary)) => parameters.extend(auxiliary.parameters()),
            Some(None) => {}
            None => parameters.extend(self.head.parameters()),
        }
        parameters
    }

    /// Tensors of the block with most of them, and elements of the largest tensor of all.
    pub(super) fn tensors(&mut self, context: &Context) -> (usize, usize) {
        let (mut most, mut largest) = (0, 0);
        for block in 0..self.ranges.len() {
            let parameters = self.parameters_of(block);
            // Running statistics come with batch norm's two parameters.
            most = most.max(parameters.len() * (2 + context.state_tensors));
            largest = parameters.iter().map(|p| p.elements()).fold(largest, usize::max);
        }
        (most, largest)
    }

    /// `Trainer::micro_batches`
    fn micro_batches(&self, context: &Context, images: &Outline) -> Vec<MicroBatch> {
        let samples = images.dims()[0];
        let needs_images = self.auxiliaries.iter().flatten().any(Auxiliary::needs_images);
        let size = self.micro_batch.unwrap_or(samples).min(samples);
        let share = |first: usize| {
            let count = size.min(samples - first);
            let h = images.clone().reshaped(self.images(count).to_vec());
            let _labels = context.ledger.take(Part::Batch, count * LABEL_BYTES);
            MicroBatch { images: needs_images.then(|| h.clone()), h, _labels }
        };
        (0..samples).step_by(size).map(share).collect()
    }

    /// `evaluate::evaluate` of one batch.
    pub(super) fn evaluate(&mut self, context: &Context, samples: usize) -> Result<()> {
        context.ledger.enter(Moment::Evaluate);
        let (images, _labels) = self.load(context, samples, false);
        let mut h = images.clone();
        let mut tape = Tape::default();
        for unit in &mut self.units {
            h = unit.forward_plain(context, h, Mode::Evaluate, &mut tape)?;
        }
        let logits = self.head.forward_plain(context, h, Mode::Evaluate, &mut tape)?;
        cross_entropy(context, &logits);
        Ok(())
    }
}

/// `trainer::repeat`
fn repeat(
    context: &Context,
    units: &mut [Sequential],
    input: Option<Outline>,
    tape: &mut Tape,
) -> Result<()> {
    let (Some(mut h), Some((last, before))) = (input, units.split_last_mut()) else { return Ok(()) };
    for unit in before {
        h = unit.forward_plain(context, h, TRAIN.again(), tape)?;
    }
    last.repeat(context, Lazy::Plain(h), TRAIN.again(), tape)
}

/// What was taken to rest since some moment.
struct Rest([usize; 4]);

impl Rest {
    fn now(context: &Context) -> [usize; 4] {
        let parts = [Part::Weights, Part::Optimizer, Part::Auxiliary, Part::Average];
        parts.map(|part| context.ledger.live_part(part))
    }

    fn begin(context: &Context) -> Self {
        Self(Self::now(context))
    }

    fn end(&mut self, context: &Context) -> Resting {
        let now = Self::now(context);
        let [weights, optimizer, auxiliary, average] = [0, 1, 2, 3].map(|i| now[i] - self.0[i]);
        Resting { weights, optimizer, auxiliary: auxiliary + average }
    }
}
