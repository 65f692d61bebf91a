//! A folder of pictures in an archive, and ImageNet's training set, which is an archive of an archive for each class.

use crate::archive::{Archive, Want};
use crate::classes::{CLASSES_FILES, Classes, MOST_NAMES_BYTES, lines_of};
use crate::collection::Collection;
use crate::encoded::Encoded;
use crate::folder::is_picture_ending;
use crate::share::Share;
use localgrad::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// What of a file of that path is wanted of an archive of pictures.
pub(crate) fn want(path: &str) -> Want {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_picture = name.rsplit_once('.').is_some_and(|(_, ending)| is_picture_ending(ending));
    match () {
        () if is_picture || class_of_tar(name).is_some() => Want::Place,
        () if CLASSES_FILES.contains(&name) => Want::Content,
        () => Want::Not,
    }
}

/// The class whose pictures an archive called so holds: ImageNet's are called by eight digits behind an `n`.
pub(crate) fn class_of_tar(name: &str) -> Option<&str> {
    let class = name.strip_suffix(".tar")?;
    let digits = class.strip_prefix('n')?;
    (digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(class)
}

/// The pictures of an archive by the folders that they lie in; none if they lie in no folder of a class.
///
/// # Errors
/// Those of opening the archives within, and `Format` for a list of classes that does not fit the folders.
pub(crate) fn collection(archive: Archive) -> Result<Option<Collection>> {
    let Archive { name, files, .. } = archive;
    let (mut listed, mut pictures) = (None, BTreeMap::new());
    for (path, encoded) in files {
        let file = path.rsplit('/').next().unwrap_or(&path).to_string();
        if let Some(class) = class_of_tar(&file) {
            for (picture, encoded) in in_tar(&name, &path, &encoded)? {
                pictures.insert(format!("{class}/{picture}"), encoded);
            }
        } else if CLASSES_FILES.contains(&file.as_str()) {
            let bytes = encoded.bytes_within(MOST_NAMES_BYTES, "a list of classes")?;
            listed = listed.or(Some((format!("{name}/{path}"), lines_of(&String::from_utf8_lossy(&bytes)))));
        } else {
            pictures.insert(path, encoded);
        }
    }
    let pictures = without_common_folder(pictures);
    let share = |path: &str| Share::named(path.split('/').next()?);
    let comes_in_parts = pictures.keys().any(|path| share(path) == Some(Share::Train));
    let mut parts = [comes_in_parts, false, false].map(|is_there| is_there.then(Classes::new));
    for (path, encoded) in pictures {
        let (part, path) = match (comes_in_parts, share(&path), path.split_once('/')) {
            (true, Some(share), Some((_, below))) => (share as usize, below.to_string()),
            (true, ..) => continue,
            (false, ..) => (0, path),
        };
        if let Some((class, _)) = path.split_once('/') {
            let class = class.to_string();
            parts[part].get_or_insert_default().entry(class).or_default().push((path, encoded));
        }
    }
    Collection::of_classes(&name, parts, listed)
}

/// Paths without the folders that all of them lie in, but for that of the class.
fn without_common_folder(mut pictures: BTreeMap<String, Encoded>) -> BTreeMap<String, Encoded> {
    loop {
        let first = pictures.keys().next().and_then(|path| path.split_once('/'));
        let Some(folder) = first.map(|(folder, _)| format!("{folder}/")) else { return pictures };
        let is_common = |path: &String| path.strip_prefix(&folder).is_some_and(|below| below.contains('/'));
        if !pictures.keys().all(is_common) {
            return pictures;
        }
        let below = |(path, encoded): (String, Encoded)| (path[folder.len()..].to_string(), encoded);
        pictures = pictures.into_iter().map(below).collect();
    }
}

/// The pictures of an archive within an archive.
fn in_tar(name: &str, path: &str, encoded: &Encoded) -> Result<BTreeMap<String, Encoded>> {
    let is_picture = |path: &str| match class_of_tar(path) {
        Some(_) => Want::Not,
        None => want(path),
    };
    let archive = match encoded {
        Encoded::Part { file, offset, len } => Archive::open_part(file, *offset, *len, &is_picture),
        _ => {
            Err(Error::format(format!("{path}: an archive in a packed archive; unpack {name}, and name it")))
        }
    };
    Ok(archive.map_err(|cause| cause.at(format!("{name}: {path}")))?.files)
}

/// The pictures of ImageNet's archives of classes that lie in a folder, each called after its class.
///
/// # Errors
/// Those of opening the archives.
pub(crate) fn class_tar(path: &Path, class: &str) -> Result<Vec<(String, Encoded)>> {
    let archive = Archive::open(path, &want)?;
    Ok(archive.files.into_iter().map(|(name, encoded)| (format!("{class}/{name}"), encoded)).collect())
}
