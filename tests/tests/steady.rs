//! Once it is warm, training asks the system for no more large blocks, and needs no more than it did.

mod common;

use common::batch;
use localgrad::Device;
use localgrad::data::Normalize;
use localgrad::memory::{LARGE_BYTES, Pooled, large_allocations, live, peak, reset_peak};
use localgrad::optimizer::OptimizerConfig;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::threads::Workers;
use localgrad::trainer::{Method, TrainConfig, Trainer};
use localgrad_models::{ModelConfig, network};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[global_allocator]
static ALLOCATOR: Pooled = Pooled;

const STEPS: usize = 4;

/// The counts are the whole process's: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_warm_step_allocates_nothing_large_and_steps_are_alike() {
    let _alone = alone();
    let cases = [
        (Rule::Bp, vec![15], 1, OptimizerConfig::default()),
        (Rule::Man, vec![2, 9, 15], 2, OptimizerConfig::default()),
        (Rule::Infopro, vec![5, 15], 2, OptimizerConfig::adamw()),
        (Rule::Auglocal, vec![0, 7, 15], 1, OptimizerConfig::default()),
    ];
    let spec = network("resnet32", &ModelConfig::default()).unwrap();
    for (rule, ends, threads, optimizer) in cases {
        let workers = Workers::start(threads).unwrap();
        let config =
            TrainConfig::from(Method { rule: RuleConfig::new(rule), ends, optimizer, ..Method::default() });
        let batch = batch(&spec, 8, 1);
        workers.run(|| {
            let mut trainer =
                Trainer::new(spec.clone(), config, Normalize::half(spec.input.channels()), &Device::Cpu)
                    .unwrap();
            let mut step = || {
                reset_peak();
                let (start, allocations) = (live(), large_allocations());
                trainer.step(&batch, 0.01, &mut |_| {}).unwrap();
                (peak() - start, live().abs_diff(start), large_allocations() - allocations)
            };
            let _ = (step(), step());
            let (first_peak, ..) = step();
            for _ in 0..STEPS {
                let (step_peak, left, allocations) = step();
                assert_eq!(allocations, 0, "{rule}");
                assert!(left < LARGE_BYTES, "{rule}: {left} bytes were left behind");
                assert!(
                    step_peak.abs_diff(first_peak) < first_peak / 10,
                    "{rule}: {step_peak}, {first_peak}"
                );
            }
        });
    }
    assert!(large_allocations() > 0, "the pool came from nowhere");
}

/// One thread: how many workers need their scratch at once is chance, and so to the byte no two steps of several are alike.
#[test]
fn ten_thousand_steps_need_what_a_thousand_do() {
    const THOUSAND: usize = 1000;
    let _alone = alone();
    let widths = Some(vec![4, 4, 8, 8]);
    let spec = network("resnet8", &ModelConfig { input: [3, 8, 8].into(), widths, ..ModelConfig::default() })
        .unwrap();
    let batches: Vec<_> = (0..7).map(|seed| batch(&spec, 4, seed)).collect();
    let config =
        TrainConfig::from(Method { rule: RuleConfig::new(Rule::Man), ends: vec![1, 3], ..Method::default() });
    Workers::start(1).unwrap().run(|| {
        let mut trainer =
            Trainer::new(spec.clone(), config, Normalize::half(spec.input.channels()), &Device::Cpu).unwrap();
        let mut train = |steps: usize| {
            reset_peak();
            for batch in batches.iter().cycle().take(steps) {
                trainer.step(batch, 0.001, &mut |_| {}).unwrap();
            }
            (peak(), live())
        };
        train(batches.len());
        let first = train(THOUSAND);
        train(8 * THOUSAND);
        assert_eq!(train(THOUSAND), first, "most and last bytes in use");
    });
}
