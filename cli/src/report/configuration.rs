//! The settings of each run, side by side, and how to repeat it.

use super::runs::Run;
use super::section;
use super::text::{UNKNOWN, bytes, count, escape, times};
use crate::metrics::Start;

/// The section, or nothing if no run says what it is.
pub(crate) fn configuration(runs: &[Run]) -> String {
    let known: Vec<(&Run, &Start)> = runs.iter().filter_map(|run| Some((run, run.start.as_ref()?))).collect();
    if known.is_empty() {
        return String::new();
    }
    let headings: String =
        known.iter().map(|(run, _)| format!("<th scope=\"col\">{}</th>", escape(&run.name))).collect();
    let settings: Vec<Vec<(&str, String)>> = known.iter().map(|(run, start)| settings(run, start)).collect();
    let line = |at: usize| {
        let values: String = settings.iter().map(|of_run| format!("<td>{}</td>", of_run[at].1)).collect();
        format!("<tr><th scope=\"row\">{}</th>{values}</tr>", settings[0][at].0)
    };
    let lines: String = (0..settings[0].len()).map(line).collect();
    let content = format!(
        "<div class=\"scroll\"><table class=\"settings\"><thead><tr><th scope=\"col\">Setting</th>{headings}</tr>\
         </thead><tbody>{lines}</tbody></table></div>{}",
        repetition(&known)
    );
    section("configuration", "Configuration", &content)
}

/// The same names in the same order for every run.
fn settings(run: &Run, start: &Start) -> Vec<(&'static str, String)> {
    let auxiliary: u64 = start.blocks.iter().map(|block| block.auxiliary_parameters).sum();
    let planned = run.done.as_ref().and_then(|done| done.planned_bytes);
    vec![
        ("Network", escape(&start.network)),
        ("Rule", escape(&start.rule)),
        ("Blocks", count(start.blocks.len() as u64)),
        ("Length", length(start)),
        ("Batch", count(start.batch)),
        ("Seed", start.seed.to_string()),
        ("Training samples", count(start.samples)),
        ("Classes", count(start.classes)),
        ("Size of a sample", times(&start.input.to_string())),
        ("Parameters of the network", count(start.parameters)),
        ("Parameters of auxiliary networks", count(auxiliary)),
        ("Planned peak", planned.map_or(UNKNOWN.into(), |planned| bytes(planned as f64))),
        ("Device", if start.device.is_empty() { UNKNOWN.into() } else { escape(&start.device) }),
        ("Version", escape(&start.version)),
    ]
}

fn length(start: &Start) -> String {
    let parts = [(start.epochs, "epochs"), (start.steps, "steps")];
    let known: Vec<String> =
        parts.iter().filter_map(|(number, name)| Some(format!("{} {name}", count((*number)?)))).collect();
    if known.is_empty() { UNKNOWN.into() } else { known.join(", ") }
}

fn repetition(known: &[(&Run, &Start)]) -> String {
    let mut commands: Vec<&str> = Vec::new();
    for (_, start) in known {
        if !start.command.is_empty() && !commands.contains(&start.command.as_str()) {
            commands.push(&start.command);
        }
    }
    if commands.is_empty() {
        return "<h3>To repeat it</h3><p>Run <code>localgrad train</code> of the same version with the settings above, \
                the seed included.</p>"
            .into();
    }
    let commands: String =
        commands.iter().map(|command| format!("<pre><code>{}</code></pre>", escape(command))).collect();
    format!("<h3>To repeat it</h3>{commands}")
}
