//! What is planned of runs that keep features, held against whole runs.
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use crate::common::Noise;
use crate::{alone, at_side};
use localgrad::Device;
use localgrad::data::{AugmentConfig, Loader, LoaderConfig, Normalize};
use localgrad::fit::{Control, Duration, FitConfig, fit};
use localgrad::memory;
use localgrad::plan::{Workload, plan};
use localgrad::precision::Precision;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::scratch::Scratch;
use localgrad::threads::Workers;
use localgrad::trainer::{CacheConfig, Selection, TrainConfig, Trainer};
use std::sync::Arc;

const SIDE: usize = 32;
const SAMPLES: usize = 100;
const BATCH: usize = 16;

/// The most that a run allocates in which every showing is kept.
fn measured(config: &TrainConfig, showings: usize) -> usize {
    let network = at_side("resnet20", SIDE);
    let workers = Workers::start(1).unwrap();
    let before = memory::live();
    memory::reset_peak();
    workers.run(|| {
        let directory = tempfile::tempdir().unwrap();
        let scratch = config.needs_scratch().then(|| Scratch::create(directory.path(), None).unwrap());
        let normalize = Normalize::half(3);
        let mut trainer =
            Trainer::with_scratch(network, config.clone(), normalize.clone(), &Device::Cpu, scratch).unwrap();
        let augment = (showings > 1).then(AugmentConfig::default);
        let loader = LoaderConfig { batch: BATCH, augment, ..LoaderConfig::default() };
        let loader = Loader::new(Arc::new(Noise::new(SAMPLES, SIDE)), normalize, loader).unwrap();
        let how = FitConfig { duration: Duration::Epochs(showings + 1), ..FitConfig::default() };
        fit(&mut trainer, &loader, None, &how, &mut |_| Control::Continue).unwrap();
        memory::peak() - before
    })
}

#[test]
fn features_that_are_kept_are_planned() {
    let _alone = alone();
    let network = at_side("resnet20", SIDE);
    let config = |selection| TrainConfig {
        rule: RuleConfig::new(Rule::Bp),
        ends: vec![network.units.len() - 1],
        selection,
        ..TrainConfig::default()
    };
    for (showings, precision, features_on_disk, selection) in [
        (1, Precision::F32, false, Selection::LastUnits(4)),
        (4, Precision::F32, false, Selection::LastUnits(4)),
        (2, Precision::F16, false, Selection::LastUnits(4)),
        (1, Precision::F16, false, Selection::LastUnits(2)),
        (3, Precision::F16, false, Selection::LastUnits(2)),
        (2, Precision::F32, false, Selection::LastUnits(4)),
        (2, Precision::F16, true, Selection::LastUnits(4)),
        (2, Precision::F16, false, Selection::Head),
    ] {
        let cache = Some(CacheConfig { variants: showings, precision });
        let train = TrainConfig { cache, features_on_disk, ..config(selection) };
        let steps = Workload::steps(network.clone(), train.clone(), BATCH, 1);
        let workload = Workload { samples: SAMPLES, augments: showings > 1, ..steps };
        let (planned, found) = (plan(&workload).unwrap().peak_bytes, measured(&train, showings));
        let ratio = planned as f64 / found as f64;
        println!(
            "{ratio:.3} {selection}, {showings} showings in {precision}: planned {planned}, measured {found}"
        );
        assert!((1.0..1.1).contains(&ratio), "{train:?}: planned {planned}, measured {found}");
    }
}
