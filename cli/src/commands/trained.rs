//! Networks with trained weights, from a run or from a file.

use crate::arguments::{DataArguments, TrainedArguments};
use crate::choices;
use crate::fault::{Fault, Outcome};
use crate::output::Output;
use crate::run_directory::{RunDirectory, RunFile};
use localgrad::Device;
use localgrad::checkpoint::Saved;
use localgrad::data::{ImageShape, Normalize};
use localgrad::model::{Classifier, Model};
use localgrad::trainer::{TrainConfig, Trainer};
use localgrad::weights::{self, Weights};
use localgrad_models::names;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A network that can classify, and what it wants its images to be.
pub struct Trained {
    /// With its weights.
    pub model: Model,
    /// What its images are normalised by.
    pub normalize: Normalize,
    /// Names of its classes, where they are known.
    pub class_names: Vec<String>,
}

/// What samples are asked for: those of a run, where others are not named.
pub fn data(arguments: &TrainedArguments, data: &DataArguments) -> Outcome<DataArguments> {
    let mut data = data.clone();
    if let (Some(run), None) = (&arguments.run, &data.data) {
        data.data = Some(RunDirectory::open(run)?.read_run_file()?.data);
    }
    Ok(data)
}

/// Loads what `--run`, or `--model` and `--weights`, name. `shape` and `classes` are those of the data, if there
/// are any.
pub fn load(
    arguments: &TrainedArguments,
    data: &DataArguments,
    dataset: Option<(ImageShape, usize)>,
    device: &Device,
) -> Outcome<Trained> {
    if let Some(path) = &arguments.run {
        refuse_unused(arguments)?;
        let directory = RunDirectory::open(path)?;
        return from_run(&directory, directory.read_run_file()?, data, device);
    }
    let path = required_weights(arguments)?;
    let (shape, classes) = described(arguments, dataset)?;
    let input = [shape.channels, shape.height, shape.width];
    let spec = choices::network(&arguments.model, input, classes)?;
    let mut model = Model::new(spec, 0, device)?;
    load_file(&mut model, &path)?;
    let names = if choices::data_name(data) == choices::EMBEDDED { embedded_names() } else { Vec::new() };
    Ok(Trained { model, normalize: choices::normalize(data, shape)?, class_names: names })
}

/// Refuses what a run says itself.
fn refuse_unused(arguments: &TrainedArguments) -> Outcome<()> {
    let model = &arguments.model;
    let said = [
        ("--model", model.model.is_some()),
        ("--shortcut", model.shortcut.is_some()),
        ("--widths", model.widths.is_some()),
        ("--input", arguments.input.is_some()),
        ("--classes", arguments.classes.is_some()),
    ];
    match said.iter().find(|(_, said)| *said) {
        Some((flag, _)) => Err(Fault::usage(format!("a run knows its network; leave {flag} or --run out"))),
        None => Ok(()),
    }
}

/// What was taken from a weights file.
#[derive(Serialize)]
pub struct Loaded {
    event: &'static str,
    /// Tensors taken.
    tensors: usize,
    /// Blocks that stay as they are.
    frozen_blocks: usize,
    /// Tensors of the network that start anew.
    new: Vec<String>,
    /// Tensors of the file that were of no use.
    left_out: Vec<String>,
}

impl Loaded {
    /// Reports it.
    pub fn tell(mut self, output: Output, path: &Path, frozen_blocks: usize) {
        self.frozen_blocks = frozen_blocks;
        output.record(&self);
        let list = |names: &[String]| if names.is_empty() { "none".into() } else { names.join(", ") };
        eprintln!(
            "{}: {} tensors loaded; new: {}; left out: {}; frozen blocks: {}",
            path.display(),
            self.tensors,
            list(&self.new),
            list(&self.left_out),
            self.frozen_blocks
        );
    }
}

/// Reads a weights file, whatever spelling of names it uses, into `model`.
pub fn load_file(model: &mut dyn Classifier, path: &Path) -> Outcome<Loaded> {
    let tensors = read_file(model, path)?;
    weights::load(model, &tensors)?;
    Ok(Loaded {
        event: "loaded",
        tensors: tensors.len(),
        frozen_blocks: 0,
        new: Vec::new(),
        left_out: Vec::new(),
    })
}

/// The same but for the head, which stays as it is.
pub fn load_body(model: &mut dyn Classifier, path: &Path) -> Outcome<Loaded> {
    let tensors = read_file(model, path)?;
    let loaded = weights::load_body(model, tensors)?;
    Ok(Loaded {
        event: "loaded",
        tensors: loaded.taken,
        frozen_blocks: 0,
        new: loaded.new,
        left_out: loaded.left_out,
    })
}

/// The file's tensors under our names.
fn read_file(model: &dyn Classifier, path: &Path) -> Outcome<Weights> {
    let head = model.spec().head.iter().rev().find(|layer| !layer.name.is_empty());
    let head = head.map_or("fc", |layer| &layer.name).to_string();
    Ok(weights::read(path, |name| (!names::is_counter(name)).then(|| names::canonical(name, &head)))?)
}

/// Class names of the embedded data.
pub fn embedded_names() -> Vec<String> {
    crate::embedded::CLASS_NAMES.map(String::from).to_vec()
}

/// The network of a run as its last checkpoint has it, or its weights file where there is no checkpoint.
pub fn model_of_run(directory: &RunDirectory, run: RunFile, device: &Device) -> Outcome<Model> {
    if let Some(saved) = Saved::read(&directory.checkpoint(None))? {
        // All of it is wanted in memory.
        let train = TrainConfig { offload: false, features_on_disk: false, ..run.train };
        let mut trainer = Trainer::new(run.network, train, run.normalize, device)?;
        saved.restore(&mut trainer)?;
        return Ok(trainer.model);
    }
    let mut model = Model::new(run.network, 0, device)?;
    load_file(&mut model, &directory.weights(None))?;
    Ok(model)
}

fn from_run(
    directory: &RunDirectory,
    run: RunFile,
    data: &DataArguments,
    device: &Device,
) -> Outcome<Trained> {
    let [channels, height, width] = run.network.input;
    let normalize = match data.normalize {
        Some(_) => choices::normalize(data, ImageShape { channels, height, width })?,
        None => run.normalize.clone(),
    };
    let class_names = run.class_names.clone();
    Ok(Trained { model: model_of_run(directory, run, device)?, normalize, class_names })
}

fn required_weights(arguments: &TrainedArguments) -> Outcome<PathBuf> {
    arguments.weights.clone().ok_or_else(|| Fault::usage("name a --run, or --model and --weights"))
}

/// Image shape and number of classes: as given, or else the data's.
fn described(
    arguments: &TrainedArguments,
    dataset: Option<(ImageShape, usize)>,
) -> Outcome<(ImageShape, usize)> {
    let shape = match (&arguments.input, dataset) {
        (Some(text), _) => {
            let [channels, height, width] = choices::image_size(text)?;
            ImageShape { channels, height, width }
        }
        (None, Some((shape, _))) => shape,
        (None, None) => return Err(Fault::usage("say what images the network takes: --input 3x32x32")),
    };
    let classes = arguments
        .classes
        .or(dataset.map(|(_, classes)| classes))
        .ok_or_else(|| Fault::usage("say how many classes the network has: --classes 10"))?;
    Ok((shape, classes))
}
