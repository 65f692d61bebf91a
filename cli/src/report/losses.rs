//! The loss of each block over the steps, one chart a run.

use super::axis::{Axis, Unit};
use super::chart::{Chart, Curve};
use super::curve::{POINT_LIMIT, Point, range, smooth, smoothing_window, thin};
use super::palette::block_colour;
use super::runs::Run;
use super::text::{counted, escape};
use super::{run_style, section};

/// With more blocks than this the faint lines of single steps would hide everything else.
const FAINT_LIMIT: usize = 8;

/// With more blocks than this labels at the ends of the lines would only cover each other.
const LABEL_LIMIT: usize = 12;

/// A logarithmic axis is used if the highest loss is so many times the lowest.
const LOGARITHMIC_RATIO: f64 = 40.0;

/// The charts, or nothing if no run has done a step.
pub(crate) fn losses(runs: &[Run]) -> String {
    let charts: Vec<(&Run, Chart)> =
        (0..runs.len()).filter_map(|at| Some((&runs[at], chart(runs, at)?))).collect();
    let figure = |(run, chart): &(&Run, Chart)| {
        let drawing = if charts.len() == 1 { chart.responsive() } else { chart.small() };
        format!("<figure><h3>{}</h3>{drawing}{}</figure>", escape(&run.name), note(run))
    };
    let figures: String = charts.iter().map(figure).collect();
    if figures.is_empty() {
        return String::new();
    }
    section("losses", "Loss of each block", &format!("<div class=\"grid-of-charts\">{figures}</div>"))
}

fn note(run: &Run) -> String {
    let window = smoothing_window(run.steps.len());
    let blocks = run.losses();
    let faint = if blocks > FAINT_LIMIT { "" } else { "; faint: single steps" };
    let smoothed = if window > 1 {
        format!("Averaged over about {}{faint}.", counted(window as u64, "step"))
    } else {
        "The loss of single steps.".into()
    };
    format!("<p class=\"note\">{smoothed}</p>")
}

fn chart(runs: &[Run], at: usize) -> Option<Chart> {
    let run = &runs[at];
    let (first, last) = (run.steps.first()?.step as f64, run.steps.last()?.step as f64);
    let blocks = run.losses();
    let curves: Vec<Curve> = (0..blocks).map(|block| curve(runs, at, block, blocks)).collect();
    let drawn = || curves.iter().flat_map(|curve| curve.points.iter().chain(&curve.faint));
    let (low, high) = range(drawn().map(|point| point.1))?;
    let y = if low > 0.0 && high / low > LOGARITHMIC_RATIO {
        Axis::logarithmic("loss, logarithmic", low, high)
    } else {
        Axis::rounded("loss", Unit::Number, low.min(0.0), high)
    };
    Some(Chart {
        id: format!("losses-{at}"),
        title: format!("Loss over the steps of {}", run.name),
        description: description(&curves),
        x: Axis::exact("step", Unit::Count, first, last),
        y,
        curves,
        bands: Vec::new(),
        levels: Vec::new(),
    })
}

fn description(curves: &[Curve]) -> String {
    let ends = curves.iter().filter_map(|curve| {
        let finite = || curve.points.iter().filter(|point| point.1.is_finite());
        let (first, last) = (finite().next()?, finite().next_back()?);
        Some(format!("{} from {:.3} to {:.3}", curve.name, first.1, last.1))
    });
    let ends: Vec<String> = ends.collect();
    format!("{}.", ends.join("; "))
}

fn curve(runs: &[Run], at: usize, block: usize, blocks: usize) -> Curve {
    let run = &runs[at];
    let loss = |step: &crate::metrics::Step| step.losses.get(block).copied().unwrap_or(f64::NAN);
    let raw: Vec<Point> = run.steps.iter().map(|step| (step.step as f64, loss(step))).collect();
    let window = smoothing_window(raw.len());
    let single = blocks == 1;
    Curve {
        name: if single { "the whole network".into() } else { format!("block {}", block + 1) },
        colour: if single { run_style(runs, at).0 } else { block_colour(block, blocks) },
        points: thin(&smooth(&raw, window), POINT_LIMIT),
        faint: if window > 1 && blocks <= FAINT_LIMIT { thin(&raw, POINT_LIMIT) } else { Vec::new() },
        label: if !single && blocks <= LABEL_LIMIT { (block + 1).to_string() } else { String::new() },
        ..Curve::default()
    }
}
