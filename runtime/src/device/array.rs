//! Numbers in a shape, in a device's memory.

use super::engine::{Block, Engine, Operand};
use super::launches::reorder::reversed;
use super::pool::Span;
use super::table::body::Element;
use crate::error::{Error, Result};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most dimensions.
const MOST_DIMS: usize = 4;

type Dims = heapless::Vec<usize, MOST_DIMS>;

/// How the elements of an array lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As its shape says, the last dimension innermost.
    Rows,
    /// As kernels read the weight `[O, I, ..]` of a convolution in groups, or of a linear layer: `[G, .., I, O]`, I and O those of
    /// a group; depthwise `[.., O]`.
    Filters {
        /// The groups.
        groups: usize,
    },
}

/// Numbers (f32, or bytes and words beside them) in a shape. Clones and views share their memory, whose elements lie one after
/// the other.
#[derive(Clone, Debug)]
pub struct Array {
    engine: Engine,
    element: Element,
    lying: Arc<Mutex<Lying>>,
    first: usize,
    dims: Dims,
}

/// Where the elements are, and in which order: clones follow when a weight [settles](Array::settled).
#[derive(Debug)]
struct Lying {
    block: Arc<Block>,
    order: Order,
    /// More than 1: so many arrays of these elements, one after the other, whose sum it is.
    splits: usize,
}

impl Lying {
    fn at(block: Arc<Block>, order: Order) -> Self {
        Self { block, order, splits: 1 }
    }
}

impl Array {
    /// One whose elements are yet to be written.
    ///
    /// # Errors
    /// `Memory` where there is no room, `Shape` for more than 4 dimensions.
    pub fn empty(engine: &Engine, element: Element, dims: &[usize]) -> Result<Self> {
        let len = dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        let len = len.ok_or_else(|| Error::shape(format!("a map of {dims:?} is too large")))?;
        let dims = sizes(dims)?;
        let lying = Lying::at(Arc::new(engine.block(element, len)?), Order::Rows);
        Ok(Self { engine: engine.clone(), element, lying: Arc::new(Mutex::new(lying)), first: 0, dims })
    }

    fn lying(&self) -> MutexGuard<'_, Lying> {
        self.lying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same numbers as an array of their own in the same memory, laid out as their shape says.
    fn view(&self) -> Result<Self> {
        let rows = self.ordered(Order::Rows)?;
        let lying = Lying::at(rows.lying().block.clone(), Order::Rows);
        Ok(Self { lying: Arc::new(Mutex::new(lying)), ..rows })
    }

    /// Its numbers brought to the device.
    ///
    /// # Errors
    /// Those of [`Array::empty`], and `Internal` where there are not as many as the shape says.
    pub fn of_floats(engine: &Engine, numbers: &[f32], dims: &[usize]) -> Result<Self> {
        let mut bytes = vec![0; size_of_val(numbers)];
        for (to, number) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(numbers) {
            *to = number.to_ne_bytes();
        }
        Self::uploaded(engine, Element::F32, &bytes, dims)
    }

    /// Words.
    ///
    /// # Errors
    /// As [`Array::of_floats`].
    pub fn of_words(engine: &Engine, words: &[u32]) -> Result<Self> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        Self::uploaded(engine, Element::U32, &bytes, &[words.len()])
    }

    /// Bytes.
    ///
    /// # Errors
    /// As [`Array::of_floats`].
    pub fn of_bytes(engine: &Engine, bytes: &[u8], dims: &[usize]) -> Result<Self> {
        Self::uploaded(engine, Element::U8, bytes, dims)
    }

    fn uploaded(engine: &Engine, element: Element, bytes: &[u8], dims: &[usize]) -> Result<Self> {
        let array = Self::empty(engine, element, dims)?;
        if bytes.len() != array.len() * element.bytes() {
            return Err(Error::internal(format!("{} bytes are no {element:?} of {dims:?}", bytes.len())));
        }
        engine.work().upload(array.span(), bytes)?;
        Ok(array)
    }

    /// Its numbers as its shape says, brought to the host when all launches before have ended.
    ///
    /// # Errors
    /// Those of the device, and `Internal` for what is no f32.
    pub fn floats(&self) -> Result<Vec<f32>> {
        if self.element() != Element::F32 {
            return Err(Error::internal(format!("{:?} were asked for as f32", self.element())));
        }
        let bytes = self.ordered(Order::Rows)?.downloaded()?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|&number| f32::from_ne_bytes(number)).collect())
    }

    /// The same of bytes.
    ///
    /// # Errors
    /// Those of the device, and `Internal` for what is no byte.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        if self.element() != Element::U8 {
            return Err(Error::internal(format!("{:?} were asked for as bytes", self.element())));
        }
        self.downloaded()
    }

    fn downloaded(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.len() * self.element().bytes()];
        self.engine.work().download(self.span(), &mut bytes)?;
        Ok(bytes)
    }

    /// Its shape.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What its elements are.
    pub fn element(&self) -> Element {
        self.element
    }

    /// Where it is.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How its elements lie.
    pub fn order(&self) -> Order {
        self.lying().order
    }

    pub(super) fn span(&self) -> Span {
        let lying = self.lying();
        Span { block: lying.block.number, first: self.first, len: self.len() * lying.splits }
    }

    /// How many arrays its sum is yet to be made of; 1 where it is made.
    pub(super) fn splits(&self) -> usize {
        self.lying().splits
    }

    /// The sum of so many arrays of `dims` that lie one after the other in `splits`, made when it is needed.
    pub(super) fn sum_of(splits: &Self, count: usize, dims: &[usize]) -> Result<Self> {
        let lying = Lying { block: splits.lying().block.clone(), order: Order::Rows, splits: count };
        Ok(Self { dims: sizes(dims)?, lying: Arc::new(Mutex::new(lying)), ..splits.clone() })
    }

    /// Itself, when its sum is made, as it is for all clones.
    fn summed(&self) -> Result<Self> {
        let (splits, order) = (self.splits(), self.order());
        if splits > 1 {
            let sum = Self::empty(&self.engine, self.element, &self.dims)?;
            self.engine.sum_splits(self, &sum, splits)?;
            let lying = Lying::at(sum.lying().block.clone(), order);
            let before = std::mem::replace(&mut *self.lying(), lying);
            drop(before);
        }
        Ok(self.clone())
    }

    /// Whether two lie in one block.
    pub fn shares_memory(&self, other: &Self) -> bool {
        let block = self.lying().block.clone();
        Arc::ptr_eq(&block, &other.lying().block)
    }

    /// The same numbers in another shape, without a copy where they lie as their shape says.
    ///
    /// # Errors
    /// `Shape` where the number of elements differs.
    pub fn reshape(&self, dims: &[usize]) -> Result<Self> {
        if dims.iter().product::<usize>() != self.len() {
            return Err(Error::shape(format!("{:?} cannot become {dims:?}", self.dims())));
        }
        Ok(Self { dims: sizes(dims)?, ..self.view()? })
    }

    /// Some of the first dimension, without a copy.
    ///
    /// # Errors
    /// `Shape` where there are fewer.
    pub fn samples(&self, first: usize, count: usize) -> Result<Self> {
        let mut part = self.view()?;
        let each: usize = part.dims.iter().skip(1).product();
        match part.dims.first_mut() {
            Some(samples) if first.checked_add(count).is_some_and(|end| end <= *samples) => *samples = count,
            _ => {
                let dims = self.dims();
                return Err(Error::shape(format!("{dims:?} has no {count} samples from {first} on")));
            }
        }
        part.first += first * each;
        Ok(part)
    }

    /// A copy that shares nothing with it, in the same order.
    ///
    /// # Errors
    /// Those of the device.
    pub fn copy(&self) -> Result<Self> {
        let copy = Self::empty(&self.engine, self.element, &self.dims)?;
        copy.write(0, &self.summed()?)?;
        Ok(copy.lies(self.order()))
    }

    /// Copies all elements of `from` to those from `first` on.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) fn write(&self, first: usize, from: &Self) -> Result<()> {
        if from.is_empty() {
            return Ok(());
        }
        let to = Span { first: self.first + first, len: from.len(), ..self.span() };
        self.engine.work().copy(to, from.span())
    }

    /// Arrays one after the other along the first dimension.
    ///
    /// # Errors
    /// `Shape` where their other sizes differ.
    pub fn cat(parts: &[&Self]) -> Result<Self> {
        let Some(first) = parts.first() else { return Err(Error::internal("no maps were put together")) };
        let mut dims = first.dims.clone();
        let others = dims.get(1..).unwrap_or_default().to_vec();
        if let Some(samples) = dims.first_mut() {
            *samples = 0;
        }
        for part in parts {
            let [count, sizes @ ..] = part.dims() else {
                return Err(Error::shape("a number has no samples"));
            };
            if *sizes != others[..] || !part.engine().is(first.engine()) {
                let (dims, other) = (first.dims(), part.dims());
                return Err(Error::shape(format!("{dims:?} and {other:?} cannot follow each other")));
            }
            dims[0] += count;
        }
        let (all, mut at) = (Self::empty(first.engine(), first.element(), &dims)?, 0);
        for part in parts {
            let part = part.ordered(Order::Rows)?;
            all.write(at, &part)?;
            at += part.len();
        }
        Ok(all)
    }

    /// The same, told that its elements lie in this order.
    pub(super) fn lies(self, order: Order) -> Self {
        self.lying().order = order;
        self
    }

    /// The same in this order, its sum perhaps yet to be made.
    pub(super) fn in_order(&self, order: Order) -> Result<Self> {
        if self.order() == order { Ok(self.clone()) } else { self.ordered(order) }
    }

    /// Itself, or its numbers in another order.
    ///
    /// # Errors
    /// `Internal` for what is no weight.
    pub fn ordered(&self, order: Order) -> Result<Self> {
        if self.splits() > 1 {
            return self.summed()?.ordered(order);
        }
        let (groups, is_back) = match (self.order(), order) {
            (here, there) if here == there => return Ok(self.clone()),
            (Order::Rows, Order::Filters { groups }) => (groups, false),
            (Order::Filters { groups }, Order::Rows) => (groups, true),
            _ => return self.ordered(Order::Rows)?.ordered(order),
        };
        let [taps, inputs, outputs] = filters(&self.dims, groups)?;
        let sizes = if is_back { [outputs, inputs, taps] } else { [taps, inputs, outputs] };
        let to = Self::empty(&self.engine, self.element, &self.dims)?.lies(order);
        self.engine.launch(&reversed(self.len(), sizes)?, &[Operand::from(self), Operand::from(&to)])?;
        Ok(to)
    }

    /// Itself in this order, which it keeps from then on, and with it all clones: what is read in the same order in each step
    /// is turned once. Where views share its memory, they are spared, and the answer is a copy.
    ///
    /// # Errors
    /// As [`Array::ordered`].
    pub fn settled(&self, order: Order) -> Result<Self> {
        if self.order() == order {
            return Ok(self.clone());
        }
        let turned = self.ordered(order)?;
        let block = turned.lying().block.clone();
        let mut here = self.lying();
        if Arc::strong_count(&here.block) > 1 {
            return Ok(turned);
        }
        let before = std::mem::replace(&mut *here, Lying::at(block, order));
        // A block that goes back waits for launches, and those for this lock.
        drop(here);
        drop(before);
        Ok(self.clone())
    }
}

fn sizes(dims: &[usize]) -> Result<Dims> {
    Dims::from_slice(dims)
        .map_err(|_| Error::shape(format!("a map has at most {MOST_DIMS} dimensions, not {dims:?}")))
}

/// Taps, inputs and outputs of a group of the weight `[O, I, ..]`. Where each channel has a filter of its own, all lie as one
/// group of a single input.
fn filters(dims: &[usize], groups: usize) -> Result<[usize; 3]> {
    match *dims {
        [outputs, inputs, ref taps @ ..] if groups > 0 && outputs.is_multiple_of(groups) => {
            let is_depthwise = inputs == 1 && outputs == groups;
            Ok([taps.iter().product(), inputs, if is_depthwise { outputs } else { outputs / groups }])
        }
        _ => Err(Error::internal(format!("{dims:?} is no weight in {groups} groups"))),
    }
}
