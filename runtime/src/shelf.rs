//! Where features wait from one visit to the next: in memory or in a scratch file, as they are or in fewer bits.

use crate::error::Result;
use crate::kernels::half;
use crate::ops::packed::{Packed, narrow};
use crate::ops::slices::{elements, output, tensor};
use crate::precision::Precision;
use crate::scratch::{Extent, Scratch, bytes_of, bytes_of_mut};
use candle_core::{Device, Tensor};
use std::ops::Range;
use std::sync::Arc;

/// How features wait.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// In so many bits.
    pub precision: Precision,
    /// In this file; without one in memory.
    pub scratch: Option<Scratch>,
}

/// Features that wait: the first dimension numbers samples. Clones share them.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// As they are, in memory.
    Whole(Tensor),
    /// In fewer bits, in memory.
    Packed(Arc<Packed>),
    /// In a file.
    Stored(Arc<Stored>),
}

/// Features in a file, a part for each sample.
#[derive(Debug)]
pub struct Stored {
    extent: Extent,
    dims: Vec<usize>,
    precision: Precision,
    device: Device,
}

impl Shelf {
    /// Puts features away.
    ///
    /// # Errors
    /// `Io` when the file has no room, and those of the device.
    pub fn put(&self, x: Tensor) -> Result<Parcel> {
        match (&self.scratch, self.precision) {
            (Some(scratch), precision) => store(scratch, &x, precision),
            (None, Precision::F32) => Ok(Parcel::Whole(x)),
            (None, precision) => Ok(Parcel::Packed(Arc::new(Packed::new(&x, precision)?))),
        }
    }

    /// The same for images, which are kept as they are.
    ///
    /// # Errors
    /// As [`Shelf::put`].
    pub fn put_exactly(&self, x: Tensor) -> Result<Parcel> {
        match &self.scratch {
            Some(scratch) => store(scratch, &x, Precision::F32),
            None => Ok(Parcel::Whole(x)),
        }
    }
}

fn store(scratch: &Scratch, x: &Tensor, precision: Precision) -> Result<Parcel> {
    let (dims, device) = (x.dims().to_vec(), x.device().clone());
    let x = x.to_device(&Device::Cpu)?.contiguous()?;
    let numbers = elements(&x)?;
    let each = numbers.len() / dims[0].max(1);
    let extent = match precision {
        Precision::F32 => scratch.store(numbers.chunks(each.max(1)).map(bytes_of)),
        _ => scratch.store(narrow(&numbers, precision)?.chunks(each.max(1)).map(bytes_of)),
    }?;
    Ok(Parcel::Stored(Arc::new(Stored { extent, dims, precision, device })))
}

impl Parcel {
    /// The features of some samples.
    ///
    /// # Errors
    /// `Io` when they cannot be read, and those of the device.
    pub fn get(&self, samples: Range<usize>) -> Result<Tensor> {
        let whole = match self {
            Self::Stored(stored) => return stored.get(samples),
            Self::Whole(x) => x.clone(),
            Self::Packed(x) => x.unpack()?,
        };
        match samples == (0..whole.dim(0)?) {
            true => Ok(whole),
            false => Ok(whole.narrow(0, samples.start, samples.len())?),
        }
    }
}

impl Stored {
    fn get(&self, samples: Range<usize>) -> Result<Tensor> {
        let each: usize = self.dims[1..].iter().product();
        let len = samples.len() * each;
        let mut dims = self.dims.clone();
        dims[0] = samples.len();
        let numbers = match self.precision {
            Precision::F32 => {
                let mut numbers = vec![0.0; len];
                self.extent.read(samples, bytes_of_mut::<f32>(&mut numbers))?;
                numbers
            }
            precision => {
                let mut bits = vec![0; len];
                self.extent.read(samples, bytes_of_mut::<u16>(&mut bits))?;
                let run = |y: &mut _| {
                    half::widen(&bits, precision, y);
                    Ok(())
                };
                // SAFETY: the kernel writes every element.
                unsafe { output(len, run) }?.0
            }
        };
        Ok(tensor(numbers, dims)?.to_device(&self.device)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn gives_back_what_was_put_away() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(directory.path(), None).unwrap();
        let x = Tensor::rand(-3f32, 3.0, (5, 2, 3, 4), &Device::Cpu).unwrap();
        let packed = |precision| Packed::new(&x, precision).unwrap().unpack().unwrap();
        for (precision, expected) in [
            (Precision::F32, x.clone()),
            (Precision::F16, packed(Precision::F16)),
            (Precision::Bf16, packed(Precision::Bf16)),
        ] {
            for scratch in [None, Some(scratch.clone())] {
                let shelf = Shelf { precision, scratch };
                let parcel = shelf.put(x.clone()).unwrap();
                for samples in [0..5, 1..4, 4..5] {
                    let wanted = expected.narrow(0, samples.start, samples.len()).unwrap();
                    let found = parcel.get(samples).unwrap();
                    assert_eq!(found.dims(), wanted.dims());
                    assert_eq!(numbers(&found), numbers(&wanted));
                }
                let exact = shelf.put_exactly(x.clone()).unwrap().get(0..5).unwrap();
                assert_eq!(numbers(&exact), numbers(&x));
            }
        }
        assert!(scratch.traffic().written_bytes > 0);
    }
}
