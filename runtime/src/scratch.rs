//! A file for what waits outside of memory while something else is worked on. It has no name, and vanishes with the
//! process, however that ends: what must outlast it are checkpoints.

use crate::error::{Error, ErrorKind, Result};
use crate::memory::ranges::FreeRanges;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What went through a scratch file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Bytes written.
    pub written_bytes: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// How long training waited for both.
    pub seconds: f64,
    /// The most bytes that waited at one time.
    pub peak_bytes: u64,
}

/// A scratch file; clones are the same file.
#[derive(Clone, Debug)]
pub struct Scratch(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// None where it is only imagined: then nothing is written, and all that is read is 0.
    file: Option<File>,
    directory: PathBuf,
    free: FreeRanges,
    used_bytes: u64,
    limit_bytes: u64,
    traffic: Traffic,
}

/// Plain numbers, whose bytes may be written and read as they are.
pub(crate) trait Number: Copy + private::Sealed {}
impl Number for f32 {}
impl Number for u16 {}

mod private {
    pub(crate) trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u16 {}
}

/// The bytes of some numbers.
pub(crate) fn bytes_of<T: Number>(numbers: &[T]) -> &[u8] {
    // SAFETY: numbers have no padding, any byte may be read as u8, and the length is that of the same memory.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// The bytes of some numbers, to be changed.
pub(crate) fn bytes_of_mut<T: Number>(numbers: &mut [T]) -> &mut [u8] {
    // SAFETY: as above, and every pattern of bits is a number.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), size_of_val(numbers)) }
}

/// Files of one process are told apart by this.
static COUNT: AtomicU64 = AtomicU64::new(0);

impl Scratch {
    /// A new file in `directory`, which must exist, of at most `limit_bytes`.
    ///
    /// # Errors
    /// `Io` when it cannot be made there.
    pub fn create(directory: &Path, limit_bytes: Option<u64>) -> Result<Self> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".scratch-{}-{number}", std::process::id()));
        let io = |cause| Error::io(&path, cause);
        // What a process of the same number left, where a file in use cannot be removed.
        let _ = std::fs::remove_file(&path);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).map_err(io)?;
        #[cfg(unix)]
        std::fs::remove_file(&path).map_err(io)?;
        Ok(Self::of(Some(file), directory.into(), limit_bytes.unwrap_or(u64::MAX)))
    }

    /// One without a file, for where nothing is computed: what is read of it is 0.
    pub(crate) fn imagined() -> Self {
        Self::of(None, PathBuf::new(), u64::MAX)
    }

    fn of(file: Option<File>, directory: PathBuf, limit_bytes: u64) -> Self {
        let mut free = FreeRanges::new();
        free.give(0, usize::MAX / 2);
        let traffic = Traffic::default();
        Self(Arc::new(Mutex::new(Inner { file, directory, free, used_bytes: 0, limit_bytes, traffic })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes `parts`, each of which can be read alone.
    ///
    /// # Errors
    /// `Io` when there is no room.
    pub(crate) fn store<'a>(&self, parts: impl Iterator<Item = &'a [u8]> + Clone) -> Result<Extent> {
        let ends = parts.clone().scan(0, |end, part| {
            *end += part.len();
            Some(*end)
        });
        let ends: Vec<usize> = ends.collect();
        let checksums = parts.clone().map(crc32fast::hash).collect();
        let len = ends.last().copied().unwrap_or(0);
        let start = self.lock().take(len)?;
        // From here on the range is given back when the extent is dropped.
        let extent = Extent { scratch: self.clone(), start, ends, checksums };
        self.lock().write(start, parts)?;
        Ok(extent)
    }

    /// What went through it so far.
    pub fn traffic(&self) -> Traffic {
        self.lock().traffic
    }
}

impl Inner {
    /// Room for `len` bytes.
    fn take(&mut self, len: usize) -> Result<usize> {
        let used = self.used_bytes + len as u64;
        if used > self.limit_bytes {
            return Err(self.failed(&format!(
                "{used} bytes would have to wait there, and {} are allowed; allow more, or let blocks visit fewer batches \
                 at once",
                self.limit_bytes
            )));
        }
        let start = if len == 0 { Some(0) } else { self.free.take(len, 1) };
        let start = start.ok_or_else(|| self.failed("it would be larger than a file can be"))?;
        self.used_bytes = used;
        self.traffic.peak_bytes = self.traffic.peak_bytes.max(used);
        Ok(start)
    }

    fn write<'a>(&mut self, start: usize, parts: impl Iterator<Item = &'a [u8]>) -> Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let began = Instant::now();
        let mut written = 0;
        let write = || -> io::Result<()> {
            file.seek(SeekFrom::Start(start as u64))?;
            for part in parts {
                file.write_all(part)?;
                written += part.len() as u64;
            }
            Ok(())
        };
        let done = write();
        self.traffic.written_bytes += written;
        self.traffic.seconds += began.elapsed().as_secs_f64();
        done.map_err(|cause| {
            let advice = "make room there, or choose another directory; what is saved is whole";
            self.failed(&format!("{cause}; {advice}"))
        })
    }

    fn read(&mut self, start: usize, bytes: &mut [u8]) -> Result<()> {
        let Some(file) = &mut self.file else {
            bytes.fill(0);
            return Ok(());
        };
        let began = Instant::now();
        let done = file.seek(SeekFrom::Start(start as u64)).and_then(|_| file.read_exact(bytes));
        self.traffic.read_bytes += bytes.len() as u64;
        self.traffic.seconds += began.elapsed().as_secs_f64();
        done.map_err(|cause| self.failed(&cause.to_string()))
    }

    fn failed(&self, cause: &str) -> Error {
        let directory = self.directory.display();
        Error::new(ErrorKind::Io, format!("the scratch file in {directory}: {cause}"))
    }
}

/// A range of a scratch file; the file has room for something else when it is dropped.
#[derive(Debug)]
pub(crate) struct Extent {
    scratch: Scratch,
    start: usize,
    /// Where each part ends, from `start` on.
    ends: Vec<usize>,
    checksums: Vec<u32>,
}

impl Extent {
    /// Where part `number` begins, from `start` on.
    fn begin(&self, number: usize) -> usize {
        number.checked_sub(1).map_or(0, |before| self.ends[before])
    }

    /// Reads some parts, one behind the other, into as many bytes as they have.
    ///
    /// # Errors
    /// `Io` when they cannot be read, or are not what was written.
    pub(crate) fn read(&self, parts: Range<usize>, bytes: &mut [u8]) -> Result<()> {
        let begin = self.begin(parts.start);
        self.scratch.lock().read(self.start + begin, bytes)?;
        if self.scratch.lock().file.is_none() {
            return Ok(());
        }
        for number in parts {
            let part = &bytes[self.begin(number) - begin..self.ends[number] - begin];
            if crc32fast::hash(part) != self.checksums[number] {
                return Err(self.scratch.lock().failed("what was read is not what was written"));
            }
        }
        Ok(())
    }

    /// Lets the system read ahead, where it can.
    pub(crate) fn read_ahead(&self) {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(len) = std::num::NonZeroU64::new(self.len() as u64) {
            let inner = self.scratch.lock();
            let Some(file) = &inner.file else { return };
            // It is advice: where it is not taken nothing is lost.
            let _ = rustix::fs::fadvise(file, self.start as u64, Some(len), rustix::fs::Advice::WillNeed);
        }
    }

    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        let len = self.len();
        if len > 0 {
            let mut inner = self.scratch.lock();
            inner.free.give(self.start, len);
            inner.used_bytes -= len as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_imagined_is_counted_and_read_as_zeros() {
        let scratch = Scratch::imagined();
        let extent = scratch.store([&[1u8, 2, 3][..], &[4]].into_iter()).unwrap();
        let mut bytes = [9u8; 4];
        extent.read(0..2, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 4]);
        assert_eq!((scratch.traffic().peak_bytes, scratch.traffic().written_bytes), (4, 0));
        drop(extent);
        assert_eq!(scratch.lock().used_bytes, 0);
    }

    #[test]
    fn parts_are_read_alone_and_together() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(directory.path(), None).unwrap();
        let parts: [&[u8]; 3] = [b"abc", b"", b"defg"];
        let extent = scratch.store(parts.into_iter()).unwrap();
        let mut bytes = [0; 4];
        extent.read(2..3, &mut bytes).unwrap();
        assert_eq!(&bytes, b"defg");
        let mut bytes = [0; 7];
        extent.read(0..3, &mut bytes).unwrap();
        assert_eq!(&bytes, b"abcdefg");
        let Traffic { written_bytes, read_bytes, peak_bytes, .. } = scratch.traffic();
        assert_eq!((written_bytes, read_bytes, peak_bytes), (7, 11, 7));
        #[cfg(unix)]
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "the file has a name");
    }

    #[test]
    fn a_limit_is_kept_to_and_room_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(directory.path(), Some(10)).unwrap();
        let store = |len: usize| scratch.store(std::iter::once(&vec![1; len][..]));
        let first = store(6).unwrap();
        let refused = store(5).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Io);
        assert!(
            refused.to_string().contains("11 bytes would have to wait there, and 10 are allowed"),
            "{refused}"
        );
        drop(first);
        let _second = store(10).unwrap();
    }

    #[test]
    fn what_is_not_what_was_written_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(directory.path(), None).unwrap();
        let extent = scratch.store([&b"12345"[..]].into_iter()).unwrap();
        {
            let mut inner = scratch.lock();
            let file = inner.file.as_mut().unwrap();
            file.seek(SeekFrom::Start(extent.start as u64 + 2)).unwrap();
            file.write_all(b"x").unwrap();
        }
        let refused = extent.read(0..1, &mut [0; 5]).unwrap_err();
        assert!(refused.to_string().contains("not what was written"), "{refused}");
    }

    proptest! {
        #[test]
        fn holds_what_a_list_of_vectors_holds(moves in prop::collection::vec((0usize..50, any::<u8>()), 1..60)) {
            let directory = tempfile::tempdir().unwrap();
            let scratch = Scratch::create(directory.path(), None).unwrap();
            let mut held: Vec<(Extent, Vec<u8>)> = Vec::new();
            for (len, byte) in moves {
                if byte % 3 == 0 && !held.is_empty() {
                    held.swap_remove(len % held.len());
                }
                let bytes = vec![byte; len];
                held.push((scratch.store(std::iter::once(&bytes[..])).unwrap(), bytes));
                for (extent, bytes) in &held {
                    let mut read = vec![!byte; bytes.len()];
                    extent.read(0..1, &mut read).unwrap();
                    prop_assert_eq!(&read, bytes);
                }
            }
        }
    }
}
