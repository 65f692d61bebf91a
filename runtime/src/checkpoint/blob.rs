//! A checkpoint as one run of bytes, for those who keep states where there are no directories.
//!
//! ```text
//! the file of each block, in order | the manifest, of one generation without a journal |
//! "LGCKblob" | manifest length u64 | CRC-32 of these 16 bytes u32
//! ```
//! Numbers are little-endian. What comes last says what comes before, because a checksum is known only once its
//! bytes are written, and nothing is written twice.

use super::block_file;
use super::block_input;
use super::configuration::Configuration;
use super::files::{FileOutput, write_all};
use super::manifest::{BlockEntry, Extent, Generation, MAX_MANIFEST_BYTES, Manifest};
use crate::error::{Error, ErrorKind, Result};
use crate::progress::Progress;
use crate::trainer::Trainer;
use std::io;

const MAGIC: [u8; 8] = *b"LGCKblob";
const TRAILER_BYTES: usize = 20;

/// Writes the state of `trainer` between two steps into `output`; its length in bytes. The same state gives the
/// same length.
///
/// # Errors
/// `Io` when `output` has no room, `NotFinite` when training has spoiled the state.
pub fn write(
    trainer: &mut Trainer,
    configuration: &Configuration,
    progress: &Progress,
    output: &mut [u8],
) -> Result<usize> {
    write_to(trainer, configuration, progress, &mut Room { left: output })
}

/// The length of what [`write()`] would write.
///
/// # Errors
/// Those of reading the trainer's state.
pub fn size_bytes(
    trainer: &mut Trainer,
    configuration: &Configuration,
    progress: &Progress,
) -> Result<usize> {
    write_to(trainer, configuration, progress, &mut Nowhere)
}

fn write_to(
    trainer: &mut Trainer,
    configuration: &Configuration,
    progress: &Progress,
    output: &mut dyn FileOutput,
) -> Result<usize> {
    let mut blocks = Vec::with_capacity(trainer.ranges().len());
    for block in 0..trainer.ranges().len() {
        blocks.push(BlockEntry { written_by: 1, extent: block_file::write(trainer, block, output)? });
    }
    let block_bytes: u64 = blocks.iter().map(|entry| entry.extent.bytes).sum();
    let generation = Generation {
        number: 1,
        progress: progress.clone(),
        passes: trainer.passes(),
        blocks,
        journal: Extent::default(),
    };
    let manifest =
        Manifest { configuration: configuration.clone(), generations: vec![generation] }.encode()?;
    let mut trailer = MAGIC.to_vec();
    trailer.extend((manifest.len() as u64).to_le_bytes());
    trailer.extend(crc32fast::hash(&trailer).to_le_bytes());
    let no_room = |cause: io::Error| Error::new(ErrorKind::Io, cause.to_string());
    write_all(output, &manifest).and_then(|()| write_all(output, &trailer)).map_err(no_room)?;
    Ok(block_bytes as usize + manifest.len() + trailer.len())
}

/// A state in memory, proven whole.
pub struct Blob<'a> {
    /// What it is of.
    pub configuration: Configuration,
    generation: Generation,
    /// The files of the blocks, one behind the other.
    blocks: &'a [u8],
}

impl<'a> Blob<'a> {
    /// Reads `bytes`, every one of them untrusted.
    ///
    /// # Errors
    /// `Format`: it is no such state, damaged, or of a newer version.
    pub fn read(bytes: &'a [u8]) -> Result<Self> {
        let damaged = |what: &str| Error::format(format!("this is not a whole saved state: {what}"));
        let (body, trailer) =
            bytes.split_last_chunk::<TRAILER_BYTES>().ok_or_else(|| damaged("it is too short"))?;
        let (content, checksum) = trailer.split_at(16);
        if content[..8] != MAGIC || crc32fast::hash(content).to_le_bytes() != checksum {
            return Err(damaged("its end is not what it should be"));
        }
        let length = content[8..].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let start = usize::try_from(length)
            .ok()
            .filter(|_| length <= MAX_MANIFEST_BYTES)
            .and_then(|length| body.len().checked_sub(length))
            .ok_or_else(|| damaged("it is shorter than its manifest"))?;
        let (blocks, manifest) = body.split_at(start);
        let Manifest { configuration, mut generations } = Manifest::decode(manifest)?;
        let (Some(generation), true) = (generations.pop(), generations.is_empty()) else {
            return Err(damaged("it holds more than one state"));
        };
        let blob = Self { configuration, generation, blocks };
        let mut rest = blob.blocks;
        for block in 0..blob.generation.blocks.len() {
            let file = blob.split_block(block, &mut rest)?;
            if crc32fast::hash(file) != blob.generation.blocks[block].extent.checksum {
                return Err(damaged("its bytes are not those that were written"));
            }
        }
        match rest {
            [] => Ok(blob),
            _ => Err(damaged("bytes are left over")),
        }
    }

    /// Takes the file of `block` off the front of `rest`.
    fn split_block(&self, block: usize, rest: &mut &'a [u8]) -> Result<&'a [u8]> {
        let length = usize::try_from(self.generation.blocks[block].extent.bytes).unwrap_or(usize::MAX);
        let (file, after) = rest
            .split_at_checked(length)
            .ok_or_else(|| Error::format("this is not a whole saved state: a block is cut short"))?;
        *rest = after;
        Ok(file)
    }

    /// Puts the state into `trainer`, which must be of the same network and rule, and says where its run stood.
    ///
    /// # Errors
    /// `Format` when it does not fit; the trainer is then unchanged.
    pub fn restore(&self, trainer: &mut Trainer) -> Result<Progress> {
        let (found, blocks) = (self.generation.blocks.len(), trainer.ranges().len());
        if found != blocks {
            return Err(Error::format(format!("the state has {found} blocks where {blocks} are needed")));
        }
        self.generation.progress.check(blocks, usize::MAX)?;
        for change in [false, true] {
            let mut rest = self.blocks;
            for block in 0..blocks {
                let mut file = io::Cursor::new(self.split_block(block, &mut rest)?);
                match change {
                    false => block_input::check_fits(trainer, block, &mut file),
                    true => block_input::load(trainer, block, &mut file),
                }
                .map_err(|error| error.at(format!("block {block}")))?;
            }
        }
        trainer.set_passes(self.generation.passes);
        Ok(self.generation.progress.clone())
    }
}

/// Writes into a slice.
struct Room<'a> {
    left: &'a mut [u8],
}

impl FileOutput for Room<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = std::mem::take(&mut self.left);
        let (room, left) = left.split_at_mut_checked(bytes.len()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::WriteZero, "there is no room for the whole state")
        })?;
        room.copy_from_slice(bytes);
        self.left = left;
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Takes everything and keeps nothing.
struct Nowhere;

impl FileOutput for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
