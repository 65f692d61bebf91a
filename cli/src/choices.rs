//! From words to what they mean: networks, rules, data and devices.

use crate::arguments::{
    DataArguments, ModelArguments, ObjectiveName, OptimizerName, RecipeArguments, RuleArguments,
    ScheduleName, ShapeArguments, ShortcutName, StemName, TaskName, WaitingArguments,
};
use crate::embedded;
use crate::fault::{Fault, Outcome};
use crate::recipe::Defaults;
use localgrad::data::subset::Subset;
use localgrad::data::{Autoencoded, Dataset, Normalize, Split};
use localgrad::fit::{Duration, FitConfig};
use localgrad::inputs::{Inputs, Tokens};
use localgrad::network::unit::Shortcut;
use localgrad::network::{NetworkSpec, Objective};
use localgrad::optimizer::OptimizerConfig;
use localgrad::plan::{Freedom, cuts};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::schedule::{DEFAULT_FLOOR, DEFAULT_START_RATE, DEFAULT_WARMUP_EPOCHS, Schedule};
use localgrad::targets::TargetKind;
use localgrad::threads::Workers;
use localgrad::trainer::{CacheConfig, Execution, Method, Selection, TrainConfig};
use localgrad_data::Part;
use localgrad_models::cut::{self, Cut};
use localgrad_models::{ModelConfig, Stem, published, vgg};
use std::path::Path;
use std::sync::Arc;

/// The word for the data inside the program.
pub const EMBEDDED: &str = "embedded";
/// Of the contrastive loss, where nobody says so.
const DEFAULT_TEMPERATURE: f64 = 0.07;
/// Of SGD, where nobody says so.
const DEFAULT_MOMENTUM: f64 = 0.9;
/// What a milestone multiplies the rate by, where nobody says so.
const DEFAULT_STEP_FACTOR: f64 = 0.1;
/// The network where nobody says so.
pub const DEFAULT_MODEL: &str = "resnet20";

/// `--data`, or what stands for it.
pub fn data_name(arguments: &DataArguments) -> &str {
    arguments.data.as_deref().unwrap_or(EMBEDDED)
}

/// What a network learns of data with such targets, by the loss that `--huber` says.
pub fn objective(kind: TargetKind, huber: Option<f64>) -> Outcome<Objective> {
    let objective = match (kind, huber) {
        (TargetKind::Values, Some(delta)) => Objective::Huber { delta },
        (kind, None) => kind.into(),
        (kind, Some(_)) => {
            let noun = kind.noun();
            return Err(Fault::usage(format!(
                "--huber is for data with values, and these have {noun}; leave it out"
            )));
        }
    };
    Ok(objective.validate().map(|()| objective)?)
}

/// The outputs of a network by its name, and what they are, where there are no data.
pub fn answers(shape: &ShapeArguments, huber: Option<f64>) -> Outcome<(usize, Objective)> {
    let kind = match shape.objective {
        ObjectiveName::Classes => TargetKind::Class,
        ObjectiveName::Labels => TargetKind::Labels,
        ObjectiveName::Values => TargetKind::Values,
    };
    Ok((shape.classes, objective(kind, huber)?))
}

/// The spec that `--model` names: one of the catalogue, for so many outputs of that objective, or a JSON file.
pub fn network(
    arguments: &ModelArguments,
    input: Inputs,
    (classes, objective): (usize, Objective),
) -> Outcome<NetworkSpec> {
    let name = arguments.model.as_deref().unwrap_or(DEFAULT_MODEL);
    if name.ends_with(".json") {
        if arguments.shortcut.is_some() || arguments.widths.is_some() || arguments.stem.is_some() {
            return Err(Fault::usage(format!(
                "{name} says all of the network; leave --shortcut, --stem and --widths out"
            )));
        }
        return read_spec(Path::new(name));
    }
    let config = ModelConfig {
        input,
        classes,
        objective,
        widths: arguments.widths.clone(),
        shortcut: match arguments.shortcut {
            None | Some(ShortcutName::Project) => Shortcut::Project,
            Some(ShortcutName::Pad) => Shortcut::Pad,
        },
        stem: arguments.stem.map(|stem| match stem {
            StemName::Imagenet => Stem::Imagenet,
            StemName::Small => Stem::Small,
        }),
    };
    Ok(localgrad_models::network(name, &config)?)
}

/// The same for weights whose file may say that it is of `of_file`: the name that this network had then is understood, too.
pub fn network_of_weights(
    arguments: &ModelArguments,
    of_file: Option<&NetworkSpec>,
    input: Inputs,
    answers: (usize, Objective),
) -> Outcome<NetworkSpec> {
    let same = of_file.filter(|network| arguments.model.as_deref() == Some(network.name.as_str()));
    let Some(before) = same else { return network(arguments, input, answers) };
    let arguments = ModelArguments { model: Some(vgg::name_of(before)), ..arguments.clone() };
    // It keeps the name, so that the same words mean it again.
    Ok(NetworkSpec { name: before.name.clone(), ..network(&arguments, input, answers)? })
}

fn read_spec(path: &Path) -> Outcome<NetworkSpec> {
    let wrong = |cause: String| Fault::failed(format!("{}: {cause}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|cause| wrong(cause.to_string()))?;
    let spec: NetworkSpec = serde_json::from_str(&text).map_err(|cause| wrong(cause.to_string()))?;
    spec.validate().map_err(|cause| wrong(cause.to_string()))?;
    Ok(spec)
}

/// `CxHxW` as images of that size, and `128of5000` as 128 tokens of 5000 to choose from.
pub fn inputs(text: &str) -> Outcome<Inputs> {
    let Some((length, vocabulary)) = text.split_once("of") else {
        return image_size(text).map(Inputs::Pixels);
    };
    match (length.trim().parse(), vocabulary.trim().parse()) {
        (Ok(length), Ok(vocabulary)) => Ok(Inputs::Tokens(Tokens { length, vocabulary })),
        _ => Err(Fault::usage(format!(
            "--input takes a number of tokens and of how many to choose from, such as 128of5000, found '{text}'"
        ))),
    }
}

/// `CxHxW` as numbers.
pub fn image_size(text: &str) -> Outcome<[usize; 3]> {
    let sides: Vec<usize> = text.split('x').filter_map(|side| side.parse().ok()).collect();
    match sides[..] {
        [c, h, w] if !sides.contains(&0) && text.split('x').count() == 3 => Ok([c, h, w]),
        _ => Err(Fault::usage(format!(
            "--input takes channels, height and width such as 3x32x32, found '{text}'"
        ))),
    }
}

/// The rule where nobody names one. A last part that is trained alone keeps little, and is trained end to end unless words
/// about blocks or their heads are there, or so many blocks are to be `frozen`.
pub fn usual_rule(
    arguments: &RuleArguments,
    waiting: &WaitingArguments,
    selection: Selection,
    frozen: usize,
) -> Rule {
    let has_blocks = arguments.blocks.is_some() || arguments.ends.is_some() || frozen > 0;
    let is_cut = has_blocks || arguments.head.is_some() || !waiting.block_batches.is_empty();
    match selection {
        Selection::Head | Selection::LastUnits(_) if !is_cut => Rule::Bp,
        _ => Rule::Man,
    }
}

/// The rule and its numbers for samples that are `input`; `fallback` where no `--rule` was given.
pub fn rule(arguments: &RuleArguments, fallback: Rule, input: Inputs) -> Outcome<RuleConfig> {
    let rule = arguments.rule.as_deref().map_or(Ok(fallback), str::parse)?;
    // The contrastive loss is of the published heads.
    let published = (arguments.task == TaskName::Contrastive && !input.are_tokens()).then_some("infopro");
    let head = arguments.head.as_deref().or(published.filter(|_| rule == Rule::Man));
    let mut config = RuleConfig::of_inputs(rule, head, input)?;
    refuse_unused(arguments, &config)?;
    if arguments.task == TaskName::Contrastive {
        config.contrastive_temperature = Some(arguments.temperature.unwrap_or(DEFAULT_TEMPERATURE));
    }
    config.ema_momentum = arguments.ema_momentum.unwrap_or(config.ema_momentum);
    config.trained_copy = !arguments.average_alone;
    config.depth = arguments.aux_depth.unwrap_or(config.depth);
    config.pyramid = arguments.pyramid.unwrap_or(config.pyramid);
    config.pool = arguments.aux_pool.unwrap_or(config.pool);
    if let Some(lambda) = &arguments.lambda_first {
        config.lambda_first = pair("--lambda-first", lambda)?;
        config.lambda_last = config.lambda_first;
    }
    if let Some(lambda) = &arguments.lambda_last {
        config.lambda_last = pair("--lambda-last", lambda)?;
    }
    config.validate()?;
    Ok(config)
}

/// Refuses what would mean nothing to the rule.
fn refuse_unused(arguments: &RuleArguments, config: &RuleConfig) -> Outcome<()> {
    let averages = matches!(config.rule, Rule::Man | Rule::Manpp);
    let local = config.rule != Rule::Bp;
    let contrastive = arguments.task == TaskName::Contrastive;
    let unused = [
        ("--average-alone", arguments.average_alone && !averages, "has no moving average"),
        ("--ema-momentum", arguments.ema_momentum.is_some() && !averages, "has no moving average"),
        (
            "--aux-depth",
            arguments.aux_depth.is_some() && !config.has_depth(),
            "has no auxiliary units to count",
        ),
        ("--pyramid", arguments.pyramid.is_some() && !config.has_depth(), "has no auxiliary units to count"),
        ("--aux-pool", arguments.aux_pool.is_some() && !config.has_new_units(), "has no units of AugLocal's"),
        ("--temperature", arguments.temperature.is_some() && !contrastive, "is without --task contrastive"),
        ("--lambda-first", arguments.lambda_first.is_some() && !local, "has one loss only"),
        ("--lambda-last", arguments.lambda_last.is_some() && !local, "has one loss only"),
    ];
    match unused.iter().find(|(_, said, _)| *said) {
        Some((flag, _, why)) => Err(Fault::usage(format!("{} {why}; leave {flag} out", config.rule))),
        None => Ok(()),
    }
}

fn pair(flag: &str, numbers: &[f64]) -> Outcome<[f64; 2]> {
    match numbers {
        [a, b] => Ok([*a, *b]),
        _ => Err(Fault::usage(format!("{flag} takes two numbers, such as 5,0.5; found {}", numbers.len()))),
    }
}

/// Where the network and its backward passes are cut: as given, as published, or so that the largest block keeps as
/// little as can be. Blocks that have batches of their own are as many as these.
pub fn cut(
    arguments: &RuleArguments,
    block_batches: &[usize],
    network: &NetworkSpec,
    rule: &RuleConfig,
) -> Outcome<Cut> {
    let said = Some(block_batches.len()).filter(|&count| count > 0 && rule.rule != Rule::Bp);
    let cut = cut::cut(network, rule, arguments.ends.as_deref(), arguments.blocks.or(said))?;
    Ok(Cut { pieces: arguments.pieces.clone().unwrap_or(cut.pieces), ..cut })
}

/// `train` with all that waits as these words say.
pub fn waiting(arguments: &WaitingArguments, train: TrainConfig) -> TrainConfig {
    TrainConfig {
        method: Method {
            chunk: arguments.chunk,
            block_batches: arguments.block_batches.clone(),
            cache: arguments.cache_features.map(|variants| CacheConfig {
                variants,
                precision: arguments.cache_precision.unwrap_or(arguments.features),
            }),
            ..train.method
        },
        execution: Execution {
            exact: arguments.exact,
            activations: arguments.activations.unwrap_or_default(),
            features: arguments.features,
            features_on_disk: arguments.features_on_disk,
            offload: arguments.offload,
            ..train.execution
        },
    }
}

/// What a memory budget may choose: all that these words leave open.
pub fn freedom(
    arguments: &RuleArguments,
    waiting: &WaitingArguments,
    micro_batch: Option<usize>,
    network: &NetworkSpec,
    rule: &RuleConfig,
) -> Outcome<Freedom> {
    let cuts = match (&arguments.ends, arguments.blocks) {
        (None, None) if waiting.block_batches.is_empty() => every_cut(network, rule)?,
        (None, Some(count)) if rule.rule != Rule::Bp && waiting.block_batches.is_empty() => {
            let given = cut(arguments, &[], network, rule)?.ends;
            with_published(vec![given, cuts::even_ends(network, rule, count)?], network, rule)
        }
        _ => vec![cut(arguments, &waiting.block_batches, network, rule)?.ends],
    };
    // What bp is cut into are pieces.
    let is_cut = rule.rule == Rule::Bp && (arguments.ends.is_some() || arguments.blocks.is_some());
    Ok(Freedom {
        cuts,
        micro_batch: micro_batch.is_none(),
        recompute: !arguments.recompute,
        pieces: arguments.pieces.is_none() && !is_cut,
        half: waiting.activations.is_none(),
        files: !waiting.offload && !waiting.features_on_disk,
    })
}

/// Where a network may be cut: evenly, and as published.
pub fn every_cut(network: &NetworkSpec, rule: &RuleConfig) -> Outcome<Vec<Vec<usize>>> {
    let even = cuts::cuts(network, rule)?;
    Ok(if rule.rule == Rule::Bp { even } else { with_published(even, network, rule) })
}

/// These cuts, and those into as many blocks that were published, each once.
fn with_published(mut cuts: Vec<Vec<usize>>, network: &NetworkSpec, rule: &RuleConfig) -> Vec<Vec<usize>> {
    let counts: Vec<usize> = cuts.iter().map(Vec::len).collect();
    cuts.extend(counts.into_iter().filter_map(|count| published::ends(network, rule, count)));
    cuts.sort();
    cuts.dedup();
    cuts
}

/// A part of the data set that `--data` names.
pub fn dataset(arguments: &DataArguments, part: Part) -> Outcome<Box<dyn Dataset>> {
    match data_name(arguments) {
        EMBEDDED => embedded::open(if part == Part::Train { Split::Train } else { Split::Test }),
        path if arguments.autoencode => Ok(localgrad_data::open::unlabelled(Path::new(path), part)?),
        path => Ok(localgrad_data::open::numbers(Path::new(path), part)?),
    }
}

/// The samples with what they are to be answered with: themselves, where `--autoencode` says so.
pub fn answered(arguments: &DataArguments, samples: Arc<dyn Dataset>) -> Arc<dyn Dataset> {
    if arguments.autoencode { Arc::new(Autoencoded::new(samples)) } else { samples }
}

/// The first `--limit` samples, if it is given.
pub fn limited(dataset: Box<dyn Dataset>, limit: Option<usize>) -> Outcome<Box<dyn Dataset>> {
    Ok(match limit {
        None => dataset,
        Some(count) => Box::new(Subset::first(dataset, count)?),
    })
}

/// How images are normalised: as `--normalize` says, or as suits the data.
pub fn normalize(arguments: &DataArguments, input: Inputs, are_pictures: bool) -> Outcome<Normalize> {
    let name = match (&arguments.normalize, data_name(arguments)) {
        (Some(name), _) => name.as_str(),
        (None, _) if input.are_tokens() => "identity",
        (None, EMBEDDED) => "fashion",
        (None, _) if are_pictures && input.channels() == 3 => "imagenet",
        (None, _) if input == Inputs::Pixels([3, 32, 32]) => "cifar10",
        (None, _) => "half",
    };
    Ok(Normalize::named(name, input.channels())?)
}

/// How images are normalised for given weights: as `--normalize` says, or else as their file does.
pub fn normalize_of_weights(
    arguments: &DataArguments,
    of_file: Option<Normalize>,
    channels: usize,
    path: &Path,
) -> Outcome<Normalize> {
    if let Some(name) = &arguments.normalize {
        return Ok(Normalize::named(name, channels)?);
    }
    let normalize = of_file.ok_or_else(|| {
        Fault::usage(format!(
            "{} does not say how its images are normalised; say it: --normalize imagenet, cifar10, half, fashion or \
             identity",
            path.display()
        ))
    })?;
    normalize.check(channels).map_err(|cause| cause.at(path.display()))?;
    Ok(normalize)
}

/// What `--class-names` names, if it is given: a list, or a file with one name a line.
pub fn class_names(arguments: &DataArguments, classes: usize) -> Outcome<Option<Vec<String>>> {
    let Some(said) = &arguments.class_names else { return Ok(None) };
    let path = Path::new(said);
    let text = match path.is_file() {
        true => std::fs::read_to_string(path).map_err(|cause| localgrad::Error::io(path, cause))?,
        false => said.replace(',', "\n"),
    };
    let names: Vec<String> = text.trim_end().lines().map(|name| name.trim().to_string()).collect();
    if names.len() == classes {
        return Ok(Some(names));
    }
    let hint = if path.is_file() { "" } else { " (there is no file of that name)" };
    Err(Fault::usage(format!("--class-names has {} for {classes} classes{hint}", names.len())))
}

/// Names of a data set's classes, where it has any.
pub fn names_of(arguments: &DataArguments, dataset: &dyn Dataset) -> Vec<String> {
    match data_name(arguments) {
        EMBEDDED => embedded::CLASS_NAMES.map(String::from).to_vec(),
        _ => dataset.class_names().to_vec(),
    }
}

/// The optimizer with its numbers.
pub fn optimizer(recipe: &RecipeArguments) -> Outcome<OptimizerConfig> {
    if recipe.optimizer == OptimizerName::Adamw && recipe.momentum.is_some() {
        return Err(Fault::usage("adamw has no --momentum; leave it out"));
    }
    let momentum = recipe.momentum.unwrap_or(DEFAULT_MOMENTUM);
    let config = match recipe.optimizer {
        OptimizerName::Sgd => OptimizerConfig::Sgd {
            momentum,
            nesterov: momentum > 0.0,
            weight_decay: recipe.weight_decay.unwrap_or(1e-4),
        },
        OptimizerName::Adamw => match OptimizerConfig::adamw() {
            OptimizerConfig::AdamW { beta1, beta2, epsilon, weight_decay } => OptimizerConfig::AdamW {
                beta1,
                beta2,
                epsilon,
                weight_decay: recipe.weight_decay.unwrap_or(weight_decay),
            },
            sgd @ OptimizerConfig::Sgd { .. } => sgd,
        },
    };
    config.validate()?;
    Ok(config)
}

/// Refuses what would mean nothing to the schedule.
fn refuse_unused_in(recipe: &RecipeArguments) -> Outcome<()> {
    let (steps, cosine) = (recipe.schedule == ScheduleName::Step, recipe.schedule == ScheduleName::Cosine);
    let warms_up = cosine || recipe.schedule == ScheduleName::CosineToZero;
    let unused = [
        ("--warmup", recipe.warmup.is_some() && !warms_up, "cosine"),
        ("--lr-floor", recipe.lr_floor.is_some() && !cosine, "cosine"),
        ("--milestones", recipe.milestones.is_some() && !steps, "step"),
        ("--step-factor", recipe.step_factor.is_some() && !steps, "step"),
    ];
    match unused.iter().find(|(_, said, _)| *said) {
        Some((flag, _, name)) => {
            Err(Fault::usage(format!("{flag} belongs to --schedule {name}; leave it out, or say so")))
        }
        None => Ok(()),
    }
}

/// How long and how fast to train on batches of `batch`; as `defaults` say where nothing else was said.
pub fn fit(recipe: &RecipeArguments, batch: usize, defaults: &Defaults) -> Outcome<FitConfig> {
    refuse_unused_in(recipe)?;
    let schedule = match recipe.schedule {
        ScheduleName::Constant => Schedule::Constant,
        ScheduleName::Cosine | ScheduleName::CosineToZero => Schedule::Cosine {
            warmup_epochs: recipe.warmup.unwrap_or(DEFAULT_WARMUP_EPOCHS),
            start_rate: DEFAULT_START_RATE,
            floor: (recipe.schedule == ScheduleName::Cosine)
                .then_some(recipe.lr_floor.unwrap_or(DEFAULT_FLOOR)),
        },
        ScheduleName::Step => Schedule::Step {
            milestones: recipe.milestones.clone().ok_or_else(|| {
                Fault::usage("--schedule step needs --milestones, such as --milestones 15,25")
            })?,
            factor: recipe.step_factor.unwrap_or(DEFAULT_STEP_FACTOR),
        },
    };
    let default_rate = match recipe.optimizer {
        OptimizerName::Sgd => defaults.sgd_rate * batch as f64 / 128.0,
        OptimizerName::Adamw => defaults.adamw_rate,
    };
    let config = FitConfig {
        duration: recipe
            .steps
            .map_or(Duration::Epochs(recipe.epochs.unwrap_or(defaults.epochs)), Duration::Steps),
        schedule,
        learning_rate: recipe.lr.unwrap_or(default_rate),
        ..FitConfig::default()
    };
    config.validate()?;
    Ok(config)
}

/// The pool that `--threads` asks for.
pub fn workers(threads: Option<usize>) -> Outcome<Workers> {
    if threads == Some(0) {
        return Err(Fault::usage("--threads needs at least 1"));
    }
    Ok(Workers::start(threads.unwrap_or(0))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_may_be_cut_where_others_cut_it() {
        let network = localgrad_models::network("resnet110", &ModelConfig::default()).unwrap();
        let rule = RuleConfig::new(Rule::Man);
        let man = every_cut(&network, &rule).unwrap();
        let even = cuts::cuts(&network, &rule).unwrap();
        let counts: Vec<usize> = even.iter().map(Vec::len).collect();
        let theirs: Vec<_> =
            counts.iter().filter_map(|&count| published::ends(&network, &rule, count)).collect();
        assert!(theirs.iter().any(|ends| !even.contains(ends)));
        assert!(even.iter().chain(&theirs).all(|ends| man.contains(ends)));
        assert!(man.is_sorted() && man.windows(2).all(|two| two[0] != two[1]));
        assert_eq!(every_cut(&network, &RuleConfig::new(Rule::Bp)).unwrap(), [[network.units.len() - 1]]);
    }
}
