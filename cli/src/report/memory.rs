//! Live memory during one step, all runs in one chart on a common time scale.

use super::axis::{Axis, Unit};
use super::chart::{Band, Chart, Curve, Level};
use super::curve::{POINT_LIMIT, Point, range, stairs, thin};
use super::palette::block_colour;
use super::runs::Run;
use super::text::{bytes, count, escape, seconds};
use super::{run_style, section};
use crate::metrics::Memory;

/// A plan is drawn if it is not so far above the curves that it would flatten them.
const PLAN_RATIO: f64 = 1.6;

/// More stretches than this are a schedule that jumps between blocks: shading would be noise.
const BAND_LIMIT: usize = 400;

/// The chart, or nothing if no step was traced.
pub(crate) fn memory(runs: &[Run]) -> String {
    let curves: Vec<Curve> = (0..runs.len()).filter_map(|at| curve(runs, at)).collect();
    let Some((_, high)) = range(curves.iter().flat_map(|curve| &curve.points).map(|point| point.1)) else {
        return String::new();
    };
    let shaded = runs.iter().find(|run| run.is_local() && run.memory.is_some());
    let bands = shaded.map_or(Vec::new(), bands);
    let plan = shaded.and_then(|run| plan(runs, run, high));
    let top = plan.as_ref().map_or(high, |plan| plan.y.max(high));
    let peaks: Vec<String> =
        curves.iter().map(|curve| format!("{} peaks at {}", curve.name, curve.label)).collect();
    let chart = Chart {
        id: "memory".into(),
        title: "Live memory during one step".into(),
        description: format!("{}.", peaks.join("; ")),
        x: Axis::exact("part of the step", Unit::Number, 0.0, 1.0),
        // Room for the label of the highest peak.
        y: Axis::rounded("live memory", Unit::Bytes, 0.0, top.max(high * 1.07)),
        curves,
        bands,
        levels: plan.into_iter().collect(),
    };
    let content = format!("{}{}", chart.responsive(), note(runs, shaded));
    section("memory", "Memory during one step", &content)
}

fn note(runs: &[Run], shaded: Option<&Run>) -> String {
    let traced = runs.iter().filter_map(|run| {
        let memory = run.memory.as_ref()?;
        let length = seconds(length_seconds(memory));
        Some(format!("{} (step {}, {length})", escape(&run.name), count(memory.step)))
    });
    let traced: Vec<String> = traced.collect();
    let shading = shaded.map_or(String::new(), |run| {
        format!(" Shaded: the block that {} is training at that moment.", escape(&run.name))
    });
    format!(
        "<p class=\"note\">What is allocated while one step runs, of {}, each from its beginning (0) to its end \
         (1).{shading}</p>",
        traced.join(" and ")
    )
}

/// The time of the last point.
fn length_seconds(memory: &Memory) -> f64 {
    range(memory.points.iter().map(|point| point[0])).map_or(0.0, |(_, last)| last)
}

/// Where in the step a moment is, from 0 to 1.
fn part(memory: &Memory) -> impl Fn(f64) -> f64 {
    let length = length_seconds(memory);
    move |seconds| if length > 0.0 { (seconds / length).clamp(0.0, 1.0) } else { 0.0 }
}

fn curve(runs: &[Run], at: usize) -> Option<Curve> {
    let run = &runs[at];
    let memory = run.memory.as_ref()?;
    let part = part(memory);
    let points: Vec<Point> = memory.points.iter().map(|point| (part(point[0]), point[1])).collect();
    let peak =
        points.iter().copied().filter(|point| point.1.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1))?;
    let (colour, dashed) = run_style(runs, at);
    Some(Curve {
        name: run.name.clone(),
        colour,
        // Dashes would hide the many short ups and downs.
        dashed: dashed && points.len() < 60,
        points: stairs(&thin(&points, POINT_LIMIT / 2)),
        label: bytes(peak.1),
        mark: Some(peak),
        ..Curve::default()
    })
}

/// The stretches of the traced step in which one block is trained.
fn bands(run: &Run) -> Vec<Band> {
    let Some(memory) = &run.memory else { return Vec::new() };
    let part = part(memory);
    let last_block = run.blocks().len().saturating_sub(1);
    let mut stretches: Vec<(f64, f64, usize)> = Vec::new();
    for point in &memory.points {
        let (moment, block) = (part(point[0]), (point[2].max(0.0) as usize).min(last_block));
        match stretches.last_mut() {
            Some(last) if last.2 == block => last.1 = moment,
            Some(last) => {
                last.1 = moment;
                stretches.push((moment, moment, block));
            }
            None => stretches.push((moment, moment, block)),
        }
    }
    if stretches.len() > BAND_LIMIT {
        return Vec::new();
    }
    let band = |(from, to, block): (f64, f64, usize)| Band {
        from,
        to,
        colour: block_colour(block, last_block + 1),
        label: format!("block {}", block + 1),
    };
    stretches.into_iter().filter(|(from, to, _)| to > from).map(band).collect()
}

fn plan(runs: &[Run], run: &Run, high: f64) -> Option<Level> {
    let planned = run.done.as_ref()?.planned_bytes? as f64;
    let at = runs.iter().position(|other| other.name == run.name)?;
    (planned <= high * PLAN_RATIO).then(|| Level {
        y: planned,
        colour: run_style(runs, at).0,
        label: ["planned".into(), bytes(planned)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{BlockRecord, Start};

    #[test]
    fn bands_cover_the_step_block_by_block() {
        let points = vec![[0.0, 5.0, 0.0], [0.5, 9.0, 0.0], [1.0, 6.0, 1.0], [2.0, 4.0, 1e30]];
        let memory = Some(Memory { points, ..Memory::default() });
        let blocks = vec![BlockRecord::default(); 2];
        let start = Some(Start { blocks, ..Start::default() });
        let bands = bands(&Run { memory, start, ..Run::default() });
        let ends: Vec<(f64, f64, &str)> = bands.iter().map(|b| (b.from, b.to, b.label.as_str())).collect();
        assert_eq!(ends, [(0.0, 0.5, "block 1"), (0.5, 1.0, "block 2")]);
    }

    #[test]
    fn a_trace_without_points_or_time_draws_nothing_wrong() {
        for points in [vec![], vec![[0.0, 7.0, 0.0]], vec![[f64::NAN, f64::NAN, f64::NAN]]] {
            let run = Run { memory: Some(Memory { points, ..Memory::default() }), ..Run::default() };
            let text = memory(&[run]);
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}
