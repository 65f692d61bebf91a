//! Weights in safetensors files: taken in, and exported.

use crate::error::lg_error;
use crate::pointers::{self, LONGEST_TEXT_BYTES};
use crate::session::Session;
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use localgrad_models::{names, vgg};
use localgrad_runtime::model::Classifier;
use localgrad_runtime::weights;
use std::collections::BTreeSet;
use std::ffi::c_char;
use std::path::Path;

/// Which weights of a file are taken.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_weights {
    /// All of them, which must be exactly the network's.
    All = 0,
    /// All but the layer that gives the classes, which stays as it is: to fine-tune.
    Body = 1,
}

/// How numbers are stored in an exported file.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_precision {
    /// Four bytes each.
    F32 = 0,
    /// Two bytes each, with 11 significant bits, up to 65504.
    F16 = 1,
    /// Two bytes each, with 8 significant bits, as large as four-byte numbers are: for activations; weights
    /// do not come and go in it.
    Bf16 = 2,
}

impl Session {
    /// Takes weights from a safetensors file; `parts` is an lg_weights.
    pub fn load_weights(&mut self, path: &Path, parts: i32) -> Outcome<()> {
        self.check_at_rest()?;
        self.check_no_features_wait()?;
        let model = &mut self.trainer;
        let mut ours = BTreeSet::new();
        model.read_forms(&mut |name, _| {
            ours.insert(name.to_string());
            Ok(())
        })?;
        let tensors = weights::read_chosen(path, |listed| {
            let mapping = names::map(listed.iter().copied(), &ours, &model.model.spec);
            if let Some(words) = mapping.words() {
                log::info!("{}: {words}", path.display());
            }
            mapping.ours
        })?;
        let advice = vgg::advice(&model.model.spec, tensors.keys().map(String::as_str));
        let unfitting = |error| match advice {
            Some(advice) => Fault::from(error).and(&advice),
            None => Fault::from(error),
        };
        match parts {
            0 => weights::load(model, &tensors).map_err(unfitting)?,
            1 => drop(weights::load_body(model, tensors).map_err(unfitting)?),
            other => return Err(Fault::argument(format!("parts is {other}, which is no lg_weights"))),
        }
        self.note_new_state();
        Ok(())
    }

    /// Writes a safetensors file of the network; `precision` is an lg_precision.
    pub fn export(&mut self, path: &Path, precision: i32) -> Outcome<()> {
        let half = match precision {
            0 => false,
            1 => true,
            2 => return Err(Fault::config("weights are exported in LG_PRECISION_F32 or LG_PRECISION_F16")),
            other => return Err(Fault::argument(format!("precision is {other}, which is no lg_precision"))),
        };
        self.check_whole()?;
        let card = self.card();
        Ok(weights::write_network(path, &mut self.trainer, &card, half)?)
    }
}

/// Takes weights and running statistics from the safetensors file at `path` (UTF-8), under torchvision's names or known
/// spellings of them. `parts` is an lg_weights. A file that does not fit changes nothing; the message lists what is
/// missing, misshapen or left over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_load_weights(
    trainer: *mut lg_trainer,
    path: *const c_char,
    parts: i32,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        // SAFETY: the caller promises that the pointer is what the header says.
        let path = Path::new(unsafe { pointers::text(path, "path", LONGEST_TEXT_BYTES) }?);
        session.load_weights(path, parts)
    })
}

/// Writes the network's weights and running statistics, without auxiliary networks, into a safetensors file at `path`
/// (UTF-8), at once or not at all, with what is needed to use them: network, normalisation and names of classes. The same
/// weights give the same bytes. `precision` is an lg_precision.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_export(
    trainer: *mut lg_trainer,
    path: *const c_char,
    precision: i32,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        // SAFETY: the caller promises that the pointer is what the header says.
        let path = Path::new(unsafe { pointers::text(path, "path", LONGEST_TEXT_BYTES) }?);
        session.export(path, precision)
    })
}
