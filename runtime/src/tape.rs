//! What the forward pass leaves for the backward pass: a plain stack.

use crate::error::{Error, Result};
use crate::kernels::batch_norm::{Normalization, Sums};
use crate::ops::batch_norm::Statistics;
use crate::ops::conv_norm::{self, Lazy, Summands};
use crate::ops::packed::{Packed, check_fits};
use crate::precision::Precision;
use crate::whole_batch::WholeBatch;
use candle_core::{DType, Tensor};
use std::borrow::Cow;

/// One saved thing.
#[derive(Debug)]
pub enum Saved {
    /// An activation or statistic.
    Tensor(Tensor),
    /// An activation that whoever reads it normalizes.
    Lazy(Lazy),
    /// An activation in fewer bits, and what is to become of it.
    Packed(Packed, Option<Normalization>),
    /// A residual sum that is made again from what is kept anyway.
    Sum(Summands),
    /// The shape of an input that itself need not be kept.
    Shape(Vec<usize>),
}

/// What a convolution read, as it was kept.
#[derive(Debug)]
pub enum Kept {
    /// The map.
    Map(Tensor),
    /// What it can be made from.
    Sum(Summands),
}

impl Kept {
    /// The map.
    pub fn into_map(self) -> Result<Tensor> {
        match self {
            Self::Map(x) => Ok(x),
            Self::Sum(Summands { main, by, around, activation }) => {
                let (main, around) = (Lazy::Normalized(main, by), Lazy::Plain(around));
                Ok(conv_norm::add_activate(main, around, activation, false)?.0)
            }
        }
    }
}

/// A stack: layers push in their forward pass and pop in their backward pass, in reverse order.
#[derive(Debug, Default)]
pub struct Tape {
    saved: Vec<Saved>,
    forgets: bool,
    precision: Precision,
    /// Batch norm's statistics of several shares, where they are those of all shares together.
    whole: Option<WholeBatch>,
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty tape that keeps activations in `precision`.
    pub fn in_precision(precision: Precision) -> Self {
        Self { precision, ..Self::default() }
    }

    /// A tape that keeps nothing.
    pub fn forgetting() -> Self {
        Self { forgets: true, ..Self::default() }
    }

    /// A tape that keeps nothing, for a forward pass that will be repeated on this one before its backward pass: what could
    /// not be kept then is an error now, while nothing is changed yet.
    #[must_use]
    pub fn for_later(&self) -> Self {
        Self { forgets: true, precision: self.precision, ..Self::default() }
    }

    fn save(&mut self, saved: Saved) {
        if !self.forgets {
            self.saved.push(saved);
        }
    }

    /// Whether a tensor is kept in fewer bits: activations are, numbers of a channel and masks are not.
    fn packs(&self, tensor: &Tensor) -> bool {
        packs(self.precision, tensor.rank()) && tensor.dtype() == DType::F32
    }

    /// The tensor in fewer bits, unless nothing is kept.
    fn pack(&mut self, tensor: &Tensor, by: Option<Normalization>) -> Result<()> {
        if self.forgets {
            return check_fits(tensor, self.precision);
        }
        let packed = Packed::new(tensor, self.precision)?;
        self.save(Saved::Packed(packed, by));
        Ok(())
    }

    /// Keeps a tensor: its storage, which is shared and not copied, or what it is in fewer bits.
    ///
    /// # Errors
    /// Those of the device.
    pub fn push(&mut self, tensor: &Tensor) -> Result<()> {
        if self.packs(tensor) {
            return self.pack(tensor, None);
        }
        self.save(Saved::Tensor(tensor.clone()));
        Ok(())
    }

    /// Keeps a map that may still have to be normalized.
    ///
    /// # Errors
    /// Those of the device.
    pub fn push_lazy(&mut self, map: Lazy) -> Result<()> {
        let saved = match map {
            Lazy::Plain(tensor) => return self.push(&tensor),
            Lazy::Normalized(tensor, by) if self.packs(&tensor) => return self.pack(&tensor, Some(by)),
            Lazy::Sum(tensor, _) => return self.push(&tensor),
            map @ Lazy::Normalized(..) => Saved::Lazy(map),
        };
        self.save(saved);
        Ok(())
    }

    /// Keeps what a convolution reads: what `x` can be made from again, if that is known. In fewer bits `x` itself is
    /// smaller than what it is made from.
    ///
    /// # Errors
    /// Those of the device.
    pub fn push_input(&mut self, x: &Tensor, summands: Option<Summands>) -> Result<()> {
        match summands {
            Some(summands) if !self.packs(x) => {
                self.save(Saved::Sum(summands));
                Ok(())
            }
            _ => self.push(x),
        }
    }

    /// Keeps the shape of a tensor.
    pub fn push_shape(&mut self, tensor: &Tensor) {
        self.save(Saved::Shape(tensor.dims().to_vec()));
    }

    /// Takes the tensor on top, which the caller then owns.
    pub fn pop(&mut self) -> Result<Tensor> {
        match self.saved.pop() {
            Some(Saved::Tensor(tensor)) => Ok(tensor),
            Some(Saved::Packed(map, None)) => map.unpack(),
            other => Err(unexpected("a tensor", &other)),
        }
    }

    /// Takes the map on top, as it was pushed.
    pub fn pop_lazy(&mut self) -> Result<Lazy> {
        match self.saved.pop() {
            Some(Saved::Tensor(tensor)) => Ok(Lazy::Plain(tensor)),
            Some(Saved::Lazy(map)) => Ok(map),
            Some(Saved::Packed(map, None)) => Ok(Lazy::Plain(map.unpack()?)),
            Some(Saved::Packed(map, Some(by))) => Ok(Lazy::Normalized(map.unpack()?, by)),
            other => Err(unexpected("a map", &other)),
        }
    }

    /// Takes what [`Tape::push_input`] kept.
    pub fn pop_input(&mut self) -> Result<Kept> {
        match self.saved.pop() {
            Some(Saved::Sum(summands)) => Ok(Kept::Sum(summands)),
            Some(Saved::Tensor(tensor)) => Ok(Kept::Map(tensor)),
            Some(Saved::Packed(map, None)) => Ok(Kept::Map(map.unpack()?)),
            other => Err(unexpected("a convolution's input", &other)),
        }
    }

    /// Takes the shape on top.
    pub fn pop_shape(&mut self) -> Result<Vec<usize>> {
        match self.saved.pop() {
            Some(Saved::Shape(shape)) => Ok(shape),
            other => Err(unexpected("a shape", &other)),
        }
    }

    /// From now on batch norm's statistics are what `whole` says; `None`: each share's own.
    pub(crate) fn gather(&mut self, whole: Option<WholeBatch>) {
        self.whole = whole;
    }

    /// Whether batch norm's statistics are those of several shares.
    pub(crate) fn gathers(&self) -> bool {
        self.whole.is_some()
    }

    /// A share of so many samples begins its pass.
    pub(crate) fn begin_pass(&mut self, share: usize) {
        if let Some(whole) = &mut self.whole {
            whole.begin_pass(share);
        }
    }

    /// Whether what comes later in this pass is of no use.
    pub(crate) fn is_enough(&self) -> bool {
        self.whole.as_ref().is_some_and(WholeBatch::is_enough)
    }

    /// All shares have passed; whether there was anything in it that had not been known.
    pub(crate) fn end_round(&mut self) -> Result<bool> {
        self.whole.as_mut().map_or(Ok(false), WholeBatch::end_round)
    }

    /// The statistics to normalize by, of an input whose own are `own`.
    pub(crate) fn statistics(&mut self, own: Statistics) -> Result<Statistics> {
        match &mut self.whole {
            Some(whole) => whole.statistics(own),
            None => Ok(own),
        }
    }

    /// The rows that these are of, where the input has `rows`.
    pub(crate) fn rows(&self, rows: usize) -> usize {
        self.whole.as_ref().map_or(rows, |whole| whole.rows(rows))
    }

    /// The sums that the gradient of an input needs whose own are `own`.
    pub(crate) fn sums<'a>(&mut self, own: &'a Sums) -> Cow<'a, Sums> {
        match &mut self.whole {
            Some(whole) => Cow::Owned(whole.sums(own)),
            None => Cow::Borrowed(own),
        }
    }

    /// How many things are on it.
    pub(crate) fn height(&self) -> usize {
        self.saved.len()
    }

    /// Forgets what came on top of the first `height` things.
    pub(crate) fn cut_back(&mut self, height: usize) {
        self.saved.truncate(height);
    }

    /// Whether backward has consumed everything that forward pushed.
    pub fn is_empty(&self) -> bool {
        self.saved.is_empty()
    }

    /// Forgets everything, as after an abandoned step.
    pub fn clear(&mut self) {
        self.saved.clear();
    }

    /// The same, after an error in the midst of a step.
    pub(crate) fn abandon(&mut self) {
        self.clear();
        self.whole = None;
    }
}

/// Whether tensors of so many dimensions are kept in fewer bits on a tape of this precision.
pub(crate) fn packs(precision: Precision, rank: usize) -> bool {
    precision != Precision::F32 && rank > 1
}

fn unexpected(wanted: &str, found: &Option<Saved>) -> Error {
    let found = match found {
        None => "nothing",
        Some(Saved::Tensor(_) | Saved::Packed(_, None)) => "a tensor",
        Some(Saved::Lazy(_) | Saved::Packed(_, Some(_))) => "a map to be normalized",
        Some(Saved::Sum(_)) => "a sum's summands",
        Some(Saved::Shape(_)) => "a shape",
    };
    Error::internal(format!("the tape holds {found} where backward expects {wanted}"))
}
