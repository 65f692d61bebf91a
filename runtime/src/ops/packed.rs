//! A map that waits in fewer bits than it is computed in.

use super::place::{Place, place};
use super::slices::{elements, output, tensor};
use crate::error::Result;
use crate::kernels::half;
use crate::precision::Precision;
use candle_core::{DType, Tensor};

/// A map of f32 in 16 bits a number.
#[derive(Debug)]
pub enum Packed {
    /// By a kernel.
    Host {
        /// The numbers.
        bits: Vec<u16>,
        /// The map's shape.
        dims: Vec<usize>,
        /// Their format.
        precision: Precision,
    },
    /// As candle converts it.
    Device(Tensor),
}

impl Packed {
    /// `x` in 16-bit `precision`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn new(x: &Tensor, precision: Precision) -> Result<Self> {
        if place(x.device())? == Place::Composed {
            let dtype = if precision == Precision::F16 { DType::F16 } else { DType::BF16 };
            return Ok(Self::Device(x.to_dtype(dtype)?));
        }
        let x = x.contiguous()?;
        Ok(Self::Host { bits: half::narrow(&elements(&x)?, precision), dims: x.dims().to_vec(), precision })
    }

    /// The map in f32 again.
    ///
    /// # Errors
    /// Those of the device.
    pub fn unpack(&self) -> Result<Tensor> {
        match self {
            Self::Device(x) => Ok(x.to_dtype(DType::F32)?),
            Self::Host { bits, dims, precision } => {
                let run = |y: &mut _| {
                    half::widen(bits, *precision, y);
                    Ok(())
                };
                // SAFETY: the kernel writes every element.
                let (y, ()) = unsafe { output(bits.len(), run) }?;
                tensor(y, &dims[..])
            }
        }
    }
}
