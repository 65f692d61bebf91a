//! Updates of many parameters in one launch, and the table that they are found by.

use crate::device::arguments::{Elements, Update};
use crate::device::launch::{Launch, Traffic, whole};
use crate::device::table::body::Body;
use crate::device::table::kernel::Kernel;
use crate::error::Result;
use crate::kernels::optimizer::Step;

/// Looks one step of momentum ahead.
const NESTEROV: u32 = 1;
/// There is a state.
const WITH_MOMENTUM: u32 = 2;
/// A moving average follows the value.
pub const WITH_AVERAGE: u32 = 4;
/// Gradients are multiplied by a number on the device.
pub const WITH_FACTOR: u32 = 8;
/// Elements of a block.
const BLOCK: usize = 1024;

/// The arrays that a parameter may have, in the order of a table of addresses: value, momentum or mean, mean square, gradient,
/// average.
pub const ARRAYS: usize = 5;
/// Of these the gradient, whose splits lie one after the other.
pub const GRADIENT: usize = 3;

/// A parameter of a launch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slot {
    /// The floats between each address and what is meant there.
    pub firsts: [usize; ARRAYS],
    /// Its elements.
    pub len: usize,
    /// Splits of its gradient.
    pub splits: usize,
    /// Its weight decay; for AdamW only whether it is 0. What is averaged is multiplied by it.
    pub factor: f32,
}

/// The parameters of a launch.
#[derive(Clone, Debug)]
pub struct Table {
    /// The words of each, as `optimizer.h` has them.
    pub words: Vec<u32>,
    parameters: u32,
    blocks: u32,
    elements: usize,
    gradients: usize,
}

impl Table {
    /// Of these parameters, none of which is empty.
    ///
    /// # Errors
    /// Of what is too large for a device.
    pub fn new(slots: &[Slot]) -> Result<Self> {
        let parameters = whole(slots.len())?;
        let mut table = Self { words: vec![], parameters, blocks: 0, elements: 0, gradients: 0 };
        for slot in slots {
            let words = [whole(slot.len)?, whole(slot.splits)?, slot.factor.to_bits(), table.blocks];
            table.words.extend(words);
            for first in slot.firsts {
                table.words.push(whole(first)?);
            }
            table.blocks += whole(slot.len.div_ceil(BLOCK))?;
            table.elements += slot.len;
            table.gradients += slot.len * slot.splits;
        }
        Ok(table)
    }

    /// Blocks of a launch: parts of [`Body::SquareParts`].
    pub fn blocks(&self) -> usize {
        self.blocks as usize
    }

    fn launch(&self, body: Body, mut p: Update, arrays: [usize; 2]) -> Result<Launch> {
        p.parameters = self.parameters;
        let [read, written] = arrays.map(|arrays| arrays * self.elements);
        let gradients = if body == Body::Average { 0 } else { self.gradients };
        let traffic = Traffic::floats(read + gradients, written, 6 * self.elements + gradients);
        Launch::new(Kernel::of(body), [self.blocks, 1, 1], &p, traffic)
    }

    /// One step, `flags`: [`WITH_AVERAGE`], which keeps `keep` of itself, and [`WITH_FACTOR`].
    ///
    /// # Errors
    /// `Internal` where there are no parameters.
    pub fn step(&self, step: &Step, flags: u32, keep: f32) -> Result<Launch> {
        let averages = usize::from(flags & WITH_AVERAGE != 0);
        match step {
            Step::Sgd(step) => {
                let momentum = if step.momentum > 0.0 { WITH_MOMENTUM } else { 0 };
                let nesterov = if step.nesterov { NESTEROV } else { 0 };
                let flags = flags | momentum | nesterov;
                let p = Update { flags, rate: step.rate, momentum: step.momentum, keep, ..Update::default() };
                let arrays = 1 + averages + usize::from(step.momentum > 0.0);
                self.launch(Body::Sgd, p, [arrays; 2])
            }
            Step::AdamW(step) => {
                let p = Update {
                    flags,
                    rate: step.rate,
                    keep,
                    decay_keep: step.keep,
                    beta1: step.beta1,
                    beta2: step.beta2,
                    new1: step.new1,
                    new2: step.new2,
                    root_correction: step.root_correction,
                    epsilon: step.epsilon,
                    ..Update::default()
                };
                self.launch(Body::AdamW, p, [3 + averages; 2])
            }
        }
    }

    /// Moving averages apart from an update, of the state and the value.
    ///
    /// # Errors
    /// `Internal` where there are no parameters.
    pub fn average(&self, keep: f32) -> Result<Launch> {
        self.launch(Body::Average, Update { keep, ..Update::default() }, [2, 1])
    }

    /// The sum of squares of the whole gradients, a part a block.
    ///
    /// # Errors
    /// `Internal` where there are no parameters.
    pub fn squares(&self) -> Result<Launch> {
        self.launch(Body::SquareParts, Update::default(), [0, 0])
    }
}

/// The sum of `splits` arrays of `elements` that lie one after the other.
///
/// # Errors
/// Of what is too large for a device.
pub fn sum_splits(elements: usize, splits: usize) -> Result<Launch> {
    whole(elements * splits)?;
    let p = Elements { elements: whole(elements)?, kind: whole(splits)?, ..Elements::default() };
    let read = elements * splits;
    Launch::flat(Body::SumSplits, elements, &p, Traffic::floats(read, elements, read))
}
