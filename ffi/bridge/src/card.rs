//! What a network carries besides its layers: weights, normalisation, names of classes. Files of weights say it of
//! themselves.

use crate::error::lg_error;
use crate::guard;
use crate::handles;
use crate::network::{NetworkObject, Pretrained, lg_network};
use crate::pointers::{self, LONGEST_TEXT_BYTES};
use crate::session::Session;
use crate::status::{Fault, Outcome, lg_status};
use crate::trainer::{self, lg_trainer};
use localgrad_models::identify::{identify, tensors};
use localgrad_models::names;
use localgrad_runtime::weights::{self, Card, Weights};
use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::path::Path;
use std::sync::Arc;

/// More classes than any network has.
const MOST_NAMES: usize = 65_535;

/// Names and shapes of a file's tensors.
type Listed<'a> = [(&'a str, &'a [usize])];
/// Our names of those that are wanted, by the file's.
type Chosen = BTreeMap<String, String>;

/// The tensors that are wanted of a file of this card, which learns its network of them where it says none.
fn choose(card: &mut Card, file: &str, listed: &Listed<'_>) -> Chosen {
    if card.network.is_some() {
        // Files that say what they are have our names already; counters are what no result depends on.
        let kept = listed.iter().filter(|(name, _)| !names::is_counter(name));
        return kept.map(|(name, _)| ((*name).to_owned(), (*name).to_owned())).collect();
    }
    let Some(found) = identify(listed) else { return Chosen::new() };
    let Ok(spec) = found.network() else { return Chosen::new() };
    let Ok(ours) = tensors(&spec) else { return Chosen::new() };
    log::info!("{file}: {}", found.words());
    card.normalize = card.normalize.take().or_else(|| found.normalize());
    let mapping =
        names::map(listed.iter().copied(), &ours.into_iter().map(|(name, _)| name).collect(), &spec);
    card.network = Some(spec);
    mapping.ours
}

impl NetworkObject {
    /// The network that a safetensors file says it is of, or is known by its tensors to be of, with its weights.
    pub fn load(path: &Path) -> Outcome<Self> {
        let (mut card, name) = (weights::read_card(path)?, path.display().to_string());
        let weights = weights::read_chosen(path, |listed| choose(&mut card, &name, listed))?;
        Self::of_card(card, &name, weights)
    }

    /// The same from memory.
    pub fn from_bytes(file: &[u8]) -> Outcome<Self> {
        let name = "these bytes";
        let mut card = weights::card_from_bytes(file, name)?;
        let weights = weights::chosen_from_bytes(file, name, |listed| choose(&mut card, name, listed))?;
        Self::of_card(card, name, weights)
    }

    fn of_card(card: Card, file: &str, weights: Weights) -> Outcome<Self> {
        let Card { network, normalize, class_names, .. } = card;
        let Some(spec) = network else {
            return Err(Fault::new(
                lg_status::Format,
                format!(
                    "{file} holds weights, does not say of which network, and is of none that is known by its tensors; make \
                     the network by its name, and take the weights with lg_trainer_load_weights"
                ),
            ));
        };
        let weights = Arc::new(weights);
        // A file that names some of its classes names none that could be relied on.
        let class_names = if class_names.len() == spec.classes { class_names } else { Vec::new() };
        let pretrained = Some(Pretrained { weights, head_is_new: false });
        Ok(Self { spec, normalize, class_names, pretrained })
    }

    /// The same network with a new layer for classes of these names.
    pub fn replace_head_named(&self, class_names: Vec<String>) -> Outcome<Self> {
        let replaced = self.replace_head(class_names.len())?;
        Ok(Self { class_names, ..replaced })
    }

    /// The same network with names for its classes.
    pub fn name_classes(&self, class_names: Vec<String>) -> Outcome<Self> {
        let classes = self.spec.classes;
        if class_names.len() != classes {
            return Err(Fault::argument(format!(
                "{} names were given for {classes} {}; name each, or replace the head for others",
                class_names.len(),
                self.spec.objective.noun()
            )));
        }
        Ok(Self { class_names, ..self.clone() })
    }

    /// Names of its classes: as many as classes, or none.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }
}

impl Session {
    /// Names of the network's classes: as many as classes, or none.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// What an export says of itself.
    pub(crate) fn card(&self) -> Card {
        Card::of(&self.trainer.model.spec, &self.intake.normalize, &self.class_names)
    }
}

/// # Safety
/// `names` is null, or has `count` texts.
unsafe fn read_names(names: *const *const c_char, count: usize) -> Outcome<Vec<String>> {
    if count > MOST_NAMES {
        return Err(Fault::argument(format!("{count} names are too many; use up to {MOST_NAMES}")));
    }
    // SAFETY: the caller promises as many pointers to texts.
    unsafe {
        let names = pointers::slice(names, count, "names")?;
        let read = |(at, &name): (usize, &*const c_char)| {
            pointers::text(name, &format!("names[{at}]"), LONGEST_TEXT_BYTES).map(str::to_owned)
        };
        names.iter().enumerate().map(read).collect()
    }
}

/// # Safety
/// The pointers are null, or what the header says.
unsafe fn write_name(
    names: &[String],
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
) -> Outcome<()> {
    let Some(name) = names.get(index) else {
        return Err(Fault::argument(match names.len() {
            0 => "the classes have no names yet: name them first".into(),
            count => format!("there are {count} classes, counted from 0, and no number {index}"),
        }));
    };
    // SAFETY: the caller's promise is the same; a zero byte would end the text for C.
    unsafe {
        pointers::fill(format!("{}\0", name.replace('\0', "\u{fffd}")).as_bytes(), buffer, capacity, needed)
    }
}

/// Makes the network that the safetensors file at `path` (UTF-8) says it is of, as lg_trainer_export and the program write
/// it, or else one that lg_model_name gives, of published widths, which the file is known by its tensors to be of, under
/// torchvision's names, timm's, or Hugging Face's. The network carries the file's weights, which its trainers begin with, its
/// normalisation (of a network for photographs that does not say it ImageNet's), which they use where their configuration
/// names none, and the names of its classes, if it says them. LG_STATUS_FORMAT where the network is not known.
/// `*network` is the caller's to destroy, with its copy of the weights, and NULL after a failure. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_load(
    path: *const c_char,
    network: *mut *mut lg_network,
    error: *mut lg_error,
) -> lg_status {
    // SAFETY: the caller promises that all pointers are what the header says.
    guard::call(error, || unsafe {
        pointers::write(network, std::ptr::null_mut(), "network")?;
        let object = NetworkObject::load(Path::new(pointers::text(path, "path", LONGEST_TEXT_BYTES)?))?;
        pointers::write(network, handles::insert(object), "network")
    })
}

/// The same from the content of such a file, of `bytes` bytes, which is not needed afterwards. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_from_bytes(
    content: *const c_void,
    bytes: usize,
    network: *mut *mut lg_network,
    error: *mut lg_error,
) -> lg_status {
    // SAFETY: the caller promises that all pointers are what the header says.
    guard::call(error, || unsafe {
        pointers::write(network, std::ptr::null_mut(), "network")?;
        let object = NetworkObject::from_bytes(pointers::slice(content.cast(), bytes, "content")?)?;
        pointers::write(network, handles::insert(object), "network")
    })
}

/// lg_network_replace_head for `count` classes of these names (UTF-8). Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_replace_head_named(
    network: *const lg_network,
    names: *const *const c_char,
    count: usize,
    replaced: *mut *mut lg_network,
    error: *mut lg_error,
) -> lg_status {
    // SAFETY: the caller promises that all pointers are what the header says.
    guard::call(error, || unsafe {
        pointers::write(replaced, std::ptr::null_mut(), "replaced")?;
        let network = handles::get::<NetworkObject, _>(network)?;
        let object = network.replace_head_named(read_names(names, count)?)?;
        pointers::write(replaced, handles::insert(object), "replaced")
    })
}

/// Makes the same network with names (UTF-8) for its classes, as many as there are. They travel with its trainers into
/// exports and checkpoints. `*named` is the caller's to destroy, and NULL after a failure; `network` stays as it is. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_name_classes(
    network: *const lg_network,
    names: *const *const c_char,
    count: usize,
    named: *mut *mut lg_network,
    error: *mut lg_error,
) -> lg_status {
    // SAFETY: the caller promises that all pointers are what the header says.
    guard::call(error, || unsafe {
        pointers::write(named, std::ptr::null_mut(), "named")?;
        let network = handles::get::<NetworkObject, _>(network)?;
        let object = network.name_classes(read_names(names, count)?)?;
        pointers::write(named, handles::insert(object), "named")
    })
}

/// Writes the name of class `index`, UTF-8 with a zero byte at its end. `*needed` becomes its size in bytes with that zero
/// byte; a NULL buffer of capacity 0 asks for the size alone. Too small a buffer is left as it is, with LG_STATUS_BUFFER.
/// LG_STATUS_ARGUMENT where the class has no name. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_class_name(
    network: *const lg_network,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        let network = handles::get::<NetworkObject, _>(network)?;
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe { write_name(&network.class_names, index, buffer, capacity, needed) }
    })
}

/// The same of a trainer, which has the names of its network or, where that had none, of the checkpoint or state that it
/// went back to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_trainer_class_name(
    trainer: *const lg_trainer,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    trainer::with(trainer, error, |_, session| {
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe { write_name(session.class_names(), index, buffer, capacity, needed) }
    })
}
