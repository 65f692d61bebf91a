//! A map: numbers in a shape, wherever they are.

use super::counted::ledger::Part;
use super::counted::{Dims, Outline};
use super::place::Place;
#[cfg(feature = "device")]
use crate::device::{array::Array, table::body::Element};
use crate::error::{Error, Result};
use candle_core::{DType, Shape, Tensor};
use half::{bf16, f16};
use safetensors::Dtype;
use std::sync::Arc;

/// Numbers in a shape: activations, weights, gradients (f32), and masks and positions (u8). Clones share their memory.
///
/// An operation on maps is carried out where its maps are; nothing above this module knows where that is.
#[derive(Clone, Debug)]
pub enum Map {
    /// In memory, for our kernels.
    Host(Tensor),
    /// In a device's memory, for its kernels.
    #[cfg(feature = "device")]
    Device(Array),
    /// Nowhere: what counts instead of computing.
    Counted(Arc<Outline>),
}

impl From<Tensor> for Map {
    /// The tensor is on the CPU.
    fn from(tensor: Tensor) -> Self {
        Self::Host(tensor)
    }
}

impl Map {
    /// A map on the host, which takes over `numbers` without a copy.
    ///
    /// # Errors
    /// Where there are not as many as the shape says.
    pub fn new(numbers: Vec<f32>, dims: impl Into<Shape>) -> Result<Self> {
        super::slices::tensor(numbers, dims).map(Self::Host)
    }

    /// A map on the host of f32, from the little-endian bytes of a file, whose numbers are rounded to that; none for what
    /// is no floating point.
    ///
    /// # Errors
    /// Where there are not as many bytes as the shape says.
    pub fn of_bytes(bytes: &[u8], format: Dtype, dims: &[usize]) -> Result<Option<Self>> {
        let numbers = match format {
            Dtype::F32 => each(bytes, f32::from_le_bytes),
            Dtype::F16 => each(bytes, |of| f16::from_le_bytes(of).to_f32()),
            Dtype::BF16 => each(bytes, |of| bf16::from_le_bytes(of).to_f32()),
            Dtype::F64 => each(bytes, |of| f64::from_le_bytes(of) as f32),
            _ => return Ok(None),
        };
        Self::new(numbers, dims).map(Some)
    }

    /// Its shape.
    pub fn dims(&self) -> &[usize] {
        match self {
            Self::Host(x) => x.dims(),
            #[cfg(feature = "device")]
            Self::Device(x) => x.dims(),
            Self::Counted(x) => &x.dims,
        }
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.dims().len()
    }

    /// Number of elements.
    pub fn elem_count(&self) -> usize {
        match self {
            Self::Host(x) => x.elem_count(),
            #[cfg(feature = "device")]
            Self::Device(x) => x.len(),
            Self::Counted(x) => x.elements(),
        }
    }

    /// Whether its elements are bytes.
    pub fn is_bytes(&self) -> bool {
        match self {
            Self::Host(x) => x.dtype() == DType::U8,
            #[cfg(feature = "device")]
            Self::Device(x) => are_bytes(x),
            Self::Counted(x) => x.bytes,
        }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        match self {
            Self::Host(_) => Place::Host,
            #[cfg(feature = "device")]
            Self::Device(x) => Place::Device(x.engine().clone()),
            Self::Counted(x) => Place::Counted(x.counter.clone()),
        }
    }

    /// The tensor that it is.
    ///
    /// # Errors
    /// `Internal` for a map that only counts, or is an array of a device.
    pub fn tensor(&self) -> Result<&Tensor> {
        match self {
            Self::Host(x) => Ok(x),
            #[cfg(feature = "device")]
            Self::Device(_) => Err(Error::internal("a map on a device was asked for as a tensor")),
            Self::Counted(_) => Err(Error::internal("the numbers of a map were asked for that has none")),
        }
    }

    /// Its numbers, brought to the host if need be: the one way to look at them.
    ///
    /// # Errors
    /// Those of the device, and `Internal` for a map that only counts.
    pub fn numbers(&self) -> Result<Vec<f32>> {
        #[cfg(feature = "device")]
        if let Self::Device(x) = self {
            return x.floats();
        }
        Ok(self.tensor()?.flatten_all()?.to_vec1()?)
    }

    /// The same map at another place, moved or copied if it is not there already.
    ///
    /// # Errors
    /// Those of the device.
    pub fn to(&self, place: &Place) -> Result<Self> {
        match (self, place) {
            (Self::Host(_), Place::Host) | (Self::Counted(_), Place::Counted(_)) => Ok(self.clone()),
            #[cfg(feature = "device")]
            (Self::Device(x), Place::Device(engine)) if x.engine().is(engine) => Ok(self.clone()),
            #[cfg(feature = "device")]
            (Self::Device(x), _) => place.map(super::on_device::downloaded(x)?),
            _ => place.map(self.tensor()?.clone()),
        }
    }

    /// The same numbers in another shape, without a copy.
    ///
    /// # Errors
    /// `Shape` where the number of elements differs.
    pub fn reshape(&self, dims: impl Into<Shape>) -> Result<Self> {
        let dims = dims.into();
        match self {
            Self::Host(x) => Ok(Self::Host(x.reshape(dims)?)),
            #[cfg(feature = "device")]
            Self::Device(x) => x.reshape(dims.dims()).map(Self::Device),
            Self::Counted(x) if dims.elem_count() == x.elements() => {
                Ok(Self::Counted(Arc::new(x.view(sizes(dims.dims())?))))
            }
            Self::Counted(x) => {
                Err(Error::shape(format!("{:?} cannot become {:?}", &x.dims[..], dims.dims())))
            }
        }
    }

    /// Some of the first dimension, without a copy.
    ///
    /// # Errors
    /// `Shape` where there are fewer.
    pub fn samples(&self, first: usize, count: usize) -> Result<Self> {
        match self {
            Self::Host(x) => Ok(Self::Host(x.narrow(0, first, count)?)),
            #[cfg(feature = "device")]
            Self::Device(x) => x.samples(first, count).map(Self::Device),
            Self::Counted(x) => {
                let mut dims = x.dims.clone();
                match dims.first_mut() {
                    Some(samples) if first + count <= *samples => *samples = count,
                    _ => {
                        return Err(Error::shape(format!(
                            "{:?} has no {count} samples from {first} on",
                            &dims[..]
                        )));
                    }
                }
                Ok(Self::Counted(Arc::new(x.view(dims))))
            }
        }
    }

    /// Maps one after the other along the first dimension.
    ///
    /// # Errors
    /// `Shape` where their other sizes differ.
    pub fn cat(parts: &[Self]) -> Result<Self> {
        let Some(first) = parts.first() else { return Err(Error::internal("no maps were put together")) };
        #[cfg(feature = "device")]
        if let Self::Device(_) = first {
            return Array::cat(&parts.iter().map(Self::array).collect::<Result<Vec<_>>>()?).map(Self::Device);
        }
        let Self::Counted(x) = first else {
            let tensors = parts.iter().map(Self::tensor).collect::<Result<Vec<_>>>()?;
            return Ok(Self::Host(Tensor::cat(&tensors, 0)?));
        };
        let samples = parts.iter().filter_map(|part| part.dims().first()).sum();
        let mut dims = x.dims.clone();
        if let Some(first) = dims.first_mut() {
            *first = samples;
        }
        let all = first.place().empty(&dims)?;
        x.counter.sweep(2 * all.elem_count());
        Ok(all)
    }

    /// A copy that shares nothing with it, and holds nothing but what it shows.
    ///
    /// # Errors
    /// Those of the device.
    pub fn copy(&self) -> Result<Self> {
        match self {
            Self::Host(x) => Ok(Self::Host(x.force_contiguous()?)),
            #[cfg(feature = "device")]
            Self::Device(x) => x.copy().map(Self::Device),
            Self::Counted(x) => self.place().empty(&x.dims),
        }
    }

    /// Itself, or a copy whose elements lie one after the other.
    ///
    /// # Errors
    /// Those of the device.
    pub fn contiguous(self) -> Result<Self> {
        match &self {
            Self::Host(x) if !x.is_contiguous() => Ok(Self::Host(x.contiguous()?)),
            #[cfg(feature = "device")]
            Self::Device(x) => x.ordered(x.order()).map(Self::Device),
            _ => Ok(self),
        }
    }

    /// Whether two lie in one memory, so that writing into one may change the other.
    pub fn shares_memory(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Host(a), Self::Host(b)) => super::slices::share_storage(a, b),
            #[cfg(feature = "device")]
            (Self::Device(a), Self::Device(b)) => a.shares_memory(b),
            (Self::Counted(a), Self::Counted(b)) => std::ptr::eq(a.held(), b.held()),
            _ => false,
        }
    }

    /// Says what its memory is for, to who counts.
    pub fn label(&self, part: Part) {
        if let Self::Counted(x) = self {
            x.label(part);
        }
    }

    /// What its memory is for, where it is counted.
    pub(crate) fn part(&self) -> Option<Part> {
        match self {
            Self::Counted(x) => Some(x.held().part()),
            _ => None,
        }
    }
}

/// Whether the elements of an array are bytes.
#[cfg(feature = "device")]
pub(super) fn are_bytes(array: &Array) -> bool {
    array.element() == Element::U8
}

/// Sizes as a counted map keeps them.
pub(super) fn sizes(dims: &[usize]) -> Result<Dims> {
    Dims::from_slice(dims).map_err(|_| Error::shape(format!("a map has at most 4 dimensions, not {dims:?}")))
}

/// The numbers of so many bytes each.
fn each<const BYTES: usize>(bytes: &[u8], number: impl Fn([u8; BYTES]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|of| number(*of)).collect()
}
