//! STL-10's binary version: `train_X.bin`, images `[N, 3, columns, rows]` of 96 pixels a side, and `train_y.bin`, labels from
//! 1 to 10; `class_names.txt` beside them.
//!
//! See <https://cs.stanford.edu/~acoates/stl10/>.

use crate::folder::lines;
use crate::images::{Images, room, whole_file};
use crate::listing::Part;
use localgrad::data::ImageShape;
use localgrad::{Error, Result};
use std::path::{Path, PathBuf};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 96, width: 96 };
const CLASSES: usize = 10;
const FOLDER: &str = "stl10_binary";

fn found(directory: &Path) -> Option<PathBuf> {
    let folders = [directory.to_path_buf(), directory.join(FOLDER)];
    folders
        .into_iter()
        .find(|folder| ["train_X.bin", "test_X.bin"].iter().any(|name| folder.join(name).is_file()))
}

/// Whether `directory` holds STL-10.
pub fn holds(directory: &Path) -> bool {
    found(directory).is_some()
}

/// Opens a part of STL-10 in `directory`.
///
/// # Errors
/// `Io` when a file cannot be read, `Format` when it is not what it should be.
pub fn open(directory: &Path, part: Part) -> Result<Images> {
    let Some(folder) = found(directory) else {
        return Err(Error::format(format!("{}: expected STL-10, found none", directory.display())));
    };
    let split = if matches!(part, Part::Train | Part::All) { "train" } else { "test" };
    let path = folder.join(format!("{split}_X.bin"));
    let images = whole_file(&path)?;
    let labels = whole_file(&folder.join(format!("{split}_y.bin")))?;
    let names = folder.join("class_names.txt");
    let names = if names.is_file() { lines(&names)? } else { Vec::new() };
    let names = if names.len() == CLASSES { names } else { Vec::new() };
    from_bytes(&images, &labels, names, &path.display().to_string())
}

/// The images and labels in the bytes of their files.
///
/// # Errors
/// `Format` when they are not what they should be.
pub fn from_bytes(images: &[u8], labels: &[u8], class_names: Vec<String>, name: &str) -> Result<Images> {
    let size = SHAPE.elements();
    if !images.len().is_multiple_of(size) {
        return Err(Error::format(format!(
            "{name}: {} bytes, expected images of {size} bytes",
            images.len()
        )));
    }
    let mut bytes = room(images.len(), "the images")?;
    let side = SHAPE.height;
    for image in images.chunks_exact(size) {
        for row in 0..side {
            for column in 0..side {
                bytes.extend((0..3).map(|channel| image[channel * side * side + column * side + row]));
            }
        }
    }
    let label = |&label: &u8| {
        let wrong = || Error::format(format!("{name}: found the label {label}, expected 1 to {CLASSES}"));
        u32::from(label).checked_sub(1).ok_or_else(wrong)
    };
    let labels = labels.iter().map(label).collect::<Result<Vec<u32>>>()?;
    Images::new(name, SHAPE, bytes, labels, (CLASSES, class_names))
}
