//! Pictures in folders as samples: what is chosen for them where nobody says so, and which of them a network is judged by.

use crate::arguments::{DataArguments, MemoryBudget, TrainArguments, TrainedArguments};
use crate::augmentation;
use crate::choices;
use crate::commands::trained;
use crate::fault::{Fault, Outcome};
use crate::origin::Origin;
use crate::output::{Output, count};
use crate::resume::{self, FinetuneOrTrain};
use crate::run_directory::RunDirectory;
use localgrad::data::subset::Subset;
use localgrad::data::{Dataset, ImageShape};
use localgrad::memory;
use localgrad::network::Objective;
use localgrad::threads::Workers;
use localgrad_data::{Collection, Found, Listing, Part, Reading, look, photos};
use std::path::Path;
use std::sync::Arc;

/// Sides of the images that networks for photographs are trained on.
const LARGE_SIDE: usize = 224;
/// Of the images that a network begins to learn from without weights: photographs, and pictures that are no larger.
const PHOTO_SIDE: usize = 64;
const SMALL_SIDE: usize = 32;
/// The most samples a step, and the least.
const BATCHES: [usize; 2] = [64, 8];
/// Steps an epoch that a batch leaves, at least, where it can.
const STEPS: usize = 16;
/// The share of the memory that pictures to learn from, or to be judged by, may take decoded.
const SHARE: usize = 4;
/// Letters of all names of classes that are said.
const MOST_LETTERS: usize = 200;

/// The pictures that `--data` names, if it names some.
///
/// # Errors
/// Those of looking at them.
pub fn found(arguments: &DataArguments) -> Outcome<Option<Collection>> {
    match choices::data_name(arguments) {
        choices::EMBEDDED => Ok(None),
        path => Ok(match look(Path::new(path))? {
            Found::Pictures(collection) => Some(*collection),
            Found::Numbers => None,
        }),
    }
}

/// The pictures that training is of, if it is of pictures; what is not said is chosen for them, and told: at most
/// `most_samples` a step.
///
/// # Errors
/// Those of looking at pictures and weights; when `--input` is given for other data.
pub fn chosen(
    arguments: &mut TrainArguments,
    directory: Option<&RunDirectory>,
    most_samples: usize,
) -> Outcome<Option<Collection>> {
    let pictures = found(&arguments.data)?;
    match &pictures {
        Some(collection) => complete(arguments, collection, directory, most_samples)?,
        None if arguments.input.is_some() => {
            return Err(Fault::usage(
                "--input is for pictures of any size; these data have one of their own: leave it out",
            ));
        }
        None => {}
    }
    Ok(pictures)
}

/// Chooses size and batch where they are not said, and says what was chosen.
fn complete(
    arguments: &mut TrainArguments,
    collection: &Collection,
    directory: Option<&RunDirectory>,
    most_samples: usize,
) -> Outcome<()> {
    if arguments.input.is_none() {
        let spec = arguments.model.model.as_deref().filter(|model| model.ends_with(".json"));
        let of_spec = spec
            .map(|_| choices::network(&arguments.model, [0; 3].into(), (0, Objective::Classes)))
            .transpose()?;
        let of_spec = of_spec.map(|network| network.input);
        let [channels, height, width] = match of_spec.or(Origin::of(arguments, directory)?.input()) {
            Some(input) => input.sides(),
            None => {
                let side = side(arguments.model.model.as_deref(), arguments.init.is_some(), collection);
                [3, side, side]
            }
        };
        arguments.input = Some(format!("{channels}x{height}x{width}"));
    }
    let pictures = collection.whole().items.len().min(arguments.data.limit.unwrap_or(usize::MAX));
    let [most, least] = BATCHES;
    let batch = match directory {
        // What is chosen may be other than when the run began.
        Some(directory) => directory.read_run_file()?.batch,
        None => (pictures / STEPS).max(1).next_power_of_two().clamp(least, most.min(most_samples)),
    };
    arguments.recipe.batch.get_or_insert(batch);
    if directory.is_none() {
        Output { json: arguments.output.json }.text(&words(arguments, collection));
    }
    Ok(())
}

/// The side of the images for a network of that name.
fn side(model: Option<&str>, has_weights: bool, collection: &Collection) -> usize {
    let of_cifar = model.is_none_or(localgrad_models::catalogue::is_small);
    match (of_cifar, collection.shorter_side().unwrap_or(PHOTO_SIDE)) {
        (false, PHOTO_SIDE..) => LARGE_SIDE,
        (true, PHOTO_SIDE..) if !has_weights => PHOTO_SIDE,
        _ => SMALL_SIDE,
    }
}

/// What there is and what is made of it.
fn words(arguments: &TrainArguments, collection: &Collection) -> String {
    let Listing { name, items, class_names, kind } = collection.whole();
    let mut names = class_names.join(", ");
    if names.chars().count() > MOST_LETTERS {
        names = names.chars().take(MOST_LETTERS).chain("…".chars()).collect();
    }
    let parts = match (collection.has_parts(), arguments.hold_out) {
        (true, None) => String::new(),
        (_, Some(held)) => format!(", of which {held} are held out to judge by"),
        (false, None) => ", of which a fifth of each class is held out to judge by".into(),
    };
    let model = match (&arguments.model.model, &arguments.init) {
        (Some(model), _) => model.as_str(),
        (None, Some(_)) => "the weights' network",
        (None, None) => choices::DEFAULT_MODEL,
    };
    let input = arguments.input.as_deref().unwrap_or_default();
    let batch = arguments.recipe.batch.unwrap_or_default();
    format!(
        "{name}: {} pictures of {} {} ({names}){parts}; {model} takes them as {input}, {batch} a step \
         (--model, --input, --batch and --hold-out say otherwise)",
        count(items.len()),
        class_names.len(),
        kind.noun()
    )
}

/// How pictures are read as a network of this input takes them.
fn reading(data: &DataArguments, [channels, height, width]: [usize; 3]) -> Reading {
    Reading { shape: ImageShape { channels, height, width }, strict: data.strict }
}

/// What pictures may take decoded, of a budget or of what this process may have; more of them are decoded whenever they
/// are read.
fn most_bytes(budget_bytes: Option<usize>) -> usize {
    let ceiling_bytes = memory::ceiling().map_or(usize::MAX, |ceiling| ceiling.bytes);
    budget_bytes.unwrap_or(usize::MAX).min(ceiling_bytes) / SHARE
}

/// Samples to learn from and to be judged by.
///
/// # Errors
/// Those of reading pictures.
pub fn samples(arguments: &TrainArguments, collection: &Collection) -> Outcome<[Arc<dyn Dataset>; 2]> {
    let input = choices::image_size(arguments.input.as_deref().unwrap_or_default())?;
    let (reading, seed) = (reading(&arguments.data, input), arguments.recipe.seed);
    let limited = |listing: Listing| match arguments.data.limit {
        Some(limit) => listing.limited(limit),
        None => listing,
    };
    let budget_bytes = match arguments.budget.memory_budget {
        Some(MemoryBudget::Bytes(bytes)) => Some(bytes),
        Some(MemoryBudget::Auto) | None => None,
    };
    let most_bytes = most_bytes(budget_bytes);
    // What is decoded already has no other parts to take.
    let most_to_learn = if augmentation::takes_parts(&arguments.recipe.augment) { 0 } else { most_bytes };
    if let Some(held_out) = arguments.hold_out {
        let whole = photos::open(limited(collection.part(Part::All, seed)?), &reading, most_to_learn)?;
        let [train, test] = Subset::split(Arc::from(whole), held_out, seed)?;
        return Ok([Arc::new(train), Arc::new(test)]);
    }
    let train = photos::open(limited(collection.part(Part::Train, seed)?), &reading, most_to_learn)?;
    let test = photos::open(collection.part(Part::Judge, seed)?, &reading, most_bytes)?;
    Ok([Arc::from(train), Arc::from(test)])
}

/// The samples that trained weights are to be tried on: of a data set its test samples, of pictures those that were not
/// learnt from, and all of a folder without parts that was not.
///
/// # Errors
/// Those of reading them, and a request for the size of the images where nothing says it.
pub fn judged(
    arguments: &TrainedArguments,
    data: &DataArguments,
    workers: &Workers,
) -> Outcome<Box<dyn Dataset>> {
    let Some(collection) = found(data)? else {
        return choices::limited(choices::dataset(data, Part::Test)?, data.limit);
    };
    let (input, names) = known(arguments, data, &collection)?;
    let reading = reading(data, input);
    let own = match &arguments.run {
        Some(run) => own_words(run)?,
        None => None,
    };
    let (seed, held_out) = own.map_or((0, None), |words| (words.recipe.seed, words.hold_out));
    let is_own = is_own(arguments, data)?;
    let part = if is_own || collection.has_parts() { Part::Test } else { Part::All };
    let named = |listing: Listing| match names.is_empty() {
        true => Ok(listing),
        false => listing.relabelled(&names),
    };
    let limited = |listing: Listing| listing.limited(data.limit.unwrap_or(usize::MAX));
    let open = |listing: Listing| workers.run(|| photos::open(listing, &reading, most_bytes(None)));
    if let (true, Some(held_out)) = (is_own, held_out) {
        let whole = named(collection.part(Part::All, seed)?)?;
        let [_, test] = Subset::split(Arc::from(open(whole)?), held_out, seed)?;
        return choices::limited(Box::new(test), data.limit);
    }
    let listing = limited(named(collection.part(part, seed)?)?);
    Ok(open(listing)?)
}

/// Whether the data are those that the run learnt from.
fn is_own(arguments: &TrainedArguments, data: &DataArguments) -> Outcome<bool> {
    let Some(run) = &arguments.run else { return Ok(false) };
    let learnt = RunDirectory::open(run)?.read_run_file()?.data;
    let same = |a: &str, b: &str| match (Path::new(a).canonicalize(), Path::new(b).canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    };
    Ok(same(&learnt, choices::data_name(data)))
}

/// The words that the run began with, if it has any.
fn own_words(run: &Path) -> Outcome<Option<TrainArguments>> {
    let words = RunDirectory::open(run)?.read_run_file()?.words;
    if words.is_empty() {
        return Ok(None);
    }
    Ok(Some(match resume::parsed(&words)? {
        FinetuneOrTrain::Train(words) => *words,
        FinetuneOrTrain::Finetune(words) => words.train,
    }))
}

/// What images the network takes, and the names of its classes.
fn known(
    arguments: &TrainedArguments,
    data: &DataArguments,
    collection: &Collection,
) -> Outcome<([usize; 3], Vec<String>)> {
    if let Some(run) = &arguments.run {
        let file = RunDirectory::open(run)?.read_run_file()?;
        return Ok((file.network.input.sides(), file.class_names));
    }
    let Some(path) = &arguments.weights else { return Err(Fault::usage("name a --run, or --weights")) };
    let Origin { card, .. } = Origin::of_file(&arguments.model, path)?;
    let said = arguments.input.as_deref().map(choices::image_size).transpose()?;
    let classes = card.network.as_ref().map_or(0, |network| network.classes);
    let names = choices::class_names(data, classes.max(arguments.classes.unwrap_or(0)))?;
    let input = match (said, card.network, &arguments.model.model) {
        (Some(input), _, _) => input,
        (None, Some(network), _) => network.input.sides(),
        (None, None, Some(model)) => {
            let side = side(Some(model), true, collection);
            [3, side, side]
        }
        (None, None, None) => return Err(trained::unknown_network(path)),
    };
    Ok((input, names.unwrap_or(card.class_names)))
}
