//! `localgrad eval`

use crate::arguments::EvalArguments;
use crate::choices;
use crate::commands::trained;
use crate::fault::{Fault, Outcome};
use crate::interrupt;
use crate::output::Output;
use crate::progress;
use localgrad::data::{Dataset, Loader, LoaderConfig, Split};
use localgrad::evaluate::evaluate;
use serde::Serialize;
use std::sync::Arc;

#[derive(Serialize)]
struct EvalRecord {
    event: &'static str,
    accuracy: f64,
    top1_error: f64,
    loss: f64,
    samples: usize,
}

/// Accuracy of trained weights on the test samples of a data set.
pub fn run(arguments: &EvalArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    let device = localgrad::device::open(&arguments.device.device)?;
    let data = trained::data(&arguments.trained, &arguments.data)?;
    let dataset = choices::limited(choices::dataset(&data, Split::Test)?, data.limit)?;
    let mut trained = trained::load(&arguments.trained, &data, Some(dataset.as_ref()), &device)?;
    let dataset: Arc<dyn Dataset> = Arc::from(dataset);
    let loader = Loader::new(dataset, trained.normalize, LoaderConfig::evaluation(arguments.batch))?;
    let workers = choices::workers(arguments.device.threads)?;
    interrupt::listen();
    let bar = progress::bar(loader.batches() as u64, "evaluating");
    let found = workers.run(|| {
        evaluate(&mut trained.model, &loader, &mut |done, _| {
            bar.set_position(done as u64);
            !interrupt::requested()
        })
    })?;
    bar.finish_and_clear();
    let found =
        found.ok_or_else(|| Fault::failed("stopped before the end; there is no accuracy to report"))?;
    output.record(&EvalRecord {
        event: "evaluated",
        accuracy: found.accuracy,
        top1_error: found.top1_error(),
        loss: found.loss,
        samples: found.samples,
    });
    if !output.json {
        output.text(&format!(
            "accuracy {:.2} %  loss {:.4}  ({} samples)",
            100.0 * found.accuracy,
            found.loss,
            found.samples
        ));
    }
    Ok(())
}
