//! Exits: what they answer, the networks that they are by themselves, and samples that leave early.

use crate::common::{batch, small_resnet};
use localgrad::Device;
use localgrad::data::{Batch, Normalize};
use localgrad::exits::certainty::likeliest;
use localgrad::exits::survey::{Leaving, Survey, answers};
use localgrad::exits::{ExitFound, Exits};
use localgrad::layers::cost::Cost;
use localgrad::maps::{Map, Place};
use localgrad::model::{Classifier, Model};
use localgrad::network::NetworkSpec;
use localgrad::rules::{Head, Rule, RuleConfig, auxiliary_specs};
use localgrad::scratch::Scratch;
use localgrad::trainer::{Execution, Method, Selection, TrainConfig, Trainer, WithExits};
use localgrad::weights::{self, Card, Weights};
use localgrad_models::{ModelConfig, network};

fn config(rule: RuleConfig, ends: &[usize]) -> TrainConfig {
    TrainConfig::from(Method { rule, ends: ends.to_vec(), ..Method::default() })
}

/// The logits of all exits.
fn logits(trainer: &mut Trainer, inputs: &Map) -> Vec<Vec<f32>> {
    let mut found = Vec::new();
    trainer
        .pass_exits(inputs, &mut |at| {
            assert_eq!(at.number, found.len());
            found.push(at.logits.numbers()?);
            Ok((0..at.logits.dims()[0]).collect())
        })
        .unwrap();
    found
}

/// A trainer after some steps on one batch.
fn trained(spec: &NetworkSpec, config: TrainConfig, batch: &Batch, steps: usize) -> Trainer {
    let directory = tempfile::tempdir().unwrap();
    let scratch = config.execution.needs_scratch().then(|| Scratch::create(directory.path(), None).unwrap());
    let normalize = Normalize::half(spec.input.channels());
    let mut trainer = Trainer::with_scratch(spec.clone(), config, normalize, &Device::Cpu, scratch).unwrap();
    for _ in 0..steps {
        trainer.step(batch, 0.05, &mut |_| {}).unwrap();
    }
    trainer
}

#[test]
fn exits_answer_by_themselves() {
    let spec = small_resnet([3, 8, 8]);
    let batch = batch(&spec, 12, 5);
    for rule in [Rule::Dgl, Rule::Auglocal, Rule::Man] {
        let run = |offload: bool| {
            let config = TrainConfig {
                execution: Execution { offload, ..Execution::default() },
                ..config(RuleConfig::new(rule), &[1, 4, 6])
            };
            let mut trainer = trained(&spec, config, &batch, 60);
            assert_eq!(trainer.exits(), [0, 1, 2]);
            let found = logits(&mut trainer, &batch.inputs);
            assert_eq!(found[2], trainer.logits(&batch.inputs).unwrap().numbers().unwrap());
            found
        };
        let found = run(false);
        assert_eq!(found, run(true), "{rule}: weights that wait in a file are the same");
        for logits in found {
            let rows = logits.chunks(5).zip(batch.targets.labels().unwrap());
            let right =
                rows.filter(|&(row, &label)| likeliest(row, 1.0).unwrap().0 == label as usize).count();
            assert!(right >= 9, "{rule}: {right} of 12 that were learnt");
        }
    }
}

#[test]
fn blocks_that_stay_as_they_are_have_no_exit() {
    let spec = small_resnet([3, 8, 8]);
    let batch = batch(&spec, 4, 5);
    let frozen = Method { frozen: 1, ..config(RuleConfig::new(Rule::Dgl), &[1, 4, 6]).method };
    let tail = Method {
        selection: Selection::LastUnits(3),
        ..config(RuleConfig::new(Rule::Dgl), &[1, 4, 6]).method
    };
    for method in [frozen, tail] {
        let mut trainer = trained(&spec, method.into(), &batch, 1);
        let exits = Exits::of(&trainer).unwrap();
        assert_eq!((trainer.exits(), exits.frozen, exits.found.len()), (vec![1, 2], 1, 2));
        let normalize = Normalize::half(3);
        let mut again = Trainer::new(spec.clone(), exits.train_config(), normalize, &Device::Cpu).unwrap();
        let kept = weights::of_model(&mut WithExits(&mut trainer)).unwrap();
        weights::load(&mut WithExits(&mut again), &kept).unwrap();
        assert_eq!(logits(&mut again, &batch.inputs), logits(&mut trainer, &batch.inputs));
        assert_eq!(exits.costs(&spec).unwrap()[0].after_unit, 4);
        assert!(exits.network(&spec, 2).unwrap_err().to_string().contains("from 1 to 2"));
    }
}

/// Rules whose exits differ in what they are made of.
fn rules() -> Vec<RuleConfig> {
    let path = RuleConfig { depth: 1, ..RuleConfig::over(Rule::Man, Head::Path, false) };
    let alone = RuleConfig { trained_copy: false, ..path.clone() };
    let over_auglocal = RuleConfig { depth: 1, ..RuleConfig::over(Rule::Man, Head::Auglocal, false) };
    let pooled = RuleConfig { pool: 2, depth: 3, ..RuleConfig::new(Rule::Auglocal) };
    let published =
        [Rule::Greedy, Rule::Dgl, Rule::Predsim, Rule::Infopro, Rule::Auglocal, Rule::Man, Rule::Manpp];
    published.into_iter().map(RuleConfig::new).chain([path, alone, over_auglocal, pooled]).collect()
}

/// That every exit of a trained network is the network of its own that is taken from it, in a file of its own, too.
fn each_is_a_network(spec: &NetworkSpec, rule: &RuleConfig, ends: &[usize]) {
    let batch = batch(spec, 6, 2);
    let mut trainer = trained(spec, config(rule.clone(), ends), &batch, 2);
    let exits = Exits::of(&trainer).unwrap();
    let whole = weights::of_model(&mut WithExits(&mut trainer)).unwrap();
    let found = logits(&mut trainer, &batch.inputs);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("exit.safetensors");
    for (number, wanted) in found.iter().enumerate() {
        let what = format!("{}, {rule:?}, exit {number}", spec.name);
        let (small, taken) = exits.taken(&whole, spec, number).unwrap();
        let card = Card::of(&small, &Normalize::half(spec.input.channels()), &[]);
        weights::write(&path, &taken, &card, false).unwrap();
        let read = weights::read_card(&path).unwrap().network.unwrap();
        let mut model = Model::new(read, 0, Place::Host).unwrap();
        let from_file = weights::read(&path, |name| Some(name.to_string())).unwrap();
        weights::load(&mut model, &from_file).unwrap();
        let answered = model.logits(&batch.inputs).unwrap().numbers().unwrap();
        if rule.rule == Rule::Manpp {
            // Its balance multiplies channel by channel there.
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5 * b.abs().max(1.0);
            assert!(answered.iter().zip(wanted).all(near), "{what}: {answered:?} {wanted:?}");
        } else {
            assert_eq!(&answered, wanted, "{what}");
        }
        let numbers: usize = taken.values().map(Map::elem_count).sum();
        assert_eq!(exits.costs(spec).unwrap()[number].bytes, 4 * numbers, "{what}");
    }
}

#[test]
fn every_exit_is_a_network_of_its_own() {
    let spec = small_resnet([3, 18, 18]);
    for rule in rules() {
        each_is_a_network(&spec, &rule, &[1, 4, 6]);
    }
    for name in ["mobilenet_v2_x0_35", "vgg11_bn", "densenet121"] {
        let config = ModelConfig { input: [3, 32, 32].into(), classes: 4, ..ModelConfig::default() };
        let spec = network(name, &config).unwrap();
        let ends = [spec.units.len() / 2, spec.units.len() - 1];
        for rule in [Rule::Dgl, Rule::Auglocal, Rule::Man] {
            each_is_a_network(&spec, &RuleConfig::over(rule, RuleConfig::new(rule).head, false), &ends);
        }
    }
}

#[test]
fn costs_are_those_of_units_and_auxiliary_networks() {
    let spec = small_resnet([3, 18, 18]);
    let ends = [1, 4, 6];
    for rule in rules() {
        let trainer =
            Trainer::new(spec.clone(), config(rule.clone(), &ends), Normalize::half(3), &Device::Cpu);
        let costs = Exits::of(&trainer.unwrap()).unwrap().costs(&spec).unwrap();
        let specs =
            auxiliary_specs(&spec, &ends, &RuleConfig { reconstruct: false, ..rule.clone() }).unwrap();
        let units: Vec<Cost> = spec.unit_costs().unwrap();
        for (block, (cost, &end)) in costs.iter().zip(&ends).enumerate() {
            let shared: usize = units[..=end].iter().map(|unit| unit.multiply_adds).sum();
            let own = match specs.get(block) {
                Some(spec_of) if spec_of.similarity.is_none() => {
                    spec_of.cost(spec.features_after(end).unwrap()).unwrap().multiply_adds
                }
                // A convolution that judges is no part of an exit.
                Some(_) => cost.own_multiply_adds,
                None => spec.head_cost().unwrap().multiply_adds,
            };
            assert_eq!((cost.block, cost.after_unit, cost.own_multiply_adds), (block, end, own), "{rule:?}");
            assert_eq!(cost.multiply_adds, shared + own, "{rule:?}");
        }
    }
}

#[test]
fn a_file_has_the_exits_and_the_network_without_them() {
    let spec = small_resnet([3, 8, 8]);
    let batch = batch(&spec, 6, 2);
    let mut trainer = trained(&spec, config(RuleConfig::new(Rule::Man), &[1, 4, 6]), &batch, 3);
    let mut exits = Exits::of(&trainer).unwrap();
    exits.found = vec![ExitFound { temperature: 1.5, accuracy: 0.75 }; 3];
    let card = Card { exits: Some(exits.clone()), ..Card::of(&spec, &Normalize::half(3), &[]) };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("w.safetensors");
    weights::write_network(&path, &mut WithExits(&mut trainer), &card, false).unwrap();
    assert_eq!(weights::read_card(&path).unwrap(), card);
    let file = weights::read(&path, |name| Some(name.to_string())).unwrap();
    assert!(file.keys().any(|name| name.starts_with("aux.1.ema.")));
    assert!(!file.keys().any(|name| name.contains("decoder")), "what judges is no exit");
    let mut alone = Model::new(spec.clone(), 0, Place::Host).unwrap();
    weights::load(&mut alone, &file).unwrap();
    let mut body = Model::new(spec.clone(), 0, Place::Host).unwrap();
    assert!(weights::load_body(&mut body, file.clone()).unwrap().taken > 0);
    let mut again =
        Trainer::new(spec.clone(), exits.train_config(), Normalize::half(3), &Device::Cpu).unwrap();
    weights::load(&mut WithExits(&mut again), &file).unwrap();
    let found = logits(&mut again, &batch.inputs);
    assert_eq!(found, logits(&mut trainer, &batch.inputs));
    assert_eq!(found[2], alone.logits(&batch.inputs).unwrap().numbers().unwrap());
    let mut lacking: Weights = file;
    let first = lacking.keys().find(|name| name.starts_with("aux.1.")).unwrap().clone();
    lacking.remove(&first);
    let error = weights::load(&mut WithExits(&mut again), &lacking).unwrap_err().to_string();
    assert!(error.contains(&first), "{error}");
    let error = exits.taken(&lacking, &spec, 1).unwrap_err().to_string();
    assert!(error.contains(&first), "{error}");
    assert!(exits.taken(&lacking, &spec, 0).is_ok());
}

#[test]
fn what_cannot_be_exits_is_refused() {
    let spec = small_resnet([3, 8, 8]);
    let trainer = |rule: RuleConfig| {
        Trainer::new(spec.clone(), config(rule, &[2, 6]), Normalize::half(3), &Device::Cpu).unwrap()
    };
    let contrastive = RuleConfig { contrastive_temperature: Some(0.1), ..RuleConfig::new(Rule::Infopro) };
    assert!(Exits::of(&trainer(contrastive)).unwrap_err().to_string().contains("no exits"));
    let good = Exits::of(&trainer(RuleConfig::new(Rule::Dgl))).unwrap();
    good.check(7).unwrap();
    let found = |temperature, accuracy| vec![ExitFound { temperature, accuracy }; 2];
    for wrong in [
        Exits { ends: vec![2, 5], ..good.clone() },
        Exits { found: Vec::new(), ..good.clone() },
        Exits { frozen: usize::MAX, ..good.clone() },
        Exits { found: found(0.0, 0.5), ..good.clone() },
        Exits { found: found(f64::NAN, 0.5), ..good.clone() },
        Exits { found: found(1.0, 1.5), ..good.clone() },
        Exits { rule: RuleConfig { depth: 0, ..good.rule.clone() }, ..good },
    ] {
        assert!(wrong.check(7).is_err(), "{wrong:?}");
    }
}

#[test]
fn samples_leave_where_an_exit_is_sure_enough() {
    let spec = small_resnet([3, 8, 8]);
    let batch = batch(&spec, 24, 5);
    let mut trainer = trained(&spec, config(RuleConfig::new(Rule::Auglocal), &[1, 4, 6]), &batch, 12);
    let all = logits(&mut trainer, &batch.inputs);
    let temperatures = vec![1.3, 0.8, 1.0];
    let costs = Exits::of(&trainer).unwrap().costs(&spec).unwrap();
    let mut survey = Survey::by(temperatures.clone());
    survey.add(&mut trainer, &batch).unwrap();
    let labels = batch.targets.labels().unwrap();
    let mut ways = Vec::new();
    for confidence in [0.01, 0.4, 0.6, 0.9, 1.0] {
        let found = answers(&mut trainer, &batch.inputs, &temperatures, confidence).unwrap();
        let (mut right, mut left) = (0, vec![0; 3]);
        for (sample, answer) in found.iter().enumerate() {
            let sure =
                |exit: usize| likeliest(&all[exit][5 * sample..5 * sample + 5], temperatures[exit]).unwrap();
            let wanted = (0..2).find(|&exit| sure(exit).1 >= confidence).unwrap_or(2);
            assert_eq!(answer.exit, wanted, "sample {sample} at {confidence}");
            assert_eq!(
                answer.logits,
                all[wanted][5 * sample..5 * sample + 5],
                "sample {sample} at {confidence}"
            );
            right += usize::from(sure(wanted).0 == labels[sample] as usize);
            left[wanted] += 1;
        }
        ways.push(left.clone());
        assert_eq!(survey.leaving(confidence, &costs), Leaving::of(right, left, &costs));
    }
    assert_eq!((&ways[0], ways[4][2] > 12), (&vec![24, 0, 0], true), "{ways:?}");
    assert!(ways.iter().any(|left| left.iter().all(|&count| count > 0)), "a batch that parts: {ways:?}");
    let leaving = |left| Leaving::of(6, left, &costs).multiply_adds;
    let own = |exit: usize| costs[exit].own_multiply_adds as f64;
    assert_eq!(leaving(vec![24, 0, 0]), costs[0].multiply_adds as f64);
    assert_eq!(leaving(vec![0, 0, 24]), costs[2].multiply_adds as f64 + own(0) + own(1));
}

#[test]
fn who_left_passes_no_later_unit() {
    let spec = small_resnet([3, 8, 8]);
    let batch = batch(&spec, 24, 5);
    let mut trainer = trained(&spec, config(RuleConfig::new(Rule::Dgl), &[1, 6]), &batch, 12);
    let before = answers(&mut trainer, &batch.inputs, &[1.0; 2], 0.5).unwrap();
    let mut seen = Vec::new();
    trainer
        .pass_exits(&batch.inputs, &mut |at| {
            seen.push(at.logits.dims()[0]);
            Ok(vec![3, 4, 20])
        })
        .unwrap();
    assert_eq!(seen, [24, 3], "of a batch those go on that are to");
    // Whatever passes the last block is spoiled.
    trainer
        .visit_block(1, &mut |_, mut variable| {
            let dims = variable.value().dims().to_vec();
            variable.set(Place::Host.full(&dims, f32::NAN)?);
            Ok(())
        })
        .unwrap();
    let after = answers(&mut trainer, &batch.inputs, &[1.0; 2], 0.5).unwrap();
    assert!(before.iter().any(|answer| answer.exit == 0) && before.iter().any(|answer| answer.exit == 1));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.exit, after.exit);
        match before.exit {
            0 => assert_eq!(before, after),
            _ => assert!(after.logits.iter().all(|logit| logit.is_nan())),
        }
    }
}
