//! `localgrad predict`

use crate::arguments::PredictArguments;
use crate::budget;
use crate::choices;
use crate::commands::trained::{self, Trained};
use crate::data_checks;
use crate::fault::{Fault, Outcome};
use crate::output::{Output, complain, table};
use crate::photos;
use localgrad::Device;
use localgrad::data::{Dataset, Loader, LoaderConfig};
use localgrad::maps::Map;
use localgrad::threads::Workers;
use localgrad_data::{folder, picture};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Clone, Serialize)]
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
    #[serde(flatten)]
    logits: Option<Logits>,
}

/// What `--logits` adds: the likeliest class, and what the network gives for every class.
#[derive(Serialize)]
struct Logits {
    file: String,
    #[serde(flatten)]
    likeliest: Guess,
    logits: Vec<f32>,
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
    let files = files(&arguments.images)?;
    let (records, failed) = if arguments.images.is_empty() {
        (samples(arguments, &device, &workers)?, 0)
    } else {
        images(arguments, &files, &device, &workers)?
    };
    if !output.json && !records.is_empty() {
        output.text(&table(&["sample", "classes"], &records.iter().map(row).collect::<Vec<_>>()));
    }
    match failed {
        0 => Ok(()),
        failed => Err(Fault::failed(format!("{failed} of {} pictures gave no classes", files.len()))),
    }
}

/// The files that are named, and those in folders that are named.
fn files(named: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::with_capacity(named.len());
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let found = folder::pictures_below(path)?;
        if found.is_empty() {
            return Err(Fault::failed(format!("{}: this folder holds no pictures", path.display())));
        }
        files.extend(found);
    }
    Ok(files)
}

/// What each picture is, and how many could not be read: those are named, and the others judged all the same.
fn images(
    arguments: &PredictArguments,
    files: &[PathBuf],
    device: &Device,
    workers: &Workers,
) -> Outcome<(Vec<PredictRecord>, usize)> {
    let output = Output { json: arguments.output.json };
    let mut trained = trained::load(&arguments.trained, &arguments.data, None, device)?;
    budget::evaluation_batch(&trained.model.spec, 1, 0, device, workers)?;
    let mut records = Vec::with_capacity(files.len());
    for path in files {
        let sample = path.display().to_string();
        match image(path, &mut trained, arguments.top, workers) {
            Ok(judgement) => {
                let record = judgement.record(sample, None, arguments.logits);
                output.record(&record);
                records.push(record);
            }
            Err(fault) => {
                complain(&format!("localgrad: {fault}"));
                output.record(&ErrorRecord { event: "error", sample, error: fault.to_string() });
            }
        }
    }
    let failed = files.len() - records.len();
    Ok((records, failed))
}

fn image(path: &Path, trained: &mut Trained, top: usize, workers: &Workers) -> Outcome<Judgement> {
    let image = picture::read(path, trained.model.spec.input, &trained.normalize)?;
    let logits = workers.run(|| trained.model.logits(&image.into()))?;
    let found = rows(&logits)?.pop().ok_or_else(|| Fault::failed("the network gave no logits"));
    found
        .and_then(|logits| Ok(Judgement { classes: guesses(&logits, &trained.class_names, top)?, logits }))
        .map_err(|cause| Fault::failed(format!("{}: {cause}", path.display())))
}

/// Samples at once.
const BATCH: usize = 100;

fn samples(arguments: &PredictArguments, device: &Device, workers: &Workers) -> Outcome<Vec<PredictRecord>> {
    let output = Output { json: arguments.output.json };
    let data = trained::data(&arguments.trained, &arguments.data)?;
    let dataset = photos::judged(&arguments.trained, &data, workers)?;
    let mut trained = trained::load(&arguments.trained, &data, Some(dataset.as_ref()), device)?;
    let dataset: Arc<dyn Dataset> = Arc::from(dataset);
    let wanted = BATCH.min(dataset.len());
    let reading_bytes = dataset.decoding_bytes();
    let batch = budget::evaluation_batch(&trained.model.spec, wanted, reading_bytes, device, workers)?;
    let loader = Loader::new(dataset, trained.normalize.clone(), LoaderConfig::evaluation(batch))?;
    data_checks::check_range_of_some(&loader, data.normalize.is_some())?;
    let mut records = Vec::new();
    for position in 0..loader.batches() {
        let batch = workers.run(|| loader.batch(0, position))?;
        let logits = workers.run(|| trained.model.logits(&batch.images))?;
        for (row, label) in rows(&logits)?.into_iter().zip(batch.labels) {
            let place = records.len();
            let name = loader.dataset().sample_name(place);
            let sample = name.map_or_else(|| place.to_string(), String::from);
            let classes = guesses(&row, &trained.class_names, arguments.top)
                .map_err(|cause| Fault::failed(format!("sample {sample}: {cause}")))?;
            let record = Judgement { classes, logits: row }.record(sample, Some(label), arguments.logits);
            output.record(&record);
            records.push(record);
        }
    }
    Ok(records)
}

/// What a network makes of one image.
struct Judgement {
    /// Likeliest first.
    classes: Vec<Guess>,
    logits: Vec<f32>,
}

impl Judgement {
    fn record(self, sample: String, label: Option<u32>, with_logits: bool) -> PredictRecord {
        let likeliest = self.classes.first().cloned().filter(|_| with_logits);
        let logits =
            likeliest.map(|likeliest| Logits { file: sample.clone(), likeliest, logits: self.logits });
        PredictRecord { event: "predicted", sample, label, classes: self.classes, logits }
    }
}

/// The logits of each sample.
fn rows(logits: &Map) -> Outcome<Vec<Vec<f32>>> {
    let classes = logits.dims().last().copied().unwrap_or(0).max(1);
    Ok(logits.numbers()?.chunks(classes).map(<[f32]>::to_vec).collect())
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
