//! Lists of pictures: a table (`.csv`, `.tsv`) or JSON lines (`.jsonl`), a picture and its label in each row.
//!
//! A table may begin with the names of its columns, such as `path,label`; without them the column of paths is the one whose
//! files are there. A column `split` puts pictures into parts; so do lists called `train`, `val` and `test` in one folder.
//! Several labels have `;` or `|` between them, are a list in JSON, or a column each of 0 and 1; values are numbers that are no
//! whole ones, a column `value`, or a column each.
//! Paths are absolute, or relative to the list, or to the folder beside it that its pictures lie in.

use crate::classes::{CLASSES_FILES, lines};
use crate::collection::Collection;
use crate::encoded::Encoded;
use crate::folder::{entries, is_picture_ending};
use crate::listing::{Item, Listing, few};
use crate::share::{PartFile, Share};
use crate::targets::{Answers, BETWEEN, Written, answers};
use localgrad::{Error, Result};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The largest list, in bytes.
const LARGEST_BYTES: u64 = 1 << 30;
const ENDINGS: [&str; 6] = ["csv", "tsv", "jsonl", "ndjson", "txt", "json"];
/// What lists are called in a folder that does not name one of a part.
const NAMES: [&str; 6] = ["labels", "metadata", "list", "annotations", "dataset", "data"];
const PATHS: [&str; 11] = [
    "path",
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "image",
    "image_path",
    "img",
    "image_id",
    "id",
];
const LABELS: [&str; 10] =
    ["label", "class", "category", "target", "class_name", "label_name", "y", "labels", "species", "targets"];
pub(crate) const VALUES: [&str; 3] = ["value", "values", "regression"];
const SPLITS: [&str; 4] = ["split", "subset", "part", "set"];
/// What may be missing from names of pictures.
const MISSING: [&str; 5] = ["", ".jpg", ".png", ".jpeg", ".JPEG"];

/// A row of a list.
#[derive(Debug, PartialEq)]
pub struct Row {
    /// What it says where the picture is.
    pub path: String,
    /// What it says of it.
    pub written: Written,
    /// The part that it is of, where it says so.
    pub share: Option<Share>,
}

/// The rows of a list.
#[derive(Debug, Default, PartialEq)]
pub struct Table {
    /// In their order.
    pub rows: Vec<Row>,
    /// Names of the columns that rows have numbers of, where they say them.
    pub columns: Vec<String>,
}

/// Whether a file may be a list, by its ending.
pub fn is_list(path: &Path) -> bool {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// The pictures of a list.
///
/// # Errors
/// `Io` when the list cannot be read; `Format` when it is none, no picture is where it says, or labels are no classes.
pub fn open(path: &Path) -> Result<Collection> {
    collection(&path.display().to_string(), path, vec![(None, path.to_path_buf())])
}

/// The pictures of the lists in a folder; none if there is no list of pictures that are there.
///
/// # Errors
/// Those of [`open`].
pub fn open_in(folder: &Path) -> Result<Option<Collection>> {
    let mut lists: Vec<PartFile> = Vec::new();
    for (name, path) in entries(folder)? {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        // Texts and JSON lie in folders for other reasons.
        let is_list = is_list(&path) && !["txt", "json"].iter().any(|ending| name.ends_with(ending));
        let share = stem.split(['_', '-', '.']).find_map(Share::named);
        if is_list && path.is_file() && (share.is_some() || NAMES.contains(&stem.as_str())) {
            lists.push((share, path));
        }
    }
    if lists.iter().any(|(share, _)| *share == Some(Share::Train)) {
        lists.retain(|(share, _)| share.is_some());
    }
    let is_of_pictures = |(_, path): &PartFile| {
        rows(path).is_ok_and(|table| table.rows.first().is_some_and(|row| Places::of(path, row).is_some()))
    };
    lists.retain(is_of_pictures);
    match lists.first() {
        None => Ok(None),
        Some((_, first)) => {
            let first = first.clone();
            collection(&folder.display().to_string(), &first, lists).map(Some)
        }
    }
}

/// The pictures of all `lists`, each of a part where it says so; `first` lies where the list of classes may.
fn collection(name: &str, first: &Path, lists: Vec<PartFile>) -> Result<Collection> {
    let (mut items, mut written, mut columns) = (Vec::new(), Vec::new(), Vec::new());
    for (share, path) in lists {
        let Table { rows, columns: of_list } = rows(&path)?;
        let wrong = |what: String| Error::format(format!("{}: {what}", path.display()));
        if !columns.is_empty() && columns != of_list {
            return Err(wrong(format!(
                "its columns are {}, and those of another list {}",
                few(&of_list),
                few(&columns)
            )));
        }
        columns = of_list;
        let row = rows.first().ok_or_else(|| wrong("it lists no picture".into()))?;
        let places = Places::of(&path, row).ok_or_else(|| {
            wrong(format!(
                "its first picture, {}, is not there; paths are absolute or relative to the list",
                row.path
            ))
        })?;
        for row in rows {
            let encoded = Encoded::File(places.path(&row.path));
            items
                .push((row.share.or(share), Item { encoded, name: row.path, label: 0, row: Box::default() }));
            written.push(row.written);
        }
    }
    let folder = first.parent().unwrap_or(Path::new(""));
    let file = CLASSES_FILES.map(|name| folder.join(name)).into_iter().find(|path| path.is_file());
    let known = file.map(|path| lines(&path)).transpose()?;
    let found = answers(written, &columns, known).map_err(|what| Error::format(format!("{name}: {what}")))?;
    Ok(in_parts(name, items, found))
}

/// Pictures, with what is found for each, by the parts that they are of; those of none are to learn from.
pub(crate) fn in_parts(name: &str, mut items: Vec<(Option<Share>, Item)>, found: Answers) -> Collection {
    for ((_, item), label) in items.iter_mut().zip(found.labels) {
        item.label = label;
    }
    for ((_, item), row) in items.iter_mut().zip(found.rows) {
        item.row = row;
    }
    let listing = || Listing {
        name: name.to_string(),
        items: Vec::new(),
        class_names: found.names.clone(),
        kind: found.kind,
    };
    let mut collection = Collection { train: listing(), ..Collection::default() };
    // Where all is of one part, as in a list that is called `test`, there are none.
    let only =
        items.first().map(|(share, _)| *share).filter(|first| items.iter().all(|(share, _)| share == first));
    for (share, item) in items {
        let part = match share.filter(|_| only.is_none()) {
            None | Some(Share::Train) => &mut collection.train,
            Some(Share::Validation) => collection.validation.get_or_insert_with(listing),
            Some(Share::Test) => collection.test.get_or_insert_with(listing),
        };
        part.items.push(item);
    }
    collection
}

/// Where the pictures of a list lie, and what their names lack.
struct Places {
    folder: PathBuf,
    missing: &'static str,
}

impl Places {
    /// By the first picture that is listed; none where it is in no place.
    fn of(list: &Path, row: &Row) -> Option<Self> {
        let folder = list.parent().unwrap_or(Path::new(""));
        let stem = list.file_stem().unwrap_or_default();
        let folders = [folder.to_path_buf(), folder.join(stem), folder.join("images"), folder.join("train")];
        let places = folders
            .into_iter()
            .flat_map(|folder| MISSING.map(|missing| Self { folder: folder.clone(), missing }));
        places.into_iter().find(|places| places.path(&row.path).is_file())
    }

    fn path(&self, listed: &str) -> PathBuf {
        // Windows' own way of writing paths.
        let listed = if cfg!(unix) { listed.replace('\\', "/") } else { listed.to_string() };
        self.folder.join(format!("{listed}{}", self.missing))
    }
}

/// The rows of a list.
///
/// # Errors
/// `Io` when it cannot be read; `Format` when it is not what it should be.
pub fn rows(path: &Path) -> Result<Table> {
    let file = Encoded::File(path.to_path_buf());
    let bytes = file.bytes_within(LARGEST_BYTES, "a list of pictures")?;
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    rows_of(&bytes, ending.contains("json"))
        .map_err(|what| Error::format(format!("{}: {what}", path.display())))
}

/// The rows in the bytes of a list, of JSON lines or of a table.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn rows_of(bytes: &[u8], is_json: bool) -> std::result::Result<Table, String> {
    let text = std::str::from_utf8(bytes)
        .map_err(|cause| format!("expected a text in UTF-8, found other bytes at {}", cause.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if is_json { json_rows(text) } else { table_rows(text) }
}

/// JSON lines, or one JSON array of objects.
fn json_rows(text: &str) -> std::result::Result<Table, String> {
    let objects: Vec<(usize, Value)> = match serde_json::from_str(text) {
        Ok(Value::Array(objects)) => (1..).zip(objects).collect(),
        _ => {
            let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
            let parse = |(number, line): (usize, &str)| match serde_json::from_str(line) {
                Ok(value) => Ok((number, value)),
                Err(cause) => Err(format!("line {number} is no JSON ({cause})")),
            };
            lines.map(parse).collect::<std::result::Result<_, String>>()?
        }
    };
    let row = |(number, object): (usize, Value)| {
        let found = |names: &[&str]| names.iter().find_map(|name| object.get(name));
        let keys = || {
            object.as_object().map_or(String::new(), |object| {
                let keys: Vec<String> = object.keys().cloned().collect();
                few(&keys)
            })
        };
        let path = found(&PATHS).and_then(Value::as_str);
        let path =
            path.ok_or_else(|| format!("row {number}: expected a `path` (or file_name), found {}", keys()))?;
        let written = match (found(&LABELS), found(&VALUES)) {
            (Some(label), _) => of_json(label, false),
            (None, Some(values)) => of_json(values, true),
            (None, None) => None,
        };
        let written = written.ok_or_else(|| format!("row {number}: expected a `label`, found {}", keys()))?;
        let share = found(&SPLITS).and_then(Value::as_str).and_then(Share::named);
        Ok(Row { path: path.to_string(), written, share })
    };
    let rows = objects.into_iter().map(row).collect::<std::result::Result<_, String>>()?;
    Ok(Table { rows, columns: Vec::new() })
}

/// What a value in JSON says of a picture; none where that is no label, and no list of labels or of numbers.
pub(crate) fn of_json(value: &Value, are_values: bool) -> Option<Written> {
    let number =
        |value: &Value| value.as_f64().or(value.as_bool().map(f64::from)).map(|number| number as f32);
    match value {
        Value::Number(_) if are_values => Some(Written::Values(vec![number(value)?])),
        Value::Array(list) if are_values => {
            list.iter().map(number).collect::<Option<_>>().map(Written::Values)
        }
        Value::String(label) => Some(Written::One(label.clone())),
        Value::Number(label) => Some(Written::One(label.to_string())),
        Value::Bool(label) => Some(Written::One(u8::from(*label).to_string())),
        Value::Array(list) if list.iter().all(Value::is_string) => {
            Some(Written::Several(list.iter().filter_map(Value::as_str).map(String::from).collect()))
        }
        Value::Array(list) => list.iter().map(number).collect::<Option<_>>().map(Written::Columns),
        Value::Null | Value::Object(_) => None,
    }
}

/// The columns of a table.
struct Columns {
    path: usize,
    answer: Answer,
    split: Option<usize>,
}

/// Where a table says what pictures are to be answered with.
enum Answer {
    /// A column of labels.
    Label(usize),
    /// Columns of numbers; `are_values` where their names say so.
    Numbers { columns: Vec<usize>, are_values: bool },
}

impl Answer {
    /// What a row says; a sentence for what it does not.
    fn read(&self, record: &csv::StringRecord) -> std::result::Result<Written, String> {
        let (columns, are_values) = match self {
            Self::Label(place) => return Ok(Written::One(record.get(*place).unwrap_or_default().into())),
            Self::Numbers { columns, are_values } => (columns, *are_values),
        };
        let number = |&place: &usize| {
            let cell = record.get(place).unwrap_or_default();
            cell.parse().ok().filter(|number: &f32| number.is_finite()).ok_or_else(|| {
                format!(
                    "found {cell:?} in column {place}, expected a number; a column `label` may have words"
                )
            })
        };
        let numbers = columns.iter().map(number).collect::<std::result::Result<_, String>>()?;
        Ok(if are_values { Written::Values(numbers) } else { Written::Columns(numbers) })
    }
}

fn table_rows(text: &str) -> std::result::Result<Table, String> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let occurs = |delimiter: &u8| first.bytes().filter(|byte| byte == delimiter).count();
    // Of equal ones the last is taken, so that a path with a blank in it is whole.
    let delimiter = [b' ', b'|', b';', b'\t', b','].into_iter().rfind(|delimiter| occurs(delimiter) > 0);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter.unwrap_or(b','))
        .from_reader(text.as_bytes());
    let (mut columns, mut table): (Option<Columns>, Table) = (None, Table::default());
    let mut without: Option<String> = None;
    for record in reader.records() {
        let record = record.map_err(|cause| cause.to_string())?;
        let number = record.position().map_or(0, csv::Position::line) as usize;
        if record.iter().all(str::is_empty) {
            continue;
        }
        let columns = match &columns {
            Some(columns) => columns,
            None => {
                let (found, is_header) = columns_of(&record)?;
                let found = columns.insert(found);
                if is_header {
                    if let Answer::Numbers { columns, .. } = &found.answer {
                        table.columns =
                            columns.iter().filter_map(|&place| record.get(place).map(String::from)).collect();
                    }
                    continue;
                }
                found
            }
        };
        let cell = |place: usize| record.get(place).filter(|cell| !cell.is_empty());
        let lacking = || {
            format!(
                "line {number}: expected a path and a label, found {:?}",
                record.iter().collect::<Vec<_>>()
            )
        };
        let path = cell(columns.path).ok_or_else(lacking)?;
        let written = columns.answer.read(&record).map_err(|what| format!("line {number}: {what}"))?;
        if matches!(&written, Written::One(label) if label.is_empty()) {
            without.get_or_insert_with(lacking);
        }
        let share = columns.split.and_then(cell).and_then(Share::named);
        table.rows.push(Row { path: path.to_string(), written, share });
    }
    let has_several = |row: &Row| matches!(&row.written, Written::One(text) if text.contains(BETWEEN));
    match without {
        // Of several labels none may be there.
        Some(what) if !table.rows.iter().any(has_several) => Err(what),
        _ => Ok(table),
    }
}

/// The columns by the first row, and whether that says them by their names.
fn columns_of(record: &csv::StringRecord) -> std::result::Result<(Columns, bool), String> {
    let cells: Vec<String> = record.iter().map(str::to_lowercase).collect();
    let named = |names: &[&str]| names.iter().find_map(|name| cells.iter().position(|cell| cell == name));
    let split = named(&SPLITS);
    if let Some(path) = named(&PATHS) {
        let others: Vec<usize> =
            (0..cells.len()).filter(|&place| place != path && Some(place) != split).collect();
        let answer = match (named(&LABELS), named(&VALUES), &others[..]) {
            (Some(label), ..) => Answer::Label(label),
            (None, Some(value), _) => Answer::Numbers { columns: vec![value], are_values: true },
            (None, None, &[label]) => Answer::Label(label),
            (None, None, []) => return Err(format!("expected a column `label` beside {}", cells[path])),
            (None, None, _) => Answer::Numbers { columns: others, are_values: false },
        };
        return Ok((Columns { path, answer, split }, true));
    }
    let is_picture =
        |cell: &String| cell.rsplit_once('.').is_some_and(|(_, ending)| is_picture_ending(ending));
    let path = cells.iter().position(is_picture);
    match (path, cells.len()) {
        (Some(path), 2) => Ok((Columns { path, answer: Answer::Label(1 - path), split: None }, false)),
        (Some(path), count) if count > 2 => {
            let columns = (0..count).filter(|&place| place != path).collect();
            Ok((Columns { path, answer: Answer::Numbers { columns, are_values: false }, split: None }, false))
        }
        _ => Err(format!(
            "expected columns such as path,label, or rows of a picture's path and its label, found {}",
            few(&record.iter().map(String::from).collect::<Vec<_>>())
        )),
    }
}
