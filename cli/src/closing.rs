//! What is said of the runs of a directory at their end.

use crate::metrics::Done;
use crate::output::{bytes, table};
use crate::report::Run;
use crate::run_directory::RunDirectory;
use std::path::Path;

/// The table of all runs, and where the weights of the last one and its `report` are.
pub(crate) fn text(directory: &RunDirectory, runs: &[Run], report: &Path) -> String {
    let (weights, best) = (directory.weights(None), directory.best_weights(None));
    let done = runs.iter().filter_map(|run| run.done.as_ref()).next_back();
    let of_best = done.and_then(Done::best_text).filter(|_| best.is_file());
    let best = of_best.map_or(String::new(), |text| format!("best:    {} ({text})\n", best.display()));
    format!("{}\n\nweights: {}\n{best}report:  {}", table_of(runs), weights.display(), report.display())
}

/// Rule, blocks, accuracy, measured peak and seconds of every run that ended; where one was resumed, its last end.
fn table_of(runs: &[Run]) -> String {
    let rows = runs.iter().filter_map(|run| {
        let done = run.done.as_ref()?;
        let stopped = if done.interrupted { " (stopped)" } else { "" };
        Some(vec![
            format!("{}{stopped}", run.name),
            run.start.as_ref().map_or(0, |start| start.blocks.len()).to_string(),
            done.metric_text(),
            bytes(done.peak_bytes),
            format!("{:.1}", done.seconds),
        ])
    });
    let judged = runs.iter().find_map(|run| run.done.as_ref()?.metric_name()).unwrap_or("accuracy");
    table(&["rule", "blocks", judged, "measured peak", "seconds"], &rows.collect::<Vec<_>>())
}
