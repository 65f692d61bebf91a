//! Data sets in safetensors files: `images` u8 or f32 `[N, C, H, W]` and `labels` u8, i32, u32 or i64 `[N]`.
//!
//! Only the header and the labels are read at opening; the images stay in the file, so that a set may be
//! larger than memory.

use super::source::Source;
use super::{Dataset, ImageShape, Split, check_read, from_byte, interleave, no_sample};
use crate::error::{Error, Result};
use crate::signature::Signature;
use ::safetensors::Dtype;
use ::safetensors::tensor::{Metadata, TensorInfo};
use std::path::Path;

/// Enough for hundreds of tensors, where two are needed.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// A label above this is taken for a damaged file.
const MAX_CLASSES: i64 = 1 << 16;

/// A safetensors file with images and labels.
///
/// The number of classes is the metadata entry `classes` of the file or else the largest label and one.
pub struct TensorFile {
    source: Source,
    /// Where the images begin in the file, in bytes.
    start: u64,
    shape: ImageShape,
    float: bool,
    labels: Vec<u32>,
    classes: usize,
}

impl TensorFile {
    /// Opens a file.
    ///
    /// # Errors
    /// `Io` when it cannot be read; `Format` when it is not a whole safetensors file, lacks a tensor, has
    /// one of the wrong shape or type, or a label that cannot be.
    pub fn open(path: &Path) -> Result<Self> {
        Self::new(Source::open(path)?)
    }

    /// The same, out of memory. `name` is what error messages call the data.
    ///
    /// # Errors
    /// `Format`, as for `open`.
    pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        Self::new(Source::memory(name, bytes.to_vec()))
    }

    fn new(source: Source) -> Result<Self> {
        let (metadata, data_start) = header(&source)?;
        let wrong = |what: String| Error::format(format!("{}: {what}", source.name()));
        let find = |name: &str| {
            metadata.info(name).ok_or_else(|| {
                let found: Vec<String> = metadata.offset_keys().into_iter().take(8).collect();
                wrong(format!("expected the tensors `images` and `labels`, found {found:?}"))
            })
        };
        let (images, labels) = (find("images")?, find("labels")?);
        let (count, shape) = image_shape(images).ok_or_else(|| {
            wrong(format!("`images` has the shape {:?}, expected [N, C, H, W], none of them 0", images.shape))
        })?;
        let float = match images.dtype {
            Dtype::U8 => false,
            Dtype::F32 => true,
            other => return Err(wrong(format!("`images` has the type {other:?}, expected U8 or F32"))),
        };
        if labels.shape != [count] {
            return Err(wrong(format!(
                "`labels` has the shape {:?}, expected [{count}], one label an image",
                labels.shape
            )));
        }
        let labels = read_labels(&source, labels, data_start)?;
        let classes = count_classes(&source, &metadata, &labels)?;
        let start = data_start + images.data_offsets.0 as u64;
        Ok(Self { source, start, shape, float, labels, classes })
    }

    fn image_bytes(&self) -> usize {
        self.shape.elements() * if self.float { 4 } else { 1 }
    }
}

impl Dataset for TensorFile {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn label(&self, index: usize) -> Result<u32> {
        self.labels.get(index).copied().ok_or_else(|| no_sample(index, self.len()))
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        check_read(index, self.len(), pixels, self.shape)?;
        let offset = self.start + index as u64 * self.image_bytes() as u64;
        self.source.with(offset, self.image_bytes(), |bytes| {
            if self.float {
                let (numbers, _) = bytes.as_chunks::<4>();
                interleave(self.shape.channels, pixels, |i| f32::from_le_bytes(numbers[i]));
            } else {
                interleave(self.shape.channels, pixels, |i| from_byte(bytes[i]));
            }
        })?;
        if self.float && !pixels.iter().all(|pixel| pixel.is_finite()) {
            return Err(Error::format(format!(
                "{}: image {index} holds a number that is not finite",
                self.source.name()
            )));
        }
        self.label(index)
    }

    fn resident_bytes(&self) -> usize {
        self.labels.capacity() * size_of::<u32>()
    }
}

/// Whether `directory` has a file of either split.
pub(super) fn found_in(directory: &Path) -> bool {
    [Split::Train, Split::Test].iter().any(|&split| directory.join(file_name(split)).is_file())
}

/// Opens the split in `directory`. Both splits count the classes of both files, so that they agree.
pub(super) fn open_in(directory: &Path, split: Split) -> Result<TensorFile> {
    let other = match split {
        Split::Train => Split::Test,
        Split::Test => Split::Train,
    };
    let (path, other) = (directory.join(file_name(split)), directory.join(file_name(other)));
    if !path.is_file() && other.is_file() {
        return Err(Error::format(format!(
            "{}: expected {} beside {}, found none",
            directory.display(),
            file_name(split),
            other.file_name().unwrap_or_default().display()
        )));
    }
    let mut set = TensorFile::open(&path)?;
    if other.is_file() {
        set.classes = set.classes.max(TensorFile::open(&other)?.classes);
    }
    Ok(set)
}

fn file_name(split: Split) -> &'static str {
    match split {
        Split::Train => "train.safetensors",
        Split::Test => "test.safetensors",
    }
}

/// The parsed header and where the data after it begins, in bytes.
fn header(source: &Source) -> Result<(Metadata, u64)> {
    let mut start = vec![0; source.len().min(512) as usize];
    source.read(0, &mut start)?;
    if let Some(found) = Signature::of(&start) {
        return Err(Error::format(format!(
            "{}: this is {}, not a safetensors file: {}",
            source.name(),
            found.what,
            found.advice_for_data()
        )));
    }
    let wrong = |what: String| Error::format(format!("{}: {what}", source.name()));
    let mut length = [0; 8];
    if source.len() < 8 {
        return Err(wrong(format!("{} bytes, too short for a safetensors file", source.len())));
    }
    source.read(0, &mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES.min(source.len() - 8) {
        return Err(wrong(format!(
            "expected a safetensors header of at most {} bytes, found one of {length}",
            MAX_HEADER_BYTES.min(source.len() - 8)
        )));
    }
    // Fits: the length is at most MAX_HEADER_BYTES. The conversion checks offsets, shapes and types.
    let metadata: Metadata = source
        .with(8, length as usize, |bytes| serde_json::from_slice(bytes))?
        .map_err(|cause| wrong(format!("its safetensors header is broken ({cause})")))?;
    let data_start = 8 + length;
    let (found, expected) = (source.len() - data_start, metadata.data_len() as u64);
    if found != expected {
        return Err(wrong(format!("the header promises {expected} bytes of data, the file holds {found}")));
    }
    Ok((metadata, data_start))
}

/// The number of images and their shape, unless one of the sizes is missing or 0.
fn image_shape(info: &TensorInfo) -> Option<(usize, ImageShape)> {
    let &[count, channels, height, width] = info.shape.as_slice() else { return None };
    let shape = ImageShape { channels, height, width };
    (count > 0 && shape.elements() > 0).then_some((count, shape))
}

fn read_labels(source: &Source, info: &TensorInfo, data_start: u64) -> Result<Vec<u32>> {
    let wrong = |what: String| Error::format(format!("{}: {what}", source.name()));
    let number: fn(&[u8]) -> Option<i64> = match info.dtype {
        Dtype::U8 => |bytes| bytes.first().map(|&byte| byte.into()),
        Dtype::U32 => |bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::I32 => |bytes| Some(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::I64 => |bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?)),
        other => return Err(wrong(format!("`labels` has the type {other:?}, expected U8, I32, U32 or I64"))),
    };
    let (start, end) = info.data_offsets;
    // The header's conversion has checked that the bytes are as many as shape and type say.
    source.with(data_start + start as u64, end - start, |bytes| {
        let width = info.dtype.bitsize() / 8;
        let mut labels = Vec::with_capacity(bytes.len() / width);
        for (index, label) in bytes.chunks_exact(width).enumerate() {
            match number(label) {
                Some(label @ 0..MAX_CLASSES) => labels.push(label as u32),
                _ => {
                    return Err(wrong(format!(
                        "the label of sample {index} is negative or above {}",
                        MAX_CLASSES - 1
                    )));
                }
            }
        }
        Ok(labels)
    })?
}

/// The number of classes by the metadata, or else by the labels.
fn count_classes(source: &Source, metadata: &Metadata, labels: &[u32]) -> Result<usize> {
    let largest = labels.iter().copied().max().unwrap_or(0) as usize;
    let Some(said) = metadata.metadata().as_ref().and_then(|entries| entries.get("classes")) else {
        return Ok(largest + 1);
    };
    match said.parse() {
        Ok(classes) if classes > largest && classes <= MAX_CLASSES as usize => Ok(classes),
        _ => Err(Error::format(format!(
            "{}: its metadata says `classes`: {said:?}, expected a number above the largest label, {largest}, and at most {MAX_CLASSES}",
            source.name()
        ))),
    }
}
