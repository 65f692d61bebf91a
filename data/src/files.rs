//! Files by their names, wherever they lie: in a folder or in an archive.

use crate::archive::Archive;
use crate::images::whole_file;
use localgrad::{Error, Result};
use std::path::Path;

/// Where files lie.
#[derive(Clone, Copy)]
pub enum Files<'a> {
    /// In a folder.
    Folder(&'a Path),
    /// In an archive.
    Archive(&'a Archive),
}

impl Files<'_> {
    /// What people call the whole.
    pub fn name(&self) -> String {
        match self {
            Self::Folder(path) => path.display().to_string(),
            Self::Archive(archive) => archive.name.clone(),
        }
    }

    /// What to put before names of files that lie beside `file`, for each place where it is: in a folder itself or in its
    /// `folder`, in an archive anywhere.
    pub fn places(&self, file: &str, folder: &str) -> Vec<String> {
        match self {
            Self::Folder(path) => {
                let places = [String::new(), format!("{folder}/")];
                places.into_iter().filter(|place| path.join(format!("{place}{file}")).is_file()).collect()
            }
            Self::Archive(archive) => {
                let place = |path: &str| {
                    let place = path.strip_suffix(file)?;
                    (place.is_empty() || place.ends_with('/')).then(|| place.to_string())
                };
                archive.paths().filter_map(place).collect()
            }
        }
    }

    /// Whether there is a file of that path.
    pub fn holds(&self, path: &str) -> bool {
        match self {
            Self::Folder(folder) => folder.join(path).is_file(),
            Self::Archive(archive) => archive.paths().any(|found| found == path),
        }
    }

    /// The whole of a file.
    ///
    /// # Errors
    /// `Io` when it cannot be read; `Format` when it is missing; `Memory` when it does not fit into it.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        match self {
            Self::Folder(folder) => whole_file(&folder.join(path)),
            Self::Archive(archive) => {
                let found = archive.files.get(path).ok_or_else(|| {
                    Error::format(format!("{}: expected {path} in it, found none", archive.name))
                })?;
                let what = format!("{}: {path}", archive.name);
                Ok(found.bytes_within(u64::MAX, &what)?.into_owned())
            }
        }
    }
}
