//! Parquet files with encoded pictures, as Hugging Face keeps data sets: a column `image` of structs whose `bytes` are a file,
//! and a column `label` of numbers, whose names the metadata say, of texts, of lists of either, or of values. One file, or a
//! folder of `train-00000-of-00002.parquet`.
//!
//! See <https://huggingface.co/docs/datasets/image_dataset> and <https://parquet.apache.org/docs/file-format/>.

use crate::classes::{CLASSES_FILES, lines};
use crate::collection::Collection;
use crate::columns::Columns;
use crate::encoded::Encoded;
use crate::folder::entries;
use crate::images::check_fits;
use crate::list::in_parts;
use crate::listing::{Item, few};
use crate::pages::{Cell, Value, cells};
use crate::share::{PartFile, Share};
use crate::targets::{Answers, Written, answers};
use ::parquet::basic::Compression;
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ColumnChunkMetaData, FileMetaData, RowGroupMetaData};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::file::serialized_reader::SerializedPageReader;
use localgrad::targets::TargetKind;
use localgrad::{Error, Result, signature};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a row takes in memory beside its picture.
const ROW_BYTES: usize = 256;
/// Bytes of pictures after which it is looked whether they fit into memory.
const CHECK_BYTES: usize = 64 << 20;
/// Rows that lack something and are named.
const NAMED: usize = 8;

/// The Parquet files that `path` is or holds, there, in a folder `data` or in the only folder, with the part that each is of;
/// none where there are none.
///
/// # Errors
/// `Io` when a folder cannot be read.
pub(crate) fn found(path: &Path) -> Result<Vec<PartFile>> {
    if !path.is_dir() {
        return Ok(if is_parquet(path) || begins_as_one(path) {
            vec![(None, path.to_path_buf())]
        } else {
            Vec::new()
        });
    }
    let folders: Vec<PathBuf> =
        entries(path)?.into_iter().map(|(_, path)| path).filter(|path| path.is_dir()).collect();
    let only = folders.first().filter(|_| folders.len() == 1);
    let data = Some(path.join("data")).filter(|folder| folder.is_dir());
    for folder in [Some(path), data.as_deref(), only.map(PathBuf::as_path)].into_iter().flatten() {
        let files = files_in(folder)?;
        if !files.is_empty() {
            return Ok(files);
        }
    }
    Ok(Vec::new())
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

/// Whether a file is one by its first bytes, whatever it is called.
fn begins_as_one(path: &Path) -> bool {
    let mut start = [0; 4];
    path.is_file()
        && File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok())
        && &start == b"PAR1"
}

/// The files in a folder and in its folders of parts, which their names or those of their folders say.
fn files_in(folder: &Path) -> Result<Vec<PartFile>> {
    let share_of = |name: &str| name.split(['-', '_', '.']).find_map(Share::named);
    let mut files: Vec<PartFile> = Vec::new();
    for (name, path) in entries(folder)? {
        if is_parquet(&path) && path.is_file() {
            files.push((share_of(&name), path));
        } else if let Some(share) = Share::named(&name).filter(|_| path.is_dir()) {
            let inner = entries(&path)?.into_iter().map(|(_, path)| path);
            files.extend(
                inner.filter(|path| is_parquet(path) && path.is_file()).map(|path| (Some(share), path)),
            );
        }
    }
    if files.iter().any(|(share, _)| *share == Some(Share::Train)) {
        files.retain(|(share, _)| share.is_some());
    }
    Ok(files)
}

/// The pictures in Parquet files.
///
/// # Errors
/// `Io` when a file cannot be read; `Format` when it is none or has no such columns; `Memory` for pictures that do not fit
/// into it.
pub(crate) fn collection(name: &str, files: Vec<PartFile>) -> Result<Collection> {
    let folder = files.first().and_then(|(_, path)| path.parent()).map(Path::to_path_buf);
    let mut rows = ReadRows::default();
    for (share, path) in files {
        rows.add_file(share, &path)?;
    }
    let wrong = |what: String| Error::format(format!("{name}: {what}"));
    if rows.items.is_empty() {
        return Err(wrong("it holds no picture with a label; -1 stands for none".into()));
    }
    if rows.lacking > 0 {
        log::warn!(
            "{name}: {} rows lack a picture or a label and are left out: {}{}",
            rows.lacking,
            few(&rows.without),
            if rows.lacking > rows.without.len() { ", …" } else { "" }
        );
    }
    let found = match rows.form.names {
        Some(names) => named(&rows.written, names, rows.form.is_list),
        None => {
            let file = folder.map(|folder| CLASSES_FILES.map(|name| folder.join(name)));
            let file = file.into_iter().flatten().find(|path| path.is_file());
            answers(rows.written, &rows.form.columns, file.map(|path| lines(&path)).transpose()?)
        }
    };
    Ok(in_parts(name, rows.items, found.map_err(wrong)?))
}

/// The answers of rows that hold places among the names of classes, or lists of them.
fn named(rows: &[Written], names: Vec<String>, are_lists: bool) -> std::result::Result<Answers, String> {
    let mut found = Answers {
        kind: if are_lists { TargetKind::Labels } else { TargetKind::Class },
        names,
        ..Answers::default()
    };
    let classes = found.names.len();
    for row in rows {
        let Written::Columns(places) = row else { return Err("a text where labels are numbers".into()) };
        if let Some(place) = places.iter().find(|place| **place >= classes as f32) {
            return Err(format!("the label {place} is that of none of the {classes} classes listed"));
        }
        found.labels.push(if are_lists { 0 } else { places.first().map_or(0, |&place| place as u32) });
        if are_lists {
            let mut marks = vec![0.0; classes];
            places.iter().for_each(|&place| marks[place as usize] = 1.0);
            found.rows.push(marks.into());
        }
    }
    Ok(found)
}

/// What the answers of a file's rows are.
#[derive(Clone, Debug, Default, PartialEq)]
struct ColumnForm {
    /// Names of the classes that numbers stand for.
    names: Option<Vec<String>>,
    /// Whether a row has a list of them.
    is_list: bool,
    /// Names of columns of numbers, where a row's are in several.
    columns: Vec<String>,
}

/// What was read.
#[derive(Default)]
struct ReadRows {
    items: Vec<(Option<Share>, Item)>,
    written: Vec<Written>,
    form: ColumnForm,
    /// How many rows lack something, and names of the first.
    lacking: usize,
    without: Vec<String>,
    bytes: usize,
    checked_bytes: usize,
}

impl ReadRows {
    fn add_file(&mut self, share: Option<Share>, path: &Path) -> Result<()> {
        let name = path.display().to_string();
        let wrong = |what: String| Error::format(format!("{name}: {what}"));
        let broken = |cause: ParquetError| wrong(format!("a broken or cut Parquet file ({cause})"));
        let io = |cause| Error::io(path, cause);
        let mut start = Vec::new();
        File::open(path).map_err(io)?.take(512).read_to_end(&mut start).map_err(io)?;
        if !start.starts_with(b"PAR1") {
            let what = signature::what(&start).unwrap_or("something else");
            return Err(wrong(format!("expected a Parquet file, found {what}")));
        }
        let file = Arc::new(File::open(path).map_err(io)?);
        let reader = SerializedFileReader::new(file.try_clone().map_err(io)?).map_err(broken)?;
        let described = reader.metadata().file_metadata();
        let columns = Columns::of(described.schema_descr(), &features(described)).map_err(wrong)?;
        let form = ColumnForm {
            names: columns.names.clone(),
            is_list: columns.is_list,
            columns: columns.titles.clone(),
        };
        if !self.items.is_empty() && self.form != form {
            return Err(wrong(
                "its labels, or the names of its classes, are not those of the file before it".into(),
            ));
        }
        self.form = form;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut number = 0;
        for group in reader.metadata().row_groups() {
            let read = |column: usize| part(&file, group, column).map_err(wrong);
            let pictures = read(columns.image)?;
            let answers = columns.answers.iter().map(|&column| read(column)).collect::<Result<Vec<_>>>()?;
            if let Some(other) = answers.iter().find(|column| column.len() != pictures.len()) {
                let found = format!("{} pictures and {} labels", pictures.len(), other.len());
                return Err(wrong(format!("{found}, expected as many")));
            }
            for (row, picture) in pictures.into_iter().enumerate() {
                let answers: Vec<&Cell> = answers.iter().filter_map(|column| column.get(row)).collect();
                let written = columns.written(&answers).map_err(wrong)?;
                self.add_row(share, format!("{stem}/{number}"), picture, written);
                number += 1;
                self.check_fits(&name)?;
            }
        }
        Ok(())
    }

    fn add_row(&mut self, share: Option<Share>, name: String, picture: Cell, written: Option<Written>) {
        match (picture, written) {
            (Cell::One(Value::Bytes(picture)), Some(written)) => {
                self.bytes += picture.len() + ROW_BYTES + bytes_of(&written);
                let encoded = Encoded::Memory(picture);
                self.items.push((share, Item { encoded, name, label: 0, row: Box::default() }));
                self.written.push(written);
            }
            _ => {
                self.lacking += 1;
                if self.without.len() < NAMED {
                    self.without.push(name);
                }
            }
        }
    }

    fn check_fits(&mut self, name: &str) -> Result<()> {
        if self.bytes - self.checked_bytes < CHECK_BYTES {
            return Ok(());
        }
        self.checked_bytes = self.bytes;
        check_fits(self.bytes, &format!("{name}: the encoded pictures"))
    }
}

fn bytes_of(written: &Written) -> usize {
    match written {
        Written::One(text) => text.len(),
        Written::Several(texts) => texts.iter().map(|text| text.len() + size_of::<String>()).sum(),
        Written::Columns(numbers) | Written::Values(numbers) => size_of_val(&numbers[..]),
    }
}

/// What Hugging Face's library says of the columns; nothing where another wrote the file.
fn features(file: &FileMetaData) -> serde_json::Value {
    let said =
        file.key_value_metadata().and_then(|pairs| pairs.iter().find(|pair| pair.key == "huggingface"));
    let said = said.and_then(|pair| serde_json::from_str::<serde_json::Value>(pair.value.as_deref()?).ok());
    said.map(|value| value["info"]["features"].clone()).unwrap_or_default()
}

/// The cells of a column in a group of rows.
fn part(file: &Arc<File>, group: &RowGroupMetaData, column: usize) -> std::result::Result<Vec<Cell>, String> {
    let broken = |what: &dyn std::fmt::Display| format!("a broken or cut Parquet file ({what})");
    let described = group.columns().get(column).ok_or_else(|| broken(&"a column is missing"))?;
    let len = file.metadata().map_err(|cause| broken(&cause))?.len();
    if !lies_within(described, len) {
        return Err(broken(&"a column lies outside"));
    }
    // So that pages come as they lie in the file: they are unpacked here, within limits.
    let packing = described.compression();
    let as_they_lie = described.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build();
    let pages = as_they_lie.and_then(|described| {
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        SerializedPageReader::new(file.clone(), &described, rows, None)
    });
    cells(pages.map_err(|cause| broken(&cause))?, described.column_descr(), packing)
}

/// Whether a part of a column lies within the `len` bytes of the file: the reader takes it for granted.
fn lies_within(column: &ColumnChunkMetaData, len: u64) -> bool {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let number = |number: i64| u64::try_from(number).ok();
    let end = number(start).and_then(|start| start.checked_add(number(column.compressed_size())?));
    end.is_some_and(|end| end <= len)
}
