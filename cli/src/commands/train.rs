//! `localgrad train`

use crate::arguments::TrainArguments;
use crate::choices;
use crate::commands::trained;
use crate::demonstration;
use crate::fault::{Fault, Outcome};
use crate::interrupt;
use crate::metrics::{self, Done, Record, Writer};
use crate::output::{Output, bytes, table};
use crate::run_directory::{RunDirectory, RunFile};
use crate::session::{self, Session};
use localgrad::data::{Dataset, Loader, LoaderConfig, Split};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::TrainConfig;
use std::path::Path;
use std::sync::Arc;

/// Samples a step where nobody says so.
const DEFAULT_BATCH: usize = 128;
/// Passes over the data where nobody says so.
const DEFAULT_EPOCHS: usize = 30;

/// Trains, alone or (as the demonstration) beside end-to-end training of the same network.
pub fn run(arguments: &TrainArguments) -> Outcome<()> {
    let mut arguments = arguments.clone();
    let output = Output { json: arguments.output.json };
    let compares = demonstration::wanted(&arguments);
    if compares {
        demonstration::complete(&mut arguments);
    }
    let data = Data::open(&arguments)?;
    let file = run_file(&arguments, &data)?;
    let device = localgrad::device::open(&arguments.device.device)?;
    let workers = choices::workers(arguments.device.threads)?;
    if let Some(path) = &arguments.init {
        // A file that does not fit is refused before anything is made.
        let mut model = localgrad::model::Model::new(file.network.clone(), 0, &localgrad::Device::Cpu)?;
        trained::load_file(&mut model, path)?;
    }
    let directory = RunDirectory::create(arguments.out.as_deref())?;
    directory.write_run_file(&file)?;
    let mut writer = Writer::append(&directory.metrics())?;
    interrupt::listen();

    let rival = compares.then(|| end_to_end(&file));
    let session = |name: String, file, rival: bool| Session {
        weights: directory.weights(rival.then_some(name.as_str())),
        name,
        file,
        init: arguments.init.as_deref(),
        train: &data.train,
        test: &data.test,
        device: &device,
        workers: &workers,
        output,
    };
    let mut done = None;
    if let Some(rival) = &rival {
        done = Some(session::run(&session("bp".into(), rival, true), &mut writer)?);
    }
    if !done.as_ref().is_some_and(|rival| rival.interrupted) {
        let name = file.train.rule.rule.to_string();
        done = Some(session::run(&session(name, &file, false), &mut writer)?);
    }
    finish(&directory, output)?;
    match done {
        Some(done) if done.interrupted => Err(interrupted(&directory, &done)),
        _ => Ok(()),
    }
}

/// Batches to learn from and to be judged by.
struct Data {
    train: Loader,
    test: Loader,
    name: String,
}

impl Data {
    fn open(arguments: &TrainArguments) -> Outcome<Self> {
        let train = choices::dataset(&arguments.data, Split::Train)?;
        let train: Arc<dyn Dataset> = Arc::from(choices::limited(train, arguments.data.limit)?);
        let test: Arc<dyn Dataset> = Arc::from(choices::dataset(&arguments.data, Split::Test)?);
        let name = choices::data_name(&arguments.data).to_string();
        if Path::new(&name).is_file() {
            log::warn!("{name} is one file: the accuracy is that on the training samples");
        }
        let normalize = choices::normalize(&arguments.data, train.shape())?;
        let recipe = &arguments.recipe;
        let batch = recipe.batch.unwrap_or(DEFAULT_BATCH);
        let config = LoaderConfig {
            batch,
            shuffle: !recipe.no_shuffle,
            drop_last: false,
            seed: recipe.seed,
            augment: choices::augmentation(recipe, &name, train.shape()),
        };
        Ok(Self {
            train: Loader::new(train, normalize.clone(), config)?,
            test: Loader::new(test, normalize, LoaderConfig::evaluation(batch))?,
            name,
        })
    }
}

fn run_file(arguments: &TrainArguments, data: &Data) -> Outcome<RunFile> {
    let (shape, classes) = (data.train.dataset().shape(), data.train.dataset().classes());
    let recipe = &arguments.recipe;
    let network = choices::network(&arguments.model, [shape.channels, shape.height, shape.width], classes)?;
    let rule = choices::rule(&arguments.rule, Rule::Man)?;
    let ends = choices::ends(&arguments.rule, &network, &rule)?;
    let batch = recipe.batch.unwrap_or(DEFAULT_BATCH);
    let names = if data.name == choices::EMBEDDED { trained::embedded_names() } else { Vec::new() };
    Ok(RunFile {
        version: env!("CARGO_PKG_VERSION").into(),
        network,
        normalize: data.train.normalize().clone(),
        data: data.name.clone(),
        class_names: names,
        train: TrainConfig {
            rule,
            ends,
            optimizer: choices::optimizer(recipe)?,
            label_smoothing: recipe.label_smoothing.unwrap_or(0.0),
            clip_norm: recipe.clip_norm,
            micro_batch: recipe.micro_batch,
            seed: recipe.seed,
        },
        fit: choices::fit(recipe, batch, DEFAULT_EPOCHS)?,
        batch,
    })
}

/// The same network and recipe, trained whole.
fn end_to_end(file: &RunFile) -> RunFile {
    let mut rival = file.clone();
    rival.train.rule = RuleConfig::new(Rule::Bp);
    rival.train.ends = vec![file.network.units.len() - 1];
    rival
}

/// The table and the report, from what was recorded.
fn finish(directory: &RunDirectory, output: Output) -> Outcome<()> {
    let records = metrics::read(&directory.metrics())?;
    let report = crate::report::write_report(&directory.path)?;
    let text = format!(
        "\n{}\n\nweights: {}\nreport:  {}",
        closing_table(&records),
        directory.weights(None).display(),
        report.display()
    );
    output.text(&text);
    Ok(())
}

fn interrupted(directory: &RunDirectory, done: &Done) -> Fault {
    let weights = if done.run == "bp" { directory.weights(Some("bp")) } else { directory.weights(None) };
    let weights = if weights.exists() { weights } else { directory.weights(None) };
    Fault::failed(format!(
        "stopped after step {}; to go on from its weights add `--init {}` and another --out to the command",
        done.steps,
        weights.display()
    ))
}

/// Rule, blocks, accuracy, measured peak and seconds of every finished run.
pub fn closing_table(records: &[Record]) -> String {
    let blocks = |run: &str| {
        records.iter().find_map(|record| match record {
            Record::Start(start) if start.run == run => Some(start.blocks.len()),
            _ => None,
        })
    };
    let mut rows = Vec::new();
    for record in records {
        if let Record::Done(done) = record {
            let stopped = if done.interrupted { " (stopped)" } else { "" };
            rows.push(vec![
                format!("{}{stopped}", done.run),
                blocks(&done.run).unwrap_or(0).to_string(),
                format!("{:.2} %", 100.0 * done.accuracy),
                bytes(done.peak_bytes),
                format!("{:.1}", done.seconds),
            ]);
        }
    }
    table(&["rule", "blocks", "accuracy", "measured peak", "seconds"], &rows)
}
