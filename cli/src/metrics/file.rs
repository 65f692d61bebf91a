//! The metrics file: appended to line by line, repaired after a kill, read back.

use super::Record;
use localgrad::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A longer line is an error: nothing that we write comes near, and a reader should not fill the memory.
const LINE_LIMIT_BYTES: u64 = 16 << 20;

/// Appends records to a file; each is with the operating system when `write` returns.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
}

impl Writer {
    /// Opens `path` to append to it, making it if there is none. A torn last line, left by a run that was killed
    /// while it wrote, is cut off, so that what follows stays readable.
    ///
    /// # Errors
    /// Io: the file cannot be opened, read or written.
    pub fn append(path: &Path) -> Result<Self> {
        let io = |cause| Error::io(path, cause);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(io)?;
        let tail = unterminated_tail(&mut file).map_err(io)?;
        if !tail.is_empty() {
            if serde_json::from_slice::<Record>(&tail).is_ok() {
                file.write_all(b"\n").map_err(io)?;
            } else {
                let length = file.metadata().map_err(io)?.len();
                file.set_len(length - tail.len() as u64).map_err(io)?;
            }
        }
        Ok(Self { path: path.to_owned(), file })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one record as one line, in one write.
    ///
    /// # Errors
    /// Io: the file cannot be written.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        // Not kept for the next record: one of a traced step is a megabyte long.
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.flush());
        written.map_err(|cause| Error::io(&self.path, cause))
    }
}

/// The bytes after the last line end, at most as many as a line may have.
fn unterminated_tail(file: &mut File) -> std::io::Result<Vec<u8>> {
    const CHUNK: u64 = 64 << 10;
    let mut start = file.metadata()?.len();
    let mut tail = Vec::new();
    while start > 0 && (tail.len() as u64) < LINE_LIMIT_BYTES {
        let length = start.min(CHUNK);
        start -= length;
        file.seek(SeekFrom::Start(start))?;
        let mut chunk = vec![0; length as usize];
        file.read_exact(&mut chunk)?;
        let line_end = chunk.iter().rposition(|&byte| byte == b'\n');
        chunk.drain(..line_end.map_or(0, |at| at + 1));
        chunk.append(&mut tail);
        tail = chunk;
        if line_end.is_some() {
            break;
        }
    }
    Ok(tail)
}

/// Reads all records of a file. A last line without its end that is no record was torn when the program was
/// killed, and is dropped.
///
/// # Errors
/// Io: the file cannot be read. Format: any other line is not a record; the message names file and line.
pub fn read(path: &Path) -> Result<Vec<Record>> {
    let file = File::open(path).map_err(|cause| Error::io(path, cause))?;
    let mut reader = BufReader::new(file);
    let mut records = Vec::new();
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let mut limited = reader.by_ref().take(LINE_LIMIT_BYTES);
        let length = limited.read_until(b'\n', &mut line).map_err(|cause| Error::io(path, cause))?;
        if length == 0 {
            break;
        }
        let whole = line.ends_with(b"\n");
        if !whole && length as u64 == LINE_LIMIT_BYTES {
            let limit = LINE_LIMIT_BYTES >> 20;
            return Err(malformed(path, number, &format!("it is longer than {limit} MiB")));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(record) => records.push(record),
            Err(_) if !whole => break,
            Err(cause) => return Err(malformed(path, number, &reason(&cause))),
        }
    }
    Ok(records)
}

/// What serde found, without its own count of lines, which is always 1 here.
fn reason(cause: &serde_json::Error) -> String {
    let text = cause.to_string();
    let sentence = text.split(" at line ").next().unwrap_or_default();
    match cause.column() {
        0 => sentence.to_owned(),
        column => format!("{sentence} (column {column})"),
    }
}

fn malformed(path: &Path, line: u64, reason: &str) -> Error {
    Error::format(format!(
        "{}, line {line} is not a metrics record: {reason}; repair or delete that line",
        path.display()
    ))
}
