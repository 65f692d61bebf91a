//! CIFAR-10 and CIFAR-100 in their versions for Python: pickles of dictionaries with `data`, `[N, 3072]` bytes in three
//! planes, and `labels` or `fine_labels`.
//!
//! See <https://www.cs.toronto.edu/~kriz/cifar.html>.

use crate::images::{Images, room, whole_file};
use crate::listing::Part;
use crate::pickle::Pickle;
use localgrad::data::ImageShape;
use localgrad::{Error, Result};
use std::path::{Path, PathBuf};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

/// One of the two sets.
struct Kind {
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    labels: &'static str,
    meta: &'static str,
    names: &'static str,
    classes: usize,
}

const KINDS: [Kind; 2] = [
    Kind {
        folder: "cifar-10-batches-py",
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        labels: "labels",
        meta: "batches.meta",
        names: "label_names",
        classes: 10,
    },
    Kind {
        folder: "cifar-100-python",
        train: &["train"],
        test: "test",
        labels: "fine_labels",
        meta: "meta",
        names: "fine_label_names",
        classes: 100,
    },
];

/// The folder of a set in `directory`, or the directory itself.
fn found(directory: &Path) -> Option<(&'static Kind, PathBuf)> {
    KINDS.iter().find_map(|kind| {
        let folders = [directory.to_path_buf(), directory.join(kind.folder)];
        let holds =
            |folder: &PathBuf| folder.join(kind.train[0]).is_file() || folder.join(kind.test).is_file();
        // Of CIFAR-100 the names are anybody's: the folder's own, or that of the names of classes, must be there, too.
        let is_it = |folder: &PathBuf| {
            kind.classes == 10 || folder.join(kind.meta).is_file() || folder.ends_with(kind.folder)
        };
        folders.into_iter().find(|folder| holds(folder) && is_it(folder)).map(|folder| (kind, folder))
    })
}

/// Whether there is a set in `directory`.
pub fn holds(directory: &Path) -> bool {
    found(directory).is_some()
}

/// Opens a part of the set in `directory`.
///
/// # Errors
/// `Io` when a file cannot be read, `Format` when one is missing or not what it should be.
pub fn open(directory: &Path, part: Part) -> Result<Images> {
    let Some((kind, folder)) = found(directory) else {
        return Err(Error::format(format!("{}: expected CIFAR in pickles, found none", directory.display())));
    };
    let files = match part {
        Part::Train | Part::All => kind.train,
        Part::Judge | Part::Test => &[kind.test],
    };
    let (mut bytes, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        let path = folder.join(file);
        add(&path, &whole_file(&path)?, kind, &mut bytes, &mut labels)?;
    }
    let names = class_names(&folder.join(kind.meta), kind);
    Images::new(&folder.display().to_string(), SHAPE, bytes, labels, (kind.classes, names))
}

/// The images and labels of a file.
fn add(path: &Path, file: &[u8], kind: &Kind, bytes: &mut Vec<u8>, labels: &mut Vec<u32>) -> Result<()> {
    let wrong = |what: String| Error::format(format!("{}: {what}", path.display()));
    let pickle = Pickle::read(file).map_err(|cause| cause.at(path.display()))?;
    let data = pickle.get("data").and_then(|id| pickle.byte_array(id));
    let size = SHAPE.elements();
    let data = data.filter(|data| matches!(data.shape[..], [_, row] if row == size));
    let data =
        data.ok_or_else(|| wrong(format!("expected `data`, an array of bytes [N, {size}], found none")))?;
    let found = pickle.get(kind.labels).and_then(|id| pickle.ints(id));
    let found = found
        .ok_or_else(|| wrong(format!("expected `{}`, a list of whole numbers, found none", kind.labels)))?;
    if found.len() * size != data.bytes.len() {
        return Err(wrong(format!(
            "{} images and {} labels, expected as many",
            data.bytes.len() / size,
            found.len()
        )));
    }
    room(bytes.len() + data.bytes.len(), "the images")?;
    bytes.reserve_exact(data.bytes.len());
    for image in data.bytes.chunks_exact(size) {
        let plane = size / SHAPE.channels;
        bytes.extend(
            (0..plane).flat_map(|place| [image[place], image[plane + place], image[2 * plane + place]]),
        );
    }
    for label in found {
        labels.push(u32::try_from(label).map_err(|_| wrong(format!("the label {label} is none")))?);
    }
    Ok(())
}

/// The names in the file that comes with the set; none where it is missing or not what it should be.
fn class_names(path: &Path, kind: &Kind) -> Vec<String> {
    let Ok(file) = whole_file(path) else { return Vec::new() };
    let names = Pickle::read(&file).ok().and_then(|pickle| pickle.texts(pickle.get(kind.names)?));
    match names {
        Some(names) if names.len() == kind.classes => names,
        _ => {
            log::warn!("{}: no {} names; classes go by number", path.display(), kind.classes);
            Vec::new()
        }
    }
}
