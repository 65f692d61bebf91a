//! What of a network is trained, by name: that and nothing else moves, and by the loss' own slope.

use crate::common::{batch, small_resnet, values, weights_of};
use localgrad::data::Normalize;
use localgrad::evaluate::Tally;
use localgrad::layers::Variable;
use localgrad::layers::spec::{LayerSpec, NamedLayer, join, named, unnamed};
use localgrad::maps::Place;
use localgrad::maps::conv::ConvConfig;
use localgrad::network::NetworkSpec;
use localgrad::optimizer::OptimizerConfig;
use localgrad::rules::{Rule, RuleConfig};
use localgrad::trainer::{Method, Selection, TrainConfig, Trainer};
use localgrad_models::{ModelConfig, network};
use std::collections::BTreeMap;

const SELECTIONS: [Selection; 6] = [
    Selection::All,
    Selection::Head,
    Selection::Norms,
    Selection::Biases,
    Selection::LastUnits(1),
    Selection::LastUnits(3),
];

fn bp(spec: &NetworkSpec, selection: Selection) -> TrainConfig {
    let ends = vec![spec.units.len() - 1];
    TrainConfig::from(Method { rule: RuleConfig::new(Rule::Bp), ends, selection, ..Method::default() })
}

/// The layers of the units, by full name: the unit's number, and whether it is a norm.
type Layers = BTreeMap<String, (usize, bool)>;

fn add_layers(layers: &[NamedLayer], path: &str, unit: usize, found: &mut Layers) {
    for NamedLayer { name, layer } in layers {
        let place = join(path, name);
        let is_norm = matches!(
            layer,
            LayerSpec::BatchNorm { .. }
                | LayerSpec::LayerNorm { .. }
                | LayerSpec::GroupNorm { .. }
                | LayerSpec::ResponseNorm { .. }
        );
        if !layer.tensors().is_empty() {
            found.insert(place.clone().into_owned(), (unit, is_norm));
        }
        layer.branches().into_iter().for_each(|branch| add_layers(branch, &place, unit, found));
    }
}

/// Whether the variable of this name is to move; none where it is of an auxiliary network.
fn moves(spec: &NetworkSpec, layers: &Layers, selection: Selection, name: &str) -> Option<bool> {
    if name.starts_with("aux.") {
        return None;
    }
    let (layer, own) = name.rsplit_once('.').unwrap();
    let Some(&(unit, is_norm)) = layers.get(layer) else { return Some(true) };
    Some(match selection {
        Selection::All => true,
        Selection::Head => false,
        Selection::Norms => is_norm,
        Selection::Biases => own == "bias",
        Selection::LastUnits(count) => unit + count >= spec.units.len(),
    })
}

fn trainer(spec: &NetworkSpec, config: &TrainConfig, place: Place) -> Trainer {
    Trainer::new(spec.clone(), config.clone(), Normalize::half(spec.input.channels()), place).unwrap()
}

#[test]
fn what_is_not_named_stays_to_the_bit() {
    let at = |name| {
        network(name, &ModelConfig { input: [3, 32, 32].into(), classes: 5, ..ModelConfig::default() })
    };
    for spec in [small_resnet([3, 8, 8]), at("shufflenet_v2_x0_5").unwrap(), at("vgg11_bn").unwrap()] {
        let mut all = Layers::new();
        for (number, (layers, _)) in spec.expand().unwrap().iter().enumerate() {
            add_layers(layers, &spec.units[number].name, number, &mut all);
        }
        // What the head has before its pool counts as a unit.
        let pool = spec.head.iter().position(|layer| matches!(layer.layer, LayerSpec::GlobalAveragePool));
        add_layers(&spec.head[..pool.unwrap()], "", spec.units.len(), &mut all);
        for (selection, rule) in SELECTIONS.into_iter().flat_map(|s| [(s, Rule::Bp), (s, Rule::Man)]) {
            let mut config = bp(&spec, selection);
            if rule == Rule::Man {
                (config.method.rule, config.method.ends) =
                    (RuleConfig::new(rule), vec![1, spec.units.len() - 2, spec.units.len() - 1]);
            }
            let mut trainer = trainer(&spec, &config, Place::Host);
            let before = weights_of(&mut trainer);
            let batch = batch(&spec, 4, 3);
            let losses = trainer.step(&batch, 0.05, &mut |_| {}).unwrap().losses;
            trainer.step(&batch, 0.05, &mut |_| {}).unwrap();
            for (block, loss) in losses.iter().enumerate() {
                assert_eq!(loss.is_nan(), trainer.is_frozen(block), "{selection} with {rule}: {losses:?}");
            }
            for ((name, before), (_, after)) in before.iter().zip(weights_of(&mut trainer)) {
                let Some(moves) = moves(&spec, &all, selection, name) else { continue };
                // What batch norm takes out again has no gradient.
                let is_lost =
                    spec.name == "vgg11_bn" && name.ends_with(".bias") && selection != Selection::Biases;
                if !(is_lost && moves) {
                    assert_eq!(*before != after, moves, "{}: {name}, {selection} with {rule}", spec.name);
                }
            }
        }
    }
}

/// As SqueezeNet has it: the pool is behind the convolution that gives the classes.
#[test]
fn a_convolution_that_gives_the_classes_is_trained() {
    let mut spec = small_resnet([3, 8, 8]);
    let inputs = spec.expand().unwrap().last().unwrap().1.channels();
    let conv = LayerSpec::Conv { inputs, outputs: spec.classes, config: ConvConfig::default(), bias: true };
    spec.head = vec![
        named("drop", LayerSpec::Dropout { probability: 0.1 }),
        named("classifier", conv),
        unnamed(LayerSpec::GlobalAveragePool),
    ];
    for selection in SELECTIONS {
        let mut trainer = trainer(&spec, &bp(&spec, selection), Place::Host);
        let before = weights_of(&mut trainer);
        trainer.step(&batch(&spec, 4, 3), 0.05, &mut |_| {}).unwrap();
        let after = weights_of(&mut trainer);
        let moved = |name: &str| {
            let of = |weights: &[(String, Vec<u32>)]| {
                weights.iter().find(|(found, _)| found == name).unwrap().1.clone()
            };
            of(&before) != of(&after)
        };
        assert!(moved("classifier.weight") && moved("classifier.bias"), "{selection}");
        assert_eq!(moved("conv1.weight"), selection == Selection::All, "{selection}");
    }
}

#[test]
fn the_last_units_are_a_block_behind_one_that_is_frozen() {
    let spec = small_resnet([3, 8, 8]);
    for count in [1, 2, 5] {
        let whole = TrainConfig::from(Method {
            clip_norm: Some(0.5),
            ..bp(&spec, Selection::LastUnits(count)).method
        });
        let frozen = TrainConfig {
            method: Method {
                rule: RuleConfig::new(Rule::Greedy),
                ends: vec![6 - count, 6],
                frozen: 1,
                selection: Selection::All,
                ..whole.method.clone()
            },
            ..whole.clone()
        };
        let [mut a, mut b] = [whole, frozen].map(|config| trainer(&spec, &config, Place::Host));
        for seed in 0..3 {
            let batch = batch(&spec, 6, seed);
            let [found, wanted] =
                [&mut a, &mut b].map(|trainer| trainer.step(&batch, 0.05, &mut |_| {}).unwrap());
            assert_eq!((found.losses[0], found.correct), (wanted.losses[1], wanted.correct));
        }
        assert_eq!(weights_of(&mut a), weights_of(&mut b), "last {count}");
    }
}

/// Where only biases and the head move, all norms go by running statistics: the loss of training is that of an evaluation.
#[test]
fn biases_follow_the_slope_of_the_evaluations_loss() {
    let vgg = ModelConfig { input: [3, 32, 32].into(), classes: 5, ..ModelConfig::default() };
    for spec in [small_resnet([3, 8, 8]), network("vgg11_bn", &vgg).unwrap()] {
        assert_biases_follow_the_slope(&spec, &Place::Host);
    }
}

/// Holds what a step at `place` does to biases against two evaluations.
pub(crate) fn assert_biases_follow_the_slope(spec: &NetworkSpec, place: &Place) {
    let plain = OptimizerConfig::Sgd { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let config = TrainConfig::from(Method { optimizer: plain, ..bp(spec, Selection::Biases).method });
    let batch = batch(spec, 6, 1);
    const RATE: f64 = 2e-3;
    let evaluate = |trainer: &mut Trainer| {
        let mut tally = Tally::default();
        tally.add(trainer, &batch).unwrap();
        tally.evaluation().loss
    };
    let [(down, moved), (up, _)] = [RATE, -RATE].map(|rate| {
        let mut trainer = trainer(spec, &config, place.clone());
        let start = move_statistics(&mut trainer);
        let (loss, before) = (evaluate(&mut trainer), start);
        let trained = trainer.step(&batch, rate, &mut |_| {}).unwrap().losses[0];
        assert!((trained - loss).abs() < 1e-5 * loss, "{}: {trained} and {loss}", spec.name);
        let mut square = 0.0;
        let mut before = before.into_iter();
        let add = &mut |_: &str, variable: Variable<'_>| {
            let pairs = values(variable.value()).into_iter().zip(before.next().unwrap());
            square += pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
            Ok(())
        };
        trainer.visit(add).unwrap();
        (evaluate(&mut trainer), square)
    });
    // The loss falls by rate · |gradient|², and the weights move by rate · gradient.
    let (found, wanted) = ((up - down) / 2.0, moved / RATE);
    assert!((found - wanted).abs() < 0.03 * wanted, "{}: {found} and {wanted}", spec.name);
}

/// Lets running statistics be others than they start as; all values then.
fn move_statistics(trainer: &mut Trainer) -> Vec<Vec<f32>> {
    let mut all = Vec::new();
    let place = trainer.model.place.clone();
    let visit = &mut |name: &str, mut variable: Variable<'_>| {
        let numbers = values(variable.value());
        if name.contains("running") {
            let moved = numbers.iter().enumerate().map(|(i, x)| x + 0.05 * (1 + i % 5) as f32).collect();
            let map = localgrad::maps::Map::new(moved, (numbers.len(),)).unwrap();
            variable.set(map.to(&place)?);
        }
        all.push(values(variable.value()));
        Ok(())
    };
    trainer.visit(visit).unwrap();
    all
}

#[test]
fn units_that_are_not_there_are_refused() {
    let spec = small_resnet([3, 8, 8]);
    let refused = Trainer::new(
        spec.clone(),
        bp(&spec, Selection::LastUnits(8)),
        Normalize::half(3),
        &localgrad::Device::Cpu,
    );
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("the last 8 of 7 units") && message.contains("last-7-units"), "{message}");
}
