//! Pictures that stay encoded where they lie, and are decoded whenever they are read: of more of them than fit into memory, or
//! where more than their middle is to be seen.

use crate::frame::Pixels;
use crate::listing::{Item, Listing};
use crate::pictures::{Reading, pass};
use crate::{picture, pictures, reduced};
use localgrad::data::survey::Seen;
use localgrad::data::{Dataset, ImageShape, Window};
use localgrad::targets::TargetKind;
use localgrad::{Error, Result};

/// Pictures decoded and held in memory where that takes at most `most_bytes`; else decoded whenever they are read.
///
/// # Errors
/// Those of [`pictures::load`] and [`Photos::open`].
pub fn open(listing: Listing, reading: &Reading, most_bytes: usize) -> Result<Box<dyn Dataset>> {
    Ok(match listing.items.len().saturating_mul(reading.shape.elements()) <= most_bytes {
        true => Box::new(pictures::load(listing, reading)?),
        false => Box::new(Photos::open(listing, reading)?),
    })
}

/// Labelled pictures, decoded whenever they are read.
pub struct Photos {
    name: String,
    shape: ImageShape,
    items: Vec<Item>,
    /// What opening found of each.
    found: Vec<Found>,
    class_names: Vec<String>,
    kind: TargetKind,
    decoding_bytes: usize,
}

/// What is known of a picture since it was opened.
struct Found {
    /// CRC-32 of its file.
    checksum: u32,
    seen: Seen,
}

/// A picture that was looked at.
struct Look {
    found: Found,
    decoding_bytes: usize,
}

impl Photos {
    /// Decodes all of `listing` once, with the threads of the pool that it is called from, and keeps nothing of them but what
    /// tells them apart. Files that are no whole pictures are left out, counted and named in a warning.
    ///
    /// # Errors
    /// With `strict` the first bad file's; `Format` when no picture is left.
    pub fn open(listing: Listing, reading: &Reading) -> Result<Self> {
        let (mut items, mut found, mut decoding_bytes) = (Vec::new(), Vec::new(), 0);
        pass(
            &listing,
            reading,
            |item| look(item, reading.shape),
            |item, look: Look| {
                items.push(item.clone());
                found.push(look.found);
                decoding_bytes = decoding_bytes.max(look.decoding_bytes);
            },
        )?;
        let Listing { name, class_names, kind, .. } = listing;
        Ok(Self { name, shape: reading.shape, items, found, class_names, kind, decoding_bytes })
    }

    fn item(&self, index: usize) -> Result<&Item> {
        let item = self.items.get(index);
        item.ok_or_else(|| Error::config(format!("sample {index} was asked for, of {}", self.items.len())))
    }

    /// A picture as it was when the set was opened; `factor` is asked as by [`picture::pixels`].
    fn pixels(&self, index: usize, factor: impl FnOnce([usize; 2]) -> usize) -> Result<Pixels> {
        let item = self.item(index)?;
        let read = || {
            let bytes = item.encoded.bytes()?;
            if self.found.get(index).map(|found| found.checksum) != Some(crc32fast::hash(&bytes)) {
                return Err(Error::format(
                    "the file is another than it was when training began; put it back, or begin anew",
                ));
            }
            Ok(picture::pixels(&bytes, self.shape.channels, factor)?.pixels)
        };
        read().map_err(|cause: Error| cause.at(format!("{}: {}", self.name, item.name)))
    }

    /// Writes bytes of `[H, W, C]` as numbers; the label of the sample that they are of.
    fn write(&self, index: usize, bytes: &[u8], pixels: &mut [f32]) -> Result<u32> {
        if pixels.len() != bytes.len() {
            return Err(Error::shape(format!(
                "an image of {} does not fit {} numbers",
                self.shape,
                pixels.len()
            )));
        }
        write(bytes, pixels);
        self.label(index)
    }
}

fn write(bytes: &[u8], pixels: &mut [f32]) {
    for (pixel, &byte) in pixels.iter_mut().zip(bytes) {
        *pixel = f32::from(byte) / 255.0;
    }
}

/// What opening finds of a picture.
fn look(item: &Item, shape: ImageShape) -> Result<Look> {
    let bytes = item.encoded.bytes()?;
    let decoded = picture::pixels(&bytes, shape.channels, |sides| picture::of_middle(sides, shape))?;
    let pixels = decoded.pixels;
    let seen = pixels.seen(shape)?;
    let mut numbers = vec![0.0; seen.len()];
    write(&seen, &mut numbers);
    let found = Found { checksum: crc32fast::hash(&bytes), seen: Seen::of(&numbers) };
    // As if it were decoded whole, which parts of it may be.
    let pixel_bytes = pixels.height.saturating_mul(pixels.width).saturating_mul(pixels.channels);
    let decoding_bytes = picture::decoding_bytes(&bytes, decoded.whole_bytes.max(pixel_bytes));
    // Resized one way and then the other.
    let resizing = pixels.height.saturating_mul(shape.width * shape.channels).saturating_add(2 * seen.len());
    Ok(Look { found, decoding_bytes: decoding_bytes.saturating_add(resizing) })
}

impl Dataset for Photos {
    fn len(&self) -> usize {
        self.items.len()
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
        self.items.get(index).map(|item| item.name.as_str())
    }

    fn label(&self, index: usize) -> Result<u32> {
        Ok(self.item(index)?.label)
    }

    fn target_kind(&self) -> TargetKind {
        self.kind
    }

    fn numbers(&self, index: usize) -> Result<&[f32]> {
        Ok(&self.item(index)?.row)
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        let picture = self.pixels(index, |sides| picture::of_middle(sides, self.shape))?;
        let seen = picture.seen(self.shape)?;
        self.write(index, &seen, pixels)
    }

    fn read_part(
        &self,
        index: usize,
        choose: &dyn Fn([usize; 2]) -> Window,
        pixels: &mut [f32],
    ) -> Result<u32> {
        let mut window = Window { top: 0, left: 0, height: 0, width: 0 };
        let picture = self.pixels(index, |sides| {
            window = choose(sides);
            reduced::factor(sides, [window.height, window.width], [self.shape.height, self.shape.width])
        })?;
        let part = picture.part(window, self.shape)?;
        self.write(index, &part, pixels)
    }

    fn seen(&self, index: usize) -> Option<Seen> {
        self.found.get(index).map(|found| found.seen)
    }

    fn decoding_bytes(&self) -> usize {
        self.decoding_bytes
    }

    fn resident_bytes(&self) -> usize {
        let item =
            |item: &Item| item.encoded.resident_bytes() + item.name.capacity() + size_of_val(&*item.row);
        self.items.iter().map(item).sum::<usize>()
            + self.items.capacity() * size_of::<Item>()
            + self.found.capacity() * size_of::<Found>()
    }
}
