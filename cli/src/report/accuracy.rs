//! Accuracy after each epoch, all runs in one chart.

use super::axis::{Axis, Unit};
use super::chart::{Chart, Curve};
use super::curve::{POINT_LIMIT, Point, range, thin};
use super::runs::Run;
use super::text::percent;
use super::{run_style, section};

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
    let chart = Chart {
        id: "accuracy".into(),
        title: "Accuracy after each epoch".into(),
        description: format!("{}.", outcomes.join("; ")),
        x,
        y: Axis::rounded("accuracy", Unit::Percent, low, high.min(1.0)),
        curves,
        bands: Vec::new(),
        levels: Vec::new(),
    };
    let note =
        "<p class=\"note\">The part of the evaluation samples that the network classified rightly.</p>";
    section("accuracy", "Accuracy after each epoch", &format!("{}{note}", chart.responsive()))
}

fn curve(runs: &[Run], at: usize) -> Option<Curve> {
    let run = &runs[at];
    let points: Vec<Point> = run.epochs.iter().map(|epoch| (epoch.epoch as f64, epoch.accuracy)).collect();
    let last = points.iter().rev().find(|point| point.1.is_finite())?.1;
    let (colour, dashed) = run_style(runs, at);
    Some(Curve {
        name: run.name.clone(),
        colour,
        dashed,
        dots: points.len() <= 30,
        points: thin(&points, POINT_LIMIT),
        label: percent(last),
        ..Curve::default()
    })
}
