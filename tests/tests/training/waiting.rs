//! What waits in files, in fewer bits, in chunks or in shares: the same training, or as near to it as is promised.

use crate::common::{batch, parameters_of, small_resnet, weights_of};
use localgrad::Device;
use localgrad::ErrorKind;
use localgrad::checkpoint::{Checkpoints, Configuration};
use localgrad::data::{Batch, Normalize};
use localgrad::evaluate::Tally;
use localgrad::fit::{Duration, FitConfig};
use localgrad::layers::spec::named;
use localgrad::layers::{Form, LayerSpec};
use localgrad::maps::{Map, Place, elementwise};
use localgrad::model::Classifier;
use localgrad::network::NetworkSpec;
use localgrad::optimizer::OptimizerConfig;
use localgrad::precision::Precision;
use localgrad::progress::Progress;
use localgrad::rules::{Head, Rule, RuleConfig};
use localgrad::scratch::{Scratch, Traffic};
use localgrad::sweep::sweep;
use localgrad::targets::Targets;
use localgrad::trainer::{Execution, Method, OpenStep, Selection, TrainConfig, Trainer};
use localgrad::weights::{self, Card};

const RATE: f64 = 0.05;

fn local(rule: Rule) -> TrainConfig {
    TrainConfig::from(Method { rule: RuleConfig::new(rule), ends: vec![1, 3, 6], ..Method::default() })
}

fn bp() -> TrainConfig {
    TrainConfig::from(Method { rule: RuleConfig::new(Rule::Bp), ends: vec![6], ..Method::default() })
}

/// The same network with dropout in front of and behind its last pool.
fn with_dropout(mut spec: NetworkSpec) -> NetworkSpec {
    let dropout = |name: &str, probability| named(name, LayerSpec::Dropout { probability });
    spec.head.insert(0, dropout("dropout.map", 0.3));
    spec.head.insert(spec.head.len() - 1, dropout("dropout.vector", 0.4));
    spec
}

fn batches(spec: &NetworkSpec, count: u64, samples: usize) -> Vec<Batch> {
    (0..count).map(|seed| batch(spec, samples, 10 + seed)).collect()
}

struct Run {
    trainer: Trainer,
    losses: Vec<Vec<f64>>,
    correct: usize,
    _directory: tempfile::TempDir,
}

/// Trains on all batches, as many at once as the configuration's chunk has.
fn run(spec: &NetworkSpec, config: &TrainConfig, batches: &[Batch]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let scratch = config.execution.needs_scratch().then(|| Scratch::create(directory.path(), None).unwrap());
    let normalize = Normalize::half(spec.input.channels());
    let mut trainer =
        Trainer::with_scratch(spec.clone(), config.clone(), normalize, &Device::Cpu, scratch).unwrap();
    let (mut losses, mut correct) = (Vec::new(), 0);
    for chunk in batches.chunks(config.method.chunk) {
        let steps: Vec<OpenStep> = chunk.iter().map(|batch| trainer.begin(batch, RATE).unwrap()).collect();
        for report in sweep(&mut trainer, steps, &mut |_| {}).unwrap() {
            losses.push(report.losses);
            correct += report.correct;
        }
    }
    Run { trainer, losses, correct, _directory: directory }
}

fn same(mut a: Run, mut b: Run, what: &str) {
    let bits = |run: &Run| run.losses.iter().flatten().map(|loss| loss.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&a), bits(&b), "{what}");
    assert_eq!(a.correct, b.correct, "{what}");
    assert_eq!(weights_of(&mut a.trainer), weights_of(&mut b.trainer), "{what}");
}

#[test]
fn without_a_moving_average_any_chunk_is_ordinary_training() {
    let spec = small_resnet([3, 8, 8]);
    let batches = batches(&spec, 5, 6);
    for rule in [Rule::Greedy, Rule::Dgl, Rule::Predsim, Rule::Infopro, Rule::Auglocal] {
        let plain = run(&spec, &local(rule), &batches);
        for chunk in [2, 5] {
            let chunked = run(&spec, &TrainConfig::from(Method { chunk, ..local(rule).method }), &batches);
            assert_eq!(plain.losses, chunked.losses, "{rule}, chunks of {chunk}");
        }
        same(
            plain,
            run(&spec, &TrainConfig::from(Method { chunk: 3, ..local(rule).method }), &batches),
            &rule.to_string(),
        );
    }
}

#[test]
fn a_moving_average_stands_for_a_chunk() {
    let spec = small_resnet([3, 8, 8]);
    let batches = batches(&spec, 4, 6);
    let mut plain = run(&spec, &local(Rule::Man), &batches);
    let mut chunked =
        run(&spec, &TrainConfig::from(Method { chunk: 4, ..local(Rule::Man).method }), &batches);
    assert_eq!(plain.losses[0], chunked.losses[0], "nothing has moved before the first step");
    assert_ne!(weights_of(&mut plain.trainer), weights_of(&mut chunked.trainer));
}

#[test]
fn weights_and_features_in_a_file_change_nothing() {
    let spec = small_resnet([3, 8, 8]);
    let batches = batches(&spec, 3, 6);
    let adamw = OptimizerConfig::adamw();
    let path = RuleConfig::over(Rule::Man, Head::Path, false);
    let bases = [
        local(Rule::Man),
        TrainConfig::from(Method { optimizer: adamw.clone(), ..local(Rule::Manpp).method }),
        TrainConfig::from(Method { chunk: 3, ..local(Rule::Man).method }),
        TrainConfig {
            method: Method { chunk: 2, ..local(Rule::Infopro).method },
            execution: Execution { micro_batch: Some(2), ..Execution::default() },
        },
        TrainConfig::from(Method {
            frozen: 1,
            chunk: 2,
            clip_norm: Some(0.5),
            ..local(Rule::Auglocal).method
        }),
        TrainConfig { execution: Execution { pieces: vec![1, 2, 4], ..Execution::default() }, ..bp() },
        TrainConfig {
            method: Method { optimizer: adamw, ..bp().method },
            execution: Execution { pieces: vec![1, 4], micro_batch: Some(4), ..Execution::default() },
        },
        TrainConfig { execution: Execution { recompute: true, ..Execution::default() }, ..local(Rule::Man) },
        TrainConfig {
            method: Method { selection: Selection::LastUnits(2), ..bp().method },
            execution: Execution { micro_batch: Some(4), ..Execution::default() },
        },
        TrainConfig {
            method: Method { selection: Selection::Norms, clip_norm: Some(0.5), ..bp().method },
            execution: Execution { pieces: vec![1, 4], ..Execution::default() },
        },
        TrainConfig::from(Method { selection: Selection::Head, chunk: 2, ..local(Rule::Man).method }),
        TrainConfig::from(Method { selection: Selection::Biases, ..local(Rule::Man).method }),
        TrainConfig::from(Method { rule: path.clone(), ..local(Rule::Man).method }),
        TrainConfig::from(Method {
            rule: RuleConfig { trained_copy: false, ..path },
            ..local(Rule::Man).method
        }),
    ];
    for base in bases {
        for (offload, features_on_disk) in [(true, false), (false, true), (true, true)] {
            let config = TrainConfig {
                execution: Execution { offload, features_on_disk, ..base.execution.clone() },
                ..base.clone()
            };
            same(run(&spec, &base, &batches), run(&spec, &config, &batches), &format!("{config:?}"));
        }
    }
}

#[test]
fn an_evaluation_brings_what_it_needs() {
    let spec = small_resnet([3, 8, 8]);
    let batches = batches(&spec, 2, 6);
    let mut plain = run(&spec, &local(Rule::Man), &batches);
    let config =
        TrainConfig { execution: Execution { offload: true, ..Execution::default() }, ..local(Rule::Man) };
    let mut away = run(&spec, &config, &batches);
    let judge = |trainer: &mut Trainer| {
        let mut tally = Tally::default();
        tally.add(trainer, &batches[0]).unwrap();
        tally.evaluation()
    };
    assert_eq!(judge(&mut plain.trainer), judge(&mut away.trainer));
    let traffic = away.trainer.traffic().unwrap();
    assert!(traffic.read_bytes > 0 && traffic.written_bytes > 0 && traffic.peak_bytes > 0);
}

#[test]
fn blocks_take_batches_of_their_own() {
    let spec = small_resnet([3, 8, 8]);
    let small = batches(&spec, 4, 4);
    let joined = |pair: &[Batch]| Batch {
        inputs: Map::cat(&[pair[0].inputs.clone(), pair[1].inputs.clone()]).unwrap(),
        targets: Targets::joined(pair.iter().map(|batch| batch.targets.clone())),
    };
    let large: Vec<Batch> = small.chunks(2).map(joined).collect();
    let own = |block_batches: Vec<usize>| {
        TrainConfig::from(Method { chunk: 2, block_batches, ..local(Rule::Infopro).method })
    };
    let mut whole = run(&spec, &local(Rule::Infopro), &large);
    let mut cut = run(&spec, &own(vec![8, 8, 8]), &small);
    assert_eq!(weights_of(&mut whole.trainer), weights_of(&mut cut.trainer));
    assert_eq!(whole.correct, cut.correct);
    assert_eq!([&whole.losses[0], &whole.losses[0]], [&cut.losses[0], &cut.losses[1]]);

    // The first block as in small batches, whatever the others take.
    let mut ordinary = run(&spec, &local(Rule::Infopro), &small);
    let mut mixed = run(&spec, &own(vec![4, 8, 3]), &small);
    let first = |run: &mut Run| {
        let mut first = weights_of(&mut run.trainer);
        first.retain(|(name, _)| name.starts_with("aux.0.") || name.starts_with("stem"));
        first
    };
    assert!(!first(&mut mixed).is_empty());
    assert_eq!(first(&mut ordinary), first(&mut mixed));
    assert!(mixed.losses.iter().flatten().all(|loss| loss.is_finite()));
}

#[test]
fn exact_micro_batches_are_the_whole_batch_to_rounding() {
    let spec = small_resnet([3, 8, 8]);
    let batches = batches(&spec, 2, 7);
    let infopro = RuleConfig::over(Rule::Man, Head::Conv { convolutions: 1, linears: 2 }, true);
    let man_over_infopro = TrainConfig::from(Method { rule: infopro, ..local(Rule::Man).method });
    let plain = [bp(), local(Rule::Dgl), local(Rule::Auglocal), man_over_infopro];
    let class_weights = vec![1.0, 4.0, 0.25, 2.0, 0.5];
    let plain = plain.iter().chain(&plain).zip([false, false, false, false, true, true, true, true]);
    let plain: Vec<TrainConfig> = plain
        .map(|(base, weighted)| match weighted {
            true => TrainConfig {
                method: Method { class_weights: class_weights.clone(), ..base.method.clone() },
                ..base.clone()
            },
            false => base.clone(),
        })
        .collect();
    let dropped = [bp(), local(Rule::Dgl)].map(|base| (with_dropout(spec.clone()), base));
    let ways = plain.into_iter().map(|base| (spec.clone(), base));
    for (spec, base) in ways.chain(dropped) {
        let mut whole = run(&spec, &base, &batches);
        let exact = TrainConfig {
            execution: Execution { micro_batch: Some(3), exact: true, ..base.execution.clone() },
            ..base.clone()
        };
        let mut shares = run(&spec, &exact, &batches);
        let inexact = run(
            &spec,
            &TrainConfig {
                execution: Execution { exact: false, ..exact.execution.clone() },
                ..exact.clone()
            },
            &batches,
        );
        let off = |a: &Run, b: &Run| -> f64 {
            let pairs = a.losses.iter().flatten().zip(b.losses.iter().flatten());
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let rule = base.method.rule.rule;
        assert!(off(&whole, &shares) < 2e-5, "{rule}: losses are off by {}", off(&whole, &shares));
        assert!(off(&whole, &inexact) > 1e-3, "{rule}: the statistics of shares are no test of this");
        assert_eq!(whole.trainer.passes(), shares.trainer.passes(), "{rule}: dropout goes on alike");
        let (whole, shares) = (weights_of(&mut whole.trainer), weights_of(&mut shares.trainer));
        for ((name, whole), (_, shares)) in whole.iter().zip(&shares) {
            for (&a, &b) in whole.iter().zip(shares) {
                let (a, b) = (f32::from_bits(a), f32::from_bits(b));
                assert!((a - b).abs() < 1e-4 * (1.0 + a.abs()), "{rule}, {name}: {a} and {b}");
            }
        }
    }
}

#[test]
fn exact_shares_draw_dropout_of_the_whole_batch() {
    // Without batch norm and with chunks, batches of a block's own and shares of unequal size.
    let spec = with_dropout(small_resnet([3, 8, 8]));
    let batches = batches(&spec, 4, 7);
    for base in [
        TrainConfig::from(Method { chunk: 4, ..local(Rule::Dgl).method }),
        TrainConfig::from(Method { chunk: 2, block_batches: vec![7, 14, 5], ..local(Rule::Greedy).method }),
    ] {
        let whole = run(&spec, &base, &batches);
        let shares = run(
            &spec,
            &TrainConfig {
                execution: Execution { micro_batch: Some(2), exact: true, ..base.execution.clone() },
                ..base.clone()
            },
            &batches,
        );
        for (a, b) in whole.losses.iter().flatten().zip(shares.losses.iter().flatten()) {
            assert!((a - b).abs() < 1e-3, "{base:?}: {a} and {b}");
        }
        assert_eq!(whole.trainer.passes(), shares.trainer.passes());
    }
}

#[test]
fn activations_too_large_for_16_bits_are_named() {
    let spec = small_resnet([3, 8, 8]);
    let mut batch = batch(&spec, 6, 3);
    batch.inputs = elementwise::scale(batch.inputs, 1e6).unwrap();
    for base in [bp(), local(Rule::Man)] {
        let train = |activations| {
            let config = TrainConfig {
                execution: Execution { activations, ..base.execution.clone() },
                ..base.clone()
            };
            let mut trainer = Trainer::new(spec.clone(), config, Normalize::half(3), &Device::Cpu).unwrap();
            let before = weights_of(&mut trainer);
            let error = trainer.step(&batch, RATE, &mut |_| {}).err();
            (error, before == weights_of(&mut trainer))
        };
        let (error, is_as_before) = train(Precision::F16);
        let error = error.unwrap();
        assert_eq!(error.kind(), ErrorKind::NotFinite);
        let text = error.to_string();
        assert!(text.contains("block 0") && text.contains("16 bits") && text.contains("bf16"), "{text}");
        assert!(is_as_before);
        assert!(train(Precision::Bf16).0.is_none() && train(Precision::F32).0.is_none());
    }
    // Features on their way, too.
    for features_on_disk in [false, true] {
        let config = TrainConfig {
            execution: Execution {
                features: Precision::F16,
                features_on_disk,
                micro_batch: Some(3),
                ..Execution::default()
            },
            ..local(Rule::Dgl)
        };
        let directory = tempfile::tempdir().unwrap();
        let scratch = features_on_disk.then(|| Scratch::create(directory.path(), None).unwrap());
        let mut trainer =
            Trainer::with_scratch(spec.clone(), config, Normalize::half(3), &Device::Cpu, scratch).unwrap();
        spread(&mut trainer);
        let error = trainer.step(&batch, RATE, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFinite, "{error}");
    }
}

/// Makes the outputs of the first block large.
fn spread(trainer: &mut Trainer) {
    trainer
        .visit(&mut |name, mut variable| {
            if name.ends_with("bn2.weight") {
                let large = elementwise::scaled(variable.value(), 1e6)?;
                variable.set(large);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn activations_in_fewer_bits_move_gradients_by_little() {
    let spec = small_resnet([3, 8, 8]);
    let batches = batches(&spec, 1, 8);
    for base in [bp(), local(Rule::Man), local(Rule::Infopro)] {
        let start = {
            let normalize = Normalize::half(3);
            parameters_of(&mut Trainer::new(spec.clone(), base.clone(), normalize, &Device::Cpu).unwrap())
        };
        let moved = |run: &mut Run| -> Vec<f64> {
            let now = parameters_of(&mut run.trainer);
            let pairs = now.iter().zip(&start).flat_map(|((_, now), (_, start))| now.iter().zip(start));
            pairs.map(|(now, start)| f64::from(now - start)).collect()
        };
        let mut plain = run(&spec, &base, &batches);
        let plain_moved = moved(&mut plain);
        for (activations, bound) in [(Precision::F16, 0.01), (Precision::Bf16, 0.08)] {
            let mut packed = run(
                &spec,
                &TrainConfig {
                    execution: Execution { activations, ..base.execution.clone() },
                    ..base.clone()
                },
                &batches,
            );
            assert_eq!(plain.losses, packed.losses, "the forward pass is as it was");
            let apart: f64 =
                moved(&mut packed).iter().zip(&plain_moved).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
            let length = plain_moved.iter().map(|a| a * a).sum::<f64>().sqrt();
            assert!(apart > 0.0, "{activations} loses nothing?");
            assert!(
                apart < bound * length,
                "{} in {activations}: {apart} of {length}",
                base.method.rule.rule
            );
        }
    }
}

#[test]
fn features_in_fewer_bits_are_what_the_next_block_sees() {
    let spec = small_resnet([3, 8, 8]);
    let batches = batches(&spec, 4, 6);
    let exact = TrainConfig::from(Method { chunk: 2, ..local(Rule::Dgl).method });
    let mut plain = run(&spec, &exact, &batches);
    for features in [Precision::F16, Precision::Bf16] {
        let config =
            TrainConfig { execution: Execution { features, ..exact.execution.clone() }, ..exact.clone() };
        let on_disk = TrainConfig {
            execution: Execution { features_on_disk: true, ..config.execution.clone() },
            ..config.clone()
        };
        let (mut here, mut there) = (run(&spec, &config, &batches), run(&spec, &on_disk, &batches));
        assert_eq!(weights_of(&mut here.trainer), weights_of(&mut there.trainer));
        assert_ne!(weights_of(&mut plain.trainer), weights_of(&mut here.trainer));
        for (a, b) in plain.losses.iter().flatten().zip(here.losses.iter().flatten()) {
            assert!((a - b).abs() < 0.2, "{a} and {b}");
        }
    }
}

#[test]
fn what_cannot_wait_is_refused_in_a_sentence() {
    let spec = small_resnet([3, 8, 8]);
    let cases = [
        (
            TrainConfig {
                execution: Execution { offload: true, ..Execution::default() },
                ..local(Rule::Dgl)
            },
            "scratch file",
        ),
        (TrainConfig::from(Method { chunk: 0, ..local(Rule::Dgl).method }), "at least one batch"),
        (
            TrainConfig::from(Method { block_batches: vec![4], ..local(Rule::Dgl).method }),
            "one for each block",
        ),
        (
            TrainConfig {
                execution: Execution { exact: true, recompute: true, ..Execution::default() },
                ..local(Rule::Man)
            },
            "exact statistics",
        ),
        (
            TrainConfig {
                execution: Execution { exact: true, micro_batch: Some(2), ..Execution::default() },
                ..local(Rule::Predsim)
            },
            "compare the samples",
        ),
    ];
    for (config, needle) in cases {
        let refused = Trainer::new(spec.clone(), config, Normalize::half(3), &Device::Cpu).err().unwrap();
        assert!(refused.to_string().contains(needle), "'{refused}' does not say '{needle}'");
    }
}

#[test]
fn a_file_without_room_is_an_error_and_no_more() {
    let spec = small_resnet([3, 8, 8]);
    let directory = tempfile::tempdir().unwrap();
    let scratch = Scratch::create(directory.path(), Some(20_000)).unwrap();
    let config = TrainConfig {
        method: Method { chunk: 3, ..local(Rule::Dgl).method },
        execution: Execution { features_on_disk: true, ..Execution::default() },
    };
    let normalize = Normalize::half(3);
    let mut trainer =
        Trainer::with_scratch(spec.clone(), config, normalize, &Device::Cpu, Some(scratch)).unwrap();
    let mut failed = None;
    for batch in batches(&spec, 9, 6) {
        if let Err(error) = trainer.begin(&batch, RATE) {
            failed = Some(error);
            break;
        }
    }
    // What was begun and never trained is given back.
    assert!(failed.is_none());
    let steps: Result<Vec<_>, _> =
        batches(&spec, 9, 6).iter().map(|batch| trainer.begin(batch, RATE)).collect();
    let error = steps.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("20000 are allowed"), "{error}");
}

/// Bytes that went to the scratch file and came from it, since `before`.
fn traffic_since(trainer: &Trainer, before: Traffic) -> (u64, u64) {
    let now = trainer.traffic().unwrap();
    (now.written_bytes - before.written_bytes, now.read_bytes - before.read_bytes)
}

#[test]
fn who_only_looks_at_weights_in_a_file_writes_nothing() {
    let spec = small_resnet([3, 8, 8]);
    let train =
        TrainConfig { execution: Execution { offload: true, ..Execution::default() }, ..local(Rule::Man) };
    let mut offloaded = run(&spec, &train, &batches(&spec, 2, 4));
    let directory = tempfile::tempdir().unwrap();
    let trainer = &mut offloaded.trainer;
    // Of each weight its value and its momentum, but averages have none; statistics stay in memory.
    let (mut state_bytes, mut network_bytes) = (0, 0);
    let bytes_of = |form: Form<'_>| {
        let states = form.updated.map(|(states, _)| 1 + states);
        4 * (form.dims.iter().product::<usize>() * states.unwrap_or(0)) as u64
    };
    let before = trainer.traffic().unwrap();
    for block in 0..3 {
        let count = &mut |_: &str, form: Form<'_>| {
            state_bytes += bytes_of(form);
            Ok(())
        };
        trainer.read_forms_of_block(block, count).unwrap();
    }
    let count = &mut |_: &str, form: Form<'_>| {
        network_bytes += bytes_of(form);
        Ok(())
    };
    trainer.read_forms(count).unwrap();
    assert!(network_bytes > 0 && state_bytes > network_bytes);
    assert_eq!(traffic_since(trainer, before), (0, 0), "shapes are known without the file");

    let weights = weights::of_model(trainer).unwrap();
    assert_eq!(traffic_since(trainer, before), (0, network_bytes));
    let before = trainer.traffic().unwrap();
    weights::write_network(&directory.path().join("w.safetensors"), trainer, &Card::default(), false)
        .unwrap();
    assert_eq!(traffic_since(trainer, before), (0, network_bytes));

    let before = trainer.traffic().unwrap();
    let fit = FitConfig { duration: Duration::Steps(2), ..FitConfig::default() };
    let configuration = Configuration::of_stream(&spec, &train, &fit, 4, &Normalize::half(3), &Place::Host);
    let progress = Progress::start(3);
    let saved = directory.path().join("saved");
    Checkpoints::create(&saved, configuration, 1, trainer, &progress).unwrap();
    assert_eq!(traffic_since(trainer, before), (0, state_bytes), "a checkpoint reads each block once");

    // Who changes weights still writes them.
    let before = trainer.traffic().unwrap();
    weights::load(trainer, &weights).unwrap();
    assert_eq!(traffic_since(trainer, before), (network_bytes, network_bytes));
    assert_eq!(weights_of(trainer), weights_of(&mut run(&spec, &train, &batches(&spec, 2, 4)).trainer));
}
