//! What runs are judged by after each epoch, such as their accuracy, all runs in one chart.

use super::axis::{Axis, Unit};
use super::chart::{Chart, Curve};
use super::curve::{POINT_LIMIT, Point, range, thin};
use super::runs::{Run, heading, metric_words};
use super::text::percent;
use super::{run_style, section};
use crate::metrics::Epoch;

/// The chart, or nothing if no run has ended an epoch.
pub(crate) fn accuracy(runs: &[Run]) -> String {
    let curves: Vec<Curve> = (0..runs.len()).filter_map(|at| curve(runs, at)).collect();
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let (Some((first, last)), Some((low, high))) =
        (range(all().map(|point| point.0)), range(all().map(|point| point.1)))
    else {
        return String::new();
    };
    let x = if first == last {
        Axis::exact("epoch", Unit::Count, first - 1.0, last + 1.0)
    } else {
        Axis::exact("epoch", Unit::Count, first, last)
    };
    let outcomes: Vec<String> =
        curves.iter().map(|curve| format!("{} ends at {}", curve.name, curve.label)).collect();
    let words = metric_words(runs);
    let title = format!("{} after each epoch", heading(&words));
    let y = match are_errors(runs) {
        true => Axis::rounded(&words, Unit::Number, low.min(0.0), high),
        false => Axis::rounded(&words, Unit::Percent, low, high.min(1.0)),
    };
    let chart = Chart {
        id: "accuracy".into(),
        title: title.clone(),
        description: format!("{}.", outcomes.join("; ")),
        x,
        y,
        curves,
        bands: Vec::new(),
        levels: Vec::new(),
    };
    let note = match words.as_str() {
        "accuracy" => "The part of the evaluation samples that the network classified rightly.",
        "label accuracy" => "The part of the right answers, of one for each label of each evaluation sample.",
        _ => "The mean distance of the answers from the values of the evaluation samples.",
    };
    let note = format!("<p class=\"note\">{note}</p>");
    section("accuracy", &title, &format!("{}{note}", chart.responsive()))
}

/// Whether runs are judged by errors, which are the better the less, and no shares.
fn are_errors(runs: &[Run]) -> bool {
    runs.iter().find_map(Run::metric).is_some_and(|(name, _)| name.ends_with("_error"))
}

fn curve(runs: &[Run], at: usize) -> Option<Curve> {
    let run = &runs[at];
    let value = |epoch: &Epoch| epoch.judged.first().map_or(epoch.accuracy, |(_, value)| value);
    let points: Vec<Point> = run.epochs.iter().map(|epoch| (epoch.epoch as f64, value(epoch))).collect();
    let last = points.iter().rev().find(|point| point.1.is_finite())?.1;
    let (colour, dashed) = run_style(runs, at);
    Some(Curve {
        name: run.name.clone(),
        colour,
        dashed,
        dots: points.len() <= 30,
        points: thin(&points, POINT_LIMIT),
        label: if are_errors(runs) { format!("{last:.3}") } else { percent(last) },
        ..Curve::default()
    })
}
