//! What lies at a path.

use crate::encoded::Encoded;
use crate::folder::Folder;
use crate::images::whole_file;
use crate::listing::{Listing, Part};
use crate::{cifar, mat, stl};
use image::ImageReader;
use localgrad::data::{Dataset, Split};
use localgrad::{Error, Result};
use std::io::Cursor;
use std::path::Path;

/// What was found.
pub enum Found {
    /// Images of one size, which [`numbers`] opens.
    Numbers,
    /// Pictures of any size.
    Pictures(Box<Collection>),
}

/// Pictures with their classes.
pub struct Collection {
    folder: Folder,
}

/// Looks for what lies at `path`, without decoding any of it.
///
/// # Errors
/// `Io` when something cannot be read; `Format` when it is not what it should be.
pub fn look(path: &Path) -> Result<Found> {
    let metadata = std::fs::metadata(path).map_err(|cause| Error::io(path, cause))?;
    let is_set = cifar::holds(path) || mat::holds(path) || stl::holds(path);
    if !metadata.is_dir() || is_set || localgrad::data::open::holds_numbers(path) {
        return Ok(Found::Numbers);
    }
    if let Some(folder) = Folder::open(path)? {
        return Ok(Found::Pictures(Box::new(Collection { folder })));
    }
    let loose = crate::folder::pictures_below(path)?;
    match loose.first() {
        None => Ok(Found::Numbers),
        Some(first) => Err(Error::format(format!(
            "{}: {} pictures such as {} lie in no folder of a class; put those of each class into a folder: cat/1.jpg, dog/1.jpg",
            path.display(),
            loose.len(),
            first.strip_prefix(path).unwrap_or(first).display()
        ))),
    }
}

/// Pictures whose size is looked at.
const LOOKED_AT: usize = 64;

impl Collection {
    /// The pictures of a part; where there are no parts, `seed` draws them.
    ///
    /// # Errors
    /// `Format` or `Config` when it has none.
    pub fn part(&self, part: Part, seed: u64) -> Result<Listing> {
        self.folder.part(part, seed)
    }

    /// Whether it comes in parts, rather than as one whole of which some is to be held out.
    pub fn has_parts(&self) -> bool {
        self.folder.has_parts()
    }

    /// The pictures to learn from, or all of them where there are no parts.
    pub fn whole(&self) -> &Listing {
        self.folder.whole()
    }

    /// The median of the shorter sides of some of the pictures, in pixels; none if none can be read.
    pub fn shorter_side(&self) -> Option<usize> {
        let items = &self.whole().items;
        let every = items.len().div_ceil(LOOKED_AT).max(1);
        let mut sides: Vec<usize> =
            items.iter().step_by(every).filter_map(|item| shorter_side(&item.encoded)).collect();
        sides.sort_unstable();
        sides.get(sides.len() / 2).copied()
    }
}

fn shorter_side(encoded: &Encoded) -> Option<usize> {
    let bytes = encoded.bytes().ok()?;
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().ok()?;
    let (width, height) = reader.into_dimensions().ok()?;
    Some(width.min(height) as usize)
}

/// Opens images of one size: CIFAR in pickles, SVHN, STL-10, or what the runtime reads itself. A single MATLAB file is
/// opened whichever split is asked for, as a safetensors file is.
///
/// # Errors
/// `Io` when a file cannot be read, `Format` when it is not what it should be or nothing known lies at `path`.
pub fn numbers(path: &Path, split: Split) -> Result<Box<dyn Dataset>> {
    let part = if split == Split::Train { Part::Train } else { Part::Test };
    let is_mat = path.is_file() && path.extension().is_some_and(|ending| ending == "mat");
    let own = if localgrad::data::open::holds_numbers(path) {
        None
    } else if is_mat {
        Some(mat::from_bytes(&whole_file(path)?, &path.display().to_string())?)
    } else if cifar::holds(path) {
        Some(cifar::open(path, part)?)
    } else if mat::holds(path) {
        Some(mat::open(path, part)?)
    } else if stl::holds(path) {
        Some(stl::open(path, part)?)
    } else {
        None
    };
    match own {
        Some(images) => Ok(Box::new(images)),
        None => localgrad::data::open(path, split),
    }
}
