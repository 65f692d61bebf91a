//! `localgrad export`

use crate::arguments::ExportArguments;
use crate::commands::trained;
use crate::fault::Outcome;
use crate::output::{Output, bytes};
use crate::run_directory::RunDirectory;
use localgrad::maps::Place;
use localgrad::weights::{self, Card};
use serde::Serialize;

#[derive(Serialize)]
struct ExportRecord {
    event: &'static str,
    path: String,
    /// The file of the run's best epoch, where they are from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<String>,
    tensors: usize,
    bytes: u64,
}

/// Writes a run's inference weights and what is needed to use them; the same weights give the same bytes.
pub fn run(arguments: &ExportArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    let directory = RunDirectory::open(&arguments.run)?;
    let run = directory.read_run_file()?;
    let card = Card::of(&run.network, &run.normalize, &run.class_names);
    let (mut model, best) = trained::model_of_run(&directory, run, &Place::Host)?;
    let tensors = weights::of_model(&mut model)?;
    weights::write(&arguments.out, &tensors, &card, arguments.half)?;
    let size =
        std::fs::metadata(&arguments.out).map_err(|cause| localgrad::Error::io(&arguments.out, cause))?.len();
    output.record(&ExportRecord {
        event: "exported",
        path: arguments.out.display().to_string(),
        weights: best.map(|path| path.display().to_string()),
        tensors: tensors.len(),
        bytes: size,
    });
    if !output.json {
        output.text(&format!("{}: {} tensors, {}", arguments.out.display(), tensors.len(), bytes(size)));
    }
    Ok(())
}
