//! The kernels as PTX, which every NVIDIA driver of the last years compiles for its card: as `scripts/gpu-kernels.sh` made them.

use super::lzma;
use super::table::all::Class;
use crate::error::{Error, Result};

/// For all cards, and what only those with tensor cores run. Groups of kernels one after the other: a line `= BYTES`, a line a kernel
/// (its name, the bytes of its text, their CRC-32, the hash of what it was made of), an empty line, and the texts one behind the other
/// as so many bytes of LZMA.
const ALL: &[u8] = include_bytes!("ptx/compute_53");
const TENSOR_CORES: &[u8] = include_bytes!("ptx/compute_80");

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
    let mut texts = lzma::decoded(found.packed, found.end)?;
    let text = texts.split_off(found.begin);
    let broken = || Error::internal(format!("the PTX of {name} is not what was packed"));
    if crc32fast::hash(&text) != found.checksum {
        return Err(broken());
    }
    String::from_utf8(text).map_err(|_| broken())
}

/// A kernel in a group.
struct Found<'a> {
    packed: &'a [u8],
    /// Of the bytes that come out of it, where its text begins and ends.
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
