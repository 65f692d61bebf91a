//! The file of one block: safetensors, streamed out of the tensors that training uses, so that no second copy of a
//! block is ever in memory, and read back with every byte checked.
//!
//! Weights and running statistics stand under their own names, what the optimizer remembers of `NAME` under
//! `optimizer.momentum.NAME` (SGD) or `optimizer.mean.NAME` and `optimizer.square.NAME` (AdamW), and the numbers
//! of updates in `optimizer.updates`, one for each parameter, in the order of their names.

use super::files::{FileOutput, Files, unreadable, write_all};
use super::manifest::Extent;
use crate::error::{Error, Result};
use crate::layers::Variable;
use crate::maps::slices::{self, elements};
use crate::maps::{Map, Place};
use crate::optimizer::OptimizerConfig;
use crate::trainer::Trainer;
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Read;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 256 << 10;
/// The tensor of update counts.
const UPDATES: &str = "optimizer.updates";

/// One tensor of the file.
struct Entry {
    name: String,
    dims: Vec<usize>,
}

/// What a block's file holds.
struct Content {
    tensors: Vec<Entry>,
    /// Updates of each parameter.
    updates: BTreeMap<String, u64>,
}

/// Names of the optimizer's tensors, in the order of `Parameter::state`.
fn state_names(optimizer: &OptimizerConfig) -> &'static [&'static str] {
    match optimizer {
        OptimizerConfig::Sgd { .. } => &["momentum"],
        OptimizerConfig::AdamW { .. } => &["mean", "square"],
    }
}

fn state_name(kind: &str, name: &str) -> String {
    format!("optimizer.{kind}.{name}")
}

fn content(trainer: &mut Trainer, block: usize) -> Result<Content> {
    let kinds = state_names(&trainer.method().optimizer);
    let mut content = Content { tensors: Vec::new(), updates: BTreeMap::new() };
    trainer.read_forms_of_block(block, &mut |name, form| {
        let dims = form.dims.to_vec();
        content.tensors.push(Entry { name: name.into(), dims: dims.clone() });
        if let Some((states, updates)) = form.updated {
            for kind in kinds.iter().take(states) {
                content.tensors.push(Entry { name: state_name(kind, name), dims: dims.clone() });
            }
            content.updates.insert(name.into(), updates);
        }
        Ok(())
    })?;
    Ok(content)
}

/// Streams the state of `block` into `output` and syncs it.
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
        let states = match variable {
            Variable::Parameter(parameter) => &parameter.state[..],
            Variable::Statistic(_) => &[],
        };
        let names = std::iter::once(name.to_owned()).chain(kinds.iter().map(|kind| state_name(kind, name)));
        for (name, tensor) in names.zip(std::iter::once(variable.value()).chain(states)) {
            // Off the CPU one tensor at a time is brought here; on it this is the tensor itself.
            let tensor = tensor.to(&Place::Host)?.contiguous()?;
            if !stream.put_floats(&elements(&tensor)?)? {
                return Err(Error::spoiled(&name));
            }
        }
        Ok(())
    })?;
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
        self.output.sync().map_err(cannot_write)?;
        Ok(Extent { bytes: self.bytes, checksum: self.checksum.finalize() })
    }
}

fn cannot_write(cause: std::io::Error) -> Error {
    Error::new(crate::error::ErrorKind::Io, cause.to_string())
}

/// Reads a file whose length and checksum are known.
///
/// # Errors
/// `Io`, and `Format` when the bytes are not those that were written.
pub(super) fn read(files: &dyn Files, name: &str, extent: Extent) -> Result<Vec<u8>> {
    let path = files.path(name);
    let io = |cause| Error::io(&path, cause);
    let (file, length) = files.open(name).map_err(|cause| unreadable(&path, cause))?;
    let damaged = |found: String| Error::format(format!("{} is damaged: {found}", path.display()));
    if length != extent.bytes {
        return Err(damaged(format!("it has {length} bytes where {} were written", extent.bytes)));
    }
    let mut bytes = Vec::new();
    let size = usize::try_from(length).map_err(|_| damaged("it is larger than memory can be".into()))?;
    bytes.try_reserve_exact(size).map_err(|_| damaged(format!("its {size} bytes do not fit in memory")))?;
    file.take(length).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() != size || crc32fast::hash(&bytes) != extent.checksum {
        return Err(damaged("its bytes are not those that were written".into()));
    }
    Ok(bytes)
}

/// Refuses `bytes` that [`load`] would refuse.
///
/// # Errors
/// As [`load`].
pub fn check_fits(trainer: &mut Trainer, block: usize, bytes: &[u8]) -> Result<()> {
    check(trainer, block, &parse(bytes)?).map(drop)
}

fn parse(bytes: &[u8]) -> Result<SafeTensors<'_>> {
    SafeTensors::deserialize(bytes)
        .map_err(|cause| Error::format(format!("this is not a whole safetensors file: {cause}")))
}

/// Puts the state in `bytes` into `block` of the trainer, which must be of the same configuration.
///
/// # Errors
/// `Format` when it is no whole safetensors file, or not of this block; the block is then unchanged.
pub fn load(trainer: &mut Trainer, block: usize, bytes: &[u8]) -> Result<()> {
    let file = parse(bytes)?;
    let updates = check(trainer, block, &file)?;
    let kinds = state_names(&trainer.method().optimizer);
    let place = trainer.model.place.clone();
    trainer.visit_block(block, &mut |name, mut variable| {
        let shape = variable.value().dims().to_vec();
        variable.set(tensor(&file, name, &shape, &place)?);
        if let Variable::Parameter(parameter) = variable {
            parameter.updates = updates.get(name).copied().unwrap_or(0);
            parameter.accumulated = None;
            parameter.state.clear();
            for kind in kinds {
                let name = state_name(kind, name);
                if file.tensor(&name).is_ok() {
                    parameter.state.push(tensor(&file, &name, &shape, &place)?);
                }
            }
        }
        Ok(())
    })
}

/// Whether the file holds exactly what the block needs; the updates of each parameter.
fn check(trainer: &mut Trainer, block: usize, file: &SafeTensors<'_>) -> Result<BTreeMap<String, u64>> {
    let kinds = state_names(&trainer.method().optimizer);
    let wanted = trainer.method().optimizer.state_tensors();
    // The update counts are one.
    let mut known = 1;
    let mut updates = BTreeMap::new();
    trainer.read_forms_of_block(block, &mut |name, form| {
        let shape = form.dims;
        find(file, name, Dtype::F32, shape)?;
        known += 1;
        if form.updated.is_some() {
            let kept: Vec<_> = kinds.iter().map(|kind| state_name(kind, name)).collect();
            let kept: Vec<_> = kept.iter().filter(|name| file.tensor(name).is_ok()).collect();
            if !kept.is_empty() && kept.len() != wanted {
                let count = kept.len();
                return Err(Error::format(format!(
                    "{name} has {count} optimizer tensors instead of {wanted}"
                )));
            }
            for name in &kept {
                find(file, name, Dtype::F32, shape)?;
            }
            known += kept.len();
            updates.insert(name.to_string(), 0);
        }
        Ok(())
    })?;
    if file.len() != known {
        return Err(Error::format(format!("it holds {} tensors where {known} are needed", file.len())));
    }
    let (counts, _) = find(file, UPDATES, Dtype::I64, &[updates.len()])?.as_chunks::<8>();
    for (updates, count) in updates.values_mut().zip(counts) {
        *updates = u64::from_le_bytes(*count);
        if *updates > i64::MAX as u64 {
            return Err(Error::format(format!("{UPDATES} holds a number that is no count")));
        }
    }
    Ok(updates)
}

/// The bytes of a tensor that must be of this type and shape.
fn find<'a>(file: &SafeTensors<'a>, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8]> {
    let view = file.tensor(name).map_err(|_| Error::format(format!("it lacks {name} {shape:?}")))?;
    if view.dtype() == dtype && view.shape() == shape {
        let (numbers, _) = view.data().as_chunks::<4>();
        let finite = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes).is_finite();
        if dtype == Dtype::F32 && !numbers.iter().all(finite) {
            return Err(Error::format(format!(
                "{name} holds infinities or NaN, which no checkpoint is written with"
            )));
        }
        return Ok(view.data());
    }
    let (found, found_shape) = (view.dtype(), view.shape());
    Err(Error::format(format!("{name} is {found:?} {found_shape:?} where {dtype:?} {shape:?} is needed")))
}

fn tensor(file: &SafeTensors<'_>, name: &str, shape: &[usize], place: &Place) -> Result<Map> {
    let (numbers, _) = find(file, name, Dtype::F32, shape)?.as_chunks::<4>();
    let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    place.map(slices::tensor(numbers, shape)?)
}
