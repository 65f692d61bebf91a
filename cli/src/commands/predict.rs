//! `localgrad predict`

use crate::arguments::PredictArguments;
use crate::choices;
use crate::commands::trained::{self, Trained};
use crate::fault::{Fault, Outcome};
use crate::output::{Output, table};
use image::imageops::FilterType;
use localgrad::data::{Dataset, Loader, LoaderConfig, Normalize, Split};
use localgrad::ops::slices;
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

/// Names the likeliest classes of images, or of a data set's test samples.
pub fn run(arguments: &PredictArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    if arguments.top == 0 {
        return Err(Fault::usage("--top needs at least 1"));
    }
    let device = localgrad::device::open(&arguments.device.device)?;
    let workers = choices::workers(arguments.device.threads)?;
    let records = if arguments.images.is_empty() {
        samples(arguments, &device, &workers)?
    } else {
        images(arguments, &device, &workers)?
    };
    for record in &records {
        output.record(record);
    }
    if !output.json {
        output.text(&table(&["sample", "classes"], &records.iter().map(row).collect::<Vec<_>>()));
    }
    Ok(())
}

fn images(
    arguments: &PredictArguments,
    device: &Device,
    workers: &localgrad::threads::Workers,
) -> Outcome<Vec<PredictRecord>> {
    let mut trained = trained::load(&arguments.trained, &arguments.data, None, device)?;
    let mut records = Vec::with_capacity(arguments.images.len());
    for path in &arguments.images {
        let image = read_image(path, &trained)?;
        let logits = workers.run(|| trained.model.logits(&image))?;
        let found = guesses(&logits, &trained.class_names, arguments.top)?;
        records.extend(found.into_iter().map(|classes| PredictRecord {
            event: "predicted",
            sample: path.display().to_string(),
            label: None,
            classes,
        }));
    }
    Ok(records)
}

/// Samples at once.
const BATCH: usize = 100;

fn samples(
    arguments: &PredictArguments,
    device: &Device,
    workers: &localgrad::threads::Workers,
) -> Outcome<Vec<PredictRecord>> {
    let data = trained::data(&arguments.trained, &arguments.data)?;
    let dataset = choices::limited(choices::dataset(&data, Split::Test)?, data.limit)?;
    let known = (dataset.shape(), dataset.classes());
    let mut trained = trained::load(&arguments.trained, &data, Some(known), device)?;
    let dataset: Arc<dyn Dataset> = Arc::from(dataset);
    let loader = Loader::new(dataset, trained.normalize.clone(), LoaderConfig::evaluation(BATCH))?;
    let mut records = Vec::new();
    for position in 0..loader.batches() {
        let batch = loader.batch(0, position)?;
        let logits = workers.run(|| trained.model.logits(&batch.images))?;
        let found = guesses(&logits, &trained.class_names, arguments.top)?;
        for (classes, label) in found.into_iter().zip(batch.labels) {
            let sample = records.len().to_string();
            records.push(PredictRecord { event: "predicted", sample, label: Some(label), classes });
        }
    }
    Ok(records)
}

/// An image file, resized to what the network takes and normalised: `[1, H, W, C]`.
fn read_image(path: &Path, trained: &Trained) -> Outcome<Tensor> {
    let wrong = |cause: String| Fault::failed(format!("{}: {cause}", path.display()));
    let decoded = image::ImageReader::open(path)
        .and_then(image::ImageReader::with_guessed_format)
        .map_err(|cause| wrong(cause.to_string()))?
        .decode()
        .map_err(|cause| wrong(format!("not a PNG or JPEG image that can be read: {cause}")))?;
    let [channels, height, width] = trained.model.spec.input;
    let sized = decoded.resize_exact(width as u32, height as u32, FilterType::Triangle);
    let pixels = match channels {
        1 => sized.to_luma8().into_raw(),
        3 => sized.to_rgb8().into_raw(),
        _ => return Err(wrong(format!("an image file cannot give the network's {channels} channels"))),
    };
    let Normalize { mean, deviation } = &trained.normalize;
    let values = pixels
        .iter()
        .enumerate()
        .map(|(i, &byte)| (f32::from(byte) / 255.0 - mean[i % channels]) / deviation[i % channels])
        .collect();
    Ok(slices::tensor(values, (1, height, width, channels))?)
}

/// The `top` likeliest classes of each row of logits, likeliest first.
fn guesses(logits: &Tensor, names: &[String], top: usize) -> Outcome<Vec<Vec<Guess>>> {
    let rows =
        logits.to_device(&Device::Cpu).and_then(|l| l.to_vec2::<f32>()).map_err(localgrad::Error::from)?;
    Ok(rows
        .iter()
        .map(|row| {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f64> = row.iter().map(|&v| f64::from(v - largest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
            order
                .into_iter()
                .take(top)
                .map(|class| Guess {
                    class,
                    name: names.get(class).cloned(),
                    probability: weights[class] / sum,
                })
                .collect()
        })
        .collect())
}

fn row(record: &PredictRecord) -> Vec<String> {
    let guess = |guess: &Guess| {
        let name = guess.name.clone().unwrap_or_else(|| guess.class.to_string());
        format!("{name} {:.1} %", 100.0 * guess.probability)
    };
    let classes: Vec<String> = record.classes.iter().map(guess).collect();
    vec![record.sample.clone(), classes.join("  ")]
}
