//! `localgrad train`

use crate::arguments::{FinetuneArguments, MemoryBudget, RuleArguments, TrainArguments};
use crate::augmentation;
use crate::automatic;
use crate::budget::{self, Planned, Setting};
use crate::choices;
use crate::class_weights::ClassWeights;
use crate::closing;
use crate::cooling;
use crate::data_checks;
use crate::demonstration;
use crate::fault::{Fault, Outcome};
use crate::interrupt;
use crate::metrics::{self, Done, Writer};
use crate::origin::Origin;
use crate::output::{Output, complain};
use crate::photos;
use crate::recipe::Defaults;
use crate::report::gather;
use crate::resume::{self, FinetuneOrTrain};
use crate::run_directory::{RunDirectory, RunFile};
use crate::session::{self, Limit, Session, Start};
use localgrad::data::subset::Subset;
use localgrad::data::{Dataset, Loader, LoaderConfig, balanced_class_weights};
use localgrad::exits;
use localgrad::fit::{FitConfig, Measure};
use localgrad::maps::Place;
use localgrad::maps::cross_entropy::check_class_weights;
use localgrad::network::NetworkSpec;
use localgrad::plan::Freedom;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Execution, Method, Selection, TrainConfig, one_value};
use localgrad_data::{Collection, Part};
use localgrad_models::cut::Cut;
use std::path::Path;
use std::sync::Arc;

/// Trains, alone or (as the demonstration) beside end-to-end training of the same network.
pub fn run(arguments: &TrainArguments) -> Outcome<()> {
    run_plan(Task { arguments: arguments.clone(), tuning: None })
}

/// What is to be trained, in words.
pub struct Task {
    arguments: TrainArguments,
    tuning: Option<Tuning>,
}

/// What `finetune` says besides.
struct Tuning {
    classes: Option<usize>,
    frozen: usize,
}

impl Task {
    /// What `finetune` asks for.
    pub fn finetune(arguments: &FinetuneArguments) -> Self {
        let tuning = Tuning { classes: arguments.classes, frozen: arguments.freeze.unwrap_or(0) };
        Self { arguments: arguments.train.clone(), tuning: Some(tuning) }
    }

    /// The same with `--data` for data that are named without it.
    fn named(mut self) -> Self {
        let named = self.arguments.directory.take();
        self.arguments.data.data = named.or(self.arguments.data.data);
        self
    }

    /// The weights to start from, if there are any.
    fn start(&self) -> Option<Start<'_>> {
        let path = self.arguments.init.as_deref()?;
        Some(Start { path, keeps_head: self.tuning.is_none() })
    }

    /// The plan of the run that these words resume, its directory and all its words; the plan itself where there
    /// is no such run yet.
    fn resumed(self, own: &[String]) -> Outcome<(Self, Option<RunDirectory>, Vec<String>)> {
        let Some(path) = self.arguments.out.as_deref().filter(|_| self.arguments.checkpoint.resume) else {
            return Ok((self, None, resume::lasting(own)));
        };
        let Some(directory) = RunDirectory::resume(path)? else {
            if self.tuning.is_none() && demonstration::wanted(&self.arguments) {
                return Err(Fault::usage(format!("{} holds no run to resume", path.display())));
            }
            log::warn!("{} holds no run yet: this one begins there", path.display());
            return Ok((self, None, resume::lasting(own)));
        };
        let stored = directory.read_run_file()?.words;
        if stored.is_empty() {
            return Err(Fault::failed(format!(
                "{} was not made to be resumed; start from its weights with --init",
                path.display()
            )));
        }
        let words = resume::merged(&stored, own);
        let plan = match resume::parsed(&words)? {
            FinetuneOrTrain::Train(words) => Self { arguments: *words, tuning: None },
            FinetuneOrTrain::Finetune(words) => Self::finetune(&words),
        };
        Ok((plan, Some(directory), resume::lasting(&words)))
    }

    /// The recipe where nobody says otherwise.
    fn defaults(&self) -> &'static Defaults {
        match (&self.tuning, self.arguments.recipe.selection) {
            (None, _) => &Defaults::TRAIN,
            (Some(_), Selection::Head) => &Defaults::HEAD,
            (Some(_), _) => &Defaults::FINETUNE,
        }
    }

    /// Whether the best epoch's weights are kept, too: a small set is soon learnt by heart.
    fn keeps_best(&self) -> bool {
        self.arguments.keep_best || self.tuning.is_some()
    }

    /// That fine-tuning has weights to start from.
    fn check_start(&self) -> Outcome<()> {
        if self.tuning.is_some() && self.arguments.init.is_none() {
            return Err(Fault::usage("say which weights to start from: --init W.safetensors"));
        }
        Ok(())
    }
}

/// Carries out a plan, from its beginning or from its last checkpoint.
pub fn run_plan(plan: Task) -> Outcome<()> {
    let (mut plan, directory, words) = plan.named().resumed(&resume::own_words())?;
    let compares = plan.tuning.is_none() && demonstration::wanted(&plan.arguments);
    if compares {
        demonstration::complete(&mut plan.arguments);
    }
    plan.check_start()?;
    let (resumes, most_samples) = (directory.is_some(), plan.defaults().batch);
    let pictures = photos::chosen(&mut plan.arguments, directory.as_ref(), most_samples)?;
    let output = Output { json: plan.arguments.output.json };
    let place = open(&plan.arguments, output)?;
    plan.arguments.budget.memory_budget = plan.arguments.budget.bytes(&place)?.map(MemoryBudget::Bytes);
    let arguments = &plan.arguments;
    let workers = choices::workers(arguments.device.threads)?;
    let data = workers.run(|| Data::open(&plan, pictures.as_ref(), directory.as_ref()))?;
    workers.run(|| data_checks::check_ranges(&data.train, &data.test, arguments.data.normalize.is_some()))?;
    let setting = Setting {
        train: &data.train,
        test: &data.test,
        place: &place,
        workers: &workers,
        resumes,
        starts_from_file: arguments.init.is_some(),
        judges_exits: arguments.exits,
        scratch: arguments.waiting.scratch.as_deref(),
        output,
    };
    let arguments = &automatic(&plan, &data, &setting, directory.as_ref())?;
    let file = run_file(&plan, arguments, &data, words)?;
    let runs = Runs::plan(arguments, file, compares, &setting, directory.as_ref())?;
    let (file, test) = (&runs.file, data.judges(runs.planned.evaluation_batch)?);
    let init = plan.start();
    let directory = directory.map_or_else(|| RunDirectory::create(arguments.out.as_deref()), Ok)?;
    let budget_bytes = arguments.budget.bytes(&place)?;
    let session = |name: String, file, planned_bytes, rival: bool| {
        let rival = rival.then_some(name.as_str());
        Session {
            exits: (arguments.exits && rival.is_none()).then(|| directory.exits()),
            planned_bytes,
            limit: Limit { bytes: budget_bytes, tells_who: arguments.budget.memory_debug },
            weights: directory.weights(rival),
            best_weights: plan.keeps_best().then(|| directory.best_weights(rival)),
            checkpoint: directory.checkpoint(rival),
            scratch: arguments.waiting.scratch.clone().unwrap_or_else(|| directory.path.clone()),
            scratch_limit_bytes: arguments.waiting.scratch_limit.map(|bytes| bytes as u64),
            name,
            file,
            init: init.as_ref(),
            resumes,
            saving: (arguments.checkpoint.checkpoint_every, arguments.checkpoint.keep),
            thermal: &arguments.thermal,
            train: &data.train,
            test: &test,
            place: &place,
            workers: &workers,
            judges: plan.tuning.is_some() && file.network.objective.is_classes(),
            output,
        }
    };
    let rival = runs.rival.as_ref().map(|(rival, bytes)| session("bp".into(), rival, *bytes, true));
    let own = session(file.train.method.rule.rule.to_string(), file, runs.planned.planned_bytes, false);
    for session in rival.iter().chain([&own]).filter(|_| resumes) {
        session.check_resumable()?;
    }
    directory.write_run_file(file)?;
    let mut writer = Writer::append(&directory.metrics())?;
    interrupt::listen();
    let done = train_each(rival.iter().chain([&own]), &mut writer)?;
    finish(&directory, done.as_ref(), output)
}

/// Opens the device, on which a temperature can be kept to if one is to be.
fn open(arguments: &TrainArguments, output: Output) -> Outcome<Place> {
    let place = arguments.device.open()?;
    if let Some(note) = cooling::check(&arguments.thermal, &place)? {
        output.text(&format!("note: {note}"));
    }
    Ok(place)
}

/// Trains one after the other until one is interrupted; how the last of them ended.
fn train_each<'a>(
    sessions: impl Iterator<Item = &'a Session<'a>>,
    writer: &mut Writer,
) -> Outcome<Option<Done>> {
    let mut done = None;
    for session in sessions {
        let ended = session::run(session, writer)?;
        let interrupted = ended.interrupted;
        done = Some(ended);
        if interrupted {
            break;
        }
    }
    Ok(done)
}

/// Refuses batches of which batch norm could make nothing, and warns of such a last one.
fn check_statistics(runs: &Runs, samples: usize) -> Outcome<()> {
    for RunFile { network, train, batch, .. } in runs.rival.iter().map(|(rival, _)| rival).chain([&runs.file])
    {
        one_value::check_statistics(network, train, *(batch.min(&samples)))?;
        if let Some(message) = one_value::warning_of_last_samples(network, train, *batch, samples)? {
            log::warn!("{message}");
        }
    }
    Ok(())
}

/// Refuses a file that does not fit before anything is made.
fn check_start(init: &Start<'_>, network: NetworkSpec) -> Outcome<()> {
    let mut model = localgrad::model::Model::to_load(network, &Place::Host)?;
    init.load(&mut model).map(drop)
}

/// What is to be trained, and the memory that was planned for it.
struct Runs {
    file: RunFile,
    planned: Planned,
    /// The same network trained whole, for comparison.
    rival: Option<(RunFile, Option<u64>)>,
}

/// Leaves what a run was begun with as it was, where `arguments` do not say it.
fn go_on(arguments: &TrainArguments, file: &mut RunFile, was: RunFile, has_budget: bool) {
    if arguments.recipe.lr_floor.is_none() {
        file.fit.schedule = file.fit.schedule.clone().as_begun(&was.fit.schedule);
    }
    // What a rate is by default may be another than when the run began, and so may be where so many blocks are cut.
    file.fit.learning_rate = arguments.recipe.lr.unwrap_or(was.fit.learning_rate);
    let (ends, begun) = (&mut file.train.method.ends, was.train.method.ends);
    if has_budget || arguments.rule.ends.is_none() && begun.len() == ends.len() {
        *ends = begun;
    }
    if has_budget {
        file.train.execution = Execution {
            exact: arguments.waiting.exact,
            activations: arguments.waiting.activations.unwrap_or(was.train.execution.activations),
            features: arguments.waiting.features,
            ..was.train.execution
        };
    }
}

impl Runs {
    /// Plans `file`, changed to keep to the budget if there is one; a run that goes on stays as it is in `directory`.
    fn plan(
        arguments: &TrainArguments,
        mut file: RunFile,
        compares: bool,
        setting: &Setting<'_>,
        directory: Option<&RunDirectory>,
    ) -> Outcome<Self> {
        let budget_bytes = arguments.budget.bytes(setting.place)?;
        if let Some(directory) = directory {
            go_on(arguments, &mut file, directory.read_run_file()?, budget_bytes.is_some());
        }
        let planned = budget::plan_run(&mut file, setting, budget_bytes, |file| {
            let RunFile { network, train, .. } = file;
            let micro_batch = arguments.recipe.micro_batch;
            let free = choices::freedom(
                &arguments.rule,
                &arguments.waiting,
                micro_batch,
                network,
                &train.method.rule,
            )?;
            // What is frozen is not for the budget to say.
            let cuts = if train.method.frozen > 0 { vec![train.method.ends.clone()] } else { free.cuts };
            Ok(Freedom { cuts, ..free })
        })?;
        let rival = match compares {
            true => {
                let mut rival = end_to_end(&file);
                let planned = budget::plan_run(&mut rival, setting, None, |_| {
                    Err(Fault::failed("without a budget there is nothing to choose"))
                })?;
                Some((rival, planned.planned_bytes))
            }
            false => None,
        };
        let runs = Self { file, planned, rival };
        check_statistics(&runs, setting.train.dataset().len())?;
        Ok(runs)
    }
}

/// Batches to learn from and to be judged by.
struct Data {
    train: Loader,
    test: Loader,
    test_set: Arc<dyn Dataset>,
    name: String,
    network: NetworkSpec,
    class_names: Vec<String>,
    held_out_evenly: bool,
}

/// Samples to learn from and to be judged by.
fn samples(
    arguments: &TrainArguments,
    pictures: Option<&Collection>,
    held_out_evenly: bool,
) -> Outcome<[Arc<dyn Dataset>; 2]> {
    let answered = |samples| choices::answered(&arguments.data, samples);
    if let Some(collection) = pictures {
        let [train, test] = photos::samples(arguments, collection)?.map(answered);
        data_checks::check_classes(train.as_ref(), test.as_ref())?;
        return Ok([train, test]);
    }
    let whole = choices::dataset(&arguments.data, Part::Train)?;
    let whole: Arc<dyn Dataset> = Arc::from(choices::limited(whole, arguments.data.limit)?);
    let (train, test): (Arc<dyn Dataset>, Arc<dyn Dataset>) = match arguments.hold_out {
        None => {
            let test = choices::dataset(&arguments.data, Part::Judge).map_err(|fault| {
                fault.and("; --hold-out N judges by N samples of the training set instead")
            })?;
            (whole, Arc::from(test))
        }
        Some(count) => {
            let [train, test] = match held_out_evenly {
                true => Subset::split(whole, count, arguments.recipe.seed)?,
                false => Subset::split_end(whole, count)?,
            };
            (Arc::new(train), Arc::new(test))
        }
    };
    let [train, test] = [train, test].map(answered);
    data_checks::check_pair(train.as_ref(), test.as_ref())?;
    data_checks::check_classes(train.as_ref(), test.as_ref())?;
    Ok([train, test])
}

impl Data {
    /// Opens the data that `plan` names, with the network for them; `directory` is that of a run that goes on.
    fn open(plan: &Task, pictures: Option<&Collection>, directory: Option<&RunDirectory>) -> Outcome<Self> {
        let arguments = &plan.arguments;
        let origin = Origin::of(arguments, directory)?;
        origin.words.iter().for_each(|words| complain(words));
        let held_out_evenly = match directory {
            Some(directory) => directory.read_run_file()?.held_out_evenly,
            None => true,
        };
        let [train, test] = samples(arguments, pictures, held_out_evenly)?;
        let name = choices::data_name(&arguments.data).to_string();
        let judges_itself = || {
            Ok::<bool, Fault>(
                Path::new(&name).is_file() && !localgrad_data::open::has_parts(Path::new(&name))?,
            )
        };
        if arguments.hold_out.is_none() && pictures.is_none() && judges_itself()? {
            log::warn!("{name} is one file: the accuracy is that on the training samples");
        }
        let classes =
            plan.tuning.as_ref().and_then(|tuning| tuning.classes).unwrap_or_else(|| train.classes());
        let input = train.input();
        let objective = choices::objective(train.target_kind(), arguments.recipe.huber)?;
        let network = origin.network(arguments, input, (classes, objective))?;
        if let (Some(init), None) = (plan.start(), directory) {
            check_start(&init, network.clone())?;
        }
        let class_names = origin.class_names(arguments, train.as_ref(), classes, plan.tuning.is_none())?;
        let normalize = origin.normalize(arguments, train.as_ref(), pictures.is_some())?;
        let recipe = &arguments.recipe;
        let begun = directory.map(RunDirectory::read_run_file).transpose()?;
        let batch = begun.map_or(plan.defaults().batch, |run| run.batch);
        let batch = recipe.batch.unwrap_or(batch);
        let config = LoaderConfig {
            batch,
            shuffle: !recipe.no_shuffle,
            drop_last: false,
            seed: recipe.seed,
            augment: augmentation::augmentation(&recipe.augment, &name, input)?,
            repeats: recipe.augment.repeated_augment,
            blend: augmentation::blend(&recipe.augment),
        };
        Ok(Self {
            train: Loader::new(train, normalize.clone(), config)?,
            test: Loader::new(test.clone(), normalize, LoaderConfig::evaluation(batch))?,
            test_set: test,
            name,
            network,
            class_names,
            held_out_evenly,
        })
    }

    /// The batches to be judged by, of so many samples; as many as to learn from where nobody says so.
    fn judges(&self, batch: Option<usize>) -> Outcome<Loader> {
        let config = LoaderConfig::evaluation(batch.unwrap_or(self.test.config().batch));
        Ok(Loader::new(self.test_set.clone(), self.test.normalize().clone(), config)?)
    }
}

/// The plan's words, with a rule in place of `--rule auto`.
fn automatic(
    plan: &Task,
    data: &Data,
    setting: &Setting<'_>,
    directory: Option<&RunDirectory>,
) -> Outcome<TrainArguments> {
    let mut arguments = plan.arguments.clone();
    if !automatic::wanted(&arguments.rule) {
        if let Some(directory) = directory {
            let begun = directory.read_run_file()?.train.method.rule;
            arguments.rule = automatic::over_as_begun(&arguments.rule, &begun);
        }
        return Ok(arguments);
    }
    automatic::check(&arguments.rule, &arguments.waiting)?;
    if plan.tuning.as_ref().is_some_and(|tuning| tuning.frozen > 0) {
        return Err(Fault::usage(
            "--freeze leaves blocks as they are, and --rule auto may have one; name a rule",
        ));
    }
    if let Some(directory) = directory {
        let begun = directory.read_run_file()?.train.method.rule;
        arguments.rule = automatic::as_begun(&arguments.rule, &begun);
        return Ok(arguments);
    }
    let budget_bytes = arguments.budget.bytes(setting.place)?;
    let file = |rule: &RuleArguments| {
        run_file(plan, &TrainArguments { rule: rule.clone(), ..arguments.clone() }, data, Vec::new())
    };
    let whole = file(&automatic::end_to_end(&arguments.rule))?;
    let waiting = &arguments.waiting;
    let chosen = automatic::choose(&arguments.rule, &whole.network, budget_bytes, |rule| {
        let file = file(rule)?;
        let micro_batch = arguments.recipe.micro_batch;
        let freedom = choices::freedom(rule, waiting, micro_batch, &file.network, &file.train.method.rule)?;
        budget::attempt(setting.workload(&file), &freedom, budget_bytes)
    })?;
    setting.output.text(&chosen.why);
    arguments.rule = chosen.rule;
    Ok(arguments)
}

fn run_file(plan: &Task, arguments: &TrainArguments, data: &Data, words: Vec<String>) -> Outcome<RunFile> {
    let (recipe, network) = (&arguments.recipe, data.network.clone());
    let frozen = plan.tuning.as_ref().map_or(0, |tuning| tuning.frozen);
    let usual = choices::usual_rule(&arguments.rule, &arguments.waiting, recipe.selection, frozen);
    let rule = choices::rule(&arguments.rule, usual, network.input)?;
    let Cut { ends, pieces } =
        choices::cut(&arguments.rule, &arguments.waiting.block_batches, &network, &rule)?;
    let batch = data.train.config().batch;
    let file = RunFile {
        version: env!("CARGO_PKG_VERSION").into(),
        network,
        normalize: data.train.normalize().clone(),
        data: data.name.clone(),
        class_names: data.class_names.clone(),
        train: choices::waiting(
            &arguments.waiting,
            TrainConfig {
                method: Method {
                    rule,
                    ends,
                    optimizer: choices::optimizer(recipe)?,
                    optimizer_state: recipe.optimizer_state.into(),
                    label_smoothing: recipe.label_smoothing.unwrap_or(0.0),
                    class_weights: class_weights(arguments, data, data.network.classes)?,
                    clip_norm: recipe.clip_norm,
                    seed: recipe.seed,
                    frozen,
                    selection: recipe.selection,
                    ..Method::default()
                },
                execution: Execution {
                    micro_batch: recipe.micro_batch,
                    recompute: arguments.rule.recompute,
                    side_by_side: arguments.rule.side_by_side,
                    pieces,
                    ..Execution::default()
                },
            },
        ),
        fit: FitConfig {
            patience: arguments.patience,
            measure: match arguments.class_weights {
                Some(ClassWeights::Balanced) => Measure::MacroAccuracy,
                _ => Measure::Accuracy,
            },
            ..choices::fit(recipe, batch, plan.defaults())?
        },
        batch,
        held_out_evenly: data.held_out_evenly,
        words,
    };
    // Before anything is made.
    if arguments.exits {
        exits::check(&file.network, &file.train.method.rule)?;
    }
    file.train.validate()?;
    file.fit.validate()?;
    Ok(file)
}

/// What each class counts, of which the network may have more than the data.
fn class_weights(arguments: &TrainArguments, data: &Data, classes: usize) -> Outcome<Vec<f32>> {
    let weights = match &arguments.class_weights {
        None => return Ok(Vec::new()),
        Some(ClassWeights::Given(weights)) => weights.clone(),
        Some(ClassWeights::Balanced) => {
            if !data.network.objective.is_classes() {
                return Err(Fault::usage(
                    "--class-weights is for data with one class a sample; leave it out",
                ));
            }
            let mut weights = balanced_class_weights(data.train.dataset())?;
            weights.resize(classes.max(weights.len()), 1.0);
            weights
        }
    };
    check_class_weights(&weights, classes)?;
    Ok(weights)
}

/// The same network and recipe, trained whole, and its forward pass kept.
fn end_to_end(file: &RunFile) -> RunFile {
    let mut rival = file.clone();
    rival.train.method.rule = RuleConfig::new(Rule::Bp);
    rival.train.method.ends = vec![file.network.units.len() - 1];
    rival.train.execution.pieces.clear();
    rival
}

/// The table and the report, from what was recorded; how to go on where the last run was stopped.
fn finish(directory: &RunDirectory, done: Option<&Done>, output: Output) -> Outcome<()> {
    let runs = gather(metrics::read(&directory.metrics())?);
    let report = crate::report::write_report(&directory.path)?;
    output.text(&format!("\n{}", closing::text(directory, &runs, &report)));
    match done {
        Some(done) if done.interrupted => Err(interrupted(directory, done)),
        _ => Ok(()),
    }
}

fn interrupted(directory: &RunDirectory, done: &Done) -> Fault {
    let command = resume::command(&directory.path);
    Fault::failed(format!("stopped after step {}; go on with: {command}", done.steps))
}
