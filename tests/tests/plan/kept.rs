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
use localgrad::trainer::{CacheConfig, Execution, Method, Selection, TrainConfig, Trainer};
use std::sync::Arc;

const SIDE: usize = 32;
const SAMPLES: usize = 100;
const BATCH: usize = 16;

/// The most that a run allocates in which every showing is kept, and the features of so many samples to be judged by.
fn measured(config: &TrainConfig, showings: usize, judged: usize) -> usize {
    let network = at_side("resnet20", SIDE);
    let workers = Workers::start(1).unwrap();
    let before = memory::live();
    memory::reset_peak();
    workers.run(|| {
        let directory = tempfile::tempdir().unwrap();
        let scratch =
            config.execution.needs_scratch().then(|| Scratch::create(directory.path(), None).unwrap());
        let normalize = Normalize::half(3);
        let mut trainer =
            Trainer::with_scratch(network, config.clone(), normalize.clone(), &Device::Cpu, scratch).unwrap();
        let augment = (showings > 1).then(AugmentConfig::default);
        let loader = LoaderConfig { batch: BATCH, augment, ..LoaderConfig::default() };
        let loader = Loader::new(Arc::new(Noise::new(SAMPLES, SIDE)), normalize.clone(), loader).unwrap();
        let test = (judged > 0).then(|| {
            let how = LoaderConfig::evaluation(BATCH);
            Loader::new(Arc::new(Noise::new(judged, SIDE)), normalize, how).unwrap()
        });
        let how = FitConfig { duration: Duration::Epochs(showings + 1), ..FitConfig::default() };
        fit(&mut trainer, &loader, test.as_ref(), &how, &mut |_| Control::Continue).unwrap();
        memory::peak() - before
    })
}

#[test]
fn features_that_are_kept_are_planned() {
    let _alone = alone();
    let network = at_side("resnet20", SIDE);
    let config = |selection| {
        TrainConfig::from(Method {
            rule: RuleConfig::new(Rule::Bp),
            ends: vec![network.units.len() - 1],
            selection,
            ..Method::default()
        })
    };
    for (showings, precision, features_on_disk, selection, judged) in [
        (1, Precision::F32, false, Selection::LastUnits(4), 0),
        (4, Precision::F32, false, Selection::LastUnits(4), 0),
        (2, Precision::F16, false, Selection::LastUnits(4), 0),
        (1, Precision::F16, false, Selection::LastUnits(2), 0),
        (3, Precision::F16, false, Selection::LastUnits(2), 0),
        (2, Precision::F32, false, Selection::LastUnits(4), 0),
        (2, Precision::F16, true, Selection::LastUnits(4), 0),
        (2, Precision::F16, false, Selection::Head, 0),
        (1, Precision::F32, false, Selection::LastUnits(4), 150),
        (1, Precision::F16, true, Selection::LastUnits(4), 150),
    ] {
        let cache = Some(CacheConfig { variants: showings, precision });
        let train = TrainConfig {
            method: Method { cache, ..config(selection).method },
            execution: Execution { features_on_disk, ..Execution::default() },
        };
        let steps = Workload::steps(network.clone(), train.clone(), BATCH, 1);
        let workload = Workload {
            samples: SAMPLES,
            augments: showings > 1,
            evaluation_samples: judged,
            evaluation_batch: (judged > 0).then_some(BATCH),
            ..steps
        };
        let (planned, found) = (plan(&workload).unwrap().peak_bytes, measured(&train, showings, judged));
        let ratio = planned as f64 / found as f64;
        println!(
            "{ratio:.3} {selection}, {showings} showings in {precision}, {judged} judged: planned {planned}, measured {found}"
        );
        assert!((1.0..1.1).contains(&ratio), "{train:?}: planned {planned}, measured {found}");
    }
}
