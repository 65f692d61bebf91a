//! The metrics of a run: one JSON object a line in `metrics.jsonl`, written as training goes and read by the report.
//!
//! Several runs may share a file, told apart by their name. A run that was killed and resumed goes back to its
//! last checkpoint and may write some steps again: of two records for one step, the later counts.

use localgrad::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Name of the file in a run directory.
pub const FILE_NAME: &str = "metrics.jsonl";

/// A longer line is an error: nothing that we write comes near, and a reader should not fill the memory.
const LINE_LIMIT_BYTES: u64 = 16 << 20;

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// A run begins, or goes on after a resume.
    Start(Box<Start>),
    /// Some steps later.
    Step(Step),
    /// The memory of one traced step.
    Memory(Memory),
    /// An epoch ended and was evaluated.
    Epoch(Epoch),
    /// Something that the user should know.
    Warning(Warning),
    /// The run ended.
    Done(Done),
}

/// What a run is, before its first step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// Name of the run, unique in its file: `man`, `bp`.
    pub run: String,
    /// Version of the program.
    pub version: String,
    /// The network in a word or two: `resnet32`.
    pub network: String,
    /// The training rule: `man`, `bp`.
    pub rule: String,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Samples a step.
    pub batch: u64,
    /// Length of the run in epochs, if it was given so.
    pub epochs: Option<u64>,
    /// Length of the run in steps, if it was given so.
    pub steps: Option<u64>,
    /// Training samples.
    pub samples: u64,
    /// Classes.
    pub classes: u64,
    /// Parameters of the network, without auxiliary networks.
    pub parameters: u64,
    /// The size of one sample.
    pub input: [usize; 3],
    /// The units of the network, in order.
    pub units: Vec<UnitRecord>,
    /// The blocks, in order; one for end-to-end training.
    pub blocks: Vec<BlockRecord>,
    /// Where it ran, in words: `cpu, 2 threads`. May be empty.
    #[serde(default)]
    pub device: String,
    /// The command line that repeats the run. May be empty.
    #[serde(default)]
    pub command: String,
}

/// One unit of the network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// Its name: `layer1.0`.
    pub name: String,
    /// What it is: `basic`.
    pub kind: String,
    /// The features that it gives: channels, height and width `16x28x28`, or a length `10`.
    pub features: String,
    /// Its parameters.
    pub parameters: u64,
    /// Bytes that it keeps for its backward, for one batch.
    pub activation_bytes: u64,
}

/// One block: the units `first_unit..=last_unit` and the auxiliary network over them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlockRecord {
    /// Its first unit, counted from 0.
    pub first_unit: usize,
    /// Its last unit, counted from 0.
    pub last_unit: usize,
    /// Parameters of its units.
    pub parameters: u64,
    /// Bytes that its units and its auxiliary network keep for their backward, for one batch.
    pub activation_bytes: u64,
    /// The auxiliary network in words; empty for the last block, which has the network's own head.
    pub auxiliary: String,
    /// Parameters of the auxiliary network.
    pub auxiliary_parameters: u64,
}

/// Where training is after a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Name of the run.
    pub run: String,
    /// Steps done.
    pub step: u64,
    /// Epoch of the step.
    pub epoch: u64,
    /// Loss of each block. A loss that is not finite is written as `null` and read as NaN.
    #[serde(deserialize_with = "finite_or_nan_list")]
    pub losses: Vec<f64>,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Speed.
    pub samples_per_second: f64,
    /// Bytes allocated after the step.
    pub live_bytes: u64,
    /// The most bytes allocated at one time so far.
    pub peak_bytes: u64,
}

/// Live bytes during one step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Name of the run.
    pub run: String,
    /// Which step.
    pub step: u64,
    /// Seconds since the step began, live bytes, the block being trained, counted from 0.
    pub points: Vec<[f64; 3]>,
}

/// An epoch and what the network could do after it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Name of the run.
    pub run: String,
    /// Epochs done.
    pub epoch: u64,
    /// Fraction of the evaluation samples that were classified rightly.
    #[serde(deserialize_with = "finite_or_nan")]
    pub accuracy: f64,
    /// Mean training loss of each block over the epoch.
    #[serde(deserialize_with = "finite_or_nan_list")]
    pub train_losses: Vec<f64>,
    /// Seconds since the run began.
    pub seconds: f64,
    /// The most bytes allocated at one time so far.
    pub peak_bytes: u64,
}

/// Something that the user should know.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// Name of the run.
    pub run: String,
    /// One sentence.
    pub message: String,
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Name of the run.
    pub run: String,
    /// Fraction of the evaluation samples that were classified rightly.
    #[serde(deserialize_with = "finite_or_nan")]
    pub accuracy: f64,
    /// One minus the accuracy.
    #[serde(deserialize_with = "finite_or_nan")]
    pub top1_error: f64,
    /// Loss on the evaluation samples.
    #[serde(deserialize_with = "finite_or_nan")]
    pub loss: f64,
    /// Steps done.
    pub steps: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Speed over the whole run.
    pub samples_per_second: f64,
    /// The most bytes allocated at one time.
    pub peak_bytes: u64,
    /// The peak that was promised before the run began, if one was.
    pub planned_bytes: Option<u64>,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
}

impl Record {
    /// Name of the run that the record belongs to.
    pub fn run(&self) -> &str {
        match self {
            Self::Start(start) => &start.run,
            Self::Step(step) => &step.run,
            Self::Memory(memory) => &memory.run,
            Self::Epoch(epoch) => &epoch.run,
            Self::Warning(warning) => &warning.run,
            Self::Done(done) => &done.run,
        }
    }
}

/// JSON has no NaN: `null` stands for it.
fn finite_or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn finite_or_nan_list<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<f64>, D::Error> {
    let values = Vec::<Option<f64>>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// Appends records to a file; each is with the operating system when `write` returns.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    line: Vec<u8>,
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
        Ok(Self { path: path.to_owned(), file, line: Vec::new() })
    }

    /// Appends one record as one line, in one write.
    ///
    /// # Errors
    /// Io: the file cannot be written.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record)?;
        self.line.push(b'\n');
        let written = self.file.write_all(&self.line).and_then(|()| self.file.flush());
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

#[cfg(test)]
mod tests;
