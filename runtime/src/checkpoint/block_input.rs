//! The file of one block, read back a tensor at a time with every byte checked, so that no second copy of a block is
//! ever in memory. Nothing is changed before all of it is known to fit.

use super::block_file::{BUFFER_BYTES, UPDATES, scale_name, state_name, state_names};
use super::files::{FileInput, Files, unreadable};
use super::manifest::Extent;
use crate::error::{Error, Result};
use crate::layers::Variable;
use crate::maps::coded::{Coded, scales};
use crate::maps::slices;
use crate::maps::{Map, Place};
use crate::trainer::Trainer;
use safetensors::tensor::{Dtype, Metadata};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, SeekFrom};

/// What the safetensors crate takes at most.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Opens a file whose length and checksum are known, at its beginning, when it has been read once and is whole.
///
/// # Errors
/// `Io`, and `Format` when the bytes are not those that were written.
pub(super) fn open(files: &dyn Files, name: &str, extent: Extent) -> Result<Box<dyn FileInput>> {
    let path = files.path(name);
    let io = |cause| Error::io(&path, cause);
    let (mut file, length) = files.open(name).map_err(|cause| unreadable(&path, cause))?;
    let damaged = |found: String| Error::format(format!("{} is damaged: {found}", path.display()));
    if length != extent.bytes {
        return Err(damaged(format!("it has {length} bytes where {} were written", extent.bytes)));
    }
    let mut checksum = crc32fast::Hasher::new();
    let mut left = length;
    let mut buffer = vec![0; BUFFER_BYTES];
    while left > 0 {
        let part = &mut buffer[..left.min(BUFFER_BYTES as u64) as usize];
        match file.read_exact(part) {
            Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => break,
            read => read.map_err(io)?,
        }
        checksum.update(part);
        left -= part.len() as u64;
    }
    if left > 0 || checksum.finalize() != extent.checksum {
        return Err(damaged("its bytes are not those that were written".into()));
    }
    file.rewind().map_err(io)?;
    Ok(file)
}

/// Refuses a file that [`load`] would refuse.
///
/// # Errors
/// As [`load`].
pub fn check_fits(trainer: &mut Trainer, block: usize, input: &mut dyn FileInput) -> Result<()> {
    check(trainer, block, &mut Tensors::open(input)?).map(drop)
}

/// Puts the state that `input` holds into `block` of the trainer, which must be of the same configuration.
///
/// # Errors
/// `Format` when it is no whole safetensors file, or not of this block; the block is then unchanged. `Io` where it could
/// be read once and not again.
pub fn load(trainer: &mut Trainer, block: usize, input: &mut dyn FileInput) -> Result<()> {
    let mut file = Tensors::open(input)?;
    let updates = check(trainer, block, &mut file)?;
    let kinds = state_names(&trainer.method().optimizer);
    let place = trainer.model.place.clone();
    trainer.visit_block(block, &mut |name, mut variable| {
        let shape = variable.value().dims().to_vec();
        variable.set(file.map(name, &shape, &place)?);
        if let Variable::Parameter(parameter) = variable {
            parameter.updates = updates.get(name).copied().unwrap_or(0);
            parameter.accumulated = None;
            parameter.state.clear();
            parameter.coded.clear();
            for kind in kinds {
                match (file.holds(&state_name(kind, name)), parameter.is_coded()) {
                    (false, _) => {}
                    (true, true) => parameter.coded.push(file.coded(kind, name, &shape)?),
                    (true, false) => {
                        parameter.state.push(file.map(&state_name(kind, name), &shape, &place)?);
                    }
                }
            }
        }
        Ok(())
    })
}

/// Whether the file holds exactly what the block needs; the updates of each parameter.
fn check(trainer: &mut Trainer, block: usize, file: &mut Tensors<'_>) -> Result<BTreeMap<String, u64>> {
    let kinds = state_names(&trainer.method().optimizer);
    let wanted = trainer.method().optimizer.state_tensors();
    // The update counts are one.
    let mut known = 1;
    let mut updates = BTreeMap::new();
    trainer.read_forms_of_block(block, &mut |name, form| {
        let shape = form.dims;
        file.check_floats(name, shape)?;
        known += 1;
        if form.updated.is_some() {
            let kept: Vec<_> = kinds.iter().map(|kind| state_name(kind, name)).collect();
            let kept: Vec<_> = kept.iter().filter(|name| file.holds(name)).collect();
            if !kept.is_empty() && kept.len() != wanted {
                let count = kept.len();
                return Err(Error::format(format!(
                    "{name} has {count} optimizer tensors instead of {wanted}"
                )));
            }
            for (state, kind) in kept.iter().zip(kinds) {
                if form.coded {
                    file.read(state, Dtype::U8, shape, &mut |_| false)?;
                    file.check_floats(&scale_name(kind, name), &[scales(shape.iter().product())])?;
                    known += 1;
                } else {
                    file.check_floats(state, shape)?;
                }
            }
            known += kept.len();
            updates.insert(name.to_string(), 0);
        }
        Ok(())
    })?;
    let found = file.metadata.offset_keys().len();
    if found != known {
        return Err(Error::format(format!("it holds {found} tensors where {known} are needed")));
    }
    let mut counts = Vec::with_capacity(8 * updates.len());
    file.read(UPDATES, Dtype::I64, &[updates.len()], &mut |bytes| {
        counts.extend_from_slice(bytes);
        true
    })?;
    for (updates, count) in updates.values_mut().zip(counts.as_chunks::<8>().0) {
        *updates = u64::from_le_bytes(*count);
        if *updates > i64::MAX as u64 {
            return Err(Error::format(format!("{UPDATES} holds a number that is no count")));
        }
    }
    Ok(updates)
}

/// A safetensors file, of which one tensor at a time is looked for and read.
struct Tensors<'a> {
    input: &'a mut dyn FileInput,
    metadata: Metadata,
    /// Where the numbers begin.
    start: u64,
}

impl<'a> Tensors<'a> {
    /// Reads what the file says that it holds, and whether it is as long.
    fn open(input: &'a mut dyn FileInput) -> Result<Self> {
        let broken = |what: String| Error::format(format!("this is not a whole safetensors file: {what}"));
        let length = input.seek(SeekFrom::End(0)).map_err(cannot_read)?;
        input.rewind().map_err(cannot_read)?;
        let mut size = [0; 8];
        if length < 8 {
            return Err(broken(format!("it has {length} bytes")));
        }
        input.read_exact(&mut size).map_err(cannot_read)?;
        let size = u64::from_le_bytes(size);
        let most = MAX_HEADER_BYTES.min(length - 8);
        if size > most {
            return Err(broken(format!("its header would have {size} bytes and has {most} at most")));
        }
        let mut header = vec![0; size as usize];
        input.read_exact(&mut header).map_err(cannot_read)?;
        let header = String::from_utf8(header).map_err(|_| broken("its header is no text".into()))?;
        // Which checks offsets, shapes and types.
        let metadata: Metadata = serde_json::from_str(&header)
            .map_err(|cause| broken(format!("its header is broken: {cause}")))?;
        let (found, promised) = (length - 8 - size, metadata.data_len() as u64);
        if found != promised {
            return Err(broken(format!(
                "its header promises {promised} bytes of numbers, and it has {found}"
            )));
        }
        Ok(Self { input, metadata, start: 8 + size })
    }

    fn holds(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }

    /// Shows the bytes of a tensor that must be of this type and shape, part after part, each of whole numbers; for as long
    /// as `take` wants more.
    fn read(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<()> {
        let info = self.metadata.info(name);
        let info = info.ok_or_else(|| Error::format(format!("it lacks {name} {shape:?}")))?;
        if info.dtype != dtype || info.shape != shape {
            let (found, found_shape) = (info.dtype, &info.shape);
            return Err(Error::format(format!(
                "{name} is {found:?} {found_shape:?} where {dtype:?} {shape:?} is needed"
            )));
        }
        let (first, last) = info.data_offsets;
        self.input.seek(SeekFrom::Start(self.start + first as u64)).map_err(cannot_read)?;
        let mut buffer = vec![0; BUFFER_BYTES.min(last - first)];
        let mut left = last - first;
        while left > 0 {
            let part = &mut buffer[..left.min(BUFFER_BYTES)];
            self.input.read_exact(part).map_err(cannot_read)?;
            left -= part.len();
            if !take(part) {
                break;
            }
        }
        Ok(())
    }

    /// Refuses a tensor of floats that is not there, of another shape, or not finite.
    fn check_floats(&mut self, name: &str, shape: &[usize]) -> Result<()> {
        let mut finite = true;
        self.read(name, Dtype::F32, shape, &mut |bytes| {
            finite = bytes.as_chunks::<4>().0.iter().all(|bytes| f32::from_le_bytes(*bytes).is_finite());
            finite
        })?;
        match finite {
            true => Ok(()),
            false => Err(Error::format(format!(
                "{name} holds infinities or NaN, which no checkpoint is written with"
            ))),
        }
    }

    /// The numbers of a tensor of floats.
    fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let mut numbers = Vec::with_capacity(shape.iter().product());
        self.read(name, Dtype::F32, shape, &mut |bytes| {
            numbers.extend(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            true
        })?;
        Ok(numbers)
    }

    /// A tensor of floats.
    fn map(&mut self, name: &str, shape: &[usize], place: &Place) -> Result<Map> {
        place.map(slices::tensor(self.floats(name, shape)?, shape)?)
    }

    /// What is remembered in 8 bits as `kind` of the parameter of this name and shape.
    fn coded(&mut self, kind: &str, name: &str, shape: &[usize]) -> Result<Coded> {
        let mut codes = Vec::with_capacity(shape.iter().product());
        self.read(&state_name(kind, name), Dtype::U8, shape, &mut |bytes| {
            codes.extend_from_slice(bytes);
            true
        })?;
        let scales = self.floats(&scale_name(kind, name), &[scales(codes.len())])?;
        Coded::new(codes, scales)
    }
}

fn cannot_read(cause: std::io::Error) -> Error {
    Error::new(crate::error::ErrorKind::Io, cause.to_string())
}
