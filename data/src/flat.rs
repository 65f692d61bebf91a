//! ImageNet's validation set as it comes: pictures of all classes in one folder, and a list of the classes beside them.

use crate::classes::{Classes, MOST_NAMES_BYTES, lines};
use crate::encoded::Encoded;
use crate::folder::{entries, is_picture};
use localgrad::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A class a line, in the order of the pictures' names.
const IN_ORDER: [&str; 2] = ["imagenet_2012_validation_synset_labels.txt", "synset_labels.txt"];
/// Kaggle's table: a picture's name without its ending, and its class before what else is in it.
const BY_NAME: &str = "LOC_val_solution.csv";
/// A number a line, which says nothing without a table of the numbers.
const NUMBERS: &str = "ILSVRC2012_validation_ground_truth.txt";

/// The pictures of `part` by their classes, by the list that lies beside them or in `root`; none if no picture lies there.
///
/// # Errors
/// `Io` when something cannot be read; `Format` when there is no list, or one that does not fit the pictures.
pub(crate) fn classes_in(part: &Path, root: &Path) -> Result<Option<Classes>> {
    let pictures: Vec<(String, PathBuf)> =
        entries(part)?.into_iter().filter(|(_, path)| path.is_file() && is_picture(path)).collect();
    if pictures.is_empty() {
        return Ok(None);
    }
    let found =
        |name: &str| [part, root].map(|folder| folder.join(name)).into_iter().find(|path| path.is_file());
    let labels = if let Some(table) = found(BY_NAME) {
        by_name(&table, &pictures)?
    } else if let Some(list) = IN_ORDER.iter().find_map(|name| found(name)) {
        in_order(&list, &pictures)?
    } else {
        let numbers = match found(NUMBERS) {
            Some(_) => format!(" ({NUMBERS} counts classes in an order of its own, and names none)"),
            None => String::new(),
        };
        return Err(Error::format(format!(
            "{}: {} pictures lie in no folder of a class; put a list of their classes beside them, ImageNet's {BY_NAME} or \
             {}{numbers}, or those of each class into a folder",
            part.display(),
            pictures.len(),
            IN_ORDER[0]
        )));
    };
    let mut classes = Classes::new();
    for ((name, path), label) in pictures.into_iter().zip(labels) {
        classes.entry(label).or_default().push((name, Encoded::File(path)));
    }
    Ok(Some(classes))
}

fn in_order(list: &Path, pictures: &[(String, PathBuf)]) -> Result<Vec<String>> {
    let labels = lines(list)?;
    match labels.len() == pictures.len() {
        true => Ok(labels),
        false => Err(Error::format(format!(
            "{}: {} lines for {} pictures, expected one for each",
            list.display(),
            labels.len(),
            pictures.len()
        ))),
    }
}

fn by_name(table: &Path, pictures: &[(String, PathBuf)]) -> Result<Vec<String>> {
    let wrong = |what: String| Error::format(format!("{}: {what}", table.display()));
    let file = Encoded::File(table.to_path_buf());
    let bytes = file.bytes_within(MOST_NAMES_BYTES, "a table of classes")?;
    let mut known = BTreeMap::new();
    for (number, record) in csv::Reader::from_reader(&bytes[..]).records().enumerate() {
        let record = record.map_err(|cause| wrong(format!("no table: {cause}")))?;
        let class = record.get(1).and_then(|cell| cell.split_whitespace().next());
        let (Some(name), Some(class)) = (record.get(0), class) else {
            return Err(wrong(format!("row {}: expected a picture and its class", number + 1)));
        };
        known.insert(name.to_string(), class.to_string());
    }
    let class = |(name, _): &(String, PathBuf)| {
        let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
        known.get(stem).cloned().ok_or_else(|| wrong(format!("it says no class of {name}")))
    };
    pictures.iter().map(class).collect()
}
