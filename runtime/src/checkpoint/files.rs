//! The system calls that checkpoints are read and written by, as a trait, so that tests can make each of them fail.

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The files of one directory. A name is a plain file name, so that nothing outside can be reached.
pub trait Files: Send {
    /// Names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a regular file to read it from its beginning; with its length.
    fn open(&self, name: &str) -> io::Result<(Box<dyn FileInput>, u64)>;

    /// A new file, in place of one that may be there.
    fn create(&mut self, name: &str) -> io::Result<Box<dyn FileOutput>>;

    /// Opens a file to write at its end, making it if there is none.
    fn append(&mut self, name: &str) -> io::Result<Box<dyn FileOutput>>;

    /// Gives a file another name, at once, in place of one that may be there.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Makes names that were made, changed and removed outlast a loss of power.
    fn sync_directory(&mut self) -> io::Result<()>;

    /// What messages call a file.
    fn path(&self, name: &str) -> PathBuf;

    /// Makes what was written to all of `outputs`, each with what messages call it, and all names outlast a loss of power.
    ///
    /// # Errors
    /// `Io` with the first that could not be.
    fn sync(&mut self, outputs: &mut [Unsynced<'_>]) -> Result<()> {
        for (path, output) in outputs {
            output.sync().map_err(|cause| Error::io(path, cause))?;
        }
        self.sync_directory().map_err(|cause| Error::io(&self.path(""), cause))
    }
}

/// A file being read, from any place on.
pub trait FileInput: Read + Seek {}

impl<T: Read + Seek> FileInput for T {}

/// What messages call a file, and the file.
pub type Unsynced<'a> = (PathBuf, &'a mut dyn FileOutput);

/// A file being written.
pub trait FileOutput: Send {
    /// Writes some of `bytes` and says how many, as `Write::write`.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was written outlast a loss of power.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to `length` bytes; writing goes on at its end.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// Writes all of `bytes`, by as many calls as it takes.
pub(super) fn write_all(output: &mut dyn FileOutput, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
}

/// The error of a file that cannot be opened. One that is missing is damage, not a disk that fails.
pub(super) fn unreadable(path: &Path, cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::NotFound => Error::format(format!("{} is missing", path.display())),
        _ => Error::io(path, cause),
    }
}

/// The files of a directory on disk.
#[derive(Clone, Debug)]
pub struct Disk {
    directory: PathBuf,
}

impl Disk {
    /// The files of `directory`, which is made if it is not there.
    pub fn create(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self { directory: directory.to_path_buf() })
    }

    /// The files of a directory that is there.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_path_buf() }
    }

    /// Refuses what is no plain file: links lead elsewhere, and pipes have no end.
    fn regular(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.directory.join(name);
        match fs::symlink_metadata(&path)?.is_file() {
            true => Ok(path),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file")),
        }
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<(Box<dyn FileInput>, u64)> {
        let file = File::open(self.regular(name)?)?;
        let length = file.metadata()?.len();
        Ok((Box::new(file), length))
    }

    fn create(&mut self, name: &str) -> io::Result<Box<dyn FileOutput>> {
        let path = self.directory.join(name);
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
            _ => {}
        }
        // `create_new` follows no link that could lie in wait.
        Ok(Box::new(OpenOptions::new().write(true).create_new(true).open(path)?))
    }

    fn append(&mut self, name: &str) -> io::Result<Box<dyn FileOutput>> {
        let path = match self.regular(name) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => self.directory.join(name),
            found => found?,
        };
        Ok(Box::new(OpenOptions::new().append(true).create(true).open(path)?))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.directory.join(name))
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        // Windows has no such call: there, names are as durable as the file system makes them.
        #[cfg(unix)]
        File::open(&self.directory)?.sync_all()?;
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// All at once: a file system that is asked for many files takes little longer than for one.
    fn sync(&mut self, outputs: &mut [Unsynced<'_>]) -> Result<()> {
        let count = outputs.len();
        let waiting = Mutex::new(outputs.iter_mut());
        let failed = Mutex::new(None);
        let work = || {
            while let Some((path, output)) = next(&waiting) {
                if let Err(cause) = output.sync() {
                    locked(&failed).get_or_insert_with(|| Error::io(path, cause));
                }
            }
        };
        let named = std::thread::scope(|scope| {
            // Where there are no more threads, this one does it all.
            let helper = |_| std::thread::Builder::new().spawn_scoped(scope, work).is_ok();
            let _ = (0..count).all(helper);
            let named = self.sync_directory();
            work();
            named
        });
        named.map_err(|cause| Error::io(&self.directory, cause))?;
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next of those that wait; the lock is let go at once.
fn next<I: Iterator>(waiting: &Mutex<I>) -> Option<I::Item> {
    locked(waiting).next()
}

impl FileOutput for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that may not be synced, and how often it was.
    struct Counted(usize, bool);

    impl FileOutput for Counted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn sync(&mut self) -> io::Result<()> {
            self.0 += 1;
            if self.1 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn truncate(&mut self, _: u64) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_files_are_synced_and_one_that_is_not_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = Disk::new(directory.path());
        for failing in [None, Some(0), Some(4)] {
            let mut files: Vec<Counted> = (0..5).map(|n| Counted(0, failing == Some(n))).collect();
            let named = |(n, file)| (PathBuf::from(format!("file {n}")), file as &mut dyn FileOutput);
            let mut outputs: Vec<Unsynced<'_>> = files.iter_mut().enumerate().map(named).collect();
            let synced = disk.sync(&mut outputs);
            match failing {
                None => synced.unwrap(),
                Some(n) => assert!(synced.unwrap_err().to_string().contains(&format!("file {n}"))),
            }
            assert!(files.iter().all(|file| file.0 == 1));
        }
        let mut gone = Disk::new(&directory.path().join("nowhere"));
        assert!(gone.sync(&mut []).is_err() || cfg!(windows));
    }
}
