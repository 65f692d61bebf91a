//! `localgrad predict`

use crate::arguments::PredictArguments;
use crate::choices;
use crate::commands::trained;
use crate::data_checks;
use crate::fault::{Fault, Outcome};
use crate::output::{Output, complain, table};
use crate::photos;
use crate::predictor::{Outputs, Predictor};
use localgrad::data::{Dataset, Loader, LoaderConfig};
use localgrad::exits::certainty::probabilities;
use localgrad::maps::Place;
use localgrad::targets::{TargetKind, Targets};
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

#[derive(Clone, Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    value: f32,
}

#[derive(Serialize)]
struct PredictRecord {
    event: &'static str,
    sample: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<u32>,
    /// Likeliest first; of labels each has a probability of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<Guess>,
    /// Of a network that answers with values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<Answer>,
    /// Of a sample whose values are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_squared_error: Option<f64>,
    /// The exit that it left by, where samples leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<usize>,
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
    let place = arguments.device.open()?;
    let workers = choices::workers(arguments.device.threads)?;
    let files = files(&arguments.images)?;
    let (records, failed) = if arguments.images.is_empty() {
        (samples(arguments, &place, &workers)?, 0)
    } else {
        images(arguments, &files, &place, &workers)?
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
    place: &Place,
    workers: &Workers,
) -> Outcome<(Vec<PredictRecord>, usize)> {
    let output = Output { json: arguments.output.json };
    let mut predictor = Predictor::open(arguments, &arguments.data, None, place)?;
    predictor.batch(1, 0, place, workers)?;
    let mut records = Vec::with_capacity(files.len());
    for path in files {
        let sample = path.display().to_string();
        match image(path, &mut predictor, arguments.top, workers) {
            Ok(judgement) => {
                let record = judgement.record(sample, (None, None), arguments.logits);
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

fn image(path: &Path, predictor: &mut Predictor, top: usize, workers: &Workers) -> Outcome<Judgement> {
    let spec = predictor.spec();
    if spec.input.are_tokens() {
        return Err(Fault::usage(format!(
            "{} takes tokens and no pictures; name --data with some",
            spec.name
        )));
    }
    let image = picture::read(path, spec.input.sides(), &predictor.normalize)?;
    let found = workers.run(|| predictor.answers(&image.into()))?.pop();
    found
        .ok_or_else(|| Fault::failed("the network gave no logits"))
        .and_then(|outputs| Judgement::of(outputs, predictor, top))
        .map_err(|cause| Fault::failed(format!("{}: {cause}", path.display())))
}

/// Samples at once.
const BATCH: usize = 100;

fn samples(arguments: &PredictArguments, place: &Place, workers: &Workers) -> Outcome<Vec<PredictRecord>> {
    let output = Output { json: arguments.output.json };
    let data = trained::data(&arguments.trained, &arguments.data)?;
    let dataset: Arc<dyn Dataset> = Arc::from(photos::judged(&arguments.trained, &data, workers)?);
    let dataset = choices::answered(&data, dataset);
    let mut predictor = Predictor::open(arguments, &data, Some(dataset.as_ref()), place)?;
    let wanted = BATCH.min(dataset.len());
    let batch = predictor.batch(wanted, dataset.decoding_bytes(), place, workers)?;
    let loader = Loader::new(dataset, predictor.normalize.clone(), LoaderConfig::evaluation(batch))?;
    data_checks::check_range_of_some(&loader, data.normalize.is_some())?;
    let mut records = Vec::new();
    for position in 0..loader.batches() {
        let batch = workers.run(|| loader.batch(0, position))?;
        let answers = workers.run(|| predictor.answers(&batch.inputs))?;
        for (number, outputs) in answers.into_iter().enumerate() {
            let label = batch.targets.labels().ok().and_then(|labels| labels.get(number).copied());
            let place = records.len();
            let name = loader.dataset().sample_name(place);
            let sample = name.map_or_else(|| place.to_string(), String::from);
            let error = squared_error(&outputs.logits, &batch.targets.part(number..number + 1));
            let judgement = Judgement::of(outputs, &predictor, arguments.top)
                .map_err(|cause| Fault::failed(format!("sample {sample}: {cause}")))?;
            let error = error.filter(|_| !judgement.values.is_empty());
            let record = judgement.record(sample, (label, error), arguments.logits);
            output.record(&record);
            records.push(record);
        }
    }
    Ok(records)
}

/// The mean of the squares by which outputs miss a sample's numbers, where it has numbers.
fn squared_error(outputs: &[f32], target: &Targets) -> Option<f64> {
    let Targets::Rows { numbers, .. } = target else { return None };
    let squares = outputs.iter().zip(numbers).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    Some(squares.sum::<f64>() / outputs.len().max(1) as f64)
}

/// What a network makes of one image.
struct Judgement {
    /// Likeliest first.
    classes: Vec<Guess>,
    values: Vec<Answer>,
    outputs: Outputs,
}

impl Judgement {
    /// What the outputs for one sample say, as far as the `top` likeliest classes or labels.
    fn of(outputs: Outputs, predictor: &Predictor, top: usize) -> Outcome<Self> {
        let Outputs { logits, temperature, .. } = &outputs;
        if let Some(&found) = logits.iter().find(|output| !output.is_finite()) {
            return Err(localgrad::Error::no_answer(found.into()).into());
        }
        let names = &predictor.class_names;
        let (mut classes, mut values) = (Vec::new(), Vec::new());
        match predictor.spec().objective.target_kind() {
            TargetKind::Class => classes = guesses(&probabilities(logits, *temperature), names, top),
            TargetKind::Labels => {
                let chances: Vec<f64> = logits.iter().map(|&z| 1.0 / (1.0 + f64::from(-z).exp())).collect();
                classes = guesses(&chances, names, top);
            }
            TargetKind::Values => {
                let answer =
                    |(number, &value): (usize, &f32)| Answer { name: names.get(number).cloned(), value };
                values = logits.iter().enumerate().map(answer).collect();
            }
        }
        Ok(Self { classes, values, outputs })
    }

    /// What is told of a sample, whose class or whose values' error may be known.
    fn record(
        self,
        sample: String,
        (label, mean_squared_error): (Option<u32>, Option<f64>),
        with_logits: bool,
    ) -> PredictRecord {
        let likeliest = self.classes.first().cloned().filter(|_| with_logits);
        let Outputs { logits, exit, .. } = self.outputs;
        let logits = likeliest.map(|likeliest| Logits { file: sample.clone(), likeliest, logits });
        PredictRecord {
            event: "predicted",
            sample,
            label,
            classes: self.classes,
            values: self.values,
            mean_squared_error,
            exit,
            logits,
        }
    }
}

/// The `top` likeliest classes by their probabilities, likeliest first.
fn guesses(probabilities: &[f64], names: &[String], top: usize) -> Vec<Guess> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let guess =
        |class: usize| Guess { class, name: names.get(class).cloned(), probability: probabilities[class] };
    order.into_iter().take(top).map(guess).collect()
}

/// The most values that are shown of a sample.
const SHOWN_VALUES: usize = 16;

fn row(record: &PredictRecord) -> Vec<String> {
    let guess = |guess: &Guess| {
        let name = guess.name.clone().unwrap_or_else(|| guess.class.to_string());
        format!("{name} {:.1} %", 100.0 * guess.probability)
    };
    let answer = |answer: &Answer| {
        let name = answer.name.as_ref().map_or(String::new(), |name| format!("{name} "));
        format!("{name}{:.4}", answer.value)
    };
    let mut cells: Vec<String> = record.classes.iter().map(guess).collect();
    cells.extend(record.values.iter().take(SHOWN_VALUES).map(answer));
    if record.values.len() > SHOWN_VALUES {
        cells.push(format!("… ({} values)", record.values.len()));
    }
    cells.extend(record.exit.map(|exit| format!("exit {exit}")));
    cells.extend(record.mean_squared_error.map(|error| format!("mean squared error {error:.4}")));
    vec![record.sample.clone(), cells.join("  ")]
}
