//! A run's directory: what was trained and how (`run.json`), what happened (`metrics.jsonl`), checkpoints, the
//! weights, and the report.

use crate::fault::{Fault, Outcome};
use localgrad::checkpoint::Lock;
use localgrad::data::Normalize;
use localgrad::fit::FitConfig;
use localgrad::network::NetworkSpec;
use localgrad::trainer::TrainConfig;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What was trained and how: enough to use the weights, and to repeat the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunFile {
    /// Version of the program that made it.
    pub version: String,
    /// The network.
    pub network: NetworkSpec,
    /// How images were normalised.
    pub normalize: Normalize,
    /// `--data` as it was given.
    pub data: String,
    /// Names of the classes, where they are known.
    pub class_names: Vec<String>,
    /// Rule, blocks, optimizer and seed.
    pub train: TrainConfig,
    /// Length and learning rate.
    pub fit: FitConfig,
    /// Samples a step.
    pub batch: usize,
    /// The command line that resumes it, without the program's name, `--out` and `--resume`.
    #[serde(default)]
    pub words: Vec<String>,
}

/// The files of a run.
#[derive(Debug)]
pub struct RunDirectory {
    /// The directory itself.
    pub path: PathBuf,
    /// Keeps other writers out; readers have none.
    _lock: Option<Lock>,
}

impl RunDirectory {
    /// Makes the directory; one that already holds a run is refused, so that no result is overwritten.
    pub fn create(path: Option<&Path>) -> Outcome<Self> {
        let mut directory = Self { path: path.map_or_else(next_free, Path::to_path_buf), _lock: None };
        if directory.metrics().exists() {
            return Err(Fault::usage(format!(
                "{} already holds a run; give another --out, or go on with it by --resume",
                directory.path.display()
            )));
        }
        std::fs::create_dir_all(&directory.path)
            .map_err(|cause| Fault::failed(format!("cannot make {}: {cause}", directory.path.display())))?;
        directory._lock = Some(Lock::acquire(&directory.path)?);
        Ok(directory)
    }

    /// A directory whose run is to go on, for one writer; `None` if it holds none.
    pub fn resume(path: &Path) -> Outcome<Option<Self>> {
        let mut directory = Self { path: path.to_path_buf(), _lock: None };
        if !directory.run_json().exists() {
            return Ok(None);
        }
        directory._lock = Some(Lock::acquire(path)?);
        Ok(Some(directory))
    }

    /// A directory that holds a run.
    pub fn open(path: &Path) -> Outcome<Self> {
        let directory = Self { path: path.to_path_buf(), _lock: None };
        if directory.metrics().exists() {
            return Ok(directory);
        }
        Err(Fault::usage(format!("{} holds no run: it has no metrics.jsonl", path.display())))
    }

    /// One JSON record a line.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// The inference weights of the run, or of the rival that trained beside it.
    pub fn weights(&self, rival: Option<&str>) -> PathBuf {
        match rival {
            None => self.path.join("weights.safetensors"),
            Some(name) => self.path.join(format!("weights-{name}.safetensors")),
        }
    }

    /// The checkpoints of the run, or of the rival that trained beside it.
    pub fn checkpoint(&self, rival: Option<&str>) -> PathBuf {
        match rival {
            None => self.path.join("checkpoint"),
            Some(name) => self.path.join(format!("checkpoint-{name}")),
        }
    }

    /// Writes `run.json`.
    pub fn write_run_file(&self, run: &RunFile) -> Outcome<()> {
        let text = serde_json::to_string_pretty(run).map_err(|cause| Fault::failed(cause.to_string()))?;
        Ok(localgrad::weights::write_atomically(&self.run_json(), text.as_bytes())?)
    }

    /// Reads `run.json`.
    pub fn read_run_file(&self) -> Outcome<RunFile> {
        let path = self.run_json();
        let wrong = |cause: String| Fault::failed(format!("{}: {cause}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|cause| wrong(cause.to_string()))?;
        serde_json::from_str(&text).map_err(|cause| wrong(cause.to_string()))
    }

    fn run_json(&self) -> PathBuf {
        self.path.join("run.json")
    }
}

fn next_free() -> PathBuf {
    let mut number = 1;
    loop {
        let path = PathBuf::from(format!("runs/{number}"));
        if !path.exists() {
            return path;
        }
        number += 1;
    }
}
