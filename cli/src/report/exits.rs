//! What the exits of each run can do and cost, one chart and one table a run.

use super::axis::{Axis, Unit};
use super::chart::{Chart, Curve};
use super::curve::{Point, range};
use super::runs::Run;
use super::text::{bytes, count, escape, percent};
use super::{run_style, section};
use crate::metrics::Exit;

/// Charts and tables, or nothing where no run kept its exits.
pub(crate) fn exits(runs: &[Run]) -> String {
    let of_run = |at: usize| {
        let run = &runs[at];
        let chart = chart(runs, at)?;
        Some(format!(
            "<figure><h3>{}</h3>{}{}</figure>",
            escape(&run.name),
            chart.responsive(),
            table(&run.exits)
        ))
    };
    let figures: String = (0..runs.len()).filter_map(of_run).collect();
    if figures.is_empty() {
        return String::new();
    }
    let note = "<p class=\"note\">Each is the network that ends behind a block, with the block's auxiliary network in place of \
                the rest; the last is the whole. <code>export --exit</code> makes one a file of its own.</p>";
    section("exits", "Exits", &format!("{figures}{note}"))
}

fn chart(runs: &[Run], at: usize) -> Option<Chart> {
    let run = &runs[at];
    let points: Vec<Point> =
        run.exits.iter().map(|exit| (exit.multiply_adds as f64 / 1e6, exit.accuracy)).collect();
    let (_, most) = range(points.iter().map(|point| point.0))?;
    let (low, high) = range(points.iter().map(|point| point.1))?;
    let told: Vec<String> =
        run.exits.iter().map(|exit| format!("exit {}: {}", exit.exit, percent(exit.accuracy))).collect();
    let (colour, dashed) = run_style(runs, at);
    let last = points.last()?.1;
    let curve = Curve {
        name: run.name.clone(),
        colour,
        dashed,
        dots: true,
        points,
        label: percent(last),
        ..Curve::default()
    };
    Some(Chart {
        id: format!("exits-{at}"),
        title: format!("Accuracy of the exits of {} by what they cost", run.name),
        description: format!("{}.", told.join("; ")),
        x: Axis::rounded("million multiply-adds", Unit::Number, 0.0, most),
        y: Axis::rounded("accuracy", Unit::Percent, low, high.min(1.0)),
        curves: vec![curve],
        bands: Vec::new(),
        levels: Vec::new(),
    })
}

fn table(exits: &[Exit]) -> String {
    let row = |exit: &Exit| {
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.3} ms</td></tr>",
            exit.exit,
            exit.after_unit,
            percent(exit.accuracy),
            count(exit.multiply_adds),
            count(exit.parameters),
            bytes(exit.bytes as f64),
            exit.milliseconds
        )
    };
    let rows: String = exits.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Exit</th><th scope=\"col\">After unit</th><th \
         scope=\"col\">Accuracy</th><th scope=\"col\">Multiply-adds</th><th scope=\"col\">Parameters</th><th \
         scope=\"col\">Weights</th><th scope=\"col\">A sample</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
}
