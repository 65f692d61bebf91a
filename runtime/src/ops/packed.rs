//! A map that waits in fewer bits than it is computed in.

use super::place::{Place, place};
use super::slices::{elements, output, tensor};
use crate::error::{Error, ErrorKind, Result};
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
    /// `NotFinite` where a number is too large for it; those of the device.
    pub fn new(x: &Tensor, precision: Precision) -> Result<Self> {
        if place(x.device())? == Place::Composed {
            let dtype = if precision == Precision::F16 { DType::F16 } else { DType::BF16 };
            return Ok(Self::Device(x.to_dtype(dtype)?));
        }
        let x = x.contiguous()?;
        let bits = narrow(&elements(&x)?, precision)?;
        Ok(Self::Host { bits, dims: x.dims().to_vec(), precision })
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

/// The bits of `x` in 16-bit `precision`.
///
/// # Errors
/// `NotFinite` where a number is too large for it.
pub(crate) fn narrow(x: &[f32], precision: Precision) -> Result<Vec<u16>> {
    half::narrow(x, precision).ok_or_else(|| too_large(precision))
}

/// Refuses a map that [`Packed::new`] refuses, without packing it.
///
/// # Errors
/// As [`Packed::new`].
pub(crate) fn check_fits(x: &Tensor, precision: Precision) -> Result<()> {
    let is_host = place(x.device())? == Place::Kernels;
    match is_host && !half::fits(&elements(&x.contiguous()?)?, precision) {
        true => Err(too_large(precision)),
        false => Ok(()),
    }
}

fn too_large(precision: Precision) -> Error {
    let (most, instead) = match precision {
        Precision::F16 => {
            ("65504, the most that f16 holds", "bf16 (which holds as large numbers as f32) or f32")
        }
        Precision::Bf16 | Precision::F32 => ("all that bf16 holds", "f32"),
    };
    Error::new(
        ErrorKind::NotFinite,
        format!(
            "activations that wait in 16 bits grew past {most}: let activations and features wait in {instead}, or \
             lower the learning rate"
        ),
    )
}
