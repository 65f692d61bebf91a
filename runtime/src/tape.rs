//! What the forward pass leaves for the backward pass: a plain stack.

use crate::error::{Error, Result};
use crate::maps::Map;
use crate::maps::batch_norm::Statistics;
use crate::maps::counted::ledger::Part;
use crate::maps::map_read::{MapRead, Summands};
use crate::maps::norm::{Norm, NormSums};
use crate::maps::packed::{Packed, check_fits};
use crate::maps::place::Room;
use crate::maps::residual_sum;
use crate::precision::Precision;
use crate::whole_batch::WholeBatch;
use std::borrow::Cow;

/// One saved thing.
#[derive(Debug)]
pub enum Saved {
    /// An activation or statistic.
    Map(Map),
    /// An activation that whoever reads it normalizes.
    Read(MapRead),
    /// An activation in fewer bits, and what is to become of it.
    Packed(Packed, Option<Norm>),
    /// A residual sum that is made again from what is kept anyway.
    Sum(Summands),
    /// The shape of an input that itself need not be kept.
    Shape(Vec<usize>),
    /// The statistics that a batch norm went by.
    Statistics(Statistics),
}

/// What a convolution read, as it was kept.
#[derive(Debug)]
pub enum Kept {
    /// The map.
    Map(Map),
    /// What it can be made from.
    Sum(Summands),
}

impl Kept {
    /// The map.
    pub fn into_map(self) -> Result<Map> {
        match self {
            Self::Map(x) => Ok(x),
            Self::Sum(Summands { main, by, around, activation }) => {
                let (main, around) = (MapRead::Normalized(main, by), MapRead::Plain(around));
                Ok(residual_sum::add_activate(main, around, activation, false)?.0)
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
    /// Its list, which stays as long as it was.
    room: Room,
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

    /// Keeps what is of the place of `map`.
    fn save(&mut self, map: &Map, saved: Saved) {
        if self.forgets {
            return;
        }
        let places = self.saved.capacity();
        self.saved.push(saved);
        if self.saved.capacity() > places {
            self.room = Room::default();
            self.room = map.place().room(Part::Kept, self.saved.capacity() * size_of::<Saved>());
        }
    }

    /// Whether a map is kept in fewer bits: activations are, numbers of a channel and masks are not.
    fn packs(&self, tensor: &Map) -> bool {
        packs(self.precision, tensor.rank()) && !tensor.is_bytes()
    }

    /// The map in fewer bits, unless nothing is kept.
    fn pack(&mut self, tensor: &Map, by: Option<Norm>) -> Result<()> {
        if self.forgets {
            return check_fits(tensor, self.precision);
        }
        let packed = Packed::new(tensor, self.precision)?;
        self.save(tensor, Saved::Packed(packed, by));
        Ok(())
    }

    /// Keeps a map: its memory, which is shared and not copied, or what it is in fewer bits.
    ///
    /// # Errors
    /// Those of the device.
    pub fn push(&mut self, tensor: &Map) -> Result<()> {
        if self.packs(tensor) {
            return self.pack(tensor, None);
        }
        self.push_exactly(tensor);
        Ok(())
    }

    /// Keeps a map as it is whatever the precision, as tokens must be.
    pub fn push_exactly(&mut self, tensor: &Map) {
        tensor.label(Part::Kept);
        self.save(tensor, Saved::Map(tensor.clone()));
    }

    /// Keeps a map that may still have to be normalized.
    ///
    /// # Errors
    /// Those of the device.
    pub fn push_lazy(&mut self, map: MapRead) -> Result<()> {
        let (tensor, by) = match map {
            MapRead::Plain(tensor) | MapRead::Sum(tensor, _) => return self.push(&tensor),
            MapRead::Normalized(tensor, by) => (tensor, by),
        };
        if self.packs(&tensor) {
            return self.pack(&tensor, Some(by));
        }
        tensor.label(Part::Kept);
        self.save(&tensor, Saved::Read(MapRead::Normalized(tensor.clone(), by)));
        Ok(())
    }

    /// Keeps what a convolution reads: what `x` can be made from again, if that is known. In fewer bits `x` itself is
    /// smaller than what it is made from.
    ///
    /// # Errors
    /// Those of the device.
    pub fn push_input(&mut self, x: &Map, summands: Option<Summands>) -> Result<()> {
        match summands {
            Some(summands) if !self.packs(x) => {
                summands.main.label(Part::Kept);
                summands.around.label(Part::Kept);
                self.save(x, Saved::Sum(summands));
                Ok(())
            }
            _ => self.push(x),
        }
    }

    /// Keeps the shape of a map.
    pub fn push_shape(&mut self, tensor: &Map) {
        self.save(tensor, Saved::Shape(tensor.dims().to_vec()));
    }

    /// Keeps the statistics that a batch norm went by.
    pub fn push_statistics(&mut self, statistics: &Statistics) {
        statistics.mean.label(Part::Kept);
        statistics.variance.label(Part::Kept);
        self.save(&statistics.mean, Saved::Statistics(statistics.clone()));
    }

    /// Takes the map on top, which the caller then owns.
    pub fn pop(&mut self) -> Result<Map> {
        match self.saved.pop() {
            Some(Saved::Map(tensor)) => Ok(tensor),
            Some(Saved::Packed(map, None)) => map.unpack(),
            other => Err(unexpected("a tensor", &other)),
        }
    }

    /// Takes the map on top, as it was pushed.
    pub fn pop_lazy(&mut self) -> Result<MapRead> {
        match self.saved.pop() {
            Some(Saved::Map(tensor)) => Ok(MapRead::Plain(tensor)),
            Some(Saved::Read(map)) => Ok(map),
            Some(Saved::Packed(map, None)) => Ok(MapRead::Plain(map.unpack()?)),
            Some(Saved::Packed(map, Some(by))) => Ok(MapRead::Normalized(map.unpack()?, by)),
            other => Err(unexpected("a map", &other)),
        }
    }

    /// Takes what [`Tape::push_input`] kept.
    pub fn pop_input(&mut self) -> Result<Kept> {
        match self.saved.pop() {
            Some(Saved::Sum(summands)) => Ok(Kept::Sum(summands)),
            Some(Saved::Map(tensor)) => Ok(Kept::Map(tensor)),
            Some(Saved::Packed(map, None)) => Ok(Kept::Map(map.unpack()?)),
            other => Err(unexpected("a convolution's input", &other)),
        }
    }

    /// Takes the statistics on top.
    pub fn pop_statistics(&mut self) -> Result<Statistics> {
        match self.saved.pop() {
            Some(Saved::Statistics(statistics)) => Ok(statistics),
            other => Err(unexpected("statistics", &other)),
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
    pub(crate) fn sums<'a>(&mut self, own: &'a NormSums) -> Result<Cow<'a, NormSums>> {
        match &mut self.whole {
            Some(whole) => whole.sums(own).map(Cow::Owned),
            None => Ok(Cow::Borrowed(own)),
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

/// Whether maps of so many dimensions are kept in fewer bits on a tape of this precision.
pub(crate) fn packs(precision: Precision, rank: usize) -> bool {
    precision != Precision::F32 && rank > 1
}

fn unexpected(wanted: &str, found: &Option<Saved>) -> Error {
    let found = match found {
        None => "nothing",
        Some(Saved::Map(_) | Saved::Packed(_, None)) => "a tensor",
        Some(Saved::Read(_) | Saved::Packed(_, Some(_))) => "a map to be normalized",
        Some(Saved::Sum(_)) => "a sum's summands",
        Some(Saved::Shape(_)) => "a shape",
        Some(Saved::Statistics(_)) => "statistics",
    };
    Error::internal(format!("the tape holds {found} where backward expects {wanted}"))
}
