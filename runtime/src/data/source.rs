//! Bytes that are read where and when they are needed: of a file, or held in memory.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// A named run of bytes that any thread may read at any offset.
pub(super) struct Source {
    name: String,
    bytes: Bytes,
    len: u64,
}

enum Bytes {
    Memory(Cow<'static, [u8]>),
    #[cfg(unix)]
    File(File),
    #[cfg(not(unix))]
    File(std::sync::Mutex<File>),
}

impl Source {
    /// Opens a regular file; nothing of it is read yet.
    pub(super) fn open(path: &Path) -> Result<Self> {
        // A pipe would block at opening, so the kind of file is asked for first.
        let metadata = std::fs::metadata(path).map_err(|cause| Error::io(path, cause))?;
        if !metadata.is_file() {
            return Err(Error::format(format!("{}: expected a file, found something else", path.display())));
        }
        let file = File::open(path).map_err(|cause| Error::io(path, cause))?;
        let len = file.metadata().map_err(|cause| Error::io(path, cause))?.len();
        #[cfg(not(unix))]
        let file = std::sync::Mutex::new(file);
        Ok(Self { name: path.display().to_string(), bytes: Bytes::File(file), len })
    }

    /// Bytes that are in memory already, or a part of the program.
    pub(super) fn memory(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        Self { name: name.to_owned(), bytes: Bytes::Memory(bytes), len }
    }

    /// What error messages call it: the path, as a rule.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its length in bytes when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes that it holds in memory.
    pub(super) fn resident_bytes(&self) -> usize {
        match &self.bytes {
            Bytes::Memory(Cow::Owned(bytes)) => bytes.capacity(),
            Bytes::Memory(Cow::Borrowed(_)) | Bytes::File(_) => 0,
        }
    }

    /// Fills `buffer` with the bytes from `offset` on.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.try_read(offset, buffer).map_err(|cause| Error::io(Path::new(&self.name), cause))
    }

    /// Calls `f` with the `len` bytes from `offset` on. The caller has checked that they exist.
    pub(super) fn with<T>(&self, offset: u64, len: usize, f: impl FnOnce(&[u8]) -> T) -> Result<T> {
        if let Bytes::Memory(bytes) = &self.bytes
            && let Some(part) = part_of(bytes, offset, len)
        {
            return Ok(f(part));
        }
        let mut buffer = vec![0; len];
        self.read(offset, &mut buffer)?;
        Ok(f(&buffer))
    }

    /// Reads it from its first byte to its last.
    pub(super) fn reader(&self) -> impl Read + '_ {
        Reader { source: self, position: 0 }
    }

    fn try_read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.bytes {
            Bytes::Memory(bytes) => {
                let part = part_of(bytes, offset, buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.copy_from_slice(part);
                Ok(())
            }
            #[cfg(unix)]
            Bytes::File(file) => std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset),
            #[cfg(not(unix))]
            Bytes::File(file) => {
                let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                seek_and_read(&mut file, offset, buffer)
            }
        }
    }
}

/// The positioned read of systems that have none.
#[cfg(any(test, not(unix)))]
fn seek_and_read(file: &mut File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    io::Seek::seek(file, io::SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}

fn part_of(bytes: &[u8], offset: u64, len: usize) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(len)?)
}

struct Reader<'a> {
    source: &'a Source,
    position: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.source.len.saturating_sub(self.position);
        let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.source.try_read(self.position, &mut buffer[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn every_way_of_reading_agrees() {
        let content: Vec<u8> = (0..1000u32).map(|i| (i * 7 % 251) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        let on_disk = Source::open(file.path()).unwrap();
        let in_memory = Source::memory("memory", content.clone());
        let mut plain = File::open(file.path()).unwrap();
        for (offset, len) in
            [(0, 1000), (999, 1), (1000, 0), (500, 3), (17, 900), (999, 2), (1001, 0), (4000, 1)]
        {
            let expected = content.get(offset..offset + len);
            let mut buffer = vec![0; len];
            for source in [&on_disk, &in_memory] {
                let read = source.read(offset as u64, &mut buffer);
                if let Some(expected) = expected {
                    read.unwrap();
                    assert_eq!(buffer, expected);
                    assert_eq!(source.with(offset as u64, len, <[u8]>::to_vec).unwrap(), expected);
                } else if len > 0 {
                    assert!(read.is_err() && source.with(offset as u64, len, |_| ()).is_err());
                }
            }
            let read = seek_and_read(&mut plain, offset as u64, &mut buffer);
            if let Some(expected) = expected {
                read.unwrap();
                assert_eq!(buffer, expected);
            } else if len > 0 {
                assert!(read.is_err());
            }
        }
        let mut all = Vec::new();
        on_disk.reader().read_to_end(&mut all).unwrap();
        assert_eq!(all, content);
    }

    #[test]
    fn a_directory_is_not_a_source() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Source::open(directory.path()).is_err());
    }
}
