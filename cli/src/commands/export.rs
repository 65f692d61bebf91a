//! `localgrad export`

use crate::arguments::ExportArguments;
use crate::commands::trained;
use crate::exits::{self, Kept};
use crate::fault::{Fault, Outcome};
use crate::output::{Output, bytes};
use crate::run_directory::RunDirectory;
use localgrad::exits::Exits;
use localgrad::maps::Place;
use localgrad::network::NetworkSpec;
use localgrad::weights::{self, Card, Weights};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Serialize)]
struct ExportRecord {
    event: &'static str,
    path: String,
    /// The file of the run's best epoch, where they are from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<String>,
    /// The exit that the network ends at, from 1, where it is a part of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<usize>,
    /// What it classified right of the samples that the run was judged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    tensors: usize,
    bytes: u64,
}

/// What is to be written.
struct Exported {
    tensors: Weights,
    card: Card,
    best: Option<PathBuf>,
    /// Number, from 1, and accuracy.
    exit: Option<(usize, f64)>,
}

/// Writes a run's inference weights and what is needed to use them; the same weights give the same bytes.
pub fn run(arguments: &ExportArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    let wants_exits = arguments.exits || arguments.exit.is_some() || arguments.target_accuracy.is_some();
    let Exported { tensors, card, best, exit } = match wants_exits {
        true => of_exits(arguments)?,
        false => whole(arguments)?,
    };
    weights::write(&arguments.out, &tensors, &card, arguments.half)?;
    let size =
        std::fs::metadata(&arguments.out).map_err(|cause| localgrad::Error::io(&arguments.out, cause))?.len();
    output.record(&ExportRecord {
        event: "exported",
        path: arguments.out.display().to_string(),
        weights: best.map(|path| path.display().to_string()),
        exit: exit.map(|(number, _)| number),
        accuracy: exit.map(|(_, accuracy)| accuracy),
        tensors: tensors.len(),
        bytes: size,
    });
    if !output.json {
        let exit = exit.map_or(String::new(), |(number, accuracy)| {
            format!("exit {number} ({:.2} %), ", 100.0 * accuracy)
        });
        let (path, count) = (arguments.out.display(), tensors.len());
        output.text(&format!("{path}: {exit}{count} tensors, {}", bytes(size)));
    }
    Ok(())
}

/// The network as it is used without exits.
fn whole(arguments: &ExportArguments) -> Outcome<Exported> {
    let directory = RunDirectory::open(&arguments.run)?;
    let run = directory.read_run_file()?;
    let card = Card::of(&run.network, &run.normalize, &run.class_names);
    let (mut model, best) = trained::model_of_run(&directory, run, &Place::Host)?;
    Ok(Exported { tensors: weights::of_model(&mut model)?, card, best, exit: None })
}

/// The network with its exits, or what ends at one of them.
fn of_exits(arguments: &ExportArguments) -> Outcome<Exported> {
    let path = exits::of_run(&arguments.run)?;
    let Kept { card, exits, weights } = Kept::read(&path)?;
    let network = card.network.clone().ok_or_else(|| exits::without_exits(&path))?;
    let number = match (arguments.exit, arguments.target_accuracy) {
        (Some(number), _) => number,
        (None, Some(accuracy)) => smallest(&exits, &network, accuracy)? + 1,
        (None, None) => {
            let card = Card { exits: Some(exits), ..card };
            return Ok(Exported { tensors: weights, card, best: None, exit: None });
        }
    };
    let place = number.checked_sub(1).ok_or_else(|| Fault::usage("exits are numbered from 1"))?;
    let (network, tensors) = exits.taken(&weights, &network, place)?;
    let card = Card { model: Some(network.name.clone()), network: Some(network), ..card };
    Ok(Exported { tensors, card, best: None, exit: Some((number, exits.found[place].accuracy)) })
}

/// The exit of the fewest multiply-adds, counted from 0, that is as often right as `accuracy`.
fn smallest(exits: &Exits, network: &NetworkSpec, accuracy: f64) -> Outcome<usize> {
    let costs = exits.costs(network)?;
    let reaches = (0..costs.len()).filter(|&exit| exits.found[exit].accuracy >= accuracy);
    reaches.min_by_key(|&exit| costs[exit].multiply_adds).ok_or_else(|| {
        let best = exits.found.iter().map(|exit| exit.accuracy).fold(0.0, f64::max);
        Fault::failed(format!(
            "no exit is right that often: the best is with {:.2} %; ask for less, or train on",
            100.0 * best
        ))
    })
}
