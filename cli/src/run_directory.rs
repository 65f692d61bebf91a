//! A run's directory: what was trained and how (`run.json`), what happened (`metrics.jsonl`), checkpoints, the
//! weights, and the report.

use crate::fault::{Fault, Outcome};
use localgrad::checkpoint::Lock;
use localgrad::data::Normalize;
use localgrad::fit::FitConfig;
use localgrad::network::NetworkSpec;
use localgrad::trainer::TrainConfig;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where runs go that are given no directory.
const RUNS: &str = "runs";
const RUN_FILE: &str = "run.json";
const WEIGHTS: &str = "weights.safetensors";
const CHECKPOINT: &str = "checkpoint";

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
    /// Whether held-out samples were drawn from every class, rather than taken from the end.
    #[serde(default)]
    pub held_out_evenly: bool,
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
    /// Makes the directory, a new one under `runs` if none is named; one that already holds a run is refused, so that no
    /// result is overwritten. Nothing is written before the directory is locked.
    pub fn create(path: Option<&Path>) -> Outcome<Self> {
        let path = match path {
            None => make_next(Path::new(RUNS))?,
            Some(path) => {
                // A run that goes on needs no waiting for its lock.
                refuse_run(path)?;
                std::fs::create_dir_all(path).map_err(|cause| cannot_make(path, &cause))?;
                path.to_path_buf()
            }
        };
        let lock = Lock::acquire(&path)?;
        // Another may have held the lock, and ended.
        refuse_run(&path)?;
        Ok(Self { path, _lock: Some(lock) })
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
            None => self.path.join(WEIGHTS),
            Some(name) => self.path.join(format!("weights-{name}.safetensors")),
        }
    }

    /// The weights of the best epoch.
    pub fn best_weights(&self, rival: Option<&str>) -> PathBuf {
        match rival {
            None => self.path.join("weights-best.safetensors"),
            Some(name) => self.path.join(format!("weights-{name}-best.safetensors")),
        }
    }

    /// The network as the run's last step left it, with its exits, where `--exits` has kept them.
    pub fn exits(&self) -> PathBuf {
        self.path.join("exits.safetensors")
    }

    /// The checkpoints of the run, or of the rival that trained beside it.
    pub fn checkpoint(&self, rival: Option<&str>) -> PathBuf {
        match rival {
            None => self.path.join(CHECKPOINT),
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
        let run: RunFile = serde_json::from_str(&text).map_err(|cause| wrong(cause.to_string()))?;
        run.network.validate().map_err(|cause| wrong(cause.to_string()))?;
        Ok(run)
    }

    fn run_json(&self) -> PathBuf {
        self.path.join(RUN_FILE)
    }
}

/// Makes the directory of the lowest free number; the system gives each to one process alone.
fn make_next(parent: &Path) -> Outcome<PathBuf> {
    std::fs::create_dir_all(parent).map_err(|cause| cannot_make(parent, &cause))?;
    let mut number: u64 = 1;
    loop {
        let path = parent.join(number.to_string());
        match std::fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(cause) => return Err(cannot_make(&path, &cause)),
        }
    }
}

fn cannot_make(path: &Path, cause: &std::io::Error) -> Fault {
    Fault::failed(format!("cannot make {}: {cause}", path.display()))
}

/// Refuses a directory with anything of a run in it.
fn refuse_run(path: &Path) -> Outcome<()> {
    let mut parts = ["metrics.jsonl", RUN_FILE, WEIGHTS, "weights-bp.safetensors", CHECKPOINT].into_iter();
    match parts.find(|part| path.join(part).symlink_metadata().is_ok()) {
        Some(part) => Err(Fault::usage(format!(
            "{} already holds a run ({part}); give another --out, or go on with it by --resume",
            path.display()
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_many_at_once_gets_a_directory_of_its_own() {
        let parent = tempfile::tempdir().unwrap();
        let make = || (0..20).map(|_| make_next(&parent.path().join("runs")).unwrap()).collect::<Vec<_>>();
        let mut made: Vec<PathBuf> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 160);
    }

    #[test]
    fn whatever_is_left_of_a_run_is_kept() {
        for part in ["metrics.jsonl", "run.json", "weights.safetensors", "checkpoint"] {
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(part), "kept").unwrap();
            let fault = RunDirectory::create(Some(directory.path())).unwrap_err();
            assert!(fault.to_string().contains(part) && fault.code() == 2, "{fault}");
        }
        let directory = tempfile::tempdir().unwrap();
        let held = RunDirectory::create(Some(directory.path())).unwrap();
        assert!(RunDirectory::create(Some(directory.path())).is_err());
        drop(held);
        RunDirectory::create(Some(directory.path())).unwrap();
    }
}
