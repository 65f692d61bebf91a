//! The journal: what happened in a run, record after record, only ever appended to.
//!
//! ```text
//! "LGCKjour" | version u32 | CRC-32 of all before u32 | then, again and again:
//! payload length u32 | CRC-32 of length and payload u32 | postcard payload
//! ```
//! Numbers are little-endian. In version 2, which is written of networks whose answers are no classes, the payload of each
//! epoch is followed by its metrics. A last record that was torn by a kill or a loss of power is dropped.

use super::files::{FileOutput, Files, unreadable, write_all};
use super::manifest::Extent;
use super::version_1;
use crate::error::{Error, ErrorKind, Result};
use crate::evaluate::{Answers, Evaluation};
use crate::fit::Event;
use crate::network::Objective;
use serde::{Deserialize, Serialize};
use std::io::{self, BufReader, Read};

/// The newest version of the journal. Versions from 1 on are read.
const JOURNAL_VERSION: u32 = 2;
/// The version that is written of networks that classify.
const CLASSES_VERSION: u32 = 1;
/// Name of the journal's file.
pub const JOURNAL_FILE: &str = "journal";
/// More than a step of any network says.
const MAX_RECORD_BYTES: usize = 1 << 20;

const MAGIC: [u8; 8] = *b"LGCKjour";
const HEADER_BYTES: usize = 16;
const FRAME_BYTES: usize = 8;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// Training begins, or goes on, after so many steps: later steps told of before are void.
    Begin {
        /// Steps done.
        steps: usize,
    },
    /// A step is done.
    Step {
        /// Its number, from 1.
        step: usize,
        /// Its epoch, from 1.
        epoch: usize,
        /// Loss of each block.
        losses: Vec<f64>,
        /// The rate it was done with.
        learning_rate: f64,
        /// Samples in its batch.
        samples: usize,
    },
    /// An epoch is done.
    Epoch {
        /// Its number, from 1.
        epoch: usize,
        /// Mean loss of each block.
        losses: Vec<f64>,
        /// Share of its samples that were classified right while training.
        train_accuracy: f64,
        /// What the test data say, but for single classes.
        #[serde(with = "version_1::evaluation")]
        evaluation: Option<Evaluation>,
        /// What the answers are judged by where they are no classes, each with its name, the most telling one first.
        #[serde(skip)]
        metrics: Vec<(String, f64)>,
    },
    /// The state after so many steps was about to become the current checkpoint.
    Save {
        /// Its number.
        generation: u64,
        /// Steps done.
        steps: usize,
    },
}

impl Record {
    /// Its frame in a journal of this version.
    fn encode(&self, version: u32) -> Result<Vec<u8>> {
        let bytes = |encoded: postcard::Result<Vec<u8>>| {
            encoded.map_err(|cause| Error::internal(format!("a record that postcard cannot hold: {cause}")))
        };
        let mut payload = bytes(postcard::to_stdvec(self))?;
        if let (Self::Epoch { metrics, .. }, JOURNAL_VERSION) = (self, version) {
            payload.extend(bytes(postcard::to_stdvec(metrics))?);
        }
        match payload.len() {
            ..=MAX_RECORD_BYTES => Ok(frame(&payload)),
            bytes => Err(Error::internal(format!("a record of {bytes} bytes is too long for the journal"))),
        }
    }

    /// The record of a payload, all of which it takes, in a journal of this version.
    fn decode(payload: &[u8], version: u32) -> Option<Self> {
        let (mut record, mut rest) = postcard::take_from_bytes(payload).ok()?;
        if let (Self::Epoch { metrics, .. }, JOURNAL_VERSION) = (&mut record, version) {
            (*metrics, rest) = postcard::take_from_bytes(rest).ok()?;
        }
        rest.is_empty().then_some(record)
    }

    /// The record of an event, if it is worth one.
    pub fn of(event: &Event) -> Option<Self> {
        match event {
            Event::Stage(_) | Event::Evaluating { .. } => None,
            Event::Step { step, epoch, losses, learning_rate, samples, .. } => Some(Self::Step {
                step: *step,
                epoch: *epoch,
                losses: losses.clone(),
                learning_rate: *learning_rate,
                samples: *samples,
            }),
            Event::Epoch { epoch, losses, train_accuracy, evaluation, .. } => Some(Self::Epoch {
                epoch: *epoch,
                losses: losses.clone(),
                train_accuracy: *train_accuracy,
                evaluation: evaluation.as_ref().map(version_1::brief),
                metrics: evaluation.as_ref().map(metrics).unwrap_or_default(),
            }),
        }
    }
}

/// What the answers of an evaluation are judged by where they are no classes.
fn metrics(found: &Evaluation) -> Vec<(String, f64)> {
    match found.answers {
        Answers::Classes => Vec::new(),
        _ => found.metrics().into_iter().map(|(name, value)| (name.into(), value)).collect(),
    }
}

/// What a run's records come to: those that a later beginning made void are left out, and of an epoch that was told
/// of twice, because the run went on with it, the first.
pub fn history(records: Vec<Record>) -> Vec<Record> {
    let mut kept: Vec<Record> = Vec::with_capacity(records.len());
    // Numbers and places of steps, and the last epoch's: finding them takes no walk through all that is kept.
    let mut steps: Vec<(usize, usize)> = Vec::new();
    let mut last_epoch: Option<(usize, usize)> = None;
    for record in records {
        match &record {
            Record::Begin { steps: done } => {
                while let Some(&(_, place)) = steps.last().filter(|(step, _)| step > done) {
                    kept.truncate(place);
                    steps.pop();
                }
                last_epoch = last_epoch.filter(|(_, place)| *place < kept.len());
            }
            Record::Step { step, .. } => steps.push((*step, kept.len())),
            Record::Epoch { epoch, .. } => {
                if let Some((_, place)) = last_epoch.filter(|(last, _)| last == epoch) {
                    kept.remove(place);
                    let after = steps.partition_point(|(_, step_place)| *step_place < place);
                    steps[after..].iter_mut().for_each(|(_, step_place)| *step_place -= 1);
                }
                last_epoch = Some((*epoch, kept.len()));
            }
            Record::Save { .. } => {}
        }
        kept.push(record);
    }
    kept
}

/// An open journal.
pub struct Journal {
    output: Box<dyn FileOutput>,
    version: u32,
    extent: Extent,
    checksum: crc32fast::Hasher,
    /// Whether a record may have been written in part.
    torn: bool,
}

impl Journal {
    /// Begins a journal of a network with this objective in place of one that may be there.
    pub(super) fn create(files: &mut dyn Files, objective: Objective) -> io::Result<Self> {
        let output = files.create(JOURNAL_FILE)?;
        let version = if objective.is_classes() { CLASSES_VERSION } else { JOURNAL_VERSION };
        let (extent, checksum) = (Extent::default(), crc32fast::Hasher::new());
        let mut journal = Self { output, version, extent, checksum, torn: false };
        journal.append(&header(version))?;
        Ok(journal)
    }

    /// Goes on with the journal that is there, which must begin with `saved`, and cuts off what is torn.
    pub(super) fn open(files: &mut dyn Files, saved: Extent) -> Result<Self> {
        let Scanned { version, extent, checksum } = scan_file(files, saved, &mut |_| {})?;
        let path = files.path(JOURNAL_FILE);
        let io = |cause| Error::io(&path, cause);
        let mut output = files.append(JOURNAL_FILE).map_err(io)?;
        output.truncate(extent.bytes).map_err(io)?;
        Ok(Self { output, version, extent, checksum, torn: false })
    }

    /// The bytes that [`Journal::append`] takes.
    pub(super) fn encode(&self, record: &Record) -> Result<Vec<u8>> {
        record.encode(self.version)
    }

    /// Appends an encoded record. After an error the journal is as it was.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.torn {
            self.output.truncate(self.extent.bytes)?;
        }
        self.torn = true;
        write_all(self.output.as_mut(), bytes)?;
        self.torn = false;
        self.checksum.update(bytes);
        self.extent.bytes += bytes.len() as u64;
        self.extent.checksum = self.checksum.clone().finalize();
        Ok(())
    }

    /// Its file, to be synced.
    pub(super) fn output(&mut self) -> &mut dyn FileOutput {
        self.output.as_mut()
    }

    /// All that was written.
    pub(super) fn extent(&self) -> Extent {
        self.extent
    }
}

/// The journal of a checkpoint; `saved` is what its manifest says of it.
///
/// # Errors
/// `Io` when it cannot be read, `Format` when it is damaged.
pub fn read(files: &dyn Files, saved: Extent) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    scan_file(files, saved, &mut |record| records.push(record))?;
    Ok(records)
}

/// What was found in a journal.
pub struct Scanned {
    /// The version of its format.
    pub version: u32,
    /// What its whole records take.
    pub extent: Extent,
    /// Their checksum, which goes on.
    checksum: crc32fast::Hasher,
}

/// Shows the whole records of a journal's bytes and returns what they take. What follows was torn. Of the journal, no more than one record is in memory at a time.
///
/// # Errors
/// `Io` when it cannot be read; `Format`: it is no journal, of a newer version, or does not begin with `saved`.
pub fn scan(input: &mut dyn Read, saved: Extent, visit: &mut dyn FnMut(Record)) -> Result<Scanned> {
    let mut input = BufReader::new(input);
    let mut checksum = crc32fast::Hasher::new();
    let version = check_header(&mut input, &mut checksum)?;
    let mut bytes = HEADER_BYTES as u64;
    let mut frame = Vec::new();
    let mut reaches_saved = saved.bytes == 0;
    loop {
        if bytes == saved.bytes {
            reaches_saved = checksum.clone().finalize() == saved.checksum;
        }
        let Some(record) = next_record(&mut input, &mut frame, version)? else { break };
        checksum.update(&frame);
        bytes += frame.len() as u64;
        visit(record);
    }
    if !reaches_saved {
        return Err(Error::format(format!(
            "the journal is damaged: its first {} bytes are not those that were saved",
            saved.bytes
        )));
    }
    let extent = Extent { bytes, checksum: checksum.clone().finalize() };
    Ok(Scanned { version, extent, checksum })
}

/// Reads the header and returns its version.
fn check_header(input: &mut dyn Read, checksum: &mut crc32fast::Hasher) -> Result<u32> {
    let damaged = |what: &str| Error::format(format!("this is not a checkpoint journal: {what}"));
    let mut header = [0; HEADER_BYTES];
    input.read_exact(&mut header).map_err(|_| damaged("it is too short"))?;
    if header[..8] != MAGIC || crc32fast::hash(&header[..12]).to_le_bytes() != header[12..] {
        return Err(damaged("its header is not what it should be"));
    }
    let version = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if version == 0 || version > JOURNAL_VERSION {
        return Err(Error::format(format!(
            "this journal has format version {version}, and this program reads versions 1 to {JOURNAL_VERSION}; \
             use the program that wrote it, or a newer one"
        )));
    }
    checksum.update(&header);
    Ok(version)
}

/// Reads the next frame and the record in it; `None` where there is none, or no whole one.
fn next_record(input: &mut dyn Read, frame: &mut Vec<u8>, version: u32) -> Result<Option<Record>> {
    let io = |cause: io::Error| Error::new(ErrorKind::Io, cause.to_string());
    frame.clear();
    input.take(FRAME_BYTES as u64).read_to_end(frame).map_err(io)?;
    let Some(start) = frame.first_chunk::<FRAME_BYTES>() else { return Ok(None) };
    let (length, checksum) = (u32::from_le_bytes([start[0], start[1], start[2], start[3]]), &start[4..]);
    if length as usize > MAX_RECORD_BYTES {
        return Ok(None);
    }
    let checksum = checksum.to_vec();
    // Reading to the end allocates no more than is there.
    input.take(u64::from(length)).read_to_end(frame).map_err(io)?;
    let (start, payload) = frame.split_at(FRAME_BYTES);
    if payload.len() != length as usize || frame_checksum(&start[..4], payload).to_le_bytes() != checksum[..]
    {
        return Ok(None);
    }
    Ok(Record::decode(payload, version))
}

fn header(version: u32) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(version.to_le_bytes());
    header.extend(crc32fast::hash(&header).to_le_bytes());
    header
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_le_bytes();
    let mut frame = length.to_vec();
    frame.extend(frame_checksum(&length, payload).to_le_bytes());
    frame.extend(payload);
    frame
}

fn frame_checksum(length: &[u8], payload: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(length);
    checksum.update(payload);
    checksum.finalize()
}

fn scan_file(files: &dyn Files, saved: Extent, visit: &mut dyn FnMut(Record)) -> Result<Scanned> {
    let path = files.path(JOURNAL_FILE);
    let (file, length) = files.open(JOURNAL_FILE).map_err(|cause| unreadable(&path, cause))?;
    scan(&mut file.take(length), saved, visit).map_err(|error| error.at(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(step: usize) -> Record {
        Record::Step { step, epoch: 1, losses: vec![], learning_rate: 0.1, samples: 1 }
    }

    fn epoch(epoch: usize, train_accuracy: f64) -> Record {
        Record::Epoch { epoch, losses: vec![], train_accuracy, evaluation: None, metrics: vec![] }
    }

    #[test]
    fn void_records_are_left_out() {
        let begin = |steps| Record::Begin { steps };
        let told = vec![
            begin(0),
            step(1),
            step(2),
            epoch(1, 0.1),
            step(3),
            begin(2),
            begin(2),
            step(3),
            epoch(2, 0.2),
            step(4),
            epoch(2, 0.3),
            begin(3),
            step(4),
        ];
        let expected =
            [begin(0), step(1), step(2), epoch(1, 0.1), begin(2), begin(2), step(3), begin(3), step(4)];
        assert_eq!(history(told), expected);
    }
}
