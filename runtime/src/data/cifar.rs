//! The binary versions of CIFAR-10 and CIFAR-100: records of labels and three 32x32 planes of bytes.
//!
//! See <https://www.cs.toronto.edu/~kriz/cifar.html>.

use super::source::Source;
use super::{Dataset, ImageShape, Split, check_read, from_byte, interleave, no_sample};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
const PIXELS: usize = 3 * 32 * 32;
/// The 100 classes are grouped into so many.
const COARSE_CLASSES: u8 = 20;
/// Records that labels are taken from at once: one read of a hundred kilobytes is faster than many of a byte.
const AT_ONCE: u64 = 32;
/// Far more than a hundred names take.
const MAX_NAMES_BYTES: u64 = 64 << 10;

/// Which of the two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CifarKind {
    /// 10 classes; a record is a label and 3072 pixels.
    Cifar10,
    /// 100 classes; a record is a coarse label, a fine label and 3072 pixels. The fine label counts.
    Cifar100,
}

impl CifarKind {
    fn classes(self) -> u8 {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
        }
    }

    fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100 => 2,
        }
    }

    fn record_bytes(self) -> u64 {
        (self.label_bytes() + PIXELS) as u64
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 => "CIFAR-100",
        }
    }

    fn names_file(self) -> &'static str {
        match self {
            Self::Cifar10 => "batches.meta.txt",
            Self::Cifar100 => "fine_label_names.txt",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar-10-batches-bin",
            Self::Cifar100 => "cifar-100-binary",
        }
    }

    fn file_names(self, split: Split) -> &'static [&'static str] {
        match (self, split) {
            (Self::Cifar10, Split::Train) => &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            (Self::Cifar10, Split::Test) => &["test_batch.bin"],
            (Self::Cifar100, Split::Train) => &["train.bin"],
            (Self::Cifar100, Split::Test) => &["test.bin"],
        }
    }
}

/// CIFAR images, read from their files as they are needed; only the labels stay in memory.
pub struct Cifar {
    kind: CifarKind,
    files: Vec<CifarFile>,
    labels: Vec<u8>,
    class_names: Vec<String>,
}

/// One file and the index of its first sample in the whole.
struct CifarFile {
    source: Source,
    first: usize,
}

impl Cifar {
    /// Opens the given files as one set, in the given order.
    ///
    /// # Errors
    /// `Io` when a file cannot be read; `Format` when one is empty, is not whole records or has a label
    /// that its set has not.
    pub fn open(kind: CifarKind, files: &[PathBuf]) -> Result<Self> {
        let mut set = Self::empty(kind);
        for path in files {
            set.add(Source::open(path)?)?;
        }
        if set.labels.is_empty() {
            return Err(Error::config(format!("{} was opened without a file", kind.name())));
        }
        Ok(set)
    }

    /// One file out of memory. `name` is what error messages call it.
    ///
    /// # Errors
    /// `Format`, as for `open`.
    pub fn from_bytes(kind: CifarKind, bytes: &[u8], name: &str) -> Result<Self> {
        let mut set = Self::empty(kind);
        set.add(Source::memory(name, bytes.to_vec()))?;
        Ok(set)
    }

    fn empty(kind: CifarKind) -> Self {
        Self { kind, files: Vec::new(), labels: Vec::new(), class_names: Vec::new() }
    }

    fn add(&mut self, source: Source) -> Result<()> {
        let (kind, record) = (self.kind, self.kind.record_bytes());
        if source.len() == 0 || !source.len().is_multiple_of(record) {
            return Err(Error::format(format!(
                "{}: {} bytes, expected one or more {} records of {record} bytes",
                source.name(),
                source.len(),
                kind.name()
            )));
        }
        let first = self.labels.len();
        // No more than the file has bytes, so the conversion loses nothing.
        self.labels.reserve_exact((source.len() / record) as usize);
        let records = source.len() / record;
        for start in (0..records).step_by(AT_ONCE as usize) {
            let count = AT_ONCE.min(records - start);
            // No more than `AT_ONCE` records, so the conversions lose nothing.
            let bytes = (count * record) as usize;
            source.with(start * record, bytes, |bytes| {
                let labels = bytes.chunks_exact(record as usize).map(|record| &record[..kind.label_bytes()]);
                labels.zip(start..).try_for_each(|(labels, index)| self.add_label(&source, index, labels))
            })??;
        }
        self.files.push(CifarFile { source, first });
        Ok(())
    }

    /// Takes the label of record `index`, of which `labels` are the first bytes.
    fn add_label(&mut self, source: &Source, index: u64, labels: &[u8]) -> Result<()> {
        let kind = self.kind;
        let fine = labels[labels.len() - 1];
        if fine >= kind.classes() {
            return Err(wrong_label(source, index, "label", fine, kind.classes()));
        }
        if labels.len() == 2 && labels[0] >= COARSE_CLASSES {
            return Err(wrong_label(source, index, "coarse label", labels[0], COARSE_CLASSES));
        }
        self.labels.push(fine);
        Ok(())
    }
}

fn wrong_label(source: &Source, index: u64, what: &str, label: u8, classes: u8) -> Error {
    Error::format(format!(
        "{}: record {index} has the {what} {label}, expected one of 0 to {}",
        source.name(),
        classes - 1
    ))
}

impl Dataset for Cifar {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn shape(&self) -> ImageShape {
        SHAPE
    }

    fn classes(&self) -> usize {
        self.kind.classes().into()
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn label(&self, index: usize) -> Result<u32> {
        self.labels.get(index).map(|&label| label.into()).ok_or_else(|| no_sample(index, self.len()))
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        check_read(index, self.len(), pixels, SHAPE)?;
        // The first file begins at sample 0, so there is always one at or before `index`.
        let part = &self.files[self.files.partition_point(|part| part.first <= index) - 1];
        let record = (index - part.first) as u64 * self.kind.record_bytes();
        let offset = record + self.kind.label_bytes() as u64;
        part.source.with(offset, PIXELS, |planes| {
            interleave(SHAPE.channels, pixels, |i| from_byte(planes[i]));
        })?;
        self.label(index)
    }

    fn resident_bytes(&self) -> usize {
        self.labels.capacity()
    }
}

/// The folder with files of this kind: `directory` itself or the folder that the archive unpacks into.
pub(super) fn found_in(directory: &Path, kind: CifarKind) -> Option<PathBuf> {
    [directory.to_path_buf(), directory.join(kind.folder())].into_iter().find(|folder| {
        [Split::Train, Split::Test]
            .iter()
            .flat_map(|&split| kind.file_names(split))
            .any(|name| folder.join(name).is_file())
    })
}

/// Opens the split of the set that `found_in` found in `folder`.
pub(super) fn open_in(folder: &Path, kind: CifarKind, split: Split) -> Result<Cifar> {
    let names = kind.file_names(split);
    if let Some(missing) = names.iter().find(|name| !folder.join(name).is_file()) {
        return Err(Error::format(format!(
            "{}: expected {} beside the other {} files, found none",
            folder.display(),
            missing,
            kind.name()
        )));
    }
    let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let mut set = Cifar::open(kind, &files)?;
    set.class_names = class_names(&folder.join(kind.names_file()), kind);
    Ok(set)
}

/// The names in the file that the archive brings, one a line; none where it is missing or is not what it should be.
fn class_names(path: &Path, kind: CifarKind) -> Vec<String> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    let mut text = String::new();
    let names: Vec<String> = match file.take(MAX_NAMES_BYTES).read_to_string(&mut text) {
        Ok(_) => text.lines().map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect(),
        Err(_) => Vec::new(),
    };
    if names.len() == usize::from(kind.classes()) {
        return names;
    }
    let (found, wanted) = (names.len(), kind.classes());
    log::warn!("{}: {found} names where {wanted} are expected; classes go by number", path.display());
    Vec::new()
}
