//! Opens a data set by what lies at a path.

use super::cifar::CifarKind;
use super::{Dataset, cifar, idx, safetensors};
use crate::error::{Error, Result};
use crate::signature::Signature;
use std::path::{Path, PathBuf};

/// The part of a data set that is learned from, or the part that it is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Learned from.
    Train,
    /// Judged by.
    Test,
}

/// Opens one split of the data set at `path`.
///
/// A directory may hold IDX files (`train-images-idx3-ubyte`, also with a dot before `idx3`, plain or `.gz`, and so
/// on), CIFAR-10 or CIFAR-100 in their binary versions (also in the folders that their archives unpack into), or
/// `train.safetensors` and `test.safetensors`. A single safetensors file has one split only and is
/// opened whichever is asked for; who needs two must give a directory.
///
/// # Errors
/// `Io` when something cannot be read; `Format` when nothing known or more than one set lies there, or
/// its files are not what they should be. Files of many other formats are told by their first bytes, and what to do
/// with them is said.
pub fn open(path: &Path, split: Split) -> Result<Box<dyn Dataset>> {
    let metadata = std::fs::metadata(path).map_err(|cause| Error::io(path, cause))?;
    if !metadata.is_dir() {
        if metadata.is_file()
            && let Some(found) = Signature::of_file(path)
        {
            return Err(known(path, found));
        }
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            return Ok(Box::new(safetensors::TensorFile::open(path)?));
        }
        return Err(Error::format(format!(
            "{}: a single file must be a .safetensors file; of IDX and CIFAR files name the directory",
            path.display()
        )));
    }
    let cifar10 = cifar::found_in(path, CifarKind::Cifar10);
    let cifar100 = cifar::found_in(path, CifarKind::Cifar100);
    match (idx::found_in(path), cifar10, cifar100, safetensors::found_in(path)) {
        (true, None, None, false) => Ok(Box::new(idx::open_in(path, split)?)),
        (false, Some(folder), None, false) => {
            Ok(Box::new(cifar::open_in(&folder, CifarKind::Cifar10, split)?))
        }
        (false, None, Some(folder), false) => {
            Ok(Box::new(cifar::open_in(&folder, CifarKind::Cifar100, split)?))
        }
        (false, None, None, true) => Ok(Box::new(safetensors::open_in(path, split)?)),
        (false, None, None, false) => Err(nothing_found(path)),
        _ => Err(Error::format(format!(
            "{}: more than one data set lies here; name a directory with only one",
            path.display()
        ))),
    }
}

/// Whether `directory` holds files that [`open`] reads.
pub fn holds_numbers(directory: &Path) -> bool {
    let kinds = [CifarKind::Cifar10, CifarKind::Cifar100];
    idx::found_in(directory)
        || safetensors::found_in(directory)
        || kinds.into_iter().any(|kind| cifar::found_in(directory, kind).is_some())
}

/// The error of a file of a kind that is known and not read.
fn known(path: &Path, found: Signature) -> Error {
    Error::format(format!(
        "{}: this is {}, which cannot be read here: {}",
        path.display(),
        found.what,
        found.advice_for_data()
    ))
}

fn nothing_found(directory: &Path) -> Error {
    const NAMED: usize = 5;
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(cause) => return Error::io(directory, cause),
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    if let Some((path, found)) = (1..=DEPTH).find_map(|depth| known_beneath(directory, depth)) {
        return known_in(directory, &path, found);
    }
    let names: Vec<String> =
        paths.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect();
    let found = match names.len() {
        0 => "nothing".into(),
        count if count <= NAMED => names.join(", "),
        count => format!("{} and {} more", names[..NAMED].join(", "), count - NAMED),
    };
    Error::format(format!("{}: looked for {LOOKED_FOR}, found {found}", directory.display()))
}

/// Folders below a directory in which its files may lie, such as train/cat, and one.
const DEPTH: usize = 3;
/// Files and folders of each that are looked at.
const LOOKED_AT: usize = 100;

/// The first file that is known, so many levels down.
fn known_beneath(directory: &Path, depth: usize) -> Option<(PathBuf, Signature)> {
    let entries = std::fs::read_dir(directory).ok()?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.into_iter().take(LOOKED_AT).find_map(|path| match depth {
        1 if path.is_file() => Signature::of_file(&path).map(|found| (path, found)),
        2.. if path.is_dir() => known_beneath(&path, depth - 1),
        _ => None,
    })
}

const LOOKED_FOR: &str = "IDX files (train-images-idx3-ubyte or .gz), CIFAR-10 (data_batch_1.bin), CIFAR-100 (train.bin) \
                          and train.safetensors";

/// The error of a directory with a file of a kind that is known and not read.
fn known_in(directory: &Path, path: &Path, found: Signature) -> Error {
    let name = path.strip_prefix(directory).unwrap_or(path);
    Error::format(format!(
        "{}: looked for {LOOKED_FOR}; {} is {}, which cannot be read here: {}",
        directory.display(),
        name.display(),
        found.what,
        found.advice_for_data()
    ))
}
