//! `localgrad plan`

use crate::arguments::{DeviceArguments, MemoryBudget, PlanArguments, RuleArguments};
use crate::augmentation;
use crate::automatic;
use crate::budget;
use crate::choices;
use crate::commands::compare;
use crate::fault::{Fault, Outcome};
use crate::output::{Output, bytes, table};
use localgrad::ErrorKind;
use localgrad::data::ImageShape;
use localgrad::maps::Place;
use localgrad::network::NetworkSpec;
use localgrad::plan::{Candidate, Choice, Freedom, MomentPeak, Part, Plan, Rates, Rehearsed, Work, Workload};
use localgrad::precision::{Precision, ProductPrecision};
use localgrad::trainer::{Execution, Method, TrainConfig};
use localgrad_models::cut::Cut;
use serde::Serialize;
use std::collections::BTreeMap;

/// Samples a step where nobody says so: as for `train`.
const DEFAULT_BATCH: usize = 128;

#[derive(Serialize)]
struct PlanRecord<'a> {
    event: &'static str,
    model: &'a str,
    rule: String,
    batch: usize,
    device: &'a str,
    /// In what a device multiplies.
    #[serde(skip_serializing_if = "Option::is_none")]
    precision: Option<ProductPrecision>,
    threads: usize,
    budget_bytes: Option<usize>,
    planned_bytes: usize,
    /// Of a device's memory, what a step takes at the most, and an evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    training_bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evaluation_bytes: Option<usize>,
    peak_moment: String,
    ends: &'a [usize],
    micro_batch: Option<usize>,
    recompute: bool,
    pieces: &'a [usize],
    /// What waits, and where.
    exact: bool,
    activations: Precision,
    features: Precision,
    features_on_disk: bool,
    offload: bool,
    side_by_side: bool,
    chunk: usize,
    evaluation_batch: Option<usize>,
    /// An estimate; none on a device.
    step_seconds: Option<f64>,
    step_work: Work,
    parts: BTreeMap<Part, PartRecord>,
    blocks: &'a [localgrad::plan::BlockBytes],
    timeline: Vec<MomentRecord>,
    runners_up: &'a [Candidate],
    /// Bytes of a device's memory that are free now, where it is here and tells them.
    #[serde(skip_serializing_if = "Option::is_none")]
    free_bytes: Option<usize>,
    notes: Vec<&'a str>,
}

#[derive(Serialize)]
struct PartRecord {
    /// When most is in memory.
    at_peak_bytes: usize,
    /// The most of this part at any time.
    worst_bytes: usize,
}

#[derive(Serialize)]
struct MomentRecord {
    moment: String,
    bytes: usize,
    parts: BTreeMap<Part, usize>,
}

/// Plans a run and prints the plan; trains nothing.
pub fn run(arguments: &PlanArguments) -> Outcome<()> {
    let output = Output { json: arguments.output.json };
    let input = choices::inputs(&arguments.shape.input)?;
    let answers = choices::answers(&arguments.shape, arguments.recipe.huber)?;
    let network = choices::network(&arguments.model, input, answers)?;
    let workers = choices::workers(arguments.device.threads)?;
    let place = place(arguments, output)?;
    let rates = match &place {
        None => budget::rates(&workers, arguments.waiting.scratch.as_deref())?,
        Some(_) => Rates::default(),
    };
    let asked = |rule: &RuleArguments| asked(arguments, rule, &network, (workers.count(), place.as_ref()));
    let budget_bytes = arguments.budget.bytes(place.as_ref().unwrap_or(&Place::Host))?;
    let mut rule = arguments.rule.clone();
    if automatic::wanted(&rule) {
        automatic::check(&rule, &arguments.waiting)?;
    }
    if automatic::wanted(&rule) && arguments.compare {
        rule = automatic::end_to_end(&rule);
    } else if automatic::wanted(&rule) {
        let chosen = automatic::choose(&rule, &network, budget_bytes, |rule| {
            let (workload, freedom) = asked(rule)?;
            budget::attempt(workload, &freedom, budget_bytes)
        })?;
        output.text(&chosen.why);
        rule = chosen.rule;
    }
    let (workload, freedom) = asked(&rule)?;
    if arguments.compare {
        return compare::run(arguments, &workload, budget_bytes, &rates);
    }
    let (plan, choice) = budget::plan_or_choose(&workload, budget_bytes, &freedom, &rates)?;
    let asked = workload;
    let workload = choice.as_ref().map_or(asked.clone(), |choice| choice.chosen.applied(&asked));
    let there = budget::rehearsed(&workload, budget_bytes)?;
    let short = place.as_ref().zip(there).and_then(|(place, there)| {
        let needed_bytes = there.least_bytes();
        let free_bytes = budget::short_of(place, needed_bytes)?;
        let short = budget::words_of_short("this run", place, needed_bytes, free_bytes);
        Some(format!("{short}: {}", budget::what_would_do(asked, Some(freedom), Some(free_bytes))))
    });
    let free_bytes = place.as_ref().and_then(Place::free_bytes);
    let told = Told {
        workload: &workload,
        plan: &plan,
        there,
        choice: choice.as_ref(),
        budget_bytes,
        free_bytes,
        short,
    };
    output.record(&told.record(&arguments.device.device, &rates));
    if !output.json {
        output.text(&told.report(&arguments.device.device, &rates));
    }
    Ok(())
}

/// The device whose memory is planned, if it is not the CPU: a card that is not here, or not yet, is imagined.
fn place(arguments: &PlanArguments, output: Output) -> Outcome<Option<Place>> {
    let DeviceArguments { device: name, precision, .. } = &arguments.device;
    let place = match Place::open_with(name, *precision) {
        Ok(place) => place,
        Err(cause) => {
            let imagined = Place::imagined(name, *precision).filter(|_| cause.kind() == ErrorKind::Device);
            let Some(imagined) = imagined else { return Err(cause.into()) };
            if arguments.budget.memory_budget == Some(MemoryBudget::Auto) {
                return Err(Fault::usage(format!(
                    "how much memory is free on a card that is only imagined nobody knows; give --memory-budget a size ({cause})"
                )));
            }
            output
                .text(&format!("note: planned for a card with tensor cores that is only imagined: {cause}"));
            imagined
        }
    };
    Ok(Some(place).filter(|place| !place.is_host()))
}

/// What is asked for with the rule that `rule` says, and what a budget may choose of it.
fn asked(
    arguments: &PlanArguments,
    rule: &RuleArguments,
    network: &NetworkSpec,
    (threads, place): (usize, Option<&Place>),
) -> Outcome<(Workload, Freedom)> {
    let recipe = &arguments.recipe;
    let usual = choices::usual_rule(rule, &arguments.waiting, recipe.selection, 0);
    let config = choices::rule(rule, usual, network.input)?;
    let Cut { ends, pieces } = choices::cut(rule, &arguments.waiting.block_batches, network, &config)?;
    let freedom = choices::freedom(rule, &arguments.waiting, recipe.micro_batch, network, &config)?;
    let train = TrainConfig {
        method: Method {
            ends,
            rule: config,
            optimizer: choices::optimizer(recipe)?,
            optimizer_state: recipe.optimizer_state.into(),
            clip_norm: recipe.clip_norm,
            selection: recipe.selection,
            ..Method::default()
        },
        execution: Execution {
            pieces,
            micro_batch: recipe.micro_batch,
            recompute: rule.recompute,
            side_by_side: rule.side_by_side,
            ..Execution::default()
        },
    };
    let train = choices::waiting(&arguments.waiting, train);
    let batch = recipe.batch.unwrap_or(DEFAULT_BATCH);
    let workload = Workload::steps(network.clone(), train, batch, threads);
    let [channels, height, width] = network.input.sides();
    let shape = ImageShape { channels, height, width };
    let augment = augmentation::augmentation(&recipe.augment, "", network.input)?;
    let reading_bytes = augment.map_or(0, |augment| augment.working_bytes(shape));
    let samples = samples(arguments)?;
    let blends = augmentation::blend(&recipe.augment).is_some();
    let judged = arguments.judged.unwrap_or(0);
    let workload = Workload {
        reading_bytes,
        samples,
        evaluation_samples: judged,
        evaluation_batch: (judged > 0).then(|| batch.min(judged)),
        blends,
        place: place.cloned(),
        ..workload
    };
    Ok((budget::without_data(workload, !recipe.augment.no_augment), freedom))
}

/// Samples whose features are kept.
fn samples(arguments: &PlanArguments) -> Outcome<usize> {
    match (arguments.waiting.cache_features, arguments.samples) {
        (Some(_), None) => Err(Fault::usage("say of how many samples the features are kept: --samples N")),
        (_, samples) => Ok(samples.unwrap_or(0)),
    }
}

/// What is told of a plan.
struct Told<'a> {
    workload: &'a Workload,
    plan: &'a Plan,
    /// On a device, what is taken there.
    there: Option<Rehearsed>,
    choice: Option<&'a Choice>,
    budget_bytes: Option<usize>,
    /// Bytes that are free there now.
    free_bytes: Option<usize>,
    /// What is to be done where those are too few.
    short: Option<String>,
}

impl<'a> Told<'a> {
    fn record(&'a self, device: &'a str, rates: &Rates) -> PlanRecord<'a> {
        let Self { workload, plan, there, choice, budget_bytes, free_bytes, ref short } = *self;
        let part = |part: &Part| {
            let (at_peak_bytes, worst_bytes) =
                (plan.parts_at_peak[*part as usize], plan.worst_of_parts[*part as usize]);
            (*part, PartRecord { at_peak_bytes, worst_bytes })
        };
        let moment = |peak: &MomentPeak| MomentRecord {
            moment: peak.moment.to_string(),
            bytes: peak.bytes,
            parts: Part::ALL.iter().map(|part| (*part, peak.parts[*part as usize])).collect(),
        };
        let Execution {
            micro_batch,
            recompute,
            ref pieces,
            exact,
            activations,
            features,
            features_on_disk,
            offload,
            side_by_side,
        } = workload.train.execution;
        PlanRecord {
            event: "planned",
            model: &workload.network.name,
            rule: workload.train.method.rule.rule.to_string(),
            batch: workload.batch,
            device,
            precision: workload.place.as_ref().filter(|place| !place.is_host()).map(Place::products),
            threads: workload.threads,
            budget_bytes,
            planned_bytes: there.map_or(plan.peak_bytes, |there| there.held_bytes),
            training_bytes: there.map(|there| there.training_bytes),
            evaluation_bytes: there.map(|there| there.evaluation_bytes),
            peak_moment: plan.peak_moment.to_string(),
            ends: &workload.train.method.ends,
            micro_batch,
            recompute,
            pieces,
            exact,
            activations,
            features,
            features_on_disk,
            offload,
            side_by_side,
            chunk: workload.train.method.chunk,
            evaluation_batch: workload.evaluation_batch,
            step_seconds: there.is_none().then(|| rates.seconds(&plan.step_work)),
            step_work: plan.step_work,
            // What is known of these is the CPU's.
            parts: Part::ALL.iter().filter(|_| there.is_none()).map(part).collect(),
            blocks: if there.is_none() { &plan.blocks } else { &[] },
            timeline: plan.moments.iter().map(moment).collect(),
            runners_up: choice.map_or(&[], |choice| &choice.runners_up),
            free_bytes,
            notes: notes(choice).chain(short.as_deref()).collect(),
        }
    }

    fn report(&self, device: &str, rates: &Rates) -> String {
        let Self { workload, plan, there, choice, budget_bytes, ref short, .. } = *self;
        let Workload { network, train, batch, threads, .. } = workload;
        let what = format!("{} with {}, batch {batch}", network.name, train.method.rule.rule);
        let choice = choice.zip(budget_bytes);
        if let Some(there) = there {
            let mut text = format!("{what}, on {device}: {}", on_device(&there, choice));
            short.iter().for_each(|short| text += &format!("\n\nnote: {short}"));
            return text;
        }
        let mut text = format!(
            "{what}, {threads} threads: {} at the most ({}), beside what the data hold\n\n",
            bytes(plan.peak_bytes as u64),
            plan.peak_moment
        );
        text += &part_table(plan);
        text += &format!("\n\n{}", block_table(plan));
        text += &format!("\n\n{}", timeline(plan));
        match choice {
            Some((choice, budget_bytes)) => {
                text += &format!("\n\n{}", budget::words(choice, budget_bytes));
                if !choice.runners_up.is_empty() {
                    text += &format!("\n\n{}", runners_up(choice));
                }
            }
            None => {
                let seconds = rates.seconds(&plan.step_work);
                text += &format!("\n\nabout {seconds:.2} s a step, an estimate from counted operations");
            }
        }
        text
    }
}

/// What a choice says of itself.
fn notes(choice: Option<&Choice>) -> impl Iterator<Item = &str> {
    choice.into_iter().flat_map(|choice| choice.notes.iter().map(String::as_str))
}

/// What is taken of a device's memory, and how training was brought to that.
fn on_device(there: &Rehearsed, choice: Option<(&Choice, usize)>) -> String {
    let Rehearsed { training_bytes, evaluation_bytes, held_bytes } = *there;
    let size = |count: usize| bytes(count as u64);
    let mut text = format!("{} of its memory at the most\n\n", size(held_bytes));
    let rows = [
        ("a step", training_bytes),
        ("an evaluation, or saving", evaluation_bytes),
        ("all, with what is kept for the next step", held_bytes),
    ];
    let rows = rows.map(|(name, count)| vec![name.to_string(), size(count)]);
    text += &table(&["of the device's memory", "at the most"], &rows);
    text += "\n\nData, and what the driver takes for itself, come besides: from the same memory where the GPU shares the \
             processor's, as on a Jetson.";
    if let Some((choice, budget_bytes)) = choice {
        text += &format!("\n\nwithin {}: {}", size(budget_bytes), choice.chosen.words());
        choice.notes.iter().for_each(|note| text += &format!("\nnote: {note}"));
    }
    text
}

fn part_table(plan: &Plan) -> String {
    let rows: Vec<Vec<String>> = Part::ALL
        .iter()
        .filter(|part| plan.worst_of_parts[**part as usize] > 0)
        .map(|part| {
            let index = *part as usize;
            let sizes = [plan.parts_at_peak[index], plan.worst_of_parts[index]];
            std::iter::once(part.words().to_string()).chain(sizes.map(|size| bytes(size as u64))).collect()
        })
        .collect();
    table(&["memory for", "at the peak", "at its own peak"], &rows)
}

fn block_table(plan: &Plan) -> String {
    let row = |(number, block): (usize, &localgrad::plan::BlockBytes)| {
        let sizes = [block.weights_bytes, block.optimizer_bytes, block.auxiliary_bytes, block.peak_bytes];
        let name = format!("{number}: units {} to {}", block.first_unit, block.last_unit);
        std::iter::once(name).chain(sizes.map(|size| bytes(size as u64))).collect()
    };
    let rows: Vec<Vec<String>> = plan.blocks.iter().enumerate().map(row).collect();
    table(&["block", "weights", "optimizer", "auxiliary", "all memory while it trains"], &rows)
}

/// Parts that change from moment to moment.
const CHANGING: [Part; 4] = [Part::Kept, Part::Passing, Part::Gathered, Part::Scratch];

fn timeline(plan: &Plan) -> String {
    let row = |peak: &MomentPeak| {
        let parts = CHANGING.map(|part| bytes(peak.parts[part as usize] as u64));
        [peak.moment.to_string(), bytes(peak.bytes as u64)].into_iter().chain(parts).collect()
    };
    let rows: Vec<Vec<String>> = plan.moments.iter().map(row).collect();
    let header: Vec<&str> = ["moment", "all memory"].into_iter().chain(CHANGING.map(Part::words)).collect();
    table(&header, &rows)
}

fn runners_up(choice: &Choice) -> String {
    let row = |candidate: &Candidate| {
        let peak = bytes(candidate.peak_bytes as u64);
        vec![candidate.words(), peak, format!("{:.2}", candidate.step_seconds), candidate.places()]
    };
    let rows: Vec<Vec<String>> = std::iter::once(&choice.chosen).chain(&choice.runners_up).map(row).collect();
    table(&["would fit, the chosen first", "peak", "seconds a step (estimate)", "last units"], &rows)
}
