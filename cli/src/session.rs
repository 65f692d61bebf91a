//! One run of training: builds the trainer, shows progress, writes records, and measures memory.

use crate::arguments::ThermalArguments;
use crate::commands::trained::{self, Loaded};
use crate::cooling::Cooling;
use crate::exits;
use crate::fault::{Fault, Outcome};
use crate::interrupt;
use crate::judged;
use crate::metrics::{
    self, BoardRecord, Done, Epoch, Memory, MetricRecord, Record, Step, Warning, Writer, class_records,
    metric_text,
};
use crate::output::{Output, bytes};
use crate::portrait::Portrait;
use crate::progress::Bar;
use crate::resident;
use crate::run_directory::RunFile;
use localgrad::ErrorKind;
use localgrad::checkpoint::{Checkpoints, Configuration, Interval, Saved};
use localgrad::data::{Loader, Normalize};
use localgrad::evaluate::{Answers, Evaluation};
use localgrad::fit::{Control, Duration, Event, FitReport, Observer, fit_from};
use localgrad::maps::Place;
use localgrad::maps::peak::{peak_bytes, reset_peak};
use localgrad::memory;
use localgrad::model::Classifier;
use localgrad::progress::Progress;
use localgrad::scratch::{Scratch, Traffic};
use localgrad::threads::Workers;
use localgrad::trainer::{Drawn, Stage, Trainer};
use localgrad::weights::{self, Card};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A run to be trained.
pub struct Session<'a> {
    /// Its name among the runs of its directory.
    pub name: String,
    /// Network, rule, optimizer, length.
    pub file: &'a RunFile,
    /// The directory of a scratch file, should it need one.
    pub scratch: PathBuf,
    /// The most that this file may hold.
    pub scratch_limit_bytes: Option<u64>,
    /// Weights to start from.
    pub init: Option<&'a Start<'a>>,
    /// Whether it may go on from a checkpoint.
    pub resumes: bool,
    /// Where its checkpoints go.
    pub checkpoint: PathBuf,
    /// How often, and how many of them are kept.
    pub saving: (Interval, usize),
    /// How hot the machine may be.
    pub thermal: &'a ThermalArguments,
    /// The most bytes that it may have allocated, where that was planned.
    pub planned_bytes: Option<u64>,
    /// The memory that it has to keep to.
    pub limit: Limit,
    /// Batches to learn from.
    pub train: &'a Loader,
    /// Batches to be judged by.
    pub test: &'a Loader,
    /// Where to compute.
    pub place: &'a Place,
    /// With which threads.
    pub workers: &'a Workers,
    /// Where the weights go.
    pub weights: PathBuf,
    /// Where those of the best epoch go, if they are kept.
    pub best_weights: Option<PathBuf>,
    /// Whether what is taken for what is looked at in the end.
    pub judges: bool,
    /// Where the network with its exits goes, if they are kept.
    pub exits: Option<PathBuf>,
    /// Where results go.
    pub output: Output,
}

/// What `--memory-budget` and `--memory-debug` say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limit {
    /// The most bytes that the process may have allocated.
    pub bytes: Option<usize>,
    /// Whether an error names who asked for more.
    pub tells_who: bool,
}

/// Weights that a run starts from.
pub struct Start<'a> {
    /// Their file.
    pub path: &'a Path,
    /// Whether the file's head is taken, too, rather than a new one.
    pub keeps_head: bool,
}

impl Start<'_> {
    /// Puts them into `model`.
    pub fn load(&self, model: &mut dyn Classifier) -> Outcome<Loaded> {
        match self.keeps_head {
            true => trained::load_file(model, self.path),
            false => trained::load_body(model, self.path),
        }
    }
}

impl Session<'_> {
    /// Refuses to go on with a checkpoint that was made otherwise.
    pub fn check_resumable(&self) -> Outcome<()> {
        match Saved::read(&self.checkpoint)? {
            Some(saved) => Ok(saved.manifest.configuration.check_same(&self.configuration()?)?),
            None => Ok(()),
        }
    }

    /// Which weights are not loaded.
    fn drawn(&self) -> Outcome<Drawn> {
        let goes_on = self.resumes && Saved::read(&self.checkpoint)?.is_some();
        Ok(match (goes_on, self.init) {
            (true, _) => Drawn::None,
            (false, Some(_)) => Drawn::AllButUnits,
            (false, None) => Drawn::All,
        })
    }

    fn configuration(&self) -> Outcome<Configuration> {
        let RunFile { network, train, fit, .. } = self.file;
        Ok(Configuration::new(network, train, fit, self.train, self.place)?)
    }

    /// The checkpoints to write to, and where the run stands: where the last one left it, or at its start.
    fn open(&self, trainer: &mut Trainer) -> Outcome<(Checkpoints, Progress)> {
        let configuration = self.configuration()?;
        if self.resumes {
            let resumed =
                Checkpoints::resume(&self.checkpoint, configuration.clone(), self.saving.1, trainer)?;
            if let Some(resumed) = resumed {
                return Ok(resumed);
            }
            log::warn!(
                "{} holds no checkpoint: {} begins at its start",
                self.checkpoint.display(),
                self.name
            );
        }
        if let Some(init) = self.init {
            let loaded = init.load(trainer)?;
            loaded.tell(self.output, init.path, self.file.train.method.frozen);
        }
        let progress = Progress::start(trainer.ranges().len());
        let checkpoints =
            Checkpoints::create(&self.checkpoint, configuration, self.saving.1, trainer, &progress)?;
        Ok((checkpoints, progress))
    }
}

/// Trains to the end, or until Ctrl-C; a checkpoint, weights and records are written either way.
pub fn run(session: &Session<'_>, writer: &mut Writer) -> Outcome<Done> {
    reset_peak(session.place);
    let Limit { bytes, tells_who } = session.limit;
    memory::set_limit(bytes.filter(|_| session.place.is_host()), tells_who);
    session.place.allow(bytes, session.planned_bytes.map(|bytes| bytes as usize))?;
    let file = session.file;
    let portrait =
        Portrait::new(&file.network, &file.train.method.ends, &file.train.method.rule, file.batch)?;
    let normalize: Normalize = file.normalize.clone();
    let scratch = match file.train.execution.needs_scratch() {
        true => Some(Scratch::create(&session.scratch, session.scratch_limit_bytes)?),
        false => None,
    };
    let drawn = session.drawn()?;
    let mut trainer = session.workers.run(|| {
        let (network, train) = (file.network.clone(), file.train.clone());
        Trainer::to_load(network, train, normalize, session.place, scratch, drawn)
    })?;
    let (checkpoints, progress) = session.open(&mut trainer)?;
    tell_of_lost_best(session, &progress);
    let mut log = Log::new(session, writer, checkpoints, &progress);
    log.write(Record::Start(Box::new(start(session, portrait))))?;
    log.tell_of_board(false)?;
    let fitted = session
        .workers
        .run(|| fit_from(progress, &mut trainer, session.train, Some(session.test), &file.fit, &mut log));
    log.bar.finish();
    log.failure()?;
    let report = fitted.map_err(|error| match session.place.is_host() {
        true => error.into(),
        false => on_device(error, log.saved_steps),
    })?;
    if let (true, Some(best)) = (report.ended_early, report.best) {
        session.output.text(&format!(
            "{}: ended after {} steps, because nothing has become better in the {} epochs since epoch {}",
            session.name, report.steps, best.epochs_since, best.epoch
        ));
    }
    let done = log.done(&report, trainer.traffic());
    log.tell_if_slow(&done)?;
    if session.judges && !report.interrupted {
        let judge = || judged::judge(&session.name, &mut trainer, session.test, &file.class_names);
        if let Some(judged) = session.workers.run(judge)? {
            log.writer.write(&Record::Judged(judged))?;
        }
    }
    // Who reads that the run is done finds its weights.
    let card = Card::of(&file.network, &file.normalize, &file.class_names);
    weights::write_network(&session.weights, &mut trainer, &card, false)?;
    if !report.interrupted {
        log.keep_exits(session, &mut trainer)?;
    }
    let done = Done { peak_bytes: log.peak_bytes(), ..done };
    log.write(Record::Done(done.clone()))?;
    Ok(done)
}

/// What ended a run on a device, and where it can go on.
fn on_device(error: localgrad::Error, saved_steps: usize) -> Fault {
    let is_of_device = matches!(error.kind(), ErrorKind::Device | ErrorKind::Memory);
    let fault = Fault::from(error);
    match is_of_device {
        true => fault.and(&format!(
            "; what was saved after {saved_steps} steps is whole: --resume goes on from there"
        )),
        false => fault,
    }
}

/// Warns where the best epoch's weights are asked for only now.
fn tell_of_lost_best(session: &Session<'_>, progress: &Progress) {
    if let (Some(path), Some(best)) = (&session.best_weights, progress.best)
        && !path.exists()
    {
        log::warn!(
            "{}: the weights of epoch {}, the best so far, were not kept; those of the next better epoch will be",
            session.name,
            best.epoch
        );
    }
}

fn start(session: &Session<'_>, portrait: Portrait) -> metrics::Start {
    let file = session.file;
    let (epochs, steps) = match file.fit.duration {
        Duration::Epochs(epochs) => (Some(epochs as u64), None),
        Duration::Steps(steps) => (None, Some(steps as u64)),
    };
    metrics::Start {
        run: session.name.clone(),
        version: file.version.clone(),
        network: file.network.name.clone(),
        rule: file.train.method.rule.rule.to_string(),
        seed: file.train.method.seed,
        batch: file.batch as u64,
        epochs,
        steps,
        samples: session.train.dataset().len() as u64,
        classes: file.network.classes as u64,
        parameters: portrait.parameters,
        input: file.network.input,
        units: portrait.units,
        blocks: portrait.blocks,
        device: format!("{}, {} threads", session.place.words(), session.workers.count()),
        command: std::env::args().skip(1).fold("localgrad".into(), |line, word| line + " " + &word),
    }
}

/// The step whose memory is traced: by then all buffers exist.
const TRACED_STEP: usize = 3;

/// The share of the time from which on storage is slow.
const SLOW: f64 = 0.2;

/// Turns events into records, a progress bar, and the decision to go on.
struct Log<'a> {
    name: &'a str,
    writer: &'a mut Writer,
    output: Output,
    bar: Bar,
    place: &'a Place,
    /// The most that was in use before the run was killed and resumed.
    earlier_peak_bytes: u64,
    planned_bytes: Option<u64>,
    /// The step after which memory is traced.
    traced_step: usize,
    checkpoints: Checkpoints,
    interval: Interval,
    cooling: Cooling,
    steps: u64,
    saved_steps: usize,
    saved_at: Instant,
    seconds: f64,
    /// What the last evaluation is judged by, in words.
    judged: String,
    file: &'a RunFile,
    best_weights: Option<&'a Path>,
    /// Steps after which the best weights were written.
    best_steps: Option<usize>,
    failure: Option<Fault>,
}

impl<'a> Log<'a> {
    fn new(
        session: &'a Session<'_>,
        writer: &'a mut Writer,
        checkpoints: Checkpoints,
        progress: &Progress,
    ) -> Self {
        let total_steps = session.file.fit.total_steps(session.train.batches());
        let earlier_peak_bytes = if progress.steps > 0 { earlier_peak(session, writer.path()) } else { 0 };
        Self {
            name: &session.name,
            writer,
            output: session.output,
            bar: Bar::new(total_steps as u64, progress.steps as u64, &session.name),
            place: session.place,
            earlier_peak_bytes,
            planned_bytes: session.planned_bytes,
            traced_step: (progress.steps + TRACED_STEP).min(total_steps),
            checkpoints,
            interval: session.saving.0,
            cooling: Cooling::new(session.thermal, session.place),
            steps: progress.steps as u64,
            saved_steps: progress.steps,
            saved_at: Instant::now(),
            seconds: progress.train_seconds,
            judged: progress.evaluation.as_ref().map(in_words).unwrap_or_default(),
            file: session.file,
            best_weights: session.best_weights.as_deref(),
            best_steps: None,
            failure: None,
        }
    }

    fn note(&mut self, event: &Event) -> Outcome<()> {
        self.checkpoints.note(event)?;
        match event {
            Event::Stage(stage) => {
                let (Stage::Forward(block)
                | Stage::Loss(block)
                | Stage::Backward(block)
                | Stage::Update(block)) = stage;
                memory::set_trace_block(*block);
                if matches!(stage, Stage::Forward(_)) { self.cool() } else { Ok(()) }
            }
            Event::Step { step, epoch, losses, learning_rate, samples, seconds } => {
                self.seconds += seconds;
                self.trace(*step)?;
                self.steps = *step as u64;
                let message = self.message(*epoch, losses);
                self.bar.set(self.steps, &message);
                self.write(Record::Step(Step {
                    run: self.name.into(),
                    step: *step as u64,
                    epoch: *epoch as u64,
                    losses: losses.clone(),
                    learning_rate: *learning_rate,
                    samples_per_second: *samples as f64 / seconds.max(1e-9),
                    live_bytes: memory::live() as u64,
                    peak_bytes: self.peak_bytes(),
                }))
            }
            Event::Evaluating { done, batches } => {
                self.bar.set(self.steps, &format!("evaluating {done}/{batches}"));
                self.cool()
            }
            Event::Epoch { epoch, losses, evaluation, .. } => {
                let found = evaluation.as_ref();
                let accuracy = found.map_or(f64::NAN, |found| found.accuracy);
                if let Some(found) = found {
                    self.judged = in_words(found);
                }
                if let Some(Err(cause)) = found.map(Evaluation::check) {
                    self.warn(format!("the evaluation of epoch {epoch}: {cause}"));
                }
                let message = self.message(*epoch, losses);
                self.bar.mark(self.steps, &message);
                self.tell_of_board(false)?;
                self.write(Record::Epoch(Epoch {
                    run: self.name.into(),
                    epoch: *epoch as u64,
                    accuracy,
                    macro_accuracy: macro_accuracy(found),
                    judged: MetricRecord::of(found),
                    train_losses: losses.clone(),
                    seconds: self.seconds,
                    peak_bytes: self.peak_bytes(),
                }))
            }
        }
    }

    /// Tells what the machine tells of itself.
    fn tell_of_board(&mut self, resting: bool) -> Outcome<()> {
        let Some(board) = self.cooling.board() else { return Ok(()) };
        let rested_seconds = self.cooling.rested.as_secs_f64();
        let record = BoardRecord { run: self.name.into(), step: self.steps, resting, rested_seconds, board };
        self.write(Record::Board(Box::new(record)))
    }

    /// Rests if the machine is too hot.
    fn cool(&mut self) -> Outcome<()> {
        let Some(rest) = self.cooling.due() else { return Ok(()) };
        let message = format!("resting at {}", rest.hot.words());
        match rest.is_news {
            true => self.bar.mark(self.steps, &message),
            false => self.bar.set(self.steps, &message),
        }
        if rest.is_news {
            self.tell_of_board(true)?;
        }
        self.cooling.rest();
        Ok(())
    }

    /// Starts the trace before the traced step and writes it after.
    fn trace(&mut self, done: usize) -> Outcome<()> {
        let traced = self.traced_step;
        if done + 1 == traced {
            memory::start_trace();
        }
        if done != traced {
            return Ok(());
        }
        let points = memory::take_trace().points;
        let points = points.iter().map(|p| [p.seconds, p.bytes as f64, p.block as f64]).collect();
        self.write(Record::Memory(Memory { run: self.name.into(), step: done as u64, points }))
    }

    fn message(&self, epoch: usize, losses: &[f64]) -> String {
        let loss = losses.last().copied().unwrap_or(f64::NAN);
        format!("epoch {epoch}  loss {loss:.3}{}  peak {}", self.judged, bytes(self.peak_bytes()))
    }

    /// The most memory that the run had in use on its device, before it was killed and resumed, too.
    fn peak_bytes(&self) -> u64 {
        (peak_bytes(self.place) as u64).max(self.earlier_peak_bytes)
    }

    /// Saves. A checkpoint that cannot be written now is tried again after the next interval: the last is whole.
    fn save(&mut self, trainer: &mut Trainer, progress: &Progress) -> localgrad::Result<()> {
        let saved = self.checkpoints.save(trainer, progress);
        (self.saved_steps, self.saved_at) = (progress.steps, Instant::now());
        saved
    }

    /// Writes the weights of an epoch that is the best so far, before any checkpoint says so.
    fn keep_best(&mut self, trainer: &mut Trainer, progress: &Progress) -> localgrad::Result<()> {
        let (Some(path), Some(best)) = (self.best_weights, progress.best) else { return Ok(()) };
        if !progress.closed || best.steps != progress.steps || self.best_steps == Some(best.steps) {
            return Ok(());
        }
        let file = self.file;
        let card = Card::of(&file.network, &file.normalize, &file.class_names);
        weights::write_network(path, trainer, &card, false)?;
        self.best_steps = Some(best.steps);
        Ok(())
    }

    /// Judges the exits and writes them, if they are kept.
    fn keep_exits(&mut self, session: &Session<'_>, trainer: &mut Trainer) -> Outcome<()> {
        let Some(path) = &session.exits else { return Ok(()) };
        let mut bar = Bar::new(session.test.batches() as u64, 0, "exits");
        let found = session.workers.run(|| {
            exits::keep(path, trainer, session.test, self.file, &mut |done, _| {
                bar.set(done as u64, "");
                !interrupt::requested()
            })
        })?;
        bar.finish();
        let Some(found) = found else {
            self.warn("stopped before the exits were judged; --resume judges them".into());
            return Ok(());
        };
        session.output.text(&format!("{}\n", exits::table_of(&found)));
        let run = self.name.to_string();
        found
            .into_iter()
            .try_for_each(|exit| self.write(Record::Exit(metrics::Exit { run: run.clone(), ..exit })))
    }

    /// Tells of what went wrong and does not end training.
    fn warn(&mut self, message: String) {
        log::warn!("{message}");
        if let Err(fault) = self.write(Record::Warning(Warning { run: self.name.into(), message })) {
            self.failure.get_or_insert(fault);
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

    /// Warns of storage that training waits for.
    fn tell_if_slow(&mut self, done: &Done) -> Outcome<()> {
        let Some(seconds) = done.storage_seconds.filter(|seconds| *seconds > SLOW * done.seconds) else {
            return Ok(());
        };
        let message = format!(
            "storage took {seconds:.1} of {:.1} s: larger chunks (--chunk) fetch each block less often, and --scratch \
             chooses a faster place",
            done.seconds
        );
        log::warn!("{message}");
        self.write(Record::Warning(Warning { run: self.name.into(), message }))
    }

    fn done(&self, report: &FitReport, traffic: Option<Traffic>) -> Done {
        let found = report.evaluation.as_ref();
        Done {
            run: self.name.into(),
            accuracy: found.map_or(f64::NAN, |found| found.accuracy),
            top1_error: found.map_or(f64::NAN, Evaluation::top1_error),
            loss: found.map_or(report.loss, |found| found.loss),
            macro_accuracy: macro_accuracy(found),
            judged: MetricRecord::of(found),
            classes: found.map_or(Vec::new(), |found| class_records(found, &self.file.class_names)),
            best_epoch: report.best.map(|best| best.epoch as u64),
            best_accuracy: report.best.map(|best| best.accuracy).filter(|accuracy| !accuracy.is_nan()),
            ended_early: report.ended_early,
            steps: report.steps as u64,
            seconds: report.train_seconds,
            samples_per_second: report.samples as f64 / report.train_seconds.max(1e-9),
            peak_bytes: self.peak_bytes(),
            planned_bytes: self.planned_bytes,
            resident_peak_bytes: resident::peak_bytes(),
            stored_bytes: traffic.map(|traffic| traffic.written_bytes + traffic.read_bytes),
            storage_seconds: traffic.map(|traffic| traffic.seconds),
            waited_seconds: Some(report.waited_seconds),
            rested_seconds: Some(self.cooling.rested.as_secs_f64()).filter(|&seconds| seconds > 0.0),
            hottest_celsius: self.cooling.hottest_celsius,
            precision: Some(self.place.products()).filter(|_| !self.place.is_host()),
            interrupted: report.interrupted,
        }
    }
}

/// What an evaluation is judged by, as the bar shows it.
fn in_words(found: &Evaluation) -> String {
    match found.metric() {
        ("accuracy", accuracy) => format!("  accuracy {:.1} %", 100.0 * accuracy),
        (name, value) => format!("  {} {}", name.replace('_', " "), metric_text(name, value)),
    }
}

/// The mean of the accuracies of classes, where answers are classes.
fn macro_accuracy(found: Option<&Evaluation>) -> Option<f64> {
    let found = found.filter(|found| found.answers == Answers::Classes);
    found.map(Evaluation::macro_accuracy)
}

impl Observer for Log<'_> {
    fn hear(&mut self, event: &Event) -> Control {
        if let Err(fault) = self.note(event) {
            self.failure.get_or_insert(fault);
        }
        if self.failure.is_some() || interrupt::requested() { Control::Stop } else { Control::Continue }
    }

    fn rest(&mut self, trainer: &mut Trainer, progress: &Progress, ending: bool) -> localgrad::Result<()> {
        if let Err(error) = self.keep_best(trainer, progress) {
            self.warn(format!(
                "the weights of epoch {} are not kept: {error}",
                progress.best.map_or(0, |best| best.epoch)
            ));
        }
        if ending {
            return self.save(trainer, progress);
        }
        if !self.interval.is_due(progress.steps - self.saved_steps, self.saved_at.elapsed()) {
            return Ok(());
        }
        if let Err(error) = self.save(trainer, progress) {
            self.warn(format!("no checkpoint after step {}: {error}; training goes on", progress.steps));
        }
        Ok(())
    }
}

/// The most bytes that the run's records so far tell of.
fn earlier_peak(session: &Session<'_>, records: &Path) -> u64 {
    let records = metrics::read(records).unwrap_or_default();
    let of_run = records.iter().filter(|record| record.run() == session.name);
    let peaks = of_run.filter_map(|record| match record {
        Record::Step(step) => Some(step.peak_bytes),
        Record::Epoch(epoch) => Some(epoch.peak_bytes),
        Record::Done(done) => Some(done.peak_bytes),
        _ => None,
    });
    peaks.max().unwrap_or(0)
}
