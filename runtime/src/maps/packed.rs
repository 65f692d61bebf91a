//! A map that waits in fewer bits than it is computed in.

use super::Map;
use super::counted::ledger::Part;
use super::place::{Place, Room};
use super::slices::{elements, output, tensor};
#[cfg(feature = "device")]
use crate::device::{array::Array, operations::elementwise as device};
use crate::error::{Error, ErrorKind, Result};
use crate::kernels::half;
use crate::precision::Precision;

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
    /// On a device.
    #[cfg(feature = "device")]
    Device {
        /// Its bits.
        bits: Array,
        /// Their format.
        precision: Precision,
    },
    /// Counted.
    Counted {
        /// The memory of its bits.
        room: Room,
        /// The map's shape.
        dims: Vec<usize>,
        /// Where maps are counted.
        place: Place,
    },
}

impl Packed {
    /// `x` in 16-bit `precision`.
    ///
    /// # Errors
    /// `NotFinite` where a number is too large for it and the map is on the host; those of the device.
    pub fn new(x: &Map, precision: Precision) -> Result<Self> {
        let dims = x.dims().to_vec();
        match x {
            Map::Host(_) => {
                let x = x.clone().contiguous()?;
                let bits = narrow(&elements(&x)?, precision)?;
                Ok(Self::Host { bits, dims, precision })
            }
            #[cfg(feature = "device")]
            Map::Device(x) => {
                Ok(Self::Device { bits: device::narrow(x, precision == Precision::Bf16)?, precision })
            }
            Map::Counted(outline) => {
                let (place, bytes) = (x.place(), x.elem_count() * precision.bytes());
                outline.counter.sweep(x.elem_count() + x.elem_count() / 2);
                Ok(Self::Counted { room: place.room(Part::Kept, bytes), dims, place })
            }
        }
    }

    /// The map's shape.
    pub fn dims(&self) -> &[usize] {
        match self {
            #[cfg(feature = "device")]
            Self::Device { bits, .. } => bits.dims(),
            Self::Host { dims, .. } | Self::Counted { dims, .. } => dims,
        }
    }

    /// The map in f32 again.
    ///
    /// # Errors
    /// Those of the device.
    pub fn unpack(&self) -> Result<Map> {
        match self {
            #[cfg(feature = "device")]
            Self::Device { bits, precision } => {
                device::widen(bits, *precision == Precision::Bf16).map(Map::Device)
            }
            Self::Counted { dims, place, .. } => {
                let x = place.empty(dims)?;
                if let Place::Counted(counter) = place {
                    counter.sweep(x.elem_count() + x.elem_count() / 2);
                }
                Ok(x)
            }
            Self::Host { bits, dims, precision } => widened(bits, *precision, dims),
        }
    }
}

/// Has the numbers of `x` written, as they are or in 16 bits.
///
/// # Errors
/// Those of writing, `NotFinite` where a number is too large for the precision, and those of the device.
pub(crate) fn written<T>(
    x: &Map,
    precision: Precision,
    whole: impl FnOnce(&[f32]) -> Result<T>,
    half: impl FnOnce(&[u16]) -> Result<T>,
) -> Result<T> {
    let x = x.to(&Place::Host)?.contiguous()?;
    let numbers = elements(&x)?;
    match precision {
        Precision::F32 => whole(&numbers),
        _ => half(&narrow(&numbers, precision)?),
    }
}

/// A map on the host of numbers that were written in 16-bit `precision`.
///
/// # Errors
/// Where there are not as many as the shape says.
pub(crate) fn widened(bits: &[u16], precision: Precision, dims: &[usize]) -> Result<Map> {
    let run = |y: &mut _| {
        half::widen(bits, precision, y);
        Ok(())
    };
    // SAFETY: the kernel writes every element.
    let (y, ()) = unsafe { output(bits.len(), run) }?;
    tensor(y, dims).map(Map::Host)
}

/// The bits of `x` in 16-bit `precision`.
///
/// # Errors
/// `NotFinite` where a number is too large for it.
fn narrow(x: &[f32], precision: Precision) -> Result<Vec<u16>> {
    half::narrow(x, precision).ok_or_else(|| too_large(precision))
}

/// Refuses a map that [`Packed::new`] refuses, without packing it.
///
/// # Errors
/// As [`Packed::new`].
pub(crate) fn check_fits(x: &Map, precision: Precision) -> Result<()> {
    let is_host = matches!(x, Map::Host(_));
    match is_host && !half::fits(&elements(&x.clone().contiguous()?)?, precision) {
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
