//! The kernels as PTX, which every NVIDIA driver of the last years compiles for its card: as `scripts/gpu-kernels.sh` made them.

use super::table::all::Class;
use crate::error::{Error, Result};
use flate2::read::GzDecoder;
use std::io::Read;

/// For all cards, and what only those with tensor cores run: a line a kernel, of its name, its length and the hash of what it
/// was made of; an empty line; and then each kernel gzipped.
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
    let gzipped = parts.iter().find_map(|part| find(part, name));
    let gzipped = gzipped.ok_or_else(|| Error::internal(format!("there is no PTX of {name}")))?;
    let mut text = String::new();
    let read = GzDecoder::new(gzipped).read_to_string(&mut text);
    read.map_err(|cause| Error::internal(format!("the PTX of {name}: {cause}")))?;
    Ok(text)
}

fn find<'a>(part: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let end = part.windows(2).position(|pair| pair == b"\n\n")?;
    let (list, mut rest) = part.split_at(end + 2);
    for line in std::str::from_utf8(list).ok()?.lines().filter(|line| !line.is_empty()) {
        let mut words = line.split(' ');
        let (found, bytes) = (words.next()?, words.next()?);
        let (gzipped, after) = rest.split_at_checked(bytes.parse().ok()?)?;
        if found == name {
            return Some(gzipped);
        }
        rest = after;
    }
    None
}
