//! Pictures in folders: `DIR/CLASS/…`, or `DIR/train/CLASS/…` beside `val`, `valid` or `test`.
//!
//! Whatever lies anywhere below the folder of a class is of that class. Links are followed; hidden files and folders, and what
//! systems leave behind, are passed over. Classes go by name, in the order of their names, or as `classes.txt` says: one
//! a line, a folder or a folder and what people call it (`n02084071 dog`).

use crate::archived::{class_of_tar, class_tar};
use crate::classes::{CLASSES_FILES, Classes, lines};
use crate::collection::Collection;
use crate::encoded::Encoded;
use crate::flat;
use crate::share::Share;
use localgrad::{Error, Result};
use std::path::{Path, PathBuf};

/// Folders within folders, at most.
const DEEPEST: usize = 32;
/// Endings of files that are pictures, or that people take for some.
const ENDINGS: [&str; 14] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff", "heic", "heif", "avif"];
/// What systems leave in folders.
pub(crate) const LEFT_BEHIND: [&str; 4] = ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"];

/// The pictures in folders of `root`; none if there is no picture in any folder of it.
///
/// # Errors
/// `Io` when a folder cannot be read; `Format` for a list of classes that does not fit the folders.
pub fn open(root: &Path) -> Result<Option<Collection>> {
    let folders = folders(root)?;
    let named = |share| {
        folders.iter().find(|(name, _)| Share::named(name) == Some(share)).map(|(_, path)| path.as_path())
    };
    let [train, validation, test] = match named(Share::Train) {
        Some(train) => [Some(train), named(Share::Validation), named(Share::Test)],
        None => [Some(root), None, None],
    };
    let folders_of_lists = [Some(root), train].into_iter().flatten();
    let mut lists = folders_of_lists.flat_map(|folder| CLASSES_FILES.map(|name| folder.join(name)));
    let listed = match lists.find(|path| path.is_file()) {
        Some(path) => Some((path.display().to_string(), lines(&path)?)),
        None => None,
    };
    let classes = |part: Option<&Path>| part.map(classes_in).transpose();
    let judged = |part: Option<&Path>| part.map(|part| judged_in(part, root)).transpose();
    let parts = [classes(train)?, judged(validation)?, judged(test)?];
    Collection::of_classes(&root.display().to_string(), parts, listed)
}

/// What is in a folder and is not hidden, by name.
pub(crate) fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|cause| Error::io(folder, cause))? {
        let path = entry.map_err(|cause| Error::io(folder, cause))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') && !LEFT_BEHIND.contains(&name.as_str()) {
            found.push((name, path));
        }
    }
    found.sort();
    Ok(found)
}

fn folders(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    Ok(entries(root)?.into_iter().filter(|(_, path)| path.is_dir()).collect())
}

/// The pictures of each folder in `part`, and of each archive that is called as ImageNet's classes are; a folder whose pictures are none is there, too.
fn classes_in(part: &Path) -> Result<Classes> {
    let mut classes = Classes::new();
    for (name, path) in entries(part)? {
        if let Some(class) = class_of_tar(&name).filter(|_| path.is_file()) {
            classes.insert(class.to_string(), class_tar(&path, class)?);
        }
        if !path.is_dir() {
            continue;
        }
        let mut pictures = Vec::new();
        let mut above = vec![canonical(part)];
        gather(&path, &name, &mut above, &mut pictures)?;
        let encoded = |(name, path)| (name, Encoded::File(path));
        classes.insert(name, pictures.into_iter().map(encoded).collect());
    }
    Ok(classes)
}

/// The same of a part to be judged by, where all pictures may lie in one folder.
fn judged_in(part: &Path, root: &Path) -> Result<Classes> {
    let classes = classes_in(part)?;
    match classes.values().all(Vec::is_empty) {
        true => Ok(flat::classes_in(part, root)?.unwrap_or(classes)),
        false => Ok(classes),
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// The pictures below `folder`, called `name`. `above` are the folders that it lies in: a link to one of them, or to itself,
/// leads nowhere new.
fn gather(
    folder: &Path,
    name: &str,
    above: &mut Vec<PathBuf>,
    found: &mut Vec<(String, PathBuf)>,
) -> Result<()> {
    let own = canonical(folder);
    if above.contains(&own) || above.len() > DEEPEST {
        return Ok(());
    }
    above.push(own);
    for (entry, path) in entries(folder)? {
        let name = format!("{name}/{entry}");
        if path.is_dir() {
            gather(&path, &name, above, found)?;
        } else if is_picture(&path) {
            found.push((name, path));
        }
    }
    above.pop();
    Ok(())
}

/// Whether a file is meant to be a picture: by its ending, or where it has none by its first bytes.
pub fn is_picture(path: &Path) -> bool {
    match path.extension() {
        Some(ending) => is_picture_ending(&ending.to_string_lossy()),
        None => starts_as_picture(path).unwrap_or(false),
    }
}

/// Whether files with that ending are pictures, or people take them for some.
pub(crate) fn is_picture_ending(ending: &str) -> bool {
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

fn starts_as_picture(path: &Path) -> std::io::Result<bool> {
    use std::io::Read;
    if !std::fs::metadata(path)?.is_file() {
        return Ok(false);
    }
    let mut start = Vec::new();
    std::fs::File::open(path)?.take(32).read_to_end(&mut start)?;
    Ok(image::guess_format(&start).is_ok())
}

/// The pictures below a folder of no class: those that somebody names to have them judged.
///
/// # Errors
/// `Io` when a folder cannot be read.
pub fn pictures_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    gather(folder, "", &mut Vec::new(), &mut found)?;
    Ok(found.into_iter().map(|(_, path)| path).collect())
}
