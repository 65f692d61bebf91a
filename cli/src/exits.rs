//! Networks that can be left before their end: kept by a run, opened from its directory or from a file, and told of.

use crate::arguments::{DataArguments, TrainedArguments};
use crate::choices;
use crate::commands::trained;
use crate::fault::{Fault, Outcome};
use crate::metrics;
use crate::output::{bytes, count, table};
use crate::run_directory::{RunDirectory, RunFile};
use crate::weights_file;
use localgrad::data::{Dataset, Loader, Normalize};
use localgrad::evaluate::Evaluation;
use localgrad::exits::survey::Survey;
use localgrad::exits::{ExitCost, Exits};
use localgrad::maps::Place;
use localgrad::trainer::{Trainer, WithExits};
use localgrad::weights::{self, Card, Weights};
use std::path::{Path, PathBuf};

/// A network with its exits, ready to answer.
pub struct Leavable {
    /// The network, and what is behind its blocks.
    pub trainer: Trainer,
    /// What is known of the exits.
    pub exits: Exits,
    /// What each costs.
    pub costs: Vec<ExitCost>,
    /// Names of its classes, where they are known.
    pub class_names: Vec<String>,
    /// What its images are normalised by.
    pub normalize: Normalize,
}

impl Leavable {
    /// Opens what `--run` or `--weights` name; `dataset` holds the samples that it is for, if they are not pictures.
    ///
    /// # Errors
    /// A request for `--exits` where there are none, and those of reading the file.
    pub fn open(
        arguments: &TrainedArguments,
        data: &DataArguments,
        dataset: Option<&dyn Dataset>,
        place: &Place,
    ) -> Outcome<Self> {
        let path = match (&arguments.run, &arguments.weights) {
            (Some(run), _) => of_run(run)?,
            (None, Some(path)) => path.clone(),
            (None, None) => return Err(Fault::usage("name a --run, or --weights")),
        };
        trained::refuse_said(arguments, ["these weights know their network", "out"])?;
        let Kept { card, exits, weights } = Kept::read(&path)?;
        let network = card.network.ok_or_else(|| without_exits(&path))?;
        if let Some(dataset) = dataset {
            trained::check_fits(dataset, &network)?;
        }
        let channels = network.input.channels();
        let normalize = choices::normalize_of_weights(data, card.normalize, channels, &path)?;
        let costs = exits.costs(&network)?;
        let class_names = choices::class_names(data, network.classes)?.unwrap_or(card.class_names);
        let mut trainer = Trainer::new(network, exits.train_config(), normalize.clone(), place)?;
        weights::load(&mut WithExits(&mut trainer), &weights).map_err(|cause| cause.at(path.display()))?;
        Ok(Self { trainer, exits, costs, class_names, normalize })
    }

    /// The temperature of each exit.
    pub fn temperatures(&self) -> Vec<f64> {
        self.exits.found.iter().map(|exit| exit.temperature).collect()
    }
}

/// A file of weights with exits.
pub struct Kept {
    /// What it says of itself.
    pub card: Card,
    /// And of its exits.
    pub exits: Exits,
    /// Its tensors.
    pub weights: Weights,
}

impl Kept {
    /// Reads one.
    ///
    /// # Errors
    /// A request for `--exits` where there are none, and those of reading.
    pub fn read(path: &Path) -> Outcome<Self> {
        let mut card = weights_file::card(path)?;
        let exits = card.exits.take().ok_or_else(|| without_exits(path))?;
        Ok(Self { card, exits, weights: weights::read(path, |name| Some(name.into()))? })
    }
}

/// The request for exits where a file has none.
pub fn without_exits(path: &Path) -> Fault {
    Fault::usage(format!(
        "{} has no exits; train keeps them with --exits, and export --exits writes a file with them",
        path.display()
    ))
}

/// The file of a run's exits.
///
/// # Errors
/// A request for them where the run has kept none.
pub fn of_run(run: &Path) -> Outcome<PathBuf> {
    let path = RunDirectory::open(run)?.exits();
    match path.is_file() {
        true => Ok(path),
        false => Err(Fault::usage(format!(
            "{} has kept no exits; add them: localgrad train --resume --exits --out {0}",
            run.display()
        ))),
    }
}

/// Judges the exits of a trained network by samples that it did not learn from, calibrates them, and writes all to `path`;
/// what was found of each, or nothing where `go_on` says to stop.
///
/// # Errors
/// Those of the network, and of writing.
pub fn keep(
    path: &Path,
    trainer: &mut Trainer,
    test: &Loader,
    file: &RunFile,
    go_on: &mut dyn FnMut(usize, usize) -> bool,
) -> Outcome<Option<Vec<metrics::Exit>>> {
    let mut exits = Exits::of(trainer)?;
    let costs = exits.costs(&file.network)?;
    let Some(survey) = Survey::default().run(trainer, test, go_on)? else { return Ok(None) };
    survey.evaluations().iter().try_for_each(Evaluation::check)?;
    exits.found = survey.found();
    let records = records(&exits, &costs, &survey);
    let card = Card { exits: Some(exits), ..Card::of(&file.network, &file.normalize, &file.class_names) };
    weights::write_network(path, &mut WithExits(trainer), &card, false)?;
    Ok(Some(records))
}

/// What a survey found of each exit.
pub fn records(exits: &Exits, costs: &[ExitCost], survey: &Survey) -> Vec<metrics::Exit> {
    let (evaluations, seconds) = (survey.evaluations(), survey.seconds());
    let record = |(number, cost): (usize, &ExitCost)| metrics::Exit {
        run: String::new(),
        exit: number as u64 + 1,
        after_unit: cost.after_unit as u64,
        accuracy: evaluations[number].accuracy,
        multiply_adds: cost.multiply_adds as u64,
        parameters: cost.parameters as u64,
        bytes: cost.bytes as u64,
        milliseconds: 1e3 * seconds[number],
        temperature: exits.found[number].temperature,
    };
    costs.iter().enumerate().map(record).collect()
}

/// The exits as people read them.
pub fn table_of(exits: &[metrics::Exit]) -> String {
    let row = |exit: &metrics::Exit| {
        vec![
            exit.exit.to_string(),
            exit.after_unit.to_string(),
            format!("{:.2} %", 100.0 * exit.accuracy),
            count(exit.multiply_adds as usize),
            count(exit.parameters as usize),
            bytes(exit.bytes),
            format!("{:.3}", exit.milliseconds),
            format!("{:.2}", exit.temperature),
        ]
    };
    let header =
        ["exit", "after unit", "accuracy", "multiply-adds", "parameters", "bytes", "ms", "temperature"];
    table(&header, &exits.iter().map(row).collect::<Vec<_>>())
}
