//! The file of one block: safetensors, streamed out of the tensors that training uses, so that no second copy of a
//! block is ever in memory. `block_input` reads it back.
//!
//! Weights and running statistics stand under their own names, what the optimizer remembers of `NAME` under
//! `optimizer.momentum.NAME` (SGD) or `optimizer.mean.NAME` and `optimizer.square.NAME` (AdamW), and the numbers
//! of updates in `optimizer.updates`, one for each parameter, in the order of their names. What is remembered in 8 bits
//! stands as its codes under these names, and as its scales under `optimizer.momentum_scale.NAME` and the like.

use super::files::{FileOutput, write_all};
use super::manifest::Extent;
use crate::error::{Error, Result};
use crate::layers::Variable;
use crate::maps::coded::scales;
use crate::maps::slices::elements;
use crate::maps::{Map, Place};
use crate::optimizer::OptimizerConfig;
use crate::trainer::Trainer;
use serde_json::json;
use std::collections::BTreeMap;

/// Bytes that are gathered before they are written.
pub(super) const BUFFER_BYTES: usize = 256 << 10;
/// The tensor of update counts.
pub(super) const UPDATES: &str = "optimizer.updates";

/// One tensor of the file.
struct Entry {
    name: String,
    dims: Vec<usize>,
}

/// What a block's file holds.
struct Content {
    /// Of f32.
    tensors: Vec<Entry>,
    /// Of bytes, which come last, so that all others are aligned.
    codes: Vec<Entry>,
    /// Updates of each parameter.
    updates: BTreeMap<String, u64>,
}

/// Names of the optimizer's tensors, in the order of `Parameter::state`.
pub(super) fn state_names(optimizer: &OptimizerConfig) -> &'static [&'static str] {
    match optimizer {
        OptimizerConfig::Sgd { .. } => &["momentum"],
        OptimizerConfig::AdamW { .. } => &["mean", "square"],
    }
}

pub(super) fn state_name(kind: &str, name: &str) -> String {
    format!("optimizer.{kind}.{name}")
}

/// The name of the scales of what is remembered in 8 bits.
pub(super) fn scale_name(kind: &str, name: &str) -> String {
    format!("optimizer.{kind}_scale.{name}")
}

fn content(trainer: &mut Trainer, block: usize) -> Result<Content> {
    let kinds = state_names(&trainer.method().optimizer);
    let mut content = Content { tensors: Vec::new(), codes: Vec::new(), updates: BTreeMap::new() };
    trainer.read_forms_of_block(block, &mut |name, form| {
        let dims = form.dims.to_vec();
        content.tensors.push(Entry { name: name.into(), dims: dims.clone() });
        if let Some((states, updates)) = form.updated {
            for kind in kinds.iter().take(states) {
                let state = Entry { name: state_name(kind, name), dims: dims.clone() };
                if form.coded {
                    let dims = vec![scales(dims.iter().product())];
                    content.tensors.push(Entry { name: scale_name(kind, name), dims });
                    content.codes.push(state);
                } else {
                    content.tensors.push(state);
                }
            }
            content.updates.insert(name.into(), updates);
        }
        Ok(())
    })?;
    Ok(content)
}

/// Streams the state of `block` into `output`, which is yet to be synced.
///
/// # Errors
/// Those of writing, as they came from the system; `NotFinite` when training has spoiled the state; `Config` when two
/// variables have one name.
pub(super) fn write(trainer: &mut Trainer, block: usize, output: &mut dyn FileOutput) -> Result<Extent> {
    let content = content(trainer, block)?;
    let kinds = state_names(&trainer.method().optimizer);
    let mut stream = Stream::new(output);
    stream.put(&header(block, &content)?)?;
    for update in content.updates.values() {
        stream.put(&update.to_le_bytes())?;
    }
    // In the order of the header; a block whose weights wait in a file is brought, a unit at a time.
    trainer.read_block(block, &mut |name, variable| {
        let mut put = |name: &str, numbers: &[f32]| match stream.put_floats(numbers)? {
            true => Ok(()),
            false => Err(Error::spoiled(name)),
        };
        // Off the CPU one tensor at a time is brought here; on it this is the tensor itself.
        let here = |map: &Map| map.to(&Place::Host)?.contiguous();
        put(name, &elements(&here(variable.value())?)?)?;
        if let Variable::Parameter(parameter) = variable {
            for (kind, map) in kinds.iter().zip(&parameter.state) {
                put(&state_name(kind, name), &elements(&here(map)?)?)?;
            }
            for (kind, coded) in kinds.iter().zip(&parameter.coded) {
                put(&scale_name(kind, name), &coded.scales)?;
            }
        }
        Ok(())
    })?;
    if !content.codes.is_empty() {
        trainer.read_block(block, &mut |_, variable| match variable {
            Variable::Parameter(parameter) => {
                parameter.coded.iter().try_for_each(|coded| stream.put(&coded.codes))
            }
            Variable::Statistic(_) => Ok(()),
        })?;
    }
    stream.finish()
}

/// The length of the JSON that follows, and that JSON padded to a multiple of 8 bytes.
fn header(block: usize, content: &Content) -> Result<Vec<u8>> {
    let mut entries = serde_json::Map::new();
    let mut offset = 0;
    let mut add = |name: &str, dtype: &str, shape: &[usize], bytes: usize| {
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, offset + bytes] });
        offset += bytes;
        match entries.insert(name.into(), entry) {
            None => Ok(()),
            Some(_) => Err(Error::config(format!("two weights have the name {name}; rename a unit"))),
        }
    };
    // Eight-byte numbers first, so that all tensors are aligned.
    add(UPDATES, "I64", &[content.updates.len()], 8 * content.updates.len())?;
    for Entry { name, dims } in &content.tensors {
        add(name, "F32", dims, 4 * dims.iter().product::<usize>())?;
    }
    for Entry { name, dims } in &content.codes {
        add(name, "U8", dims, dims.iter().product())?;
    }
    entries.insert("__metadata__".into(), json!({ "format": "pt", "block": block.to_string() }));
    let mut text = serde_json::to_vec(&entries)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    Ok(header)
}

/// Gathers small writes into large ones and sums up what goes by.
struct Stream<'a> {
    output: &'a mut dyn FileOutput,
    buffer: Vec<u8>,
    bytes: u64,
    checksum: crc32fast::Hasher,
}

impl<'a> Stream<'a> {
    fn new(output: &'a mut dyn FileOutput) -> Self {
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        Self { output, buffer, bytes: 0, checksum: crc32fast::Hasher::new() }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        for part in bytes.chunks(BUFFER_BYTES) {
            if self.buffer.len() + part.len() > BUFFER_BYTES {
                self.flush()?;
            }
            self.buffer.extend_from_slice(part);
        }
        Ok(())
    }

    /// Puts numbers; whether all of them are finite.
    fn put_floats(&mut self, floats: &[f32]) -> Result<bool> {
        let mut finite = true;
        for part in floats.chunks(BUFFER_BYTES / 4) {
            if self.buffer.len() + 4 * part.len() > BUFFER_BYTES {
                self.flush()?;
            }
            let start = self.buffer.len();
            self.buffer.resize(start + 4 * part.len(), 0);
            let (places, _) = self.buffer[start..].as_chunks_mut::<4>();
            for (place, number) in places.iter_mut().zip(part) {
                *place = number.to_le_bytes();
                finite &= number.is_finite();
            }
        }
        Ok(finite)
    }

    fn flush(&mut self) -> Result<()> {
        self.checksum.update(&self.buffer);
        self.bytes += self.buffer.len() as u64;
        write_all(self.output, &self.buffer).map_err(cannot_write)?;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Extent> {
        self.flush()?;
        Ok(Extent { bytes: self.bytes, checksum: self.checksum.finalize() })
    }
}

fn cannot_write(cause: std::io::Error) -> Error {
    Error::new(crate::error::ErrorKind::Io, cause.to_string())
}
