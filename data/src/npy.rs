//! NumPy's arrays as they lie in files (`.npy`).
//!
//! Nothing is run and nothing unpickled: the header is read as the dictionary of three plain values that it is. See
//! `numpy/lib/format.py` for the format.

use half::f16;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Dimensions of an array, at most, as NumPy has it.
const MOST_DIMENSIONS: usize = 32;

/// What the elements of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementKind {
    /// Truths, a byte each.
    Bool,
    /// Whole numbers from 0.
    Unsigned,
    /// Whole numbers.
    Signed,
    /// Numbers with a point.
    Float,
    /// Texts of bytes.
    Bytes,
    /// Texts of characters of 4 bytes.
    Text,
}

/// An array.
#[derive(Debug)]
pub struct Array<'a> {
    /// What its elements are.
    pub kind: ElementKind,
    /// Its sizes.
    pub shape: Vec<usize>,
    /// Elements from one place of a dimension to its next.
    pub strides: Vec<usize>,
    /// Bytes of an element.
    width: usize,
    big_endian: bool,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// Reads an array.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn read(file: &'a [u8]) -> Result<Self, String> {
        let start = file.strip_prefix(MAGIC).ok_or("this is no NumPy array")?;
        let cut = || "cut off within its header".to_string();
        let (len, rest) = match start {
            [1, _, low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])), rest),
            [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
            [version, ..] => return Err(format!("version {version} of NumPy's format, expected 1, 2 or 3")),
            [] => return Err(cut()),
        };
        let (header, bytes) = rest.split_at_checked(len).ok_or_else(cut)?;
        let header = std::str::from_utf8(header).ok().and_then(Header::parse);
        let Header { descr, by_columns, shape } = header.ok_or(
            "its header is none: expected {'descr': '…', 'fortran_order': …, 'shape': (…)} of plain numbers or texts",
        )?;
        let (kind, width, big_endian) = element(descr)?;
        let count = shape.iter().try_fold(1_usize, |product, &side| product.checked_mul(side));
        let wanted = count.and_then(|count| count.checked_mul(width));
        if wanted != Some(bytes.len()) {
            let wanted = wanted.map_or("more".into(), |wanted| wanted.to_string());
            return Err(format!("{shape:?} of {descr} take {wanted} bytes, found {}", bytes.len()));
        }
        Ok(Self { kind, strides: strides(&shape, by_columns), shape, width, big_endian, bytes })
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The elements as bytes, if they are bytes and lie row after row.
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        let is_plain = self.kind == ElementKind::Unsigned && self.width == 1;
        (is_plain && self.strides == strides(&self.shape, false)).then_some(self.bytes)
    }

    /// The element in a place, by its strides; none where there is no such element, or it is no number.
    pub fn number(&self, place: usize) -> Option<f64> {
        let start = place.checked_mul(self.width)?;
        let mut element = [0; 8];
        let element = element.get_mut(..self.width)?;
        element.copy_from_slice(self.bytes.get(start..start.checked_add(self.width)?)?);
        if self.big_endian {
            element.reverse();
        }
        Some(match (self.kind, &*element) {
            (ElementKind::Bool | ElementKind::Unsigned, &[byte]) => f64::from(byte),
            (ElementKind::Signed, &[byte]) => f64::from(byte as i8),
            (ElementKind::Unsigned, &[a, b]) => f64::from(u16::from_le_bytes([a, b])),
            (ElementKind::Signed, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
            (ElementKind::Float, &[a, b]) => f16::from_le_bytes([a, b]).to_f64(),
            (ElementKind::Unsigned, &[a, b, c, d]) => f64::from(u32::from_le_bytes([a, b, c, d])),
            (ElementKind::Signed, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
            (ElementKind::Float, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (kind, element) => {
                let element = *element.first_chunk::<8>()?;
                match kind {
                    // Beyond 2^53 they are no labels and no brightness.
                    ElementKind::Unsigned => u64::from_le_bytes(element) as f64,
                    ElementKind::Signed => i64::from_le_bytes(element) as f64,
                    ElementKind::Float => f64::from_le_bytes(element),
                    _ => return None,
                }
            }
        })
    }

    /// The texts of a row of them.
    pub fn texts(&self) -> Option<Vec<String>> {
        let [_] = self.shape[..] else { return None };
        let rows = self.bytes.chunks_exact(self.width);
        let character = |bytes: &[u8; 4]| {
            let number =
                if self.big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) };
            char::from_u32(number)
        };
        let texts: Option<Vec<String>> = match self.kind {
            ElementKind::Bytes => rows.map(|row| Some(String::from_utf8_lossy(row).into_owned())).collect(),
            ElementKind::Text => {
                rows.map(|row| row.as_chunks::<4>().0.iter().map(character).collect()).collect()
            }
            _ => return None,
        };
        Some(texts?.into_iter().map(|text| text.trim_end_matches('\0').to_string()).collect())
    }
}

/// Elements from one place of a dimension to its next: the last dimension lies closest, or by columns the first.
fn strides(shape: &[usize], by_columns: bool) -> Vec<usize> {
    let mut strides = vec![0; shape.len()];
    let mut stride: usize = 1;
    for place in 0..shape.len() {
        let dimension = if by_columns { place } else { shape.len() - 1 - place };
        strides[dimension] = stride;
        stride = stride.saturating_mul(shape[dimension]);
    }
    strides
}

/// What elements are, their bytes and whether the first of these is the largest.
fn element(descr: &str) -> Result<(ElementKind, usize, bool), String> {
    let unread = || {
        format!(
            "elements of the type {descr}, expected numbers or texts (save them with astype, without dtype=object)"
        )
    };
    let (order, letter) = match *descr.as_bytes() {
        [order @ (b'<' | b'>' | b'|' | b'='), letter, ..] => (order, letter),
        _ => return Err(unread()),
    };
    let size: usize = descr.get(2..).and_then(|size| size.parse().ok()).ok_or_else(unread)?;
    let kind = match (letter, size) {
        (b'b', 1) => ElementKind::Bool,
        (b'u', 1 | 2 | 4 | 8) => ElementKind::Unsigned,
        (b'i', 1 | 2 | 4 | 8) => ElementKind::Signed,
        (b'f', 2 | 4 | 8) => ElementKind::Float,
        (b'S', 1..) => ElementKind::Bytes,
        (b'U', 1..) => ElementKind::Text,
        _ => return Err(unread()),
    };
    let width = if kind == ElementKind::Text { size.checked_mul(4).ok_or_else(unread)? } else { size };
    Ok((kind, width, order == b'>'))
}

/// What the header says.
struct Header<'a> {
    descr: &'a str,
    by_columns: bool,
    shape: Vec<usize>,
}

impl<'a> Header<'a> {
    /// The three entries of a Python dictionary, in any order.
    fn parse(text: &'a str) -> Option<Self> {
        let (mut descr, mut by_columns, mut shape) = (None, None, None);
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" => {
                    let (text, after) = quoted(value)?;
                    descr = Some(text);
                    after
                }
                "fortran_order" => {
                    let after = value.strip_prefix("True").or(value.strip_prefix("False"))?;
                    by_columns = Some(value.starts_with("True"));
                    after
                }
                "shape" => {
                    let (sides, after) = value.strip_prefix('(')?.split_once(')')?;
                    shape = Some(sizes(sides)?);
                    after
                }
                _ => return None,
            };
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        }
        Some(Self { descr: descr?, by_columns: by_columns?, shape: shape? })
    }
}

/// A text in quotes and what comes after it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// `3, 4` or `3,`; Python 2 wrote `3L`.
fn sizes(text: &str) -> Option<Vec<usize>> {
    let sides = text.split(',').map(str::trim).filter(|side| !side.is_empty());
    let sizes: Option<Vec<usize>> = sides.map(|side| side.trim_end_matches('L').parse().ok()).collect();
    sizes.filter(|sizes| sizes.len() <= MOST_DIMENSIONS)
}
