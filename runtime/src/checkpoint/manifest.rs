//! The manifest: what a checkpoint consists of, with the length and checksum of each file. Its replacement is what
//! makes a checkpoint the current one.
//!
//! ```text
//! "LGCKmani" | version u32 | payload length u64 | payload CRC-32 u32 | CRC-32 of all before u32 | postcard payload
//! ```
//! Numbers are little-endian. The header keeps its form in every version, so that any version can be named.

use super::configuration::Configuration;
use super::version_1::Manifest1;
use crate::error::{Error, Result};
use crate::evaluate::Answers;
use crate::progress::Progress;
use serde::{Deserialize, Serialize};

/// The newest version of the format. Versions from 1 on are read.
pub const FORMAT_VERSION: u32 = 3;
/// The version that is written of networks that classify, which say no more.
const CLASSES_VERSION: u32 = 2;
/// Name of the manifest's file.
pub const MANIFEST_FILE: &str = "manifest";
/// More than any network's manifest comes to; a file that is longer is not read.
pub const MAX_MANIFEST_BYTES: u64 = 16 << 20;
/// Blocks that a checkpoint may have, and generations that it may keep.
const MAX_ENTRIES: usize = 1 << 16;

const MAGIC: [u8; 8] = *b"LGCKmani";
const HEADER_BYTES: usize = 28;

/// All that a checkpoint directory holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    /// What the run is of. In the file this is a text in JSON, which later fields can be added to.
    #[serde(with = "json_text")]
    pub configuration: Configuration,
    /// The states that are kept, the newest first; at least one.
    pub generations: Vec<Generation>,
}

/// One saved state of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Generation {
    /// Its number; later ones are larger.
    pub number: u64,
    /// Where the run stood.
    pub progress: Progress,
    /// What dropout draws from.
    pub passes: u64,
    /// The file of each block, in order.
    pub blocks: Vec<BlockEntry>,
    /// The journal as it was.
    pub journal: Extent,
}

/// The file of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockEntry {
    /// The generation that wrote it: blocks that did not change keep their file.
    pub written_by: u64,
    /// What is in it.
    pub extent: Extent,
}

/// So many bytes with this checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Length.
    pub bytes: u64,
    /// CRC-32.
    pub checksum: u32,
}

impl BlockEntry {
    /// Name of the file of `block`. Names are made from numbers alone, so that none leads out of the directory.
    pub fn file_name(&self, block: usize) -> String {
        format!("block-{block:04}-{:010}.safetensors", self.written_by)
    }
}

/// Whether `name` is one that [`BlockEntry::file_name`] gives.
pub(super) fn is_block_file(name: &str) -> bool {
    let Some(numbers) = name.strip_prefix("block-").and_then(|rest| rest.strip_suffix(".safetensors")) else {
        return false;
    };
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.split_once('-').is_some_and(|(block, written_by)| number(block) && number(written_by))
}

impl Manifest {
    /// The bytes of the file.
    ///
    /// # Errors
    /// `Internal` when it is larger than what is read.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let bytes = |encoded: postcard::Result<Vec<u8>>| {
            encoded.map_err(|cause| Error::internal(format!("a manifest that postcard cannot hold: {cause}")))
        };
        let mut payload = bytes(postcard::to_stdvec(self))?;
        let mut version = CLASSES_VERSION;
        if !self.configuration.network.objective.is_classes() {
            version = FORMAT_VERSION;
            payload.extend(bytes(postcard::to_stdvec(&self.answers()))?);
        }
        let mut file = Vec::with_capacity(HEADER_BYTES + payload.len());
        file.extend(MAGIC);
        file.extend(version.to_le_bytes());
        file.extend((payload.len() as u64).to_le_bytes());
        file.extend(crc32fast::hash(&payload).to_le_bytes());
        file.extend(crc32fast::hash(&file).to_le_bytes());
        file.extend(payload);
        if file.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(Error::internal(format!("a manifest of {} bytes is too large", file.len())));
        }
        Ok(file)
    }

    /// Reads the bytes of a file, every one of them untrusted.
    ///
    /// # Errors
    /// `Format`: it is no manifest, damaged, or of a newer version.
    pub fn decode(file: &[u8]) -> Result<Self> {
        let damaged = |what: &str| Error::format(format!("this is not a whole checkpoint manifest: {what}"));
        let header: &[u8; HEADER_BYTES] = file.first_chunk().ok_or_else(|| damaged("it is too short"))?;
        if header[..8] != MAGIC {
            return Err(damaged("it begins with other bytes"));
        }
        if crc32fast::hash(&header[..24]) != word(header, 24) {
            return Err(damaged("its header's checksum is wrong"));
        }
        let version = word(header, 8);
        if version == 0 || version > FORMAT_VERSION {
            return Err(Error::format(format!(
                "this checkpoint has format version {version}, and this program reads versions 1 to \
                 {FORMAT_VERSION}; use the program that wrote it, or a newer one"
            )));
        }
        let payload = &file[HEADER_BYTES..];
        let length = u64::from(word(header, 12)) | u64::from(word(header, 16)) << 32;
        if payload.len() as u64 != length {
            return Err(damaged(&format!("{length} bytes are promised and {} are there", payload.len())));
        }
        if crc32fast::hash(payload) != word(header, 20) {
            return Err(damaged("its checksum is wrong"));
        }
        let read = match version {
            1 => postcard::take_from_bytes::<Manifest1>(payload).map(|(old, rest)| (old.into(), rest)),
            2 => postcard::take_from_bytes::<Self>(payload),
            _ => with_answers(payload),
        };
        let manifest = match read {
            Ok((manifest, [])) => manifest,
            Ok(_) => return Err(damaged("bytes follow its end")),
            Err(cause) => return Err(damaged(&cause.to_string())),
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// What the last evaluation of each generation found besides counts.
    fn answers(&self) -> Vec<Option<&Answers>> {
        let evaluations = self.generations.iter().map(|generation| generation.progress.evaluation.as_ref());
        evaluations.map(|found| found.map(|found| &found.answers)).collect()
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::format(format!("this checkpoint manifest cannot be: {what}")));
        if self.generations.is_empty() || self.generations.len() > MAX_ENTRIES {
            return wrong("it holds no generation, or too many");
        }
        if !self.generations.is_sorted_by(|a, b| a.number > b.number) {
            return wrong("its generations are out of order");
        }
        for generation in &self.generations {
            if generation.number > u64::MAX / 2 {
                return wrong("its numbers are too large");
            }
            if generation.blocks.is_empty() || generation.blocks.len() > MAX_ENTRIES {
                return wrong("a generation has no blocks, or too many");
            }
            if generation.blocks.iter().any(|block| block.written_by > generation.number) {
                return wrong("a block was written after its own generation");
            }
        }
        Ok(())
    }
}

/// A manifest, then what each generation's last evaluation found besides counts; and what follows.
fn with_answers(payload: &[u8]) -> postcard::Result<(Manifest, &[u8])> {
    let (mut manifest, rest) = postcard::take_from_bytes::<Manifest>(payload)?;
    let (answers, rest) = postcard::take_from_bytes::<Vec<Option<Answers>>>(rest)?;
    for (generation, answers) in manifest.generations.iter_mut().zip(answers) {
        if let (Some(found), Some(answers)) = (&mut generation.progress.evaluation, answers) {
            found.answers = answers;
        }
    }
    Ok((manifest, rest))
}

/// A value as a text in JSON, whatever format is around it.
pub(super) mod json_text {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

    pub(in super::super) fn serialize<S: Serializer>(
        value: &impl Serialize,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(value).map_err(ser::Error::custom)?)
    }

    pub(in super::super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: de::DeserializeOwned,
        D: Deserializer<'de>,
    {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The little-endian word at `offset`, which lies inside.
fn word(bytes: &[u8; HEADER_BYTES], offset: usize) -> u32 {
    bytes[offset..offset + 4].iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Normalize;
    use crate::evaluate::Evaluation;
    use crate::fit::FitConfig;
    use crate::maps::Place;
    use crate::network::{NetworkSpec, Objective};
    use crate::trainer::TrainConfig;

    fn manifest(objective: Objective, answers: Answers) -> Manifest {
        let (units, head) = (Vec::new(), Vec::new());
        let network =
            NetworkSpec { name: "net".into(), input: [1, 1, 1].into(), classes: 2, objective, units, head };
        let (train, fit) = (TrainConfig::default(), FitConfig::default());
        let configuration =
            Configuration::of_stream(&network, &train, &fit, 4, &Normalize::half(1), &Place::Host);
        let mut progress = Progress::start(1);
        progress.evaluation =
            Some(Evaluation { accuracy: 0.5, loss: 1.0, samples: 2, classes: Vec::new(), answers });
        let blocks = vec![BlockEntry { written_by: 1, extent: Extent::default() }];
        let generation = Generation { number: 1, progress, passes: 0, blocks, journal: Extent::default() };
        Manifest { configuration, generations: vec![generation] }
    }

    #[test]
    fn answers_that_are_no_classes_are_kept() {
        let values = Answers::Values { mean_absolute_error: 0.25, root_mean_square_error: 0.5 };
        for (objective, answers, version) in [
            (Objective::Classes, Answers::Classes, 2),
            (Objective::Labels, Answers::Labels { found: vec![3, 1] }, 3),
            (Objective::Huber { delta: 0.5 }, values, 3),
        ] {
            let file = manifest(objective, answers.clone()).encode().unwrap();
            assert_eq!(file[8], version);
            let read = Manifest::decode(&file).unwrap();
            assert_eq!(read.configuration.network.objective, objective);
            assert_eq!(read.generations[0].progress.evaluation.as_ref().unwrap().answers, answers);
            assert!(Manifest::decode(&file[..file.len() - 1]).is_err());
        }
        // Files of networks that classify say nothing of objectives.
        let plain = manifest(Objective::Classes, Answers::Classes);
        assert!(!serde_json::to_string(&plain.configuration).unwrap().contains("objective"));
    }
}
