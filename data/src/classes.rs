//! Which class a folder of pictures is: by its name, in the order of the names, or as a list of classes says.

use crate::encoded::Encoded;
use crate::listing::{Item, Listing, few};
use localgrad::targets::TargetKind;
use localgrad::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Files that list classes; the others are ImageNet's.
pub(crate) const CLASSES_FILES: [&str; 3] = ["classes.txt", "LOC_synset_mapping.txt", "synset_words.txt"];
/// Far more than any classes' names take.
pub(crate) const MOST_NAMES_BYTES: u64 = 16 << 20;

/// The pictures below one folder of a class, by their paths from the part's folder.
pub(crate) type Classes = BTreeMap<String, Vec<(String, Encoded)>>;

/// The order of the classes, by the names of their folders, and what people call them.
pub(crate) struct Order {
    folders: Vec<String>,
    names: Vec<String>,
}

impl Order {
    /// As the list of classes says (where it lies, and its lines), or as the folders with pictures are called; none if there
    /// is no picture.
    ///
    /// # Errors
    /// `Format` when the list does not fit the folders.
    pub(crate) fn of(
        name: &str,
        listed: Option<(String, Vec<String>)>,
        parts: &[&Classes],
    ) -> Result<Option<Self>> {
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        for (folder, pictures) in parts.iter().copied().flatten() {
            *counts.entry(folder).or_default() += pictures.len();
        }
        if counts.values().all(|&count| count == 0) {
            return Ok(None);
        }
        if let Some((path, lines)) = listed {
            let folders: Vec<&String> =
                counts.iter().filter(|(_, count)| **count > 0).map(|(name, _)| *name).collect();
            return Self::of_list(&path, lines, &folders).map(Some);
        }
        let empty: Vec<String> =
            counts.iter().filter(|(_, count)| **count == 0).map(|(name, _)| (*name).clone()).collect();
        if !empty.is_empty() {
            log::warn!(
                "{name}: no picture lies in {}, which is left out; classes.txt with all names would keep it as a class",
                few(&empty)
            );
        }
        let folders: Vec<String> =
            counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name.clone()).collect();
        Ok(Some(Self { names: folders.clone(), folders }))
    }

    fn of_list(path: &str, lines: Vec<String>, folders: &[&String]) -> Result<Self> {
        let wrong = |why: String| Error::format(format!("{path}: {why}"));
        let unlisted = |listed: &[String]| {
            folders.iter().find(|folder| !listed.contains(folder)).map(|name| name.as_str())
        };
        let mut order = Self { folders: lines.clone(), names: lines.clone() };
        if let Some(missing) = unlisted(&order.folders) {
            let pairs: Vec<(&str, &str)> =
                lines.iter().map(|line| line.split_once([' ', '\t', ',']).unwrap_or((line, line))).collect();
            order.folders = pairs.iter().map(|(folder, _)| (*folder).to_string()).collect();
            order.names = pairs.iter().map(|(_, name)| name.trim().to_string()).collect();
            if unlisted(&order.folders).is_some() {
                return Err(wrong(format!(
                    "the folder {missing:?} is none of the {} classes listed",
                    lines.len()
                )));
            }
        }
        let mut sorted = order.folders.clone();
        sorted.sort();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(wrong(format!("{:?} is listed twice", pair[0]))),
            None => Ok(order),
        }
    }

    /// The pictures with their labels.
    pub(crate) fn listing(&self, name: &str, classes: Classes) -> Result<Listing> {
        let mut items = Vec::new();
        for (folder, pictures) in classes {
            let Some(place) = self.folders.iter().position(|known| *known == folder) else { continue };
            let label =
                u32::try_from(place).map_err(|_| Error::config("more classes than can be counted"))?;
            items.extend(pictures.into_iter().map(|(name, encoded)| Item {
                encoded,
                name,
                label,
                row: Box::default(),
            }));
        }
        Ok(Listing { name: name.into(), items, class_names: self.names.clone(), kind: TargetKind::Class })
    }
}

/// The lines of a file of names, without those that are empty.
pub(crate) fn lines(path: &Path) -> Result<Vec<String>> {
    let file = Encoded::File(path.to_path_buf());
    let bytes = file.bytes_within(MOST_NAMES_BYTES, "a list of classes")?;
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| Error::format(format!("{}: expected a text in UTF-8", path.display())))?;
    Ok(lines_of(text))
}

/// The lines of a text, without those that are empty.
pub(crate) fn lines_of(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect()
}
