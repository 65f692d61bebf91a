//! Data sets in safetensors files: `images` u8 or f32 `[N, C, H, W]`, or `tokens` of whole numbers `[N, T]`, and `labels` u8, i32, u32 or i64 `[N]`; or rows of
//! `labels` `[N, K]`, each 0 or 1, or values: f32 `[N]` or `[N, K]` numbers that are not all 0 or 1.
//!
//! Only the header and the labels are read at opening (and tokens once, where the metadata do not say their vocabulary); the
//! samples stay in the file, so that a set may be larger than memory.

use super::source::Source;
use super::{Dataset, ImageShape, Split, check_read, from_byte, interleave, no_sample};
use crate::error::{Error, Result};
use crate::inputs::{Inputs, LARGEST_VOCABULARY, Tokens};
use crate::signature::Signature;
use crate::targets::TargetKind;
use ::safetensors::Dtype;
use ::safetensors::tensor::{Metadata, TensorInfo};
use std::path::Path;

/// Enough for hundreds of tensors, where two are needed.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// A label above this is taken for a damaged file.
const MAX_CLASSES: i64 = 1 << 16;

/// A safetensors file with images or tokens, and labels.
///
/// The number of classes is the metadata entry `classes` of the file or else the largest label and one; so is the vocabulary
/// of tokens, by the entry `vocabulary`.
pub struct TensorFile {
    source: Source,
    /// Where the samples begin in the file, in bytes.
    start: u64,
    shape: ImageShape,
    stored: Stored,
    /// All 0 where there are labels or values.
    labels: Vec<u32>,
    classes: usize,
    kind: TargetKind,
    /// `[N, classes]` labels, values or a 1 for the class, as the file has them; else none.
    rows: Vec<f32>,
}

/// How a sample's numbers are stored.
#[derive(Clone, Copy)]
enum Stored {
    Bytes,
    Floats,
    /// Whole numbers of some bytes each, below `vocabulary`.
    Tokens {
        bytes: usize,
        token: Whole,
        vocabulary: usize,
    },
}

/// Reads a whole number.
type Whole = fn(&[u8]) -> Option<i64>;

impl Stored {
    fn bytes(self) -> usize {
        match self {
            Self::Bytes => 1,
            Self::Floats => 4,
            Self::Tokens { bytes, .. } => bytes,
        }
    }
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
                wrong(format!(
                    "expected the tensors `images` and `labels`, or `tokens` and `labels`, found {found:?}"
                ))
            })
        };
        let (samples, are_tokens) = match metadata.info("tokens") {
            Some(tokens) => (tokens, true),
            None => (find("images")?, false),
        };
        let labels = find("labels")?;
        let form = if are_tokens { token_form(samples) } else { image_form(samples) };
        let (count, shape, stored) = form.map_err(&wrong)?;
        let [start, end] = [samples.data_offsets.0, samples.data_offsets.1].map(|at| data_start + at as u64);
        let stored = match stored {
            Stored::Tokens { bytes, token, .. } => {
                let vocabulary =
                    count_tokens(&source, &metadata, (start, end, shape.width * bytes), (bytes, token))?;
                Stored::Tokens { bytes, token, vocabulary }
            }
            stored => stored,
        };
        let width = match labels.shape[..] {
            [found] if found == count => 1,
            [found, width] if found == count && width > 0 => width,
            _ => {
                return Err(wrong(format!(
                    "`labels` has the shape {:?}, expected [{count}], one label a sample, or a row each",
                    labels.shape
                )));
            }
        };
        if labels.dtype == Dtype::F32 || labels.shape.len() > 1 {
            let rows = read_rows(&source, labels, data_start)?;
            let kind = kind_of(&rows, width);
            let place = |row: &[f32]| row.iter().position(|&mark| mark == 1.0).unwrap_or(0) as u32;
            let labels = match kind {
                TargetKind::Class => rows.chunks_exact(width).map(place).collect(),
                _ => vec![0; count],
            };
            return Ok(Self { source, start, shape, stored, labels, classes: width, kind, rows });
        }
        let labels = read_labels(&source, labels, data_start)?;
        let classes = count_classes(&source, &metadata, &labels)?;
        let (kind, rows) = (TargetKind::Class, Vec::new());
        Ok(Self { source, start, shape, stored, labels, classes, kind, rows })
    }

    fn sample_bytes(&self) -> usize {
        self.shape.elements() * self.stored.bytes()
    }
}

impl Dataset for TensorFile {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn input(&self) -> Inputs {
        let ImageShape { channels, height, width } = self.shape;
        match self.stored {
            Stored::Tokens { vocabulary, .. } => Inputs::Tokens(Tokens { length: width, vocabulary }),
            Stored::Bytes | Stored::Floats => Inputs::Pixels([channels, height, width]),
        }
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn label(&self, index: usize) -> Result<u32> {
        self.labels.get(index).copied().ok_or_else(|| no_sample(index, self.len()))
    }

    fn target_kind(&self) -> TargetKind {
        self.kind
    }

    fn numbers(&self, index: usize) -> Result<&[f32]> {
        self.label(index)?;
        let row = self.rows.chunks_exact(self.classes.max(1)).nth(index);
        Ok(row.unwrap_or_default())
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        check_read(index, self.len(), pixels, self.shape)?;
        let offset = self.start + index as u64 * self.sample_bytes() as u64;
        self.source.with(offset, self.sample_bytes(), |bytes| match self.stored {
            Stored::Bytes => interleave(self.shape.channels, pixels, |i| from_byte(bytes[i])),
            Stored::Floats => {
                let (numbers, _) = bytes.as_chunks::<4>();
                interleave(self.shape.channels, pixels, |i| f32::from_le_bytes(numbers[i]));
            }
            Stored::Tokens { bytes: each, token, vocabulary } => {
                for (pixel, bytes) in pixels.iter_mut().zip(bytes.chunks_exact(each)) {
                    let token = token(bytes).filter(|token| (0..vocabulary as i64).contains(token));
                    *pixel = token.map_or(f32::NAN, |token| token as f32);
                }
            }
        })?;
        if pixels.iter().all(|pixel| pixel.is_finite()) {
            return self.label(index);
        }
        let what = match self.stored {
            Stored::Tokens { vocabulary, .. } => {
                format!("sample {index} holds a token that is not from 0 to {}", vocabulary - 1)
            }
            _ => format!("image {index} holds a number that is not finite"),
        };
        Err(Error::format(format!("{}: {what}", self.source.name())))
    }

    fn resident_bytes(&self) -> usize {
        self.labels.capacity() * size_of::<u32>() + size_of_val(self.rows.as_slice())
    }
}

/// Whether `directory` has a file of either split.
pub(super) fn found_in(directory: &Path) -> bool {
    [Split::Train, Split::Test].iter().any(|&split| directory.join(file_name(split)).is_file())
}

/// Opens the split in `directory`. Both splits count the classes, and the tokens, of both files, so that they agree.
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
        let other = TensorFile::open(&other)?;
        if let (Stored::Tokens { vocabulary, .. }, Stored::Tokens { vocabulary: others, .. }) =
            (&mut set.stored, other.stored)
        {
            *vocabulary = others.max(*vocabulary);
        }
        if set.kind == TargetKind::Class && other.kind == TargetKind::Class {
            set.classes = set.classes.max(other.classes);
        } else if !set.rows.is_empty() && other.kind > set.kind {
            // Rows that have a single 1 each, or 0 and 1 alone, in one file are what those of the other are.
            set.kind = other.kind;
            set.labels.fill(0);
        }
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

/// The number of samples, their shape, and how they are stored.
type StoredForm = (usize, ImageShape, Stored);

/// Of images.
fn image_form(info: &TensorInfo) -> std::result::Result<StoredForm, String> {
    let stored = match info.dtype {
        Dtype::U8 => Stored::Bytes,
        Dtype::F32 => Stored::Floats,
        other => return Err(format!("`images` has the type {other:?}, expected U8 or F32")),
    };
    match info.shape[..] {
        [count, channels, height, width] if !info.shape.contains(&0) => {
            Ok((count, ImageShape { channels, height, width }, stored))
        }
        _ => Err(format!("`images` has the shape {:?}, expected [N, C, H, W], none of them 0", info.shape)),
    }
}

/// Of tokens; how many there are to choose from is still to be found.
fn token_form(info: &TensorInfo) -> std::result::Result<StoredForm, String> {
    let Some((bytes, token)) = whole(info.dtype) else {
        return Err(format!("`tokens` has the type {:?}, expected U8, U16, I32, U32 or I64", info.dtype));
    };
    match info.shape[..] {
        [count, length] if !info.shape.contains(&0) => {
            let shape = ImageShape { channels: 1, height: 1, width: length };
            Ok((count, shape, Stored::Tokens { bytes, token, vocabulary: 0 }))
        }
        _ => Err(format!("`tokens` has the shape {:?}, expected [N, T], none of them 0", info.shape)),
    }
}

/// How many tokens there are to choose from: as the metadata say, or else the largest that occurs and one. Samples, of so many
/// bytes each, begin at `start` and are the file's from there on as far as `end`.
fn count_tokens(
    source: &Source,
    metadata: &Metadata,
    (start, end, sample): (u64, u64, usize),
    (bytes, token): (usize, Whole),
) -> Result<usize> {
    let wrong = |what: String| Error::format(format!("{}: {what}", source.name()));
    if let Some(said) = metadata.metadata().as_ref().and_then(|entries| entries.get("vocabulary")) {
        return match said.parse() {
            Ok(vocabulary @ 1..=LARGEST_VOCABULARY) => Ok(vocabulary),
            _ => Err(wrong(format!(
                "its metadata says `vocabulary`: {said:?}, expected a number from 1 to {LARGEST_VOCABULARY}"
            ))),
        };
    }
    let mut largest = 0;
    for (index, offset) in (start..end).step_by(sample).enumerate() {
        let found = source.with(offset, sample, |sample| {
            let known = |token: &i64| (0..LARGEST_VOCABULARY as i64).contains(token);
            let tokens = sample.chunks_exact(bytes).map(|bytes| token(bytes).filter(known));
            tokens.collect::<Option<Vec<i64>>>().and_then(|tokens| tokens.into_iter().max())
        })?;
        let last = LARGEST_VOCABULARY - 1;
        largest = largest.max(found.ok_or_else(|| {
            wrong(format!("sample {index} holds a token that is negative or above {last}"))
        })?);
    }
    Ok(largest as usize + 1)
}

/// Bytes of a whole number of this type, and what reads it.
fn whole(dtype: Dtype) -> Option<(usize, Whole)> {
    Some(match dtype {
        Dtype::U8 => (1, |bytes| bytes.first().map(|&byte| byte.into())),
        Dtype::U16 => (2, |bytes| Some(u16::from_le_bytes(bytes.try_into().ok()?).into())),
        Dtype::U32 => (4, |bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?).into())),
        Dtype::I32 => (4, |bytes| Some(i32::from_le_bytes(bytes.try_into().ok()?).into())),
        Dtype::I64 => (8, |bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?))),
        _ => return None,
    })
}

/// What rows of numbers are: of 0 and 1 alone labels, or classes where each has a single 1; else values.
fn kind_of(rows: &[f32], width: usize) -> TargetKind {
    let are_marks = width > 1 && rows.iter().all(|&mark| mark == 0.0 || mark == 1.0);
    match are_marks {
        false => TargetKind::Values,
        true if rows.chunks_exact(width).all(|row| row.iter().sum::<f32>() == 1.0) => TargetKind::Class,
        true => TargetKind::Labels,
    }
}

/// Numbers of all rows, in order.
fn read_rows(source: &Source, info: &TensorInfo, data_start: u64) -> Result<Vec<f32>> {
    let wrong = |what: String| Error::format(format!("{}: {what}", source.name()));
    if info.dtype != Dtype::F32 {
        let labels = read_labels(source, info, data_start)?;
        return match labels.iter().position(|&label| label > 1) {
            None => Ok(labels.into_iter().map(|label| label as f32).collect()),
            Some(place) => Err(wrong(format!(
                "`labels` has rows of whole numbers, of which number {place} is {}, expected 0 or 1; values are F32",
                labels[place]
            ))),
        };
    }
    let (start, end) = info.data_offsets;
    let rows: Vec<f32> = source.with(data_start + start as u64, end - start, |bytes| {
        bytes.as_chunks::<4>().0.iter().map(|&number| f32::from_le_bytes(number)).collect()
    })?;
    match rows.iter().position(|number| !number.is_finite()) {
        None => Ok(rows),
        Some(place) => Err(wrong(format!("number {place} of `labels` is not finite"))),
    }
}

fn read_labels(source: &Source, info: &TensorInfo, data_start: u64) -> Result<Vec<u32>> {
    let wrong = |what: String| Error::format(format!("{}: {what}", source.name()));
    let Some((width, number)) = whole(info.dtype) else {
        let found = info.dtype;
        return Err(wrong(format!("`labels` has the type {found:?}, expected U8, I32, U32, I64 or F32")));
    };
    let (start, end) = info.data_offsets;
    // The header's conversion has checked that the bytes are as many as shape and type say.
    source.with(data_start + start as u64, end - start, |bytes| {
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
