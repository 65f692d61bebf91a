//! Pictures as a data set: decoded, cut to the size that a network takes, and held in bytes.

use crate::encoded::Encoded;
use crate::frame::Pixels;
use crate::images::{read_bytes, room};
use crate::listing::Listing;
use crate::picture;
use localgrad::data::{Dataset, ImageShape};
use localgrad::{Error, Result};
use rayon::prelude::*;

/// How pictures are read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Channels, rows and columns of every image.
    pub shape: ImageShape,
    /// Whether one bad file is one too many, rather than left out.
    pub strict: bool,
}

/// Labelled pictures of one size.
pub struct Pictures {
    shape: ImageShape,
    /// `[N, H, W, C]`
    bytes: Vec<u8>,
    labels: Vec<u32>,
    names: Vec<String>,
    class_names: Vec<String>,
}

/// Bad files that are named.
const NAMED: usize = 5;
/// Pictures that are decoded before the next are begun, so that what waits stays small.
const AT_ONCE: usize = 256;

impl Pictures {
    /// Decodes all of `listing`, with the threads of the pool that it is called from. Files that are no whole pictures are
    /// left out, counted and named in a warning.
    ///
    /// # Errors
    /// With `strict` the first bad file's; `Memory` where all of them do not fit into memory; `Format` when no picture is left.
    pub fn open(listing: Listing, reading: &Reading) -> Result<Self> {
        let Reading { shape, strict } = *reading;
        let size = shape.elements();
        let mut set = Self {
            shape,
            bytes: room(
                listing.items.len().saturating_mul(size),
                &format!(
                    "{} pictures of {shape} (a smaller --input, or a --limit, makes them fewer)",
                    listing.items.len()
                ),
            )?,
            labels: Vec::with_capacity(listing.items.len()),
            names: Vec::with_capacity(listing.items.len()),
            class_names: listing.class_names,
        };
        let (mut bad, all) = (Vec::new(), listing.items.len());
        for items in listing.items.chunks(AT_ONCE) {
            let decoded: Vec<Result<Vec<u8>>> =
                items.par_iter().map(|item| seen(&item.encoded, shape)).collect();
            for (item, decoded) in items.iter().zip(decoded) {
                match decoded {
                    Ok(image) => {
                        set.bytes.extend(image);
                        set.labels.push(item.label);
                        set.names.push(item.name.clone());
                    }
                    Err(cause) if strict => return Err(cause.at(format!("{}: {}", listing.name, item.name))),
                    Err(cause) => bad.push(format!("{}: {cause}", item.name)),
                }
            }
        }
        set.bytes.shrink_to_fit();
        tell(&listing.name, &bad, all);
        if set.labels.is_empty() {
            let first = bad.first().map_or("it holds none", String::as_str);
            return Err(Error::format(format!("{}: no picture could be read: {first}", listing.name)));
        }
        Ok(set)
    }
}

/// Warns of pictures that are left out.
fn tell(name: &str, bad: &[String], all: usize) {
    if bad.is_empty() {
        return;
    }
    let shown = bad[..bad.len().min(NAMED)].join("; ");
    let more = if bad.len() > NAMED { format!("; and {} more", bad.len() - NAMED) } else { String::new() };
    log::warn!("{name}: {} of {all} pictures could not be read and are left out: {shown}{more}", bad.len());
}

/// What a network that takes `shape` sees of an encoded picture.
fn seen(encoded: &Encoded, shape: ImageShape) -> Result<Vec<u8>> {
    let picture = picture::decode(&encoded.bytes()?).map_err(Error::format)?;
    Pixels::of(picture, shape.channels)?.seen(shape)
}

impl Dataset for Pictures {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.class_names.len()
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn sample_name(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(String::as_str)
    }

    fn label(&self, index: usize) -> Result<u32> {
        let label = self.labels.get(index).copied();
        label.ok_or_else(|| Error::config(format!("sample {index} was asked for, of {}", self.len())))
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        let label = self.label(index)?;
        read_bytes(&self.bytes, index, self.shape, pixels)?;
        Ok(label)
    }

    fn resident_bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.capacity() + size_of::<String>()).sum();
        self.bytes.capacity() + size_of_val(self.labels.as_slice()) + names
    }
}
