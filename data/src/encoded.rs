//! Where the bytes of a picture lie: in a file, in a part of one, or in memory.

use localgrad::{Error, Result};
use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

/// The largest file that is read as a picture, in bytes: far more than a photograph takes.
const LARGEST_BYTES: u64 = 256 << 20;

/// An encoded picture.
#[derive(Clone, Debug)]
pub enum Encoded {
    /// A file of its own.
    File(PathBuf),
    /// A part of an archive.
    Part {
        /// The archive.
        file: Arc<PathBuf>,
        /// Where the picture begins in it.
        offset: u64,
        /// Its bytes.
        len: u64,
    },
    /// In memory.
    Memory(Arc<[u8]>),
}

impl Encoded {
    /// The bytes.
    ///
    /// # Errors
    /// `Io` when they cannot be read, `Format` for what is no file, or too large for a picture.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match self {
            Self::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::File(path) => {
                let io = |cause| Error::io(path, cause);
                let metadata = std::fs::metadata(path).map_err(io)?;
                let wrong = |why: &str| Error::format(format!("{}: {why}", path.display()));
                // A pipe would block, and a device has no end.
                if !metadata.is_file() {
                    return Err(wrong("this is no file"));
                }
                if metadata.len() > LARGEST_BYTES {
                    return Err(wrong("too large for a picture"));
                }
                // It may have grown since.
                let mut bytes = Vec::with_capacity(metadata.len() as usize);
                let file = File::open(path).map_err(io)?;
                file.take(LARGEST_BYTES).read_to_end(&mut bytes).map_err(io)?;
                Ok(Cow::Owned(bytes))
            }
            Self::Part { file: path, offset, len } => {
                let io = |cause| Error::io(path, cause);
                if *len > LARGEST_BYTES {
                    return Err(Error::format(format!(
                        "{}: a part is too large for a picture",
                        path.display()
                    )));
                }
                let mut file = File::open(path.as_path()).map_err(io)?;
                file.seek(SeekFrom::Start(*offset)).map_err(io)?;
                let mut bytes = Vec::new();
                file.take(*len).read_to_end(&mut bytes).map_err(io)?;
                if bytes.len() as u64 != *len {
                    return Err(Error::format(format!(
                        "{}: the archive ends within a picture",
                        path.display()
                    )));
                }
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// The bytes that it holds in memory.
    pub fn resident_bytes(&self) -> usize {
        match self {
            Self::File(path) => path.capacity(),
            Self::Part { .. } => 0,
            Self::Memory(bytes) => bytes.len(),
        }
    }
}
