//! What a memory budget makes of a configuration: when a trainer is made, and when it goes back to a state.

use crate::config::{Settings, lg_trainer_config};
use crate::status::{Fault, Outcome};
use localgrad_runtime::Error;
use localgrad_runtime::plan::{Freedom, Rates, Workload, choose, cuts};
use localgrad_runtime::precision::Precision;
use localgrad_runtime::rules::Rule;
use localgrad_runtime::scratch::Scratch;
use localgrad_runtime::trainer::{Execution, TrainConfig};
use std::path::PathBuf;

/// What the library holds besides: events, handles, messages.
const LIBRARY_BYTES: usize = 256 << 10;

/// A budget, and what was asked for before anything was chosen.
pub(crate) struct Budget {
    bytes: usize,
    /// With as many threads as were asked for, or as there are cores.
    asked: Workload,
    freedom: Freedom,
    /// Whether where blocks end is left open.
    cuts_freely: bool,
    /// Whether the number of threads is left open.
    threads_freely: bool,
    scratch: Option<(PathBuf, Option<u64>)>,
}

/// The workload of a trainer that does all it can.
pub(crate) fn workload(settings: &Settings) -> Outcome<Workload> {
    if !settings.place.is_host() {
        return Err(Fault::config(
            "memory can be planned on the CPU only; leave memory_budget_bytes 0 elsewhere",
        ));
    }
    let threads = match settings.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let (network, train, batch) = (settings.network.clone(), settings.train.clone(), settings.batch);
    // Samples may be pushed while a step that was interrupted still has its own.
    let targets = if network.objective.is_classes() { 1 } else { network.classes };
    let pixels: usize = network.input.iter().product();
    let pushed = batch * (pixels + targets) * size_of::<f32>();
    Ok(Workload {
        evaluation_batch: Some(settings.evaluation_batch),
        takes_features: true,
        saves: true,
        resumes: true,
        starts_from_file: true,
        program_bytes: LIBRARY_BYTES + pushed,
        ..Workload::steps(network, train, batch, threads)
    })
}

/// Changes `settings` to the fastest way to train that keeps to the budget, if there is one; what it leaves open may
/// be chosen. `is_cut` says that where blocks end is none of that.
pub(crate) fn keep_to_budget(
    settings: &mut Settings,
    config: &lg_trainer_config,
    is_cut: bool,
) -> Outcome<()> {
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
        asked: workload(settings)?,
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
    // They take room, and a state says which it is of.
    budget.freedom.cuts = Vec::new();
    settings.budget = Some(budget);
    Ok(())
}

impl Budget {
    /// The fastest way to train; with fewer threads, which change no result, where nothing fits otherwise.
    fn choose(&self, asked: &Workload, freedom: &Freedom) -> Result<Workload, Error> {
        let mut workload = asked.clone();
        loop {
            match choose(&workload, freedom, self.bytes, &Rates::default()) {
                Ok(choice) => return Ok(choice.chosen.applied(&workload)),
                Err(_) if self.threads_freely && workload.threads > 1 => {
                    workload.threads = workload.threads.div_ceil(2);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// `now` with what results depend on as `saved` has it, where that was left to the budget: cores, budgets and
    /// libraries that are others than when `saved` was chosen would choose otherwise.
    pub(crate) fn taken_over(&self, saved: &TrainConfig, now: &TrainConfig) -> TrainConfig {
        let mut train = now.clone();
        if self.cuts_freely {
            train.method.ends.clone_from(&saved.method.ends);
        }
        if self.freedom.micro_batch {
            train.execution.micro_batch = saved.execution.micro_batch;
        }
        if self.freedom.half && self.asked.train.execution.activations == Precision::F32 {
            train.execution.activations = saved.execution.activations;
        }
        if self.freedom.recompute {
            train.execution.recompute = train.execution.going_on_from(&saved.execution).recompute;
        }
        train
    }

    /// The fastest way to train as `train`, which has been taken over, within the budget.
    pub(crate) fn choose_as(&self, train: &TrainConfig) -> Outcome<Workload> {
        train.validate()?;
        let TrainConfig { method, execution } = train;
        let activations = execution.activations;
        let freedom = Freedom {
            cuts: vec![method.ends.clone()],
            micro_batch: false,
            half: false,
            // What is repeated from rounded numbers decides results.
            recompute: self.freedom.recompute && activations == Precision::F32,
            ..self.freedom.clone()
        };
        let mut asked = self.asked.clone();
        asked.train.method.ends.clone_from(&method.ends);
        asked.train.execution = Execution { activations, ..asked.train.execution.going_on_from(execution) };
        Ok(self.choose(&asked, &freedom).map_err(|error| error.at("as this state was trained"))?)
    }

    /// The file for what `train` lets wait.
    pub(crate) fn scratch(&self, train: &TrainConfig) -> Outcome<Option<Scratch>> {
        let wanted = self.scratch.as_ref().filter(|_| train.execution.needs_scratch());
        Ok(wanted.map(|(directory, limit)| Scratch::create(directory, *limit)).transpose()?)
    }
}
