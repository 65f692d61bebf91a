//! The head of the page: what was trained, what came out in a sentence, and all runs in one table.

use super::palette::block_colour;
use super::runs::{Run, baseline, heading, metric_words};
use super::text::{UNKNOWN, bytes, count, counted, escape, percent, points, ratio, seconds, times};
use super::{run_style, section};
use crate::metrics::{Done, metric_text};

/// The title and what was trained on what.
pub(crate) fn header(runs: &[Run]) -> String {
    let Some(start) = runs.iter().find_map(|run| run.start.as_ref()) else {
        return "<header><h1>Training report</h1></header>".into();
    };
    format!(
        "<header><p class=\"kicker\">localgrad {}</p><h1>Training report: {}</h1><p class=\"lede\">{}, trained on \
         {} of {} in {}.</p></header>",
        escape(&start.version),
        escape(&start.network),
        counted(start.parameters, "parameter"),
        counted(start.samples, "sample"),
        times(&start.input.to_string()),
        if start.classes == 1 { "1 class".into() } else { format!("{} classes", count(start.classes)) },
    )
}

/// The comparison of all runs.
pub(crate) fn comparison(runs: &[Run]) -> String {
    if runs.is_empty() {
        return section("summary", "Summary", "<p>There are no records yet: the run has only begun.</p>");
    }
    let rows: String = (0..runs.len()).map(|at| row(runs, at)).collect();
    let judged = heading(&metric_words(runs));
    let headings: String = ["Run", "Rule", "Blocks", &judged, "Peak memory", "Time", "Speed"]
        .iter()
        .map(|heading| format!("<th scope=\"col\">{heading}</th>"))
        .collect();
    let table =
        format!("<table class=\"runs\"><thead><tr>{headings}</tr></thead><tbody>{rows}</tbody></table>");
    let note = match baseline(runs) {
        Some(base) if runs.len() > 1 => format!(
            "<p class=\"note\">Small figures compare with end-to-end training, the run “{}”. Memory counts what the \
             program allocated on the host.</p>",
            escape(&base.name)
        ),
        _ => "<p class=\"note\">Memory counts what the program allocated on the host.</p>".into(),
    };
    section("summary", "Summary", &format!("{}{table}{note}{}", in_a_sentence(runs), warnings(runs)))
}

/// What the first local run cost and reached beside end-to-end training; empty if one of them is not done.
fn in_a_sentence(runs: &[Run]) -> String {
    let finished = |run: &&Run| run.done.as_ref().is_some_and(|done| !done.interrupted);
    let (Some(local), Some(base)) =
        (runs.iter().filter(finished).find(|run| run.is_local()), baseline(runs).filter(finished))
    else {
        return String::new();
    };
    let numbers = (local.accuracy(), base.accuracy(), local.peak_bytes(), base.peak_bytes());
    let (Some(accuracy), Some(base_accuracy), Some(peak), Some(base_peak)) = numbers else {
        return String::new();
    };
    // A number and its unit stay on one line.
    let whole = |text: String| text.replace(' ', "\u{a0}");
    format!(
        "<p class=\"finding\">Block by block, <b>{}</b> reached <b>{}</b> with a peak of <b>{}</b>; end to end, the \
         same network reached {} with {}.</p>",
        escape(&local.name),
        whole(percent(accuracy)),
        whole(bytes(peak as f64)),
        whole(percent(base_accuracy)),
        whole(bytes(base_peak as f64))
    )
}

fn row(runs: &[Run], at: usize) -> String {
    let run = &runs[at];
    let base = baseline(runs).filter(|base| base.name != run.name);
    let (colour, _) = run_style(runs, at);
    let rule = run.start.as_ref().map_or(UNKNOWN.into(), |start| escape(&start.rule));
    let blocks = match run.blocks().len() {
        0 => UNKNOWN.into(),
        1 => "1".into(),
        many => format!("{many} {}", swatches(many)),
    };
    let judged = heading(&metric_words(runs));
    let cells = [
        (
            "Run",
            format!(
                "<span class=\"dot\" style=\"background:{colour}\"></span>{}{}",
                escape(&run.name),
                status(run)
            ),
        ),
        ("Rule", rule),
        ("Blocks", blocks),
        (&judged, accuracy_cell(run, base)),
        ("Peak memory", memory_cell(runs, run, base, &colour)),
        ("Time", time_cell(runs, run, base, &colour)),
        ("Speed", run.samples_per_second().map_or(UNKNOWN.into(), |speed| format!("{speed:.0} samples/s"))),
    ];
    let cell = |(place, (heading, content)): (usize, &(&str, String))| match place {
        0 => format!("<th scope=\"row\">{content}</th>"),
        _ => format!("<td data-heading=\"{heading}\"><div>{content}</div></td>"),
    };
    let cells: String = cells.iter().enumerate().map(cell).collect();
    format!("<tr>{cells}</tr>")
}

fn swatches(blocks: usize) -> String {
    let swatch = |block| format!("<i style=\"background:{}\"></i>", block_colour(block, blocks));
    let all: String = (0..blocks).map(swatch).collect();
    format!("<span class=\"swatches\" aria-hidden=\"true\">{all}</span>")
}

fn status(run: &Run) -> String {
    let steps = counted(run.steps_done(), "step");
    let text = match &run.done {
        Some(done) if done.interrupted => format!("stopped after {steps}"),
        Some(_) => steps,
        None => format!("not finished, {steps} so far"),
    };
    format!("<small>{text}</small>")
}

fn accuracy_cell(run: &Run, base: Option<&Run>) -> String {
    let accuracy = match run.metric() {
        Some((name, value)) if name.ends_with("_error") => return metric_text(name, value),
        Some((_, share)) => share,
        None => return UNKNOWN.into(),
    };
    let difference = base.and_then(Run::accuracy).map(|base| points(accuracy - base));
    let best = run.done.as_ref().filter(|done| done.best_accuracy.is_some_and(|best| best > accuracy));
    let best = best.and_then(Done::best_text).map(|text| format!("best: {text}"));
    format!("{}{}{}", percent(accuracy), small(difference), small(best))
}

fn memory_cell(runs: &[Run], run: &Run, base: Option<&Run>, colour: &str) -> String {
    let Some(peak) = run.peak_bytes() else { return UNKNOWN.into() };
    let most = runs.iter().filter_map(Run::peak_bytes).max().unwrap_or(peak);
    let compared = base.and_then(Run::peak_bytes).map(|base| ratio(peak as f64, base as f64));
    let planned = run.done.as_ref().and_then(|done| done.planned_bytes);
    let planned = planned.map(|planned| format!("{} planned", bytes(planned as f64)));
    format!(
        "{}{}{}{}",
        bytes(peak as f64),
        small(compared),
        small(planned),
        bar(peak as f64, most as f64, colour)
    )
}

fn time_cell(runs: &[Run], run: &Run, base: Option<&Run>, colour: &str) -> String {
    let Some(time) = run.seconds() else { return UNKNOWN.into() };
    let longest = runs.iter().filter_map(Run::seconds).fold(time, f64::max);
    let compared = base.and_then(Run::seconds).map(|base| ratio(time, base));
    let waited = run.done.as_ref().and_then(|done| done.waited_seconds);
    let waited = waited.map(|waited| format!("{} of it for data", seconds(waited)));
    let rested = run.done.as_ref().and_then(|done| done.rested_seconds);
    let rested = rested.map(|rested| format!("rested {}, because the machine was hot", seconds(rested)));
    let notes = [compared, waited, rested].map(small).concat();
    format!("{}{notes}{}", seconds(time), bar(time, longest, colour))
}

fn small(text: Option<String>) -> String {
    text.map_or(String::new(), |text| format!("<small>{text}</small>"))
}

/// A bar as long as the value's part of the largest.
fn bar(value: f64, largest: f64, colour: &str) -> String {
    let part = if largest > 0.0 { (100.0 * value / largest).clamp(0.0, 100.0) } else { 0.0 };
    format!(
        "<span class=\"bar\" aria-hidden=\"true\"><i style=\"width:{part:.1}%;background:{colour}\"></i></span>"
    )
}

fn warnings(runs: &[Run]) -> String {
    let of_run = |run: &Run| -> String {
        let item = |message: &String| format!("<li><b>{}</b>: {}</li>", escape(&run.name), escape(message));
        run.warnings.iter().map(item).collect()
    };
    let items: String = runs.iter().map(of_run).collect();
    if items.is_empty() {
        return String::new();
    }
    format!("<div class=\"warnings\" role=\"note\"><h3>Warnings</h3><ul>{items}</ul></div>")
}
