//! The parts of the command line program, as a library so that tests can reach them.
//!
//! The program knows the library's public face only: it adds words, files and pictures, no mathematics.

// They panic where nobody can be told; `output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod class_weights;
pub mod augmentation;
pub mod recipe;
pub mod arguments;
pub mod fault;
pub mod output;
pub mod logging;
pub mod interrupt;
pub mod progress;
pub mod metrics;
pub mod embedded;
pub mod choices;
pub mod data_checks;
pub mod automatic;
pub mod demonstration;
pub mod portrait;
pub mod photos;
pub mod run_directory;
pub mod weights_file;
pub mod origin;
pub mod resume;
pub mod budget;
pub mod resident;
pub mod board;
pub mod cooling;
pub mod judged;
pub mod exits;
pub mod predictor;
pub mod session;
pub mod bench;
pub mod commands;
pub mod report;
pub mod closing;

use arguments::{Arguments, Command};
use fault::Outcome;

/// Carries out one command.
pub fn run(arguments: &Arguments) -> Outcome<()> {
    let outcome = match &arguments.command {
        Command::Train(words) => commands::train::run(words),
        Command::Finetune(words) => commands::finetune::run(words),
        Command::Eval(words) => commands::eval::run(words),
        Command::Predict(words) => commands::predict::run(words),
        Command::Plan(words) => commands::plan::run(words),
        Command::Inspect(words) => commands::inspect::run(words),
        Command::Export(words) => commands::export::run(words),
        Command::Bench(words) => commands::bench::run(words),
        Command::Devices(words) => commands::devices::run(words),
        Command::Report(words) => commands::report::run(words),
    };
    outcome.and_then(|()| output::check())
}
