//! How well each class is known at the end, all runs side by side.

use super::runs::Run;
use super::section;
use super::text::{UNKNOWN, count, escape, percent};
use crate::metrics::ClassRecord;

/// The table, or nothing if no run has come to an end.
pub(crate) fn classes(runs: &[Run]) -> String {
    let judged = |run: &Run| run.done.as_ref().map(|done| done.classes.clone()).filter(|all| !all.is_empty());
    let known: Vec<(&Run, Vec<ClassRecord>)> =
        runs.iter().filter_map(|run| Some((run, judged(run)?))).collect();
    let Some((_, first)) = known.first() else { return String::new() };
    let headings: String =
        known.iter().map(|(run, _)| format!("<th scope=\"col\">{}</th>", escape(&run.name))).collect();
    let cell = |accuracy: Option<f64>| format!("<td>{}</td>", accuracy.map_or(UNKNOWN.into(), percent));
    let line = |(number, class): (usize, &ClassRecord)| {
        let of_run =
            |(_, all): &(&Run, Vec<ClassRecord>)| cell(all.get(number).and_then(|class| class.accuracy));
        let cells: String = known.iter().map(of_run).collect();
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td>{cells}</tr>",
            escape(&class.name),
            count(class.samples)
        )
    };
    let lines: String = first.iter().enumerate().map(line).collect();
    let of_run =
        |(run, _): &(&Run, Vec<ClassRecord>)| cell(run.done.as_ref().and_then(|done| done.macro_accuracy));
    let means: String = known.iter().map(of_run).collect();
    let table = format!(
        "<div class=\"scroll\"><table class=\"settings\"><thead><tr><th scope=\"col\">Class</th><th \
         scope=\"col\">Samples</th>{headings}</tr></thead><tbody>{lines}<tr><th scope=\"row\">Mean of the \
         classes</th><td></td>{means}</tr></tbody></table></div>"
    );
    if first.iter().any(|class| class.precision.is_some()) {
        let note = "<p class=\"note\">The part of the evaluation samples with each label for which the network found it.</p>";
        return section("classes", "Recall of each label", &format!("{table}{note}"));
    }
    let note = "<p class=\"note\">The part of each class's evaluation samples that was classified rightly at the end. In \
                the mean every class counts the same, however many samples it has.</p>";
    section("classes", "Accuracy of each class", &format!("{table}{note}"))
}
