//! Where the bytes of a file lie: in a file of its own, in a part of another, packed or not, or in memory.

use crate::images::check_fits;
use flate2::read::DeflateDecoder;
use localgrad::{Error, Result};
use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file that is read as a picture, in bytes: far more than a photograph takes.
const LARGEST_BYTES: u64 = 256 << 20;

/// A file that was not read yet, such as an encoded picture.
#[derive(Clone, Debug)]
pub enum Encoded {
    /// A file of its own.
    File(PathBuf),
    /// A part of an archive.
    Part {
        /// The archive.
        file: Arc<PathBuf>,
        /// Where it begins in it.
        offset: u64,
        /// Its bytes.
        len: u64,
    },
    /// A part of a zip archive.
    Zipped {
        /// The archive.
        file: Arc<PathBuf>,
        /// Where it begins in it.
        offset: u64,
        /// Its bytes there.
        packed_len: u64,
        /// The bytes that it unpacks to.
        len: u64,
        /// Their checksum.
        crc32: u32,
        /// Whether it is packed by deflate, rather than stored as it is.
        is_deflated: bool,
    },
    /// In memory.
    Memory(Arc<[u8]>),
}

impl Encoded {
    /// The bytes of a picture.
    ///
    /// # Errors
    /// `Io` when they cannot be read, `Format` for what is no file, or too large for a picture.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        self.bytes_within(LARGEST_BYTES, "a picture")
    }

    /// The bytes of `what`, which are at most so many.
    ///
    /// # Errors
    /// Those of [`Encoded::bytes`], and `Memory` for what does not fit into it.
    pub(crate) fn bytes_within(&self, most_bytes: u64, what: &str) -> Result<Cow<'_, [u8]>> {
        let check = |path: &Path, len: u64| {
            if len > most_bytes {
                return Err(Error::format(format!("{}: too large for {what}", path.display())));
            }
            check_fits(usize::try_from(len).unwrap_or(usize::MAX), what)
        };
        match self {
            Self::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::File(path) => {
                let io = |cause| Error::io(path, cause);
                let metadata = std::fs::metadata(path).map_err(io)?;
                // A pipe would block, and a device has no end.
                if !metadata.is_file() {
                    return Err(Error::format(format!("{}: this is no file", path.display())));
                }
                check(path, metadata.len())?;
                let mut bytes = Vec::with_capacity(metadata.len() as usize);
                // It may have grown since.
                File::open(path).map_err(io)?.take(most_bytes).read_to_end(&mut bytes).map_err(io)?;
                Ok(Cow::Owned(bytes))
            }
            Self::Part { file, offset, len } => {
                check(file, *len)?;
                whole(part(file, *offset, *len)?, file, *len).map(Cow::Owned)
            }
            Self::Zipped { file, offset, packed_len, len, crc32, is_deflated } => {
                check(file, *len)?;
                let packed = part(file, *offset, *packed_len)?;
                let bytes = match is_deflated {
                    true => whole(DeflateDecoder::new(packed), file, *len)?,
                    false => whole(packed, file, *len)?,
                };
                if crc32fast::hash(&bytes) != *crc32 {
                    return Err(Error::format(format!(
                        "{}: a file in the archive is damaged, its checksum is another; get the archive anew",
                        file.display()
                    )));
                }
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// How many bytes they are, where that is known without looking.
    pub(crate) fn len(&self) -> Option<u64> {
        match self {
            Self::File(_) => None,
            Self::Part { len, .. } | Self::Zipped { len, .. } => Some(*len),
            Self::Memory(bytes) => Some(bytes.len() as u64),
        }
    }

    /// The bytes that it holds in memory.
    pub fn resident_bytes(&self) -> usize {
        match self {
            Self::File(path) => path.capacity(),
            Self::Part { .. } | Self::Zipped { .. } => 0,
            Self::Memory(bytes) => bytes.len(),
        }
    }
}

/// A part of a file.
fn part(path: &Path, offset: u64, len: u64) -> Result<impl Read> {
    let mut file = File::open(path).map_err(|cause| Error::io(path, cause))?;
    file.seek(SeekFrom::Start(offset)).map_err(|cause| Error::io(path, cause))?;
    Ok(file.take(len))
}

/// The `len` bytes that `reader` gives.
fn whole(reader: impl Read, path: &Path, len: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let wrong = |why: String| Error::format(format!("{}: {why}", path.display()));
    // One more, to see that it ends where it should.
    let read = reader.take(len.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(|cause| wrong(format!("a file in the archive cannot be read ({cause})")))?;
    match bytes.len() as u64 == len {
        true => Ok(bytes),
        false => Err(wrong(format!(
            "a file in the archive should be of {len} bytes, found {}{}; get the archive anew",
            if bytes.len() as u64 > len { "more than " } else { "" },
            (bytes.len() as u64).min(len)
        ))),
    }
}
