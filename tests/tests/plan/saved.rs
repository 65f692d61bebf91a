//! What is planned of saving, and of going on from what was saved, held against both.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use crate::measure::random_batch;
use crate::{alone, at_side, config, with};
use localgrad::Device;
use localgrad::checkpoint::{Checkpoints, Configuration, Saved};
use localgrad::data::Normalize;
use localgrad::fit::FitConfig;
use localgrad::maps::Place;
use localgrad::memory;
use localgrad::network::NetworkSpec;
use localgrad::plan::{Moment, Workload, plan};
use localgrad::progress::Progress;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::scratch::Scratch;
use localgrad::trainer::{TrainConfig, Trainer};
use std::path::Path;

const BATCH: usize = 2;

fn trainer(network: &NetworkSpec, train: &TrainConfig, directory: &Path) -> Trainer {
    let scratch = train.execution.needs_scratch().then(|| Scratch::create(directory, None).unwrap());
    let normalize = Normalize::half(3);
    Trainer::with_scratch(network.clone(), train.clone(), normalize, &Device::Cpu, scratch).unwrap()
}

/// The most that is allocated while a trainer is saved, or another goes on from there.
fn measured(network: &NetworkSpec, train: &TrainConfig) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let saved = directory.path().join("saved");
    let configuration = Configuration::of_stream(
        network,
        train,
        &FitConfig::default(),
        BATCH,
        &Normalize::half(3),
        &Place::Host,
    );
    let before = memory::live();
    let mut first = trainer(network, train, directory.path());
    let step = first.step(&random_batch(network, BATCH), 0.001, &mut |_| {}).unwrap();
    drop(step);
    let progress = Progress::start(first.ranges().len());
    memory::reset_peak();
    drop(Checkpoints::create(&saved, configuration, 1, &mut first, &progress).unwrap());
    let to_save = memory::peak() - before;
    drop(first);
    let mut second = trainer(network, train, directory.path());
    memory::reset_peak();
    Saved::read(&saved).unwrap().unwrap().restore(&mut second).unwrap();
    to_save.max(memory::peak() - before)
}

#[test]
fn what_saving_and_going_on_take_is_planned() {
    let _alone = alone();
    let network = at_side("resnet32", 8);
    for (rule, blocks) in [(Rule::Bp, 1), (Rule::Man, 3)] {
        for offload in [false, true] {
            let train = config(&network, RuleConfig::new(rule), blocks);
            let train = with(&train, |train| train.execution.offload = offload);
            let steps = Workload::steps(network.clone(), train.clone(), BATCH, 1);
            let planned = plan(&Workload { saves: true, resumes: true, ..steps }).unwrap();
            let save = planned.moments.iter().find(|peak| peak.moment == Moment::Save).unwrap().bytes;
            let found = measured(&network, &train);
            println!("{rule}, offload {offload}: planned {save}, measured {found}");
            // A tensor's entry is planned as long as names may be, and what differs from system to system is allowed for.
            assert!(
                save >= found && save - found < 640 << 10,
                "{rule}, offload {offload}: {save} for {found}"
            );
            // Weights that wait in a file wait there, too: less is taken than the network's 1.8 MiB and as much of momentum.
            assert!(!offload || found < 2 << 20, "{found}");
        }
    }
}
