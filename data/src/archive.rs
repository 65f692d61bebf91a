//! Files in archives: `.tar`, `.tar.gz` and `.zip`, found in one pass and left where they lie.
//!
//! What lies packed as a whole, in a `.tar.gz`, has no place to be found at again: of it what is wanted is kept in memory.

use crate::encoded::Encoded;
use crate::images::check_fits;
use flate2::bufread::MultiGzDecoder;
use localgrad::{Error, Result, signature};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tar::EntryType;
use zip::{CompressionMethod, ZipArchive};

/// Where a tar archive says that it is one, and what it says.
const TAR_MARK: usize = 257;
const USTAR: &[u8] = b"ustar";
const BLOCK_BYTES: usize = 512;
/// The longest name of a file that is read, in bytes.
const LONGEST_NAME: u64 = 64 << 10;
/// A file whose content is read at once, at most: a larger one is not what it is taken for.
const LARGEST_CONTENT_BYTES: u64 = 16 << 20;
/// Files that are kept track of, at most: ten times those of ImageNet.
const MOST_FILES: usize = 16 << 20;

/// Kinds of archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveKind {
    /// `.tar`
    Tar,
    /// `.tar.gz`
    TarGz,
    /// `.zip`, `.npz`
    Zip,
}

/// What is wanted of a file in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing but its path.
    Not,
    /// Where it lies.
    Place,
    /// Its content, which is small and read at once.
    Content,
}

/// An archive.
#[derive(Debug)]
pub struct Archive {
    /// What people call it: its path.
    pub name: String,
    /// The files that were wanted, by their paths in it.
    pub files: BTreeMap<String, Encoded>,
    /// The paths of the others.
    pub others: Vec<String>,
}

/// Where a tar archive lies: a part of a file.
struct Place {
    file: Arc<PathBuf>,
    offset: u64,
    len: u64,
}

/// A part of a file.
struct Window {
    reader: BufReader<File>,
    start: u64,
    len: u64,
    /// Where it is read next, from its start.
    at: u64,
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(self.at);
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.reader.read(&mut buffer[..most])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        let at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        self.reader.seek(SeekFrom::Start(self.start.saturating_add(at)))?;
        self.at = at;
        Ok(at)
    }
}

/// What archive a file is, by its first bytes.
pub fn kind(path: &Path) -> Option<ArchiveKind> {
    let start = start_of(File::open(path).ok()?);
    match *start {
        // PyTorch's weights are zip archives, too, and no data.
        [b'P', b'K', 3, 4, ..] => (!signature::what(&start).is_some_and(|what| what.contains("PyTorch")))
            .then_some(ArchiveKind::Zip),
        [0x1f, 0x8b, ..] => {
            let file = BufReader::new(File::open(path).ok()?);
            is_tar(&start_of(MultiGzDecoder::new(file))).then_some(ArchiveKind::TarGz)
        }
        _ => is_tar(&start).then_some(ArchiveKind::Tar),
    }
}

fn start_of(reader: impl Read) -> Vec<u8> {
    let mut start = Vec::with_capacity(BLOCK_BYTES);
    // What ends or breaks within its first bytes is no archive.
    let _ = reader.take(BLOCK_BYTES as u64).read_to_end(&mut start);
    start
}

fn is_tar(start: &[u8]) -> bool {
    start.get(TAR_MARK..).is_some_and(|mark| mark.starts_with(USTAR))
}

impl Archive {
    /// Looks for the files at `path` whose paths in the archive are wanted.
    ///
    /// # Errors
    /// `Io` when it cannot be read; `Format` when it is no archive, or a broken one; `Memory` for what does not fit into it.
    pub fn open(path: &Path, want: &dyn Fn(&str) -> Want) -> Result<Self> {
        let mut archive =
            Self { name: path.display().to_string(), files: BTreeMap::new(), others: Vec::new() };
        match kind(path) {
            Some(ArchiveKind::Zip) => archive.add_zip(path, "zip archive", want)?,
            Some(ArchiveKind::Tar) => {
                return Self::open_part(&Arc::new(path.to_path_buf()), 0, u64::MAX, want);
            }
            Some(ArchiveKind::TarGz) => {
                let file = File::open(path).map_err(|cause| Error::io(path, cause))?;
                let mut tar = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
                let entries = tar.entries().map_err(|cause| Error::io(path, cause))?;
                archive.add_tar(entries, None, want)?;
                // To the end, which its checksum is behind.
                io::copy(&mut tar.into_inner(), &mut io::sink())
                    .map_err(|cause| archive.wrong(&format!("a broken or cut archive ({cause})")))?;
            }
            None => {
                return Err(archive.wrong("expected a .tar, .tar.gz or .zip archive, found something else"));
            }
        }
        Ok(archive)
    }

    /// The same of a zip archive of one purpose, `what`, which is no archive for people.
    ///
    /// # Errors
    /// Those of [`Archive::open`].
    pub(crate) fn open_zip(path: &Path, what: &str, want: &dyn Fn(&str) -> Want) -> Result<Self> {
        let mut archive =
            Self { name: path.display().to_string(), files: BTreeMap::new(), others: Vec::new() };
        archive.add_zip(path, what, want)?;
        Ok(archive)
    }

    /// The same of a tar archive that lies at an offset of a file, of at most so many bytes.
    ///
    /// # Errors
    /// Those of [`Archive::open`].
    pub fn open_part(
        file: &Arc<PathBuf>,
        offset: u64,
        len: u64,
        want: &dyn Fn(&str) -> Want,
    ) -> Result<Self> {
        let io = |cause| Error::io(file, cause);
        let mut archive =
            Self { name: file.display().to_string(), files: BTreeMap::new(), others: Vec::new() };
        let opened = File::open(file.as_path()).map_err(io)?;
        let len = len.min(opened.metadata().map_err(io)?.len().saturating_sub(offset));
        let mut window = Window { reader: BufReader::new(opened), start: offset, len, at: 0 };
        window.seek(SeekFrom::Start(0)).map_err(io)?;
        let mut tar = tar::Archive::new(window);
        let place = Place { file: file.clone(), offset, len };
        archive.add_tar(tar.entries_with_seek().map_err(io)?, Some(&place), want)?;
        Ok(archive)
    }

    /// All paths in it.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().chain(&self.others).map(String::as_str)
    }

    fn wrong(&self, what: &str) -> Error {
        Error::format(format!("{}: {what}", self.name))
    }

    fn keep(&mut self, path: String, encoded: Option<Encoded>) -> Result<()> {
        if self.files.len() + self.others.len() >= MOST_FILES {
            return Err(self.wrong(&format!("more than {MOST_FILES} files")));
        }
        match encoded {
            Some(encoded) => drop(self.files.insert(path, encoded)),
            None => self.others.push(path),
        }
        Ok(())
    }

    fn add_zip(&mut self, path: &Path, what: &str, want: &dyn Fn(&str) -> Want) -> Result<()> {
        let file = Arc::new(path.to_path_buf());
        let reader = BufReader::new(File::open(path).map_err(|cause| Error::io(path, cause))?);
        let broken = |cause: &dyn std::fmt::Display| {
            Error::format(format!("{}: a broken or cut {what} ({cause})", path.display()))
        };
        let mut zip = ZipArchive::new(reader).map_err(|cause| broken(&cause))?;
        for index in 0..zip.len() {
            let entry = zip.by_index_raw(index).map_err(|cause| broken(&cause))?;
            let Some(name) = plain(entry.name_raw()) else { continue };
            if entry.is_dir() {
                continue;
            }
            if want(&name) == Want::Not {
                self.keep(name, None)?;
                continue;
            }
            if entry.encrypted() {
                return Err(
                    self.wrong(&format!("{name} is encrypted; unpack the archive, and name the folder"))
                );
            }
            let offset = entry.data_start().ok_or_else(|| broken(&"a file begins nowhere"))?;
            let (packed_len, len) = (entry.compressed_size(), entry.size());
            let is_deflated = match entry.compression() {
                CompressionMethod::Stored => false,
                CompressionMethod::DEFLATE => true,
                other => {
                    return Err(self.wrong(&format!(
                        "{name} is packed by {other}, expected deflate or none; unpack the archive, and name the folder"
                    )));
                }
            };
            let (file, crc32) = (file.clone(), entry.crc32());
            let encoded = Encoded::Zipped { file, offset, packed_len, len, crc32, is_deflated };
            drop(entry);
            self.keep(name, Some(encoded))?;
        }
        Ok(())
    }

    /// The files of a tar archive: by where they lie in `place`, or in memory where there is none.
    fn add_tar<R: Read>(
        &mut self,
        entries: tar::Entries<'_, R>,
        place: Option<&Place>,
        want: &dyn Fn(&str) -> Want,
    ) -> Result<()> {
        let name = self.name.clone();
        let broken = |cause: io::Error| Error::format(format!("{name}: a broken or cut archive ({cause})"));
        let mut long_name: Option<Vec<u8>> = None;
        let (mut held_bytes, mut end) = (0_usize, 0_u64);
        // Raw, so that no more of a long name is read than a name can be.
        for entry in entries.raw(true) {
            let mut entry = entry.map_err(broken)?;
            end = entry.raw_file_position().saturating_add(entry.size());
            let kind = entry.header().entry_type();
            if kind == EntryType::GNULongName || kind == EntryType::XHeader {
                let mut bytes = Vec::new();
                entry.by_ref().take(LONGEST_NAME).read_to_end(&mut bytes).map_err(broken)?;
                let found = if kind == EntryType::XHeader { pax_path(&bytes) } else { Some(bytes) };
                long_name = found.or(long_name);
                continue;
            }
            let own_name = long_name.take();
            if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
                continue;
            }
            let path = own_name.unwrap_or_else(|| entry.path_bytes().into_owned());
            let Some(path) = plain(&path) else { continue };
            let (wanted, len) = (want(&path), entry.size());
            let is_too_large = wanted == Want::Content && len > LARGEST_CONTENT_BYTES;
            if wanted == Want::Not || is_too_large {
                self.keep(path, None)?;
                continue;
            }
            let encoded = match place.filter(|_| wanted == Want::Place) {
                Some(place) => {
                    let offset = entry.raw_file_position();
                    if offset.saturating_add(len) > place.len {
                        return Err(self.wrong("the archive ends within a file; get it anew"));
                    }
                    Encoded::Part { file: place.file.clone(), offset: place.offset + offset, len }
                }
                None => {
                    held_bytes = held_bytes.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
                    check_fits(held_bytes, &format!("{name}: the files in it (unpacked they need not)"))?;
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).map_err(broken)?;
                    if bytes.len() as u64 != len {
                        return Err(self.wrong("the archive ends within a file; get it anew"));
                    }
                    Encoded::Memory(bytes.into())
                }
            };
            self.keep(path, Some(encoded))?;
        }
        // Behind the last file two blocks of noughts say that it is the last.
        if place.is_some_and(|place| end.saturating_add(BLOCK_BYTES as u64) > place.len) {
            log::warn!("{name}: it has no mark of its end and may be cut off");
        }
        Ok(())
    }
}

/// The path of the file that follows, out of `LENGTH path=PATH` lines.
fn pax_path(bytes: &[u8]) -> Option<Vec<u8>> {
    let found =
        tar::PaxExtensions::new(bytes).flatten().find(|extension| extension.key_bytes() == b"path")?;
    Some(found.value_bytes().to_vec())
}

/// A path without what stands for nothing; none for one that leaves the archive, is hidden, or what systems leave behind.
fn plain(path: &[u8]) -> Option<String> {
    let path = String::from_utf8_lossy(path).replace('\\', "/");
    let path = path.trim_end_matches('\0');
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let is_left_out = |part: &&str| part.starts_with('.') || crate::folder::LEFT_BEHIND.contains(part);
    (!parts.is_empty() && !parts.iter().any(is_left_out)).then(|| parts.join("/"))
}
