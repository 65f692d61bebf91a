//! The border between maps and arrays on devices.

use super::Map;
use super::map_read::{GradRead, Input, MapRead, Summands, Through};
use super::place::apart;
use crate::device::array::Array;
use crate::device::engine::Engine;
use crate::device::operations::read::{GradientRead, Read};
use crate::error::{Error, ErrorKind, Result};
use candle_core::{DType, Device, Tensor};

/// A tensor, wherever it is, as a map on a device.
pub(super) fn uploaded(engine: &Engine, tensor: &Tensor) -> Result<Map> {
    let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
    let array = match tensor.dtype() {
        DType::F32 => Array::of_floats(engine, &flat.to_vec1()?, tensor.dims())?,
        DType::U8 => Array::of_bytes(engine, &flat.to_vec1()?, tensor.dims())?,
        other => return Err(Error::internal(format!("{other:?} was brought to a device"))),
    };
    Ok(Map::Device(array))
}

/// An array as a tensor on the CPU.
pub(super) fn downloaded(array: &Array) -> Result<Tensor> {
    let dims = array.dims();
    Ok(match super::map::are_bytes(array) {
        true => Tensor::from_vec(array.bytes()?, dims, &Device::Cpu)?,
        false => Tensor::from_vec(array.floats()?, dims, &Device::Cpu)?,
    })
}

impl Map {
    /// The array for a device.
    pub(crate) fn array(&self) -> Result<&Array> {
        match self {
            Self::Device(x) => Ok(x),
            _ => Err(apart()),
        }
    }
}

impl MapRead {
    /// For a device.
    pub(super) fn device(&self) -> Result<Read<'_>> {
        Ok(match self {
            Self::Plain(x) | Self::Sum(x, _) => Read::Plain(x.array()?),
            Self::Normalized(x, by) => Read::Normalized(x.array()?, by.device()?),
        })
    }
}

impl<'a> Input<'a> {
    /// For a device, unless it is a shape alone.
    pub(super) fn device(self) -> Result<Option<Read<'a>>> {
        Ok(Some(match self {
            Self::Shape(_) => return Ok(None),
            Self::Plain(x) => Read::Plain(x.array()?),
            Self::Normalized(x, by) => Read::Normalized(x.array()?, by.device()?),
            Self::Sum(Summands { main, by, around, activation }) => {
                Read::Sum(main.array()?, by.device()?, around.array()?, *activation)
            }
        }))
    }
}

impl<'a> Through<'a> {
    /// For a device.
    pub(super) fn device(self) -> Result<GradientRead<'a>> {
        Ok(match self.by {
            None => GradientRead::Plain(self.z.array()?),
            Some(by) => GradientRead::Through { d: self.d.array()?, z: self.z.array()?, by: by.device()? },
        })
    }
}

impl<'a> GradRead<'a> {
    /// For a device.
    pub(super) fn device(self) -> Result<GradientRead<'a>> {
        match self {
            Self::Plain(d) => Ok(GradientRead::Plain(d.array()?)),
            Self::Through(through) => through.device(),
        }
    }
}

/// The error of an operation that devices have no kernel for.
pub(super) fn no_kernel() -> Error {
    Error::new(ErrorKind::Device, "devices have no kernel for an operation of this network; use --device cpu")
}
