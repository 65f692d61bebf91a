//! What lies at a path.

use crate::archive::{self, Archive, ArchiveKind, Want};
use crate::collection::Collection;
use crate::files::Files;
use crate::images::whole_file;
use crate::listing::Part;
use crate::{archived, cifar, folder, list, mat, mnist, npz, parquet, shards, stl};
use localgrad::data::{Dataset, Split};
use localgrad::{Error, Result};
use std::path::Path;

/// What was found.
pub enum Found {
    /// Images of one size, which [`numbers`] opens.
    Numbers,
    /// Pictures of any size.
    Pictures(Box<Collection>),
}

/// Looks for what lies at `path`, without decoding any of it. Braces may stand for several archives (`{000..009}`).
///
/// # Errors
/// `Io` when something cannot be read; `Format` when it is not what it should be.
pub fn look(path: &Path) -> Result<Found> {
    let pictures = |collection| Ok(Found::Pictures(Box::new(collection)));
    if !path.exists()
        && let Some(found) = shards::found(path)?
    {
        return pictures(shards::collection(&path.display().to_string(), found)?);
    }
    let metadata = std::fs::metadata(path).map_err(|cause| Error::io(path, cause))?;
    let tables = parquet::found(path)?;
    if !tables.is_empty() {
        return pictures(parquet::collection(&path.display().to_string(), tables)?);
    }
    if !metadata.is_dir() {
        return match in_file(path)? {
            Some(collection) => pictures(collection),
            None => Ok(Found::Numbers),
        };
    }
    if holds_numbers(path) {
        return Ok(Found::Numbers);
    }
    if let Some(collection) = list::open_in(path)? {
        return pictures(collection);
    }
    if let Some(found) = shards::found(path)? {
        return pictures(shards::collection(&path.display().to_string(), found)?);
    }
    if let Some(collection) = folder::open(path)? {
        return pictures(collection);
    }
    let loose = folder::pictures_below(path)?;
    match loose.first() {
        None => Ok(Found::Numbers),
        Some(first) => Err(Error::format(format!(
            "{}: {} pictures such as {} lie in no folder of a class; put those of each class into a folder: cat/1.jpg, \
             dog/1.jpg, or list them in labels.csv: path,label",
            path.display(),
            loose.len(),
            first.strip_prefix(path).unwrap_or(first).display()
        ))),
    }
}

/// Whether a directory holds images of one size.
fn holds_numbers(path: &Path) -> bool {
    let files = Files::Folder(path);
    localgrad::data::open::holds_numbers(path)
        || cifar::holds(&files)
        || mat::holds(path)
        || stl::holds(&files)
        || npz::holds(path)
        || mnist::holds(path)
}

/// The pictures that a single file lists or holds; none where it holds images of one size.
fn in_file(path: &Path) -> Result<Option<Collection>> {
    if npz::holds(path) || mnist::holds(path) {
        return Ok(None);
    }
    let kind = archive::kind(path);
    if kind.is_none() {
        return if list::is_list(path) { list::open(path).map(Some) } else { Ok(None) };
    }
    let want = |path: &str| match archived::want(path) {
        Want::Not => shards::want(path),
        want => want,
    };
    let archive = Archive::open(path, &want)?;
    let files = Files::Archive(&archive);
    if cifar::holds(&files) || stl::holds(&files) {
        return Ok(None);
    }
    let name = archive.name.clone();
    if shards::is_shard(&archive) {
        return shards::collection(&name, vec![(None, path.to_path_buf())]).map(Some);
    }
    if let Some(collection) = archived::collection(archive)? {
        return Ok(Some(collection));
    }
    // What torch.save wrote is a zip archive, too, and the runtime says so.
    if kind == Some(ArchiveKind::Zip) {
        return Ok(None);
    }
    Err(Error::format(format!(
        "{name}: expected pictures in folders of classes (cat/1.jpg), pictures beside their labels (1.jpg, 1.cls), or CIFAR \
         or STL-10 in the archive, found none of these"
    )))
}

/// Opens images of one size: CIFAR in pickles or in an archive, MNIST's kin, SVHN, STL-10, NumPy's arrays, or what the
/// runtime reads itself. A single file without parts is opened whichever part is asked for.
///
/// # Errors
/// `Io` when a file cannot be read, `Format` when it is not what it should be or nothing known lies at `path`.
pub fn numbers(path: &Path, part: Part) -> Result<Box<dyn Dataset>> {
    let files = Files::Folder(path);
    let is_file = path.is_file();
    if mnist::holds(path) && !localgrad::data::open::holds_numbers(path) {
        return mnist::open(path, part);
    }
    let is_mat = is_file && path.extension().is_some_and(|ending| ending == "mat");
    let own = if localgrad::data::open::holds_numbers(path) {
        None
    } else if is_mat {
        Some(mat::from_bytes(&whole_file(path)?, &path.display().to_string())?)
    } else if npz::holds(path) {
        Some(npz::open(path, part)?)
    } else if is_file && archive::kind(path).is_some() {
        in_archive(path, part)?
    } else if cifar::holds(&files) {
        Some(cifar::open(&files, part)?)
    } else if mat::holds(path) {
        Some(mat::open(path, part)?)
    } else if stl::holds(&files) {
        Some(stl::open(&files, part)?)
    } else if npz::lies_in(path) {
        Some(npz::open(path, part)?)
    } else {
        None
    };
    let split = if matches!(part, Part::Train | Part::All) { Split::Train } else { Split::Test };
    match own {
        Some(images) => Ok(Box::new(images)),
        None => localgrad::data::open(path, split),
    }
}

/// The same where no labels are asked for: NumPy's arrays may come without them.
///
/// # Errors
/// As [`numbers`].
pub fn unlabelled(path: &Path, part: Part) -> Result<Box<dyn Dataset>> {
    match npz::holds(path) || (!holds_numbers(path) && npz::lies_in(path)) {
        true => Ok(Box::new(npz::open_unlabelled(path, part)?)),
        false => numbers(path, part),
    }
}

/// A part of the data set in an archive; none where it holds none that is known.
fn in_archive(path: &Path, part: Part) -> Result<Option<crate::Images>> {
    let is_needed = |path: &str| cifar::needs(path, part) || stl::needs(path, part);
    let want = |path: &str| if is_needed(path) { Want::Place } else { Want::Not };
    let archive = Archive::open(path, &want)?;
    let files = Files::Archive(&archive);
    Ok(if cifar::holds(&files) {
        Some(cifar::open(&files, part)?)
    } else if stl::holds(&files) {
        Some(stl::open(&files, part)?)
    } else {
        None
    })
}

/// Whether the images of one size at `path` have a part of their own to be judged by, as a single file seldom has.
///
/// # Errors
/// Those of opening it.
pub fn has_parts(path: &Path) -> Result<bool> {
    match path.is_file() {
        true if npz::holds(path) => npz::has_parts(path),
        true => Ok(mnist::holds(path) || archive::kind(path).is_some()),
        false => Ok(true),
    }
}
