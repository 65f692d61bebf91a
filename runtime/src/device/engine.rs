//! A device that is open: its driver, the pool of its memory, and the one order of its launches. Whoever knows it knows no
//! driver.

use super::array::Array;
use super::deferred::Deferred;
use super::driver::Driver;
use super::idle::Idle;
use super::later::{LaterKind, Waiting};
use super::launch::Launch;
use super::launches::conv::Read;
use super::launches::update::{ARRAYS, sum_splits};
use super::pool::{Given, Pool, Requests};
use super::table::all::Class;
use super::table::body::Element;
use crate::error::{Error, Result};
use crate::kernels::conv::Geometry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use super::pool::{Launched, Usage};

/// An open device. Clones are the same one.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    class: Class,
    finishes: bool,
    work: Mutex<Box<dyn Requests>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shared.name)
    }
}

/// What a slot of a kernel is given.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// Nothing, as the kernel's flags say that it does not look.
    Nothing,
    /// All elements of an array, in the order in which they lie.
    Array(&'a Array),
    /// Words that are the same in each step: they are uploaded once and stay.
    Table(&'a [u32]),
    /// The same of floats.
    Floats(&'a [f32]),
}

impl<'a> From<&'a Array> for Operand<'a> {
    fn from(array: &'a Array) -> Self {
        Self::Array(array)
    }
}

impl<'a> From<Option<&'a Array>> for Operand<'a> {
    fn from(array: Option<&'a Array>) -> Self {
        array.map_or(Self::Nothing, Self::Array)
    }
}

impl Engine {
    /// What `driver` opened, under the name that errors and reports call it; `class` says which kernels it runs.
    pub fn new(name: impl Into<String>, driver: impl Driver, class: Class) -> Self {
        let finishes = driver.shows_writes();
        let work: Mutex<Box<dyn Requests>> = Mutex::new(Box::new(Pool::new(driver)));
        Self { shared: Arc::new(Shared { name: name.into(), class, finishes, work }) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Which kernels it runs.
    pub fn class(&self) -> Class {
        self.shared.class
    }

    /// Whether launches finish the parts that they make.
    pub(super) fn finishes(&self) -> bool {
        self.shared.finishes
    }

    /// Whether both are one device.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(super) fn work(&self) -> MutexGuard<'_, Box<dyn Requests>> {
        self.shared.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a launch behind those before it, with an operand for each slot of its kernel.
    ///
    /// # Errors
    /// `Internal` where operands do not fit, and those of the device.
    pub fn launch(&self, launch: &Launch, operands: &[Operand<'_>]) -> Result<()> {
        // Where arrays lie is looked up while nobody else can give a block back.
        let mut work = self.work();
        let given = self.given(operands)?;
        work.launch(launch, given)
    }

    fn given(&self, operands: &[Operand<'_>]) -> Result<Vec<Given>> {
        let given = |operand: &Operand<'_>| match operand {
            Operand::Nothing => Ok(Given::Nothing),
            Operand::Table(words) => Ok(Given::Table(Element::U32, words.to_vec())),
            Operand::Floats(floats) => {
                Ok(Given::Table(Element::F32, floats.iter().map(|float| float.to_bits()).collect()))
            }
            Operand::Array(array) if !array.engine().is(self) => {
                Err(Error::internal("a launch got arrays of two devices"))
            }
            Operand::Array(array) if array.splits() > 1 => {
                Err(Error::internal("a launch got splits of an array that are yet to be added"))
            }
            Operand::Array(array) => Ok(Given::Span(array.span())),
        };
        operands.iter().map(given).collect()
    }

    /// Lets a launch of the gradient of a convolution's input, which is no depthwise one, or of both gradients wait for what else
    /// becomes of it: the next launch of any kind begins it.
    ///
    /// # Errors
    /// As [`Engine::launch`].
    pub(super) fn defer(
        &self,
        geometry: &Geometry,
        (read, flags, makes_both): (Read, u32, bool),
        operands: &[Operand<'_>],
    ) -> Result<()> {
        let mut work = self.work();
        let (given, class) = (self.given(operands)?, self.class());
        work.defer(Deferred {
            geometry: *geometry,
            read,
            flags,
            class,
            makes_both,
            given,
            given_back: vec![],
        })
    }

    /// Whether `d` will be masked by the launch that makes it.
    pub(super) fn masks(&self, d: &Array, mask: &Array) -> bool {
        d.splits() == 1 && mask.splits() == 1 && self.work().mask(d.span(), mask.span())
    }

    /// Does this to the arrays in an order that nobody can tell from the one in which it was asked for: see [`later`](super::later).
    /// Those that are there have as many elements, the gradient as often as it has splits; which they are
    /// [`ARRAYS`] says.
    ///
    /// # Errors
    /// `Internal` where there are none, or of another device, and those of the device.
    pub(super) fn later(&self, kind: LaterKind, factor: f32, arrays: [Option<&Array>; ARRAYS]) -> Result<()> {
        if arrays.iter().flatten().any(|array| !array.engine().is(self)) {
            return Err(Error::internal("an update got arrays of two devices"));
        }
        let len = arrays.iter().flatten().map(|array| array.len()).min().unwrap_or(0);
        if len == 0 {
            return Ok(());
        }
        let mut work = self.work();
        work.later(Waiting { kind, factor, arrays: arrays.map(|array| array.map(Array::span)), len })
    }

    /// Makes `sum` of the splits of an array.
    pub(super) fn sum_splits(&self, of: &Array, sum: &Array, splits: usize) -> Result<()> {
        let given = [of, sum].map(|array| Given::Span(array.span()));
        self.work().launch(&sum_splits(sum.len(), splits)?, given.into())
    }

    /// Launches what waits for its like.
    ///
    /// # Errors
    /// Those of the device.
    pub fn settle(&self) -> Result<()> {
        self.work().settle()
    }

    /// Waits for all launches.
    ///
    /// # Errors
    /// Those of the device.
    pub fn wait(&self) -> Result<()> {
        self.work().wait()
    }

    /// How much of its memory is in use.
    pub fn usage(&self) -> Usage {
        self.work().usage()
    }

    /// Bytes of its memory that nobody else has and no array here is in, where that can be told.
    pub fn free_bytes(&self) -> Option<usize> {
        self.work().free_bytes()
    }

    /// How hot it is, in degrees Celsius.
    ///
    /// # Errors
    /// `Device`, with the reason, where that is not told.
    pub fn celsius(&self) -> Result<f64> {
        self.work().celsius()
    }

    /// Lets the most that was in use begin again at what is.
    pub fn reset_peak(&self) {
        self.work().reset_peak();
    }

    /// What was launched since somebody last asked.
    pub fn take_launched(&self) -> Launched {
        std::mem::take(self.work().launched())
    }

    /// Allows `bytes` of its memory, what waits for its next user included. More is an error of the kind `Memory` for whoever
    /// asks for it.
    ///
    /// # Errors
    /// Those of the device.
    pub fn limit(&self, bytes: usize) -> Result<()> {
        self.work().limit(bytes)
    }

    /// Past so many bytes what was given back goes to the driver, and does not wait for who asks for as many.
    ///
    /// # Errors
    /// Those of the device.
    pub fn keep(&self, bytes: usize) -> Result<()> {
        self.work().keep(bytes)
    }

    /// A device like it that does nothing, so that what would be done on this one can be counted: its launches, and its memory
    /// to the byte.
    #[must_use]
    pub fn rehearsal(&self) -> Self {
        Self::new(self.name(), Idle { shows_writes: self.finishes(), ..Idle::default() }, self.class())
    }

    pub(super) fn block(&self, element: Element, len: usize) -> Result<Block> {
        let number = self.work().take(element, len)?;
        Ok(Block { engine: self.clone(), number })
    }
}

/// A block of a device's memory, which goes back to the pool with its last user.
#[derive(Debug)]
pub(super) struct Block {
    engine: Engine,
    pub(super) number: u64,
}

impl Drop for Block {
    fn drop(&mut self) {
        self.engine.work().give(self.number);
    }
}
