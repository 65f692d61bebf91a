//! Networks with trained weights, from a run or from a file.

use crate::arguments::{DataArguments, ModelArguments, TrainedArguments};
use crate::choices;
use crate::fault::{Fault, Outcome};
use crate::origin::Origin;
use crate::output::{Output, complain};
use crate::run_directory::{RunDirectory, RunFile};
use crate::weights_file;
use localgrad::checkpoint::Saved;
use localgrad::data::{Dataset, Normalize};
use localgrad::maps::Place;
use localgrad::model::{Classifier, Model};
use localgrad::network::{NetworkSpec, Objective};
use localgrad::targets::TargetKind;
use localgrad::trainer::{Drawn, Execution, TrainConfig, Trainer};
use localgrad::weights::{self, Weights};
use localgrad_models::identify::{Identity, identify};
use localgrad_models::names::{self, Mapping};
use localgrad_models::vgg;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A network that can classify, and what it wants its images to be.
pub struct Trained {
    /// With its weights.
    pub model: Model,
    /// What its images are normalised by.
    pub normalize: Normalize,
    /// Names of its classes, where they are known.
    pub class_names: Vec<String>,
    /// The file of a run's best epoch, where its weights are from there.
    pub best: Option<PathBuf>,
}

/// What samples are asked for: those of a run, where others are not named; answered with themselves where its were.
pub fn data(arguments: &TrainedArguments, data: &DataArguments) -> Outcome<DataArguments> {
    let mut data = data.clone();
    if let Some(run) = &arguments.run {
        refuse_unused(arguments)?;
        let file = RunDirectory::open(run)?.read_run_file()?;
        data.autoencode |= file.words.iter().any(|word| word == "--autoencode");
        data.data.get_or_insert(file.data);
    }
    Ok(data)
}

/// Loads what `--run` or `--weights` name; `dataset` holds the samples that it is for, if they are not pictures.
pub fn load(
    arguments: &TrainedArguments,
    data: &DataArguments,
    dataset: Option<&dyn Dataset>,
    place: &Place,
) -> Outcome<Trained> {
    let mut trained = match (&arguments.run, &arguments.weights) {
        (Some(path), _) => {
            refuse_unused(arguments)?;
            let directory = RunDirectory::open(path)?;
            from_run(&directory, directory.read_run_file()?, data, place)?
        }
        (None, Some(path)) => from_file(arguments, path, data, dataset, place)?,
        (None, None) => return Err(Fault::usage("name a --run, or --weights")),
    };
    if let Some(dataset) = dataset {
        check_fits(dataset, &trained.model.spec)?;
    }
    let classes = trained.model.spec.classes;
    if let Some(names) = choices::class_names(data, classes)? {
        trained.class_names = names;
    } else if let Some(dataset) =
        dataset.filter(|set| trained.class_names.is_empty() && set.classes() == classes)
    {
        trained.class_names = choices::names_of(data, dataset);
    }
    Ok(trained)
}

/// Refuses samples that the network was not made for.
pub fn check_fits(dataset: &dyn Dataset, network: &NetworkSpec) -> Outcome<()> {
    let (found, taken) = (dataset.input(), network.input);
    if !taken.take(found) {
        return Err(Fault::usage(format!(
            "the data's {} are {found} and {} takes {taken}; name other --data",
            found.noun(),
            network.name
        )));
    }
    let (kind, wanted) = (dataset.target_kind(), network.objective.target_kind());
    if kind != wanted {
        let gives_back = wanted == TargetKind::Values && network.classes == taken.elements();
        return Err(Fault::usage(format!(
            "the data have {} and {} answers with {}; {}",
            kind.noun(),
            network.name,
            wanted.noun(),
            if gives_back { "if it gives samples back, add --autoencode" } else { "name other --data" }
        )));
    }
    if dataset.classes() > network.classes || kind != TargetKind::Class && dataset.classes() < network.classes
    {
        return Err(Fault::usage(format!(
            "the data have {} {} and {} knows {}; name other --data",
            dataset.classes(),
            kind.noun(),
            network.name,
            network.classes
        )));
    }
    Ok(())
}

/// The network of a weights file, as its card or the command line has it.
fn from_file(
    arguments: &TrainedArguments,
    path: &Path,
    data: &DataArguments,
    dataset: Option<&dyn Dataset>,
    place: &Place,
) -> Outcome<Trained> {
    let Origin { card, words } = Origin::of_file(&arguments.model, path)?;
    words.iter().for_each(|words| complain(words));
    let spec = match arguments.model.model {
        Some(_) => described(arguments, card.network.as_ref(), dataset)?,
        None => of_card(arguments, path, card.network)?,
    };
    let channels = spec.input.channels();
    let mut model = Model::to_load(spec, place)?;
    load_file(&mut model, path)?.say(path);
    let normalize = choices::normalize_of_weights(data, card.normalize, channels, path)?;
    Ok(Trained { model, normalize, class_names: card.class_names, best: None })
}

/// The network that a file's tensors are of, if it is one that is known.
///
/// # Errors
/// Those of reading its header.
pub fn identity(path: &Path) -> Outcome<Option<Identity>> {
    let listed = weights_file::listed(path)?;
    let shown: Vec<(&str, &[usize])> =
        listed.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect();
    Ok(identify(&shown))
}

/// The network that a file says it is of.
fn of_card(arguments: &TrainedArguments, path: &Path, network: Option<NetworkSpec>) -> Outcome<NetworkSpec> {
    let mut network = network.ok_or_else(|| unknown_network(path))?;
    refuse_without_model(&arguments.model)?;
    if let Some(text) = &arguments.input {
        network.input = choices::inputs(text)?;
        network.validate()?;
    }
    match arguments.classes {
        Some(classes) if classes != network.classes => Err(Fault::usage(format!(
            "{} is of {} classes; leave --classes out",
            path.display(),
            network.classes
        ))),
        _ => Ok(network),
    }
}

/// The request for the name of a network that nothing else tells.
pub fn unknown_network(path: &Path) -> Fault {
    Fault::usage(format!("{} does not say of which network it is; name it: --model resnet20", path.display()))
}

/// Refuses what belongs to a network by name where none is named.
pub fn refuse_without_model(model: &ModelArguments) -> Outcome<()> {
    let said = [
        ("--shortcut", model.shortcut.is_some()),
        ("--stem", model.stem.is_some()),
        ("--widths", model.widths.is_some()),
    ];
    match said.iter().find(|(_, said)| *said) {
        Some((flag, _)) => Err(Fault::usage(format!(
            "the weights' file knows its network; leave {flag} out, or name a --model, too"
        ))),
        None => Ok(()),
    }
}

/// Refuses what a run says itself.
fn refuse_unused(arguments: &TrainedArguments) -> Outcome<()> {
    refuse_said(arguments, ["a run knows its network", "or --run out"])
}

/// Refuses words about the network: `knows` says what tells of it, and `out` what else may be left out.
///
/// # Errors
/// One that names the first of them.
pub fn refuse_said(arguments: &TrainedArguments, [knows, out]: [&str; 2]) -> Outcome<()> {
    let model = &arguments.model;
    let said = [
        ("--model", model.model.is_some()),
        ("--shortcut", model.shortcut.is_some()),
        ("--stem", model.stem.is_some()),
        ("--widths", model.widths.is_some()),
        ("--input", arguments.input.is_some()),
        ("--classes", arguments.classes.is_some()),
    ];
    match said.iter().find(|(_, said)| *said) {
        Some((flag, _)) => Err(Fault::usage(format!("{knows}; leave {flag} {out}"))),
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
    /// Lines for people about what was done besides reading.
    #[serde(skip)]
    words: Vec<String>,
}

impl Loaded {
    /// Says what was done besides reading.
    pub fn say(&self, path: &Path) {
        self.words.iter().for_each(|words| complain(&format!("{}: {words}", path.display())));
    }

    /// Reports it.
    pub fn tell(mut self, output: Output, path: &Path, frozen_blocks: usize) {
        self.frozen_blocks = frozen_blocks;
        self.say(path);
        output.record(&self);
        let list = |names: &[String]| if names.is_empty() { "none".into() } else { names.join(", ") };
        complain(&format!(
            "{}: {} tensors loaded; new: {}; left out: {}; frozen blocks: {}",
            path.display(),
            self.tensors,
            list(&self.new),
            list(&self.left_out),
            self.frozen_blocks
        ));
    }
}

/// Reads a weights file, whatever spelling of names it uses, into `model`.
pub fn load_file(model: &mut dyn Classifier, path: &Path) -> Outcome<Loaded> {
    let (tensors, left_out, words) = read_file(model, path)?;
    weights::load(model, &tensors).map_err(|cause| unfitting(cause, path, model.spec(), &tensors))?;
    Ok(Loaded { event: "loaded", tensors: tensors.len(), frozen_blocks: 0, new: Vec::new(), left_out, words })
}

/// The same but for the layer that gives the classes, which stays as it is.
pub fn load_body(model: &mut dyn Classifier, path: &Path) -> Outcome<Loaded> {
    let (tensors, left_out, words) = read_file(model, path)?;
    let loaded = weights::load_body(model, tensors.clone())
        .map_err(|cause| unfitting(cause, path, model.spec(), &tensors))?;
    Ok(Loaded {
        event: "loaded",
        tensors: loaded.taken,
        frozen_blocks: 0,
        new: loaded.new,
        left_out: [loaded.left_out, left_out].concat(),
        words,
    })
}

/// The refusal of a file, with what may be the matter.
fn unfitting(cause: localgrad::Error, path: &Path, network: &NetworkSpec, tensors: &Weights) -> Fault {
    let fault = Fault::from(cause.at(path.display()));
    if let Some(advice) = vgg::advice(network, tensors.keys().map(String::as_str)) {
        return fault.and(&format!("; {advice}"));
    }
    match tensors.get("conv1.weight").map(|weight| weight.dims()) {
        Some([_, _, 7, 7]) => {
            fault.and("; its first convolution is 7x7, which --stem imagenet gives small images, too")
        }
        _ => fault,
    }
}

/// The file's tensors under our names, the scalars that were left out, and what was done to them in lines for people.
fn read_file(model: &mut dyn Classifier, path: &Path) -> Outcome<(Weights, Vec<String>, Vec<String>)> {
    let mut ours = BTreeSet::new();
    model.read_forms(&mut |name, _| {
        ours.insert(name.to_string());
        Ok(())
    })?;
    let mut mapping = Mapping::default();
    let (tensors, chosen) = weights_file::read_chosen(path, |listed| {
        let of_network = listed.iter().copied().filter(|(name, _)| !weights::is_of_exit(name));
        mapping = names::map(of_network, &ours, model.spec());
        mapping.ours.clone()
    })?;
    let words = chosen.into_iter().chain(mapping.words()).collect();
    Ok((tensors, mapping.left_out, words))
}

/// The network of a run with the weights of its best epoch, and their file, where they were kept; else as its last checkpoint
/// has it, or its weights file where there is no checkpoint.
pub fn model_of_run(
    directory: &RunDirectory,
    run: RunFile,
    place: &Place,
) -> Outcome<(Model, Option<PathBuf>)> {
    let best = directory.best_weights(None);
    if best.is_file() {
        let mut model = Model::to_load(run.network, place)?;
        load_file(&mut model, &best)?.say(&best);
        complain(&format!("{}: the weights of the best epoch", best.display()));
        return Ok((model, Some(best)));
    }
    if let Some(saved) = Saved::read(&directory.checkpoint(None))? {
        // All of it is wanted in memory.
        let execution = Execution { offload: false, features_on_disk: false, ..run.train.execution };
        let train = TrainConfig { execution, ..run.train };
        let mut trainer = Trainer::to_load(run.network, train, run.normalize, place, None, Drawn::None)?;
        saved.restore(&mut trainer)?;
        return Ok((trainer.model, None));
    }
    let mut model = Model::to_load(run.network, place)?;
    let path = directory.weights(None);
    load_file(&mut model, &path)?.say(&path);
    Ok((model, None))
}

fn from_run(directory: &RunDirectory, run: RunFile, data: &DataArguments, place: &Place) -> Outcome<Trained> {
    let normalize = match &data.normalize {
        Some(name) => Normalize::named(name, run.network.input.channels())?,
        None => run.normalize.clone(),
    };
    let class_names = run.class_names.clone();
    let (model, best) = model_of_run(directory, run, place)?;
    Ok(Trained { model, normalize, class_names, best })
}

/// The network that `--model` names; its input and classes are as given, or the file's, or else the data's.
fn described(
    arguments: &TrainedArguments,
    of_file: Option<&NetworkSpec>,
    dataset: Option<&dyn Dataset>,
) -> Outcome<NetworkSpec> {
    let input = match &arguments.input {
        Some(text) => choices::inputs(text)?,
        None => of_file
            .map(|network| network.input)
            .or(dataset.map(Dataset::input))
            .ok_or_else(|| Fault::usage("say what images the network takes: --input 3x32x32"))?,
    };
    let classes = arguments
        .classes
        .or(of_file.map(|network| network.classes))
        .or(dataset.map(Dataset::classes))
        .ok_or_else(|| Fault::usage("say how many classes the network has: --classes 10"))?;
    let of_data = |set: &dyn Dataset| Objective::from(set.target_kind());
    let objective = of_file.map(|network| network.objective).or(dataset.map(of_data)).unwrap_or_default();
    choices::network_of_weights(&arguments.model, of_file, input, (classes, objective))
}
