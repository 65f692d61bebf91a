//! Where features wait from one visit to the next: in memory or in a scratch file, as they are or in fewer bits.

use crate::error::{Error, Result};
use crate::maps::counted::ledger::Part;
use crate::maps::packed::{Packed, widened, written};
use crate::maps::{Map, Place};
use crate::precision::Precision;
use crate::scratch::{Extent, Scratch, bytes_of, bytes_of_mut};
use std::ops::Range;
use std::sync::Arc;

/// How features wait.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// In so many bits.
    pub precision: Precision,
    /// Whether in a file; else in memory.
    pub on_file: bool,
    /// That file, where features are more than counted.
    pub scratch: Option<Scratch>,
}

/// Features that wait: the first dimension numbers samples. Clones share them.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// As they are, in memory.
    Whole(Map),
    /// In fewer bits, in memory.
    Packed(Arc<Packed>),
    /// In a file.
    Stored(Arc<StoredFeatures>),
}

/// Features in a file, a part for each sample.
#[derive(Debug)]
pub struct StoredFeatures {
    /// None where it is only counted.
    extent: Option<Extent>,
    dims: Vec<usize>,
    precision: Precision,
    place: Place,
}

impl Shelf {
    /// Puts features away.
    ///
    /// # Errors
    /// `Io` when the file has no room, and those of the device.
    pub fn put(&self, x: Map) -> Result<Parcel> {
        match (self.on_file, self.precision) {
            (true, precision) => self.store(&x, precision),
            (false, Precision::F32) => {
                x.label(Part::Kept);
                Ok(Parcel::Whole(x))
            }
            (false, precision) => Ok(Parcel::Packed(Arc::new(Packed::new(&x, precision)?))),
        }
    }

    /// The same for images, which are kept as they are.
    ///
    /// # Errors
    /// As [`Shelf::put`].
    pub fn put_exactly(&self, x: Map) -> Result<Parcel> {
        if self.on_file { self.store(&x, Precision::F32) } else { Ok(Parcel::Whole(x)) }
    }

    fn store(&self, x: &Map, precision: Precision) -> Result<Parcel> {
        let (dims, place) = (x.dims().to_vec(), x.place());
        if let Map::Counted(outline) = x {
            if precision != Precision::F32 {
                drop(place.room(Part::Kept, x.elem_count() * precision.bytes()));
            }
            outline.counter.store(x.elem_count() * precision.bytes());
            return Ok(Parcel::Stored(Arc::new(StoredFeatures { extent: None, dims, precision, place })));
        }
        let scratch =
            self.scratch.as_ref().ok_or_else(|| Error::internal("features have no file to wait in"))?;
        let each = (x.elem_count() / dims[0].max(1)).max(1);
        let extent = written(
            x,
            precision,
            |numbers| scratch.store(numbers.chunks(each).map(bytes_of)),
            |bits| scratch.store(bits.chunks(each).map(bytes_of)),
        )?;
        Ok(Parcel::Stored(Arc::new(StoredFeatures { extent: Some(extent), dims, precision, place })))
    }
}

impl Parcel {
    /// The shape of all of them.
    pub fn dims(&self) -> &[usize] {
        match self {
            Self::Whole(x) => x.dims(),
            Self::Packed(x) => x.dims(),
            Self::Stored(stored) => &stored.dims,
        }
    }

    /// The features of some samples.
    ///
    /// # Errors
    /// `Io` when they cannot be read, and those of the device.
    pub fn get(&self, samples: Range<usize>) -> Result<Map> {
        let whole = match self {
            Self::Stored(stored) => return stored.get(samples),
            Self::Whole(x) => x.clone(),
            Self::Packed(x) => x.unpack()?,
        };
        match whole.dims().first() == Some(&samples.len()) && samples.start == 0 {
            true => Ok(whole),
            false => whole.samples(samples.start, samples.len()),
        }
    }
}

impl StoredFeatures {
    fn get(&self, samples: Range<usize>) -> Result<Map> {
        let each: usize = self.dims[1..].iter().product();
        let len = samples.len() * each;
        let mut dims = self.dims.clone();
        dims[0] = samples.len();
        let Some(extent) = &self.extent else { return self.count(&dims) };
        let x = match self.precision {
            Precision::F32 => {
                let mut numbers = vec![0.0; len];
                extent.read(samples, bytes_of_mut::<f32>(&mut numbers))?;
                Map::new(numbers, dims)?
            }
            precision => {
                let mut bits = vec![0; len];
                extent.read(samples, bytes_of_mut::<u16>(&mut bits))?;
                widened(&bits, precision, &dims)?
            }
        };
        x.to(&self.place)
    }

    /// What reading so much takes.
    fn count(&self, dims: &[usize]) -> Result<Map> {
        let bytes = dims.iter().product::<usize>() * self.precision.bytes();
        if let Place::Counted(counter) = &self.place {
            counter.store(bytes);
        }
        let bits = (self.precision != Precision::F32).then(|| self.place.room(Part::Passing, bytes));
        let x = self.place.full(dims, 0.0);
        drop(bits);
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn gives_back_what_was_put_away() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(directory.path(), None).unwrap();
        let mut stream = Stream::new(1, "shelf", &[]);
        let numbers = (0..120).map(|_| 6.0 * stream.uniform_f32() - 3.0).collect();
        let x = Map::new(numbers, (5, 2, 3, 4)).unwrap();
        let packed = |precision| Packed::new(&x, precision).unwrap().unpack().unwrap();
        for (precision, expected) in [
            (Precision::F32, x.clone()),
            (Precision::F16, packed(Precision::F16)),
            (Precision::Bf16, packed(Precision::Bf16)),
        ] {
            for scratch in [None, Some(scratch.clone())] {
                let shelf = Shelf { precision, on_file: scratch.is_some(), scratch };
                let parcel = shelf.put(x.clone()).unwrap();
                for samples in [0..5, 1..4, 4..5] {
                    let wanted = expected.samples(samples.start, samples.len()).unwrap();
                    let found = parcel.get(samples).unwrap();
                    assert_eq!(found.dims(), wanted.dims());
                    assert_eq!(found.numbers().unwrap(), wanted.numbers().unwrap());
                }
                let exact = shelf.put_exactly(x.clone()).unwrap().get(0..5).unwrap();
                assert_eq!(exact.numbers().unwrap(), x.numbers().unwrap());
            }
        }
        assert!(scratch.traffic().written_bytes > 0);
    }
}
