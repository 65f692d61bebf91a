//! `localgrad predict`

use crate::arguments::PredictArguments;
use crate::budget;
use crate::choices;
use crate::commands::trained::{self, Trained};
use crate::data_checks;
use crate::fault::{Fault, Outcome};
use crate::output::{Output, complain, table};
use crate::picture;
use localgrad::data::{Dataset, Loader, LoaderConfig, Split};
use localgrad::threads::Workers;
use localgrad::{Device, Tensor};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

#[derive(Serialize)]
struct Guess {
    class: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    probability: f64,
}

#[derive(Serialize)]
struct PredictRecord {
    event: &'static str,
    sample: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<u32>,
    classes: Vec<Guess>,
}

/// What could not be judged, and why.
#[derive(Serialize)]
struct ErrorRecord {
    event: &'static str,
    sample: String,
    error: String,
}

/// Names the likeliest classes of images, or of a data set's test samples.
pub fn run(arguments: &PredictArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    if arguments.top == 0 {
        return Err(Fault::usage("--top needs at least 1"));
    }
    let device = localgrad::device::open(&arguments.device.device)?;
    let workers = choices::workers(arguments.device.threads)?;
    let (records, failed) = if arguments.images.is_empty() {
        (samples(arguments, &device, &workers)?, 0)
    } else {
        images(arguments, &device, &workers)?
    };
    if !output.json && !records.is_empty() {
        output.text(&table(&["sample", "classes"], &records.iter().map(row).collect::<Vec<_>>()));
    }
    match failed {
        0 => Ok(()),
        failed => {
            Err(Fault::failed(format!("{failed} of {} pictures gave no classes", arguments.images.len())))
        }
    }
}

/// What each picture is, and how many could not be read: those are named, and the others judged all the same.
fn images(
    arguments: &PredictArguments,
    device: &Device,
    workers: &Workers,
) -> Outcome<(Vec<PredictRecord>, usize)> {
    let output = Output { json: arguments.output.json };
    let mut trained = trained::load(&arguments.trained, &arguments.data, None, device)?;
    budget::evaluation_batch(&trained.model.spec, 1, device, workers)?;
    let mut records = Vec::with_capacity(arguments.images.len());
    for path in &arguments.images {
        let sample = path.display().to_string();
        match image(path, &mut trained, arguments.top, workers) {
            Ok(classes) => {
                let record = PredictRecord { event: "predicted", sample, label: None, classes };
                output.record(&record);
                records.push(record);
            }
            Err(fault) => {
                complain(&format!("localgrad: {fault}"));
                output.record(&ErrorRecord { event: "error", sample, error: fault.to_string() });
            }
        }
    }
    let failed = arguments.images.len() - records.len();
    Ok((records, failed))
}

fn image(path: &Path, trained: &mut Trained, top: usize, workers: &Workers) -> Outcome<Vec<Guess>> {
    let image = picture::read(path, trained.model.spec.input, &trained.normalize)?;
    let logits = workers.run(|| trained.model.logits(&image))?;
    let found = rows(&logits)?.pop().ok_or_else(|| Fault::failed("the network gave no logits"));
    found
        .and_then(|row| guesses(&row, &trained.class_names, top))
        .map_err(|cause| Fault::failed(format!("{}: {cause}", path.display())))
}

/// Samples at once.
const BATCH: usize = 100;

fn samples(arguments: &PredictArguments, device: &Device, workers: &Workers) -> Outcome<Vec<PredictRecord>> {
    let output = Output { json: arguments.output.json };
    let data = trained::data(&arguments.trained, &arguments.data)?;
    let dataset = choices::limited(choices::dataset(&data, Split::Test)?, data.limit)?;
    let mut trained = trained::load(&arguments.trained, &data, Some(dataset.as_ref()), device)?;
    let dataset: Arc<dyn Dataset> = Arc::from(dataset);
    let wanted = BATCH.min(dataset.len());
    let batch = budget::evaluation_batch(&trained.model.spec, wanted, device, workers)?;
    let loader = Loader::new(dataset, trained.normalize.clone(), LoaderConfig::evaluation(batch))?;
    data_checks::check_range_of_some(&loader, data.normalize.is_some())?;
    let mut records = Vec::new();
    for position in 0..loader.batches() {
        let batch = loader.batch(0, position)?;
        let logits = workers.run(|| trained.model.logits(&batch.images))?;
        for (row, label) in rows(&logits)?.iter().zip(batch.labels) {
            let sample = records.len().to_string();
            let classes = guesses(row, &trained.class_names, arguments.top)
                .map_err(|cause| Fault::failed(format!("sample {sample}: {cause}")))?;
            let record = PredictRecord { event: "predicted", sample, label: Some(label), classes };
            output.record(&record);
            records.push(record);
        }
    }
    Ok(records)
}

/// The logits of each sample.
fn rows(logits: &Tensor) -> Outcome<Vec<Vec<f32>>> {
    let rows = logits.to_device(&Device::Cpu).and_then(|logits| logits.to_vec2());
    Ok(rows.map_err(localgrad::Error::from)?)
}

/// The `top` likeliest classes by a sample's logits, likeliest first.
fn guesses(logits: &[f32], names: &[String], top: usize) -> Outcome<Vec<Guess>> {
    if let Some(&found) = logits.iter().find(|logit| !logit.is_finite()) {
        return Err(localgrad::Error::no_answer(found.into()).into());
    }
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|&v| f64::from(v - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
    let guess =
        |class: usize| Guess { class, name: names.get(class).cloned(), probability: weights[class] / sum };
    Ok(order.into_iter().take(top).map(guess).collect())
}

fn row(record: &PredictRecord) -> Vec<String> {
    let guess = |guess: &Guess| {
        let name = guess.name.clone().unwrap_or_else(|| guess.class.to_string());
        format!("{name} {:.1} %", 100.0 * guess.probability)
    };
    let classes: Vec<String> = record.classes.iter().map(guess).collect();
    vec![record.sample.clone(), classes.join("  ")]
}
