//! Networks with trained weights, from a run or from a file.

use crate::arguments::{DataArguments, TrainedArguments};
use crate::choices;
use crate::fault::{Fault, Outcome};
use crate::run_directory::{RunDirectory, RunFile};
use localgrad::Device;
use localgrad::data::{ImageShape, Normalize};
use localgrad::model::Model;
use localgrad::weights;
use localgrad_models::names;
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

/// Loads what `--run`, or `--model` and `--weights`, name. `shape` and `classes` are those of the data, if there
/// are any.
pub fn load(
    arguments: &TrainedArguments,
    data: &DataArguments,
    dataset: Option<(ImageShape, usize)>,
    device: &Device,
) -> Outcome<Trained> {
    if let Some(path) = &arguments.run {
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

/// Reads a weights file, whatever spelling of names it uses, into `model`.
pub fn load_file(model: &mut Model, path: &Path) -> Outcome<()> {
    let head = model.spec.head.iter().rev().find(|layer| !layer.name.is_empty());
    let head = head.map_or("fc", |layer| &layer.name).to_string();
    let tensors =
        weights::read(path, |name| (!names::is_counter(name)).then(|| names::canonical(name, &head)))?;
    Ok(weights::load(model, &tensors)?)
}

/// Class names of the embedded data.
pub fn embedded_names() -> Vec<String> {
    crate::embedded::CLASS_NAMES.map(String::from).to_vec()
}

fn from_run(
    directory: &RunDirectory,
    run: RunFile,
    data: &DataArguments,
    device: &Device,
) -> Outcome<Trained> {
    let [channels, height, width] = run.network.input;
    let mut model = Model::new(run.network, 0, device)?;
    load_file(&mut model, &directory.weights(None))?;
    let normalize = match data.normalize {
        Some(_) => choices::normalize(data, ImageShape { channels, height, width })?,
        None => run.normalize,
    };
    Ok(Trained { model, normalize, class_names: run.class_names })
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
