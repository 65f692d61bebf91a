//! What a trainer is made of: read from the struct of the header, checked, and brought within its memory budget.

use crate::budget::Budget;
use crate::config::{Pointed, lg_trainer_config};
use crate::control::MAX_THREADS;
use crate::network::{NetworkObject, Pretrained};
use crate::status::{Fault, Outcome};
use localgrad_models::cut::{self, Cut};
use localgrad_runtime::data::{ImageShape, Normalize};
use localgrad_runtime::fit::{Duration, FitConfig};
use localgrad_runtime::inputs::Inputs;
use localgrad_runtime::maps::Place;
use localgrad_runtime::network::NetworkSpec;
use localgrad_runtime::optimizer::{OptimizerConfig, StateFormat};
use localgrad_runtime::plan::{Freedom, Workload, cuts};
use localgrad_runtime::precision::{Precision, ProductPrecision};
use localgrad_runtime::rules::{Rule, RuleConfig};
use localgrad_runtime::schedule::Schedule;
use localgrad_runtime::trainer::{Execution, Method, Selection, TrainConfig, one_value};
use std::path::PathBuf;

/// Numbers in a batch: 8 GiB of floats.
const MOST_BATCH_ELEMENTS: usize = 1 << 31;

/// What the library holds besides: events, handles, messages.
const LIBRARY_BYTES: usize = 256 << 10;

/// What a trainer is made of, on this side of the border.
pub(crate) struct Settings {
    pub(crate) network: NetworkSpec,
    pub(crate) train: TrainConfig,
    pub(crate) fit: FitConfig,
    pub(crate) batch: usize,
    /// Samples that are evaluated at once.
    pub(crate) evaluation_batch: usize,
    pub(crate) normalize: Normalize,
    pub(crate) place: Place,
    pub(crate) threads: usize,
    /// Directory and limit of a scratch file.
    pub(crate) scratch: Option<(PathBuf, Option<u64>)>,
    pub(crate) class_names: Vec<String>,
    /// Weights to begin with.
    pub(crate) pretrained: Option<Pretrained>,
    /// What the rest was chosen by, if it was.
    pub(crate) budget: Option<Budget>,
}

impl Settings {
    /// Reads what the numbers of `config`, and what its pointers point to, say, and refuses what cannot work.
    pub(crate) fn read(
        config: &lg_trainer_config,
        pointed: &Pointed<'_>,
        object: &NetworkObject,
    ) -> Outcome<Self> {
        let network = &object.spec;
        let [channels, height, width] = network.input.sides();
        let shape = ImageShape { channels, height, width };
        check_batch(config, shape)?;
        if config.threads > MAX_THREADS {
            return Err(Fault::config(format!(
                "{} threads are too many; use up to {MAX_THREADS}",
                config.threads
            )));
        }
        let selection = pointed.train.map_or(Ok(Selection::All), str::parse)?;
        let rule = read_rule(config, pointed, selection, network.input)?;
        let places = (!pointed.ends.is_empty()).then_some(pointed.ends);
        let count = (config.blocks != 0).then_some(config.blocks);
        let Cut { ends, pieces } = cut::cut(network, &rule, places, count)?;
        let normalize = read_normalize(pointed, object.normalize.as_ref(), network.input)?;
        let place = open(pointed)?;
        let train = TrainConfig {
            method: Method {
                rule,
                ends,
                optimizer: read_optimizer(config)?,
                optimizer_state: read_optimizer_state(config)?,
                label_smoothing: config.label_smoothing,
                clip_norm: (config.clip_norm != 0.0).then_some(config.clip_norm),
                seed: config.seed,
                frozen: config.frozen_blocks,
                selection,
                ..Method::default()
            },
            execution: Execution {
                micro_batch: (config.micro_batch != 0).then_some(config.micro_batch),
                recompute: config.recompute != 0,
                pieces,
                exact: config.exact_micro_batches != 0,
                activations: read_activations(config)?,
                offload: config.offload != 0,
                features_on_disk: config.offload != 0,
                ..Execution::default()
            },
        };
        train.validate()?;
        if config.offload != 0 && pointed.scratch.is_none() {
            return Err(Fault::argument("offload needs a directory for its file; set scratch"));
        }
        let fit = read_fit(config)?;
        let mut settings = Self {
            network: network.clone(),
            train,
            fit,
            batch: config.batch,
            evaluation_batch: config.batch,
            normalize,
            place,
            threads: config.threads,
            scratch: read_scratch(config, pointed),
            class_names: object.class_names.clone(),
            pretrained: object.pretrained.clone(),
            budget: None,
        };
        let is_cut = places.is_some() || count.is_some();
        keep_to_budget(&mut settings, config, is_cut)?;
        one_value::check_statistics(&settings.network, &settings.train, settings.batch)?;
        Ok(settings)
    }
}

/// Where training takes place.
fn open(pointed: &Pointed<'_>) -> Outcome<Place> {
    let precision = pointed.precision.map_or(Ok(ProductPrecision::F32), str::parse)?;
    Ok(Place::open_with(pointed.device.unwrap_or("cpu"), precision)?)
}

/// The workload of a trainer that does all it can.
pub(crate) fn workload(settings: &Settings) -> Workload {
    let threads = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let (network, train, batch) = (settings.network.clone(), settings.train.clone(), settings.batch);
    // Samples may be pushed while a step that was interrupted still has its own.
    let targets = if network.objective.is_classes() { 1 } else { network.classes };
    let pushed = batch * (network.input.elements() + targets) * size_of::<f32>();
    Workload {
        evaluation_batch: Some(settings.evaluation_batch),
        takes_features: true,
        saves: true,
        resumes: true,
        starts_from_file: true,
        program_bytes: LIBRARY_BYTES + pushed,
        place: Some(settings.place.clone()),
        ..Workload::steps(network, train, batch, threads)
    }
}

/// Changes `settings` to the fastest way to train that keeps to the budget, if there is one; what it leaves open may
/// be chosen. `is_cut` says that where blocks end is none of that.
fn keep_to_budget(settings: &mut Settings, config: &lg_trainer_config, is_cut: bool) -> Outcome<()> {
    if config.memory_budget_bytes == 0 {
        return Ok(());
    }
    if settings.train.method.frozen > 0 && !is_cut && settings.train.method.rule.rule != Rule::Bp {
        return Err(Fault::config(
            "which units are frozen would depend on memory_budget_bytes, which chooses where blocks end; set blocks or \
             ends beside frozen_blocks",
        ));
    }
    let freedom = Freedom {
        cuts: match is_cut {
            true => vec![settings.train.method.ends.clone()],
            false => cuts::cuts(&settings.network, &settings.train.method.rule)?,
        },
        micro_batch: config.micro_batch == 0,
        recompute: config.recompute == 0,
        pieces: settings.train.method.rule.rule != Rule::Bp || !is_cut,
        half: true,
        files: settings.scratch.is_some(),
    };
    let mut budget = Budget {
        bytes: config.memory_budget_bytes,
        asked: workload(settings),
        freedom,
        cuts_freely: !is_cut,
        threads_freely: settings.threads == 0,
        scratch: settings.scratch.clone(),
    };
    let chosen = budget.choose(&budget.asked, &budget.freedom)?;
    settings.train = chosen.train;
    settings.evaluation_batch = chosen.evaluation_batch.unwrap_or(settings.batch);
    // No more than were planned for.
    settings.threads = chosen.threads;
    budget.freedom.cuts = Vec::new();
    let bytes = budget.bytes;
    settings.budget = Some(budget);
    Ok(settings.place.allow(Some(bytes), None)?)
}

/// Directory and limit of a scratch file.
fn read_scratch(config: &lg_trainer_config, pointed: &Pointed<'_>) -> Option<(PathBuf, Option<u64>)> {
    let limit_bytes = Some(config.scratch_limit_bytes).filter(|&limit| limit > 0);
    pointed.scratch.map(|path| (path.into(), limit_bytes))
}

fn read_optimizer_state(config: &lg_trainer_config) -> Outcome<StateFormat> {
    match config.optimizer_state_bits {
        32 => Ok(StateFormat::F32),
        8 => Ok(StateFormat::EightBit),
        other => Err(Fault::argument(format!("optimizer_state_bits is {other}, and can be 32 or 8"))),
    }
}

fn read_activations(config: &lg_trainer_config) -> Outcome<Precision> {
    match config.activations {
        0 => Ok(Precision::F32),
        1 => Ok(Precision::F16),
        2 => Ok(Precision::Bf16),
        other => Err(Fault::argument(format!("activations is {other}, which is no lg_precision"))),
    }
}

fn check_batch(config: &lg_trainer_config, shape: ImageShape) -> Outcome<()> {
    let elements = config.batch.checked_mul(shape.elements());
    match elements {
        Some(1..=MOST_BATCH_ELEMENTS) => Ok(()),
        _ => Err(Fault::config(format!(
            "a batch of {} images is none, or more than memory can hold; choose from 1 up",
            config.batch
        ))),
    }
}

/// The rule where nobody names one. A last part that is trained alone keeps little, and is trained end to end unless something
/// is said about blocks or their heads.
fn usual_rule(config: &lg_trainer_config, pointed: &Pointed<'_>, selection: Selection) -> Rule {
    let has_blocks = config.blocks != 0 || !pointed.ends.is_empty() || config.frozen_blocks != 0;
    match selection {
        Selection::Head | Selection::LastUnits(_) if !has_blocks && pointed.head.is_none() => Rule::Bp,
        _ => Rule::Man,
    }
}

fn read_rule(
    config: &lg_trainer_config,
    pointed: &Pointed<'_>,
    selection: Selection,
    input: Inputs,
) -> Outcome<RuleConfig> {
    let rule = pointed.rule.map_or(Ok(usual_rule(config, pointed, selection)), str::parse)?;
    let named = RuleConfig::of_inputs(rule, pointed.head, input)?;
    refuse_unused(config, &named)?;
    let rule = RuleConfig {
        depth: if config.aux_depth == 0 { named.depth } else { config.aux_depth },
        pool: if config.aux_pool == 0 { named.pool } else { config.aux_pool },
        ema_momentum: if config.ema_momentum < 0.0 { named.ema_momentum } else { config.ema_momentum },
        trained_copy: config.average_alone == 0,
        ..named
    };
    rule.validate()?;
    Ok(rule)
}

/// Refuses numbers that would mean nothing to the rule.
fn refuse_unused(config: &lg_trainer_config, rule: &RuleConfig) -> Outcome<()> {
    let averages = matches!(rule.rule, Rule::Man | Rule::Manpp);
    // NaN is said, too: it is refused as what it is where there is an average.
    let says_momentum = config.ema_momentum >= 0.0 || config.ema_momentum.is_nan();
    let unused = [
        (config.aux_depth != 0 && !rule.has_depth(), "has no auxiliary units to count; leave aux_depth 0"),
        (says_momentum && !averages, "has no moving average; leave ema_momentum negative"),
        (
            config.average_alone != 0 && !averages,
            "has no moving average to stand alone; leave average_alone 0",
        ),
    ];
    if let Some((_, why)) = unused.iter().find(|(is_said, _)| *is_said) {
        let head = if averages { format!(" over head {}", rule.head) } else { String::new() };
        return Err(Fault::config(format!("{}{head} {why}", rule.rule)));
    }
    Ok(())
}

fn read_optimizer(config: &lg_trainer_config) -> Outcome<OptimizerConfig> {
    let lg_trainer_config { momentum, beta1, beta2, epsilon, weight_decay, .. } = *config;
    match config.optimizer {
        0 => Ok(OptimizerConfig::Sgd { momentum, nesterov: config.nesterov != 0, weight_decay }),
        1 => Ok(OptimizerConfig::AdamW { beta1, beta2, epsilon, weight_decay }),
        other => Err(Fault::argument(format!("optimizer is {other}, which is no lg_optimizer"))),
    }
}

fn read_fit(config: &lg_trainer_config) -> Outcome<FitConfig> {
    let schedule = match config.schedule {
        0 => Schedule::Constant,
        1 if config.schedule_steps == 0 => {
            return Err(Fault::config("a cosine needs the number of its steps: set schedule_steps"));
        }
        1 => Schedule::Cosine {
            warmup_epochs: config.warmup_steps,
            start_rate: 0.0,
            floor: Some(config.schedule_floor),
        },
        other => return Err(Fault::argument(format!("schedule is {other}, which is no lg_schedule"))),
    };
    let fit = FitConfig {
        duration: Duration::Steps(config.schedule_steps.max(1)),
        schedule,
        learning_rate: config.learning_rate,
        ..FitConfig::default()
    };
    fit.validate()?;
    Ok(fit)
}

fn read_normalize(pointed: &Pointed<'_>, own: Option<&Normalize>, input: Inputs) -> Outcome<Normalize> {
    let channels = input.channels();
    if input.are_tokens() {
        return Ok(Normalize::identity(channels));
    }
    let Some((mean, deviation)) = pointed.mean_and_deviation else {
        return match (pointed.normalize, own) {
            (None, Some(own)) => Ok(own.clone()),
            (name, _) => Ok(Normalize::named(name.unwrap_or("half"), channels)?),
        };
    };
    let normalize = Normalize { mean: mean.to_vec(), deviation: deviation.to_vec() };
    normalize.check(channels)?;
    Ok(normalize)
}
