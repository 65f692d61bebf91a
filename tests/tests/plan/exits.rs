//! What is planned of an evaluation that goes from exit to exit, held against one.

use crate::common::Noise;
use crate::{alone, at_side, config};
use localgrad::Device;
use localgrad::data::{Loader, LoaderConfig, Normalize};
use localgrad::exits::Exits;
use localgrad::exits::survey::{Survey, answers};
use localgrad::memory;
use localgrad::plan::{Moment, Workload, evaluation_beside, plan};
use localgrad::rules::{Rule, RuleConfig};
use localgrad::threads::Workers;
use localgrad::trainer::Trainer;
use std::sync::Arc;

const BATCH: usize = 64;

#[test]
fn exits_that_are_judged_are_planned() {
    let _alone = alone();
    let network = at_side("resnet20", 32);
    for rule in [Rule::Greedy, Rule::Dgl, Rule::Auglocal, Rule::Man] {
        let train = config(&network, RuleConfig::new(rule), 4);
        let workload = |judges_exits| Workload {
            evaluation_batch: Some(BATCH),
            judges_exits,
            ..Workload::steps(network.clone(), train.clone(), 1, 1)
        };
        let bytes = |judges_exits| {
            let planned = plan(&workload(judges_exits)).unwrap();
            planned.moments.iter().find(|peak| peak.moment == Moment::Evaluate).unwrap().bytes
        };
        let workers = Workers::start(1).unwrap();
        let before = memory::live();
        let (measured, beside, exits) = workers.run(|| {
            let normalize = Normalize::half(3);
            let mut trainer =
                Trainer::new(network.clone(), train.clone(), normalize.clone(), &Device::Cpu).unwrap();
            let how = LoaderConfig::evaluation(BATCH);
            let loader = Loader::new(Arc::new(Noise::new(2 * BATCH, 32)), normalize, how).unwrap();
            let at_rest = memory::live();
            memory::reset_peak();
            Survey::default().run(&mut trainer, &loader, &mut |_, _| true).unwrap().unwrap();
            let surveyed = memory::peak();
            memory::reset_peak();
            let batch = loader.batch(0, 0).unwrap();
            answers(&mut trainer, &batch.inputs, &[1.0; 4], 0.5).unwrap();
            let leaving = memory::peak() - at_rest;
            (surveyed - before, [surveyed - at_rest, leaving], Exits::of(&trainer).unwrap())
        });
        // What the optimizer remembers is planned, and was never made.
        let optimizer: usize = plan(&workload(true)).unwrap().blocks.iter().map(|b| b.optimizer_bytes).sum();
        let planned = bytes(true) - optimizer;
        println!(
            "{rule}: planned {planned}, without exits {}, measured {measured}",
            bytes(false) - optimizer
        );
        assert!(
            planned >= measured && planned as f64 <= 1.1 * measured as f64,
            "{rule}: {planned} {measured}"
        );
        let planned = evaluation_beside(&network, Some(&exits), BATCH, 1, 0).unwrap();
        println!(
            "{rule}: planned {planned} beside the network, measured {beside:?} of who stays and who leaves"
        );
        assert!(beside.iter().all(|&bytes| bytes <= planned), "{rule}: {planned} {beside:?}");
        assert!(planned as f64 <= 1.1 * beside[0] as f64, "{rule}: {planned} {beside:?}");
    }
}
