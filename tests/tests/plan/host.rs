//! What is planned of the process's memory for a run on a device, held against what it takes.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#![allow(clippy::unwrap_used)] // nothing here is outside tests

use crate::common::Noise;
use crate::{alone, at_side};
use localgrad::data::{AugmentConfig, Loader, LoaderConfig, Normalize};
use localgrad::fit::{Control, Duration, FitConfig, fit};
use localgrad::maps::Place;
use localgrad::memory;
use localgrad::plan::{Workload, host_bytes};
use localgrad::precision::{Precision, ProductPrecision};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::scratch::Scratch;
use localgrad::threads::Workers;
use localgrad::trainer::{CacheConfig, Execution, Method, Selection, TrainConfig, Trainer};
use std::sync::Arc;

const SIDE: usize = 32;
const SAMPLES: usize = 600;
const BATCH: usize = 200;

/// The most that a run allocates whose maps are on a card that does nothing.
fn measured(train: &TrainConfig, augments: bool) -> usize {
    let network = at_side("resnet20", SIDE);
    let workers = Workers::start(1).unwrap();
    let place = Place::imagined("cuda", ProductPrecision::F32).unwrap();
    let before = memory::live();
    memory::reset_peak();
    workers.run(|| {
        let directory = tempfile::tempdir().unwrap();
        let scratch =
            train.execution.needs_scratch().then(|| Scratch::create(directory.path(), None).unwrap());
        let normalize = Normalize::half(3);
        let mut trainer =
            Trainer::with_scratch(network, train.clone(), normalize.clone(), &place, scratch).unwrap();
        let augment = augments.then(AugmentConfig::default);
        let config = LoaderConfig { batch: BATCH, augment, ..LoaderConfig::default() };
        let loader = Loader::new(Arc::new(Noise::new(SAMPLES, SIDE)), normalize.clone(), config).unwrap();
        let test = LoaderConfig::evaluation(BATCH);
        let test = Loader::new(Arc::new(Noise::new(BATCH, SIDE)), normalize, test).unwrap();
        let how = FitConfig { duration: Duration::Epochs(2), ..FitConfig::default() };
        fit(&mut trainer, &loader, Some(&test), &how, &mut |_| Control::Continue).unwrap();
        memory::peak() - before
    })
}

#[test]
fn the_part_of_a_run_that_is_not_on_its_device_is_planned() {
    let _alone = alone();
    let network = at_side("resnet20", SIDE);
    let whole =
        Method { rule: RuleConfig::new(Rule::Bp), ends: vec![network.units.len() - 1], ..Method::default() };
    let cache = Some(CacheConfig { variants: 1, precision: Precision::F32 });
    let kept = Method { cache, selection: Selection::LastUnits(2), ..whole.clone() };
    for (method, offload, augments) in [(&whole, false, true), (&whole, true, false), (&kept, false, false)] {
        let execution = Execution { offload, ..Execution::default() };
        let train = TrainConfig { method: method.clone(), execution };
        let workload = Workload {
            samples: SAMPLES,
            augments,
            evaluation_samples: BATCH,
            evaluation_batch: Some(BATCH),
            place: Place::imagined("cuda", ProductPrecision::F32),
            ..Workload::steps(network.clone(), train.clone(), BATCH, 1)
        };
        let (planned, found) = (host_bytes(&workload).unwrap(), measured(&train, augments));
        println!("offload {offload}: planned {planned}, measured {found}");
        assert!(found <= planned && planned <= found + found / 2, "planned {planned}, measured {found}");
    }
}
