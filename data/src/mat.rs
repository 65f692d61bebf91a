//! SVHN's cropped digits: MATLAB files (level 5) with `X`, bytes `[32, 32, 3, N]`, and `y`, `[N, 1]`, where 10 stands for
//! the digit 0.
//!
//! See <http://ufldl.stanford.edu/housenumbers/> and MathWorks' "MAT-File Format".

use crate::images::{Images, Values, room, whole_file};
use crate::listing::Part;
use flate2::read::ZlibDecoder;
use localgrad::data::ImageShape;
use localgrad::{Error, Result};
use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

const HEADER_BYTES: usize = 128;
/// Kinds of elements.
const COMPRESSED: u32 = 15;
const MATRIX: u32 = 14;
/// The most that a byte of compressed data can stand for.
const MOST_EXPANSION: usize = 1032;
/// Elements of a file that are looked at.
const MOST_ELEMENTS: usize = 64;
const DIGITS: u32 = 10;

/// A matrix with its name.
#[derive(Debug, PartialEq)]
struct Matrix<'a> {
    name: &'a [u8],
    sizes: Vec<usize>,
    kind: u32,
    data: &'a [u8],
}

/// The file of a part of SVHN in `directory`.
fn file_name(part: Part) -> &'static str {
    match part {
        Part::Train | Part::All => "train_32x32.mat",
        Part::Judge | Part::Test => "test_32x32.mat",
    }
}

/// Whether `directory` holds SVHN.
pub fn holds(directory: &Path) -> bool {
    [Part::Train, Part::Test].into_iter().any(|part| directory.join(file_name(part)).is_file())
}

/// Opens a part of SVHN in `directory`.
///
/// # Errors
/// `Io` when the file cannot be read, `Format` when it is missing or not what it should be.
pub fn open(directory: &Path, part: Part) -> Result<Images> {
    let path = directory.join(file_name(part));
    if !path.is_file() {
        let (found, wanted) = (directory.display(), file_name(part));
        return Err(Error::format(format!(
            "{found}: expected {wanted} beside the other part of SVHN, found none"
        )));
    }
    from_bytes(&whole_file(&path)?, &path.display().to_string())
}

/// The digits in the bytes of a file called `name`.
///
/// # Errors
/// `Format` when it is not what it should be.
pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Images> {
    let wrong = |what: String| Error::format(format!("{name}: {what}"));
    let is_level_5 = bytes.len() > HEADER_BYTES && bytes[124..128] == [0, 1, b'I', b'M'];
    if !is_level_5 {
        return Err(wrong(
            "expected a MATLAB file of level 5 in little-endian order, found something else".into(),
        ));
    }
    let (mut images, mut labels) = (None, None);
    let mut rest = &bytes[HEADER_BYTES..];
    for _ in 0..MOST_ELEMENTS {
        if rest.is_empty() {
            break;
        }
        let (kind, data) =
            element(&mut rest).ok_or_else(|| wrong("an element ends after the file does".into()))?;
        let data = match kind {
            COMPRESSED => Cow::Owned(inflated(data, name)?),
            _ => Cow::Borrowed(data),
        };
        let mut inner: &[u8] = &data;
        let content = if kind == COMPRESSED { element(&mut inner) } else { Some((kind, &*data)) };
        let matrix = content.filter(|(kind, _)| *kind == MATRIX).and_then(|(_, data)| matrix(data));
        match matrix {
            Some(matrix) if matrix.name == b"X" => {
                images = Some(digits(&matrix).ok_or_else(|| {
                    wrong(format!("`X` is of the sizes {:?}, expected bytes [32, 32, 3, N]", matrix.sizes))
                })??)
            }
            Some(matrix) if matrix.name == b"y" => {
                labels = Some(numbers(&matrix).ok_or_else(|| wrong("`y` holds no whole numbers".into()))?)
            }
            _ => {}
        }
    }
    let (Some((side, images)), Some(labels)) = (images, labels) else {
        return Err(wrong("expected the matrices X and y".into()));
    };
    let digit = |label: u32| if label == DIGITS { 0 } else { label };
    let labels = labels.into_iter().map(digit).collect();
    let names = (0..DIGITS).map(|digit| digit.to_string()).collect();
    Images::new(name, side, Values::Bytes(images), labels, (DIGITS as usize, names))
}

/// The next element of `rest` by its kind, and what comes after it.
fn element<'a>(rest: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(*rest.get(at..)?.first_chunk()?));
    let first = word(0)?;
    // Small ones have kind and length in one word, and their data in the next.
    let (kind, start, len): (u32, usize, usize) = match first >> 16 {
        0 => (first, 8, word(4)? as usize),
        len => (first & 0xffff, 4, len as usize),
    };
    let data = rest.get(start..start.checked_add(len)?)?;
    let end = if kind == COMPRESSED { start + len } else { (start + len).next_multiple_of(8) };
    *rest = rest.get(end..).unwrap_or_default();
    Some((kind, data))
}

/// What an element unpacks to: no more than it says itself, and could be.
fn inflated(packed: &[u8], name: &str) -> Result<Vec<u8>> {
    let wrong = |what: &str| Error::format(format!("{name}: {what}"));
    let mut decoder = ZlibDecoder::new(packed);
    let mut tag = [0; 8];
    decoder.read_exact(&mut tag).map_err(|_| wrong("broken compressed data"))?;
    let len = u32::from_le_bytes([tag[4], tag[5], tag[6], tag[7]]) as usize;
    if len > packed.len().saturating_mul(MOST_EXPANSION) {
        return Err(wrong("compressed data promise more than they can hold"));
    }
    let mut bytes = room(len + tag.len(), "the unpacked images")?;
    bytes.extend(tag);
    decoder.take(len as u64).read_to_end(&mut bytes).map_err(|_| wrong("broken compressed data"))?;
    match bytes.len() == len + tag.len() {
        true => Ok(bytes),
        false => Err(wrong("compressed data end before they should")),
    }
}

/// A matrix of numbers: its flags, sizes, name and data are elements.
fn matrix(mut rest: &[u8]) -> Option<Matrix<'_>> {
    element(&mut rest)?;
    let (_, sizes) = element(&mut rest)?;
    let (_, name) = element(&mut rest)?;
    let (kind, data) = element(&mut rest)?;
    let sizes = sizes.as_chunks::<4>().0.iter().map(|side| u32::from_le_bytes(*side) as usize).collect();
    Some(Matrix { name, sizes, kind, data })
}

/// The images of `X`, which has columns first and images last; none if it is not of such sizes.
fn digits(matrix: &Matrix<'_>) -> Option<Result<(ImageShape, Vec<u8>)>> {
    const BYTES: u32 = 2;
    // A single image has no last size.
    let (height, width, count) = match matrix.sizes[..] {
        [height, width, 3] => (height, width, 1),
        [height, width, 3, count] => (height, width, count),
        _ => return None,
    };
    let shape = ImageShape { channels: 3, height, width };
    let size = shape.elements();
    if matrix.kind != BYTES || size == 0 || size.checked_mul(count)? != matrix.data.len() {
        return None;
    }
    let mut bytes = match room(matrix.data.len(), "the images") {
        Ok(bytes) => bytes,
        Err(cause) => return Some(Err(cause)),
    };
    for image in matrix.data.chunks_exact(size) {
        for row in 0..height {
            for column in 0..width {
                bytes.extend((0..3).map(|channel| image[row + height * (column + width * channel)]));
            }
        }
    }
    Some(Ok((shape, bytes)))
}

/// The whole numbers of `y`.
fn numbers(matrix: &Matrix<'_>) -> Option<Vec<u32>> {
    let data = matrix.data;
    let whole =
        |number: f64| ((0.0..=1e6).contains(&number) && number.fract() == 0.0).then_some(number as u32);
    match matrix.kind {
        1 | 2 => Some(data.iter().map(|&byte| u32::from(byte)).collect()),
        3 | 4 => Some(data.as_chunks().0.iter().map(|bytes| u32::from(u16::from_le_bytes(*bytes))).collect()),
        5 | 6 => Some(data.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()),
        7 => data.as_chunks().0.iter().map(|bytes| whole(f32::from_le_bytes(*bytes).into())).collect(),
        9 => data.as_chunks().0.iter().map(|bytes| whole(f64::from_le_bytes(*bytes))).collect(),
        _ => None,
    }
}
