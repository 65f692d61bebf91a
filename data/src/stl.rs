//! STL-10's binary version: `train_X.bin`, images `[N, 3, columns, rows]` of 96 pixels a side, and `train_y.bin`, labels from
//! 1 to 10; `class_names.txt` beside them.
//!
//! See <https://cs.stanford.edu/~acoates/stl10/>.

use crate::classes::lines_of;
use crate::files::Files;
use crate::images::{Images, Values, room};
use crate::listing::Part;
use localgrad::data::ImageShape;
use localgrad::{Error, Result};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 96, width: 96 };
const CLASSES: usize = 10;
const FOLDER: &str = "stl10_binary";
const NAMES: &str = "class_names.txt";

/// What to put before its files' names, if it is in `files`.
fn found(files: &Files<'_>) -> Option<String> {
    ["train_X.bin", "test_X.bin"].into_iter().find_map(|name| files.places(name, FOLDER).into_iter().next())
}

/// Whether STL-10 is in `files`.
pub fn holds(files: &Files<'_>) -> bool {
    found(files).is_some()
}

/// Whether a part of STL-10 needs a file of that path.
pub fn needs(path: &str, part: Part) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == NAMES || ["X", "y"].iter().any(|what| *name == file_name(part, what))
}

fn file_name(part: Part, what: &str) -> String {
    let split = if matches!(part, Part::Train | Part::All) { "train" } else { "test" };
    format!("{split}_{what}.bin")
}

/// Opens a part of STL-10 in `files`.
///
/// # Errors
/// `Io` when a file cannot be read, `Format` when it is not what it should be.
pub fn open(files: &Files<'_>, part: Part) -> Result<Images> {
    let Some(place) = found(files) else {
        return Err(Error::format(format!("{}: expected STL-10, found none", files.name())));
    };
    let path = format!("{place}{}", file_name(part, "X"));
    let images = files.bytes(&path)?;
    let labels = files.bytes(&format!("{place}{}", file_name(part, "y")))?;
    let names = format!("{place}{NAMES}");
    let names = match files.holds(&names) {
        true => lines_of(&String::from_utf8_lossy(&files.bytes(&names)?)),
        false => Vec::new(),
    };
    let names = if names.len() == CLASSES { names } else { Vec::new() };
    from_bytes(&images, &labels, names, &format!("{}/{path}", files.name()))
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
    Images::new(name, SHAPE, Values::Bytes(bytes), labels, (CLASSES, class_names))
}
