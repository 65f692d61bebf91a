//! A launch that waits for what else becomes of what it writes: the gradient of a convolution's input, which is masked next. Both
//! are one launch then, which writes the gradient once, and to the same bits as two.

use super::launch::Launch;
use super::launches::conv::{self as launches, Read, WITH_MASK};
use super::pool::{Given, Span};
use super::table::all::Class;
use crate::error::Result;
use crate::kernels::conv::Geometry;

/// Slots of the mask and of what is written: of the gradient of the input alone, and of both gradients.
const ALONE: [usize; 2] = [6, 9];
const BOTH: [usize; 2] = [7, 8];

/// The gradient of the input of a convolution that is no depthwise one.
#[derive(Debug)]
pub(super) struct Deferred {
    pub(super) geometry: Geometry,
    pub(super) read: Read,
    pub(super) flags: u32,
    pub(super) class: Class,
    /// Whether the launch makes the gradient of the weight, too.
    pub(super) makes_both: bool,
    /// What its slots are given.
    pub(super) given: Vec<Given>,
    /// Blocks that were given back meanwhile.
    pub(super) given_back: Vec<u64>,
}

impl Deferred {
    /// The launch as it is by now.
    pub(super) fn launch(&self) -> Result<Launch> {
        let Self { geometry, read, flags, class, makes_both, .. } = self;
        match launches::backward(geometry, read, *flags, *class)?.filter(|_| *makes_both) {
            Some(both) => Ok(both.input.launch),
            None => Ok(launches::d_input(geometry, read, *flags, *class)?.launch),
        }
    }

    fn slots(&self) -> [usize; 2] {
        if self.makes_both { BOTH } else { ALONE }
    }

    /// Whether a block is used by it.
    pub(super) fn holds(&self, block: u64) -> bool {
        self.given.iter().any(|given| matches!(given, Given::Span(span) if span.block == block))
    }

    /// Whether it writes these elements, and nobody has masked them yet.
    pub(super) fn can_mask(&self, span: Span) -> bool {
        let [_, out] = self.slots();
        matches!(self.given[out], Given::Span(out) if out == span) && self.flags & WITH_MASK == 0
    }

    /// What it writes becomes 0 where the mask does not let it pass.
    pub(super) fn mask(&mut self, mask: Span) {
        let [slot, _] = self.slots();
        self.flags |= WITH_MASK;
        self.given[slot] = Given::Span(mask);
    }
}
