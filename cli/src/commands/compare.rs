//! `localgrad plan --compare`: what the main rules make of one network, one batch and one budget.

use crate::arguments::PlanArguments;
use crate::choices;
use crate::fault::Outcome;
use crate::output::{Output, bytes, table};
use localgrad::plan::{self, Candidate, Freedom, Rates, Workload};
use localgrad::rules::{Head, Rule, RuleConfig};
use serde::Serialize;

/// What is said of every local rule, with errors from the papers of DGL, MAN and AugLocal.
const CAVEAT: &str = "Local rules lose accuracy where blocks are many and runs short. Published errors on CIFAR-10, about: \
                      ResNet-32 in 16 blocks, end to end 6.4 %, dgl 14.1 %, man over dgl 9.1 %; ResNet-110, end to end \
                      5.4 %, auglocal 6.0 %. Few blocks lose least.";

/// One rule under the budget.
#[derive(Debug, Serialize)]
struct Row {
    event: &'static str,
    rule: String,
    /// The fastest way that keeps to the budget; without one the given cut. Absent where nothing fits.
    way: Option<Candidate>,
    /// An estimate from counted operations; none on a device, whose speed nobody knows.
    seconds_per_sample: Option<f64>,
    /// On a device, the counted work of a sample beside that of the first rule that fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    relative_work: Option<f64>,
    /// Bytes written to storage and read from it.
    stored_bytes_per_sample: Option<f64>,
    /// The least memory that this rule can do with.
    least: Option<Candidate>,
}

impl Row {
    /// What decides between two that fit: time, or work where time is not known.
    fn cost(&self) -> Option<f64> {
        self.seconds_per_sample.or(self.relative_work)
    }
}

/// The rules that are compared.
fn rules() -> Vec<(String, RuleConfig)> {
    let infopro = Head::Conv { convolutions: 1, linears: 2 };
    vec![
        ("bp".into(), RuleConfig::new(Rule::Bp)),
        ("greedy".into(), RuleConfig::new(Rule::Greedy)),
        ("dgl".into(), RuleConfig::new(Rule::Dgl)),
        ("infopro".into(), RuleConfig::new(Rule::Infopro)),
        ("man over dgl".into(), RuleConfig::over(Rule::Man, Head::Dgl, false)),
        ("man over infopro".into(), RuleConfig::over(Rule::Man, infopro, true)),
        ("auglocal".into(), RuleConfig::new(Rule::Auglocal)),
        (
            "man over auglocal".into(),
            RuleConfig { depth: 1, ..RuleConfig::over(Rule::Man, Head::Auglocal, false) },
        ),
    ]
}

/// Leaves out times, which nobody knows of a device: work that is counted stays, beside that of the first rule that fits.
fn without_times(rows: &mut [Row]) {
    let first = rows.iter().find_map(|row| row.seconds_per_sample);
    for row in rows {
        row.relative_work = row.seconds_per_sample.take().zip(first).map(|(own, first)| own / first);
        // Not a number is null in JSON.
        for candidate in row.way.iter_mut().chain(&mut row.least) {
            candidate.step_seconds = f64::NAN;
        }
    }
}

/// Compares these rules on `workload`, whose own rule is left aside; trains nothing.
pub fn run(
    arguments: &PlanArguments,
    workload: &Workload,
    budget_bytes: Option<usize>,
    rates: &Rates,
) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    let mut rows = Vec::new();
    for (name, rule) in rules() {
        let row = row(name, rule, arguments, workload, budget_bytes, rates)?;
        rows.push(row);
    }
    let on_device = workload.place.as_ref().is_some_and(|place| !place.is_host());
    if on_device {
        without_times(&mut rows);
    }
    rows.iter().for_each(|row| output.record(row));
    if !output.json {
        output.text(&report(workload, budget_bytes, &rows));
    }
    Ok(())
}

fn row(
    name: String,
    rule: RuleConfig,
    arguments: &PlanArguments,
    workload: &Workload,
    budget_bytes: Option<usize>,
    rates: &Rates,
) -> Outcome<Row> {
    let cut = choices::cut(&arguments.rule, &arguments.waiting.block_batches, &workload.network, &rule)?;
    let mut workload = workload.clone();
    (workload.train.method.ends, workload.train.execution.pieces) = (cut.ends, cut.pieces);
    workload.train.method.rule = rule;
    let given = choices::freedom(
        &arguments.rule,
        &arguments.waiting,
        arguments.recipe.micro_batch,
        &workload.network,
        &workload.train.method.rule,
    )?;
    let all = Freedom {
        cuts: choices::every_cut(&workload.network, &workload.train.method.rule)?,
        micro_batch: true,
        recompute: true,
        pieces: true,
        half: true,
        files: true,
    };
    let least = plan::least(&workload, &all, rates)?;
    let way = match budget_bytes {
        Some(budget_bytes) => plan::fastest(&workload, &given, budget_bytes, rates)?,
        None => Some(Candidate::of(&workload, rates)?),
    };
    let seconds_per_sample = way.as_ref().map(|way| way.step_seconds / workload.batch as f64);
    let stored_bytes_per_sample = way.as_ref().map(|way| way.stored_bytes / workload.batch as f64);
    let relative_work = None;
    Ok(Row {
        event: "compared",
        rule: name,
        way,
        seconds_per_sample,
        relative_work,
        stored_bytes_per_sample,
        least,
    })
}

fn report(workload: &Workload, budget_bytes: Option<usize>, rows: &[Row]) -> String {
    let Workload { network, batch, threads, .. } = workload;
    let under = budget_bytes.map_or(String::new(), |budget| format!(" within {}", bytes(budget as u64)));
    let device = workload.place.as_ref().filter(|place| !place.is_host());
    let on = device.map_or_else(|| format!("{threads} threads"), |place| format!("on {}", place.name()));
    let mut text = format!("{} with batch {batch}, {on}{under}\n\n", network.name);
    let cost = if device.is_some() { "work a sample, the first's = 1" } else { "ms a sample (estimate)" };
    text += &table(
        &["rule", "the fastest way", "peak", cost, "to and from storage a sample", "least that would do"],
        &rows.iter().map(cells).collect::<Vec<_>>(),
    );
    text + "\n\n" + &advice(rows) + "\n" + CAVEAT
}

fn cells(row: &Row) -> Vec<String> {
    let size = |candidate: &Candidate| bytes(candidate.peak_bytes as u64);
    let none = || "does not fit".to_string();
    vec![
        row.rule.clone(),
        row.way.as_ref().map_or_else(none, Candidate::words),
        row.way.as_ref().map_or_else(String::new, size),
        row.cost().map_or_else(String::new, |cost| match row.relative_work {
            Some(_) => format!("{cost:.2}"),
            None => format!("{:.2}", cost * 1e3),
        }),
        row.stored_bytes_per_sample.map_or_else(String::new, |stored| bytes(stored as u64)),
        row.least.as_ref().map_or_else(String::new, size),
    ]
}

/// Which to prefer, and why.
fn advice(rows: &[Row]) -> String {
    let cost = |row: &&Row| row.cost().unwrap_or(f64::INFINITY);
    let is_time = rows.iter().any(|row| row.seconds_per_sample.is_some());
    let noun = if is_time { "time" } else { "work" };
    let fastest = |rows: &mut dyn Iterator<Item = &Row>| -> Option<(String, f64)> {
        let best = rows.filter(|row| row.way.is_some()).min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
        Some((best.rule.clone(), cost(&best)))
    };
    let whole = fastest(&mut rows.iter().filter(|row| row.rule == "bp"));
    // Greedy blocks are cheap, and far from the accuracy of the others.
    let local = fastest(&mut rows.iter().filter(|row| row.rule != "bp" && row.rule != "greedy"));
    match (whole, local) {
        (Some((_, whole)), Some((_, local))) if whole <= local => {
            format!("Prefer bp: it fits, takes least {noun} a sample, and has no accuracy to lose.")
        }
        (Some((_, whole)), Some((rule, local))) => format!(
            "bp fits, and has no accuracy to lose; {rule} takes {:.0} % of its {noun} a sample, and needs one visit of each \
             block instead of two.",
            100.0 * local / whole
        ),
        (None, Some((rule, _))) => {
            format!(
                "Prefer {rule}: bp does not fit, and of the rules that do it takes least {noun} a sample."
            )
        }
        (Some(_), None) => "Prefer bp: no local rule but greedy fits.".into(),
        (None, None) => {
            "Nothing but greedy fits, if that; a smaller batch or network brings the need down.".into()
        }
    }
}
