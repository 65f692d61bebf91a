//! `localgrad report`

use crate::arguments::ReportArguments;
use crate::closing;
use crate::fault::{Fault, Outcome};
use crate::metrics::{self, Record};
use crate::output::Output;
use crate::report::gather;
use crate::run_directory::RunDirectory;
use serde::Serialize;

#[derive(Serialize)]
struct ReportRecord {
    event: &'static str,
    path: String,
}

/// Prints a run's table and writes its report.html again.
pub fn run(arguments: &ReportArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    let directory = RunDirectory::open(&arguments.run)?;
    let records = metrics::read(&directory.metrics()).map_err(|cause| Fault::failed(cause.to_string()))?;
    let runs = gather(records);
    for done in runs.iter().filter_map(|run| run.done.clone()) {
        output.record(&Record::Done(done));
    }
    let path =
        crate::report::write_report(&directory.path).map_err(|cause| Fault::failed(cause.to_string()))?;
    output.record(&ReportRecord { event: "report", path: path.display().to_string() });
    if !output.json {
        output.text(&closing::text(&directory, &runs, &path));
    }
    Ok(())
}
