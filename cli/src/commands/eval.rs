//! `localgrad eval`

use crate::arguments::EvalArguments;
use crate::budget;
use crate::choices;
use crate::commands::trained;
use crate::data_checks;
use crate::fault::{Fault, Outcome};
use crate::interrupt;
use crate::metrics::{ClassRecord, class_records};
use crate::output::{Output, table};
use crate::photos;
use crate::progress::Bar;
use localgrad::data::{Dataset, Loader, LoaderConfig};
use localgrad::evaluate::evaluate;
use serde::Serialize;
use std::cmp::Ordering;
use std::sync::Arc;

#[derive(Serialize)]
struct EvalRecord {
    event: &'static str,
    accuracy: f64,
    top1_error: f64,
    loss: f64,
    samples: usize,
    macro_accuracy: f64,
    classes: Vec<ClassRecord>,
}

/// Accuracy of trained weights on the test samples of a data set.
pub fn run(arguments: &EvalArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    let device = localgrad::device::open(&arguments.device.device)?;
    let data = trained::data(&arguments.trained, &arguments.data)?;
    let workers = choices::workers(arguments.device.threads)?;
    let dataset = photos::judged(&arguments.trained, &data, &workers)?;
    let mut trained = trained::load(&arguments.trained, &data, Some(dataset.as_ref()), &device)?;
    let dataset: Arc<dyn Dataset> = Arc::from(dataset);
    let loader = Loader::new(dataset, trained.normalize, LoaderConfig::evaluation(arguments.batch))?;
    let (network, samples) = (&trained.model.spec, arguments.batch.min(loader.dataset().len()));
    let fitting = budget::evaluation_batch(network, samples, loader.working_bytes(), &device, &workers)?;
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
    output.record(&EvalRecord {
        event: "evaluated",
        accuracy: found.accuracy,
        top1_error: found.top1_error(),
        loss: found.loss,
        samples: found.samples,
        macro_accuracy: found.macro_accuracy(),
        classes: classes.clone(),
    });
    if !output.json {
        output.text(&format!(
            "accuracy {:.2} %  macro average {:.2} %  loss {:.4}  ({} samples)\n\n{}",
            100.0 * found.accuracy,
            100.0 * found.macro_accuracy(),
            found.loss,
            found.samples,
            class_table(classes)
        ));
    }
    Ok(())
}

/// The most classes that are shown.
const SHOWN_CLASSES: usize = 20;

/// The accuracy of each class; of many classes those that are worst.
fn class_table(mut classes: Vec<ClassRecord>) -> String {
    let all = classes.len();
    if all > SHOWN_CLASSES {
        classes.retain(|class| class.accuracy.is_some());
        classes.sort_by(|a, b| a.accuracy.partial_cmp(&b.accuracy).unwrap_or(Ordering::Equal));
        classes.truncate(SHOWN_CLASSES);
    }
    let row = |class: &ClassRecord| {
        let accuracy = class.accuracy.map_or("–".into(), |share| format!("{:.2} %", 100.0 * share));
        vec![class.name.clone(), class.samples.to_string(), accuracy]
    };
    let rows: Vec<Vec<String>> = classes.iter().map(row).collect();
    let heading = if all > rows.len() { format!("worst {} of {all}", rows.len()) } else { "class".into() };
    table(&[&heading, "samples", "accuracy"], &rows)
}
