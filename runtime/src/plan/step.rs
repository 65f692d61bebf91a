//! A training step and an evaluation, replayed: what [`crate::trainer::Trainer`] does with memory.

use super::auxiliary::{Auxiliary, cross_entropy};
use super::context::{Context, ELEMENT_BYTES};
use super::ledger::{Held, Moment, Part, Work};
use super::outline::{Lazy, Outline};
use super::replay::{Parameter, Replay, Tape};
use super::residence::{fetch, release};
use super::sequential::Sequential;
use super::waiting::Waiting;
use crate::error::Result;
use crate::layers::{Draw, Mode};
use crate::network::{NetworkSpec, blocks};
use crate::precision::Precision;
use crate::rules::auxiliary_specs;
use crate::trainer::{TrainConfig, check_shares, check_weights, pieces};
use std::ops::RangeInclusive;

/// The pass that is replayed; all are alike.
const TRAIN: Mode = Mode::Train { draw: Draw { pass: 0, first: 0 } };
/// Bytes of a label, and of a sample's number while a batch is read.
const LABEL_BYTES: usize = size_of::<u32>();
/// What a channel of a batch norm takes for each of its two parameters while shares are made one: two f32 and four f64.
const NORM_BYTES: usize = 24;
/// The same for its handles, in channels.
const NORM_HANDLES: usize = 40;

/// What a block holds between steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Resting {
    pub(super) weights: usize,
    pub(super) optimizer: usize,
    pub(super) auxiliary: usize,
}

impl Resting {
    fn add(&mut self, more: Self) {
        self.weights += more.weights;
        self.optimizer += more.optimizer;
        self.auxiliary += more.auxiliary;
    }
}

/// `Trainer`, with the network in it.
pub(super) struct Training {
    pub(super) units: Vec<Sequential>,
    pub(super) head: Sequential,
    pub(super) auxiliaries: Vec<Option<Auxiliary>>,
    pub(super) ranges: Vec<RangeInclusive<usize>>,
    tape: Tape,
    pub(super) config: TrainConfig,
    input: [usize; 3],
    /// Of each block.
    pub(super) resting: Vec<Resting>,
}

/// A batch on its way through the blocks, in shares.
struct OpenStep {
    shares: Vec<MicroBatch>,
}

/// A share of the batch.
struct MicroBatch {
    h: Waiting,
    images: Option<Waiting>,
    samples: usize,
    _labels: Held,
}

impl Training {
    /// `Trainer::with_scratch`
    pub(super) fn new(context: &Context, network: &NetworkSpec, config: &TrainConfig) -> Result<Self> {
        config.validate()?;
        let specs = auxiliary_specs(network, &config.ends, &config.rule)?;
        check_shares(config, &specs)?;
        check_weights(config, network)?;
        let ranges = blocks::ranges(&config.ends);
        let expanded = network.expand()?;
        let (mut units, mut auxiliaries, mut resting) = (Vec::new(), Vec::new(), Vec::new());
        for (block, range) in ranges.iter().enumerate() {
            let frozen = block < config.frozen;
            context.remembers.set(!frozen);
            let mut all = Resting::default();
            for (layers, _) in &expanded[range.clone()] {
                let rest = Rest::begin(context);
                let mut unit = Sequential::new(context, layers, Part::Weights);
                all.add(rest.end(context));
                release(config.offload, unit.parameters());
                units.push(unit);
            }
            if let Some(spec) = specs.get(block).filter(|_| !frozen) {
                let features = expanded[*range.end()].1;
                let rest = Rest::begin(context);
                let mut auxiliary = Auxiliary::new(context, spec, features, config.recompute)?;
                all.add(rest.end(context));
                release(config.offload, auxiliary.parameters());
                auxiliaries.push(Some(auxiliary));
            } else if block + 1 < ranges.len() {
                auxiliaries.push(None);
            }
            resting.push(all);
        }
        context.remembers.set(true);
        let rest = Rest::begin(context);
        let mut head = Sequential::new(context, &network.head, Part::Weights);
        if let Some(last) = resting.last_mut() {
            last.add(rest.end(context));
        }
        release(config.offload, head.parameters());
        Ok(Self {
            units,
            head,
            auxiliaries,
            ranges,
            tape: Tape::default(),
            config: config.clone(),
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

    /// `sweep::sweep` over a chunk of batches, the first of which is `images`; the work of each of its steps.
    pub(super) fn step(&mut self, context: &Context, images: Outline) -> Result<Work> {
        context.ledger.enter(Moment::Forward(0));
        let before = context.ledger.total_work();
        let samples = images.dims()[0];
        let mut steps = vec![self.open(context, images)];
        for _ in 1..self.config.chunk {
            steps.push(self.open(context, context.tensor(Part::Batch, &self.images(samples))));
        }
        for block in 0..self.ranges.len() {
            context.ledger.enter(Moment::Forward(block));
            let mut _last_parcel = None;
            if let Some(&size) = self.config.block_batches.get(block) {
                (steps, _last_parcel) = self.recut(context, steps, size);
            }
            self.enter(context, block);
            self.visit(context, block, &mut steps)?;
            self.leave(context, block);
        }
        Ok(context.ledger.total_work().since(&before).times(1.0 / self.config.chunk as f64))
    }

    /// All steps through one block. Those in the middle change nothing but the features that are kept of them, evenly:
    /// the most is in memory at the first, at the second, or at one of the last.
    fn visit(&mut self, context: &Context, block: usize, steps: &mut [OpenStep]) -> Result<()> {
        let count = steps.len();
        let mut output = Vec::new();
        for (number, step) in steps.iter_mut().enumerate() {
            if is_in_the_middle(number, count) {
                for share in &mut step.shares {
                    share.h = self.kept(context, block, output.clone(), share.samples);
                }
                continue;
            }
            let before = context.ledger.total_work();
            output = if block < self.config.frozen {
                self.pass_frozen(context, block, &mut step.shares)?
            } else {
                self.train_shares(context, block, &mut step.shares)?
            };
            if number == 1 {
                context.ledger.repeat_work(&before, count.saturating_sub(4) as f64);
            }
        }
        Ok(())
    }

    /// `Trainer::pass_frozen`; the dimensions of an output.
    fn pass_frozen(
        &mut self,
        context: &Context,
        block: usize,
        shares: &mut [MicroBatch],
    ) -> Result<Vec<usize>> {
        let mut dims = Vec::new();
        for share in shares {
            let mut h = share.h.get(context);
            share.h = Waiting::Nothing;
            for unit in &mut self.units[self.ranges[block].clone()] {
                h = unit.forward_plain(context, h, Mode::Evaluate, &mut self.tape)?;
            }
            dims = h.dims().to_vec();
            share.h = self.put(context, block, h);
        }
        Ok(dims)
    }

    /// `Trainer::train_shares`; the dimensions of an output. As with steps, shares in the middle are alike.
    fn train_shares(
        &mut self,
        context: &Context,
        block: usize,
        shares: &mut [MicroBatch],
    ) -> Result<Vec<usize>> {
        let count = shares.len();
        let before_all = context.ledger.total_work();
        let exact = self.config.exact && count > 1;
        let norms = if exact { self.norm_elements(block) } else { 0 };
        let _whole = context.ledger.take(Part::Scratch, norms * NORM_BYTES);
        let mut output = Vec::new();
        for (number, share) in shares.iter_mut().enumerate() {
            if is_in_the_middle(number, count) {
                share.h = self.kept(context, block, output.clone(), share.samples);
                continue;
            }
            let before = context.ledger.total_work();
            output = self.train_block(context, block, share)?;
            if number == 1 {
                context.ledger.repeat_work(&before, count.saturating_sub(4) as f64);
            }
        }
        if exact {
            // Each of the norms has a round that stops half way forward, and one that stops half way back.
            context.ledger.repeat_work(&before_all, self.norms(block) as f64 * (1.0 / 6.0 + 2.0 / 3.0));
        }
        context.ledger.enter(Moment::Update(block));
        self.parameters_of(block).into_iter().for_each(|parameter| parameter.apply());
        if let Some(Some(auxiliary)) = self.auxiliaries.get(block) {
            auxiliary.follow(context);
        }
        Ok(output)
    }

    /// `Trainer::pass`; the dimensions of the output.
    fn train_block(&mut self, context: &Context, block: usize, share: &mut MicroBatch) -> Result<Vec<usize>> {
        context.ledger.enter(Moment::Forward(block));
        let repeats = self.config.recompute && matches!(self.auxiliaries.get(block), Some(Some(_)));
        let pieces = pieces(&self.ranges[block], &self.config.pieces);
        let mut inputs = Vec::new();
        let mut h = share.h.get(context);
        for (number, piece) in pieces.iter().enumerate() {
            let is_last = number + 1 == pieces.len();
            self.enter_piece(context, block, piece, is_last);
            let mut forgetting = Tape::forgetting();
            if repeats || !is_last {
                inputs.push(match number {
                    0 => share.h.clone(),
                    _ => Waiting::put(context, &self.config, h.clone()),
                });
            }
            let tape = if repeats || !is_last { &mut forgetting } else { &mut self.tape };
            let mut x = Lazy::Plain(h);
            for unit in &mut self.units[self.ranges[block].clone()][piece.clone()] {
                x = unit.forward(context, x, TRAIN, tape)?;
            }
            h = context.resolve(x)?;
            if !is_last {
                self.leave_piece(context, block, piece, false);
            }
        }
        let output = h.dims().to_vec();
        share.h = self.put(context, block, h.clone());

        context.ledger.enter(Moment::Loss(block));
        let tape = &mut self.tape;
        let mut d_h = match self.auxiliaries.get_mut(block).and_then(Option::as_mut) {
            Some(auxiliary) => {
                let images = share.images.as_ref().map(|images| images.get(context));
                auxiliary.loss(context, h, images.as_ref(), TRAIN, tape)?
            }
            None => {
                let logits = self.head.forward_plain(context, h, TRAIN, tape)?;
                let d_logits = cross_entropy(context, &logits);
                self.head.backward_to_input(context, d_logits, tape)?
            }
        };
        context.settle();

        context.ledger.enter(Moment::Backward(block));
        let updates = !context.gathers;
        'backward: for (number, piece) in pieces.iter().enumerate().rev() {
            if inputs.len() > number {
                self.enter_piece(context, block, piece, true);
                let units = &mut self.units[self.ranges[block].clone()][piece.clone()];
                repeat(context, units, inputs.pop(), &mut self.tape)?;
            }
            let units = &mut self.units[self.ranges[block].clone()];
            for position in piece.clone().rev() {
                match units[position].backward(context, d_h, &mut self.tape, position > 0)? {
                    Some(d_x) => d_h = d_x,
                    None => {
                        self.leave_piece(context, block, piece, updates);
                        break 'backward;
                    }
                }
            }
            self.leave_piece(context, block, piece, updates);
        }
        self.tape.clear();
        Ok(output)
    }

    /// `Trainer::waits`
    fn waits(&self, shares: usize) -> bool {
        shares > 1 || self.config.chunk > 1 || !self.config.block_batches.is_empty()
    }

    /// `Trainer::kept`
    fn put(&self, context: &Context, block: usize, h: Outline) -> Waiting {
        if block + 1 == self.ranges.len() {
            return Waiting::Nothing;
        }
        match self.waits(if context.gathers { 2 } else { 1 }) {
            true => Waiting::put(context, &self.config, h),
            false => Waiting::Memory(h),
        }
    }

    /// The same of a share whose pass is not replayed, where outputs have these dimensions.
    fn kept(&self, context: &Context, block: usize, mut dims: Vec<usize>, samples: usize) -> Waiting {
        dims[0] = samples;
        self.put(context, block, context.map(&dims))
    }

    fn parameters_of(&mut self, block: usize) -> Vec<&mut Parameter> {
        let units = &mut self.units[self.ranges[block].clone()];
        let mut parameters: Vec<_> = units.iter_mut().flat_map(|unit| unit.parameters()).collect();
        match self.auxiliaries.get_mut(block) {
            Some(Some(auxiliary)) => parameters.extend(auxiliary.parameters()),
            Some(None) => {}
            None => parameters.extend(self.head.parameters()),
        }
        parameters
    }

    /// Batch norms of a block, by their two numbers a channel.
    fn norms(&mut self, block: usize) -> usize {
        self.parameters_of(block).iter().filter(|parameter| parameter.is_vector()).count() / 2
    }

    fn norm_elements(&mut self, block: usize) -> usize {
        let parameters = self.parameters_of(block);
        parameters.iter().filter(|parameter| parameter.is_vector()).map(|p| p.elements() + NORM_HANDLES).sum()
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

    /// `Trainer::begin`
    fn open(&self, context: &Context, images: Outline) -> OpenStep {
        let samples = images.dims()[0];
        let needs_images = self.auxiliaries.iter().flatten().any(Auxiliary::needs_images);
        let size = self.config.micro_batch.unwrap_or(samples).min(samples);
        let on_disk = self.waits(samples.div_ceil(size)) && self.config.features_on_disk;
        let share = |first: usize| {
            let count = size.min(samples - first);
            let dims = self.images(count).to_vec();
            let h = match on_disk {
                true => {
                    context.store(dims.iter().product::<usize>() * ELEMENT_BYTES);
                    Waiting::Disk { dims, precision: Precision::F32 }
                }
                false => Waiting::Memory(images.clone().reshaped(dims)),
            };
            let _labels = context.ledger.take(Part::Batch, count * LABEL_BYTES);
            MicroBatch { images: needs_images.then(|| h.clone()), h, samples: count, _labels }
        };
        OpenStep { shares: (0..samples).step_by(size).map(share).collect() }
    }

    /// `trainer::open_step::recut`, and a parcel that is still held when most of its samples are through.
    fn recut(
        &self,
        context: &Context,
        steps: Vec<OpenStep>,
        size: usize,
    ) -> (Vec<OpenStep>, Option<Waiting>) {
        let mut shares: Vec<MicroBatch> = steps.into_iter().flat_map(|step| step.shares).collect();
        let samples: usize = shares.iter().map(|share| share.samples).sum();
        let last = shares.pop();
        let has_images = last.as_ref().is_some_and(|share| share.images.is_some());
        let Some(MicroBatch { h: held, .. }) = last else { return (Vec::new(), None) };
        drop(shares);
        let part = |first: usize, end: usize| {
            let count = end - first;
            let images = has_images.then(|| {
                let whole = context.map(&self.images(count));
                Waiting::put_exactly(context, &self.config, whole)
            });
            let h = held.like(context, count);
            let _labels = context.ledger.take(Part::Batch, count * LABEL_BYTES);
            MicroBatch { h: h.cut(), images: images.map(Waiting::cut), samples: count, _labels }
        };
        let step = |first: usize| {
            let end = samples.min(first + size);
            let share = self.config.micro_batch.unwrap_or(size).min(end - first);
            let shares =
                (first..end).step_by(share).map(|first| part(first, end.min(first + share))).collect();
            OpenStep { shares }
        };
        ((0..samples).step_by(size).map(step).collect(), Some(held))
    }

    /// `evaluate::evaluate` of one batch.
    pub(super) fn evaluate(&mut self, context: &Context, samples: usize) -> Result<()> {
        context.ledger.enter(Moment::Evaluate);
        let (images, _labels) = self.load(context, samples, false);
        let mut h = images.clone();
        let mut tape = Tape::default();
        let offload = self.config.offload;
        for layers in self.units.iter_mut().chain([&mut self.head]) {
            fetch(context, offload, false, layers.parameters());
            h = layers.forward_plain(context, h, Mode::Evaluate, &mut tape)?;
            release(offload, layers.parameters());
        }
        let logits = h;
        cross_entropy(context, &logits);
        Ok(())
    }
}

/// Whether one of so many steps or shares is like the second of them: the first two and the last two are replayed.
fn is_in_the_middle(number: usize, count: usize) -> bool {
    number >= 2 && number + 2 < count
}

/// `trainer::repeat`
fn repeat(
    context: &Context,
    units: &mut [Sequential],
    input: Option<Waiting>,
    tape: &mut Tape,
) -> Result<()> {
    let (Some(input), Some((last, before))) = (input, units.split_last_mut()) else { return Ok(()) };
    let mut x = Lazy::Plain(input.get(context));
    drop(input);
    for unit in before {
        x = unit.forward(context, x, TRAIN.again(), tape)?;
    }
    last.repeat(context, x, TRAIN.again(), tape)
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

    fn end(self, context: &Context) -> Resting {
        let now = Self::now(context);
        let [weights, optimizer, auxiliary, average] = [0, 1, 2, 3].map(|i| now[i] - self.0[i]);
        Resting { weights, optimizer, auxiliary: auxiliary + average }
    }
}
