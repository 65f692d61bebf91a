//! The kernels as PTX, which every NVIDIA driver of the last years compiles for its card: as `scripts/gpu-kernels.sh` made them.

use std::collections::BTreeMap;
use std::io::Read;

use lzma_rust2::LzmaReader;

use super::table::all::Class;
use crate::error::{Error, Result};

/// For all cards, and what only those with tensor cores run. Groups of kernels one after the other: a line `= BYTES`, a line a kernel
/// (its name, the bytes that it is packed from, the CRC-32 of its text, the hash of what it was made of), an empty line, and what they
/// are packed from, one behind the other, as so many bytes of LZMA.
const ALL: &[u8] = include_bytes!("ptx/compute_53");
const TENSOR_CORES: &[u8] = include_bytes!("ptx/compute_80");
/// As `scripts/gpu/nvrtc.py` packs.
const LITERAL_CONTEXT_BITS: u32 = 3;
const DICTIONARY_BYTES: u32 = 1 << 22;

/// The PTX of a kernel.
///
/// # Errors
/// `Internal` for a kernel that a device of this class does not run.
pub fn text(name: &str, class: Class) -> Result<String> {
    let parts: &[&[u8]] = match class {
        Class::TensorCores { .. } | Class::HalfTensorCores => &[TENSOR_CORES, ALL],
        Class::Scalar | Class::Simdgroups => &[ALL],
    };
    let found = parts.iter().find_map(|part| find(part, name));
    let found = found.ok_or_else(|| Error::internal(format!("there is no PTX of {name}")))?;
    let text = unpacked(&found).and_then(|distances| with_registers(&distances));
    text.filter(|text| crc32fast::hash(text.as_bytes()) == found.checksum)
        .ok_or_else(|| Error::internal(format!("the PTX of {name} is not what was packed")))
}

/// A kernel in a group.
struct Found<'a> {
    packed: &'a [u8],
    /// Of the bytes that come out of it, where the kernel's begin and end.
    begin: usize,
    end: usize,
    checksum: u32,
}

fn find<'a>(mut part: &'a [u8], name: &str) -> Option<Found<'a>> {
    while !part.is_empty() {
        let list = part.windows(2).position(|pair| pair == b"\n\n")?;
        let (list, rest) = part.split_at_checked(list + 2)?;
        let mut lines = std::str::from_utf8(list).ok()?.lines();
        let bytes = lines.next()?.strip_prefix("= ")?.parse().ok()?;
        let (packed, after) = rest.split_at_checked(bytes)?;
        let mut begin = 0;
        for line in lines.filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let (found, bytes, checksum) = (words.next()?, words.next()?, words.next()?);
            let end = begin + bytes.parse::<usize>().ok()?;
            if found == name {
                return Some(Found { packed, begin, end, checksum: checksum.parse().ok()? });
            }
            begin = end;
        }
        part = after;
    }
    None
}

/// What a kernel is packed from.
fn unpacked(found: &Found<'_>) -> Option<String> {
    let mut bytes = vec![0; found.end];
    let reader = LzmaReader::new(found.packed, u64::MAX, LITERAL_CONTEXT_BITS, 0, 0, DICTIONARY_BYTES, None);
    reader.ok()?.read_exact(&mut bytes).ok()?;
    String::from_utf8(bytes.split_off(found.begin)).ok()
}

/// The text with its registers' numbers, of which each is packed as how far it is from the one before of its kind: `%r+1` for the
/// next. Kernels that do the same in other registers then differ in less.
fn with_registers(distances: &str) -> Option<String> {
    let mut last = BTreeMap::new();
    let mut pieces = distances.split('%');
    let mut text = pieces.next()?.to_owned();
    for piece in pieces {
        text.push('%');
        let kind_len = piece.find(|letter: char| !letter.is_ascii_lowercase()).unwrap_or(piece.len());
        let (kind, rest) = piece.split_at(kind_len);
        text.push_str(kind);
        if !rest.starts_with(['+', '-']) {
            text.push_str(rest);
            continue;
        }
        let digits_len =
            rest[1..].find(|letter: char| !letter.is_ascii_digit()).map_or(rest.len(), |len| 1 + len);
        let (distance, rest) = rest.split_at(digits_len);
        let number: &mut i64 = last.entry(kind).or_default();
        *number = number.checked_add(distance.parse().ok()?)?;
        text.push_str(&number.to_string());
        text.push_str(rest);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_counted_by_kind() {
        let text =
            "mov.u32 %r7, %tid.x;\nadd.s64 %rd1, %rd3, %r7;\n.reg .f32 %f<9>;\nld.f32 %f2, [%rd1+8], 100%";
        let distances = "mov.u32 %r+7, %tid.x;\nadd.s64 %rd+1, %rd+2, %r+0;\n.reg .f32 %f<9>;\nld.f32 %f+2, [%rd-2+8], 100%";
        assert_eq!(with_registers(distances).as_deref(), Some(text));
        assert_eq!(with_registers("%r+"), None);
        assert_eq!(with_registers("%r+99999999999999999999"), None);
    }

    #[test]
    fn what_is_no_archive_is_not_unpacked() {
        for packed in [&[][..], &[7; 40], &[0; 40]] {
            let found = Found { packed, begin: 0, end: 1 << 10, checksum: 0 };
            assert!(unpacked(&found).is_none_or(|text| text.trim_matches('\0').is_empty()), "{packed:?}");
        }
        let group = b"= 9\nname 4 1 origin\n\n123";
        assert!(find(group, "name").is_none());
    }
}
