//! CIFAR-10 and CIFAR-100: their versions for Python, which are pickles of dictionaries with `data`, `[N, 3072]` bytes in
//! three planes, and `labels` or `fine_labels`, and their binary versions where they lie in an archive.
//!
//! See <https://www.cs.toronto.edu/~kriz/cifar.html>.

use crate::files::Files;
use crate::images::{Images, Values, check_fits};
use crate::listing::Part;
use crate::pickle::Pickle;
use localgrad::data::ImageShape;
use localgrad::{Error, Result};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };

/// One of the two sets in one of its versions.
struct Distribution {
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    encoding: Encoding,
    /// The file of the names of its classes.
    meta: &'static str,
    classes: usize,
}

#[derive(Clone, Copy)]
enum Encoding {
    /// Pickles, with the keys of labels and of names.
    Pickles(&'static str, &'static str),
    /// Records of so many labels, of which the last counts, and an image.
    Records(usize),
}

const DISTRIBUTIONS: [Distribution; 4] = [
    Distribution {
        folder: "cifar-10-batches-py",
        train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
        test: "test_batch",
        encoding: Encoding::Pickles("labels", "label_names"),
        meta: "batches.meta",
        classes: 10,
    },
    Distribution {
        folder: "cifar-100-python",
        train: &["train"],
        test: "test",
        encoding: Encoding::Pickles("fine_labels", "fine_label_names"),
        meta: "meta",
        classes: 100,
    },
    Distribution {
        folder: "cifar-10-batches-bin",
        train: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
        ],
        test: "test_batch.bin",
        encoding: Encoding::Records(1),
        meta: "batches.meta.txt",
        classes: 10,
    },
    Distribution {
        folder: "cifar-100-binary",
        train: &["train.bin"],
        test: "test.bin",
        encoding: Encoding::Records(2),
        meta: "fine_label_names.txt",
        classes: 100,
    },
];

impl Distribution {
    fn files(&self, part: Part) -> &[&'static str] {
        match part {
            Part::Train | Part::All => self.train,
            Part::Judge | Part::Test => std::slice::from_ref(&self.test),
        }
    }
}

/// A set in `files`, and what to put before its files' names.
fn found(files: &Files<'_>) -> Option<(&'static Distribution, String)> {
    DISTRIBUTIONS.iter().find_map(|kind| {
        // Of CIFAR-100 the names are anybody's: the folder's own, or that of the names of classes, must be there, too.
        let is_it = |place: &String| {
            let folder = format!("{}/{place}", files.name());
            kind.classes == 10
                || files.holds(&format!("{place}{}", kind.meta))
                || folder.trim_end_matches('/').ends_with(kind.folder)
        };
        let places = [kind.train[0], kind.test].map(|file| files.places(file, kind.folder));
        places.into_iter().flatten().find(is_it).map(|place| (kind, place))
    })
}

/// Whether there is a set in `files`.
pub fn holds(files: &Files<'_>) -> bool {
    found(files).is_some()
}

/// Whether a part of a set needs a file of that path.
pub fn needs(path: &str, part: Part) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    DISTRIBUTIONS.iter().any(|kind| name == kind.meta || kind.files(part).contains(&name))
}

/// Opens a part of the set in `files`.
///
/// # Errors
/// `Io` when a file cannot be read, `Format` when one is missing or not what it should be.
pub fn open(files: &Files<'_>, part: Part) -> Result<Images> {
    let Some((kind, place)) = found(files) else {
        return Err(Error::format(format!("{}: expected CIFAR, found none", files.name())));
    };
    let (mut bytes, mut labels) = (Vec::new(), Vec::new());
    for file in kind.files(part) {
        let path = format!("{place}{file}");
        let (file, name) = (files.bytes(&path)?, format!("{}/{path}", files.name()));
        match kind.encoding {
            Encoding::Pickles(key, _) => add_pickle(&name, &file, key, &mut bytes, &mut labels)?,
            Encoding::Records(label_bytes) => {
                add_records(&name, &file, label_bytes, &mut bytes, &mut labels)?
            }
        }
    }
    let names = class_names(files, &format!("{place}{}", kind.meta), kind);
    Images::new(&files.name(), SHAPE, Values::Bytes(bytes), labels, (kind.classes, names))
}

/// Appends an image out of its three planes.
fn add_image(bytes: &mut Vec<u8>, image: &[u8]) {
    let plane = image.len() / SHAPE.channels;
    bytes.extend((0..plane).flat_map(|place| [image[place], image[plane + place], image[2 * plane + place]]));
}

/// The images and labels of a file of records.
fn add_records(
    name: &str,
    file: &[u8],
    label_bytes: usize,
    bytes: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<()> {
    let record = label_bytes + SHAPE.elements();
    if file.is_empty() || !file.len().is_multiple_of(record) {
        return Err(Error::format(format!(
            "{name}: {} bytes, expected one or more records of {record} bytes",
            file.len()
        )));
    }
    check_fits(bytes.len() + file.len(), "the images")?;
    bytes.reserve_exact(file.len() / record * SHAPE.elements());
    for record in file.chunks_exact(record) {
        let (found, image) = record.split_at(label_bytes);
        labels.extend(found.last().map(|&label| u32::from(label)));
        add_image(bytes, image);
    }
    Ok(())
}

/// The images and labels of a pickle, these under `key`.
fn add_pickle(name: &str, file: &[u8], key: &str, bytes: &mut Vec<u8>, labels: &mut Vec<u32>) -> Result<()> {
    let wrong = |what: String| Error::format(format!("{name}: {what}"));
    let pickle = Pickle::read(file).map_err(|cause| cause.at(name))?;
    let data = pickle.get("data").and_then(|id| pickle.byte_array(id));
    let size = SHAPE.elements();
    let data = data.filter(|data| matches!(data.shape[..], [_, row] if row == size));
    let data =
        data.ok_or_else(|| wrong(format!("expected `data`, an array of bytes [N, {size}], found none")))?;
    let found = pickle.get(key).and_then(|id| pickle.ints(id));
    let found =
        found.ok_or_else(|| wrong(format!("expected `{key}`, a list of whole numbers, found none")))?;
    if found.len() * size != data.bytes.len() {
        return Err(wrong(format!(
            "{} images and {} labels, expected as many",
            data.bytes.len() / size,
            found.len()
        )));
    }
    check_fits(bytes.len() + data.bytes.len(), "the images")?;
    bytes.reserve_exact(data.bytes.len());
    for image in data.bytes.chunks_exact(size) {
        add_image(bytes, image);
    }
    for label in found {
        labels.push(u32::try_from(label).map_err(|_| wrong(format!("the label {label} is none")))?);
    }
    Ok(())
}

/// The names in the file that comes with the set; none where it is missing or not what it should be.
fn class_names(files: &Files<'_>, path: &str, kind: &Distribution) -> Vec<String> {
    let Ok(file) = files.bytes(path) else { return Vec::new() };
    let names = match kind.encoding {
        Encoding::Pickles(_, key) => {
            Pickle::read(&file).ok().and_then(|pickle| pickle.texts(pickle.get(key)?))
        }
        Encoding::Records(_) => String::from_utf8(file).ok().map(|text| {
            text.lines().map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect()
        }),
    };
    match names {
        Some(names) if names.len() == kind.classes => names,
        _ => {
            log::warn!("{}/{path}: no {} names; classes go by number", files.name(), kind.classes);
            Vec::new()
        }
    }
}
