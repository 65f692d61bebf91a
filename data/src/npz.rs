//! Images, or tokens, and labels in NumPy's arrays: an archive of them (`.npz`), or files in a folder (`.npy`, `.npz`).
//!
//! Arrays go by the words in their names: `train_images` and `train_labels`, `val_` and `test_` the same (MedMNIST's),
//! `x_train` and `y_train` (Keras'), `images` and `labels`, `kmnist-train-imgs.npz`; `class_names` may name the classes. `tokens`
//! (`train_tokens`), whole numbers `[N, T]`, stand in the place of images.

use crate::archive::{Archive, Want};
use crate::encoded::Encoded;
use crate::folder::entries;
use crate::images::{Images, Values, room};
use crate::listing::{Part, few};
use crate::npy::{Array, ElementKind};
use crate::share::Share;
use localgrad::data::ImageShape;
use localgrad::inputs::LARGEST_VOCABULARY;
use localgrad::targets::TargetKind;
use localgrad::{Error, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

/// A label above this is taken for a damaged file.
const LARGEST_LABEL: f64 = 65_535.0;
/// Channels of images, by which they are told from rows and columns.
const MOST_CHANNELS: usize = 4;
const EXPECTED: &str =
    "NumPy's arrays train_images and train_labels, x_train and y_train, or images and labels";

/// The word in the name of an array of tokens.
const TOKENS: &str = "tokens";

/// What an array is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Images,
    Labels,
    ClassNames,
}

/// Arrays by what they are for; a part of none is the whole.
struct Arrays {
    name: String,
    found: BTreeMap<(Option<Share>, Role), (String, Encoded)>,
    names: Vec<String>,
}

/// Whether there are images and labels by their names at `path`.
pub fn holds(path: &Path) -> bool {
    let is_file = path.is_file();
    if is_file {
        return has_ending(path, "npz") || has_ending(path, "npy");
    }
    matches!(Arrays::of_folder(path), Ok(arrays) if arrays.has(Role::Images) && arrays.has(Role::Labels))
}

/// Whether there is an array at all in a folder, whatever it is called.
pub fn lies_in(folder: &Path) -> bool {
    let is_array =
        |(_, path): &(String, std::path::PathBuf)| has_ending(path, "npz") || has_ending(path, "npy");
    entries(folder).is_ok_and(|entries| entries.iter().any(is_array))
}

/// Whether there is a part of its own to be judged by.
///
/// # Errors
/// Those of [`open`].
pub fn has_parts(path: &Path) -> Result<bool> {
    if has_ending(path, "npy") {
        return Ok(false);
    }
    let arrays = Arrays::open(path)?;
    Ok([Share::Validation, Share::Test].into_iter().any(|share| arrays.get(share, Role::Images).is_some()))
}

/// Opens a part of the images at `path`; where they come in no parts, it is all of them.
///
/// # Errors
/// `Io` when a file cannot be read; `Format` when an array is missing or not what it should be.
pub fn open(path: &Path, part: Part) -> Result<Images> {
    let arrays = Arrays::open(path)?;
    let (share, images) = arrays.images(part)?;
    let labels = arrays.found.get(&(share, Role::Labels)).ok_or_else(|| arrays.missing(EXPECTED))?;
    let wrong = |what: String| Error::format(format!("{}: {what}", arrays.name));
    let (shape, mut values) = read_images(images, &arrays.name)?;
    if let Values::Tokens(_, vocabulary) = &mut values {
        *vocabulary = arrays.vocabulary()?;
    }
    let found = read_answers(labels, &arrays.name)?;
    // All parts count the classes of all, and take labels for what those of all are, so that they agree.
    let mut all = found.clone();
    for ((_, role), array) in &arrays.found {
        if *role == Role::Labels {
            all = all.beside(&read_answers(array, &arrays.name)?).map_err(wrong)?;
        }
    }
    let class_names = match arrays.found.get(&(None, Role::ClassNames)) {
        Some(array) => read_names(array, &arrays.name)?,
        None => Vec::new(),
    };
    let images = |labels| Images::new(&arrays.name, shape, values, labels, (all.outputs(), class_names));
    match all.kind {
        TargetKind::Class => images(found.labels()),
        kind => images(vec![0; found.samples()])?.with_rows(&arrays.name, kind, found.numbers),
    }
}

/// The same without a look at labels, which need not be there: a single array will do, and all images are of one class.
///
/// # Errors
/// As [`open`].
pub fn open_unlabelled(path: &Path, part: Part) -> Result<Images> {
    let arrays = match path.is_file() && has_ending(path, "npy") {
        true => Arrays::of_images(path),
        false => Arrays::open(path)?,
    };
    let (_, images) = arrays.images(part)?;
    let (shape, values) = read_images(images, &arrays.name)?;
    let labels = vec![0; values.len() / shape.elements()];
    Images::new(&arrays.name, shape, values, labels, (1, Vec::new()))
}

/// What samples are to be answered with, and what that may be: a class, written as a number or as a single 1 in a row; labels,
/// a 0 or a 1 each; or values.
#[derive(Clone)]
struct Answers {
    /// `[N, columns]`.
    numbers: Vec<f32>,
    columns: usize,
    kind: TargetKind,
    /// One more than the largest number.
    classes: usize,
}

impl Answers {
    fn of(numbers: Vec<f32>, columns: usize) -> Self {
        let is_class = |number: &f32| number.fract() == 0.0 && (0.0..=LARGEST_LABEL as f32).contains(number);
        let are_marks = numbers.iter().all(|&number| number == 0.0 || number == 1.0);
        let kind = match columns {
            1 if numbers.iter().all(is_class) => TargetKind::Class,
            1 => TargetKind::Values,
            _ if !are_marks => TargetKind::Values,
            _ if numbers.chunks(columns).all(|row| row.iter().sum::<f32>() == 1.0) => TargetKind::Class,
            _ => TargetKind::Labels,
        };
        let largest = numbers.iter().copied().fold(-1.0, f32::max);
        Self { numbers, columns, kind, classes: (largest + 1.0) as usize }
    }

    /// What two parts are together.
    fn beside(&self, other: &Self) -> std::result::Result<Self, String> {
        if self.columns != other.columns {
            return Err(format!(
                "{} and {} labels or values for each sample, expected as many in all parts",
                self.columns, other.columns
            ));
        }
        let kind = self.kind.max(other.kind);
        Ok(Self { kind, classes: self.classes.max(other.classes), ..self.clone() })
    }

    /// How many outputs it takes to give them.
    fn outputs(&self) -> usize {
        if self.kind == TargetKind::Class && self.columns == 1 { self.classes } else { self.columns }
    }

    fn samples(&self) -> usize {
        self.numbers.len() / self.columns
    }

    /// The classes that they are.
    fn labels(&self) -> Vec<u32> {
        match self.columns {
            1 => self.numbers.iter().map(|&label| label as u32).collect(),
            columns => {
                let place = |row: &[f32]| row.iter().position(|&mark| mark == 1.0).unwrap_or(0) as u32;
                self.numbers.chunks(columns).map(place).collect()
            }
        }
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

impl Arrays {
    fn open(path: &Path) -> Result<Self> {
        if !path.is_file() {
            return Self::of_folder(path);
        }
        if has_ending(path, "npy") {
            return Err(Error::format(format!(
                "{}: one of NumPy's arrays, expected two, such as train_images and train_labels: name the folder of both, or save them in one with numpy.savez",
                path.display()
            )));
        }
        Self::new(path.display().to_string(), Self::in_archive(path, "")?)
    }

    /// One array, whatever it is called.
    fn of_images(path: &Path) -> Self {
        let name = path.display().to_string();
        let images = (name.clone(), Encoded::File(path.to_path_buf()));
        let found = BTreeMap::from([((None, Role::Images), images)]);
        Self { names: vec![name.clone()], name, found }
    }

    /// The part of the images that is asked for, and which that is; where they come in no parts, it is all of them.
    fn images(&self, part: Part) -> Result<(Option<Share>, &(String, Encoded))> {
        let of_part = |share: &Share| Some((Some(*share), self.get(*share, Role::Images)?));
        let whole = || Some((None, self.found.get(&(None, Role::Images))?));
        Share::of(part).iter().find_map(of_part).or_else(whole).ok_or_else(|| match part {
            Part::Train | Part::All => self.missing(EXPECTED),
            _ => self.missing("test_images and test_labels (or val_, x_test and y_test) as well"),
        })
    }

    fn missing(&self, wanted: &str) -> Error {
        Error::format(format!("{}: expected {wanted}, found {}", self.name, few(&self.names)))
    }

    fn of_folder(folder: &Path) -> Result<Self> {
        let mut arrays = Vec::new();
        for (name, path) in entries(folder)? {
            if has_ending(&path, "npy") {
                arrays.push((name, Encoded::File(path)));
            } else if has_ending(&path, "npz") {
                arrays.extend(Self::in_archive(&path, &name)?);
            }
        }
        Self::new(folder.display().to_string(), arrays)
    }

    /// The arrays of an archive, behind its own name where it is one of several.
    fn in_archive(path: &Path, own_name: &str) -> Result<Vec<(String, Encoded)>> {
        let want = |name: &str| if name.ends_with(".npy") { Want::Place } else { Want::Not };
        let archive = Archive::open(path, &want)?;
        let of_archive = |name: &str| name.strip_suffix(".npy").unwrap_or(name).to_string();
        let named = |(name, encoded): (String, Encoded)| match own_name {
            "" => (of_archive(&name), encoded),
            own_name => (format!("{own_name}:{}", of_archive(&name)), encoded),
        };
        Ok(archive.files.into_iter().map(named).collect())
    }

    fn new(name: String, arrays: Vec<(String, Encoded)>) -> Result<Self> {
        let names = arrays.iter().map(|(name, _)| name.clone()).collect();
        let mut found: BTreeMap<(Option<Share>, Role), (String, Encoded)> = BTreeMap::new();
        for (array, encoded) in arrays {
            let Some(purpose) = purpose(&array) else { continue };
            if let Some((other, _)) = found.get(&purpose) {
                return Err(Error::format(format!(
                    "{name}: both {other} and {array} might be meant; keep one, or name the file"
                )));
            }
            found.insert(purpose, (array, encoded));
        }
        Ok(Self { name, found, names })
    }

    /// How many tokens there are to choose from in all parts, so that these agree.
    fn vocabulary(&self) -> Result<usize> {
        let mut most = 1;
        for (_, array) in self.found.iter().filter(|((_, role), _)| *role == Role::Images) {
            if let (_, Values::Tokens(_, vocabulary)) = read_images(array, &self.name)? {
                most = most.max(vocabulary);
            }
        }
        Ok(most)
    }

    fn has(&self, role: Role) -> bool {
        self.found.keys().any(|(_, found)| *found == role)
    }

    fn get(&self, share: Share, role: Role) -> Option<&(String, Encoded)> {
        self.found.get(&(Some(share), role))
    }
}

/// What an array is for by the words of its name; none where they do not say.
fn purpose(name: &str) -> Option<(Option<Share>, Role)> {
    let (mut share, mut role, mut place) = (None, None, None);
    for word in words(name) {
        share = share.or(Share::named(&word));
        role = role.or(match word.as_str() {
            "images" | "image" | "imgs" | "img" | "x" | "data" | "pixels" | "tokens" => Some(Role::Images),
            "labels" | "label" | "lbls" | "y" | "targets" | "target" => Some(Role::Labels),
            "classes" => Some(Role::ClassNames),
            _ => None,
        });
        if word == "names" {
            // Of classes or labels; those of images are of no use.
            role = Some(Role::ClassNames).filter(|_| role != Some(Role::Images));
        }
        place = place.or(match word.as_str() {
            // As numpy.savez calls arrays that have no name.
            "0" => Some(Role::Images),
            "1" => Some(Role::Labels),
            _ => None,
        });
    }
    let is_unnamed = name.rsplit(':').next().is_some_and(|name| name.starts_with("arr_"));
    let role = role.or(place.filter(|_| is_unnamed))?;
    Some((if role == Role::ClassNames { None } else { share }, role))
}

/// The words of a name in small letters: `x_train`, `trainX`, `Xtrain`, `kmnist-train-imgs`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut last = ' ';
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (last.is_lowercase() && letter.is_uppercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (letter.is_alphanumeric(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
        last = letter;
    }
    let split = |word: String| match word.strip_prefix(['x', 'y']) {
        Some(rest) if Share::named(rest).is_some() => vec![word[..1].to_string(), rest.to_string()],
        _ => vec![word],
    };
    words.into_iter().flat_map(split).collect()
}

/// Reads an array and what `make` makes of it; `wrong` in sentences that name it.
fn reading<'a, T>(
    (array, encoded): &'a (String, Encoded),
    name: &str,
    make: impl FnOnce(&Array<'_>) -> std::result::Result<T, String>,
) -> Result<(T, Cow<'a, [u8]>)> {
    let file = encoded.bytes_within(u64::MAX, &format!("{name}: {array}"))?;
    let made = Array::read(&file).and_then(|array| make(&array));
    let made = made.map_err(|what| Error::format(format!("{name}: {array}: {what}")))?;
    Ok((made, file))
}

/// The images of an array, or its tokens.
fn read_images(array: &(String, Encoded), name: &str) -> Result<(ImageShape, Values)> {
    let are_tokens = words(&array.0).iter().any(|word| word == TOKENS);
    let ((shape, values), file) = reading(array, name, |array| {
        if are_tokens {
            let (shape, tokens) = read_tokens(array)?;
            return Ok((shape, Ok(tokens)));
        }
        let (count, shape, strides) = layout(array)?;
        let plain = [shape.elements(), shape.width * shape.channels, shape.channels, 1];
        if let (Some(bytes), true) = (array.as_bytes(), strides == plain) {
            return Ok((shape, Err(bytes.len())));
        }
        Ok((shape, Ok(gathered(array, (count, shape), strides)?)))
    })?;
    let values = match values {
        Ok(values) => values,
        // They lie at the file's end, and stay where they are but for the header.
        Err(len) => {
            let mut file = file.into_owned();
            file.drain(..file.len() - len);
            Values::Bytes(file)
        }
    };
    Ok((shape, values))
}

/// Tokens `[N, T]`, row after row, and one more than the largest; as a row of numbers each.
fn read_tokens(array: &Array<'_>) -> std::result::Result<(ImageShape, Values), String> {
    let are_whole = matches!(array.kind, ElementKind::Unsigned | ElementKind::Signed);
    let (&[count, length], &[s_n, s_t], true, false) =
        (&array.shape[..], &array.strides[..], are_whole, array.is_empty())
    else {
        return Err(format!(
            "an array {:?}, expected tokens: whole numbers [N, T], none of them 0",
            array.shape
        ));
    };
    let mut tokens = room(array.len(), "the tokens").map_err(|cause| cause.to_string())?;
    let mut largest = 0;
    for at in 0..count * length {
        let (sample, step) = (at / length, at % length);
        match array.number(sample * s_n + step * s_t) {
            Some(token) if (0.0..LARGEST_VOCABULARY as f64).contains(&token) => tokens.push(token as u32),
            other => {
                return Err(format!(
                    "sample {sample} holds the token {}, expected a whole number of 0 to {}",
                    other.unwrap_or(f64::NAN),
                    LARGEST_VOCABULARY - 1
                ));
            }
        }
        largest = largest.max(tokens[at]);
    }
    let shape = ImageShape { channels: 1, height: 1, width: length };
    Ok((shape, Values::Tokens(tokens, largest as usize + 1)))
}

/// The number of images, their shape, and the strides of `[N, H, W, C]`.
fn layout(array: &Array<'_>) -> std::result::Result<(usize, ImageShape, [usize; 4]), String> {
    let expected = || {
        format!(
            "an array {:?}, expected images: [N, H, W], [N, H, W, C] or [N, C, H, W], or rows of numbers: [N, C], none of \
             them 0",
            array.shape
        )
    };
    let (sizes, strides) = match (&array.shape[..], &array.strides[..]) {
        // Each number is a channel of an image of one pixel.
        (&[n, c], &[s_n, s_c]) => ([n, 1, 1, c], [s_n, c, c, s_c]),
        (&[n, h, w], &[s_n, s_h, s_w]) => ([n, h, w, 1], [s_n, s_h, s_w, 1]),
        (&[n, c, h, w], &[s_n, s_c, s_h, s_w]) if c <= MOST_CHANNELS && w > MOST_CHANNELS => {
            ([n, h, w, c], [s_n, s_h, s_w, s_c])
        }
        (&[n, h, w, c], &[s_n, s_h, s_w, s_c]) => ([n, h, w, c], [s_n, s_h, s_w, s_c]),
        _ => return Err(expected()),
    };
    let [count, height, width, channels] = sizes;
    match sizes.contains(&0) {
        true => Err(expected()),
        false => Ok((count, ImageShape { channels, height, width }, strides)),
    }
}

/// The numbers of images `[N, H, W, C]`, which lie in other order or are no bytes.
fn gathered(
    array: &Array<'_>,
    (count, shape): (usize, ImageShape),
    [s_n, s_h, s_w, s_c]: [usize; 4],
) -> std::result::Result<Values, String> {
    let ImageShape { channels, height, width } = shape;
    let place = |at: usize| {
        let (pixel, channel) = (at / channels, at % channels);
        let (row, column) = (pixel / width % height, pixel % width);
        pixel / width / height * s_n + row * s_h + column * s_w + channel * s_c
    };
    let numbers = (0..count * shape.elements()).map(|at| array.number(place(at)).unwrap_or(f64::NAN));
    let wrong = |number: f64| match array.kind {
        ElementKind::Float => format!("an image holds {number}, expected numbers that are finite"),
        ElementKind::Bytes | ElementKind::Text => "texts, expected images".into(),
        _ => format!("an image holds {number}, expected whole numbers from 0 to 255, or floats"),
    };
    let refused = |cause: Error| cause.to_string();
    if array.kind == ElementKind::Float {
        let mut floats = room(array.len(), "the images").map_err(refused)?;
        for number in numbers {
            let float = number as f32;
            if !float.is_finite() {
                return Err(wrong(number));
            }
            floats.push(float);
        }
        return Ok(Values::Floats(floats));
    }
    let mut bytes = room(array.len(), "the images").map_err(refused)?;
    for number in numbers {
        match number {
            0.0..=255.0 if array.kind == ElementKind::Bool => bytes.push(u8::from(number > 0.0) * u8::MAX),
            0.0..=255.0 => bytes.push(number as u8),
            _ => return Err(wrong(number)),
        }
    }
    Ok(Values::Bytes(bytes))
}

/// What samples are to be answered with: `[N]` or `[N, K]` numbers.
fn read_answers(array: &(String, Encoded), name: &str) -> Result<Answers> {
    let read = |array: &Array<'_>| {
        let columns = array.shape.iter().skip(1).fold(1_usize, |product, &side| product.saturating_mul(side));
        if array.shape.is_empty() || array.shape.len() > 2 && columns != 1 || columns == 0 {
            return Err(format!("an array {:?}, expected labels or values: [N] or [N, K]", array.shape));
        }
        let rows = array.shape[0];
        let place = |row: usize, column: usize| {
            let start = row.checked_mul(*array.strides.first()?)?;
            start.checked_add(column.checked_mul(*array.strides.get(1).unwrap_or(&1))?)
        };
        let mut numbers = room(array.len(), "the labels").map_err(|cause| cause.to_string())?;
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            let number = place(row, column).and_then(|place| array.number(place));
            let is_whole = array.kind != ElementKind::Float;
            match number {
                // Whole numbers alone are classes, which count from 0.
                Some(label) if columns == 1 && is_whole && !(0.0..=LARGEST_LABEL).contains(&label) => {
                    return Err(format!(
                        "sample {row} has the label {label}, expected a whole number of 0 to {LARGEST_LABEL}, or floats"
                    ));
                }
                Some(number) if (number as f32).is_finite() => numbers.push(number as f32),
                _ => {
                    let number = number.map_or("no number".into(), |number| number.to_string());
                    return Err(format!(
                        "sample {row} has the label {number}, expected a whole number of 0 to {LARGEST_LABEL}, or a value"
                    ));
                }
            }
        }
        Ok(Answers::of(numbers, columns))
    };
    Ok(reading(array, name, read)?.0)
}

fn read_names(array: &(String, Encoded), name: &str) -> Result<Vec<String>> {
    let texts = |array: &Array<'_>| array.texts().ok_or_else(|| "expected names, a row of texts".into());
    Ok(reading(array, name, texts)?.0)
}
