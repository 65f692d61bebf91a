//! Where maps are, and how an operation is carried out there. Nothing else decides that.

use super::counted::counter::{ELEMENT_BYTES, MAP_BYTES};
use super::counted::ledger::{Held, Part};
use super::counted::{Counter, Memory, Outline};
use super::loss::Loss;
use super::map::{Map, sizes};
#[cfg(feature = "device")]
use super::on_device::{no_kernel, uploaded};
#[cfg(feature = "device")]
use crate::device::engine::Engine;
use crate::error::{Error, Result};
use crate::memory;
use candle_core::{Device, Tensor};
use std::cell::Cell;
use std::sync::Arc;

/// Where maps are.
#[derive(Clone, Debug)]
pub enum Place {
    /// In memory, for our kernels.
    Host,
    /// On a device with kernels of our own.
    #[cfg(feature = "device")]
    Device(Engine),
    /// Nowhere: operations count what they would do and what memory it would take.
    Counted(Arc<Counter>),
}

impl From<&Device> for Place {
    /// Of candle's devices the CPU alone is one of maps; others are opened by name.
    fn from(_: &Device) -> Self {
        Self::Host
    }
}

#[cfg(feature = "device")]
impl From<Engine> for Place {
    fn from(engine: Engine) -> Self {
        Self::Device(engine)
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Self {
        place.clone()
    }
}

impl Place {
    /// Whether maps are in the memory of the process, or are counted as if they were.
    pub fn is_host(&self) -> bool {
        matches!(self, Self::Host | Self::Counted(_))
    }

    /// Whether nothing is computed.
    pub fn is_counted(&self) -> bool {
        matches!(self, Self::Counted(_))
    }

    /// A tensor on the CPU as a map here.
    ///
    /// # Errors
    /// Those of the device, and of more than 4 dimensions.
    pub fn map(&self, tensor: Tensor) -> Result<Map> {
        match self {
            Self::Host => Ok(Map::Host(tensor.to_device(&Device::Cpu)?)),
            #[cfg(feature = "device")]
            Self::Device(engine) => uploaded(engine, &tensor),
            Self::Counted(_) => self.empty(tensor.dims()),
        }
    }

    /// What `make` makes on the host, as a map here; where maps are counted it is not asked.
    ///
    /// # Errors
    /// Its own, and those of the device.
    pub fn made(&self, dims: &[usize], make: impl FnOnce() -> Result<Map>) -> Result<Map> {
        if self.is_counted() { self.empty(dims) } else { make()?.to(self) }
    }

    /// A map of `value` alone.
    ///
    /// # Errors
    /// Those of the device.
    pub fn full(&self, dims: &[usize], value: f32) -> Result<Map> {
        self.made(dims, || {
            // Zeroed memory is had for nothing.
            let count = dims.iter().product();
            let numbers = if value == 0.0 { vec![0.0; count] } else { vec![value; count] };
            Map::new(numbers, dims)
        })
    }

    /// A map whose elements are yet to be written, which only a counted one can be.
    pub(super) fn empty(&self, dims: &[usize]) -> Result<Map> {
        self.outline(dims, false)
    }

    fn outline(&self, dims: &[usize], bytes: bool) -> Result<Map> {
        let Self::Counted(counter) = self else {
            return Err(Error::internal("a map without numbers was asked for where maps have some"));
        };
        Ok(Map::Counted(Arc::new(outline(counter, dims, bytes)?)))
    }

    /// Who counts, where maps are counted.
    pub(crate) fn counter(&self) -> Option<&Arc<Counter>> {
        match self {
            Self::Counted(counter) => Some(counter),
            _ => None,
        }
    }

    /// Refuses to go on where memory is past its limit: that of the process, or of what is counted.
    ///
    /// # Errors
    /// `Memory`.
    pub(crate) fn check_memory(&self) -> Result<()> {
        match self {
            Self::Counted(counter) => counter.check(),
            #[cfg(feature = "device")]
            Self::Device(engine) => {
                engine.settle()?;
                memory::check()
            }
            _ => memory::check(),
        }
    }

    /// Memory beside maps that is held until this is dropped, which only who counts must be told.
    pub(crate) fn room(&self, part: Part, bytes: usize) -> Room {
        match self {
            Self::Counted(counter) => Room { _held: Some(Arc::new(counter.ledger.take(part, bytes))) },
            _ => Room::default(),
        }
    }
}

/// Memory beside maps, as far as anyone counts it.
#[derive(Clone, Debug, Default)]
pub struct Room {
    _held: Option<Arc<Held>>,
}

fn outline(counter: &Arc<Counter>, dims: &[usize], bytes: bool) -> Result<Outline> {
    let each = if bytes { 1 } else { ELEMENT_BYTES };
    let elements = dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let taken = elements.and_then(|count| count.checked_mul(each)?.checked_add(MAP_BYTES));
    let taken =
        taken.ok_or_else(|| Error::config(format!("a map of {dims:?} is too large to be counted")))?;
    let memory = Memory::Own(counter.ledger.take(Part::Passing, taken));
    counter.ledger.made(taken - MAP_BYTES);
    counter.check()?;
    Ok(Outline { dims: sizes(dims)?, bytes, memory, counter: counter.clone() })
}

/// A new map of the shape `dims` from maps at the place of `like`: by a kernel of the host, or counted.
#[inline]
pub(super) fn make(
    like: &Map,
    dims: &[usize],
    host: impl FnOnce() -> Result<Tensor>,
    count: impl FnOnce(&Counter),
) -> Result<Map> {
    match like {
        Map::Host(_) => host().map(Map::Host),
        #[cfg(feature = "device")]
        Map::Device(_) => Err(no_kernel()),
        Map::Counted(x) => {
            let made = outline(&x.counter, dims, false)?;
            count(&x.counter);
            Ok(Map::Counted(Arc::new(made)))
        }
    }
}

/// [`make`] of a map and one of bytes beside it.
#[inline]
pub(super) fn make_with_bytes(
    like: &Map,
    (dims, byte_dims): (&[usize], &[usize]),
    host: impl FnOnce() -> Result<(Tensor, Tensor)>,
    count: impl FnOnce(&Counter),
) -> Result<(Map, Map)> {
    match like {
        Map::Host(_) => host().map(|(y, bytes)| (Map::Host(y), Map::Host(bytes))),
        #[cfg(feature = "device")]
        Map::Device(_) => Err(no_kernel()),
        Map::Counted(x) => {
            let made = (outline(&x.counter, dims, false)?, outline(&x.counter, byte_dims, true)?);
            count(&x.counter);
            Ok((Map::Counted(Arc::new(made.0)), Map::Counted(Arc::new(made.1))))
        }
    }
}

/// A new map of bytes; see [`make`].
#[inline]
pub(super) fn make_bytes(
    like: &Map,
    dims: &[usize],
    host: impl FnOnce() -> Result<Tensor>,
    count: impl FnOnce(&Counter),
) -> Result<Map> {
    if let Map::Counted(x) = like {
        let made = outline(&x.counter, dims, true)?;
        count(&x.counter);
        return Ok(Map::Counted(Arc::new(made)));
    }
    make(like, dims, host, |_| ())
}

/// `x`, changed where it is.
#[inline]
pub(super) fn change(
    x: Map,
    host: impl FnOnce(&Tensor) -> Result<()>,
    count: impl FnOnce(&Counter),
) -> Result<Map> {
    match &x {
        Map::Host(tensor) => host(tensor)?,
        #[cfg(feature = "device")]
        Map::Device(_) => return Err(no_kernel()),
        Map::Counted(outline) => count(&outline.counter),
    }
    Ok(x)
}

/// The loss of `x` and its gradient, of its shape; 1 where maps are counted, so that training goes on.
#[inline]
pub(super) fn loss(
    x: &Map,
    host: impl FnOnce() -> Result<(f64, Tensor)>,
    count: impl FnOnce(&Counter),
) -> Result<Loss> {
    let value = Cell::new(1.0);
    let told = |(found, d_input): (f64, Tensor)| {
        value.set(found);
        d_input
    };
    let d_input = make(x, x.dims(), || host().map(told), count)?;
    Ok(Loss { value: value.get(), d_input })
}

/// A number that is read off maps at the place of `like`; who counts answers `counted`.
#[inline]
pub(crate) fn read<T>(
    like: &Map,
    host: impl FnOnce() -> Result<T>,
    counted: impl FnOnce(&Counter) -> T,
) -> Result<T> {
    match like {
        Map::Host(_) => host(),
        #[cfg(feature = "device")]
        Map::Device(_) => Err(no_kernel()),
        Map::Counted(x) => Ok(counted(&x.counter)),
    }
}

/// What the host makes of the numbers of `x`, wherever they are; who counts answers `counted`.
pub(crate) fn of_numbers<T>(
    x: &Map,
    make: impl FnOnce(&[f32]) -> T,
    counted: impl FnOnce() -> T,
) -> Result<T> {
    match x {
        Map::Counted(_) => Ok(counted()),
        _ => Ok(make(&x.numbers()?)),
    }
}

/// The error of an operation whose maps are not all at one place.
pub(super) fn apart() -> Error {
    Error::internal("maps of one operation are in different places")
}
