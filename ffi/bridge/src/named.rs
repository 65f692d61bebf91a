//! Weights by name, in the caller's memory: out, and in again. With them an app averages what several devices learned
//! without a file.

use crate::error::lg_error;
use crate::pointers::{self, LONGEST_TEXT_BYTES, Versioned};
use crate::session::Session;
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use crate::weight_names::Named;
use half::f16;
use localgrad_runtime::maps::Place;
use localgrad_runtime::maps::slices;
use localgrad_runtime::weights::is_variance;
use std::ffi::{c_char, c_void};

/// Of weights that an error lists.
const LISTED: usize = 5;

/// In place of a block: all of them, as any larger number is.
pub const LG_ALL_BLOCKS: usize = 0xffff_ffff;

/// Extents that an lg_weight_info has room for.
pub const LG_WEIGHT_RANK: usize = 8;

/// What a weight, or a running statistic, is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_weight_info {
    /// sizeof(lg_weight_info), set by the caller.
    pub struct_size: usize,
    /// The block that it is part of.
    pub block: usize,
    /// Its numbers.
    pub elements: usize,
    /// How many of `extents` count.
    pub rank: usize,
    /// Its shape, as PyTorch has it: [outputs, inputs, rows, columns] of a convolution.
    pub extents: [usize; LG_WEIGHT_RANK],
    /// 1 if it is a running statistic of batch norm, which no gradient changes.
    pub is_statistic: i32,
}

// SAFETY: repr(C), the size is first, and numbers take any bytes.
unsafe impl Versioned for lg_weight_info {
    const NAME: &'static str = "lg_weight_info";
    const FIRST_BYTES: usize = size_of::<lg_weight_info>();

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            block: 0,
            elements: 0,
            rank: 0,
            extents: [0; LG_WEIGHT_RANK],
            is_statistic: 0,
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// How many bytes a number takes in an lg_precision.
fn number_bytes(precision: i32) -> Outcome<usize> {
    match precision {
        0 => Ok(size_of::<f32>()),
        1 => Ok(size_of::<f16>()),
        2 => Err(Fault::config("weights come and go in LG_PRECISION_F32 or LG_PRECISION_F16")),
        other => Err(Fault::argument(format!("precision is {other}, which is no lg_precision"))),
    }
}

impl Session {
    /// Weights and running statistics of the network, auxiliary networks left out: those of one block, or of all.
    pub fn named(&mut self, block: usize) -> Outcome<Vec<Named>> {
        let blocks = self.trainer.ranges().len();
        let is_all = block >= LG_ALL_BLOCKS;
        if !is_all && block >= blocks {
            return Err(Fault::argument(format!(
                "there are {blocks} blocks, counted from 0, and no block {block}"
            )));
        }
        if self.named.is_empty() {
            self.named = Named::all(&mut self.trainer)?;
        }
        Ok(self.named.iter().filter(|named| is_all || named.block == block).cloned().collect())
    }

    /// The weight of that name.
    pub fn weight(&mut self, name: &str) -> Outcome<Named> {
        let mut all = self.named(LG_ALL_BLOCKS)?;
        if let Some(at) = all.iter().position(|named| named.name == name) {
            return Ok(all.swap_remove(at));
        }
        let some: Vec<&str> = all.iter().take(LISTED).map(|named| named.name.as_str()).collect();
        Err(Fault::argument(format!(
            "there is no weight {name:?}; there are {}, such as {}",
            all.len(),
            some.join(", ")
        )))
    }

    /// Writes the numbers of a weight into `room`, whose size is that of the weight; `precision` is an lg_precision.
    pub fn read_weight(&mut self, name: &str, precision: i32, room: &mut [u8]) -> Outcome<()> {
        self.check_whole()?;
        let named = self.check_bytes(name, precision, room.len())?;
        let mut fits = true;
        self.trainer.read_block(named.block, &mut |found, variable| {
            if found != name {
                return Ok(());
            }
            let tensor = variable.value().to(&Place::Host)?.contiguous()?;
            let numbers = slices::elements(&tensor)?;
            match precision {
                0 => {
                    for (place, number) in room.as_chunks_mut().0.iter_mut().zip(numbers.iter()) {
                        *place = number.to_ne_bytes();
                    }
                }
                _ => {
                    for (place, &number) in room.as_chunks_mut().0.iter_mut().zip(numbers.iter()) {
                        let short = f16::from_f32(number);
                        fits &= short.is_finite() || !number.is_finite();
                        *place = short.to_ne_bytes();
                    }
                }
            }
            Ok(())
        })?;
        match fits {
            true => Ok(()),
            false => Err(Fault::config(format!(
                "{name} has numbers that are too large for 16 bits; take it in 32"
            ))),
        }
    }

    /// Sets the numbers of a weight from bytes that [`Session::read_weight`] wrote, or others made likewise.
    pub fn write_weight(&mut self, name: &str, precision: i32, bytes: &[u8]) -> Outcome<()> {
        self.check_at_rest()?;
        self.check_no_features_wait()?;
        let named = self.check_bytes(name, precision, bytes.len())?;
        let numbers: Vec<f32> = match precision {
            0 => bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect(),
            _ => bytes.as_chunks().0.iter().map(|bytes| f16::from_ne_bytes(*bytes).to_f32()).collect(),
        };
        if let Some(at) = numbers.iter().position(|number| !number.is_finite()) {
            return Err(Fault::new(
                lg_status::NotFinite,
                format!(
                    "number {at} of {name} is {}, which is no finite number; nothing was changed",
                    numbers[at]
                ),
            ));
        }
        if is_variance(name)
            && let Some(at) = numbers.iter().position(|number| *number < 0.0)
        {
            return Err(Fault::argument(format!(
                "number {at} of {name} is {}, and no variance is below 0; nothing was changed",
                numbers[at]
            )));
        }
        let tensor = self.trainer.model.place.map(slices::tensor(numbers, named.extents.clone())?)?;
        self.trainer.visit_block(named.block, &mut |found, mut variable| {
            if found == name {
                variable.set(tensor.copy()?);
            }
            Ok(())
        })?;
        self.note_new_state();
        Ok(())
    }

    fn check_bytes(&mut self, name: &str, precision: i32, found: usize) -> Outcome<Named> {
        let named = self.weight(name)?;
        let needed = named.elements() * number_bytes(precision)?;
        match needed == found {
            true => Ok(named),
            false => Err(Fault::new(
                lg_status::Shape,
                format!("{name} is {:?} and takes {needed} bytes, but there are {found}", named.extents),
            )),
        }
    }
}

/// Writes how many weights and running statistics the network has in `block`, from 0, or in all (LG_ALL_BLOCKS).
/// Auxiliary networks are none of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_weight_count(
    trainer: *const lg_trainer,
    block: usize,
    count: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        let found = session.named(block)?.len();
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write(count, found, "count") }
    })
}

/// Writes the name of weight `index`, from 0, of `block` or of all (LG_ALL_BLOCKS), UTF-8 with a zero byte at its end: the
/// name that it is exported under. `*needed` becomes its size in bytes with that zero byte; a NULL buffer of capacity 0
/// asks for the size alone. Too small a buffer is left as it is, with LG_STATUS_BUFFER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_weight_name(
    trainer: *const lg_trainer,
    block: usize,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        let all = session.named(block)?;
        let named = all.get(index).ok_or_else(|| {
            Fault::argument(format!("there are {} weights, counted from 0, and no number {index}", all.len()))
        })?;
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe { pointers::fill(format!("{}\0", named.name).as_bytes(), buffer, capacity, needed) }
    })
}

/// Describes the weight of that name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_weight_describe(
    trainer: *const lg_trainer,
    name: *const c_char,
    info: *mut lg_weight_info,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        let named = session.weight(unsafe { pointers::text(name, "name", LONGEST_TEXT_BYTES) }?)?;
        let mut extents = [0; LG_WEIGHT_RANK];
        for (place, extent) in extents.iter_mut().zip(&named.extents) {
            *place = *extent;
        }
        let found = lg_weight_info {
            struct_size: size_of::<lg_weight_info>(),
            block: named.block,
            elements: named.elements(),
            rank: named.extents.len(),
            extents,
            is_statistic: i32::from(named.is_statistic),
        };
        // SAFETY: as above.
        unsafe { pointers::write_struct(info, found, "info") }
    })
}

/// Copies the numbers of the weight called `name` into `buffer`, of `capacity` bytes, in an lg_precision and the machine's
/// order of bytes, and their size into `*bytes`; a NULL buffer of capacity 0 asks for the size alone. Too small a buffer is
/// left as it is, with LG_STATUS_BUFFER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_weight_get(
    trainer: *const lg_trainer,
    name: *const c_char,
    precision: i32,
    buffer: *mut c_void,
    capacity: usize,
    bytes: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        // SAFETY: the caller promises that the pointer is what the header says.
        let name = unsafe { pointers::text(name, "name", LONGEST_TEXT_BYTES) }?;
        let needed = session.weight(name)?.elements() * number_bytes(precision)?;
        // SAFETY: as above.
        unsafe { pointers::write(bytes, needed, "bytes") }?;
        if buffer.is_null() && capacity == 0 {
            return Ok(());
        }
        if capacity < needed {
            return Err(pointers::too_small(needed, capacity));
        }
        // SAFETY: the caller promises `capacity` bytes that nobody else uses meanwhile.
        let room = unsafe { pointers::bytes_mut(buffer.cast(), needed, "buffer") }?;
        session.read_weight(name, precision, room)
    })
}

/// Sets the numbers of the weight called `name` from `buffer`, in an lg_precision and the machine's order of bytes; `bytes`
/// must be exactly its size, and all numbers finite. What the optimizer remembers of it stays. LG_STATUS_STATE where a step
/// is half done. After a failure nothing is changed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_weight_set(
    trainer: *mut lg_trainer,
    name: *const c_char,
    precision: i32,
    buffer: *const c_void,
    bytes: usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe {
            let name = pointers::text(name, "name", LONGEST_TEXT_BYTES)?;
            session.write_weight(name, precision, pointers::slice(buffer.cast(), bytes, "buffer")?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Pointed, lg_trainer_config};
    use crate::network::{NetworkObject, lg_network_options};
    use crate::trainer::TrainerObject;

    #[test]
    fn who_only_looks_at_weights_in_a_file_writes_nothing() {
        let options =
            lg_network_options { channels: 1, height: 8, width: 8, classes: 2, ..Versioned::initial() };
        let network = NetworkObject::named("resnet8", &options, &[2, 2, 2, 2]).unwrap();
        let config = lg_trainer_config { offload: 1, threads: 1, ..Versioned::initial() };
        let directory = std::env::temp_dir();
        let pointed = Pointed { scratch: directory.to_str(), ..Pointed::default() };
        let object = TrainerObject::create(&network, &config, &pointed).unwrap();
        let mut session = object.session().unwrap();
        let before = session.trainer.traffic().unwrap();
        let named = session.named(LG_ALL_BLOCKS).unwrap();
        assert_eq!(session.trainer.traffic().unwrap().read_bytes, before.read_bytes, "shapes need no file");
        for weight in &named {
            session.read_weight(&weight.name, 0, &mut vec![0; 4 * weight.elements()]).unwrap();
        }
        let now = session.trainer.traffic().unwrap();
        assert!(now.read_bytes > before.read_bytes);
        assert_eq!(now.written_bytes, before.written_bytes);
        session.write_weight(&named[0].name, 0, &vec![0; 4 * named[0].elements()]).unwrap();
        assert!(session.trainer.traffic().unwrap().written_bytes > before.written_bytes);

        let variance = named.iter().find(|weight| is_variance(&weight.name)).unwrap();
        let below = (-1_f32).to_ne_bytes().repeat(variance.elements());
        let fault = session.write_weight(&variance.name, 0, &below).unwrap_err();
        assert!(fault.message.contains("no variance is below 0"), "{}", fault.message);
    }
}
