//! Networks: by name or from JSON, described, and given a head for other classes.

use crate::error::lg_error;
use crate::guard;
use crate::handles::{self, Object};
use crate::library::fixed_text;
use crate::pointers::{self, LONGEST_TEXT_BYTES, Versioned};
use crate::status::{Fault, Outcome, lg_status};
use localgrad_models::adapt::adapt;
use localgrad_models::{MODELS, ModelConfig};
use localgrad_runtime::data::Normalize;
use localgrad_runtime::inputs::{Inputs, Tokens};
use localgrad_runtime::network::unit::Shortcut;
use localgrad_runtime::network::{NetworkSpec, Objective};
use localgrad_runtime::weights::Weights;
use std::ffi::{CString, c_char};
use std::sync::{Arc, OnceLock};

/// The longest JSON that is read.
const LONGEST_JSON_BYTES: usize = 16 << 20;

/// A network as data, with the weights and names that it was given. It never changes, so any number of threads may use
/// it at once.
pub struct lg_network {
    _private: (),
}

/// What an lg_network stands for.
#[derive(Clone)]
pub struct NetworkObject {
    pub(crate) spec: NetworkSpec,
    /// What its images are normalised by, where weights said it.
    pub(crate) normalize: Option<Normalize>,
    /// As many as classes, or none.
    pub(crate) class_names: Vec<String>,
    pub(crate) pretrained: Option<Pretrained>,
}

/// Weights that its trainers begin with.
#[derive(Clone)]
pub(crate) struct Pretrained {
    pub(crate) weights: Arc<Weights>,
    /// Whether the network's head is another than theirs.
    pub(crate) head_is_new: bool,
}

impl Object for NetworkObject {
    const NAME: &'static str = "lg_network";
}

/// The way around a residual unit that changes the shape.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_shortcut {
    /// A 1x1 convolution.
    Project = 0,
    /// Every second row and column, with channels of zeros.
    Pad = 1,
}

/// What the name of a model leaves open.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_network_options {
    /// sizeof(lg_network_options).
    pub struct_size: usize,
    /// Channels of an image; 3.
    pub channels: usize,
    /// Rows; 32.
    pub height: usize,
    /// Columns; 32.
    pub width: usize,
    /// Classes, or labels or values; 10.
    pub classes: usize,
    /// Widths of the stem and of each stage, where they are not the published ones; NULL. CIFAR ResNets only.
    pub widths: *const usize,
    /// How many they are; 0.
    pub widths_count: usize,
    /// An lg_shortcut; LG_SHORTCUT_PROJECT.
    pub shortcut: i32,
    /// The error from which on the loss of LG_OBJECTIVE_HUBER grows in proportion to it; 1.
    pub huber_delta: f64,
    /// An lg_objective; LG_OBJECTIVE_CLASSES.
    pub objective: i32,
    /// How many tokens there are to choose from, where samples are rows of `width` tokens; 0: they are images.
    pub vocabulary: usize,
}

/// What a network answers with, and the loss that it is trained by.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum lg_objective {
    /// One class: softmax cross-entropy.
    Classes = 0,
    /// Several labels, each there or not: sigmoid binary cross-entropy. Samples come with targets.
    Labels = 1,
    /// Values: squared error. Samples come with targets.
    Values = 2,
    /// Values: Huber loss. Samples come with targets.
    Huber = 3,
}

// SAFETY: repr(C), the size is first, and numbers and pointers take any bytes.
unsafe impl Versioned for lg_network_options {
    const NAME: &'static str = "lg_network_options";
    const FIRST_BYTES: usize = std::mem::offset_of!(lg_network_options, huber_delta);

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            channels: 3,
            height: 32,
            width: 32,
            classes: 10,
            widths: std::ptr::null(),
            widths_count: 0,
            shortcut: lg_shortcut::Project as i32,
            huber_delta: 1.0,
            objective: lg_objective::Classes as i32,
            vocabulary: 0,
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

/// What a network is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct lg_network_info {
    /// sizeof(lg_network_info), set by the caller.
    pub struct_size: usize,
    /// Channels of an image; 1 of tokens.
    pub channels: usize,
    /// Rows; 1 of tokens.
    pub height: usize,
    /// Columns, or tokens.
    pub width: usize,
    /// Classes, or labels or values, as `objective` says.
    pub classes: usize,
    /// Units: the places it can be cut at, plus 1.
    pub units: usize,
    /// Trained numbers, auxiliary networks not counted.
    pub parameters: usize,
    /// Its name; cut where it is longer.
    pub name: [c_char; 64],
    /// Names of its classes: as many as classes, or 0.
    pub class_names: usize,
    /// 1 if it carries weights, which its trainers begin with.
    pub has_weights: i32,
    /// 1 if it carries its normalisation, which its trainers use where their configuration names none.
    pub has_normalize: i32,
    /// The error from which on the loss of LG_OBJECTIVE_HUBER grows in proportion to it; 0 of other objectives.
    pub huber_delta: f64,
    /// An lg_objective: what `classes` counts.
    pub objective: i32,
    /// How many tokens there are to choose from, where samples are tokens; 0: they are images.
    pub vocabulary: usize,
}

// SAFETY: repr(C), the size is first, and numbers take any bytes.
unsafe impl Versioned for lg_network_info {
    const NAME: &'static str = "lg_network_info";
    const FIRST_BYTES: usize = std::mem::offset_of!(lg_network_info, class_names);

    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            channels: 0,
            height: 0,
            width: 0,
            classes: 0,
            units: 0,
            parameters: 0,
            name: [0; 64],
            class_names: 0,
            has_weights: 0,
            has_normalize: 0,
            huber_delta: 0.0,
            objective: lg_objective::Classes as i32,
            vocabulary: 0,
        }
    }

    fn size_field(&mut self) -> &mut usize {
        &mut self.struct_size
    }
}

impl NetworkObject {
    /// A network and nothing besides.
    fn plain(spec: NetworkSpec) -> Self {
        Self { spec, normalize: None, class_names: Vec::new(), pretrained: None }
    }

    /// The network as data.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// The network called `model`, as the numbers of `options`, and what its pointer points to, say.
    pub fn named(model: &str, options: &lg_network_options, widths: &[usize]) -> Outcome<Self> {
        let shortcut = match options.shortcut {
            0 => Shortcut::Project,
            1 => Shortcut::Pad,
            other => return Err(Fault::argument(format!("shortcut is {other}, which is no lg_shortcut"))),
        };
        let config = ModelConfig {
            input: match options.vocabulary {
                0 => [options.channels, options.height, options.width].into(),
                vocabulary => Inputs::Tokens(Tokens { length: options.width, vocabulary }),
            },
            classes: options.classes,
            objective: objective_of(options.objective, options.huber_delta)?,
            widths: (!widths.is_empty()).then(|| widths.to_vec()),
            shortcut,
            stem: None,
        };
        let spec = localgrad_models::network(model, &config)?;
        Ok(Self::plain(spec))
    }

    /// A network from its description, every byte of which is untrusted.
    pub fn from_json(json: &str) -> Outcome<Self> {
        if json.len() > LONGEST_JSON_BYTES {
            return Err(Fault::argument(format!("json is longer than {LONGEST_JSON_BYTES} bytes")));
        }
        Ok(Self::plain(parse(json)?))
    }

    /// Its description.
    pub fn to_json(&self) -> Outcome<String> {
        serde_json::to_string(&self.spec).map_err(|cause| Fault::new(lg_status::Internal, cause.to_string()))
    }

    /// What it is.
    pub fn describe(&self) -> Outcome<lg_network_info> {
        let spec = &self.spec;
        let [channels, height, width] = spec.input.sides();
        let vocabulary = match spec.input {
            Inputs::Pixels(_) => 0,
            Inputs::Tokens(tokens) => tokens.vocabulary,
        };
        let units = spec.unit_costs()?;
        let (objective, huber_delta) = in_numbers(spec.objective);
        let parameters =
            units.iter().map(|cost| cost.parameters).sum::<usize>() + spec.head_cost()?.parameters;
        Ok(lg_network_info {
            struct_size: size_of::<lg_network_info>(),
            channels,
            height,
            width,
            classes: spec.classes,
            units: spec.units.len(),
            parameters,
            name: fixed_text(&spec.name),
            class_names: self.class_names.len(),
            has_weights: i32::from(self.pretrained.is_some()),
            has_normalize: i32::from(self.normalize.is_some()),
            huber_delta,
            objective: objective as i32,
            vocabulary,
        })
    }

    /// The same network with a new layer for another number of classes, which have no names.
    pub fn replace_head(&self, classes: usize) -> Outcome<Self> {
        let spec = adapt(self.spec.clone(), self.spec.input, classes)?;
        let pretrained = self.pretrained.clone().map(|before| Pretrained { head_is_new: true, ..before });
        Ok(Self { spec, class_names: Vec::new(), pretrained, normalize: self.normalize.clone() })
    }

    /// The same network with another lg_objective.
    pub fn replace_objective(&self, objective: i32, huber_delta: f64) -> Outcome<Self> {
        let objective = objective_of(objective, huber_delta)?;
        let spec = NetworkSpec { objective, ..self.spec.clone() };
        spec.validate()?;
        Ok(Self { spec, ..self.clone() })
    }
}

/// What an lg_objective is, with its number.
fn objective_of(objective: i32, huber_delta: f64) -> Outcome<Objective> {
    Ok(match objective {
        0 => Objective::Classes,
        1 => Objective::Labels,
        2 => Objective::Values,
        3 => Objective::Huber { delta: huber_delta },
        other => return Err(Fault::argument(format!("objective is {other}, which is no lg_objective"))),
    })
}

/// The same the other way around; 0 where there is no number.
fn in_numbers(objective: Objective) -> (lg_objective, f64) {
    match objective {
        Objective::Classes => (lg_objective::Classes, 0.0),
        Objective::Labels => (lg_objective::Labels, 0.0),
        Objective::Values => (lg_objective::Values, 0.0),
        Objective::Huber { delta } => (lg_objective::Huber, delta),
    }
}

/// The number of models that lg_network_create knows by name. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn lg_model_count() -> usize {
    MODELS.len()
}

/// The name of model `index`, from 0, the smallest of a family first; NULL where there is none. The text lives as
/// long as the library. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn lg_model_name(index: usize) -> *const c_char {
    static NAMES: OnceLock<Vec<CString>> = OnceLock::new();
    let mut name = std::ptr::null();
    guard::quiet(|| {
        let names =
            NAMES.get_or_init(|| MODELS.iter().map(|name| CString::new(*name).unwrap_or_default()).collect());
        name = names.get(index).map_or(std::ptr::null(), |name| name.as_ptr());
    });
    name
}

/// Fills in a struct of `struct_size` bytes, which is sizeof(lg_network_options), for CIFAR-10.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_options_init(
    options: *mut lg_network_options,
    struct_size: usize,
) -> lg_status {
    // SAFETY: the caller promises that the pointer is what the header says.
    guard::call(std::ptr::null_mut(), || unsafe { pointers::init_struct(options, struct_size) })
}

/// Makes the network called `model`, one that lg_model_name gives; `options` may be NULL. `*network` is the caller's
/// to destroy, and NULL after a failure. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_create(
    model: *const c_char,
    options: *const lg_network_options,
    network: *mut *mut lg_network,
    error: *mut lg_error,
) -> lg_status {
    // SAFETY: the caller promises that all pointers are what the header says.
    guard::call(error, || unsafe {
        pointers::write(network, std::ptr::null_mut(), "network")?;
        let model = pointers::text(model, "model", LONGEST_TEXT_BYTES)?;
        let options = match options.is_null() {
            true => lg_network_options::initial(),
            false => pointers::read_struct(options, "options")?,
        };
        let widths = pointers::slice(options.widths, options.widths_count, "widths")?;
        let object = NetworkObject::named(model, &options, widths)?;
        pointers::write(network, handles::insert(object), "network")
    })
}

/// Makes a network from its description in JSON, as lg_network_to_json writes it. `*network` is the caller's to
/// destroy, and NULL after a failure. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_from_json(
    json: *const c_char,
    network: *mut *mut lg_network,
    error: *mut lg_error,
) -> lg_status {
    // SAFETY: the caller promises that all pointers are what the header says.
    guard::call(error, || unsafe {
        pointers::write(network, std::ptr::null_mut(), "network")?;
        let object = NetworkObject::from_json(pointers::text(json, "json", LONGEST_JSON_BYTES)?)?;
        pointers::write(network, handles::insert(object), "network")
    })
}

/// Reads a description, every byte of it untrusted.
fn parse(json: &str) -> Outcome<NetworkSpec> {
    let wrong = |cause: serde_json::Error| {
        Fault::new(lg_status::Format, format!("this is no network in JSON: {cause}"))
    };
    let spec: NetworkSpec = serde_json::from_str(json).map_err(wrong)?;
    spec.validate()?;
    Ok(spec)
}

/// Writes the network's description in JSON, UTF-8 with a zero byte at its end. `*needed` becomes its size in bytes
/// with that zero byte; a NULL buffer of capacity 0 asks for the size alone. Too small a buffer is left as it is, with
/// LG_STATUS_BUFFER. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_to_json(
    network: *const lg_network,
    buffer: *mut c_char,
    capacity: usize,
    needed: *mut usize,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        let network = handles::get::<NetworkObject, _>(network)?;
        let mut json = network.to_json()?;
        json.push('\0');
        // SAFETY: the caller promises that all pointers are what the header says.
        unsafe { pointers::fill(json.as_bytes(), buffer, capacity, needed) }
    })
}

/// Describes the network. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_describe(
    network: *const lg_network,
    info: *mut lg_network_info,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        let network = handles::get::<NetworkObject, _>(network)?;
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write_struct(info, network.describe()?, "info") }
    })
}

/// Makes the same network with a new layer for another number of classes, to fine-tune it on other data: load the old
/// weights into its trainer with LG_WEIGHTS_BODY; a network that carries weights keeps all others, and its
/// normalisation, but no names of classes. `*replaced` is the caller's to destroy, and NULL after a failure; `network` stays
/// as it is. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_replace_head(
    network: *const lg_network,
    classes: usize,
    replaced: *mut *mut lg_network,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write(replaced, std::ptr::null_mut(), "replaced") }?;
        let network = handles::get::<NetworkObject, _>(network)?;
        let object = network.replace_head(classes)?;
        // SAFETY: as above.
        unsafe { pointers::write(replaced, handles::insert(object), "replaced") }
    })
}

/// Makes the same network with another lg_objective, to fine-tune it on data that come with other targets; `huber_delta` is
/// looked at for LG_OBJECTIVE_HUBER alone. Replace its head afterwards: a network may answer with 1 value, but not with 1
/// class. `*replaced` is the caller's to destroy, and NULL after a failure; `network` stays as it is. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_replace_objective(
    network: *const lg_network,
    objective: i32,
    huber_delta: f64,
    replaced: *mut *mut lg_network,
    error: *mut lg_error,
) -> lg_status {
    guard::call(error, || {
        // SAFETY: the caller promises that the pointer is what the header says.
        unsafe { pointers::write(replaced, std::ptr::null_mut(), "replaced") }?;
        let network = handles::get::<NetworkObject, _>(network)?;
        let object = network.replace_objective(objective, huber_delta)?;
        // SAFETY: as above.
        unsafe { pointers::write(replaced, handles::insert(object), "replaced") }
    })
}

/// Destroys a network. Trainers made from it go on. NULL, and one that was destroyed before, do nothing. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lg_network_destroy(network: *mut lg_network) {
    guard::quiet(|| drop(handles::remove::<NetworkObject, _>(network)));
}
