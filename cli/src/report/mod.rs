//! The report: one HTML page about all runs of a directory, complete in itself, that needs no network.

mod text;
mod runs;
mod curve;
mod axis;
mod palette;
mod chart;
mod labels;
mod summary;
mod accuracy;
mod classes;
mod mistakes;
mod exits;
mod losses;
mod memory;
mod network;
mod configuration;

use crate::metrics;
use localgrad::{Error, Result};
use runs::baseline;
pub(crate) use runs::{Run, gather};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Name of the page in a run directory.
pub const FILE_NAME: &str = "report.html";

/// Reads the metrics of `run_directory` and writes the page beside them; the page's path comes back. An old page
/// is there until the new one is complete.
///
/// # Errors
/// Io: there are no metrics, or the page cannot be written. Format: the metrics are malformed.
pub fn write_report(run_directory: &Path) -> Result<PathBuf> {
    let records = metrics::read(&run_directory.join(metrics::FILE_NAME))?;
    let path = run_directory.join(FILE_NAME);
    let temporary = run_directory.join(format!("{FILE_NAME}.{}.tmp", std::process::id()));
    let written =
        write_synced(&temporary, &render(records)).and_then(|()| std::fs::rename(&temporary, &path));
    if let Err(cause) = written {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&temporary);
        return Err(Error::io(&path, cause));
    }
    Ok(path)
}

fn write_synced(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The page about these records.
pub fn render(records: Vec<metrics::Record>) -> String {
    let runs = gather(records);
    let sections = [
        summary::comparison(&runs),
        accuracy::accuracy(&runs),
        classes::classes(&runs),
        mistakes::mistakes(&runs),
        exits::exits(&runs),
        losses::losses(&runs),
        memory::memory(&runs),
        network::network(&runs),
        configuration::configuration(&runs),
    ];
    let network = runs.iter().find_map(|run| Some(text::escape(&run.start.as_ref()?.network)));
    let title = network.map_or("Training report".into(), |network| format!("Training report: {network}"));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\" />\n<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\" />\n<meta \
         name=\"viewport\" content=\"width=device-width, initial-scale=1\" />\n<meta name=\"color-scheme\" \
         content=\"light dark\" />\n<title>{title}</title>\n<style>\n{}</style></head>\n<body><main>{}{}</main>\n<div \
         id=\"tip\" aria-hidden=\"true\"></div>\n<script>\n{}</script></body></html>\n",
        style(&runs),
        summary::header(&runs),
        sections.concat(),
        include_str!("page.js"),
    )
}

/// The style sheet, with the colours of both schemes.
fn style(runs: &[Run]) -> String {
    let blocks = runs.iter().flat_map(|run| [run.blocks().len(), run.losses()]).collect();
    format!(
        ":root{{{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n{}",
        palette::declarations(0, &blocks),
        palette::declarations(1, &blocks),
        include_str!("page.css"),
    )
}

/// Colour of a run, and whether its line is dashed: the baseline's is.
fn run_style(runs: &[Run], at: usize) -> (String, bool) {
    let is_baseline = |run: &Run| baseline(runs).is_some_and(|base| base.name == run.name);
    let before = runs[..at].iter().filter(|run| !is_baseline(run)).count();
    let dashed = is_baseline(&runs[at]);
    (palette::run_colour(before, dashed), dashed)
}

/// A section of the page.
fn section(id: &str, heading: &str, content: &str) -> String {
    format!("\n<section aria-labelledby=\"{id}-h\"><h2 id=\"{id}-h\">{heading}</h2>{content}</section>")
}
