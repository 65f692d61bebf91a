//! `localgrad eval --exits` and `--confidence`: a network that can be left before its end.

use crate::arguments::EvalArguments;
use crate::budget;
use crate::choices;
use crate::commands::{eval, trained};
use crate::data_checks;
use crate::exits::{Leavable, records, table_of};
use crate::fault::{Fault, Outcome};
use crate::interrupt;
use crate::metrics::Record;
use crate::output::{Output, count, table};
use crate::progress::Bar;
use localgrad::data::{Loader, LoaderConfig};
use localgrad::exits::certainty::likeliest;
use localgrad::exits::survey::{Leaving, Survey, answers};
use localgrad::threads::Workers;
use serde::Serialize;
use std::time::Instant;

/// How sure exits are to be, where nobody says so.
const CONFIDENCES: [f64; 8] = [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99];

/// What came of leaving at a confidence.
#[derive(Serialize)]
struct LeavingRecord {
    event: &'static str,
    confidence: f64,
    accuracy: f64,
    /// Of a sample in the mean, with those of exits that it passed.
    multiply_adds: f64,
    /// Samples that left by each exit.
    left: Vec<usize>,
    /// Of a sample in the mean, where samples really left.
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds: Option<f64>,
}

impl LeavingRecord {
    fn of(confidence: f64, leaving: Leaving, milliseconds: Option<f64>) -> Self {
        let Leaving { accuracy, multiply_adds, left } = leaving;
        Self { event: "leaving", confidence, accuracy, multiply_adds, left, milliseconds }
    }
}

/// Each exit with what it can do and costs, then what comes of leaving as soon as one is sure enough.
pub fn run(arguments: &EvalArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    if let Some(confidence) = arguments.confidence {
        check_confidence(confidence)?;
    }
    let place = arguments.device.open()?;
    let data = trained::data(&arguments.trained, &arguments.data)?;
    let workers = choices::workers(arguments.device.threads)?;
    let dataset = eval::samples(arguments, &data, &workers)?;
    let mut network = Leavable::open(&arguments.trained, &data, Some(dataset.as_ref()), &place)?;
    let loader = Loader::new(dataset, network.normalize.clone(), LoaderConfig::evaluation(arguments.batch))?;
    let samples = arguments.batch.min(loader.dataset().len());
    let (spec, exits) = (&network.trainer.model.spec, Some(&network.exits));
    let fitting = budget::evaluation_batch((spec, exits), samples, loader.working_bytes(), &place, &workers)?;
    if fitting < samples {
        return Err(Fault::failed(format!(
            "there is not enough memory to evaluate {samples} samples at once; --batch {fitting} would do"
        )));
    }
    data_checks::check_range_of_some(&loader, data.normalize.is_some())?;
    interrupt::listen();
    let mut leavings = Vec::new();
    if arguments.exits {
        leavings = survey(&mut network, &loader, &workers, output)?;
    }
    if let Some(confidence) = arguments.confidence {
        leavings.push(leave(&mut network, &loader, &workers, confidence)?);
    }
    leavings.iter().for_each(|leaving| output.record(leaving));
    if !output.json {
        output.text(&table_of_leaving(&leavings, &network));
    }
    Ok(())
}

/// Refuses what is no probability.
pub fn check_confidence(confidence: f64) -> Outcome<()> {
    match confidence > 0.0 && confidence <= 1.0 {
        true => Ok(()),
        false => Err(Fault::usage(format!("--confidence is above 0 and up to 1, found {confidence}"))),
    }
}

fn stopped() -> Fault {
    Fault::failed("stopped before the end; there is no accuracy to report")
}

/// Passes all samples through all exits and tells of each; what would come of leaving.
fn survey(
    network: &mut Leavable,
    loader: &Loader,
    workers: &Workers,
    output: Output,
) -> Outcome<Vec<LeavingRecord>> {
    let mut bar = Bar::new(loader.batches() as u64, 0, "evaluating");
    let by = Survey::by(network.temperatures());
    let survey = workers.run(|| {
        by.run(&mut network.trainer, loader, &mut |done, _| {
            bar.set(done as u64, "");
            !interrupt::requested()
        })
    })?;
    bar.finish();
    let survey = survey.ok_or_else(stopped)?;
    survey.evaluations().iter().try_for_each(localgrad::evaluate::Evaluation::check)?;
    let exits = records(&network.exits, &network.costs, &survey);
    exits.iter().for_each(|exit| output.record(&Record::Exit(exit.clone())));
    if !output.json {
        output.text(&format!("{}\n", table_of(&exits)));
    }
    let leaving =
        |&confidence: &f64| LeavingRecord::of(confidence, survey.leaving(confidence, &network.costs), None);
    Ok(CONFIDENCES.iter().map(leaving).collect())
}

/// Lets every sample leave where an exit is sure enough.
fn leave(
    network: &mut Leavable,
    loader: &Loader,
    workers: &Workers,
    confidence: f64,
) -> Outcome<LeavingRecord> {
    let temperatures = network.temperatures();
    let (mut right, mut seconds, mut left) = (0, 0.0, vec![0; temperatures.len()]);
    let mut bar = Bar::new(loader.batches() as u64, 0, "leaving");
    for position in 0..loader.batches() {
        let batch = workers.run(|| loader.batch(0, position))?;
        let begun = Instant::now();
        let found =
            workers.run(|| answers(&mut network.trainer, &batch.inputs, &temperatures, confidence))?;
        seconds += begun.elapsed().as_secs_f64();
        for (answer, &label) in found.iter().zip(batch.targets.labels()?) {
            left[answer.exit] += 1;
            right +=
                usize::from(likeliest(&answer.logits, 1.0).is_some_and(|(class, _)| class == label as usize));
        }
        bar.set(position as u64 + 1, "");
        if interrupt::requested() {
            return Err(stopped());
        }
    }
    bar.finish();
    let milliseconds = 1e3 * seconds / loader.dataset().len().max(1) as f64;
    Ok(LeavingRecord::of(confidence, Leaving::of(right, left, &network.costs), Some(milliseconds)))
}

fn table_of_leaving(leavings: &[LeavingRecord], network: &Leavable) -> String {
    let whole = network.costs.last().map_or(1, |cost| cost.multiply_adds.max(1)) as f64;
    let exits: Vec<String> = (1..=network.costs.len()).map(|exit| format!("by {exit}")).collect();
    let shown = ["sure enough at", "accuracy", "mean multiply-adds", "of the whole", "ms"].into_iter();
    let header: Vec<&str> = shown.chain(exits.iter().map(String::as_str)).collect();
    let row = |leaving: &LeavingRecord| {
        let all = leaving.left.iter().sum::<usize>().max(1) as f64;
        let mut cells = vec![
            format!("{}", leaving.confidence),
            format!("{:.2} %", 100.0 * leaving.accuracy),
            count(leaving.multiply_adds.round() as usize),
            format!("{:.1} %", 100.0 * leaving.multiply_adds / whole),
            leaving.milliseconds.map_or_else(|| "–".into(), |ms| format!("{ms:.3}")),
        ];
        cells.extend(leaving.left.iter().map(|&left| format!("{:.1} %", 100.0 * left as f64 / all)));
        cells
    };
    table(&header, &leavings.iter().map(row).collect::<Vec<_>>())
}
