//! Images of one size, or tokens, out of files of numbers, held in memory.

use localgrad::data::{Dataset, ImageShape};
use localgrad::inputs::{Inputs, Tokens};
use localgrad::targets::TargetKind;
use localgrad::{Error, ErrorKind, Result};

/// Labelled images of one size.
pub struct Images {
    shape: ImageShape,
    values: Values,
    labels: Vec<u32>,
    /// One an image, or none at all.
    sample_names: Vec<String>,
    class_names: Vec<String>,
    classes: usize,
    kind: TargetKind,
    /// `[N, classes]` where they are no classes; else none.
    rows: Vec<f32>,
}

/// The numbers of images `[N, H, W, C]`.
pub enum Values {
    /// 0 to 255, which stand for 0 to 1.
    Bytes(Vec<u8>),
    /// As they are.
    Floats(Vec<f32>),
    /// Tokens `[N, T]`, all below a vocabulary of so many.
    Tokens(Vec<u32>, usize),
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Floats(floats) => floats.len(),
            Self::Tokens(tokens, _) => tokens.len(),
        }
    }
}

impl Images {
    /// Images out of `name`. There are as many classes as names, or where these are none as many as `classes`.
    ///
    /// # Shapes
    /// `values`: `[N, H, W, C]` of `shape`; `labels`: `[N]`.
    ///
    /// # Errors
    /// `Format` when there is no image, a label is missing or is that of no class.
    pub fn new(
        name: &str,
        shape: ImageShape,
        values: Values,
        labels: Vec<u32>,
        (classes, class_names): (usize, Vec<String>),
    ) -> Result<Self> {
        let images = values.len() / shape.elements().max(1);
        if images == 0 || labels.len() != images || images * shape.elements() != values.len() {
            return Err(Error::format(format!(
                "{name}: {images} images of {shape} and {} labels, expected as many, and at least one",
                labels.len()
            )));
        }
        let classes = if class_names.is_empty() { classes } else { class_names.len() };
        if let Some((place, label)) = labels.iter().enumerate().find(|(_, label)| **label as usize >= classes)
        {
            return Err(Error::format(format!(
                "{name}: image {place} has the label {label}, expected one of {classes}"
            )));
        }
        let (sample_names, kind, rows) = (Vec::new(), TargetKind::Class, Vec::new());
        Ok(Self { shape, values, labels, sample_names, class_names, classes, kind, rows })
    }

    /// The same images with labels or values, a row of as many numbers for each as there are classes.
    ///
    /// # Errors
    /// `Format` when there are more or fewer.
    pub fn with_rows(mut self, name: &str, kind: TargetKind, rows: Vec<f32>) -> Result<Self> {
        if rows.len() != self.labels.len() * self.classes {
            return Err(Error::format(format!(
                "{name}: {} {} for {} images, expected {} each",
                rows.len(),
                kind.noun(),
                self.labels.len(),
                self.classes
            )));
        }
        (self.kind, self.rows) = (kind, rows);
        Ok(self)
    }

    /// The same images, each with a name, such as its file's.
    pub(crate) fn named(mut self, sample_names: Vec<String>) -> Self {
        debug_assert_eq!(sample_names.len(), self.labels.len());
        self.sample_names = sample_names;
        self
    }
}

impl Dataset for Images {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn input(&self) -> Inputs {
        let ImageShape { channels, height, width } = self.shape;
        match self.values {
            Values::Tokens(_, vocabulary) => Inputs::Tokens(Tokens { length: width, vocabulary }),
            Values::Bytes(_) | Values::Floats(_) => Inputs::Pixels([channels, height, width]),
        }
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn sample_name(&self, index: usize) -> Option<&str> {
        self.sample_names.get(index).map(String::as_str)
    }

    fn label(&self, index: usize) -> Result<u32> {
        let label = self.labels.get(index).copied();
        label.ok_or_else(|| Error::config(format!("sample {index} was asked for, of {}", self.len())))
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
        let label = self.label(index)?;
        let size = self.shape.elements();
        if pixels.len() != size {
            return Err(Error::shape(format!(
                "an image of {} does not fit {} numbers",
                self.shape,
                pixels.len()
            )));
        }
        let own = index * size..(index + 1) * size;
        match &self.values {
            Values::Bytes(bytes) => {
                for (pixel, &byte) in pixels.iter_mut().zip(&bytes[own]) {
                    *pixel = f32::from(byte) / 255.0;
                }
            }
            Values::Floats(floats) => pixels.copy_from_slice(&floats[own]),
            Values::Tokens(tokens, _) => {
                pixels.iter_mut().zip(&tokens[own]).for_each(|(pixel, &token)| *pixel = token as f32);
            }
        }
        Ok(label)
    }

    fn resident_bytes(&self) -> usize {
        let names: usize = self.sample_names.iter().map(|name| name.capacity() + size_of::<String>()).sum();
        let values = match &self.values {
            Values::Bytes(bytes) => bytes.capacity(),
            Values::Floats(floats) => size_of_val(floats.as_slice()),
            Values::Tokens(tokens, _) => size_of_val(tokens.as_slice()),
        };
        values + size_of_val(self.labels.as_slice()) + size_of_val(self.rows.as_slice()) + names
    }
}

/// Room for so many numbers, or a refusal.
pub(crate) fn room<T>(count: usize, what: &str) -> Result<Vec<T>> {
    let bytes = count.saturating_mul(size_of::<T>());
    check_fits(bytes, what)?;
    let mut room = Vec::new();
    room.try_reserve_exact(count).map_err(|_| refused(bytes, what, "which cannot be had"))?;
    Ok(room)
}

/// Refuses what no memory that there is can hold.
pub(crate) fn check_fits(bytes: usize, what: &str) -> Result<()> {
    match localgrad::memory::ceiling().filter(|ceiling| ceiling.bytes < bytes) {
        Some(ceiling) => {
            Err(refused(bytes, what, &format!("and {} bytes are {}", ceiling.bytes, ceiling.reason)))
        }
        None => Ok(()),
    }
}

fn refused(bytes: usize, what: &str, why: &str) -> Error {
    Error::new(ErrorKind::Memory, format!("{what} take {bytes} bytes, {why}"))
}

/// The whole of a file.
pub(crate) fn whole_file(path: &std::path::Path) -> Result<Vec<u8>> {
    let io = |cause| Error::io(path, cause);
    let metadata = std::fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(Error::format(format!("{}: expected a file, found something else", path.display())));
    }
    check_fits(usize::try_from(metadata.len()).unwrap_or(usize::MAX), &path.display().to_string())?;
    std::fs::read(path).map_err(io)
}
