//! `localgrad eval`

use crate::arguments::{DataArguments, EvalArguments};
use crate::budget;
use crate::choices;
use crate::commands::{eval_exits, trained};
use crate::data_checks;
use crate::fault::{Fault, Outcome};
use crate::interrupt;
use crate::metrics::{ClassRecord, MetricRecord, class_records, metric_text};
use crate::output::{Output, table};
use crate::photos;
use crate::progress::Bar;
use localgrad::data::{Dataset, Loader, LoaderConfig};
use localgrad::evaluate::{Answers, Evaluation, evaluate};
use localgrad::threads::Workers;
use serde::Serialize;
use std::cmp::Ordering;
use std::sync::Arc;

#[derive(Serialize)]
struct EvalRecord {
    event: &'static str,
    /// The file of a run's best epoch, where these weights were judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top1_error: Option<f64>,
    loss: f64,
    samples: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    macro_accuracy: Option<f64>,
    #[serde(flatten)]
    judged: MetricRecord,
    classes: Vec<ClassRecord>,
}

/// Accuracy of trained weights on the test samples of a data set.
pub fn run(arguments: &EvalArguments) -> Outcome<()> {
    if arguments.exits || arguments.confidence.is_some() {
        return eval_exits::run(arguments);
    }
    let output = Output { json: arguments.output.json };
    let place = arguments.device.open()?;
    let data = trained::data(&arguments.trained, &arguments.data)?;
    let workers = choices::workers(arguments.device.threads)?;
    let dataset = samples(arguments, &data, &workers)?;
    let mut trained = trained::load(&arguments.trained, &data, Some(dataset.as_ref()), &place)?;
    let loader = Loader::new(dataset, trained.normalize, LoaderConfig::evaluation(arguments.batch))?;
    let (network, samples) = (&trained.model.spec, arguments.batch.min(loader.dataset().len()));
    let fitting =
        budget::evaluation_batch((network, None), samples, loader.working_bytes(), &place, &workers)?;
    if fitting < samples {
        return Err(Fault::failed(format!(
            "there is not enough memory to evaluate {samples} samples at once; --batch {fitting} would do"
        )));
    }
    data_checks::check_range_of_some(&loader, data.normalize.is_some())?;
    interrupt::listen();
    let mut bar = Bar::new(loader.batches() as u64, 0, "evaluating");
    let found = workers.run(|| {
        evaluate(&mut trained.model, &loader, &mut |done, _| {
            bar.set(done as u64, "");
            !interrupt::requested()
        })
    })?;
    bar.finish();
    let found =
        found.ok_or_else(|| Fault::failed("stopped before the end; there is no accuracy to report"))?;
    found.check()?;
    let classes = class_records(&found, &trained.class_names);
    let classifies = found.answers == Answers::Classes;
    output.record(&EvalRecord {
        event: "evaluated",
        weights: trained.best.map(|path| path.display().to_string()),
        accuracy: classifies.then_some(found.accuracy),
        top1_error: classifies.then(|| found.top1_error()),
        loss: found.loss,
        samples: found.samples,
        macro_accuracy: classifies.then(|| found.macro_accuracy()),
        judged: MetricRecord::of(Some(&found)),
        classes: classes.clone(),
    });
    if !output.json {
        output.text(&format!(
            "{}  loss {:.4}  ({} samples){}",
            metrics_text(&found),
            found.loss,
            found.samples,
            if classes.is_empty() { String::new() } else { format!("\n\n{}", class_table(classes)) }
        ));
    }
    Ok(())
}

/// The samples to be judged by.
///
/// # Errors
/// Those of reading them.
pub fn samples(
    arguments: &EvalArguments,
    data: &DataArguments,
    workers: &Workers,
) -> Outcome<Arc<dyn Dataset>> {
    let dataset: Arc<dyn Dataset> = Arc::from(photos::judged(&arguments.trained, data, workers)?);
    Ok(choices::answered(data, dataset))
}

/// What the answers are judged by, in words.
fn metrics_text(found: &Evaluation) -> String {
    let word = |(name, value): (&str, f64)| match name {
        "macro_accuracy" => format!("macro average {}", metric_text(name, value)),
        name => format!("{} {}", name.replace('_', " "), metric_text(name, value)),
    };
    found.metrics().into_iter().map(word).collect::<Vec<String>>().join("  ")
}

/// The most classes that are shown.
const SHOWN_CLASSES: usize = 20;

/// The accuracy of each class; of many classes those that are worst.
fn class_table(mut classes: Vec<ClassRecord>) -> String {
    let all = classes.len();
    let are_labels = classes.iter().any(|class| class.precision.is_some());
    if all > SHOWN_CLASSES {
        classes.retain(|class| class.accuracy.is_some());
        classes.sort_by(|a, b| a.accuracy.partial_cmp(&b.accuracy).unwrap_or(Ordering::Equal));
        classes.truncate(SHOWN_CLASSES);
    }
    let row = |class: &ClassRecord| {
        let accuracy = class.accuracy.map_or("–".into(), |share| format!("{:.2} %", 100.0 * share));
        let mut cells = vec![class.name.clone(), class.samples.to_string(), accuracy];
        if are_labels {
            cells.push(class.precision.map_or("–".into(), |share| format!("{:.2} %", 100.0 * share)));
        }
        cells
    };
    let rows: Vec<Vec<String>> = classes.iter().map(row).collect();
    let heading = if all > rows.len() { format!("worst {} of {all}", rows.len()) } else { "class".into() };
    match are_labels {
        true => table(&[&heading, "samples", "recall", "precision"], &rows),
        false => table(&[&heading, "samples", "accuracy"], &rows),
    }
}
