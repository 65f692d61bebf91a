//! One writer at a time: a lock that the system lets go when its process ends, however that happens.

use crate::error::{Error, ErrorKind, Result};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::time::Duration;

/// Name of the file that is locked. It is empty and stays; what counts is the lock.
pub const LOCK_FILE: &str = "lock";

/// A process that was just killed holds its lock until the system has cleared it away.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Holds a directory for one writer until it is dropped or its process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Locks `directory`, which must be there. A file system without locks gives a warning and no protection.
    ///
    /// # Errors
    /// `Config` when another writer holds it, `Io` when the lock's file cannot be made.
    pub fn acquire(directory: &Path) -> Result<Self> {
        let path = directory.join(LOCK_FILE);
        let io = |cause| Error::io(&path, cause);
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => {
                return Err(Error::new(
                    ErrorKind::Io,
                    format!("{}: this is no regular file; remove it", path.display()),
                ));
            }
            _ => {}
        }
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        let mut tries = 1;
        let mut locked = try_lock(&file);
        while matches!(locked, Ok(false)) && tries < TRIES {
            std::thread::sleep(PAUSE);
            locked = try_lock(&file);
            tries += 1;
        }
        match locked {
            Ok(true) => Ok(Self { _file: file }),
            Ok(false) => Err(Error::config(format!(
                "{} is in use: another process, or another trainer of this one, writes there; wait for it to end, or choose \
                 another directory",
                directory.display()
            ))),
            Err(cause) if cause.kind() == io::ErrorKind::Unsupported => {
                log::warn!("{}: no locks here ({cause}); keep to one writer yourself", path.display());
                Ok(Self { _file: file })
            }
            Err(cause) => Err(io(cause)),
        }
    }
}

/// Whether the lock is ours now.
#[cfg(unix)]
fn try_lock(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, flock};
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(rustix::io::Errno::NOLCK) => Err(io::ErrorKind::Unsupported.into()),
        Err(cause) => Err(cause.into()),
    }
}

/// Whether the lock is ours now.
#[cfg(not(unix))]
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Err(std::fs::TryLockError::Error(cause)) => Err(cause),
    }
}
