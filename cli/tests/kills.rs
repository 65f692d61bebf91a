//! SIGKILL at random moments, again and again, and the run still ends in the bytes of one that was left alone.
//! `LOCALGRAD_KILLS` says how many kills; `tests/kill.sh` runs a thousand.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use localgrad::random::Stream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const DEFAULT_KILLS: usize = 24;
/// A run that is killed more often than this is then left to end.
const KILLS_A_RUN: usize = 8;

const SMALL: [&str; 13] = [
    "train", "--model", "resnet8", "--widths", "4,4,4,8", "--batch", "16", "--limit", "40", "--epochs", "3",
    "--seed", "3",
];

/// Every rule, both optimizers, every schedule, and steps that gather gradients.
const WAYS: [&[&str]; 8] = [
    &["--rule", "man", "--blocks", "3", "--head", "greedy"],
    &["--rule", "man", "--blocks", "3", "--optimizer", "adamw", "--schedule", "constant"],
    &["--rule", "bp", "--schedule", "step", "--milestones", "1,2"],
    &["--rule", "dgl", "--blocks", "2", "--clip-norm", "1", "--micro-batch", "5"],
    &["--rule", "predsim", "--blocks", "3", "--optimizer", "adamw"],
    &["--rule", "infopro", "--blocks", "2", "--head", "1c1f"],
    &["--rule", "auglocal", "--aux-depth", "2"],
    &["--rule", "manpp", "--blocks", "2", "--head", "dgl", "--momentum", "0"],
];

fn start(words: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_localgrad"));
    command.args(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn must_succeed(words: &[&str]) {
    let output = start(words).wait_with_output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The exported weights of a run.
fn exported(run: &str, directory: &Path) -> Vec<u8> {
    let file = directory.join("exported.safetensors");
    must_succeed(&["export", "--run", run, "--out", file.to_str().unwrap()]);
    std::fs::read(file).unwrap()
}

/// Lets a process run for `time`, then kills it; its status if it ended before.
fn kill_after(mut child: Child, time: Duration) -> Option<ExitStatus> {
    std::thread::sleep(time);
    if let Some(status) = child.try_wait().unwrap() {
        return Some(status);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

#[test]
fn killed_anywhere_a_run_ends_in_the_same_bytes() {
    let wanted = std::env::var("LOCALGRAD_KILLS").map_or(DEFAULT_KILLS, |count| count.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let at = |name: String| directory.path().join(name).to_str().unwrap().to_string();
    let mut stream = Stream::new(7, "kills", &[]);
    let mut references: Vec<Option<(Vec<u8>, Duration)>> = vec![None; WAYS.len()];
    let (mut kills, mut runs) = (0, 0);
    while kills < wanted {
        let way = runs % WAYS.len();
        let words = [&SMALL[..], WAYS[way]].concat();
        let (expected, time) = references[way].get_or_insert_with(|| {
            let run = at(format!("reference-{way}"));
            let started = Instant::now();
            must_succeed(&[&words[..], &["--out", &run, "--threads", "2"]].concat());
            let time = started.elapsed();
            (exported(&run, directory.path()), time)
        });
        let run = at(format!("run-{runs}"));
        let every = ["1", "2", "end", "1s"][(runs / WAYS.len()) % 4];
        let first = [&words[..], &["--resume", "--out", &run, "--checkpoint-every", every]].concat();
        let mut ended = false;
        for attempt in 0.. {
            // What was said first is said again only until the run has begun.
            let begun = Path::new(&run).join("run.json").exists();
            let threads = ["1", "2", "3"][stream.below(3) as usize];
            let words = if begun { vec!["train", "--resume", "--out", &run] } else { first.clone() };
            let child = start(&[&words[..], &["--threads", threads]].concat());
            let status = match attempt < KILLS_A_RUN && kills < wanted {
                true => kill_after(child, time.mul_f64(1.1 * stream.uniform_f64())),
                false => {
                    let output = child.wait_with_output().unwrap();
                    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                    Some(output.status)
                }
            };
            match status {
                None => kills += 1,
                Some(status) => {
                    assert!(status.success(), "{words:?} failed after {attempt} kills");
                    ended = true;
                    break;
                }
            }
        }
        assert!(ended);
        assert!(exported(&run, directory.path()) == *expected, "{words:?}, saved every {every}: other bytes");
        std::fs::remove_dir_all(&run).unwrap();
        runs += 1;
    }
    println!("{kills} kills in {runs} runs: the same bytes every time");
}
