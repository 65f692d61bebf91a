//! A launch that waits for what else becomes of what it writes: the gradient of a convolution's input, which is masked next. Both
//! are one launch then, which writes the gradient once, and to the same bits as two.

use super::launch::Launch;
use super::launches::conv::{self as launches, Read, WITH_MASK};
use super::pool::{Given, Span};
use super::table::all::Class;
use crate::error::Result;
use crate::kernels::conv::Geometry;

/// Slots of the kernel.
const MASK: usize = 6;
const OUT: usize = 9;

/// The gradient of the input of a convolution that is no depthwise one.
#[derive(Debug)]
pub(super) struct Deferred {
    pub(super) geometry: Geometry,
    pub(super) read: Read,
    pub(super) flags: u32,
    pub(super) class: Class,
    /// What its slots are given.
    pub(super) given: Vec<Given>,
    /// Blocks that were given back meanwhile.
    pub(super) given_back: Vec<u64>,
}

impl Deferred {
    /// The launch as it is by now.
    pub(super) fn launch(&self) -> Result<Launch> {
        Ok(launches::d_input(&self.geometry, &self.read, self.flags, self.class)?.launch)
    }

    /// Whether a block is used by it.
    pub(super) fn holds(&self, block: u64) -> bool {
        self.given.iter().any(|given| matches!(given, Given::Span(span) if span.block == block))
    }

    /// Whether it writes these elements, and nobody has masked them yet.
    pub(super) fn can_mask(&self, span: Span) -> bool {
        matches!(self.given[OUT], Given::Span(out) if out == span) && self.flags & WITH_MASK == 0
    }

    /// What it writes becomes 0 where the mask does not let it pass.
    pub(super) fn mask(&mut self, mask: Span) {
        self.flags |= WITH_MASK;
        self.given[MASK] = Given::Span(mask);
    }
}
