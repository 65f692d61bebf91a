//! Features of units that stay as they are, kept: the same training as without, and each showing is read and passed once.

use crate::common::{Noise, small_resnet, weights_of};
use localgrad::Result;
use localgrad::data::{AugmentConfig, Loader, LoaderConfig, Normalize};
use localgrad::evaluate::Evaluation;
use localgrad::fit::{Control, Duration, Event, FitConfig, fit};
use localgrad::layers::spec::{LayerSpec, named, unnamed};
use localgrad::maps::activation::Activation;
use localgrad::maps::conv::ConvConfig;
use localgrad::network::NetworkSpec;
use localgrad::precision::Precision;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::schedule::Schedule;
use localgrad::scratch::Scratch;
use localgrad::trainer::{CacheConfig, Execution, Method, Selection, TrainConfig, Trainer};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Of these the last batch has fewer than the others.
const SAMPLES: usize = 14;
const EPOCHS: usize = 3;
const SIDE: usize = 8;

struct Run {
    weights: Vec<(String, Vec<u32>)>,
    told: Vec<String>,
    evaluations: Vec<Option<Evaluation>>,
    reads: usize,
}

/// Trains on so many samples in batches of 4.
fn run(spec: &NetworkSpec, config: &TrainConfig, samples: usize, augments: bool) -> Result<Run> {
    let directory = tempfile::tempdir().unwrap();
    let scratch = config.execution.needs_scratch().then(|| Scratch::create(directory.path(), None).unwrap());
    let normalize = Normalize::half(3);
    let place = &localgrad::Device::Cpu;
    let mut trainer = Trainer::with_scratch(spec.clone(), config.clone(), normalize.clone(), place, scratch)?;
    let data = Arc::new(Noise::new(samples, SIDE));
    let augment = augments.then(|| AugmentConfig { padding: 2, ..AugmentConfig::default() });
    let loader = LoaderConfig { batch: 4, seed: 9, augment, ..LoaderConfig::default() };
    let loader = Loader::new(data.clone(), normalize, loader).unwrap();
    let how = FitConfig {
        duration: Duration::Epochs(EPOCHS),
        schedule: Schedule::Constant,
        learning_rate: 0.05,
        ..FitConfig::default()
    };
    let (mut told, mut evaluations) = (Vec::new(), Vec::new());
    let judged = Arc::new(Noise::new(10, SIDE));
    let test = Loader::new(judged.clone(), Normalize::half(3), LoaderConfig::evaluation(4)).unwrap();
    fit(&mut trainer, &loader, Some(&test), &how, &mut |event| {
        match event {
            Event::Step { step, losses, .. } => told.push(format!("{step}: {losses:?}")),
            Event::Epoch { evaluation, .. } => evaluations.push(evaluation.clone()),
            _ => {}
        }
        Control::Continue
    })?;
    // Those to be judged by are passed once where features are kept.
    let passes = if config.method.cache.is_some() { 1 } else { EPOCHS };
    assert_eq!(judged.reads.load(Ordering::Relaxed), 10 * passes);
    Ok(Run {
        weights: weights_of(&mut trainer),
        told,
        evaluations,
        reads: data.reads.load(Ordering::Relaxed),
    })
}

fn bp(selection: Selection) -> TrainConfig {
    TrainConfig::from(Method {
        rule: RuleConfig::new(Rule::Bp),
        ends: vec![6],
        selection,
        ..Method::default()
    })
}

fn local(rule: Rule, selection: Selection) -> TrainConfig {
    // MAN's own heads have a decoder.
    let head = (rule == Rule::Man).then_some("dgl");
    let rule = RuleConfig::named(rule, head).unwrap();
    TrainConfig::from(Method { rule, ends: vec![1, 3, 6], selection, ..Method::default() })
}

fn kept(variants: usize, precision: Precision, config: &TrainConfig) -> TrainConfig {
    TrainConfig {
        method: Method { cache: Some(CacheConfig { variants, precision }), ..config.method.clone() },
        ..config.clone()
    }
}

/// Trains both ways on so many samples, of which the second shows each only so often.
fn same(
    spec: &NetworkSpec,
    [plain, cached]: [&TrainConfig; 2],
    augments: bool,
    samples: usize,
    showings: usize,
) {
    let what = format!("{cached:?}");
    let is_exact = cached.method.cache.is_some_and(|cache| cache.precision == Precision::F32);
    let [plain, cached] = [plain, cached].map(|config| run(spec, config, samples, augments).unwrap());
    assert_eq!(plain.told, cached.told, "{what}");
    // In fewer bits samples to be judged by are rounded, which nothing rounds otherwise.
    assert!(!is_exact || plain.evaluations == cached.evaluations, "{what}: other evaluations");
    assert!(plain.weights == cached.weights, "{what}: other weights");
    assert_eq!(plain.reads, EPOCHS * samples);
    assert_eq!(cached.reads, showings * samples, "{what}");
}

#[test]
fn features_that_are_kept_change_nothing() {
    let spec = small_resnet([3, SIDE, SIDE]);
    for plain in [
        bp(Selection::Head),
        bp(Selection::LastUnits(2)),
        TrainConfig {
            method: Method { clip_norm: Some(0.5), ..bp(Selection::LastUnits(3)).method },
            execution: Execution { micro_batch: Some(3), ..Execution::default() },
        },
        TrainConfig {
            execution: Execution { pieces: vec![1, 4, 5], ..Execution::default() },
            ..bp(Selection::LastUnits(3))
        },
        local(Rule::Man, Selection::LastUnits(4)),
        local(Rule::Dgl, Selection::LastUnits(1)),
        TrainConfig::from(Method { frozen: 1, chunk: 2, ..local(Rule::Greedy, Selection::All).method }),
        TrainConfig::from(Method {
            frozen: 1,
            selection: Selection::Norms,
            ..local(Rule::Man, Selection::All).method
        }),
    ] {
        for (offload, features_on_disk) in [(false, false), (true, false), (true, true)] {
            let plain = TrainConfig {
                execution: Execution { offload, features_on_disk, ..plain.execution.clone() },
                ..plain.clone()
            };
            // Not varied, a sample is always the same; varied, an epoch has a draw of its own.
            same(&spec, [&plain, &kept(1, Precision::F32, &plain)], false, SAMPLES, 1);
            same(&spec, [&plain, &kept(EPOCHS, Precision::F32, &plain)], true, SAMPLES, EPOCHS);
            same(&spec, [&plain, &kept(EPOCHS + 4, Precision::F32, &plain)], true, SAMPLES, EPOCHS);
        }
    }
}

/// What comes before the pool is not trained with the head, nor passed again.
#[test]
fn the_front_of_a_head_is_passed_once() {
    let mut spec = small_resnet([3, SIDE, SIDE]);
    let inputs = spec.expand().unwrap().last().unwrap().1.channels();
    let config = ConvConfig::default();
    spec.head = vec![
        named("last", LayerSpec::Conv { inputs, outputs: 12, config, bias: false }),
        named("norm", LayerSpec::batch_norm(12, Some(Activation::Relu))),
        unnamed(LayerSpec::GlobalAveragePool),
        named("drop", LayerSpec::Dropout { probability: 0.2 }),
        named("fc", LayerSpec::Linear { inputs: 12, outputs: 5, bias: true }),
    ];
    for plain in [
        bp(Selection::Head),
        TrainConfig {
            execution: Execution { micro_batch: Some(3), offload: true, ..Execution::default() },
            ..bp(Selection::Head)
        },
        TrainConfig {
            execution: Execution { micro_batch: Some(2), exact: true, ..Execution::default() },
            ..bp(Selection::Head)
        },
        TrainConfig::from(Method { chunk: 2, ..local(Rule::Man, Selection::Head).method }),
        bp(Selection::LastUnits(1)),
    ] {
        same(&spec, [&plain, &kept(1, Precision::F32, &plain)], false, SAMPLES, 1);
        same(&spec, [&plain, &kept(EPOCHS, Precision::F32, &plain)], true, SAMPLES, EPOCHS);
    }
}

#[test]
fn in_fewer_bits_they_are_those_of_a_run_that_rounds_them() {
    let spec = small_resnet([3, SIDE, SIDE]);
    for precision in [Precision::F16, Precision::Bf16] {
        // Between shares features wait, and are rounded; every batch has two.
        let plain = TrainConfig {
            execution: Execution { features: precision, micro_batch: Some(2), ..Execution::default() },
            ..bp(Selection::LastUnits(2))
        };
        for features_on_disk in [false, true] {
            let plain = TrainConfig {
                execution: Execution { features_on_disk, ..plain.execution.clone() },
                ..plain.clone()
            };
            same(&spec, [&plain, &kept(1, precision, &plain)], false, 12, 1);
            same(&spec, [&plain, &kept(EPOCHS, precision, &plain)], true, 12, EPOCHS);
        }
    }
}

#[test]
fn fewer_showings_come_again_in_turn() {
    let spec = small_resnet([3, SIDE, SIDE]);
    let config = kept(2, Precision::F16, &bp(Selection::Head));
    // The last batch is of fewer samples: what is kept does not depend on it.
    for samples in [12, 14] {
        let found = run(&spec, &config, samples, true).unwrap();
        assert_eq!(found.reads, 2 * samples);
        let all = run(&spec, &kept(EPOCHS, Precision::F16, &bp(Selection::Head)), samples, true).unwrap();
        let steps = samples.div_ceil(4);
        assert_eq!(found.told[..2 * steps], all.told[..2 * steps]);
        assert_ne!(found.told[2 * steps..], all.told[2 * steps..]);
    }
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let spec = small_resnet([3, SIDE, SIDE]);
    let refused = |config: &TrainConfig, augments: bool| {
        run(&spec, config, SAMPLES, augments).err().unwrap().to_string()
    };
    for selection in [Selection::All, Selection::Norms, Selection::LastUnits(7)] {
        let message = refused(&kept(1, Precision::F16, &bp(selection)), false);
        assert!(message.contains("the first unit is trained") && message.contains("head"), "{message}");
    }
    let message = refused(&kept(0, Precision::F16, &bp(Selection::Head)), false);
    assert!(message.contains("at least one showing"), "{message}");
    let message = refused(&kept(3, Precision::F16, &bp(Selection::Head)), false);
    assert!(message.contains("1 showing, not of 3"), "{message}");
    let decoder = kept(1, Precision::F16, &local(Rule::Infopro, Selection::LastUnits(4)));
    let message = refused(&decoder, false);
    assert!(message.contains("compares with the images"), "{message}");
    let message = refused(&kept(usize::MAX / 2, Precision::F16, &bp(Selection::Head)), true);
    assert!(message.contains("too many"), "{message}");
}
