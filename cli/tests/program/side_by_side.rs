//! Blocks side by side as users have them: the same run, which goes on either way.

use crate::common::program::{lines, refusal};
use serde_json::Value;
use std::fs;
use std::path::Path;

const TRAIN: &str = "train --model resnet8 --widths 4,4,6,8 --ends 0,1,3 --batch 20 --limit 400 --rule man --lr 0.05 --threads 2";

/// The words of a run, and more.
fn words<'a>(more: &[&'a str]) -> Vec<&'a str> {
    TRAIN.split(' ').chain(more.iter().copied()).collect()
}

fn weights(run: &str) -> Vec<u8> {
    fs::read(Path::new(run).join("weights.safetensors")).unwrap()
}

#[test]
fn a_run_is_the_same_and_goes_on_either_way() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_string();
    let train = |name: &str, epochs: &str, more: &[&str]| {
        lines(&[&words(more)[..], &["--epochs", epochs, "--json", "--out", &at(name)]].concat())
    };
    let losses = |records: &[Value]| {
        let steps = records.iter().filter(|record| record["event"] == "step");
        steps.map(|record| record["losses"].to_string()).collect::<Vec<_>>()
    };
    let in_turn = train("in-turn", "2", &[]);
    let beside = train("beside", "2", &["--side-by-side"]);
    assert_eq!(losses(&in_turn), losses(&beside));
    assert_eq!(losses(&beside).len(), 40);
    assert_eq!(weights(&at("in-turn")), weights(&at("beside")));
    let done = beside.last().unwrap();
    assert!(done["peak_bytes"].as_u64() <= done["planned_bytes"].as_u64(), "{done}");

    // One epoch side by side, the other in turn, and the other way round.
    for (name, first, then) in
        [("one", &["--side-by-side"][..], &[][..]), ("other", &[], &["--side-by-side"])]
    {
        train(name, "1", first);
        let resume = ["train", "--resume", "--epochs", "2", "--threads", "2", "--json", "--out", &at(name)];
        lines(&[&resume[..], then].concat());
    }
    assert_eq!(weights(&at("one")), weights(&at("other")));
}

#[test]
fn what_makes_blocks_wait_is_refused_and_a_plan_knows_it() {
    let directory = tempfile::tempdir().unwrap();
    let run = directory.path().join("run").to_str().unwrap().to_string();
    let beside = words(&["--out", &run, "--side-by-side"]);
    assert!(refusal(&[&beside[..], &["--offload"]].concat(), 2).contains("waits in a file"));
    assert!(refusal(&[&beside[..], &["--chunk", "3"]].concat(), 2).contains("no chunks"));
    let plan =
        ["plan", "--model", "resnet20", "--rule", "greedy", "--blocks", "4", "--batch", "16", "--json"];
    let planned = |more: &[&str]| lines(&[&plan[..], more].concat())[0]["planned_bytes"].as_u64().unwrap();
    let (in_turn, beside) = (planned(&["--threads", "2"]), planned(&["--threads", "2", "--side-by-side"]));
    assert!(beside > in_turn, "{beside}, {in_turn}");
    assert!(planned(&["--threads", "4", "--side-by-side"]) > beside);
}
