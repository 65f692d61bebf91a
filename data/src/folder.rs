//! Pictures in folders: `DIR/CLASS/…`, or `DIR/train/CLASS/…` beside `val`, `valid` or `test`.
//!
//! Whatever lies anywhere below the folder of a class is of that class. Links are followed; hidden files and folders, and what
//! systems leave behind, are passed over. Classes go by name, in the order of their names, or as `classes.txt` says: one
//! a line, a folder or a folder and what people call it (`n02084071 dog`).

use crate::encoded::Encoded;
use crate::listing::{Item, Listing, Part};
use localgrad::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders within folders, at most.
const DEEPEST: usize = 32;
/// Endings of files that are pictures, or that people take for some.
const ENDINGS: [&str; 14] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff", "heic", "heif", "avif"];
/// What systems leave in folders.
const LEFT_BEHIND: [&str; 4] = ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"];
const CLASSES_FILE: &str = "classes.txt";
/// Far more than any classes' names take.
const MOST_NAMES_BYTES: u64 = 16 << 20;

const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 3] = ["val", "valid", "validation"];
const TEST: [&str; 2] = ["test", "testing"];

/// A directory with pictures in folders.
#[derive(Clone, Debug)]
pub struct Folder {
    root: PathBuf,
    train: Listing,
    validation: Option<Listing>,
    test: Option<Listing>,
}

/// The pictures below one folder of a class, by their paths from the part's folder.
type Classes = BTreeMap<String, Vec<(String, PathBuf)>>;

impl Folder {
    /// What lies in `root`; none if there is no picture in any folder of it.
    ///
    /// # Errors
    /// `Io` when a folder cannot be read; `Format` for a `classes.txt` that does not fit the folders.
    pub fn open(root: &Path) -> Result<Option<Self>> {
        let folders = folders(root)?;
        let named = |names: &[&str]| {
            folders
                .iter()
                .find(|(name, _)| names.contains(&name.to_lowercase().as_str()))
                .map(|(_, path)| path)
        };
        let (train, validation, test) = match named(&TRAIN) {
            Some(train) => (train.as_path(), named(&VALIDATION), named(&TEST)),
            None => (root, None, None),
        };
        let train_classes = classes_in(train)?;
        let others = [validation, test].map(|path| path.map(|path| classes_in(path)).transpose());
        let [validation_classes, test_classes] = others;
        let (validation_classes, test_classes) = (validation_classes?, test_classes?);
        let all = [Some(&train_classes), validation_classes.as_ref(), test_classes.as_ref()];
        let Some(order) = Order::of(root, train, &all)? else { return Ok(None) };
        let listing = |classes: Classes| order.listing(root, classes);
        Ok(Some(Self {
            root: root.to_path_buf(),
            train: listing(train_classes)?,
            validation: validation_classes.map(listing).transpose()?,
            test: test_classes.map(listing).transpose()?,
        }))
    }

    /// Whether the parts are folders of their own.
    pub fn has_parts(&self) -> bool {
        self.validation.is_some() || self.test.is_some()
    }

    /// The pictures to learn from, or all of them where there are no parts.
    pub fn whole(&self) -> &Listing {
        &self.train
    }

    /// The pictures of a part; where there are no parts, `seed` draws them.
    ///
    /// # Errors
    /// `Format` when it has no picture, those of [`Listing::part`].
    pub fn part(&self, part: Part, seed: u64) -> Result<Listing> {
        let listing = match part {
            Part::Train | Part::All if self.has_parts() => &self.train,
            Part::Judge if self.has_parts() => {
                self.validation.as_ref().or(self.test.as_ref()).unwrap_or(&self.train)
            }
            Part::Test if self.has_parts() => {
                self.test.as_ref().or(self.validation.as_ref()).unwrap_or(&self.train)
            }
            _ => return self.train.clone().part(part, seed),
        };
        if listing.items.is_empty() {
            return Err(Error::format(format!(
                "{}: no picture lies in the part that is wanted",
                self.root.display()
            )));
        }
        Ok(listing.clone())
    }
}

/// The order of the classes, by the names of their folders, and what people call them.
struct Order {
    folders: Vec<String>,
    names: Vec<String>,
}

impl Order {
    /// As `classes.txt` says, or as the folders with pictures are called; none if there is no picture.
    fn of(root: &Path, train: &Path, parts: &[Option<&Classes>]) -> Result<Option<Self>> {
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        for (folder, pictures) in parts.iter().copied().flatten().flatten() {
            *counts.entry(folder).or_default() += pictures.len();
        }
        if counts.values().all(|&count| count == 0) {
            return Ok(None);
        }
        let file =
            [root, train].map(|folder| folder.join(CLASSES_FILE)).into_iter().find(|path| path.is_file());
        if let Some(path) = file {
            let folders: Vec<&String> =
                counts.iter().filter(|(_, count)| **count > 0).map(|(name, _)| *name).collect();
            return Self::of_file(&path, &folders).map(Some);
        }
        let empty: Vec<String> =
            counts.iter().filter(|(_, count)| **count == 0).map(|(name, _)| (*name).clone()).collect();
        if !empty.is_empty() {
            log::warn!(
                "{}: no picture lies in {}, which is left out; {CLASSES_FILE} with all names would keep it as a class",
                root.display(),
                crate::listing::few(&empty)
            );
        }
        let folders: Vec<String> =
            counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name.clone()).collect();
        Ok(Some(Self { names: folders.clone(), folders }))
    }

    fn of_file(path: &Path, folders: &[&String]) -> Result<Self> {
        let lines = lines(path)?;
        let wrong = |why: String| Error::format(format!("{}: {why}", path.display()));
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
    fn listing(&self, root: &Path, classes: Classes) -> Result<Listing> {
        let mut items = Vec::new();
        for (folder, pictures) in classes {
            let Some(place) = self.folders.iter().position(|known| *known == folder) else { continue };
            let label =
                u32::try_from(place).map_err(|_| Error::config("more classes than can be counted"))?;
            items.extend(pictures.into_iter().map(|(name, path)| Item {
                encoded: Encoded::File(path),
                name,
                label,
            }));
        }
        Ok(Listing { name: root.display().to_string(), items, class_names: self.names.clone() })
    }
}

/// The lines of a file of names, without those that are empty.
pub(crate) fn lines(path: &Path) -> Result<Vec<String>> {
    let metadata = std::fs::metadata(path).map_err(|cause| Error::io(path, cause))?;
    if metadata.len() > MOST_NAMES_BYTES {
        return Err(Error::format(format!("{}: too large for a list of classes", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(|cause| Error::io(path, cause))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect())
}

/// What is in a folder and is not hidden, by name.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
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

/// The pictures of each folder in `part`; a folder whose pictures are none is there, too.
fn classes_in(part: &Path) -> Result<Classes> {
    let mut classes = Classes::new();
    for (name, path) in folders(part)? {
        let mut pictures = Vec::new();
        let mut above = vec![canonical(part)];
        gather(&path, &name, &mut above, &mut pictures)?;
        classes.insert(name, pictures);
    }
    Ok(classes)
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
        Some(ending) => ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)),
        None => starts_as_picture(path).unwrap_or(false),
    }
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
