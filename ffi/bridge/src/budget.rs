//! What a memory budget makes of a way to train: when a trainer is made, and when it goes back to a state.

use crate::status::Outcome;
use localgrad_runtime::Error;
use localgrad_runtime::plan::{Freedom, Rates, Workload, choose};
use localgrad_runtime::precision::Precision;
use localgrad_runtime::scratch::Scratch;
use localgrad_runtime::trainer::{Execution, TrainConfig};
use std::path::PathBuf;

/// A budget, and what was asked for before anything was chosen.
pub(crate) struct Budget {
    pub(crate) bytes: usize,
    /// With as many threads as were asked for, or as there are cores.
    pub(crate) asked: Workload,
    /// What was left open, but for the cuts there were: they take room, and a state says which it is of.
    pub(crate) freedom: Freedom,
    /// Whether where blocks end is left open.
    pub(crate) cuts_freely: bool,
    /// Whether the number of threads is left open.
    pub(crate) threads_freely: bool,
    /// Directory and limit of a scratch file.
    pub(crate) scratch: Option<(PathBuf, Option<u64>)>,
}

impl Budget {
    /// The fastest way to train; with fewer threads, which change no result, where nothing fits otherwise.
    pub(crate) fn choose(&self, asked: &Workload, freedom: &Freedom) -> Result<Workload, Error> {
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
