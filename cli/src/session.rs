//! One run of training: builds the trainer, shows progress, writes records, and measures memory.

use crate::allocator;
use crate::commands::trained;
use crate::fault::{Fault, Outcome};
use crate::interrupt;
use crate::metrics::{Done, Epoch, Memory, Record, Start, Step, Writer};
use crate::output::{Output, bytes};
use crate::portrait::Portrait;
use crate::progress;
use crate::run_directory::RunFile;
use indicatif::ProgressBar;
use localgrad::data::{Loader, Normalize};
use localgrad::device::used_bytes;
use localgrad::fit::{Control, Duration, Event, FitReport, fit};
use localgrad::threads::Workers;
use localgrad::trainer::{Stage, Trainer};
use localgrad::{Device, weights};
use std::path::{Path, PathBuf};

/// A run to be trained.
pub struct Session<'a> {
    /// Its name among the runs of its directory.
    pub name: String,
    /// Network, rule, optimizer, length.
    pub file: &'a RunFile,
    /// Weights to start from.
    pub init: Option<&'a Path>,
    /// Batches to learn from.
    pub train: &'a Loader,
    /// Batches to be judged by.
    pub test: &'a Loader,
    /// Where to compute.
    pub device: &'a Device,
    /// With which threads.
    pub workers: &'a Workers,
    /// Where the weights go.
    pub weights: PathBuf,
    /// Where results go.
    pub output: Output,
}

/// Trains to the end, or until Ctrl-C; weights and records are written either way.
pub fn run(session: &Session<'_>, writer: &mut Writer) -> Outcome<Done> {
    allocator::reset_peak();
    let file = session.file;
    let portrait = Portrait::new(&file.network, &file.train.ends, &file.train.rule, file.batch)?;
    let mut log = Log::new(session, writer);
    log.write(Record::Start(Box::new(start(session, portrait))))?;

    let normalize: Normalize = file.normalize.clone();
    let mut trainer = session
        .workers
        .run(|| Trainer::new(file.network.clone(), file.train.clone(), normalize, session.device))?;
    if let Some(path) = session.init {
        trained::load_file(&mut trainer.model, path)?;
    }
    let fitted = session.workers.run(|| {
        fit(&mut trainer, session.train, Some(session.test), &file.fit, &mut |event| log.hear(event))
    });
    log.bar.finish_and_clear();
    log.failure()?;
    let report = fitted?;
    let done = log.done(&report);
    log.write(Record::Done(done.clone()))?;
    weights::write(&session.weights, &weights::of_model(&mut trainer.model)?, false)?;
    Ok(done)
}

fn start(session: &Session<'_>, portrait: Portrait) -> Start {
    let file = session.file;
    let (epochs, steps) = match file.fit.duration {
        Duration::Epochs(epochs) => (Some(epochs as u64), None),
        Duration::Steps(steps) => (None, Some(steps as u64)),
    };
    Start {
        run: session.name.clone(),
        version: file.version.clone(),
        network: file.network.name.clone(),
        rule: file.train.rule.rule.to_string(),
        seed: file.train.seed,
        batch: file.batch as u64,
        epochs,
        steps,
        samples: session.train.dataset().len() as u64,
        classes: file.network.classes as u64,
        parameters: portrait.parameters,
        input: file.network.input,
        units: portrait.units,
        blocks: portrait.blocks,
        device: format!("{:?}, {} threads", session.device.location(), session.workers.count())
            .to_lowercase(),
        command: std::env::args().skip(1).fold("localgrad".into(), |line, word| line + " " + &word),
    }
}

/// The step whose memory is traced: by then all buffers exist.
const TRACED_STEP: usize = 3;

/// Turns events into records, a progress bar, and the decision to go on.
struct Log<'a> {
    name: &'a str,
    writer: &'a mut Writer,
    output: Output,
    device: &'a Device,
    bar: ProgressBar,
    total_steps: usize,
    device_start_bytes: usize,
    device_peak_bytes: usize,
    seconds: f64,
    accuracy: Option<f64>,
    failure: Option<Fault>,
}

impl<'a> Log<'a> {
    fn new(session: &'a Session<'_>, writer: &'a mut Writer) -> Self {
        let total_steps = match session.file.fit.duration {
            Duration::Epochs(epochs) => epochs * session.train.batches(),
            Duration::Steps(steps) => steps,
        };
        let device_start_bytes = used_bytes(session.device).unwrap_or(0);
        Self {
            name: &session.name,
            writer,
            output: session.output,
            device: session.device,
            bar: progress::bar(total_steps as u64, &session.name),
            total_steps,
            device_start_bytes,
            device_peak_bytes: device_start_bytes,
            seconds: 0.0,
            accuracy: None,
            failure: None,
        }
    }

    fn hear(&mut self, event: &Event) -> Control {
        if let Err(fault) = self.note(event) {
            self.failure.get_or_insert(fault);
        }
        if self.failure.is_some() || interrupt::requested() { Control::Stop } else { Control::Continue }
    }

    fn note(&mut self, event: &Event) -> Outcome<()> {
        match event {
            Event::Stage(stage) => {
                let (Stage::Forward(block) | Stage::Loss(block) | Stage::Backward(block)) = stage;
                allocator::set_trace_block(*block);
                let used = used_bytes(self.device).unwrap_or(0);
                self.device_peak_bytes = self.device_peak_bytes.max(used);
                Ok(())
            }
            Event::Step { step, epoch, losses, learning_rate, samples, seconds } => {
                self.seconds += seconds;
                self.trace(*step)?;
                self.bar.set_position(*step as u64);
                self.bar.set_message(self.message(*epoch, losses));
                self.write(Record::Step(Step {
                    run: self.name.into(),
                    step: *step as u64,
                    epoch: *epoch as u64,
                    losses: losses.clone(),
                    learning_rate: *learning_rate,
                    samples_per_second: *samples as f64 / seconds.max(1e-9),
                    live_bytes: allocator::live() as u64,
                    peak_bytes: self.peak_bytes(),
                }))
            }
            Event::Evaluating { .. } => Ok(()),
            Event::Epoch { epoch, losses, evaluation, .. } => {
                let accuracy = evaluation.map_or(f64::NAN, |found| found.accuracy);
                self.accuracy = evaluation.map(|found| found.accuracy).or(self.accuracy);
                self.write(Record::Epoch(Epoch {
                    run: self.name.into(),
                    epoch: *epoch as u64,
                    accuracy,
                    train_losses: losses.clone(),
                    seconds: self.seconds,
                    peak_bytes: self.peak_bytes(),
                }))
            }
        }
    }

    /// Starts the trace before the traced step and writes it after.
    fn trace(&mut self, done: usize) -> Outcome<()> {
        let traced = TRACED_STEP.min(self.total_steps);
        if done + 1 == traced {
            allocator::start_trace();
        }
        if done != traced {
            return Ok(());
        }
        let points = allocator::take_trace().points;
        let points = points.iter().map(|p| [p.seconds, p.bytes as f64, p.block as f64]).collect();
        self.write(Record::Memory(Memory { run: self.name.into(), step: done as u64, points }))
    }

    fn message(&self, epoch: usize, losses: &[f64]) -> String {
        let loss = losses.last().copied().unwrap_or(f64::NAN);
        let accuracy = self.accuracy.map_or(String::new(), |a| format!("  accuracy {:.1} %", 100.0 * a));
        format!("epoch {epoch}  loss {loss:.3}{accuracy}  peak {}", bytes(self.peak_bytes()))
    }

    /// The device's own count on a GPU, the allocator's on the CPU.
    fn peak_bytes(&self) -> u64 {
        match self.device {
            Device::Cpu => allocator::peak() as u64,
            _ => (self.device_peak_bytes - self.device_start_bytes) as u64,
        }
    }

    fn write(&mut self, record: Record) -> Outcome<()> {
        self.writer.write(&record)?;
        self.output.record(&record);
        Ok(())
    }

    /// What went wrong while listening, if anything did.
    fn failure(&mut self) -> Outcome<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    fn done(&self, report: &FitReport) -> Done {
        let accuracy = report.evaluation.map_or(f64::NAN, |found| found.accuracy);
        Done {
            run: self.name.into(),
            accuracy,
            top1_error: 1.0 - accuracy,
            loss: report.evaluation.map_or(report.loss, |found| found.loss),
            steps: report.steps as u64,
            seconds: report.train_seconds,
            samples_per_second: report.samples as f64 / report.train_seconds.max(1e-9),
            peak_bytes: self.peak_bytes(),
            planned_bytes: None,
            interrupted: report.interrupted,
        }
    }
}
