//! The cells of a Parquet column, out of its pages: unpacked and decoded here, so that damaged ones are refused.
//!
//! Plain values and dictionaries of them, in columns whose rows hold one value, a list of values, or nothing, as pictures and
//! labels are kept. See <https://parquet.apache.org/docs/file-format/data-pages/encodings/>.

use crate::unpack::{CUT, hybrid, unpacked};
use ::parquet::basic::{Compression, Encoding, Type};
use ::parquet::column::page::{Page, PageReader};
use ::parquet::schema::types::ColumnDescriptor;
use std::borrow::Cow;
use std::sync::Arc;

/// Values of a column's part, at most: far more than are written together.
const MOST_VALUES: usize = 1 << 21;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A whole number.
    Int(i64),
    /// A truth.
    Bool(bool),
    /// A number with a point.
    Float(f64),
    /// Bytes or a text.
    Bytes(Arc<[u8]>),
}

/// What a row has in a column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Nothing.
    Missing,
    /// A value.
    One(Value),
    /// A list of values, of which those that are missing are left out.
    List(Vec<Value>),
}

/// The cells of a column's part. `pages` are as they lie in the file, packed as `packing` says.
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn cells(
    mut pages: impl PageReader,
    column: &ColumnDescriptor,
    packing: Compression,
) -> Result<Vec<Cell>, String> {
    let kind = column.physical_type();
    let (mut dictionary, mut found, mut count_before) = (Vec::new(), Vec::new(), 0);
    while let Some(page) = pages.get_next_page().map_err(|cause| cause.to_string())? {
        if let Page::DictionaryPage { buf, num_values, .. } = &page {
            dictionary = plain(&unpacked(buf, packing)?, kind, *num_values as usize)?;
            continue;
        }
        let count = page.num_values() as usize;
        count_before += count;
        if count_before > MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values in one part"));
        }
        let body = Body::of(&page, column, packing)?;
        let there = body.levels.iter().filter(|(_, level)| *level == body.largest).count();
        let values = match page.encoding() {
            Encoding::PLAIN => plain(&body.values, kind, there)?,
            Encoding::RLE if kind == Type::BOOLEAN => {
                let truths = body.values.get(4..).and_then(|bits| hybrid(bits, 1, there)).ok_or(CUT)?;
                truths.into_iter().map(|truth| Value::Bool(truth == 1)).collect()
            }
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY => {
                of_dictionary(&body.values, &dictionary, there)?
            }
            other => {
                return Err(format!(
                    "values in the encoding {other}, expected plain ones or a dictionary; in Python, write the table anew: \
                     pyarrow.parquet.write_table(table, FILE)"
                ));
            }
        };
        place(&mut found, values, &body.levels, column)?;
    }
    Ok(found)
}

/// What is in a page.
struct Body<'a> {
    /// Of each value how deep its list goes on (0 begins a row) and how much of it is there.
    levels: Vec<(u32, u32)>,
    /// The level of a value that is there.
    largest: u32,
    values: Cow<'a, [u8]>,
}

impl<'a> Body<'a> {
    /// In a page of the first version all is packed, and levels have their length in front; in one of the second values alone
    /// are packed, and its header says how long levels are.
    fn of(page: &'a Page, column: &ColumnDescriptor, packing: Compression) -> Result<Self, String> {
        let deepest =
            [column.max_rep_level(), column.max_def_level()].map(|level| u32::from(level.max(0) as u16));
        let count = page.num_values() as usize;
        let (levels, values) = match page {
            Page::DataPageV2 { buf, rep_levels_byte_len, def_levels_byte_len, is_compressed, .. } => {
                let lens = [*rep_levels_byte_len, *def_levels_byte_len].map(|len| Some(len as usize));
                let (levels, at) = levels(buf, count, deepest, lens)?;
                let rest = buf.get(at..).ok_or(CUT)?;
                let values = if *is_compressed { unpacked(rest, packing)? } else { Cow::Borrowed(rest) };
                (levels, values)
            }
            page => {
                let mut body = unpacked(page.buffer(), packing)?;
                let (levels, at) = levels(&body, count, deepest, [None; 2])?;
                match &mut body {
                    Cow::Borrowed(bytes) => *bytes = bytes.get(at..).ok_or(CUT)?,
                    Cow::Owned(bytes) => drop(bytes.drain(..at.min(bytes.len()))),
                }
                (levels, body)
            }
        };
        Ok(Self { levels, largest: deepest[1], values })
    }
}

/// The two levels of each of `count` values, and where they end in `bytes`.
fn levels(
    bytes: &[u8],
    count: usize,
    deepest: [u32; 2],
    lens: [Option<usize>; 2],
) -> Result<(Vec<(u32, u32)>, usize), String> {
    let (mut at, mut both) = (0_usize, [vec![], vec![]]);
    for ((levels, deepest), len) in both.iter_mut().zip(deepest).zip(lens) {
        if deepest == 0 {
            *levels = vec![0; count];
            at += len.unwrap_or(0);
            continue;
        }
        let rest = bytes.get(at..).ok_or(CUT)?;
        let (len, rest) = match len {
            Some(len) => (len, rest),
            None => {
                let (len, rest) = rest.split_first_chunk().ok_or(CUT)?;
                at += len.len();
                (u32::from_le_bytes(*len) as usize, rest)
            }
        };
        *levels = rest.get(..len).and_then(|rest| hybrid(rest, deepest.ilog2() + 1, count)).ok_or(CUT)?;
        at += len;
    }
    let [repeated, defined] = both;
    Ok((repeated.into_iter().zip(defined).collect(), at))
}

/// Puts the values of a page where their levels say.
fn place(
    cells: &mut Vec<Cell>,
    values: Vec<Value>,
    levels: &[(u32, u32)],
    column: &ColumnDescriptor,
) -> Result<(), String> {
    let level = |level: i16| u32::from(level.max(0) as u16);
    let (largest, listed) = (level(column.max_def_level()), level(column.repeated_ancestor_def_level()));
    let is_list = column.max_rep_level() > 0;
    let mut values = values.into_iter();
    for &(repeated, defined) in levels {
        let value = if defined == largest { values.next() } else { None };
        if !is_list {
            cells.push(value.map_or(Cell::Missing, Cell::One));
            continue;
        }
        // A list that is there and empty stands one below those with something in them.
        if repeated == 0 && defined + 1 < listed {
            cells.push(Cell::Missing);
            continue;
        }
        if repeated == 0 {
            cells.push(Cell::List(Vec::new()));
        }
        match (cells.last_mut(), value) {
            (Some(Cell::List(list)), Some(value)) => list.push(value),
            (Some(Cell::List(_)), None) => {}
            _ => return Err("a list goes on that never began".into()),
        }
    }
    Ok(())
}

/// So many values by their places in a dictionary.
fn of_dictionary(bytes: &[u8], dictionary: &[Value], count: usize) -> Result<Vec<Value>, String> {
    // Where there is no value, there may be no byte.
    let Some((&width, rest)) = bytes.split_first().filter(|_| count > 0) else {
        return if count == 0 { Ok(Vec::new()) } else { Err(CUT.into()) };
    };
    let places = hybrid(rest, width.into(), count).ok_or(CUT)?;
    let value = |place: u32| dictionary.get(place as usize).cloned();
    let values = places.into_iter().map(value).collect::<Option<Vec<Value>>>();
    values.ok_or_else(|| "a place outside the dictionary".into())
}

/// So many plain values.
fn plain(bytes: &[u8], kind: Type, count: usize) -> Result<Vec<Value>, String> {
    let words = |width: usize| bytes.get(..count.checked_mul(width)?).map(|bytes| bytes.chunks_exact(width));
    let four = |make: fn([u8; 4]) -> Value| {
        Some(words(4)?.filter_map(|word| word.try_into().ok()).map(make).collect())
    };
    let eight = |make: fn([u8; 8]) -> Value| {
        Some(words(8)?.filter_map(|word| word.try_into().ok()).map(make).collect())
    };
    let values = match kind {
        Type::INT32 => four(|word| Value::Int(i32::from_le_bytes(word).into())),
        Type::FLOAT => four(|word| Value::Float(f32::from_le_bytes(word).into())),
        Type::INT64 => eight(|word| Value::Int(i64::from_le_bytes(word))),
        Type::DOUBLE => eight(|word| Value::Float(f64::from_le_bytes(word))),
        Type::BOOLEAN if count <= bytes.len().saturating_mul(8) => {
            Some((0..count).map(|at| Value::Bool(bytes[at / 8] >> (at % 8) & 1 == 1)).collect())
        }
        Type::BOOLEAN => None,
        Type::BYTE_ARRAY => texts(bytes, count),
        other => return Err(format!("values of the type {other}, expected bytes, texts or numbers")),
    };
    values.ok_or_else(|| CUT.into())
}

/// So many runs of bytes, each behind its length.
fn texts(mut bytes: &[u8], count: usize) -> Option<Vec<Value>> {
    let mut texts = Vec::new();
    for _ in 0..count {
        let (len, rest) = bytes.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        texts.push(Value::Bytes(text.into()));
        bytes = rest;
    }
    Some(texts)
}
