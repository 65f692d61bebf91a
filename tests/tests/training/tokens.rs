//! Tokens, which an embedding takes: trained by every rule, with whatever waits elsewhere, as images are.

use crate::common::{batch, parameters_of, weights_of};
use crate::trained::{assert_same, batches, bp, local, train};
use localgrad::data::Normalize;
use localgrad::inputs::{Inputs, Tokens};
use localgrad::maps::{Map, Place};
use localgrad::model::Classifier;
use localgrad::network::{NetworkSpec, TemporalBlock, UnitKind, UnitSpec};
use localgrad::optimizer::OptimizerConfig;
use localgrad::precision::Precision;
use localgrad::rules::{Head, Rule, RuleConfig, auxiliary_specs};
use localgrad::trainer::{Execution, Method, Selection, TrainConfig, Trainer};
use localgrad::{Device, ErrorKind};
use localgrad_models::{ModelConfig, network};

/// More than any batch here has, and more than f16 counts.
const VOCABULARY: usize = 3000;

/// Seven units of few channels, the first an embedding.
pub(crate) fn spec() -> NetworkSpec {
    let input = Inputs::Tokens(Tokens { length: 12, vocabulary: VOCABULARY });
    let mut spec = network("text_tcn", &ModelConfig { input, classes: 5, ..ModelConfig::default() }).unwrap();
    // Dropout draws otherwise on each device.
    for UnitSpec { kind, width, stride, .. } in &mut spec.units[1..] {
        let UnitKind::TemporalBlock(block) = kind else { panic!("{kind:?}") };
        *block = TemporalBlock { dropout: 0.0, dilation: 1, ..block.clone() };
        (*width, *stride) = (64, [1, 1]);
    }
    spec.units[3].stride = [1, 2];
    spec
}

/// Every rule in three blocks, and end to end.
pub(crate) fn configs() -> Vec<TrainConfig> {
    let rules =
        [Rule::Greedy, Rule::Dgl, Rule::Predsim, Rule::Infopro, Rule::Auglocal, Rule::Man, Rule::Manpp];
    let of = |rule| RuleConfig::of_inputs(rule, None, spec().input).unwrap();
    let path = RuleConfig { depth: 1, ..RuleConfig::over(Rule::Man, Head::Path, false) };
    let rules = rules.into_iter().map(of).chain([path]);
    rules.map(local).chain([bp()]).collect()
}

#[test]
fn every_rule_trains_tokens() {
    let spec = spec();
    let batches = batches(&spec, 2, 6);
    for config in configs() {
        let kernels = train(&spec, &config, &batches, &Place::Host);
        assert!(
            kernels.losses.iter().all(|loss| loss.is_finite() && *loss > 0.0),
            "{:?}",
            config.method.rule
        );
    }
}

#[test]
fn what_waits_changes_nothing() {
    let spec = spec();
    let batches = batches(&spec, 2, 6);
    let man = local(RuleConfig::over(Rule::Man, Head::Greedy, false));
    for base in [man, bp()] {
        let plain = train(&spec, &base, &batches, &Place::Host);
        let with = |execution| TrainConfig { execution, ..base.clone() };
        let plainly = Execution::default;
        let again = Execution { recompute: true, pieces: vec![0, 2], ..plainly() };
        let away = Execution { offload: true, features_on_disk: true, ..plainly() };
        for config in [again, away].map(with) {
            assert_same(&plain, &train(&spec, &config, &batches, &Place::Host), &format!("{config:?}"));
        }
        // What is kept in 16 bits are activations; tokens are not.
        let narrow = with(Execution { activations: Precision::Bf16, ..plainly() });
        near(&plain.losses, &train(&spec, &narrow, &batches, &Place::Host).losses, 2e-2);
        let shares = with(Execution { micro_batch: Some(2), exact: true, ..plainly() });
        near(&plain.losses, &train(&spec, &shares, &batches, &Place::Host).losses, 1e-3);
        let chunks = |features| {
            let method = Method { chunk: 2, ..base.method.clone() };
            let config = TrainConfig { method, execution: Execution { features, ..plainly() } };
            train(&spec, &config, &batches, &Place::Host).losses
        };
        near(&chunks(Precision::F32), &chunks(Precision::F16), 2e-2);
    }
}

/// Whether losses are, but for rounding.
fn near(wanted: &[f64], found: &[f64], bound: f64) {
    for (wanted, found) in wanted.iter().zip(found) {
        assert!((wanted - found).abs() < bound * wanted, "{wanted} and {found}");
    }
}

fn trainer(config: TrainConfig) -> Trainer {
    Trainer::new(spec(), config, Normalize::identity(1), &Device::Cpu).unwrap()
}

#[test]
fn rows_of_tokens_that_do_not_occur_stay_and_the_loss_falls() {
    let sgd = OptimizerConfig::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.0 };
    let mut trainer = trainer(TrainConfig::from(Method { optimizer: sgd, ..bp().method }));
    let batch = batch(&spec(), 8, 1);
    let row = |trainer: &mut Trainer| {
        let all = parameters_of(trainer);
        all.into_iter().find(|(name, _)| name == "embedding.weight").unwrap().1
    };
    let before = row(&mut trainer);
    let losses: Vec<f64> =
        (0..15).map(|_| trainer.step(&batch, 0.05, &mut |_| {}).unwrap().losses[0]).collect();
    assert!(losses[14] < 0.5 * losses[0], "{losses:?}");
    let after = row(&mut trainer);
    let occur: Vec<usize> = batch.inputs.numbers().unwrap().iter().map(|&token| token as usize).collect();
    for (token, (before, after)) in before.chunks(64).zip(after.chunks(64)).enumerate() {
        assert_eq!(before != after, occur.contains(&token), "token {token}");
    }
}

#[test]
fn an_embedding_that_stays_is_passed() {
    let batch = batch(&spec(), 4, 1);
    let mut last = trainer(TrainConfig::from(Method { selection: Selection::LastUnits(2), ..bp().method }));
    let embedding = |trainer: &mut Trainer| weights_of(trainer).swap_remove(0);
    let before = embedding(&mut last);
    assert_eq!(before.0, "embedding.weight");
    last.step(&batch, 0.05, &mut |_| {}).unwrap();
    assert!(embedding(&mut last) == before);
    let mut norms = trainer(TrainConfig::from(Method { selection: Selection::Norms, ..bp().method }));
    let before = embedding(&mut norms);
    norms.step(&batch, 0.05, &mut |_| {}).unwrap();
    assert!(embedding(&mut norms) == before);
}

#[test]
fn what_is_no_token_is_refused() {
    let mut trainer = trainer(bp());
    let mut wrong = batch(&spec(), 2, 0);
    let mut numbers = wrong.inputs.numbers().unwrap();
    numbers[13] = VOCABULARY as f32;
    wrong.inputs = Map::new(numbers, (2, 12)).unwrap();
    let error = trainer.step(&wrong, 0.1, &mut |_| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("token 1 of sample 1 is 3000"), "{error}");
    assert!(trainer.logits(&wrong.inputs).is_err());
    wrong.inputs = wrong.inputs.reshape((2, 1, 12, 1)).unwrap();
    assert!(trainer.step(&wrong, 0.1, &mut |_| {}).unwrap_err().to_string().contains("takes tokens [2, 12]"));
    trainer.step(&batch(&spec(), 2, 0), 0.1, &mut |_| {}).unwrap();
}

#[test]
fn what_rebuilds_pixels_is_refused_in_a_sentence() {
    for rule in [Rule::Infopro, Rule::Man, Rule::Manpp] {
        let error = auxiliary_specs(&spec(), &[1, 6], &RuleConfig::new(rule)).unwrap_err().to_string();
        assert!(error.contains("takes tokens; train by another rule") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn specs_of_tokens_are_checked() {
    let refused = |change: &dyn Fn(&mut NetworkSpec), says: &str| {
        let mut changed = spec();
        change(&mut changed);
        let error = changed.validate().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    let tokens = |length, vocabulary| Inputs::Tokens(Tokens { length, vocabulary });
    spec().validate().unwrap();
    refused(&|spec| spec.input = tokens(12, 7), "of 3000 tokens takes tokens, found 12 tokens of 7");
    refused(&|spec| spec.input = tokens(0, VOCABULARY), "at least one token");
    refused(&|spec| spec.input = tokens(1 << 20, VOCABULARY), "too large");
    for vocabulary in [0, (1 << 24) + 1, usize::MAX] {
        refused(&|spec| spec.input = tokens(12, vocabulary), "give a number from 1 to");
    }
    refused(&|spec| spec.input = [1, 1, 12].into(), "takes tokens, found 1x1x12");
    refused(&|spec| drop(spec.units.remove(0)), "an embedding alone takes tokens");
}
