//! MNIST and its kin under the names that they are distributed by: IDX files with a name of their own in front, such as
//! `emnist-letters-train-images-idx3-ubyte.gz`, or in a folder `raw` or `gzip`.
//!
//! EMNIST is stored by columns, and its letters count from 1: it is turned and counted as all else. See
//! <https://www.nist.gov/itl/products-and-services/emnist-dataset>.

use crate::folder::entries;
use crate::listing::Part;
use localgrad::data::idx::Idx;
use localgrad::data::{Dataset, ImageShape};
use localgrad::{Error, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const TRAIN: [&str; 1] = ["train"];
const TEST: [&str; 2] = ["test", "t10k"];
/// Folders that the files lie in, within that which is named.
const FOLDERS: [&str; 3] = ["", "raw", "gzip"];
const DIGITS: &str = "0123456789";
const CAPITALS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Small letters that do not look as their capitals do.
const OWN_SMALL: &str = "abdefghnqrt";
const SMALL: &str = "abcdefghijklmnopqrstuvwxyz";

/// A set: the folder of its files and what their names begin with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    folder: PathBuf,
    prefix: String,
}

/// Whether there is a set at `path`, a directory or one of its files of images.
pub fn holds(path: &Path) -> bool {
    !places(path).is_empty()
}

/// Opens a part of the set at `path`.
///
/// # Errors
/// `Io` when a file cannot be read; `Format` when one is missing or not what it should be, or there are several sets.
pub fn open(path: &Path, part: Part) -> Result<Box<dyn Dataset>> {
    let wrong = |what: String| Error::format(format!("{}: {what}", path.display()));
    let places = places(path);
    let place = match &places[..] {
        [] => return Err(wrong("expected IDX files such as train-images-idx3-ubyte.gz, found none".into())),
        [place] => place,
        [first, second, ..] => {
            return Err(wrong(format!(
                "{} data sets, such as {}train and {}train; name the file of images of one",
                places.len(),
                first.prefix,
                second.prefix
            )));
        }
    };
    let is_train = matches!(part, Part::Train | Part::All);
    let [own, other]: [&[&str]; 2] = if is_train { [&TRAIN, &TEST] } else { [&TEST, &TRAIN] };
    let images = place.open(own)?;
    let Some((names, first_label)) = emnist(&place.prefix) else {
        // Both parts count the classes of both, so that they agree.
        let others = place.open(other).map_or(0, |other| other.classes());
        let classes = images.classes().max(others);
        return Ok(Box::new(Kin {
            images,
            classes,
            class_names: Vec::new(),
            is_turned: false,
            first_label: 0,
        }));
    };
    let ImageShape { height, width, .. } = images.shape();
    if height != width {
        return Err(wrong(format!("images of {height}x{width}, expected EMNIST's, which are square")));
    }
    let class_names: Vec<String> = names.chars().map(String::from).collect();
    let set = Kin { images, classes: class_names.len(), class_names, is_turned: true, first_label };
    for index in 0..set.len() {
        set.label(index).map_err(|cause| cause.at(path.display()))?;
    }
    Ok(Box::new(set))
}

/// The classes of a set of EMNIST by what its files' names begin with, and the label of the first.
fn emnist(prefix: &str) -> Option<(String, u32)> {
    let kind = prefix.to_lowercase();
    Some(match kind.strip_prefix("emnist-")?.trim_end_matches('-') {
        "letters" => (CAPITALS.into(), 1),
        "digits" | "mnist" => (DIGITS.into(), 0),
        "byclass" => ([DIGITS, CAPITALS, SMALL].concat(), 0),
        "bymerge" | "balanced" => ([DIGITS, CAPITALS, OWN_SMALL].concat(), 0),
        _ => return None,
    })
}

/// What a file of images begins with before `train` or `test`; none for other files.
fn prefix(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let name = ["-images-idx3-ubyte", "-images.idx3-ubyte"].iter().find_map(|end| name.strip_suffix(end))?;
    TRAIN.iter().chain(&TEST).find_map(|split| name.strip_suffix(split))
}

/// The sets at a path.
fn places(path: &Path) -> Vec<Place> {
    if path.is_file() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        return prefix(&name)
            .map(|prefix| Place { folder, prefix: prefix.to_string() })
            .into_iter()
            .collect();
    }
    for folder in FOLDERS.map(|name| path.join(name)) {
        let found: BTreeSet<Place> = entries(&folder)
            .unwrap_or_default()
            .iter()
            .filter_map(|(name, _)| Some(Place { folder: folder.clone(), prefix: prefix(name)?.to_string() }))
            .collect();
        if !found.is_empty() {
            return found.into_iter().collect();
        }
    }
    Vec::new()
}

impl Place {
    /// The images and labels of the first of `splits` that is there.
    fn open(&self, splits: &[&str]) -> Result<Idx> {
        let file = |split: &str, what: &str, dimensions: usize| {
            let ends = ["", ".gz"].into_iter().flat_map(|packed| ["-", "."].map(|dot| (dot, packed)));
            ends.map(|(dot, packed)| {
                self.folder.join(format!("{}{split}-{what}{dot}idx{dimensions}-ubyte{packed}", self.prefix))
            })
            .find(|path| path.is_file())
        };
        let pair = |split: &&str| Some([file(split, "images", 3)?, file(split, "labels", 1)?]);
        let [images, labels] = splits.iter().find_map(pair).ok_or_else(|| {
            let Self { folder, prefix } = self;
            Error::format(format!(
                "{}: expected {prefix}{}-images-idx3-ubyte and -labels-idx1-ubyte, or both with .gz, found not both",
                folder.display(),
                splits[0]
            ))
        })?;
        Idx::open(&images, &labels)
    }
}

/// A set with its classes.
struct Kin {
    images: Idx,
    classes: usize,
    class_names: Vec<String>,
    /// Whether columns are stored for rows.
    is_turned: bool,
    first_label: u32,
}

impl Kin {
    fn counted(&self, index: usize, label: u32) -> Result<u32> {
        let counted = label.checked_sub(self.first_label).filter(|label| (*label as usize) < self.classes);
        counted.ok_or_else(|| {
            Error::format(format!(
                "sample {index} has the label {label}, expected one of {} to {}",
                self.first_label,
                self.first_label as usize + self.classes - 1
            ))
        })
    }
}

impl Dataset for Kin {
    fn len(&self) -> usize {
        self.images.len()
    }

    fn shape(&self) -> ImageShape {
        self.images.shape()
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn class_names(&self) -> &[String] {
        &self.class_names
    }

    fn label(&self, index: usize) -> Result<u32> {
        self.counted(index, self.images.label(index)?)
    }

    fn read(&self, index: usize, pixels: &mut [f32]) -> Result<u32> {
        let label = self.images.read(index, pixels)?;
        let side = self.images.shape().width;
        for row in 0..if self.is_turned { side } else { 0 } {
            for column in 0..row {
                pixels.swap(row * side + column, column * side + row);
            }
        }
        self.counted(index, label)
    }

    fn resident_bytes(&self) -> usize {
        self.images.resident_bytes()
    }
}
